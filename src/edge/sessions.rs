//! The session API of the verification service: one call, and whatever comes back as a value.

use std::error::Error as _;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use tokio::time::Instant;

use super::credentials::{Credential, Credentials};
use super::http_client::{HttpClient, HttpClientError};
use super::tls::{install_tls_provider, watching_its_connections};
use crate::domain::delivery::Answer;
use crate::domain::ids::TenantId;
use crate::edge::clock;
use crate::wire::session::{MAX_ANSWER_BYTES, decode_answer, for_people, retry_after};
use crate::wire::trace::TraceContext;

/// Where sessions are made.
pub trait Sessions: Send + Sync {
    /// Sends one request, whose body is encoded already, and waits for its answer no longer than `limit`. It never fails:
    /// what went wrong is an answer too. The request carries the context, where there is one.
    fn create(
        &self,
        tenant: &TenantId,
        body: Vec<u8>,
        trace: Option<&TraceContext>,
        limit: Duration,
    ) -> impl Future<Output = Answer> + Send;
}

/// How the service is reached.
#[derive(Debug, Clone)]
pub struct SessionsSettings {
    /// `https://kyc.example`; `path` follows it.
    pub url: String,
    pub path: String,
    /// For the whole call: connecting, sending, and the answer to its last byte.
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub tenant_header: String,
    pub credential_header: String,
    /// Stands before the credential, as in `Bearer …`; empty for the bare credential.
    pub credential_scheme: String,
    /// PEM certificates to trust instead of the system's. A file that is replaced is read again.
    pub ca_file: Option<PathBuf>,
    pub max_idle_connections: usize,
}

impl SessionsSettings {
    /// What is assumed of a service at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            path: "/api/v1/kyc/face/session".to_owned(),
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            tenant_header: "X-Tenant-ID".to_owned(),
            credential_header: "Authorization".to_owned(),
            credential_scheme: "Bearer".to_owned(),
            ca_file: None,
            max_idle_connections: 256,
        }
    }
}

/// Why the service cannot be called with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    #[error("the URL of the session API must be an absolute http or https URL")]
    Url,
    #[error("{0:?} is no name of a header")]
    HeaderName(String),
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

/// The real service, over HTTP.
#[derive(Debug)]
pub struct HttpSessions {
    client: HttpClient,
    url: Url,
    timeout: Duration,
    tenant_header: HeaderName,
    credential_header: HeaderName,
    credential_scheme: String,
    credentials: Arc<Credentials>,
}

/// What is sent, beside what tells who sends it.
struct Request<'a> {
    body: Vec<u8>,
    trace: Option<&'a TraceContext>,
}

impl HttpSessions {
    pub fn new(settings: SessionsSettings, credentials: Arc<Credentials>) -> Result<Self, SessionsError> {
        let url = format!("{}{}", settings.url.trim_end_matches('/'), settings.path);
        let url = Url::parse(&url).map_err(|_| SessionsError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(SessionsError::Url);
        }
        Ok(Self {
            client: client(&settings)?,
            url,
            timeout: settings.timeout,
            tenant_header: header_name(&settings.tenant_header)?,
            credential_header: header_name(&settings.credential_header)?,
            credential_scheme: settings.credential_scheme,
            credentials,
        })
    }

    fn credential(&self, tenant: &TenantId) -> Result<Option<Credential>, Answer> {
        match self.credentials.of(tenant) {
            Ok(None) if self.credentials.are_asked_for() => {
                Err(Answer::NoCredential { reason: "no credential for this tenant".to_owned() })
            }
            Ok(credential) => Ok(credential),
            // The file's name and the cause, which is all that the error holds.
            Err(error) => {
                let reason = for_people(&chain(&error));
                let own = self.credentials.are_per_tenant();
                Err(if own { Answer::NoCredential { reason } } else { Answer::NotSent { reason } })
            }
        }
    }

    async fn call(
        &self,
        tenant: &TenantId,
        credential: Option<&Credential>,
        request: Request<'_>,
        deadline: Instant,
    ) -> Answer {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return not_sent("no time was left for a call");
        }
        let Ok(headers) = self.headers(tenant, credential, request.trace) else {
            return not_sent("tenant and credential do not fit into headers");
        };
        let post = |client: &Client| client.post(self.url.clone()).headers(headers).body(request.body).timeout(left);
        match self.client.send(post).await {
            Ok(response) => read(response).await,
            Err(error) if error.is_connect() || error.is_builder() => not_sent(&reason(&error)),
            Err(error) => Answer::Lost { reason: reason(&error) },
        }
    }

    fn headers(
        &self,
        tenant: &TenantId,
        credential: Option<&Credential>,
        trace: Option<&TraceContext>,
    ) -> Result<HeaderMap, reqwest::header::InvalidHeaderValue> {
        let mut headers = HeaderMap::new();
        for (name, value) in trace.into_iter().flat_map(TraceContext::headers) {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value)?);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(self.tenant_header.clone(), HeaderValue::from_str(tenant.as_str())?);
        if let Some(credential) = credential {
            let text = format!("{} {}", self.credential_scheme, credential.reveal());
            let mut value = HeaderValue::from_str(text.trim_start())?;
            value.set_sensitive(true);
            headers.insert(self.credential_header.clone(), value);
        }
        Ok(headers)
    }
}

impl Sessions for HttpSessions {
    async fn create(&self, tenant: &TenantId, body: Vec<u8>, trace: Option<&TraceContext>, limit: Duration) -> Answer {
        let deadline = Instant::now() + self.timeout.min(limit);
        let credential = match self.credential(tenant) {
            Ok(credential) => credential,
            Err(answer) => return answer,
        };
        let request = Request { body: body.clone(), trace };
        let answer = self.call(tenant, credential.as_ref(), request, deadline).await;
        if !is_refused(&answer) || credential.is_none() {
            return answer;
        }
        self.credentials.reread(tenant);
        // Compared with the one that was refused, for another call may have read the new one meanwhile.
        match self.credentials.of(tenant) {
            Ok(Some(fresh)) if Some(&fresh) != credential.as_ref() => {
                self.call(tenant, Some(&fresh), Request { body, trace }, deadline).await
            }
            Ok(_) | Err(_) => answer,
        }
    }
}

fn is_refused(answer: &Answer) -> bool {
    matches!(answer, Answer::Status { code: 401 | 403, .. })
}

fn not_sent(reason: &str) -> Answer {
    Answer::NotSent { reason: reason.to_owned() }
}

fn header_name(name: &str) -> Result<HeaderName, SessionsError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| SessionsError::HeaderName(name.to_owned()))
}

fn client(settings: &SessionsSettings) -> Result<HttpClient, HttpClientError> {
    install_tls_provider();
    let of = settings.clone();
    HttpClient::new(settings.ca_file.as_deref(), move || {
        watching_its_connections(Client::builder(), of.timeout)
            .user_agent(concat!("stepup/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // A call that is repeated unseen would spoil the count of attempts and the retry budget.
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(of.connect_timeout)
            .pool_max_idle_per_host(of.max_idle_connections)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_keepalive(Duration::from_secs(30))
    })
}

async fn read(mut response: Response) -> Answer {
    let now = clock::now();
    let status = response.status();
    let wait = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| retry_after(value, now));
    match read_body(&mut response).await {
        Ok(body) => decode_answer(status.as_u16(), &body, wait, now),
        Err(reason) if status.is_success() => Answer::Lost { reason },
        // The status is the verdict; only the message for people is missing.
        Err(_) => decode_answer(status.as_u16(), b"", wait, now),
    }
}

async fn read_body(response: &mut Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER_BYTES => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err("the answer is larger than 64 KiB".to_owned()),
            Ok(None) => return Ok(body),
            Err(error) => return Err(reason(&error)),
        }
    }
}

/// What happened, without the URL, which may carry secrets.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() { "no connection in time" } else { "no answer in time" }.to_owned();
    }
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    let what = if error.is_connect() { "no connection" } else { "the connection failed before the answer was whole" };
    match cause {
        Some(cause) => for_people(&format!("{what}: {cause}")),
        None => what.to_owned(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;

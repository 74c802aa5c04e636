//! Preferences from the verification service.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue, InvalidHeaderName};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::source::{Fetched, PreferencesSource, document};
use crate::domain::ids::TenantId;
use crate::edge::http_client::{HttpClient, HttpClientError};
use crate::edge::tls::{install_tls_provider, watching_its_connections};
use crate::wire::preferences::MAX_BYTES;

/// Which credential goes with a tenant's requests.
pub trait CredentialStore: Send + Sync {
    fn of(&self, tenant: &TenantId) -> CredentialAnswer;

    /// Reads the tenant's credential again from where it came, and tells whether it is another one now.
    fn reread(&self, tenant: &TenantId) -> bool;
}

/// The credential of a tenant's requests. Its debug form hides the token.
#[derive(Debug, Clone)]
pub enum CredentialAnswer {
    /// Requests carry none.
    None,
    Token {
        token: SecretString,
        /// Whether it is this tenant's alone.
        is_own: bool,
    },
    /// Every tenant has its own, and this one has none: nobody is asked.
    Missing,
}

/// How the service is asked for preferences.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub url: String,
    /// The header that names the tenant.
    pub tenant_header: String,
    pub authorization_header: String,
    /// Stands before the token, with a space between; where it is empty the token stands alone.
    pub scheme: String,
    /// For connecting, the headers and the whole body together.
    pub timeout: Duration,
    /// PEM certificates to trust instead of the system's. A file that is replaced is read again.
    pub ca_file: Option<PathBuf>,
}

/// Why no client can be made of the settings.
#[derive(Debug, thiserror::Error)]
pub enum InvalidHttpSettings {
    #[error("the preferences URL is not an http or https URL")]
    Url,
    #[error("{0:?} is not a header name")]
    Header(String, #[source] InvalidHeaderName),
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

/// The service's preferences endpoint.
pub struct HttpPreferences {
    client: HttpClient,
    url: Url,
    tenant_header: HeaderName,
    authorization_header: HeaderName,
    scheme: String,
    timeout: Duration,
    credentials: Arc<dyn CredentialStore>,
    observer: Option<Box<CallObserver>>,
}

/// Is told of every call: the status, where there was an answer, and how long it took.
pub type CallObserver = dyn Fn(Option<u16>, Duration) + Send + Sync;

impl HttpPreferences {
    /// Makes the client; nobody is asked yet. Redirects are not followed and the environment's proxies not used.
    pub fn new(settings: HttpSettings, credentials: Arc<dyn CredentialStore>) -> Result<Self, InvalidHttpSettings> {
        install_tls_provider();
        let url = Url::parse(&settings.url).map_err(|_| InvalidHttpSettings::Url)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(InvalidHttpSettings::Url);
        }
        let timeout = settings.timeout;
        let build = move || {
            watching_its_connections(Client::builder(), timeout)
                .no_proxy()
                .redirect(redirect::Policy::none())
                .timeout(timeout)
                .user_agent("stepup")
        };
        Ok(Self {
            client: HttpClient::new(settings.ca_file.as_deref(), build)?,
            url,
            tenant_header: header(&settings.tenant_header)?,
            authorization_header: header(&settings.authorization_header)?,
            scheme: settings.scheme,
            timeout,
            credentials,
            observer: None,
        })
    }

    /// Has somebody told of every call from now on.
    pub fn observe(&mut self, observer: Box<CallObserver>) {
        self.observer = Some(observer);
    }

    /// One request with the credential as it stands.
    async fn ask(&self, tenant: &TenantId) -> Fetched {
        let (authorization, own_credential) = match self.credentials.of(tenant) {
            CredentialAnswer::None => (None, false),
            CredentialAnswer::Missing => return Fetched::NoCredential,
            CredentialAnswer::Token { token, is_own } => match self.authorization(&token) {
                Some(value) => (Some(value), is_own),
                None => {
                    let reason = "the credential holds characters that a header cannot carry".to_owned();
                    return Fetched::Refused { own_credential: is_own, reason };
                }
            },
        };
        let request = |client: &Client| {
            let request = client.get(self.url.clone()).header(&self.tenant_header, tenant.as_str());
            match authorization {
                Some(value) => request.header(&self.authorization_header, value),
                None => request,
            }
        };
        let began = Instant::now();
        let (status, fetched) = match self.client.send(request).await {
            Ok(response) => (Some(response.status().as_u16()), self.judge(response, own_credential).await),
            Err(error) => (None, Fetched::Away { reason: self.cause(&error) }),
        };
        if let Some(observer) = &self.observer {
            observer(status, began.elapsed());
        }
        fetched
    }

    fn authorization(&self, token: &SecretString) -> Option<HeaderValue> {
        let token = token.expose_secret();
        let text = SecretString::from(match self.scheme.as_str() {
            "" => token.to_owned(),
            scheme => format!("{scheme} {token}"),
        });
        let mut value = HeaderValue::from_str(text.expose_secret()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    async fn judge(&self, response: Response, own_credential: bool) -> Fetched {
        match response.status() {
            StatusCode::OK => match self.body(response).await {
                Ok(bytes) if bytes.len() <= MAX_BYTES && !is_json(&bytes) => {
                    Fetched::Away { reason: "the service's answer is not JSON".to_owned() }
                }
                Ok(bytes) => document(&bytes),
                Err(reason) => Fetched::Away { reason },
            },
            StatusCode::NOT_FOUND => Fetched::NotFound,
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let reason = format!("the service refused the credential with status {}", status.as_u16());
                Fetched::Refused { own_credential, reason }
            }
            status if is_verdict(status) => {
                Fetched::Unreadable(format!("the service answered with status {} for this tenant", status.as_u16()))
            }
            status => Fetched::Away { reason: format!("the service answered with status {}", status.as_u16()) },
        }
    }

    /// The body, or its beginning where it is longer than a document may be.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.cause(&error))? {
            let room = MAX_BYTES + 1 - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if bytes.len() > MAX_BYTES {
                break;
            }
        }
        Ok(bytes)
    }

    /// Why there was no whole answer: the innermost cause, which names neither address nor headers.
    fn cause(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("no whole answer within {:?}", self.timeout);
        }
        let what = if error.is_connect() { "no connection" } else { "the connection broke" };
        let innermost = std::iter::successors(error.source(), |cause| (*cause).source()).last();
        innermost.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"))
    }
}

impl PreferencesSource for HttpPreferences {
    /// A refused credential is read again once, and where it is another one now, tried again.
    async fn fetch(&self, tenant: &TenantId) -> Fetched {
        let fetched = self.ask(tenant).await;
        let is_refused = matches!(fetched, Fetched::Refused { .. });
        if is_refused && self.credentials.reread(tenant) { self.ask(tenant).await } else { fetched }
    }

    fn foregone(&self, tenant: &TenantId) -> Option<Fetched> {
        matches!(self.credentials.of(tenant), CredentialAnswer::Missing).then_some(Fetched::NoCredential)
    }
}

/// Whether a status says that what is asked of this tenant is wrong: it would say so again, and says nothing of others.
fn is_verdict(status: StatusCode) -> bool {
    // Of a proxy, of time, and of patience.
    status.is_client_error() && !matches!(status.as_u16(), 407 | 408 | 425 | 429)
}

/// Somebody's page in place of an answer tells nothing of the tenant, whatever its status.
fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

fn header(name: &str) -> Result<HeaderName, InvalidHttpSettings> {
    name.parse().map_err(|error| InvalidHttpSettings::Header(name.to_owned(), error))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;

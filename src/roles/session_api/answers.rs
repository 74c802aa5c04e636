//! What every endpoint shares: who calls, bounded bodies, errors as JSON, and faults in the way.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;

use super::Simulator;
use super::connection::Connection;
use super::faults::{Met, Spoilt, SpoiltAnswer};
use crate::domain::ids::TenantId;
use crate::wire::session_answers::ErrorAnswer;
use crate::wire::session_api::InvalidRequest;

/// No call hangs for longer.
const LONGEST_HANG: Duration = Duration::from_mins(10);

/// An error as the service answers it. An endpoint ends early with one by `?`.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

pub(super) fn refusal(status: StatusCode, message: &str) -> Refusal {
    Refusal { status, message: message.to_owned() }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorAnswer { message: self.message })).into_response()
    }
}

impl From<InvalidRequest> for Refusal {
    fn from(error: InvalidRequest) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: error.to_string() }
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: format!("{error:#}") }
    }
}

/// The tenant that the headers name.
pub(super) fn tenant_of(headers: &HeaderMap) -> Result<TenantId, Refusal> {
    let wrong = |problem: &str| refusal(StatusCode::BAD_REQUEST, &format!("X-Tenant-ID {problem}"));
    let name = headers.get("X-Tenant-ID").ok_or_else(|| wrong("is required"))?;
    let name = name.to_str().map_err(|_| wrong("is not a tenant id"))?;
    TenantId::new(name).map_err(|error| wrong(&error.to_string()))
}

/// The whole body, where it has no more than `max` bytes.
pub(super) async fn body(body: Body, max: usize) -> Result<Bytes, Refusal> {
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        // Whoever sent it has done nothing wrong: it was lost on the way.
        let chunk = chunk.map_err(|_| refusal(StatusCode::REQUEST_TIMEOUT, "the body broke off"))?;
        if whole.len() + chunk.len() > max {
            return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body must have at most {max} bytes")));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

impl Simulator {
    /// Whether the tenant's credential came along, where one is asked for.
    pub(super) fn authorize(&self, tenant: &TenantId, headers: &HeaderMap) -> Result<(), Refusal> {
        let credentials = &self.shared.credentials;
        if !credentials.are_asked_for() {
            return Ok(());
        }
        // A rotated file counts at once here, as it does at a real service.
        credentials.reread(tenant);
        let wanted = credentials.of(tenant).map_err(anyhow::Error::new)?;
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        match (wanted, given) {
            (Some(wanted), Some(given)) if wanted.reveal() == given => Ok(()),
            (Some(_) | None, _) => Err(refusal(StatusCode::UNAUTHORIZED, "the credential is not valid")),
        }
    }

    /// Carries out `work` with what the faults have for it.
    pub(super) async fn under(
        &self,
        met: Met,
        extensions: &Extensions,
        work: impl Future<Output = Response>,
    ) -> Response {
        self.pause(met.delay).await;
        let Some(Spoilt { carried_out, answer }) = met.spoilt else {
            return work.await;
        };
        if carried_out {
            work.await;
        }
        match answer {
            SpoiltAnswer::Status { code, retry_after } => {
                let status = StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                let mut response = refusal(status, "a fault was asked for").into_response();
                if let Some(seconds) = retry_after {
                    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                }
                response
            }
            SpoiltAnswer::Cut => cut(extensions),
            SpoiltAnswer::Hang => {
                self.pause(LONGEST_HANG).await;
                cut(extensions)
            }
            SpoiltAnswer::Garbage => {
                (StatusCode::OK, [(CONTENT_TYPE, "application/json")], "<html>garbage</html>").into_response()
            }
        }
    }

    async fn pause(&self, span: Duration) {
        if span.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            () = self.shared.closing.cancelled() => {}
        }
    }
}

/// Ends the connection without an answer, or, where it is not ours to cut, with one that breaks off.
fn cut(extensions: &Extensions) -> Response {
    match extensions.get::<ConnectInfo<Connection>>() {
        Some(ConnectInfo(connection)) => {
            connection.cut();
            Response::default()
        }
        None => {
            let broken = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
            let body = Body::from_stream(futures_util::stream::iter([Err::<Bytes, _>(broken)]));
            Response::new(body)
        }
    }
}

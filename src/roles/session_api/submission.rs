//! The rest of a session's life: a phone attaches, selfies are submitted, the state is looked up, the callback is sent.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use uuid::Uuid;

use super::Simulator;
use super::answers::{Refusal, body, refusal};
use super::store::{Progress, Session};
use crate::domain::time::Timestamp;
use crate::wire::session::for_people;
use crate::wire::session_answers::{Callback, CallbackData, CallbackReactions, StateAnswer};
use crate::wire::session_api::{Reactions, decode_connect, decode_submission};

const MAX_PROOF: usize = 4 << 20;
/// Base64 takes a third more, and the rest of the body a little.
const MAX_SUBMISSION: usize = 6 << 20;
const MAX_BODY: usize = 65_536;

/// `GET /api/v1/kyc/face/verify/{token}`: the state of a session.
pub(super) async fn verify(
    State(simulator): State<Simulator>,
    Path(token): Path<String>,
) -> Result<Json<StateAnswer>, Refusal> {
    let now = simulator.now();
    let mut store = simulator.store();
    let session = store.by_token(&token).ok_or_else(unknown)?;
    Ok(Json(state(session, now)))
}

/// `PUT /api/v1/kyc/session/connect {token}`: a phone attaches.
pub(super) async fn connect(
    State(simulator): State<Simulator>,
    request: Request,
) -> Result<Json<StateAnswer>, Refusal> {
    let token = decode_connect(&body(request.into_body(), MAX_BODY).await?)?;
    let now = simulator.now();
    let mut store = simulator.store();
    let session = open(store.by_token(&token), now)?;
    session.mobile_connected = true;
    Ok(Json(state(session, now)))
}

/// `POST /api/v1/kyc/face/submit {token, proof}`: answers what the callback carries. A proof whose text begins with
/// `decline` is declined, for what follows a colon; any other is approved.
pub(super) async fn submit(State(simulator): State<Simulator>, request: Request) -> Result<Json<Callback>, Refusal> {
    let (parts, content) = request.into_parts();
    if !is_phone(&parts.headers) {
        return Err(refusal(StatusCode::BAD_REQUEST, "face capture must be completed on a mobile device"));
    }
    let submission = decode_submission(&body(content, MAX_SUBMISSION).await?, MAX_PROOF)?;
    let tenant = simulator.store().by_token(&submission.token).ok_or_else(unknown)?.asked.tenant.clone();
    let document = simulator.shared.documents.of(&tenant).await?;
    let reactions = document.map(|document| document.reactions).unwrap_or_default();
    let (callback, url) = {
        let mut store = simulator.store();
        let session = open(store.by_token(&submission.token), simulator.now())?;
        (judge(session, declined(&submission.proof), reactions), session.asked.callback_url.clone())
    };
    if let Some(url) = url {
        simulator.shared.callbacks.send(&url, &callback);
    }
    Ok(Json(callback))
}

fn is_phone(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["Mobile", "Android", "iPhone", "iPad", "iPod"].iter().any(|phone| agent.contains(phone))
}

fn unknown() -> Refusal {
    refusal(StatusCode::NOT_FOUND, "no session has this token")
}

/// The session, where something can still be done in it.
fn open(session: Option<&mut Session>, now: Timestamp) -> Result<&mut Session, Refusal> {
    let session = session.ok_or_else(unknown)?;
    match session.progress {
        Progress::Approved | Progress::Declined => {
            Err(refusal(StatusCode::CONFLICT, "the session is completed already"))
        }
        Progress::Pending if session.is_expired(now) => Err(refusal(StatusCode::GONE, "the session is expired")),
        Progress::Pending => Ok(session),
    }
}

/// Why a proof is declined, if it is.
fn declined(proof: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(proof.get(..512).unwrap_or(proof)).into_owned();
    let reason = text.trim().strip_prefix("decline")?;
    let reason = reason.strip_prefix(':').unwrap_or_default().trim();
    Some(if reason.is_empty() { "the face does not match".to_owned() } else { for_people(reason) })
}

/// Takes a submission into account and says what the tenant's application learns of it.
fn judge(session: &mut Session, declined_reason: Option<String>, reactions: Reactions) -> Callback {
    session.submissions = session.submissions.saturating_add(1);
    // Submissions in all are the first and its retries.
    let remaining = reactions.max_retry_attempts.saturating_add(1).saturating_sub(session.submissions);
    let exceeded = declined_reason.is_some() && remaining == 0;
    session.progress = match (&declined_reason, exceeded) {
        (None, _) => Progress::Approved,
        (Some(_), true) => Progress::Declined,
        (Some(_), false) => Progress::Pending,
    };
    let resource = session.token.fingerprint();
    Callback {
        event: "reuse_kyc",
        reference: session.asked.reference.to_string(),
        resource_id: resource.to_string(),
        status: if declined_reason.is_some() { "declined" } else { "approved" },
        declined_reason,
        data: CallbackData {
            retries_remaining: remaining,
            retry_limit_exceeded: exceeded,
            reactions: exceeded.then(|| CallbackReactions {
                trigger_alert: reactions.trigger_alert,
                enforce_logout: reactions.enforce_logout,
                freeze_account: reactions.freeze_account,
                block: true,
                freeze_duration_minutes: reactions.freeze_duration_minutes,
                alert_id: reactions.trigger_alert.then(|| Uuid::new_v5(&resource, b"alert").to_string()),
            }),
        },
    }
}

fn state(session: &Session, now: Timestamp) -> StateAnswer {
    StateAnswer {
        reference: session.asked.reference.to_string(),
        status: session.status(now),
        mobile_connected: session.mobile_connected,
        is_submitted: session.submissions > 0,
        token_expires_at: session.expires_at().to_string(),
    }
}

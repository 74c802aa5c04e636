//! The preferences endpoint, and what the simulator tells and takes of itself under `/sim`.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::Simulator;
use super::answers::{Refusal, body, refusal, tenant_of};
use super::documents::UpdateError;
use super::store::Session;
use crate::domain::ids::TenantId;
use crate::domain::time::Timestamp;
use crate::wire::faults::{Endpoint, Fault, SessionLine, SessionsPage, SessionsQuery, Stats, decode_faults};

const MAX_BODY: usize = 65_536;
/// Sessions on a page, where no other number is asked for.
const PAGE: usize = 10_000;
const LONGEST_PAGE: usize = 100_000;

/// `GET /api/v1/kyc/preferences`: the tenant's document as it stands in its file.
pub(super) async fn preferences(State(simulator): State<Simulator>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let tenant = match tenant_of(&parts.headers) {
        Ok(tenant) => tenant,
        Err(refused) => return refused.into_response(),
    };
    let met = simulator.faults().draw(&tenant, Endpoint::Preferences);
    let work = async { simulator.document(&tenant, &parts).await.into_response() };
    simulator.under(met, &parts.extensions, work).await
}

/// `PUT` or `PATCH /api/v1/kyc/preferences`: changes the keys that are present.
pub(super) async fn update_preferences(
    State(simulator): State<Simulator>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, content) = request.into_parts();
    let tenant = tenant_of(&parts.headers)?;
    simulator.authorize(&tenant, &parts.headers)?;
    let update = body(content, MAX_BODY).await?;
    match simulator.shared.documents.update(&tenant, &update, simulator.now()).await {
        Ok(document) => Ok(json(document)),
        Err(UpdateError::Invalid(error)) => Err(error.into()),
        Err(UpdateError::Failed(error)) => Err(error.into()),
    }
}

/// `GET /sim/faults`: the faults in force; a `count` is what is left of it.
pub(super) async fn faults(State(simulator): State<Simulator>) -> Json<Vec<Fault>> {
    Json(simulator.faults().list().to_vec())
}

/// `PUT /sim/faults`: puts a list of faults in force instead of those before.
pub(super) async fn set_faults(State(simulator): State<Simulator>, request: Request) -> Result<StatusCode, Refusal> {
    let list = decode_faults(&body(request.into_body(), MAX_BODY).await?)
        .map_err(|error| refusal(StatusCode::BAD_REQUEST, &error.to_string()))?;
    simulator.set_faults(list);
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /sim/sessions`: the sessions made, oldest first.
pub(super) async fn sessions(
    State(simulator): State<Simulator>,
    Query(query): Query<SessionsQuery>,
) -> Json<SessionsPage> {
    let now = simulator.now();
    let show_tokens = query.tokens.as_deref().is_some_and(|shown| matches!(shown, "1" | "true"));
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let store = simulator.store();
    // The one session of a tenant's reference is found without going through all.
    if let (Some(tenant), Some(reference)) = (&query.tenant, &query.reference) {
        let tenant = TenantId::new(tenant).ok();
        let session = tenant.and_then(|tenant| store.by_reference(&tenant, reference));
        return Json(SessionsPage {
            sessions: session.map(|s| line(s, now, show_tokens)).into_iter().collect(),
            next: None,
        });
    }
    let wanted = |session: &Session| {
        query.tenant.as_deref().is_none_or(|tenant| tenant == session.asked.tenant.as_str())
            && query.reference.as_deref().is_none_or(|reference| reference == &*session.asked.reference)
    };
    let mut page = SessionsPage { sessions: Vec::new(), next: None };
    for (number, session) in store.after(query.after).filter(|(_, session)| wanted(session)) {
        page.sessions.push(line(session, now, show_tokens));
        if page.sessions.len() == limit {
            page.next = Some(number);
            break;
        }
    }
    Json(page)
}

/// `DELETE /sim/sessions`: forgets all sessions and counts.
pub(super) async fn reset(State(simulator): State<Simulator>) -> StatusCode {
    simulator.store().clear();
    *simulator.stats() = Stats::default();
    let callbacks = simulator.shared.callbacks.counts();
    callbacks.sent.store(0, Ordering::Relaxed);
    callbacks.failed.store(0, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}

/// `GET /sim/stats`: what the calls came to.
pub(super) async fn stats(State(simulator): State<Simulator>) -> Json<Stats> {
    let mut stats = simulator.stats().clone();
    let callbacks = simulator.shared.callbacks.counts();
    stats.callbacks_sent = callbacks.sent.load(Ordering::Relaxed);
    stats.callbacks_failed = callbacks.failed.load(Ordering::Relaxed);
    Json(stats)
}

impl Simulator {
    async fn document(&self, tenant: &TenantId, parts: &Parts) -> Result<Response, Refusal> {
        self.authorize(tenant, &parts.headers)?;
        match self.shared.documents.of(tenant).await? {
            Some(document) => Ok(json(document.bytes.clone())),
            None => Err(refusal(StatusCode::NOT_FOUND, "the tenant has no preferences")),
        }
    }

    pub(super) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json(bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], bytes).into_response()
}

fn line(session: &Session, now: Timestamp, show_token: bool) -> SessionLine {
    let asked = &session.asked;
    SessionLine {
        tenant: asked.tenant.to_string(),
        reference: asked.reference.to_string(),
        customer: asked.customer.to_string(),
        event: asked.trigger.name(),
        amount: asked.amount.as_deref().map(str::to_owned),
        event_count: asked.frequency.map(|(count, _)| count),
        event_window_minutes: asked.frequency.map(|(_, minutes)| minutes),
        created_at: session.created_at.to_string(),
        status: session.status(now),
        token_fingerprint: session.token.fingerprint().to_string(),
        token: show_token.then(|| session.token.text()),
    }
}

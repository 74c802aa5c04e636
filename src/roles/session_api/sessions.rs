//! Making sessions.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use rand::Rng as _;

use super::Simulator;
use super::answers::{Refusal, body, refusal, tenant_of};
use super::callback;
use super::decision::{Verdict, decide};
use super::store::{NewSession, Token};
use crate::domain::ids::TenantId;
use crate::domain::preferences::Preferences;
use crate::domain::trigger::Trigger;
use crate::wire::faults::{Counts, Endpoint};
use crate::wire::session_answers::{Links, SessionAnswer};
use crate::wire::session_api::{RequestedEvent, SessionRequest, decode_request};

const MAX_BODY: usize = 65_536;

/// `POST /api/v1/kyc/face/session`.
pub(super) async fn create(State(simulator): State<Simulator>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let tenant = match tenant_of(&parts.headers) {
        Ok(tenant) => tenant,
        Err(refused) => {
            simulator.count(None, |counts| {
                counts.calls += 1;
                counts.refused += 1;
            });
            return refused.into_response();
        }
    };
    let met = simulator.faults().draw(&tenant, Endpoint::Session);
    simulator.count(Some(&tenant), |counts| {
        counts.calls += 1;
        counts.faults += u64::from(!met.is_nothing());
    });
    let work = async { simulator.make(&tenant, &parts, body).await.into_response() };
    simulator.under(met, &parts.extensions, work).await
}

impl Simulator {
    async fn make(&self, tenant: &TenantId, parts: &Parts, content: Body) -> Result<Json<SessionAnswer>, Refusal> {
        let answer = self.answer(tenant, parts, content).await;
        self.count(Some(tenant), |counts| match &answer {
            Ok(answer) if answer.is_required => counts.created += 1,
            Ok(_) => counts.not_required += 1,
            Err(refused) if refused.status == StatusCode::CONFLICT => counts.conflicts += 1,
            Err(_) => counts.refused += 1,
        });
        answer.map(Json)
    }

    async fn answer(&self, tenant: &TenantId, parts: &Parts, content: Body) -> Result<SessionAnswer, Refusal> {
        self.authorize(tenant, &parts.headers)?;
        let request = decode_request(&body(content, MAX_BODY).await?)?;
        if request.callback_url.as_deref().is_some_and(|url| !callback::is_allowed(url)) {
            return Err(refusal(StatusCode::BAD_REQUEST, "callback_url must be https, or http to this machine"));
        }
        if self.store().has_reference(tenant, &request.reference) {
            return Err(conflict());
        }
        let document = self.shared.documents.of(tenant).await?;
        let off = Preferences::OFF;
        let preferences = document.as_ref().map_or(&off, |document| &document.preferences);
        match decide(&request, preferences, self.shared.no_prior_kyc.as_deref()) {
            Verdict::Required(trigger) => self.keep(tenant, request, trigger),
            Verdict::NotRequired(reason) => Ok(SessionAnswer {
                reference: request.reference,
                token: None,
                is_required: false,
                reason: reason.to_owned(),
                links: None,
            }),
        }
    }

    fn keep(&self, tenant: &TenantId, request: SessionRequest, trigger: Trigger) -> Result<SessionAnswer, Refusal> {
        let mut token = Token([0; 24]);
        rand::rng().fill_bytes(&mut token.0);
        let (amount, frequency) = match request.event {
            RequestedEvent::Amount { text, .. } => (Some(text.into_boxed_str()), None),
            RequestedEvent::Frequency { count, window_minutes, .. } => (None, Some((count, window_minutes))),
            RequestedEvent::Plain(_) | RequestedEvent::Unknown => (None, None),
        };
        let asked = NewSession {
            tenant: tenant.clone(),
            reference: request.reference.as_str().into(),
            customer: request.customer,
            trigger,
            amount,
            frequency,
            callback_url: request.callback_url.map(String::into_boxed_str),
        };
        self.store().create(asked, token, self.now()).map_err(|_| conflict())?;
        let token = token.text();
        Ok(SessionAnswer {
            reference: request.reference,
            is_required: true,
            reason: String::new(),
            links: Some(Links { mobile: format!("{}{token}", self.shared.hand_off_url) }),
            token: Some(token),
        })
    }

    fn count(&self, tenant: Option<&TenantId>, change: impl Fn(&mut Counts)) {
        /// Tenants beyond these count in the total only.
        const MAX_TENANTS: usize = 10_000;
        let mut stats = self.stats();
        change(&mut stats.total);
        let Some(tenant) = tenant else { return };
        if let Some(counts) = stats.tenants.get_mut(tenant.as_str()) {
            change(counts);
        } else if stats.tenants.len() < MAX_TENANTS {
            change(stats.tenants.entry(tenant.to_string()).or_default());
        }
    }
}

fn conflict() -> Refusal {
    refusal(StatusCode::CONFLICT, "a session with this reference exists already")
}

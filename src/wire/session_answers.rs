//! The session API from its own side: what its simulator answers, and sends as callbacks.

use serde::Serialize;

/// The answer to a request to make a session.
#[derive(Debug, Clone, Serialize)]
pub struct SessionAnswer {
    pub reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub is_required: bool,
    /// Why not, for people; empty when verification is required.
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<Links>,
}

/// Where the customer goes on, on a phone.
#[derive(Debug, Clone, Serialize)]
pub struct Links {
    pub mobile: String,
}

/// What every error answers.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorAnswer {
    pub message: String,
}

/// The state of a session, for whoever holds its token.
#[derive(Debug, Clone, Serialize)]
pub struct StateAnswer {
    pub reference: String,
    pub status: &'static str,
    pub mobile_connected: bool,
    pub is_submitted: bool,
    pub token_expires_at: String,
}

/// What a submission answers and the callback carries.
#[derive(Debug, Clone, Serialize)]
pub struct Callback {
    pub event: &'static str,
    pub reference: String,
    pub resource_id: String,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declined_reason: Option<String>,
    pub data: CallbackData,
}

/// The retries, and, once they are exhausted, what the tenant's app is to do.
#[derive(Debug, Clone, Serialize)]
pub struct CallbackData {
    pub retries_remaining: u32,
    pub retry_limit_exceeded: bool,
    #[serde(flatten)]
    pub reactions: Option<CallbackReactions>,
}

/// What the tenant's app is to do with a customer who exhausted the retries.
#[derive(Debug, Clone, Serialize)]
pub struct CallbackReactions {
    pub trigger_alert: bool,
    pub enforce_logout: bool,
    pub freeze_account: bool,
    pub block: bool,
    pub freeze_duration_minutes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_id: Option<String>,
}

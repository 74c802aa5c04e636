//! The closed lists of endings: of an event, and of a command.

use super::command::Command;
use super::ids::{CommandId, CustomerId, TenantId};
use super::time::Timestamp;
use super::trigger::Trigger;

/// Why an event or a command cannot be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectCode {
    TooLarge,
    InvalidJson,
    MissingField,
    InvalidField,
    UnknownCurrency,
    TimestampInFuture,
    PreferencesUnavailable,
    /// The store was away for longer than the role waits for it.
    StoreUnavailable,
    /// A command that the service refuses for good.
    Rejected,
    /// A command that could not be delivered in time.
    Expired,
}

impl RejectCode {
    pub const ALL: &'static [Self] = &[
        Self::TooLarge,
        Self::InvalidJson,
        Self::MissingField,
        Self::InvalidField,
        Self::UnknownCurrency,
        Self::TimestampInFuture,
        Self::PreferencesUnavailable,
        Self::StoreUnavailable,
        Self::Rejected,
        Self::Expired,
    ];

    /// Whether it depends on what the clock, the preferences or the store said at the time: the same record may fare
    /// otherwise later.
    pub fn is_by_the_clock(self) -> bool {
        match self {
            Self::TimestampInFuture | Self::PreferencesUnavailable | Self::StoreUnavailable => true,
            Self::TooLarge
            | Self::InvalidJson
            | Self::MissingField
            | Self::InvalidField
            | Self::UnknownCurrency
            | Self::Rejected
            | Self::Expired => false,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::InvalidJson => "invalid_json",
            Self::MissingField => "missing_field",
            Self::InvalidField => "invalid_field",
            Self::UnknownCurrency => "unknown_currency",
            Self::TimestampInFuture => "timestamp_in_future",
            Self::PreferencesUnavailable => "preferences_unavailable",
            Self::StoreUnavailable => "store_unavailable",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// A record that cannot be processed: its code, and a sentence that names the field and the rule but never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub code: RejectCode,
    pub error: String,
}

/// The one final ending of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub command: CommandId,
    pub tenant: TenantId,
    pub customer: CustomerId,
    pub trigger: Trigger,
    /// The reference that worked, or the last one tried.
    pub reference: String,
    pub ending: Ending,
    /// Calls made for this command.
    pub attempts: u32,
    pub completed_at: Timestamp,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    SessionCreated(Session),
    NotRequired {
        reason: String,
    },
    /// The reference has a session that is not ours.
    AlreadyExists,
    Rejected {
        http_status: u16,
        reason: String,
    },
    Expired {
        http_status: Option<u16>,
        reason: String,
    },
}

/// A session that the service made. Its token is a secret: whoever holds it can act in the session.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub token: String,
    pub token_expires_at: Timestamp,
    /// The hand-off links as the service gave them, by name.
    pub links: Vec<(String, String)>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("token_expires_at", &self.token_expires_at).finish_non_exhaustive()
    }
}

impl Ending {
    pub const STATUSES: [&'static str; 5] =
        ["session_created", "not_required", "already_exists", "rejected", "expired"];

    pub fn status(&self) -> &'static str {
        match self {
            Self::SessionCreated(_) => "session_created",
            Self::NotRequired { .. } => "not_required",
            Self::AlreadyExists => "already_exists",
            Self::Rejected { .. } => "rejected",
            Self::Expired { .. } => "expired",
        }
    }

    /// Whether the command goes to the dead letters as well, and under which code.
    pub fn dead_letter(&self) -> Option<RejectCode> {
        match self {
            Self::Rejected { .. } => Some(RejectCode::Rejected),
            Self::Expired { .. } => Some(RejectCode::Expired),
            Self::SessionCreated(_) | Self::NotRequired { .. } | Self::AlreadyExists => None,
        }
    }
}

impl Outcome {
    pub fn new(command: &Command, reference: String, ending: Ending, attempts: u32, completed_at: Timestamp) -> Self {
        Self {
            command: command.id,
            tenant: command.tenant.clone(),
            customer: command.customer.clone(),
            trigger: command.trigger,
            reference,
            ending,
            attempts,
            completed_at,
        }
    }
}

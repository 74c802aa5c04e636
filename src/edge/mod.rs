//! WAITS. One file per outside thing: its trait, its real form, its error. No rule and no threshold lives here.

pub mod claims;
pub mod clock;
pub mod controls;
pub mod credentials;
pub mod files;
pub mod forget;
pub mod http_client;
pub mod kafka;
pub mod marks;
pub mod memory;
pub mod outcomes;
pub mod peek;
pub mod preferences;
pub mod prefetch;
pub mod quotas;
pub mod recording;
pub mod redis;
pub mod session_list;
pub mod sessions;
pub mod tls;
pub mod windows;

/// What a store's windows and claims are for. Each has its own, so that what is only tried out changes nothing that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What commands follow from.
    Live,
    /// Triggers in shadow.
    Shadow,
    /// Preferences that are tried out beside those in force.
    Candidate,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Live, Self::Shadow, Self::Candidate];
}

/// A store that keeps its scopes apart.
pub trait Scoped {
    /// The same store, for another scope.
    #[must_use]
    fn scoped(&self, scope: Scope) -> Self;

    /// The same store over a way of its own, so that long calls of the one do not hold up short ones of the other.
    #[must_use]
    fn beside(&self) -> Self;
}

/// Why a store did not answer. The same call may be made again: every effect here can be repeated without harm.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is away, slow, loading, failing over, or out of memory: waiting mends it.
    #[error("{action}: the store is not available")]
    Unavailable { action: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    /// The store holds something that is not ours under one of our keys, or refuses our credentials: a person mends it.
    /// Waiting is all that a role can do, loudly.
    #[error("{action}: {reason}")]
    Broken { action: &'static str, reason: String },
    /// The store answers and has lost what it kept: it is to be filled again first.
    #[error("{action}: the store was found empty")]
    Lost { action: &'static str },
}

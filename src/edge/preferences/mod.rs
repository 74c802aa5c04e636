//! A tenant's preferences: where they are read, and the copies that look-ups are answered from.
//!
//! In reading order: what a look-up is told (here), [`source`] and [`http`] (where documents come from), `state` (what is
//! known of one tenant, without I/O), `rate` (how often a source is asked), `near` (what was looked up a moment ago), [`cache`]
//! (one read at a time for each tenant).

pub mod cache;
pub mod http;
mod near;
mod outage;
mod rate;
pub mod source;
mod state;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use cache::PreferencesCache;
pub use http::{CredentialAnswer, CredentialStore, HttpPreferences, HttpSettings, InvalidHttpSettings};
pub use source::{DirectoryPreferences, Fetched, FixedPreferences, PreferencesSource, document_path};

use crate::domain::ids::TenantId;
use crate::domain::preferences::Preferences;

/// Bytes that a remembered tenant takes, with all that leads to its copy: a hundred thousand take 131 MiB.
pub const TENANT_MEMORY: usize = 1_400;

/// What is known of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    Known(Arc<Preferences>),
    /// The tenant has no preferences, or no credential to ask for them with.
    NoTenant,
    /// Waiting mends nothing: the tenant's events go to the dead letters as `preferences_unavailable`. The reason names
    /// fields and rules, never values.
    Unusable {
        reason: String,
    },
}

/// Nothing can be said of the tenant now: the caller holds what it has and asks again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the preferences of tenant {tenant} cannot be read: {reason}")]
pub struct Unavailable {
    pub tenant: TenantId,
    pub reason: String,
    /// When the source first failed to answer for this tenant, with no answer since; or for any, with none for any since.
    pub since: Instant,
}

/// How long copies count, and how hard a source may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long an answer counts from the moment it was asked for.
    pub ttl: Duration,
    /// How long a copy, or that a tenant has none, may be served from the moment it was asked for, while the source gives
    /// nothing better.
    pub max_stale: Duration,
    /// How long a tenant's own credential must have been refused before its events are given up.
    pub refused_for: Duration,
    /// Look-ups a second for tenants that are known, and as many again for those that are not; also how many may be made at
    /// once after a quiet second.
    pub lookups_per_second: NonZeroU32,
    /// How many tenants are remembered.
    pub max_tenants: u64,
}

/// What is told of look-ups, for metrics. Each method does nothing unless it is overridden.
pub trait Observer: Send + Sync + 'static {
    /// Some look-ups were answered from memory.
    fn hits(&self, _times: u64) {}
    /// A look-up had to wait for the source, or was refused an answer.
    fn miss(&self) {}
    /// The source answered: `document`, `not_found`, `unreadable`, `refused`, `no_credential` or `away`.
    fn refresh(&self, _result: &'static str) {}
    /// A look-up was answered with what the source could not confirm in time.
    fn stale_served(&self) {}
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// One remembered tenant, for pages and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    pub tenant: TenantId,
    /// Since its copy was asked for; without a copy, since its answer was, or since it began to fail.
    pub age: Duration,
    /// The `updated_at` of the copy.
    pub updated_at: Option<String>,
    /// `known`, `expired`, `stale`, `no_tenant`, `unusable` or `unavailable`.
    pub state: &'static str,
}

/// The value behind a lock, also after a panic elsewhere: every holder leaves it whole.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

//! How many customers of a tenant were asked in a minute, counted by all replicas together.

use std::future::Future;
use std::time::Duration;

use super::StoreError;
use crate::domain::ids::TenantId;

/// A count is kept for so long after its first place was taken: its minute, and clocks that differ.
pub const KEPT_FOR: Duration = Duration::from_secs(120);

/// So many places of one tenant and minute are taken, or given back where the number is negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    pub tenant: TenantId,
    /// Minutes since 1970, by the wall clock.
    pub minute: i64,
    pub number: i64,
}

/// Where places are counted.
pub trait Quotas: Send + Sync {
    /// Counts and gives back each count as it is then, in the order of the question. One round trip. What was asked
    /// without an answer may have been counted: a count may be too high, and never too low.
    fn count(&self, places: &[Places]) -> impl Future<Output = Result<Vec<i64>, StoreError>> + Send;
}

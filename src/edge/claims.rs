//! The claims: taken atomically, kept by event id.

use std::future::Future;
use std::time::Duration;

use super::StoreError;
use crate::domain::claim::{ClaimAnswer, ClaimRequest};
use crate::domain::trigger::Trigger;

/// One event's question to the claims of its customer and trigger.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The hash of tenant and customer, by which their claims are known.
    pub key: u128,
    pub trigger: Trigger,
    pub request: ClaimRequest,
    /// How long the claims must outlive this call.
    pub ttl: Duration,
}

/// Where claims are kept.
pub trait Claims: Send + Sync {
    /// Settles the requests in their order, each atomically, by the rule of [`crate::domain::claim::settle`]. One round
    /// trip (on a cluster one for each bucket present, side by side). Asking twice does no harm: an event that took its
    /// claim holds it.
    fn settle(&self, asks: &[Ask]) -> impl Future<Output = Result<Vec<ClaimAnswer>, StoreError>> + Send;
}

//! The windows of the customers: logs that only grow, one per customer, read back whole.

use std::future::Future;
use std::time::Duration;

use super::StoreError;
use crate::domain::ids::{CustomerId, TenantId};
use crate::domain::window::Bet;

/// This batch's bets of one customer, in order of arrival.
#[derive(Debug, Clone)]
pub struct CustomerBets {
    pub tenant: TenantId,
    pub customer: CustomerId,
    pub bets: Vec<Bet>,
    /// How long the log must outlive this call.
    pub ttl: Duration,
}

/// A log that holds much that is dead, and what is to stay of it.
#[derive(Debug, Clone)]
pub struct Compaction {
    pub tenant: TenantId,
    pub customer: CustomerId,
    /// The log as it was read. Only a log that still begins exactly so is replaced; what was appended since stays.
    pub read: Vec<Bet>,
    pub kept: Vec<Bet>,
    pub ttl: Duration,
}

/// Where windows are kept.
pub trait Windows: Send + Sync {
    /// Appends each customer's bets to its log and reads the log back: one round trip for the whole batch (on a
    /// cluster one for each bucket present, side by side), and one more for logs to which somebody else has written
    /// since they were known. Compactions go along in the first round trip, before the appends; one whose log has changed its beginning does nothing. The answer has one log a customer, in the order
    /// of the question, each in order of arrival. A customer appears at most once in `batch`.
    ///
    /// Appending twice does no harm: of two records with one id and arrival the first counts.
    fn record(
        &self,
        batch: &[CustomerBets],
        compactions: &[Compaction],
    ) -> impl Future<Output = Result<Vec<Vec<Bet>>, StoreError>> + Send;
}

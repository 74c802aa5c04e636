//! Looking at what the stores hold without touching it.

use std::future::Future;

use super::StoreError;
use crate::domain::claim::Claim;
use crate::domain::ids::{CustomerId, TenantId};
use crate::domain::trigger::Trigger;
use crate::domain::window::Bet;

/// Stores that can be read and stay as they are: nothing is written, and nothing lives longer for having been looked at.
pub trait Peek: Send + Sync {
    /// The customer's log in order of arrival; empty where none is kept.
    fn peek_window(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
    ) -> impl Future<Output = Result<Vec<Bet>, StoreError>> + Send;

    /// The claims of a customer and trigger in the order in which they were taken, which is that of their times; none
    /// where none are kept.
    fn peek_claims(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
        trigger: Trigger,
    ) -> impl Future<Output = Result<Vec<Claim>, StoreError>> + Send;
}

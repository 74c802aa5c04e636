//! Erasing what is kept of one customer.

use std::future::Future;

use super::StoreError;
use crate::domain::ids::{CustomerId, TenantId};

/// How many entries there are of a customer, in all scopes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Logs of bets.
    pub windows: u64,
    /// Claims, one entry for each trigger that fired.
    pub claims: u64,
}

/// Stores that can be rid of a customer.
pub trait Forget: Send + Sync {
    /// What is kept of the customer. Changes nothing.
    fn kept_of(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
    ) -> impl Future<Output = Result<Kept, StoreError>> + Send;

    /// Erases the customer's windows and claims, in every scope and whatever scope this store is for, and tells how
    /// many there were. One round trip.
    fn forget(&self, tenant: &TenantId, customer: &CustomerId)
    -> impl Future<Output = Result<Kept, StoreError>> + Send;
}

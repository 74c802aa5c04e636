//! What dispatch must remember across crashes and replicas: outcomes that are fixed, attempts that were begun, and whose
//! preferences are doubted.

use std::future::Future;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::StoreError;
use crate::domain::ids::{CommandId, TenantId};
use crate::domain::time::Timestamp;

/// For so long outcomes and attempts are remembered.
pub const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// A doubt older than this, counted from the latest, is forgotten.
pub const DOUBTS_KEPT: Duration = Duration::from_secs(3_600);
/// So many tenants at most are doubted at a time; the latest stay.
pub const MAX_DOUBTS: usize = 1_000;

/// Where outcomes are fixed before they are published. Records are opaque bytes (they hold session tokens).
pub trait Outcomes: Send + Sync {
    /// The records fixed for these commands, in the order of the question. One round trip.
    fn fixed(&self, commands: &[CommandId]) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>, StoreError>> + Send;

    /// Fixes a record unless one is fixed already, for an hour, and gives back the one that stands.
    fn fix(&self, command: CommandId, record: &[u8]) -> impl Future<Output = Result<Vec<u8>, StoreError>> + Send;

    /// Fixes a record of each of these commands as [`fix`](Self::fix) does, and gives back those that stand, in the order
    /// of the question. Where it fails some of them may be fixed.
    fn fix_all(
        &self,
        records: &[(CommandId, Vec<u8>)],
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, StoreError>> + Send {
        try_join_all(records.iter().map(|(command, record)| self.fix(*command, record)))
    }

    /// Notes that a call for the command under this number of its reference is about to be made, for an hour. Tells
    /// whether one was on record already. `mark` is this attempt's own: noting it twice is noting it once.
    fn begin_attempt(
        &self,
        command: CommandId,
        reference_number: u32,
        mark: u64,
    ) -> impl Future<Output = Result<EarlierAttempt, StoreError>> + Send;

    /// Forgets an attempt that certainly made no session.
    fn forget_attempt(
        &self,
        command: CommandId,
        reference_number: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Notes that the service contradicts our copy of this tenant's preferences since `at` (wall clock).
    fn doubt(&self, tenant: &TenantId, at: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Tenants doubted since `after` (inclusive), each with the time of its latest doubt. At most 1,000.
    fn doubts(&self, after: Timestamp) -> impl Future<Output = Result<Vec<(TenantId, Timestamp)>, StoreError>> + Send;
}

/// Whether an attempt under the same reference was begun before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierAttempt {
    None,
    OnRecord,
}

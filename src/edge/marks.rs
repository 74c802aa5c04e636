//! Marks that stand in a store beside what is kept there, by which a store is known that lost it.
//!
//! A store that was restarted empty or flushed answers as well as before, and counts 0. So whoever fills it leaves a mark, and
//! every call reads the mark after everything else: while it stands, what was read before it was there.

use std::future::Future;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::StoreError;
use crate::domain::trigger::Trigger;

/// What is filled again as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Windows and claims, from activity and commands.
    Decisions,
    /// Outcomes that are fixed, from outcomes.
    Outcomes,
}

/// From one filling to the next loss. Every filling makes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Era(pub NonZeroU64);

/// The era that a process believes its store to be in. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<AtomicU64>);

impl Watch {
    /// `None`: not known, or over.
    pub fn era(&self) -> Option<Era> {
        NonZeroU64::new(self.0.load(Ordering::Acquire)).map(Era)
    }

    pub fn begin(&self, era: Era) {
        self.0.store(era.0.get(), Ordering::Release);
    }

    /// Takes note that this era is over.
    pub fn end(&self, era: Era) {
        let _ = self.0.compare_exchange(era.0.get(), 0, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// How the marks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// All are there, of one era.
    Whole(Era),
    /// Some or all are gone, or somebody fills the store.
    Lost,
}

/// A mark outlives the longest time in which no replica runs.
pub const KEPT_FOR: Duration = Duration::from_secs(14 * 86_400);
/// Who fills a store must say so again within this time, or another may begin.
pub const FILLING_FOR: Duration = Duration::from_secs(30);

/// A store that can be seen to have lost what it kept. A cluster has a mark in each bucket, a single server one.
pub trait Marks: Send + Sync {
    /// The same store, whose calls fail with [`StoreError::Lost`] unless its marks are of the era that `watch` names.
    #[must_use]
    fn watched(&self, part: Part, watch: &Watch) -> Self;

    fn marked(&self, part: Part) -> impl Future<Output = Result<Marked, StoreError>> + Send;

    /// Marks the store as being filled, under a number of one's own. `false`: another does so at the moment.
    fn begin_filling(&self, part: Part, number: Era) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Goes on with it. `false`: it was lost again meanwhile, or another has begun.
    fn go_on_filling(&self, part: Part, number: Era) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends it: from now on the store is whole, in the era of that number. `false` as before.
    fn end_filling(&self, part: Part, number: Era) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Erases the windows of customers, by their hashes, in this store's scope. A call that met the loss has written before it
    /// noticed, and what it wrote would stand before what is filled in; it is made again later.
    fn clear_windows(&self, customers: &[u128]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The same for their claims of a trigger.
    fn clear_claims(&self, customers: &[(u128, Trigger)]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives the marks their whole time again.
    fn prolong(&self, part: Part) -> impl Future<Output = Result<(), StoreError>> + Send;
}

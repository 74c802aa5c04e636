//! The windows of the customers: logs that only grow, one per customer, read back whole.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use smallvec::SmallVec;

use super::StoreError;
use crate::domain::ids::{CustomerId, TenantId};
use crate::domain::window::Bet;
use crate::wire::window::customer_key;

/// This batch's bets of one customer.
#[derive(Debug, Clone)]
pub struct CustomerBets {
    /// The hash of tenant and customer, by which the log is known.
    pub key: u128,
    /// In order of arrival; hardly ever more than one.
    pub bets: SmallVec<[Bet; 1]>,
    /// How long the log must outlive this call.
    pub ttl: Duration,
}

impl CustomerBets {
    pub fn new(tenant: &TenantId, customer: &CustomerId, bets: impl IntoIterator<Item = Bet>, ttl: Duration) -> Self {
        Self { key: customer_key(tenant, customer), bets: bets.into_iter().collect(), ttl }
    }
}

/// The logs of a batch's customers, each in order of arrival, in a few pieces of memory.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    pieces: Vec<Vec<Bet>>,
    /// Of each log its piece, and where it lies there.
    lie: Vec<(usize, Range<usize>)>,
}

impl Logs {
    pub fn with_room(logs: usize, bets: usize) -> Self {
        Self { pieces: vec![Vec::with_capacity(bets)], lie: Vec::with_capacity(logs) }
    }

    /// Makes room for so many bets more. What is there already stays where it lies.
    pub fn make_room(&mut self, bets: usize) {
        if self.pieces.last().is_none_or(|last| last.capacity() - last.len() < bets) {
            self.pieces.push(Vec::with_capacity(bets));
        }
    }

    pub fn push(&mut self, log: impl IntoIterator<Item = Bet>) {
        let lies = self.add(log);
        self.lie.push(lies);
    }

    /// Has this log in a place instead of the one that was put there before.
    pub fn replace(&mut self, place: usize, log: impl IntoIterator<Item = Bet>) {
        self.lie[place] = self.add(log);
    }

    fn add(&mut self, log: impl IntoIterator<Item = Bet>) -> (usize, Range<usize>) {
        self.make_room(0);
        let piece = self.pieces.len() - 1;
        let bets = &mut self.pieces[piece];
        let begin = bets.len();
        bets.extend(log);
        (piece, begin..bets.len())
    }

    /// Puts other logs behind these.
    pub fn append(&mut self, others: &Self) {
        others.iter().for_each(|log| self.push(log.iter().copied()));
    }

    pub fn len(&self) -> usize {
        self.lie.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lie.is_empty()
    }

    pub fn get(&self, place: usize) -> Option<&[Bet]> {
        let (piece, lies) = self.lie.get(place)?;
        self.pieces.get(*piece)?.get(lies.clone())
    }

    pub fn iter(&self) -> impl Iterator<Item = &[Bet]> {
        (0..self.len()).filter_map(|place| self.get(place))
    }
}

impl PartialEq for Logs {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// A log that holds much that is dead, and what is to stay of it.
#[derive(Debug, Clone)]
pub struct Compaction {
    /// The hash by which the log is known.
    pub key: u128,
    /// The log as it was read. Only a log that still begins exactly so is replaced; what was appended since stays.
    pub read: Vec<Bet>,
    pub kept: Vec<Bet>,
    pub ttl: Duration,
}

/// Where windows are kept.
pub trait Windows: Send + Sync {
    /// Appends each customer's bets to its log and reads the log back: one round trip for the whole batch (on a
    /// cluster one for each bucket present, side by side), and one more for logs to which somebody else has written
    /// since they were known. Compactions go along in the first round trip, before the appends; one whose log has changed
    /// its beginning does nothing. The answer has one log a customer, in the order of the question. A customer appears at
    /// most once in `batch`.
    ///
    /// Appending twice does no harm: of two records with one id and arrival the first counts.
    fn record(
        &self,
        batch: &[CustomerBets],
        compactions: &[Compaction],
    ) -> impl Future<Output = Result<Logs, StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn log(bets: std::ops::Range<u32>) -> Vec<Bet> {
        bets.map(|n| Bet { at: Timestamp(0), id: u64::from(n), arrival: n }).collect()
    }

    #[test]
    fn logs_are_what_was_put_there_last_wherever_they_lie() {
        let mut logs = Logs::with_room(3, 2);
        [log(0..2), log(0..0), log(2..5)].into_iter().for_each(|one| logs.push(one));
        logs.make_room(40);
        logs.replace(1, log(5..45));
        logs.replace(2, log(9..10));
        let mut others = Logs::default();
        others.push(log(7..8));
        logs.append(&others);
        assert_eq!(
            logs.iter().map(<[Bet]>::to_vec).collect::<Vec<_>>(),
            [log(0..2), log(5..45), log(9..10), log(7..8)]
        );
        assert_eq!((logs.len(), logs.get(1), logs.get(4)), (4, Some(&log(5..45)[..]), None));
        let mut same = Logs::default();
        [log(0..2), log(5..45), log(9..10), log(7..8)].into_iter().for_each(|one| same.push(one));
        assert_eq!(logs, same);
    }
}

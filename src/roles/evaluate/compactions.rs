//! Logs to be rewritten, and when that is safe: once the batch that found them is committed, so that no redelivery of its
//! records can ask for what was dropped. (A customer whose bets come through several partitions may have an uncommitted bet
//! of another one in the log; it is dropped only where it is beyond the window's bounds as well.)

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::hashed::HashedAlready;
use crate::edge::kafka::consumer::{Progress, Settled};
use crate::edge::kafka::records::Position;
use crate::edge::windows::Compaction;

/// More customers than this do not wait to be compacted; their logs come up again with their next bet.
const MOST: usize = 2_048;
/// So many go along with one batch, for they cost the store far more than an append.
const AT_ONCE: usize = 128;

#[derive(Default)]
pub(super) struct Compactions {
    /// What each batch found, and the last record of each of its partitions.
    waiting: VecDeque<(Vec<Position>, Vec<Compaction>)>,
    /// Those who wait, and those whose log was rewritten last: a batch that was read before that saw the old log.
    customers: HashSet<u128, HashedAlready>,
    rewritten: Vec<u128>,
}

impl Compactions {
    /// Whether it takes a customer's in: it has room, and none of the customer's is waiting or was just carried out.
    pub(super) fn takes(&self, customer: u128) -> bool {
        self.customers.len() < MOST && !self.customers.contains(&customer)
    }

    /// Takes in what a batch found, to be carried out when the offsets of `behind` are committed. An earlier one of the
    /// same customer is left: a busy customer would otherwise never get its turn.
    pub(super) fn add(&mut self, found: Vec<Compaction>, behind: Vec<Position>) {
        let mut taken = Vec::new();
        for compaction in found {
            if self.takes(compaction.key) {
                self.customers.insert(compaction.key);
                taken.push(compaction);
            }
        }
        if !taken.is_empty() {
            self.waiting.push_back((behind, taken));
        }
    }

    /// Takes out some that can be carried out now, and drops what another owner of a partition has to look after.
    pub(super) fn due(&mut self, progress: &Progress) -> Vec<Compaction> {
        for customer in self.rewritten.drain(..) {
            self.customers.remove(&customer);
        }
        let mut due = Vec::new();
        while due.len() < AT_ONCE
            && let Some((behind, found)) = self.waiting.front_mut()
        {
            match settled(behind, progress) {
                Settled::NotYet => break,
                Settled::Gone => {
                    for compaction in found.drain(..) {
                        self.customers.remove(&compaction.key);
                    }
                }
                Settled::Committed => due.extend(found.drain(..found.len().min(AT_ONCE - due.len()))),
            }
            if found.is_empty() {
                self.waiting.pop_front();
            }
        }
        self.rewritten.extend(due.iter().map(|compaction| compaction.key));
        due
    }
}

pub(super) fn lock(compactions: &Mutex<Compactions>) -> MutexGuard<'_, Compactions> {
    compactions.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a batch stands as a whole.
fn settled(behind: &[Position], progress: &Progress) -> Settled {
    let mut whole = Settled::Committed;
    for position in behind {
        match progress.settled(position) {
            Settled::Gone => return Settled::Gone,
            Settled::NotYet => whole = Settled::NotYet,
            Settled::Committed => {}
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: u128) -> Compaction {
        Compaction { key, read: Vec::new(), kept: Vec::new(), ttl: std::time::Duration::from_secs(60) }
    }

    #[test]
    fn a_customer_whose_log_waits_to_be_compacted_is_not_taken_in_again() {
        let mut compactions = Compactions::default();
        compactions.add(vec![of(1), of(2), of(1)], Vec::new());
        assert!(!compactions.takes(1) && !compactions.takes(2) && compactions.takes(3));
        let waiting: usize = compactions.waiting.iter().map(|(_, waiting)| waiting.len()).sum();
        assert_eq!(waiting, 2);
        compactions.add((3..).map(of).take(MOST).collect(), Vec::new());
        assert!(!compactions.takes(u128::MAX), "there is no more room");
    }
}

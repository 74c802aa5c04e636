//! A batch's logs on their way: copies with what was appended behind them, and those that are to be read.

use redis::Value;

use super::super::failure::{Failure, not_understood};
use super::super::keys::Key;
use super::super::pipelines::{Pipelines, read_places};
use super::super::replies::bytes_or_nil;
use super::copies::Shelf;
use super::decoded;
use crate::domain::window::Bet;
use crate::edge::windows::CustomerBets;

/// One log for each customer of a batch; `None` is to be read.
pub(super) struct Grown(Vec<Option<Vec<u8>>>);

/// Which logs a pipeline reads.
pub(super) struct Reads {
    /// For each read of several keys their places among those wanted.
    of: Vec<Vec<usize>>,
    /// The places of those wanted in the batch.
    wanted: Vec<usize>,
}

impl Grown {
    /// Takes the copies off the shelf. Where nothing is appended no length comes back, and a copy is of no use.
    pub(super) fn of(batch: &[CustomerBets], keys: &[Key], shelf: &mut Shelf) -> Self {
        let known = |(bets, key): (&CustomerBets, &Key)| {
            let log = shelf.take(key.hash);
            (!bets.bets.is_empty() && !log.is_empty()).then_some(log)
        };
        Self(batch.iter().zip(keys).map(known).collect())
    }

    pub(super) fn append(&mut self, place: usize, records: &[u8]) {
        if let Some(log) = &mut self.0[place] {
            log.reserve_exact(records.len());
            log.extend_from_slice(records);
        }
    }

    /// Has those read that are not known; the answers' places begin at `first`.
    pub(super) fn read_unknown(&self, keys: &[Key], pipelines: &mut Pipelines, first: usize) -> Reads {
        let wanted: Vec<usize> = (0..self.0.len()).filter(|place| self.0[*place].is_none()).collect();
        let of =
            pipelines.add_reads(wanted.iter().map(|place| (keys[*place].bucket, keys[*place].name.as_str())), first);
        Reads { of, wanted }
    }

    /// Forgets those that are not as long as the answers to the appends say.
    pub(super) fn believe(&mut self, lengths: &[Value]) {
        for (log, length) in self.0.iter_mut().zip(lengths) {
            if log.as_ref().is_some_and(|log| *length != Value::Int(i64::try_from(log.len()).unwrap_or(i64::MAX))) {
                *log = None;
            }
        }
    }

    /// Takes in what was read.
    pub(super) fn take_in(&mut self, reads: &Reads, answers: Vec<Value>) -> Result<(), Failure> {
        for (place, log) in read_places(&reads.of, answers)? {
            let place = reads.wanted.get(place).ok_or_else(not_understood)?;
            self.0[*place] = Some(bytes_or_nil(log)?.unwrap_or_default());
        }
        Ok(())
    }

    pub(super) fn is_known(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }

    pub(super) fn bets(&self) -> Result<Vec<Vec<Bet>>, Failure> {
        self.0.iter().map(|log| log.as_deref().map_or_else(|| Ok(Vec::new()), decoded)).collect()
    }

    /// Leaves the copies on the shelf.
    pub(super) fn keep(self, keys: &[Key], shelf: &mut Shelf) {
        for (log, key) in self.0.into_iter().zip(keys) {
            shelf.put(key.hash, log.unwrap_or_default());
        }
    }
}

//! A batch's logs on their way: copies with what was appended behind them, and those that are to be read.

use redis::Value;

use super::super::failure::{Failure, not_understood};
use super::super::keys::Keys;
use super::super::pipelines::{Pipelines, read_places};
use super::super::replies::bytes_or_nil;
use super::copies::{Log, Shelf};
use super::decoded;
use super::expiries::Expiring;
use crate::edge::prefetch::bring_near;
use crate::edge::windows::{CustomerBets, Logs};
use crate::wire::window::BET_BYTES;

/// Memory comes near in pieces of so many bytes.
const LINE: usize = 64;

/// One log for each customer of a batch.
pub(super) struct Grown {
    /// As it is stored; `None` is to be read.
    logs: Vec<Option<Log>>,
    bets: Logs,
}

/// Which logs a pipeline reads.
pub(super) struct Reads {
    /// For each read of several keys their places among those wanted.
    of: Vec<Vec<usize>>,
    /// The places of those wanted in the batch.
    wanted: Vec<usize>,
}

impl Grown {
    /// Takes the copies off the shelf. Where nothing is appended no length comes back, and a copy is of no use; nor is one
    /// of a key that may have ended, and grown anew since.
    pub(super) fn of(batch: &[CustomerBets], expiring: &[Expiring], shelf: &mut Shelf) -> Self {
        shelf.bring_near(batch.iter().map(|bets| bets.key));
        let mut expiring = expiring.iter().peekable();
        let known = |(place, bets): (usize, &CustomerBets)| {
            let log = shelf.take(bets.key);
            let may_have_ended = expiring.next_if(|one| one.place == place).is_some();
            (!may_have_ended && !bets.bets.is_empty() && !log.is_empty()).then_some(log)
        };
        let logs: Vec<Option<Log>> = batch.iter().enumerate().map(known).collect();
        // They are appended to, and read.
        bring_near(
            logs.iter().flatten().flat_map(|log| log.bytes().iter().step_by(LINE).chain(log.bytes().last())).copied(),
        );
        Self { logs, bets: Logs::default() }
    }

    pub(super) fn append(&mut self, place: usize, records: &[u8]) {
        if let Some(log) = &mut self.logs[place] {
            log.append(records);
        }
    }

    /// Reads the bets of those that are known, as they stand if nobody else wrote there.
    pub(super) fn read_known(&mut self) -> Result<(), Failure> {
        let bets = self.logs.iter().flatten().map(|log| log.bytes().len() / BET_BYTES).sum();
        self.bets = Logs::with_room(self.logs.len(), bets);
        for log in &self.logs {
            self.bets.push(decoded(log.as_ref().map(Log::bytes).unwrap_or_default())?);
        }
        Ok(())
    }

    /// Has those read that are not known; the answers' places begin at `first`.
    pub(super) fn read_unknown(
        &self,
        batch: &[CustomerBets],
        keys: &Keys,
        pipelines: &mut Pipelines,
        first: usize,
    ) -> Reads {
        let wanted: Vec<usize> = (0..self.logs.len()).filter(|place| self.logs[*place].is_none()).collect();
        let key = |place: &usize| keys.window_of(batch[*place].key);
        let of = pipelines.add_reads(wanted.iter().map(key).map(|key| (key.bucket, key.name)), first);
        Reads { of, wanted }
    }

    /// Forgets those that are not as long as the answers to the appends say.
    pub(super) fn believe(&mut self, lengths: &[Value]) {
        let ours = |log: &Log| Value::Int(i64::try_from(log.bytes().len()).unwrap_or(i64::MAX));
        for (log, length) in self.logs.iter_mut().zip(lengths) {
            if log.as_ref().is_some_and(|log| *length != ours(log)) {
                *log = None;
            }
        }
    }

    /// Takes in what was read.
    pub(super) fn take_in(&mut self, reads: &Reads, answers: Vec<Value>) -> Result<(), Failure> {
        let read = read_places(&reads.of, answers)?.map(|(place, log)| {
            let place = reads.wanted.get(place).ok_or_else(not_understood)?;
            Ok((*place, bytes_or_nil(log)?.unwrap_or_default()))
        });
        let read: Vec<(usize, Vec<u8>)> = read.collect::<Result<_, Failure>>()?;
        self.bets.make_room(read.iter().map(|(_, log)| log.len() / BET_BYTES).sum());
        for (place, log) in read {
            self.bets.replace(place, decoded(&log)?);
            self.logs[place] = Some(log.into());
        }
        Ok(())
    }

    pub(super) fn is_known(&self) -> bool {
        self.logs.iter().all(Option::is_some)
    }

    /// Leaves the copies on the shelf.
    pub(super) fn keep(&mut self, batch: &[CustomerBets], shelf: &mut Shelf) {
        shelf.bring_near(batch.iter().map(|bets| bets.key));
        for (log, bets) in self.logs.drain(..).zip(batch) {
            shelf.put(bets.key, log.unwrap_or_default());
        }
    }

    pub(super) fn into_bets(self) -> Logs {
        self.bets
    }
}

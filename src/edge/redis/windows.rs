//! The windows: strings that only grow.
//!
//! A batch costs one `APPEND` a customer, and one `MGET` a bucket for the logs of which this process has no copy; the length
//! that `APPEND` answers tells whether a copy is true. A key's time to live is refreshed only when it is due, which this
//! process remembers; a key that came into being without one is seen by its length and given one before the call ends.

use std::time::Duration;

use futures_util::future::join;
use redis::Value;

use super::failure::Failure;
use super::keys::{WINDOW_REST, window_rest};
use super::pipelines::{Answer, Pipelines};
use super::protocol::Alike;
use super::replies::bytes_or_nil;
use super::scripts::COMPACT;
use super::{Operation, RedisStore, ttl_millis};
use crate::domain::window::Bet;
use crate::edge::StoreError;
use crate::edge::marks::Era;
use crate::edge::windows::{Compaction, CustomerBets, Logs, Windows};
use crate::wire::window::{BET_BYTES, bucket, decode_log, encode};

mod copies;
mod expiries;
mod grown;
mod neighbours;
pub(super) use copies::Copies;
pub(super) use expiries::Expiries;
use expiries::Expiring;
use grown::Grown;

/// Bytes that are remembered of windows at the most.
pub(super) const MEMORY: usize = copies::MEMORY + expiries::MEMORY;

/// Commands on customers' logs.
type WindowCommands = Alike<WINDOW_REST>;

const RECORD: Operation = Operation { name: "record", action: "record bets in their windows" };

impl Windows for RedisStore {
    async fn record(&self, batch: &[CustomerBets], compactions: &[Compaction]) -> Result<Logs, StoreError> {
        let era = self.era();
        let expiring = self.expiries.due(batch);
        let mut pipelines = self.pipelines_for(compactions.len() + batch.len() + expiring.len() + 2);
        self.add_compactions(&mut pipelines, compactions);
        let mut logs = Grown::of(batch, &expiring, &mut self.copies.of(era));
        self.add_bets(&mut pipelines, batch, &expiring, &mut logs);
        let reads = logs.read_unknown(batch, &self.keys, &mut pipelines, batch.len());
        // The bets are read while the server is at work.
        let (answers, known) = join(self.write(RECORD, pipelines), async { logs.read_known() }).await;
        let mut answers = answers?;
        let read = answers.split_off(batch.len());
        self.expiries.note(&expiring);
        let mut more = self.new_without_end(batch, &answers, &expiring);
        logs.believe(&answers);
        let broken = |failure: Failure| failure.into_store_error(RECORD.action);
        known.and_then(|()| logs.take_in(&reads, read)).map_err(broken)?;
        if !more.is_empty() || !logs.is_known() {
            let reads = logs.read_unknown(batch, &self.keys, &mut more, 0);
            let read = self.call(RECORD, more).await?;
            logs.take_in(&reads, read).map_err(broken)?;
        }
        if self.era() == era {
            logs.keep(batch, &mut self.copies.of(era));
        }
        Ok(logs.into_bets())
    }
}

impl RedisStore {
    /// The era that the store is believed to be in, where it is watched.
    fn era(&self) -> Option<Era> {
        self.watch.as_ref().and_then(|(_, watch)| watch.era())
    }

    fn add_compactions(&self, pipelines: &mut Pipelines, compactions: &[Compaction]) {
        for compaction in compactions.iter().filter(|compaction| !compaction.read.is_empty()) {
            let key = self.keys.window_of(compaction.key);
            let read = encoded(&compaction.read);
            let mut command = COMPACT.on(&key);
            command
                .arg(read.len())
                .arg(sha1_smol::Sha1::from(&read).digest().to_string())
                .arg(encoded(&compaction.kept))
                .arg(ttl_millis(longer(compaction.ttl)))
                .arg(BET_BYTES);
            pipelines.add(key.bucket, command, Answer::Checked);
            self.copies.of(self.era()).take(compaction.key);
        }
    }

    /// A connection cut between the two commands can leave a new log without a time to live. The batch is then recorded
    /// again, and that sets it.
    fn add_bets(&self, pipelines: &mut Pipelines, batch: &[CustomerBets], expiring: &[Expiring], logs: &mut Grown) {
        let (appends, ends) = (WindowCommands::new("APPEND", self.keys.windows_begin()), self.ends());
        let mut records = Vec::new();
        let mut expiring = expiring.iter().peekable();
        for (place, bets) in batch.iter().enumerate() {
            if !bets.bets.is_empty() {
                records.clear();
                bets.bets.iter().for_each(|bet| encode(bet, &mut records));
                logs.append(place, &records);
                let (bucket, rest) = (bucket(bets.key), window_rest(bets.key));
                pipelines.add_alike(bucket, &appends, &rest, &records, Answer::Wanted(place));
            }
            if expiring.next_if(|one| one.place == place).is_some() {
                add_end(pipelines, &ends, bets);
            }
        }
    }

    /// Commands that give windows a time to live.
    fn ends(&self) -> WindowCommands {
        WindowCommands::new("PEXPIRE", self.keys.windows_begin())
    }

    /// A log that is as long as what was appended to it is new: whoever deleted it took its time to live with it.
    fn new_without_end(&self, batch: &[CustomerBets], lengths: &[Value], expiring: &[Expiring]) -> Pipelines {
        let mut given = expiring.iter().peekable();
        let (mut pipelines, ends) = (self.pipelines(), self.ends());
        for (place, (bets, length)) in batch.iter().zip(lengths).enumerate() {
            let has_one = given.next_if(|one| one.place == place).is_some();
            let appended = bets.bets.len() * BET_BYTES;
            if !has_one && appended > 0 && *length == Value::Int(i64::try_from(appended).unwrap_or(i64::MAX)) {
                self.expiries.forget(bets.key);
                add_end(&mut pipelines, &ends, bets);
            }
        }
        pipelines
    }
}

fn add_end(pipelines: &mut Pipelines, ends: &WindowCommands, bets: &CustomerBets) {
    let ttl = ttl_millis(longer(bets.ttl)).to_string();
    pipelines.add_alike(bucket(bets.key), ends, &window_rest(bets.key), ttl.as_bytes(), Answer::Checked);
}

/// Longer than is needed, so that it need not be refreshed with every bet.
fn longer(ttl: Duration) -> Duration {
    ttl.saturating_add(ttl / 4)
}

fn encoded(bets: &[Bet]) -> Vec<u8> {
    let mut log = Vec::with_capacity(bets.len() * BET_BYTES);
    for bet in bets {
        encode(bet, &mut log);
    }
    log
}

pub(super) fn log_of(answer: Value) -> Result<Vec<Bet>, Failure> {
    decoded(&bytes_or_nil(answer)?.unwrap_or_default()).map(Iterator::collect)
}

fn decoded(log: &[u8]) -> Result<impl ExactSizeIterator<Item = Bet>, Failure> {
    decode_log(log).map_err(|broken| {
        Failure::Broken(format!("a window is no log of bets ({broken}): something else writes under our prefix"))
    })
}

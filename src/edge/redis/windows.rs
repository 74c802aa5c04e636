//! The windows: strings that only grow.
//!
//! A batch costs one `APPEND` a customer, and one `MGET` a bucket for the logs of which this process has no copy; the length
//! that `APPEND` answers tells whether a copy is true. A key's time to live is refreshed only when it is due, which this
//! process remembers; a key that came into being without one is seen by its length and given one before the call ends.

use std::time::Duration;

use redis::Value;

use super::failure::Failure;
use super::keys::Key;
use super::pipelines::{Answer, COMPACT, Pipelines};
use super::replies::bytes_or_nil;
use super::{Operation, RedisStore, ttl_millis};
use crate::domain::window::Bet;
use crate::edge::StoreError;
use crate::edge::marks::Era;
use crate::edge::windows::{Compaction, CustomerBets, Windows};
use crate::wire::window::{BET_BYTES, decode_log, encode};

mod copies;
mod expiries;
mod grown;
mod neighbours;
pub(super) use copies::Copies;
pub(super) use expiries::Expiries;
use grown::Grown;

/// Bytes that are remembered of windows at the most.
pub(super) const MEMORY: usize = copies::MEMORY + expiries::MEMORY;

const RECORD: Operation = Operation { name: "record", action: "record bets in their windows" };

impl Windows for RedisStore {
    async fn record(&self, batch: &[CustomerBets], compactions: &[Compaction]) -> Result<Vec<Vec<Bet>>, StoreError> {
        let era = self.era();
        let mut pipelines = self.pipelines();
        let keys: Vec<Key> = batch.iter().map(|bets| self.keys.window(&bets.tenant, &bets.customer)).collect();
        self.add_compactions(&mut pipelines, compactions);
        let mut logs = Grown::of(batch, &keys, &mut self.copies.of(era));
        let expiring = self.add_bets(&mut pipelines, batch, &keys, &mut logs);
        let reads = logs.read_unknown(&keys, &mut pipelines, batch.len());
        let mut answers = self.write(RECORD, pipelines).await?;
        let read = answers.split_off(batch.len());
        self.expiries.note(&expiring);
        let mut more = self.new_without_end(batch, &keys, &answers, &expiring);
        logs.believe(&answers);
        let broken = |failure: Failure| failure.into_store_error(RECORD.action);
        logs.take_in(&reads, read).map_err(broken)?;
        if !more.is_empty() || !logs.is_known() {
            let reads = logs.read_unknown(&keys, &mut more, 0);
            let read = self.call(RECORD, more).await?;
            logs.take_in(&reads, read).map_err(broken)?;
        }
        let bets = logs.bets().map_err(broken)?;
        if self.era() == era {
            logs.keep(&keys, &mut self.copies.of(era));
        }
        Ok(bets)
    }
}

/// A key that is given a time to live: its place in the batch, its hash, and the end that it has from now on at least.
pub(super) struct Expiring {
    place: usize,
    hash: u128,
    ends_at: u64,
}

impl RedisStore {
    /// The era that the store is believed to be in, where it is watched.
    fn era(&self) -> Option<Era> {
        self.watch.as_ref().and_then(|(_, watch)| watch.era())
    }

    fn add_compactions(&self, pipelines: &mut Pipelines, compactions: &[Compaction]) {
        for compaction in compactions.iter().filter(|compaction| !compaction.read.is_empty()) {
            let key = self.keys.window(&compaction.tenant, &compaction.customer);
            let read = encoded(&compaction.read);
            let mut command = COMPACT.on(&key);
            command
                .arg(read.len())
                .arg(sha1_smol::Sha1::from(&read).digest().to_string())
                .arg(encoded(&compaction.kept))
                .arg(ttl_millis(longer(compaction.ttl)))
                .arg(BET_BYTES);
            pipelines.add(key.bucket, command, Answer::Checked);
            self.copies.of(self.era()).take(key.hash);
        }
    }

    /// A connection cut between the two commands can leave a new log without a time to live. The batch is then recorded
    /// again, and that sets it.
    fn add_bets(
        &self,
        pipelines: &mut Pipelines,
        batch: &[CustomerBets],
        keys: &[Key],
        logs: &mut Grown,
    ) -> Vec<Expiring> {
        let mut expiring = Vec::new();
        let now = self.expiries.now();
        let mut log = Vec::new();
        for (place, (bets, key)) in batch.iter().zip(keys).enumerate() {
            if !bets.bets.is_empty() {
                log.clear();
                bets.bets.iter().for_each(|bet| encode(bet, &mut log));
                let mut append = redis::Cmd::with_capacity(3, 6 + key.name.len() + log.len());
                append.arg("APPEND").arg(&key.name).arg(&log[..]);
                logs.append(place, &log);
                pipelines.add(key.bucket, append, Answer::Wanted(place));
            }
            if !self.expiries.lasts(key.hash, now, bets.ttl) {
                pipelines.add(key.bucket, expire(key, bets.ttl), Answer::Checked);
                expiring.push(Expiring { place, hash: key.hash, ends_at: expiries::end(now, longer(bets.ttl)) });
            }
        }
        expiring
    }

    /// A log that is as long as what was appended to it is new: whoever deleted it took its time to live with it.
    fn new_without_end(
        &self,
        batch: &[CustomerBets],
        keys: &[Key],
        lengths: &[Value],
        expiring: &[Expiring],
    ) -> Pipelines {
        let mut given = expiring.iter().peekable();
        let mut pipelines = self.pipelines();
        for (place, ((bets, key), length)) in batch.iter().zip(keys).zip(lengths).enumerate() {
            let has_one = given.next_if(|one| one.place == place).is_some();
            let appended = bets.bets.len() * BET_BYTES;
            if !has_one && appended > 0 && *length == Value::Int(i64::try_from(appended).unwrap_or(i64::MAX)) {
                self.expiries.forget(key.hash);
                pipelines.add(key.bucket, expire(key, bets.ttl), Answer::Checked);
            }
        }
        pipelines
    }
}

/// Longer than is needed, so that it need not be refreshed with every bet.
fn longer(ttl: Duration) -> Duration {
    ttl.saturating_add(ttl / 4)
}

fn expire(key: &Key, ttl: Duration) -> redis::Cmd {
    let mut command = redis::Cmd::with_capacity(3, 20 + key.name.len());
    command.arg("PEXPIRE").arg(&key.name).arg(ttl_millis(longer(ttl)));
    command
}

fn encoded(bets: &[Bet]) -> Vec<u8> {
    let mut log = Vec::with_capacity(bets.len() * BET_BYTES);
    for bet in bets {
        encode(bet, &mut log);
    }
    log
}

pub(super) fn log_of(answer: Value) -> Result<Vec<Bet>, Failure> {
    decoded(&bytes_or_nil(answer)?.unwrap_or_default())
}

fn decoded(log: &[u8]) -> Result<Vec<Bet>, Failure> {
    decode_log(log).map_err(|broken| {
        Failure::Broken(format!("a window is no log of bets ({broken}): something else writes under our prefix"))
    })
}

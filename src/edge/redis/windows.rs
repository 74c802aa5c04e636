//! The windows: strings that only grow.

use redis::Value;

use super::failure::Failure;
use super::pipelines::{Answer, COMPACT, Pipelines};
use super::replies::bytes_or_nil;
use super::{Operation, RedisStore, ttl_millis};
use crate::domain::window::Bet;
use crate::edge::StoreError;
use crate::edge::windows::{Compaction, CustomerBets, Windows};
use crate::wire::window::{BET_BYTES, decode_log, encode};

const RECORD: Operation = Operation { name: "record", action: "record bets in their windows" };

impl Windows for RedisStore {
    async fn record(&self, batch: &[CustomerBets], compactions: &[Compaction]) -> Result<Vec<Vec<Bet>>, StoreError> {
        let mut pipelines = self.pipelines();
        for compaction in compactions.iter().filter(|compaction| !compaction.read.is_empty()) {
            self.add_compaction(&mut pipelines, compaction);
        }
        for (place, bets) in batch.iter().enumerate() {
            self.add_bets(&mut pipelines, bets, place);
        }
        let logs = self.write(RECORD, pipelines).await?;
        let logs: Result<Vec<_>, Failure> = logs.into_iter().map(log_of).collect();
        logs.map_err(|failure| failure.into_store_error(RECORD.action))
    }
}

impl RedisStore {
    fn add_compaction(&self, pipelines: &mut Pipelines, compaction: &Compaction) {
        let key = self.keys.window(&compaction.tenant, &compaction.customer);
        let read = encoded(&compaction.read);
        let mut command = COMPACT.on(&key);
        command
            .arg(read.len())
            .arg(sha1_smol::Sha1::from(&read).digest().to_string())
            .arg(encoded(&compaction.kept))
            .arg(ttl_millis(compaction.ttl));
        pipelines.add(key.bucket, command, Answer::Checked);
    }

    /// A connection cut between the two commands can leave a new log without a TTL. The batch is then recorded again, and
    /// that sets it.
    fn add_bets(&self, pipelines: &mut Pipelines, bets: &CustomerBets, place: usize) {
        let key = self.keys.window(&bets.tenant, &bets.customer);
        if !bets.bets.is_empty() {
            let mut append = redis::cmd("APPEND");
            append.arg(&key.name).arg(encoded(&bets.bets));
            pipelines.add(key.bucket, append, Answer::Checked);
        }
        let mut read = redis::cmd("GETEX");
        read.arg(&key.name).arg("PX").arg(ttl_millis(bets.ttl));
        pipelines.add(key.bucket, read, Answer::Wanted(place));
    }
}

fn encoded(bets: &[Bet]) -> Vec<u8> {
    let mut log = Vec::with_capacity(bets.len() * BET_BYTES);
    for bet in bets {
        encode(bet, &mut log);
    }
    log
}

pub(super) fn log_of(answer: Value) -> Result<Vec<Bet>, Failure> {
    let log = bytes_or_nil(answer)?.unwrap_or_default();
    decode_log(&log).map_err(|broken| {
        Failure::Broken(format!("a window is no log of bets ({broken}): something else writes under our prefix"))
    })
}

//! Outcomes and attempts, each a key of its own; doubts, one sorted set by time.

use std::io;

use redis::{Cmd, RedisError, Value};

use super::failure::{Failure, not_understood};
use super::pipelines::{Answer, get};
use super::replies::{bytes_or_nil, text_of};
use super::scripts::NOTE_DOUBT;
use super::{Operation, RedisStore, ttl_millis};
use crate::domain::ids::{CommandId, TenantId};
use crate::domain::time::Timestamp;
use crate::edge::StoreError;
use crate::edge::outcomes::{DOUBTS_KEPT, EarlierAttempt, KEPT_FOR, MAX_DOUBTS, Outcomes};

const FIXED: Operation = Operation { name: "fixed", action: "read fixed outcomes" };
const FIX: Operation = Operation { name: "fix", action: "fix an outcome" };
const BEGIN: Operation = Operation { name: "begin_attempt", action: "note an attempt" };
const FORGET: Operation = Operation { name: "forget_attempt", action: "forget an attempt" };
const DOUBT: Operation = Operation { name: "doubt", action: "note a doubt about preferences" };
const DOUBTS: Operation = Operation { name: "doubts", action: "read the doubts about preferences" };

impl Outcomes for RedisStore {
    async fn fixed(&self, commands: &[CommandId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut pipelines = self.pipelines();
        for (place, command) in commands.iter().enumerate() {
            let key = self.keys.outcome(*command);
            pipelines.add(key.bucket, get(&key.name), Answer::Wanted(place));
        }
        let records = self.call(FIXED, pipelines).await?;
        let records: Result<Vec<_>, Failure> = records.into_iter().map(bytes_or_nil).collect();
        records.map_err(|failure| failure.into_store_error(FIXED.action))
    }

    async fn fix(&self, command: CommandId, record: &[u8]) -> Result<Vec<u8>, StoreError> {
        let standing = self.fix_all(&[(command, record.to_vec())]).await?.pop();
        standing.ok_or_else(|| not_understood().into_store_error(FIX.action))
    }

    async fn fix_all(&self, records: &[(CommandId, Vec<u8>)]) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut pipelines = self.pipelines();
        for (place, (command, record)) in records.iter().enumerate() {
            let key = self.keys.outcome(*command);
            pipelines.add(key.bucket, set_if_absent(&key.name, record), Answer::Checked);
            pipelines.add(key.bucket, get(&key.name), Answer::Wanted(place));
        }
        let standing = self.write(FIX, pipelines).await?;
        // Nothing stands where a record ended between the two commands; the next call fixes ours.
        let gone = || Failure::Redis(RedisError::from(io::Error::from(io::ErrorKind::Interrupted)));
        let standing = standing.into_iter().map(|record| bytes_or_nil(record)?.ok_or_else(gone));
        standing.collect::<Result<_, Failure>>().map_err(|failure| failure.into_store_error(FIX.action))
    }

    async fn begin_attempt(
        &self,
        command: CommandId,
        reference_number: u32,
        mark: u64,
    ) -> Result<EarlierAttempt, StoreError> {
        let key = self.keys.attempt(command, reference_number);
        let mark = mark.to_be_bytes();
        let mut pipelines = self.pipelines();
        pipelines.add(key.bucket, set_if_absent(&key.name, &mark), Answer::Checked);
        pipelines.add(key.bucket, get(&key.name), Answer::Wanted(0));
        let standing = self.write(BEGIN, pipelines).await?.pop().unwrap_or(Value::Nil);
        let standing = bytes_or_nil(standing).map_err(|failure| failure.into_store_error(BEGIN.action))?;
        Ok(if standing.is_some_and(|standing| standing == mark) {
            EarlierAttempt::None
        } else {
            EarlierAttempt::OnRecord
        })
    }

    async fn forget_attempt(&self, command: CommandId, reference_number: u32) -> Result<(), StoreError> {
        let key = self.keys.attempt(command, reference_number);
        let mut pipelines = self.pipelines();
        let mut forget = redis::cmd("DEL");
        forget.arg(&key.name);
        pipelines.add(key.bucket, forget, Answer::Checked);
        self.call(FORGET, pipelines).await.map(drop)
    }

    async fn doubt(&self, tenant: &TenantId, at: Timestamp) -> Result<(), StoreError> {
        let key = self.keys.doubts();
        let mut command = NOTE_DOUBT.on(&key);
        command
            .arg(at.0)
            .arg(tenant.as_str())
            .arg(at.minus(DOUBTS_KEPT).0)
            .arg(MAX_DOUBTS)
            .arg(ttl_millis(DOUBTS_KEPT));
        let mut pipelines = self.pipelines();
        pipelines.add(key.bucket, command, Answer::Checked);
        self.call(DOUBT, pipelines).await.map(drop)
    }

    async fn doubts(&self, after: Timestamp) -> Result<Vec<(TenantId, Timestamp)>, StoreError> {
        let key = self.keys.doubts();
        let mut since = redis::cmd("ZRANGEBYSCORE");
        since.arg(&key.name).arg(after.0).arg("+inf").arg("WITHSCORES").arg("LIMIT").arg(0).arg(MAX_DOUBTS);
        let mut pipelines = self.pipelines();
        pipelines.add(key.bucket, since, Answer::Wanted(0));
        let doubts = self.call(DOUBTS, pipelines).await?.pop().unwrap_or(Value::Nil);
        doubts_of(&doubts).map_err(|failure| failure.into_store_error(DOUBTS.action))
    }
}

fn set_if_absent(key: &str, value: &[u8]) -> Cmd {
    let mut command = redis::cmd("SET");
    command.arg(key).arg(value).arg("NX").arg("EX").arg(KEPT_FOR.as_secs());
    command
}

fn doubts_of(answer: &Value) -> Result<Vec<(TenantId, Timestamp)>, Failure> {
    let Value::Array(answer) = answer else {
        return Err(not_understood());
    };
    let (pairs, _) = answer.as_chunks::<2>();
    let doubt = |[tenant, at]: &[Value; 2]| {
        let tenant = TenantId::new(text_of(tenant)?).ok()?;
        Some((tenant, Timestamp(text_of(at)?.parse().ok()?)))
    };
    pairs.iter().map(|pair| doubt(pair).ok_or_else(not_understood)).collect()
}

//! The marks: one key on a single server, one in each bucket of a cluster.

use std::num::NonZeroU64;

use redis::{Cmd, Value};

use super::failure::{Failure, not_understood};
use super::keys::{Key, Keys};
use super::pipelines::{Answer, get};
use super::replies::bytes_or_nil;
use super::scripts::MARK;
use super::{Operation, RedisStore, ttl_millis};
use crate::domain::trigger::Trigger;
use crate::edge::StoreError;
use crate::edge::marks::{Era, FILLING_FOR, KEPT_FOR, Marked, Marks, Part, Watch};

const READ: Operation = Operation { name: "marks", action: "look whether the store is whole" };
const CLEAR: Operation = Operation { name: "marks", action: "clear what is filled again" };
const FILL: Operation = Operation { name: "marks", action: "mark the store as being filled" };
const WHOLE: Operation = Operation { name: "marks", action: "mark the store as whole" };

impl Marks for RedisStore {
    fn watched(&self, part: Part, watch: &Watch) -> Self {
        Self { watch: Some((part, watch.clone())), ..self.clone() }
    }

    async fn marked(&self, part: Part) -> Result<Marked, StoreError> {
        let marks = self.ask_marks(READ, part, |key| get(&key)).await?;
        let marks: Result<Vec<_>, Failure> = marks.into_iter().map(bytes_or_nil).collect();
        let marks = marks.map_err(|failure| failure.into_store_error(READ.action))?;
        let first = marks.first().and_then(|mark| era_of(mark.as_deref()?));
        let whole = first.filter(|_| marks.windows(2).all(|pair| pair[0] == pair[1]));
        Ok(whole.map_or(Marked::Lost, Marked::Whole))
    }

    async fn begin_filling(&self, part: Part, number: Era) -> Result<bool, StoreError> {
        let lock = Keys::filling(&self.prefix, part);
        let mut take = redis::cmd("SET");
        take.arg(&lock.name).arg(filling(number)).arg("NX").arg("PX").arg(ttl_millis(FILLING_FOR));
        let mut pipelines = self.pipelines();
        pipelines.add(lock.bucket, take, Answer::Checked);
        pipelines.add(lock.bucket, get(&lock.name), Answer::Wanted(0));
        let holder = self.unwatched_call(FILL, pipelines).await?.pop().unwrap_or(Value::Nil);
        let holder = bytes_or_nil(holder).map_err(|failure| failure.into_store_error(FILL.action))?;
        if holder.as_deref() != Some(filling(number).as_bytes()) {
            return Ok(false);
        }
        let mark = |key: String| {
            let mut set = redis::cmd("SET");
            set.arg(key).arg(filling(number)).arg("PX").arg(ttl_millis(2 * FILLING_FOR));
            set
        };
        self.ask_marks(FILL, part, mark).await.map(|_| true)
    }

    async fn go_on_filling(&self, part: Part, number: Era) -> Result<bool, StoreError> {
        let lock = Keys::filling(&self.prefix, part);
        let mut pipelines = self.pipelines();
        pipelines.add(lock.bucket, swap(&lock.name, number, &filling(number), FILLING_FOR), Answer::Wanted(0));
        let held = self.unwatched_call(FILL, pipelines).await?;
        let swapped = |key: String| swap(&key, number, &filling(number), 2 * FILLING_FOR);
        let marks = self.ask_marks(FILL, part, swapped).await?;
        all_done(held.iter().chain(&marks)).map_err(|failure| failure.into_store_error(FILL.action))
    }

    async fn end_filling(&self, part: Part, number: Era) -> Result<bool, StoreError> {
        let swapped = |key: String| swap(&key, number, &whole(number), KEPT_FOR);
        let marks = self.ask_marks(WHOLE, part, swapped).await?;
        let done = all_done(marks.iter()).map_err(|failure| failure.into_store_error(WHOLE.action))?;
        let lock = Keys::filling(&self.prefix, part);
        let mut pipelines = self.pipelines();
        pipelines.add(lock.bucket, swap(&lock.name, number, "", FILLING_FOR), Answer::Checked);
        // Where this is lost, the lock ends by itself.
        let _ = self.unwatched_call(WHOLE, pipelines).await;
        Ok(done)
    }

    async fn clear_windows(&self, customers: &[u128]) -> Result<(), StoreError> {
        self.clear(customers.iter().map(|customer| self.keys.window_of(*customer))).await
    }

    async fn clear_claims(&self, customers: &[(u128, Trigger)]) -> Result<(), StoreError> {
        self.clear(customers.iter().map(|(customer, trigger)| self.keys.claims_of(*customer, *trigger))).await
    }

    async fn prolong(&self, part: Part) -> Result<(), StoreError> {
        let prolong = |key: String| {
            let mut expire = redis::cmd("PEXPIRE");
            expire.arg(key).arg(ttl_millis(KEPT_FOR));
            expire
        };
        self.ask_marks(WHOLE, part, prolong).await.map(drop)
    }
}

impl RedisStore {
    async fn clear(&self, keys: impl Iterator<Item = Key>) -> Result<(), StoreError> {
        let mut pipelines = self.pipelines();
        for key in keys {
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(&key.name);
            pipelines.add(key.bucket, unlink, Answer::Checked);
        }
        self.unwatched_call(CLEAR, pipelines).await.map(drop)
    }

    /// One command for each mark; their answers in the order of the buckets.
    async fn ask_marks(
        &self,
        operation: Operation,
        part: Part,
        command: impl Fn(String) -> Cmd,
    ) -> Result<Vec<Value>, StoreError> {
        let mut pipelines = self.pipelines();
        let buckets = if self.connection.is_cluster() { 0..=u8::MAX } else { 0..=0 };
        for (place, bucket) in buckets.enumerate() {
            let key = Keys::mark(&self.prefix, part, bucket);
            pipelines.add(bucket, command(key.name), Answer::Wanted(place));
        }
        self.unwatched_call(operation, pipelines).await
    }
}

/// Whether marks that were read along are those of an era.
pub(super) fn are_of(marks: &[Value], era: Era) -> bool {
    let wanted = whole(era);
    marks.iter().all(|mark| matches!(mark, Value::BulkString(bytes) if bytes == wanted.as_bytes()))
}

fn whole(era: Era) -> String {
    format!("whole:{:016x}", era.0)
}

fn filling(number: Era) -> String {
    format!("filling:{:016x}", number.0)
}

fn era_of(mark: &[u8]) -> Option<Era> {
    let number = std::str::from_utf8(mark).ok()?.strip_prefix("whole:")?;
    NonZeroU64::new(u64::from_str_radix(number, 16).ok()?).map(Era)
}

fn swap(key: &str, number: Era, to: &str, ttl: std::time::Duration) -> Cmd {
    let mut command = MARK.on_name(key);
    command.arg(filling(number)).arg(to).arg(ttl_millis(ttl));
    command
}

fn all_done<'a>(mut answers: impl Iterator<Item = &'a Value>) -> Result<bool, Failure> {
    answers.try_fold(true, |all, answer| {
        let Value::Int(done) = answer else { return Err(not_understood()) };
        Ok(all && *done == 1)
    })
}

//! The places that are taken in a minute: a counter for each tenant.

use redis::Value;

use super::failure::{Failure, not_understood};
use super::pipelines::Answer;
use super::{Operation, RedisStore, ttl_millis};
use crate::edge::StoreError;
use crate::edge::quotas::{KEPT_FOR, Places, Quotas};

const RESERVE: Operation = Operation { name: "reserve", action: "count the sessions of a minute" };

impl Quotas for RedisStore {
    async fn count(&self, places: &[Places]) -> Result<Vec<i64>, StoreError> {
        let mut pipelines = self.pipelines();
        for (place, Places { tenant, minute, number }) in places.iter().enumerate() {
            let key = self.keys.sessions(tenant, *minute);
            // First a counter that ends, so that no cut between the two leaves one that does not.
            let mut begin = redis::cmd("SET");
            begin.arg(&key.name).arg(0).arg("PX").arg(ttl_millis(KEPT_FOR)).arg("NX");
            let mut add = redis::cmd("INCRBY");
            add.arg(&key.name).arg(*number);
            pipelines.add(key.bucket, begin, Answer::Checked);
            pipelines.add(key.bucket, add, Answer::Wanted(place));
        }
        let counts = self.call(RESERVE, pipelines).await?;
        let counts: Result<Vec<_>, Failure> = counts.iter().map(count_of).collect();
        counts.map_err(|failure| failure.into_store_error(RESERVE.action))
    }
}

fn count_of(answer: &Value) -> Result<i64, Failure> {
    let Value::Int(count) = answer else {
        return Err(not_understood());
    };
    Ok(*count)
}

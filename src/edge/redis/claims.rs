//! The claims: settled by a script, one at a time.

use std::time::Duration;

use redis::Value;

use super::failure::{Failure, not_understood};
use super::pipelines::{Answer, SETTLE};
use super::{Operation, RedisStore, ttl_millis};
use crate::domain::claim::{ClaimAnswer, Intent};
use crate::edge::StoreError;
use crate::edge::claims::{Ask, Claims};
use crate::wire::window::{encode_claim, time_of};

const CLAIM: Operation = Operation { name: "settle", action: "settle claims" };

impl Claims for RedisStore {
    async fn settle(&self, asks: &[Ask]) -> Result<Vec<ClaimAnswer>, StoreError> {
        let mut pipelines = self.pipelines();
        for (place, ask) in asks.iter().enumerate() {
            let key = self.keys.claims(&ask.tenant, &ask.customer, ask.trigger);
            let mut command = SETTLE.on(&key);
            command
                .arg(&encode_claim(&ask.request.claim)[..])
                .arg(intent(ask.request.intent))
                .arg(exact_millis(ask.request.cooldown))
                .arg(exact_millis(ask.request.retention))
                .arg(ttl_millis(ask.ttl));
            pipelines.add(key.bucket, command, Answer::Wanted(place));
        }
        let answers = self.write(CLAIM, pipelines).await?;
        let answers: Result<Vec<_>, Failure> = answers.into_iter().map(answer_of).collect();
        answers.map_err(|failure| failure.into_store_error(CLAIM.action))
    }
}

fn intent(intent: Intent) -> &'static str {
    match intent {
        Intent::Take => "take",
        Intent::Look => "look",
    }
}

/// Milliseconds that the script's doubles hold exactly, also when a time is added to them: beyond all times that are stored.
fn exact_millis(span: Duration) -> u64 {
    const FOREVER: u64 = 1 << 50;
    u64::try_from(span.as_millis()).unwrap_or(FOREVER).min(FOREVER)
}

fn answer_of(answer: Value) -> Result<ClaimAnswer, Failure> {
    let Value::BulkString(answer) = answer else {
        return Err(not_understood());
    };
    match answer.as_slice() {
        b"held" => Ok(ClaimAnswer::Held),
        b"free" => Ok(ClaimAnswer::Free),
        since => {
            let since = since.try_into().map_err(|_| not_understood())?;
            Ok(ClaimAnswer::CoolingDown { since: time_of(since) })
        }
    }
}

//! The claims: settled by a script, one at a time, where a plain read does not settle them.

use std::collections::HashMap;
use std::time::Duration;

use redis::Value;

use super::failure::{Failure, not_understood};
use super::keys::Key;
use super::peek::claims_of;
use super::pipelines::{Answer, read_places};
use super::scripts::SETTLE;
use super::{Operation, RedisStore, ttl_millis};
use crate::domain::claim::{Claim, ClaimAnswer, ClaimRequest, Intent, settle};
use crate::domain::hashed::HashedAlready;
use crate::edge::StoreError;
use crate::edge::claims::{Ask, Claims};
use crate::wire::window::{encode_claim, time_of};

const CLAIM: Operation = Operation { name: "settle", action: "settle claims" };

/// So few are settled without a look beforehand: a round trip costs more than their scripts.
const FEW: usize = 4;

impl Claims for RedisStore {
    async fn settle(&self, asks: &[Ask]) -> Result<Vec<ClaimAnswer>, StoreError> {
        let (keys, key_of) = self.keys_of(asks);
        let look = asks.len() > FEW;
        let mut answers = if look { self.look_first(asks, &keys, &key_of).await? } else { vec![None; asks.len()] };
        let open: Vec<usize> = (0..asks.len()).filter(|place| answers[*place].is_none()).collect();
        let mut pipelines = self.pipelines();
        for (nth, place) in open.iter().enumerate() {
            let (ask, key) = (&asks[*place], &keys[key_of[*place]]);
            let mut command = SETTLE.on(key);
            command
                .arg(&encode_claim(&ask.request.claim)[..])
                .arg(intent(ask.request.intent))
                .arg(exact_millis(ask.request.cooldown))
                .arg(exact_millis(ask.request.retention))
                .arg(ttl_millis(ask.ttl));
            pipelines.add(key.bucket, command, Answer::Wanted(nth));
        }
        if !pipelines.is_empty() {
            let settled = self.write(CLAIM, pipelines).await?;
            for (place, answer) in open.into_iter().zip(settled) {
                let answer = answer_of(answer).map_err(|failure| failure.into_store_error(CLAIM.action))?;
                answers[place] = Some(answer);
            }
        }
        let missing = || not_understood().into_store_error(CLAIM.action);
        answers.into_iter().collect::<Option<_>>().ok_or_else(missing)
    }
}

impl RedisStore {
    /// The keys that are asked for, each once, and the place of each ask's own among them.
    fn keys_of(&self, asks: &[Ask]) -> (Vec<Key>, Vec<usize>) {
        let mut keys = Vec::new();
        let mut places = HashMap::with_capacity_and_hasher(asks.len(), HashedAlready::default());
        let place = |ask: &Ask| {
            *places.entry((ask.key, ask.trigger)).or_insert_with(|| {
                keys.push(self.keys.claims_of(ask.key, ask.trigger));
                keys.len() - 1
            })
        };
        let key_of = asks.iter().map(place).collect();
        (keys, key_of)
    }

    /// What a plain read settles: a claim that is held or cools down now stays so, whoever takes another one. From the
    /// first request of a customer and trigger that may take one, theirs are left to the script, which is atomic.
    async fn look_first(
        &self,
        asks: &[Ask],
        keys: &[Key],
        key_of: &[usize],
    ) -> Result<Vec<Option<ClaimAnswer>>, StoreError> {
        let mut pipelines = self.pipelines();
        let reads = pipelines.add_reads(keys.iter().map(|key| (key.bucket, key.name.as_str())), 0);
        // Where a replica is waited for, what is found counts once it has it: a claim may have been taken in vain before.
        let found = self.write(CLAIM, pipelines).await?;
        let mut claims: Vec<Option<Vec<Claim>>> = vec![None; keys.len()];
        for (place, found) in read_places(&reads, found).map_err(|failure| failure.into_store_error(CLAIM.action))? {
            claims[place] = Some(claims_of(found).map_err(|failure| failure.into_store_error(CLAIM.action))?);
        }
        let settle_one = |(ask, key): (&Ask, &usize)| {
            let looking = ClaimRequest { intent: Intent::Look, ..ask.request };
            match settle(claims[*key].as_mut()?, &looking) {
                ClaimAnswer::Free => {
                    claims[*key] = None;
                    None
                }
                answer @ (ClaimAnswer::Held | ClaimAnswer::CoolingDown { .. }) => Some(answer),
            }
        };
        Ok(asks.iter().zip(key_of).map(settle_one).collect())
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

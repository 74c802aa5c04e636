//! Looking: plain `GET`, which moves no TTL.

use redis::Value;

use super::failure::Failure;
use super::keys::Key;
use super::pipelines::{Answer, get};
use super::replies::bytes_or_nil;
use super::windows::log_of;
use super::{Operation, RedisStore};
use crate::domain::claim::Claim;
use crate::domain::ids::{CustomerId, TenantId};
use crate::domain::trigger::Trigger;
use crate::domain::window::Bet;
use crate::edge::StoreError;
use crate::edge::peek::Peek;
use crate::wire::window::decode_claims;

const WINDOW: Operation = Operation { name: "peek_window", action: "look at a window" };
const CLAIMS: Operation = Operation { name: "peek_claims", action: "look at claims" };

impl Peek for RedisStore {
    async fn peek_window(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Vec<Bet>, StoreError> {
        let answer = self.look(WINDOW, self.keys.window(tenant, customer)).await?;
        log_of(answer).map_err(|failure| failure.into_store_error(WINDOW.action))
    }

    async fn peek_claims(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
        trigger: Trigger,
    ) -> Result<Vec<Claim>, StoreError> {
        let answer = self.look(CLAIMS, self.keys.claims(tenant, customer, trigger)).await?;
        claims_of(answer).map_err(|failure| failure.into_store_error(CLAIMS.action))
    }
}

impl RedisStore {
    async fn look(&self, operation: Operation, key: Key) -> Result<Value, StoreError> {
        let mut pipelines = self.pipelines();
        pipelines.add(key.bucket, get(&key.name), Answer::Wanted(0));
        Ok(self.call(operation, pipelines).await?.pop().unwrap_or(Value::Nil))
    }
}

pub(super) fn claims_of(answer: Value) -> Result<Vec<Claim>, Failure> {
    let claims = bytes_or_nil(answer)?.unwrap_or_default();
    decode_claims(&claims).map_err(|broken| {
        Failure::Broken(format!("claims are no whole records ({broken}): something else writes under our prefix"))
    })
}

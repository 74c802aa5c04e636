//! Erasing a customer: its keys by their names, in every scope. They all lie in one bucket.

use redis::Value;

use super::failure::not_understood;
use super::keys::Keys;
use super::pipelines::Answer;
use super::{Operation, RedisStore};
use crate::domain::ids::{CustomerId, TenantId};
use crate::domain::trigger::Trigger;
use crate::edge::forget::{Forget, Kept};
use crate::edge::{Scope, StoreError};
use crate::wire::window::customer_key;

const LOOK: Operation = Operation { name: "kept_of", action: "look what is kept of a customer" };
const FORGET: Operation = Operation { name: "forget", action: "erase what is kept of a customer" };

impl Forget for RedisStore {
    async fn kept_of(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Kept, StoreError> {
        self.for_each_key(LOOK, "EXISTS", tenant, customer).await
    }

    async fn forget(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Kept, StoreError> {
        self.for_each_key(FORGET, "DEL", tenant, customer).await
    }
}

impl RedisStore {
    /// Gives every key of the customer to a command that answers how many there were.
    async fn for_each_key(
        &self,
        operation: Operation,
        command: &str,
        tenant: &TenantId,
        customer: &CustomerId,
    ) -> Result<Kept, StoreError> {
        let key = customer_key(tenant, customer);
        let mut pipelines = self.pipelines();
        for (place, scope) in Scope::ALL.into_iter().enumerate() {
            let keys = Keys::new(&self.prefix, scope);
            let window = keys.window_of(key);
            let mut windows = redis::cmd(command);
            windows.arg(&window.name);
            let mut claims = redis::cmd(command);
            for trigger in Trigger::ALL {
                claims.arg(keys.claims_of(key, *trigger).name);
            }
            pipelines.add(window.bucket, windows, Answer::Wanted(2 * place));
            pipelines.add(window.bucket, claims, Answer::Wanted(2 * place + 1));
        }
        let answers = self.call(operation, pipelines).await?;
        let mut kept = Kept::default();
        for (place, answer) in answers.iter().enumerate() {
            let Value::Int(count) = answer else {
                return Err(not_understood().into_store_error(operation.action));
            };
            let sum = if place % 2 == 0 { &mut kept.windows } else { &mut kept.claims };
            *sum += u64::try_from(*count).unwrap_or_default();
        }
        Ok(kept)
    }
}

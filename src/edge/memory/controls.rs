//! Controls in memory, and the erasing of a customer.

use super::store::MemoryStore;
use crate::domain::control::{Control, Controls, OFF_KEPT};
use crate::domain::ids::{CustomerId, TenantId};
use crate::domain::trigger::Trigger;
use crate::edge::controls::{Standing, Switchboard, Written};
use crate::edge::forget::{Forget, Kept};
use crate::edge::{Scope, Scoped as _, StoreError, clock};
use crate::wire::window::customer_key;

impl Switchboard for MemoryStore {
    async fn standing(&self) -> Result<Standing, StoreError> {
        let controls = self.scoped(Scope::Live).lock().controls.unknown_to(&Controls::default()).cloned().collect();
        Ok(Standing { controls, unreadable: 0 })
    }

    async fn set(&self, controls: &[Control]) -> Result<Vec<Written>, StoreError> {
        let live = self.scoped(Scope::Live);
        let known = &mut live.lock().controls;
        Ok(controls.iter().map(|control| set(known, control)).collect())
    }
}

fn set(known: &mut Controls, control: &Control) -> Written {
    let standing = known.get(control.kind, &control.target);
    if standing.is_some_and(|standing| standing.outranks(control)) {
        return Written::Outdated;
    }
    if standing.is_none() && known.len() >= control.kind.most() {
        known.forget(clock::now().minus(OFF_KEPT));
        if known.len() >= control.kind.most() {
            return Written::NoRoom;
        }
    }
    known.learn(control.clone());
    Written::Set
}

impl Forget for MemoryStore {
    async fn kept_of(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Kept, StoreError> {
        let (key, mut kept) = (customer_key(tenant, customer), Kept::default());
        for scope in Scope::ALL {
            let scoped = self.scoped(scope);
            let mut state = scoped.lock();
            kept.windows += u64::from(state.windows.get_mut(&key).is_some());
            for trigger in Trigger::ALL {
                let claims = state.claims.get_mut(&(key, *trigger));
                kept.claims += u64::from(claims.is_some());
            }
        }
        Ok(kept)
    }

    async fn forget(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Kept, StoreError> {
        let kept = self.kept_of(tenant, customer).await?;
        let key = customer_key(tenant, customer);
        for scope in Scope::ALL {
            let scoped = self.scoped(scope);
            let mut state = scoped.lock();
            state.windows.remove(&key);
            for trigger in Trigger::ALL {
                state.claims.remove(&(key, *trigger));
            }
        }
        Ok(kept)
    }
}

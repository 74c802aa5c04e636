//! The tenant label, bounded: so many tenants have a name of their own, all others share one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::ids::TenantId;

/// The label of every tenant that came after the places were taken. A tenant of that very name shares it.
pub const OTHER: &str = "other";
/// The label of what names no readable tenant. A tenant of that very name shares it.
pub const UNKNOWN: &str = "unknown";

/// What is kept for each tenant label. Only tenants that have a place are stored, so memory does not grow with the
/// number of tenants seen.
pub struct TenantLabels<V> {
    places: usize,
    named: RwLock<HashMap<Arc<str>, Arc<V>>>,
    other: Arc<V>,
    unknown: Arc<V>,
    make: fn(&str) -> V,
}

impl<V> TenantLabels<V> {
    /// The first `places` distinct tenants get a label of their own; `make` builds what is kept for a label.
    pub fn new(places: usize, make: fn(&str) -> V) -> Self {
        let other = Arc::new(make(OTHER));
        let unknown = Arc::new(make(UNKNOWN));
        Self { places, named: RwLock::new(HashMap::new()), other, unknown, make }
    }

    /// What is kept for a tenant's label; `None` is a tenant that could not be read. Only the first sight of a tenant
    /// that gets a place takes a lock that others wait for.
    pub fn of(&self, tenant: Option<&TenantId>) -> Arc<V> {
        let name = match tenant.map(TenantId::as_str) {
            None | Some(UNKNOWN) => return Arc::clone(&self.unknown),
            Some(OTHER) => return Arc::clone(&self.other),
            Some(name) => name,
        };
        {
            let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(kept) = named.get(name) {
                return Arc::clone(kept);
            }
            if named.len() >= self.places {
                return Arc::clone(&self.other);
            }
        }
        self.first_sight(name)
    }

    fn first_sight(&self, name: &str) -> Arc<V> {
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = named.get(name) {
            return Arc::clone(kept);
        }
        // Another thread may have taken the last place since the look above.
        if named.len() >= self.places {
            return Arc::clone(&self.other);
        }
        let kept = Arc::new((self.make)(name));
        named.insert(name.into(), Arc::clone(&kept));
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tenants_keep_their_names_and_all_others_share_one() {
        let labels = TenantLabels::new(2, str::to_owned);
        for (tenant, label) in [
            (Some("unknown"), "unknown"),
            (Some("other"), "other"),
            (None, "unknown"),
            (Some("a"), "a"),
            (Some("b"), "b"),
            (Some("c"), "other"),
            (Some("b"), "b"),
            (Some("a"), "a"),
            (Some("d"), "other"),
        ] {
            let tenant = tenant.map(|tenant| TenantId::new(tenant).unwrap());
            assert_eq!(*labels.of(tenant.as_ref()), label, "{tenant:?}");
        }
        assert_eq!(labels.named.read().unwrap().len(), 2);
    }

    #[test]
    fn no_more_places_are_taken_than_there_are_when_tenants_come_at_once() {
        let labels = TenantLabels::new(3, str::to_owned);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let labels = &labels;
                scope.spawn(move || {
                    for number in 0..500 {
                        labels.of(Some(&TenantId::new(&format!("t{thread}-{number}")).unwrap()));
                    }
                });
            }
        });
        assert_eq!(labels.named.read().unwrap().len(), 3);
    }

    #[test]
    fn without_places_every_tenant_is_other() {
        let labels = TenantLabels::new(0, str::to_owned);
        assert_eq!(*labels.of(Some(&TenantId::new("a").unwrap())), "other");
    }
}

//! What was looked up a moment ago and is not to be read again yet: it stands before the cache, which need not be asked again
//! for every batch. With ten thousand tenants that was a fifth of our CPU (docs/speed.md).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::lock;
use crate::domain::hashed::HashedAlready;
use crate::domain::ids::TenantId;
use crate::edge::prefetch::bring_near;
use crate::wire::window::tenant_key;

/// The cache hears of a tenant that is looked up all the time at least so often, and keeps it for that.
const LONGEST: Duration = Duration::from_secs(30);
/// Tenants at the most, at some 50 bytes each.
const MOST: u64 = 1 << 17;

/// A bounded memory of what belongs to tenants. It keeps nothing alive: what the cache lets go of is gone from here, too.
pub(super) struct Near<T> {
    /// By the hashes of the tenants: a look-up by name waits twice as long, for it cannot begin before the one before it ends.
    found: Mutex<HashMap<u128, Found<T>, HashedAlready>>,
    lasts: Duration,
    most: usize,
}

struct Found<T> {
    of: Weak<T>,
    until: Instant,
}

impl<T> Near<T> {
    /// Before a cache that holds so many tenants and forgets those that nobody looked up for `idle`.
    pub(super) fn before_cache(idle: Duration, tenants: u64) -> Self {
        let most = usize::try_from(tenants.min(MOST)).unwrap_or(usize::MAX);
        Self { found: Mutex::default(), lasts: LONGEST.min(idle / 4), most }
    }

    /// What is known of a tenant.
    pub(super) fn of(&self, tenant: &TenantId, now: Instant) -> Option<Arc<T>> {
        lasting(lock(&self.found).get(&tenant_key(tenant)), now)?.upgrade()
    }

    /// What is known of each of the tenants. All in one go: then memory is not waited for once a tenant.
    pub(super) fn of_all(&self, tenants: &[TenantId], now: Instant) -> Vec<Option<Arc<T>>> {
        let keys: Vec<u128> = tenants.iter().map(tenant_key).collect();
        let found = lock(&self.found);
        let lasting: Vec<_> = keys.iter().map(|key| lasting(found.get(key), now)).collect();
        bring_near(lasting.iter().flatten().map(|of| of.strong_count() as u64));
        lasting.into_iter().map(|of| of?.upgrade()).collect()
    }

    /// Keeps what is known until then, or for as long as may be. Where there is no room, what has lasted long enough gives way,
    /// or all where that is less than half: room is not to be made for every tenant anew.
    pub(super) fn put(&self, tenant: &TenantId, of: &Arc<T>, now: Instant, until: Instant) {
        let mut found = lock(&self.found);
        if found.len() >= self.most {
            found.retain(|_, found| now < found.until);
            if found.len() > self.most / 2 {
                found.clear();
            }
        }
        found.insert(tenant_key(tenant), Found { of: Arc::downgrade(of), until: until.min(now + self.lasts) });
    }

    /// What is known of the tenant is to be read again.
    pub(super) fn forget(&self, tenant: &TenantId) {
        lock(&self.found).remove(&tenant_key(tenant));
    }
}

fn lasting<T>(found: Option<&Found<T>>, now: Instant) -> Option<&Weak<T>> {
    found.filter(|found| now < found.until).map(|found| &found.of)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn tenant(number: u32) -> TenantId {
        TenantId::new(&format!("tenant-{number}")).unwrap()
    }

    #[test]
    fn what_was_found_lasts_until_its_end_or_a_quarter_of_what_the_cache_remembers_and_half_a_minute_at_the_most() {
        let now = Instant::now();
        for (idle, end, lasts) in
            [(2_000, 60_000, 500), (40_000, 60_000, 10_000), (3_600_000, 60_000, 30_000), (3_600_000, 700, 700)]
        {
            let near = Near::before_cache(Duration::from_millis(idle), 10);
            let one = Arc::new(1);
            near.put(&tenant(1), &one, now, now + Duration::from_millis(end));
            let after = |millis| now + Duration::from_millis(millis);
            for (at, want) in [(after(lasts - 1), Some(1)), (after(lasts), None)] {
                let want = want.map(Arc::new);
                assert_eq!(near.of(&tenant(1), at), want, "{idle} {end}");
                assert_eq!(near.of_all(&[tenant(2), tenant(1)], at), [None, want], "{idle} {end}");
            }
        }
    }

    #[test]
    fn no_more_is_kept_than_may_be_and_first_goes_what_is_old() {
        let (near, now) = (Near::before_cache(HOUR, 3), Instant::now());
        let numbers: Vec<Arc<u32>> = (0..9).map(Arc::new).collect();
        let put = |number: u32, seconds| {
            let at = now + Duration::from_secs(seconds);
            near.put(&tenant(number), &numbers[number as usize], at, at + HOUR);
        };
        let all: Vec<TenantId> = (0..9).map(tenant).collect();
        let kept = || {
            let near = near.of_all(&all, now + Duration::from_secs(60));
            near.into_iter().flatten().map(|of| *of).collect::<Vec<u32>>()
        };
        [(0, 0), (1, 0), (2, 60), (3, 60)].into_iter().for_each(|(number, seconds)| put(number, seconds));
        assert_eq!(kept(), [2, 3]);
        [(4, 60), (5, 60)].into_iter().for_each(|(number, seconds)| put(number, seconds));
        assert_eq!(kept(), [5], "all were young");
    }

    #[test]
    fn what_the_cache_lets_go_of_or_takes_back_is_not_kept() {
        let (near, now) = (Near::before_cache(HOUR, 3), Instant::now());
        let (one, two) = (Arc::new(1), Arc::new(2));
        near.put(&tenant(1), &one, now, now + HOUR);
        near.put(&tenant(2), &two, now, now + HOUR);
        drop(one);
        near.forget(&tenant(2));
        assert_eq!(near.of_all(&[tenant(1), tenant(2)], now), [None, None]);
    }
}

//! What was looked up a moment ago: it stands before the cache, which need not be asked again for every batch. With ten
//! thousand tenants that was a fifth of our CPU (docs/speed.md).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::lock;
use crate::domain::ids::TenantId;

/// The cache hears of a tenant that is looked up all the time at least so often, and keeps it for that.
const LONGEST: Duration = Duration::from_secs(1);
/// Tenants at the most, at some 50 bytes each.
const MOST: u64 = 1 << 16;

/// A bounded memory of what belongs to tenants. It keeps nothing alive: what the cache lets go of is gone from here, too.
pub(super) struct Near<T> {
    found: Mutex<HashMap<TenantId, Found<T>>>,
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

    /// What is known of each of the tenants. All in one go: then memory is not waited for once a tenant.
    pub(super) fn of_all(&self, tenants: &[TenantId], now: Instant) -> Vec<Option<Arc<T>>> {
        let found = lock(&self.found);
        let lasting = |tenant| found.get(tenant).filter(|found| now < found.until);
        tenants.iter().map(|tenant| lasting(tenant)?.of.upgrade()).collect()
    }

    /// Keeps what the cache gave. Where there is no room, what has lasted long enough gives way, or all where that is less than
    /// half: room is not to be made for every tenant anew.
    pub(super) fn put(&self, tenant: &TenantId, of: &Arc<T>, now: Instant) {
        let mut found = lock(&self.found);
        if found.len() >= self.most {
            found.retain(|_, found| now < found.until);
            if found.len() > self.most / 2 {
                found.clear();
            }
        }
        found.insert(tenant.clone(), Found { of: Arc::downgrade(of), until: now + self.lasts });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u32) -> TenantId {
        TenantId::new(&format!("tenant-{number}")).unwrap()
    }

    #[test]
    fn what_was_found_lasts_a_quarter_of_what_the_cache_remembers_and_a_second_at_the_most() {
        let now = Instant::now();
        for (idle, lasts) in [(2_000, 500), (8_000, 1_000), (3_600_000, 1_000)] {
            let near = Near::before_cache(Duration::from_millis(idle), 10);
            let one = Arc::new(1);
            near.put(&tenant(1), &one, now);
            let after = |millis| near.of_all(&[tenant(2), tenant(1)], now + Duration::from_millis(millis));
            assert_eq!(after(lasts - 1), [None, Some(Arc::new(1))], "{idle}");
            assert_eq!(after(lasts), [None, None], "{idle}");
        }
    }

    #[test]
    fn no_more_is_kept_than_may_be_and_first_goes_what_is_old() {
        let (near, now) = (Near::before_cache(Duration::from_secs(60), 3), Instant::now());
        let numbers: Vec<Arc<u32>> = (0..9).map(Arc::new).collect();
        let put = |number: u32, seconds| {
            near.put(&tenant(number), &numbers[number as usize], now + Duration::from_secs(seconds));
        };
        let all: Vec<TenantId> = (0..9).map(tenant).collect();
        let kept = || {
            let near = near.of_all(&all, now + Duration::from_secs(5));
            near.into_iter().flatten().map(|of| *of).collect::<Vec<u32>>()
        };
        [(0, 0), (1, 0), (2, 5), (3, 5)].into_iter().for_each(|(number, seconds)| put(number, seconds));
        assert_eq!(kept(), [2, 3]);
        [(4, 5), (5, 5)].into_iter().for_each(|(number, seconds)| put(number, seconds));
        assert_eq!(kept(), [5], "all were young");
    }

    #[test]
    fn what_the_cache_lets_go_of_is_not_kept() {
        let (near, now) = (Near::before_cache(Duration::from_secs(60), 3), Instant::now());
        let one = Arc::new(1);
        near.put(&tenant(1), &one, now);
        drop(one);
        assert_eq!(near.of_all(&[tenant(1)], now), [None]);
    }
}

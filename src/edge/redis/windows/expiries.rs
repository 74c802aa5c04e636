//! When the windows end that this process gave a time to live: a bounded memory of hashes. What it forgets is refreshed
//! once more than it need be.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::longer;
use super::neighbours::neighbours;
use crate::edge::prefetch::bring_near;
use crate::edge::windows::CustomerBets;

/// Customers remembered, at 16 bytes each; memory is taken as they come.
const REMEMBERED: usize = 1 << 19;

/// Bytes that they take at the most.
pub(in super::super) const MEMORY: usize = REMEMBERED * size_of::<Place>();

/// Clones of a store share it.
pub(in super::super) struct Expiries {
    began: Instant,
    places: Mutex<Vec<Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    /// The half of the hash that does not choose the place.
    tag: u64,
    /// Milliseconds since `began`; 0 is no end.
    ends_at: u64,
}

/// A key that is given a time to live: its place in the batch, its hash, and the end that it has from now on at least.
pub(super) struct Expiring {
    pub(super) place: usize,
    hash: u128,
    ends_at: u64,
}

impl Expiries {
    pub(in super::super) fn new() -> Self {
        Self { began: Instant::now(), places: Mutex::default() }
    }

    /// Those of a batch's keys that are not known to live long enough, in their order.
    pub(super) fn due(&self, batch: &[CustomerBets]) -> Vec<Expiring> {
        let (now, places) = (millis(self.began.elapsed()), self.places());
        let near = batch.iter().filter_map(|bets| places.get(neighbours(bets.key, REMEMBERED).1));
        bring_near(near.flatten().map(|place| place.tag));
        let due = |(_, bets): &(usize, &CustomerBets)| !lasts(&places, bets.key, now, bets.ttl);
        let expiring = |(place, bets): (usize, &CustomerBets)| Expiring {
            place,
            hash: bets.key,
            ends_at: end(now, longer(bets.ttl)),
        };
        batch.iter().enumerate().filter(due).map(expiring).collect()
    }

    /// Takes note of the ends that keys have now. Where there is no place for one, that of the nearest end gives way.
    pub(super) fn note(&self, expiring: &[Expiring]) {
        if expiring.is_empty() {
            return;
        }
        let mut places = self.places();
        if places.is_empty() {
            *places = vec![Place { tag: 0, ends_at: 0 }; REMEMBERED];
        }
        for one in expiring {
            let (tag, near) = neighbours(one.hash, REMEMBERED);
            let near = &mut places[near];
            let known = near.iter().position(|place| place.tag == tag);
            let least = || (0..near.len()).min_by_key(|place| near[*place].ends_at).unwrap_or(0);
            near[known.unwrap_or_else(least)] = Place { tag, ends_at: one.ends_at };
        }
    }

    pub(super) fn forget(&self, hash: u128) {
        let (tag, near) = neighbours(hash, REMEMBERED);
        if let Some(near) = self.places().get_mut(near) {
            near.iter_mut().filter(|place| place.tag == tag).for_each(|place| place.ends_at = 0);
        }
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a key is known to live for so long from `now`.
fn lasts(places: &[Place], hash: u128, now: u64, ttl: Duration) -> bool {
    let (tag, near) = neighbours(hash, REMEMBERED);
    let wanted = now.saturating_add(millis(ttl));
    places.get(near).is_some_and(|near| near.iter().any(|place| place.tag == tag && place.ends_at >= wanted))
}

/// When a key ends that is given so long at `now`.
fn end(now: u64, ttl: Duration) -> u64 {
    now.saturating_add(millis(ttl))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn note(expiries: &Expiries, hash: u128, ends_at: u64) {
        expiries.note(&[Expiring { place: 0, hash, ends_at }]);
    }

    #[test]
    fn a_key_lasts_until_the_end_it_was_given_and_not_beyond() {
        let expiries = Expiries::new();
        let lasts = |hash, now, ttl| lasts(&expiries.places(), hash, now, ttl);
        assert!(!lasts(7, 0, MINUTE), "nothing is known of it");
        note(&expiries, 7, end(0, 5 * MINUTE));
        assert!(lasts(7, 0, MINUTE) && lasts(7, 240_000, MINUTE));
        assert!(!lasts(7, 240_001, MINUTE));
        assert!(!lasts(7 | 1 << 64, 0, MINUTE), "another key");
        expiries.forget(7);
        assert!(!lasts(7, 0, MINUTE));
    }

    #[test]
    fn where_there_is_no_place_the_nearest_end_gives_way() {
        let expiries = Expiries::new();
        let of = |tag: u128| tag << 64;
        for tag in 1..=4 {
            note(&expiries, of(tag), end(0, MINUTE * (10 - tag as u32)));
        }
        note(&expiries, of(5), end(0, 5 * MINUTE));
        let known: Vec<u128> = (1..=5).filter(|tag| lasts(&expiries.places(), of(*tag), 0, MINUTE)).collect();
        assert_eq!(known, [1, 2, 3, 5]);
    }
}

//! How often, and how many at once, a source is asked.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::lock;

/// What a lane may hand out at once after it stood idle: one second's worth.
const BURST: Duration = Duration::from_secs(1);

/// A class of look-ups with a rate of its own, in order of arrival. Nobody is turned away, everybody waits.
pub(super) struct Lane {
    interval: Duration,
    /// When the bucket will have refilled what has been taken from it.
    full_at: Mutex<Instant>,
    places: Semaphore,
}

/// The right to make one look-up; its place is free again when this is dropped.
pub(super) struct Pass<'a> {
    _place: Option<SemaphorePermit<'a>>,
}

impl Lane {
    pub(super) fn new(per_second: NonZeroU32, at_once: usize) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.get(),
            full_at: Mutex::new(Instant::now()),
            places: Semaphore::new(at_once),
        }
    }

    pub(super) async fn enter(&self) -> Pass<'_> {
        // The place comes first: a token taken while waiting for a place would be used too late, in a burst.
        let place = self.places.acquire().await.ok();
        let wait = self.take_token();
        if !wait.is_zero() {
            sleep(wait).await;
        }
        Pass { _place: place }
    }

    fn take_token(&self) -> Duration {
        let now = Instant::now();
        let mut full_at = lock(&self.full_at);
        *full_at = (*full_at).max(now) + self.interval;
        full_at.duration_since(now).saturating_sub(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_gives_its_burst_at_once_and_then_keeps_its_rate() {
        let lane = Lane::new(NonZeroU32::new(10).unwrap(), 1);
        let start = Instant::now();
        for (entry, due) in [(1, 0), (10, 0), (11, 100), (12, 200), (30, 2_000)] {
            let lane = Lane::new(NonZeroU32::new(10).unwrap(), 1);
            let start = Instant::now();
            for _ in 0..entry {
                drop(lane.enter().await);
            }
            assert_eq!(start.elapsed().as_millis(), due, "entry {entry}");
        }
        // An idle lane saves up no more than its burst.
        drop(lane.enter().await);
        assert!(start.elapsed() > Duration::from_secs(2));
        let rested = Instant::now();
        for _ in 0..20 {
            drop(lane.enter().await);
        }
        assert_eq!(rested.elapsed().as_millis(), 1_100);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_places_are_taken_at_once() {
        let lane = Lane::new(NonZeroU32::MAX, 2);
        let first = lane.enter().await;
        let _second = lane.enter().await;
        let third = lane.enter();
        tokio::pin!(third);
        assert!(futures_util::poll!(third.as_mut()).is_pending());
        drop(first);
        assert!(futures_util::poll!(third.as_mut()).is_ready());
    }
}

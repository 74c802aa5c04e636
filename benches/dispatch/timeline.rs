//! When each command passed each station, by one clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::commands::Plan;
use super::services::wait_for;

/// A station on the way of a command.
#[derive(Clone, Copy)]
pub enum Stamp {
    Acknowledged,
    LookedUp,
    Arrived,
    Answered,
    Fixed,
    Readable,
}

/// Microseconds since 1970 at each station; 0 where it was not passed. The first time counts.
#[derive(Default)]
pub struct Stamps([AtomicI64; 6]);

impl Stamps {
    pub fn between(&self, from: Stamp, to: Stamp) -> Option<i64> {
        Some(self.at(to)? - self.at(from)?)
    }

    fn at(&self, stamp: Stamp) -> Option<i64> {
        Some(self.0[stamp as usize].load(Ordering::Relaxed)).filter(|at| *at > 0)
    }
}

/// All commands of a run, by the ids that they have on the wire.
pub struct Timeline {
    places: HashMap<String, usize>,
    stamps: Vec<Stamps>,
}

impl Timeline {
    pub fn of<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Arc<Self> {
        let ids = plans.into_iter().flat_map(Plan::ids);
        let places: HashMap<String, usize> = ids.enumerate().map(|(place, id)| (id, place)).collect();
        let stamps = std::iter::repeat_with(Stamps::default).take(places.len()).collect();
        Arc::new(Self { places, stamps })
    }

    pub fn stamp(&self, id: &str, stamp: Stamp, at: i64) {
        if let Some(place) = self.places.get(id) {
            self.stamp_place(*place, stamp, at);
        }
    }

    pub fn stamp_place(&self, place: usize, stamp: Stamp, at: i64) {
        let _ = self.stamps[place].0[stamp as usize].compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub fn until_readable(&self, places: impl IntoIterator<Item = usize> + Clone, patience: Duration) {
        wait_for(patience, "every command has an outcome", || {
            let open = |place: &usize| self.stamps[*place].between(Stamp::Readable, Stamp::Readable).is_none();
            match places.clone().into_iter().filter(open).count() {
                0 => Ok(()),
                left => Err(format!("{left} have none")),
            }
        });
    }

    pub fn spans(&self, places: impl IntoIterator<Item = usize>, span: impl Fn(&Stamps) -> Option<i64>) -> Vec<i64> {
        places.into_iter().filter_map(|place| span(&self.stamps[place])).collect()
    }
}

impl Timeline {
    /// How many outcomes of these commands became readable in a second.
    pub fn rate(&self, places: &[usize]) -> f64 {
        let at = || places.iter().filter_map(|place| self.stamps[*place].at(Stamp::Readable));
        let span = at().max().unwrap_or(0) - at().min().unwrap_or(0);
        at().count() as f64 * 1e6 / span.max(1) as f64
    }
}

/// Microseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock in this century");
    i64::try_from(since.as_micros()).expect("a clock in this century")
}

/// Of spans in microseconds, in milliseconds.
pub fn percentiles(mut spans: Vec<i64>) -> String {
    spans.sort_unstable();
    let at = |share: f64| {
        let place = ((spans.len() as f64 * share) as usize).min(spans.len().saturating_sub(1));
        spans.get(place).map_or(f64::NAN, |span| *span as f64 / 1e3)
    };
    format!("{:>8.2} / {:>8.2}", at(0.5), at(0.99))
}

//! The circuit breaker of preferences: whether a trigger fires far more often since what is set for it was changed.
//!
//! A trigger is compared with itself before the change: how often it fires in a minute, and how often for each event that
//! is tested. Both must have risen by the factor, so that more traffic alone trips nothing, nor does a backlog that is
//! caught up with. Time comes in as an argument; one breaker sees the share of the traffic that its process has.

use std::collections::HashMap;
use std::time::Duration;

use super::ids::TenantId;
use super::preferences::Setting;
use super::time::{Timestamp, millis};
use super::trigger::Trigger;

/// The most tenants that are watched; those that were not heard of for a window make room.
const MOST_TENANTS: usize = 20_000;
/// In how many parts a window is forgotten.
const PARTS: usize = 10;
/// What comes within so long of a change is taken to be spread over it: a single batch is no rate.
const SHORTEST: Duration = Duration::from_secs(60);

/// What a breaker goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Beyond so many times the rate before.
    pub factor: u32,
    /// Fewer commands since the change judge nothing; and a trigger that fired less than so often in a window is taken to
    /// have fired so often.
    pub least: u32,
    /// How long before the change is compared with, and how long after it is judged.
    pub window: Duration,
}

/// What the decision for one event was, as far as a breaker asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A customer is to be asked who was not asked before.
    Fired,
    Tested,
}

/// A trigger that fires too often since its setting was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trip {
    pub before: Rate,
    pub after: Rate,
}

/// So many of so many events fired within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub fired: u64,
    pub tested: u64,
    pub within: Duration,
}

impl Rate {
    /// How often it fired in a minute.
    #[allow(clippy::cast_precision_loss, reason = "for people, to a tenth")]
    pub fn per_minute(&self) -> f64 {
        if self.within.is_zero() { 0.0 } else { self.fired as f64 * 60.0 / self.within.as_secs_f64() }
    }
}

/// What is known of every tenant's triggers.
#[derive(Debug, Clone)]
pub struct Breaker {
    terms: Terms,
    tenants: HashMap<TenantId, Watched>,
}

#[derive(Debug, Clone)]
struct Watched {
    heard: Timestamp,
    triggers: Vec<(Trigger, Track)>,
}

/// One tenant's trigger.
#[derive(Debug, Clone)]
struct Track {
    setting: Setting,
    began: Timestamp,
    /// The parts of a window, each with the number of the part that it is of, counted from 1970.
    parts: [(i64, Sum); PARTS],
    judging: Option<Judging>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    fired: u64,
    tested: u64,
}

/// A change that is being judged.
#[derive(Debug, Clone, Copy)]
struct Judging {
    since: Timestamp,
    before: Rate,
    after: Sum,
}

impl Breaker {
    pub fn new(terms: Terms) -> Self {
        Self { terms, tenants: HashMap::new() }
    }

    /// Hears of an event that was decided for a trigger as it is set now. `accepted` is when somebody last accepted how
    /// often the trigger fires. The first trip after a change is told, and then no other until the next change.
    pub fn hear(
        &mut self,
        (tenant, trigger): (&TenantId, Trigger),
        setting: Setting,
        heard: Heard,
        accepted: Option<Timestamp>,
        at: Timestamp,
    ) -> Option<Trip> {
        let terms = self.terms;
        let track = self.track(tenant, trigger, setting, at)?;
        if track.setting != setting {
            // A further change is judged by what was before the first.
            let before = track.judging.map_or_else(|| track.rate(&terms, at), |judging| judging.before);
            track.setting = setting;
            track.judging = Some(Judging { since: at, before, after: Sum::default() });
        }
        track.add(&terms, heard, at);
        let judging = track.judging.as_mut()?;
        if accepted.is_some_and(|accepted| accepted >= judging.since) || at.since(judging.since) >= terms.window {
            track.judging = None;
            return None;
        }
        judging.after.add(heard);
        let trip = judging.trip(&terms, at)?;
        *track = Track::new(setting, at);
        Some(trip)
    }

    /// A trigger asks nobody at the moment: what it would have done is not judged, and what it did before is forgotten.
    pub fn rest(&mut self, (tenant, trigger): (&TenantId, Trigger), setting: Setting, at: Timestamp) {
        if let Some(track) = self.track(tenant, trigger, setting, at) {
            *track = Track::new(setting, at);
        }
    }

    /// The track of a trigger, a new one where there is none. `None`: there is no room.
    fn track(&mut self, tenant: &TenantId, trigger: Trigger, setting: Setting, at: Timestamp) -> Option<&mut Track> {
        if !self.tenants.contains_key(tenant) {
            if self.tenants.len() >= MOST_TENANTS {
                let oldest = at.minus(self.terms.window);
                self.tenants.retain(|_, watched| watched.heard > oldest);
            }
            if self.tenants.len() >= MOST_TENANTS {
                return None;
            }
            self.tenants.insert(tenant.clone(), Watched { heard: at, triggers: Vec::new() });
        }
        let watched = self.tenants.get_mut(tenant)?;
        watched.heard = at.max(watched.heard);
        let place = watched.triggers.iter().position(|(known, _)| *known == trigger).unwrap_or_else(|| {
            watched.triggers.push((trigger, Track::new(setting, at)));
            watched.triggers.len() - 1
        });
        watched.triggers.get_mut(place).map(|(_, track)| track)
    }
}

impl Track {
    fn new(setting: Setting, at: Timestamp) -> Self {
        Self { setting, began: at, parts: [(i64::MIN, Sum::default()); PARTS], judging: None }
    }

    fn add(&mut self, terms: &Terms, heard: Heard, at: Timestamp) {
        let number = part(terms, at);
        // The remainder is less than the number of parts.
        let place = usize::try_from(number.rem_euclid(PARTS as i64)).unwrap_or_default();
        let (of, sum) = &mut self.parts[place];
        if *of != number {
            (*of, *sum) = (number, Sum::default());
        }
        sum.add(heard);
    }

    /// How often it fired lately: in the parts of a window that end now.
    fn rate(&self, terms: &Terms, at: Timestamp) -> Rate {
        let last = part(terms, at);
        let first = last.saturating_sub(PARTS as i64 - 1);
        let recent = self.parts.iter().filter(|(number, _)| (first..=last).contains(number));
        let (fired, tested) = recent.fold((0, 0), |(fired, tested), (_, sum)| (fired + sum.fired, tested + sum.tested));
        let since = self.began.max(Timestamp(first.saturating_mul(part_millis(terms))));
        Rate { fired, tested, within: at.since(since).max(terms.shortest()) }
    }
}

impl Sum {
    fn add(&mut self, heard: Heard) {
        self.tested += 1;
        self.fired += u64::from(heard == Heard::Fired);
    }
}

impl Judging {
    fn trip(&self, terms: &Terms, at: Timestamp) -> Option<Trip> {
        let Self { before, after: Sum { fired, tested }, since } = *self;
        let within = at.since(since).max(terms.shortest());
        let (factor, least) = (u128::from(terms.factor), u128::from(terms.least));
        let [after, before_fired] = [fired, before.fired].map(u128::from);
        // Each compares two fractions by their cross products.
        let often = after * before.within.as_millis() > factor * before_fired * within.as_millis();
        let many = after * terms.window.as_millis() > factor * least * within.as_millis();
        let of_events =
            before.tested == 0 || after * u128::from(before.tested) > factor * before_fired * u128::from(tested);
        (after >= least && often && many && of_events).then_some(Trip { before, after: Rate { fired, tested, within } })
    }
}

impl Terms {
    fn shortest(&self) -> Duration {
        SHORTEST.min(self.window)
    }
}

/// The number of the part of a window that a time lies in.
fn part(terms: &Terms, at: Timestamp) -> i64 {
    at.0.div_euclid(part_millis(terms))
}

fn part_millis(terms: &Terms) -> i64 {
    (millis(terms.window) / PARTS as i64).max(1)
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;

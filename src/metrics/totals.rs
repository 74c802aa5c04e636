//! Sums over every tenant, for people who look at one process: what it did since it started.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::Histogram;
use prometheus::core::Metric as _;

use super::labels::{EventResult, HeldReason, ResponseClass, Role};
use super::{Metrics, cell};
use crate::domain::decide::Decision;
use crate::domain::outcome::{Ending, RejectCode};
use crate::domain::trigger::Trigger;
use crate::metrics::HttpTarget;

/// Counters that stand for all tenants.
pub(super) struct Sums {
    /// By result.
    events: Box<[AtomicU64]>,
    /// By trigger, then decision.
    decisions: Box<[AtomicU64]>,
    /// By status.
    outcomes: Box<[AtomicU64]>,
}

impl Sums {
    pub(super) fn new() -> Self {
        let zeros = |places: usize| (0..places).map(|_| AtomicU64::new(0)).collect();
        Self {
            events: zeros(EventResult::ALL.len()),
            decisions: zeros(Trigger::ALL.len() * Decision::NAMES.len()),
            outcomes: zeros(Ending::STATUSES.len()),
        }
    }

    pub(super) fn event(&self, result: EventResult, n: u64) {
        bump(&self.events, result as usize, n);
    }

    pub(super) fn decision(&self, place: usize, n: u64) {
        bump(&self.decisions, place, n);
    }

    pub(super) fn outcome(&self, status: &str) {
        bump(&self.outcomes, Ending::STATUSES.iter().position(|known| *known == status).unwrap_or(usize::MAX), 1);
    }
}

fn bump(sums: &[AtomicU64], place: usize, n: u64) {
    if let Some(sum) = sums.get(place) {
        sum.fetch_add(n, Ordering::Relaxed);
    }
}

/// What a process did since it started, all tenants together.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    events: Vec<u64>,
    decisions: Vec<u64>,
    outcomes: Vec<u64>,
    dead_letters: Vec<u64>,
    /// Answers of the session API, by class.
    answers: Vec<u64>,
    /// From the acknowledgement of an event to that of its command.
    pub command_latency: Spread,
    /// From a command to its outcome.
    pub session_latency: Spread,
}

impl Totals {
    pub fn events(&self, result: EventResult) -> u64 {
        at(&self.events, result as usize)
    }

    /// By the decision's name, one of [`Decision::NAMES`].
    pub fn decisions(&self, trigger: Trigger, name: &str) -> u64 {
        at(&self.decisions, cell(trigger, &Decision::NAMES, name))
    }

    /// Each status of an outcome, and how many had it.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Ending::STATUSES.iter().enumerate().map(|(place, status)| (*status, at(&self.outcomes, place)))
    }

    pub fn dead_letters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RejectCode::ALL.iter().map(|code| (code.name(), at(&self.dead_letters, *code as usize)))
    }

    /// Each class of the session API's answers, and how many were of it.
    pub fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ResponseClass::ALL.iter().map(|class| (class.name(), at(&self.answers, *class as usize)))
    }
}

fn at(sums: &[u64], place: usize) -> u64 {
    sums.get(place).copied().unwrap_or_default()
}

/// A histogram as it stood at one moment.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    /// Upper bounds in seconds, rising, and how many were at most so much.
    buckets: Vec<(f64, u64)>,
    count: u64,
}

impl Spread {
    fn of(histogram: &Histogram) -> Self {
        let metric = histogram.metric();
        let histogram = metric.get_histogram();
        let buckets = histogram.get_bucket().iter();
        Self {
            buckets: buckets.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect(),
            count: histogram.get_sample_count(),
        }
    }

    /// How many were measured since `earlier`.
    pub fn since(&self, earlier: &Self) -> u64 {
        self.count.saturating_sub(earlier.count)
    }

    /// Seconds within which a share of those since `earlier` stayed, to the bound of a bucket. `None`: there were none.
    /// Infinite where it is beyond the last bound.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn within(&self, earlier: &Self, share: f64) -> Option<f64> {
        let all = self.since(earlier);
        let before = |place: usize| earlier.buckets.get(place).map_or(0, |(_, count)| *count);
        let reaches = |(place, (_, count)): &(usize, &(f64, u64))| {
            count.saturating_sub(before(*place)) as f64 >= all as f64 * share
        };
        let bound = self.buckets.iter().enumerate().find(reaches).map_or(f64::INFINITY, |(_, (bound, _))| *bound);
        (all > 0).then_some(bound)
    }
}

/// A partition that this process has, and how far behind it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    pub role: Role,
    pub topic: String,
    pub partition: i32,
    pub records: u64,
}

impl Metrics {
    pub fn totals(&self) -> Totals {
        let all = |sums: &[AtomicU64]| sums.iter().map(|sum| sum.load(Ordering::Relaxed)).collect();
        let sums = &self.0.sums;
        let of_sessions = HttpTarget::Session as usize * ResponseClass::ALL.len();
        let answers = self.0.http_responses.iter().skip(of_sessions).take(ResponseClass::ALL.len());
        Totals {
            events: all(&sums.events),
            decisions: all(&sums.decisions),
            outcomes: all(&sums.outcomes),
            dead_letters: self.0.dead_letters.iter().map(prometheus::IntCounter::get).collect(),
            answers: answers.map(prometheus::IntCounter::get).collect(),
            command_latency: Spread::of(&self.0.command_latency),
            session_latency: Spread::of(&self.0.session_latency),
        }
    }

    /// The partitions of this process, by role, topic and number.
    pub fn behind(&self) -> Vec<Behind> {
        self.0.lag.all()
    }

    /// Which roles are held at this moment, and why.
    pub fn held(&self) -> Vec<(Role, HeldReason)> {
        let holders = self.0.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = Role::ALL.iter().flat_map(|role| HeldReason::ALL.iter().map(|reason| (*role, *reason)));
        pairs.zip(holders.iter()).filter(|(_, holders)| **holders > 0).map(|(pair, _)| pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::decide::{Facts, Standing};
    use crate::domain::ids::TenantId;

    #[test]
    fn totals_are_the_sums_over_tenants_and_no_label_is_needed_for_them() {
        let metrics = Metrics::new(1).unwrap();
        let required = Decision::Required { facts: Facts::Plain, standing: Standing::First };
        for (tenant, n) in [("a", 2), ("b", 3), ("c", 4)] {
            let tenant = TenantId::new(tenant).unwrap();
            metrics.of(Some(&tenant)).decisions(Trigger::Login, required.called(), n);
            metrics.events(Some(&tenant), None, EventResult::Decided, n);
        }
        metrics.dead_letters(RejectCode::InvalidJson, 7);
        let totals = metrics.totals();
        assert_eq!(totals.decisions(Trigger::Login, "required"), 9);
        assert_eq!(totals.decisions(Trigger::Deposit, "required"), 0);
        assert_eq!(totals.events(EventResult::Decided), 9);
        let dead: Vec<_> = totals.dead_letters().filter(|(_, count)| *count > 0).collect();
        assert_eq!(dead, [("invalid_json", 7)]);
    }

    #[test]
    fn a_spread_tells_of_what_came_since_an_earlier_one() {
        let metrics = Metrics::new(1).unwrap();
        let none = metrics.totals().command_latency;
        assert_eq!(none.within(&Spread::default(), 0.99), None);
        (0..99).for_each(|_| metrics.command_latency(Duration::from_millis(2)));
        let early = metrics.totals().command_latency;
        metrics.command_latency(Duration::from_secs(3_600));
        let late = metrics.totals().command_latency;
        let half = late.within(&none, 0.5).unwrap();
        assert!((0.002..0.1).contains(&half), "{half}");
        assert_eq!((late.since(&early), late.within(&early, 0.5)), (1, Some(f64::INFINITY)));
    }

    #[test]
    fn what_holds_a_role_is_told_while_it_does() {
        let metrics = Metrics::new(1).unwrap();
        let held = metrics.hold(Role::Dispatch, HeldReason::Outcomes);
        assert_eq!(metrics.held(), [(Role::Dispatch, HeldReason::Outcomes)]);
        drop(held);
        assert_eq!(metrics.held(), []);
        metrics.set_lag(Role::Evaluate, "activity", 3, 12);
        let behind = Behind { role: Role::Evaluate, topic: "activity".into(), partition: 3, records: 12 };
        assert_eq!(metrics.behind(), [behind]);
    }
}

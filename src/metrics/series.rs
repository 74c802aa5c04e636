//! Where the declarations become live series, with handles at hand for the hot ones.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::catalogue::{self, Entry};
use super::labels::{
    CandidateChange, EventResult, HeldReason, HttpTarget, LookupResult, RedisOperation, ResponseClass, RetryReason,
    Role,
};
use super::lag::Lag;
use super::tenants::TenantLabels;
use super::totals::Sums;
use super::trouble::Trouble;
use crate::domain::decide::Decision;
use crate::domain::outcome::{Ending, RejectCode};
use crate::domain::trigger::{ActivityType, Trigger};

/// Every live series. A vector of handles stands in the order of its label's closed list.
pub(super) struct Series {
    pub(super) registry: Registry,
    pub(super) tenants: TenantLabels<TenantSeries>,
    pub(super) sums: Sums,
    pub(super) events: IntCounterVec,
    pub(super) decisions: IntCounterVec,
    pub(super) commands: IntCounterVec,
    pub(super) shadow_decisions: IntCounterVec,
    pub(super) candidate_decisions: IntCounterVec,
    pub(super) candidate_changes: IntCounterVec,
    pub(super) candidate_skipped: IntCounter,
    pub(super) outcomes: IntCounterVec,
    pub(super) contradictions: IntCounterVec,
    pub(super) paused: IntCounterVec,
    pub(super) dead_letters: Vec<IntCounter>,
    /// In the order of the decisions' names.
    pub(super) receipts: Vec<IntCounter>,
    pub(super) command_latency: Histogram,
    pub(super) session_latency: Histogram,
    pub(super) lag: Lag,
    pub(super) held: IntGaugeVec,
    /// How many hold a role for a reason, by role and reason.
    pub(super) holders: Mutex<Vec<usize>>,
    pub(super) trouble: Trouble,
    pub(super) inflight: IntGaugeVec,
    pub(super) assigned_partitions: IntGaugeVec,
    pub(super) rebalances: IntCounterVec,
    pub(super) refills: Refills,
    pub(super) commits: IntCounterVec,
    pub(super) late_bets: IntCounter,
    pub(super) folded_commands: IntCounter,
    pub(super) retries: Vec<IntCounter>,
    pub(super) parked: IntCounter,
    pub(super) trace_spans_dropped: IntCounter,
    pub(super) lost_answers: IntCounter,
    pub(super) orphan_sessions: IntCounter,
    pub(super) paused_tenants: IntGauge,
    pub(super) controls: Shown,
    pub(super) breaker_open: Shown,
    pub(super) breaker_trips: IntCounterVec,
    pub(super) preferences_lookups: Vec<IntCounter>,
    pub(super) preferences_oldest_age: Gauge,
    pub(super) preferences_cached: IntGauge,
    pub(super) redis: Vec<Histogram>,
    pub(super) http: Vec<Histogram>,
    /// By target, then class.
    pub(super) http_responses: Vec<IntCounter>,
}

/// The counters of one tenant label. A series begins to exist with the first thing that it counts.
pub(super) struct TenantSeries {
    pub(super) label: String,
    /// By type, the unknown one last, then result.
    pub(super) events: Cells,
    /// By trigger, then decision.
    pub(super) decisions: Cells,
    pub(super) commands: Cells,
    /// By trigger, then decision.
    pub(super) shadow_decisions: Cells,
    pub(super) candidate_decisions: Cells,
    /// By trigger, then change.
    pub(super) candidate_changes: Cells,
    /// By trigger, then status.
    pub(super) outcomes: Cells,
    pub(super) contradictions: Cells,
    pub(super) paused: Cells,
}

impl TenantSeries {
    fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            events: Cells::new((ActivityType::ALL.len() + 1) * EventResult::ALL.len()),
            decisions: Cells::new(Trigger::ALL.len() * Decision::NAMES.len()),
            commands: Cells::new(Trigger::ALL.len()),
            shadow_decisions: Cells::new(Trigger::ALL.len() * Decision::NAMES.len()),
            candidate_decisions: Cells::new(Trigger::ALL.len() * Decision::NAMES.len()),
            candidate_changes: Cells::new(Trigger::ALL.len() * CandidateChange::ALL.len()),
            outcomes: Cells::new(Trigger::ALL.len() * Ending::STATUSES.len()),
            contradictions: Cells::new(Trigger::ALL.len()),
            paused: Cells::new(1),
        }
    }
}

/// A gauge that is 1 for the labels that are shown, and has no series for any others.
pub(super) struct Shown {
    vector: IntGaugeVec,
    shown: Mutex<BTreeSet<Vec<String>>>,
}

impl Shown {
    pub(super) fn of(vector: IntGaugeVec) -> Self {
        Self { vector, shown: Mutex::default() }
    }

    /// Shows these in place of those shown before.
    pub(super) fn show(&self, labels: BTreeSet<Vec<String>>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.difference(&labels) {
            // What was shown has a series.
            let _ = self.vector.remove_label_values(gone);
        }
        for label in &labels {
            self.vector.with_label_values(label).set(1);
        }
        *shown = labels;
    }
}

/// Handles of counters, each fetched once.
pub(super) struct Cells(Box<[OnceLock<IntCounter>]>);

impl Cells {
    fn new(cells: usize) -> Self {
        Self((0..cells).map(|_| OnceLock::new()).collect())
    }

    /// Adds `n` to the cell, which `fetch` finds at its first use. Adding nothing leaves no series behind.
    pub(super) fn add(&self, cell: usize, n: u64, fetch: impl FnOnce() -> IntCounter) {
        if n == 0 {
            return;
        }
        match self.0.get(cell) {
            Some(cell) => cell.get_or_init(fetch).inc_by(n),
            None => fetch().inc_by(n),
        }
    }
}

impl Series {
    pub(super) fn new(max_tenants: usize) -> Result<Self, prometheus::Error> {
        let to = Registry::new();
        to.register(Box::new(ProcessCollector::for_self()))?;
        gauges(&to, &catalogue::BUILD_INFO)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let http_responses = counters(&to, &catalogue::HTTP_RESPONSES)?;
        let lag = Lag::new(&catalogue::CONSUMER_LAG)?;
        to.register(Box::new(lag.clone()))?;
        Ok(Self {
            tenants: TenantLabels::new(max_tenants, TenantSeries::new),
            sums: Sums::new(),
            events: counters(&to, &catalogue::EVENTS)?,
            decisions: counters(&to, &catalogue::DECISIONS)?,
            commands: counters(&to, &catalogue::COMMANDS)?,
            shadow_decisions: counters(&to, &catalogue::SHADOW_DECISIONS)?,
            candidate_decisions: counters(&to, &catalogue::CANDIDATE_DECISIONS)?,
            candidate_changes: counters(&to, &catalogue::CANDIDATE_CHANGES)?,
            candidate_skipped: counter(&to, &catalogue::CANDIDATE_SKIPPED)?,
            outcomes: counters(&to, &catalogue::OUTCOMES)?,
            contradictions: counters(&to, &catalogue::CONTRADICTIONS)?,
            paused: counters(&to, &catalogue::PAUSED)?,
            receipts: each(&counters(&to, &catalogue::RECEIPTS)?, &Decision::NAMES, |name| name),
            dead_letters: each(&counters(&to, &catalogue::DEAD_LETTERS)?, RejectCode::ALL, |code| code.name()),
            command_latency: histogram(&to, &catalogue::COMMAND_LATENCY_SECONDS, catalogue::COMMAND_LATENCY)?,
            session_latency: histogram(&to, &catalogue::SESSION_LATENCY_SECONDS, catalogue::SESSION_LATENCY)?,
            lag,
            held: gauges(&to, &catalogue::HELD)?,
            holders: Mutex::new(vec![0; Role::ALL.len() * HeldReason::ALL.len()]),
            trouble: Trouble::new(&to)?,
            inflight: gauges(&to, &catalogue::INFLIGHT)?,
            assigned_partitions: gauges(&to, &catalogue::ASSIGNED_PARTITIONS)?,
            rebalances: counters(&to, &catalogue::REBALANCES)?,
            refills: Refills::new(&to)?,
            commits: counters(&to, &catalogue::COMMITS)?,
            late_bets: counter(&to, &catalogue::LATE_BETS)?,
            folded_commands: counter(&to, &catalogue::FOLDED_COMMANDS)?,
            retries: each(&counters(&to, &catalogue::RETRIES)?, RetryReason::ALL, |reason| reason.name()),
            parked: counter(&to, &catalogue::PARKED)?,
            trace_spans_dropped: counter(&to, &catalogue::TRACE_SPANS_DROPPED)?,
            lost_answers: counter(&to, &catalogue::LOST_ANSWERS)?,
            orphan_sessions: counter(&to, &catalogue::ORPHAN_SESSIONS)?,
            paused_tenants: gauge(&to, &catalogue::PAUSED_TENANTS)?,
            controls: Shown::of(gauges(&to, &catalogue::CONTROLS)?),
            breaker_open: Shown::of(gauges(&to, &catalogue::BREAKER_OPEN)?),
            breaker_trips: counters(&to, &catalogue::BREAKER_TRIPS)?,
            preferences_lookups: each(&counters(&to, &catalogue::PREFERENCES_LOOKUPS)?, LookupResult::ALL, |result| {
                result.name()
            }),
            preferences_oldest_age: seconds(&to, &catalogue::PREFERENCES_OLDEST_AGE_SECONDS)?,
            preferences_cached: gauge(&to, &catalogue::PREFERENCES_CACHED)?,
            redis: timed(&to, &catalogue::REDIS_SECONDS, catalogue::REDIS_CALL, RedisOperation::ALL, |to| to.name())?,
            http: timed(&to, &catalogue::HTTP_SECONDS, catalogue::HTTP_CALL, HttpTarget::ALL, |to| to.name())?,
            http_responses: HttpTarget::ALL
                .iter()
                .flat_map(|target| ResponseClass::ALL.iter().map(|class| [target.name(), class.name()]))
                .map(|labels| http_responses.with_label_values(&labels))
                .collect(),
            registry: to,
        })
    }
}

/// How often the store was filled again, and from how many records; by role.
pub(super) struct Refills {
    pub(super) times: IntCounterVec,
    pub(super) records: IntCounterVec,
}

impl Refills {
    fn new(to: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self { times: counters(to, &catalogue::REFILLS)?, records: counters(to, &catalogue::REFILLED)? })
    }
}

fn registered<C: Collector + Clone + 'static>(to: &Registry, collector: C) -> Result<C, prometheus::Error> {
    to.register(Box::new(collector.clone()))?;
    Ok(collector)
}

pub(super) fn counter(to: &Registry, entry: &Entry) -> Result<IntCounter, prometheus::Error> {
    registered(to, IntCounter::new(entry.name, entry.help)?)
}

pub(super) fn counters(to: &Registry, entry: &Entry) -> Result<IntCounterVec, prometheus::Error> {
    registered(to, IntCounterVec::new(Opts::new(entry.name, entry.help), entry.labels)?)
}

fn gauge(to: &Registry, entry: &Entry) -> Result<IntGauge, prometheus::Error> {
    registered(to, IntGauge::new(entry.name, entry.help)?)
}

fn seconds(to: &Registry, entry: &Entry) -> Result<Gauge, prometheus::Error> {
    registered(to, Gauge::new(entry.name, entry.help)?)
}

pub(super) fn gauges(to: &Registry, entry: &Entry) -> Result<IntGaugeVec, prometheus::Error> {
    registered(to, IntGaugeVec::new(Opts::new(entry.name, entry.help), entry.labels)?)
}

fn histogram(to: &Registry, entry: &Entry, bounds: &[f64]) -> Result<Histogram, prometheus::Error> {
    registered(to, Histogram::with_opts(HistogramOpts::new(entry.name, entry.help).buckets(bounds.to_vec()))?)
}

/// One histogram for each value of a closed list, there from the start.
fn timed<L: Copy>(
    to: &Registry,
    entry: &Entry,
    bounds: &[f64],
    all: &[L],
    name: fn(L) -> &'static str,
) -> Result<Vec<Histogram>, prometheus::Error> {
    let options = HistogramOpts::new(entry.name, entry.help).buckets(bounds.to_vec());
    let vector = registered(to, HistogramVec::new(options, entry.labels)?)?;
    Ok(all.iter().map(|label| vector.with_label_values(&[name(*label)])).collect())
}

/// One counter for each value of a closed list, there from the start so that a rate knows its zero.
fn each<L: Copy>(vector: &IntCounterVec, all: &[L], name: fn(L) -> &'static str) -> Vec<IntCounter> {
    all.iter().map(|label| vector.with_label_values(&[name(*label)])).collect()
}

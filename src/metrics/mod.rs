//! What is counted and measured, and the one place that knows how it is exposed.
//!
//! Something is counted once its effects are acknowledged, not when it is read. Labels come from closed lists; the
//! tenant label is bounded.

mod catalogue;
mod labels;
mod lag;
mod of_tenant;
mod series;
mod tenants;
mod totals;
mod trouble;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use prometheus::{IntCounter, TextEncoder};

pub use catalogue::{Entry, Kind};
pub use labels::{
    CandidateChange, CommitResult, EventResult, HeldReason, HttpTarget, LookupResult, RebalanceKind, RedisOperation,
    ResponseClass, RetryReason, Role,
};
pub use of_tenant::OfTenant;
pub use tenants::{OTHER, TenantLabels, UNKNOWN};
pub use totals::{Behind, Spread, Totals};

use crate::domain::control::{self, Control, State};
use crate::domain::decide::{Decision, DecisionName};
use crate::domain::ids::TenantId;
use crate::domain::outcome::{Ending, RejectCode};
use crate::domain::trigger::Trigger;
use series::{Series, TenantSeries};

/// The label of every tenant, or every trigger, where a series is for all of them.
const ANY: &str = "any";

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// A declaration that the registry refuses: a mistake of ours in the catalogue.
#[derive(Debug, thiserror::Error)]
#[error("registering the metrics")]
pub struct InvalidMetrics(#[from] prometheus::Error);

/// Every metric but those of the process itself, whose names begin with `process_`.
pub fn catalogue() -> &'static [Entry] {
    catalogue::ALL
}

/// The metrics of one process. Clones share the same series.
#[derive(Clone)]
pub struct Metrics(Arc<Series>);

/// Keeps a role's reason to wait visible in `stepup_held` until it is dropped.
#[must_use = "dropping it says that the role goes on"]
pub struct Held {
    metrics: Metrics,
    role: Role,
    reason: HeldReason,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.metrics.change_holders(self.role, self.reason, |holders| holders.saturating_sub(1));
    }
}

impl Metrics {
    /// Metrics with a registry of their own. The first `max_tenants` tenants seen keep their name as a label, all
    /// others are [`OTHER`].
    pub fn new(max_tenants: usize) -> Result<Self, InvalidMetrics> {
        Ok(Self(Arc::new(Series::new(max_tenants)?)))
    }

    /// All series in the Prometheus text format, those of the process read at this moment.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.0.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics cannot be rendered; please report this");
            String::new()
        })
    }

    /// Shows a role's own series at 0, so that a rate or an alert over them knows where they began.
    pub fn start_role(&self, role: Role) {
        for reason in HeldReason::ALL {
            self.change_holders(role, *reason, |holders| holders);
        }
        self.start_trouble(role);
        for kind in RebalanceKind::ALL {
            self.0.rebalances.with_label_values(&[role.name(), kind.name()]);
        }
        for result in CommitResult::ALL {
            self.0.commits.with_label_values(&[role.name(), result.name()]);
        }
        self.0.refills.times.with_label_values(&[role.name()]);
        self.0.refills.records.with_label_values(&[role.name()]);
        self.0.inflight.with_label_values(&[role.name()]);
        self.0.assigned_partitions.with_label_values(&[role.name()]);
    }
}

/// The events' side.
impl Metrics {
    /// An event was decided for a trigger in shadow. It counts under [`OfTenant::decisions`] too.
    pub fn shadow_decision(&self, tenant: &TenantId, trigger: Trigger, decision: DecisionName) {
        let tenant = self.0.tenants.of(Some(tenant));
        tenant.shadow_decisions.add(decision_cell(trigger, decision), 1, || {
            self.0.shadow_decisions.with_label_values(&[tenant.label.as_str(), trigger.name(), decision.name()])
        });
    }

    /// The candidate preferences decided an event.
    pub fn candidate_decision(&self, tenant: &TenantId, trigger: Trigger, decision: DecisionName) {
        let tenant = self.0.tenants.of(Some(tenant));
        tenant.candidate_decisions.add(decision_cell(trigger, decision), 1, || {
            self.0.candidate_decisions.with_label_values(&[tenant.label.as_str(), trigger.name(), decision.name()])
        });
    }

    /// The candidate preferences would ask where those in force do not, or the other way round.
    pub fn candidate_change(&self, tenant: &TenantId, trigger: Trigger, change: CandidateChange) {
        let tenant = self.0.tenants.of(Some(tenant));
        tenant.candidate_changes.add(trigger as usize * CandidateChange::ALL.len() + change as usize, 1, || {
            self.0.candidate_changes.with_label_values(&[tenant.label.as_str(), trigger.name(), change.name()])
        });
    }

    /// The candidate preferences did not get to decide so many events.
    pub fn candidate_skipped(&self, events: usize) {
        self.0.candidate_skipped.inc_by(events as u64);
    }

    /// `n` commands were acknowledged.
    pub fn commands(&self, tenant: &TenantId, trigger: Trigger, n: u64) {
        let tenant = self.0.tenants.of(Some(tenant));
        tenant.commands.add(trigger as usize, n, || by_trigger(&self.0.commands, &tenant, trigger));
    }

    /// From the broker's acknowledgement of an event to that of its command.
    pub fn command_latency(&self, took: Duration) {
        self.0.command_latency.observe(took.as_secs_f64());
    }

    /// `n` bets came too late to be tested against their whole window.
    pub fn late_bets(&self, n: u64) {
        self.0.late_bets.inc_by(n);
    }

    /// The receipt of a decision was acknowledged.
    pub fn receipt(&self, decision: DecisionName) {
        add(&self.0.receipts, decision.place(), 1);
    }

    /// `n` records were acknowledged on the dead-letter topic.
    pub fn dead_letters(&self, code: RejectCode, n: u64) {
        add(&self.0.dead_letters, code as usize, n);
    }
}

/// The commands' side.
impl Metrics {
    /// An outcome was acknowledged.
    pub fn outcome(&self, tenant: &TenantId, trigger: Trigger, ending: &Ending) {
        let tenant = self.0.tenants.of(Some(tenant));
        self.0.sums.outcome(ending.status());
        tenant.outcomes.add(cell(trigger, &Ending::STATUSES, ending.status()), 1, || {
            self.0.outcomes.with_label_values(&[tenant.label.as_str(), trigger.name(), ending.status()])
        });
    }

    /// From a command to its outcome.
    pub fn session_latency(&self, took: Duration) {
        self.0.session_latency.observe(took.as_secs_f64());
    }

    /// The service found a command not required that our preferences required.
    pub fn contradiction(&self, tenant: &TenantId, trigger: Trigger) {
        let tenant = self.0.tenants.of(Some(tenant));
        tenant.contradictions.add(trigger as usize, 1, || by_trigger(&self.0.contradictions, &tenant, trigger));
    }

    /// A command had its outcome already when it was read.
    pub fn folded_command(&self) {
        self.0.folded_commands.inc();
    }

    /// A call is made again.
    pub fn retried(&self, reason: RetryReason) {
        add(&self.0.retries, reason as usize, 1);
    }

    /// A command was put on the retries topic.
    pub fn parked(&self) {
        self.0.parked.inc();
    }

    /// A call may have made a session whose answer did not arrive.
    pub fn lost_answer(&self) {
        self.0.lost_answers.inc();
    }

    /// A session was made whose token nobody received.
    pub fn orphan_session(&self) {
        self.0.orphan_sessions.inc();
    }

    /// A tenant's credential was refused, and its commands wait from now on.
    pub fn tenant_paused(&self, tenant: &TenantId) {
        let tenant = self.0.tenants.of(Some(tenant));
        tenant.paused.add(0, 1, || self.0.paused.with_label_values(&[tenant.label.as_str()]));
    }

    /// How many tenants' commands wait now.
    pub fn set_paused_tenants(&self, tenants: usize) {
        self.0.paused_tenants.set(whole(tenants));
    }
}

/// What people and guard rails have switched.
impl Metrics {
    /// Shows what is on, in place of what was shown before.
    pub fn set_controls<'a>(&self, active: impl Iterator<Item = &'a Control>) {
        let (mut controls, mut open) = (BTreeSet::new(), BTreeSet::new());
        for control in active {
            let tenant = control.target.tenant.as_ref();
            let tenant = tenant.map_or_else(|| ANY.to_owned(), |tenant| self.0.tenants.of(Some(tenant)).label.clone());
            let trigger = control.target.trigger.map_or(ANY, Trigger::name).to_owned();
            if control.kind == control::Kind::Shadow && control.state == State::On {
                open.insert(vec![tenant.clone(), trigger.clone()]);
            }
            controls.insert(vec![control.kind.name().to_owned(), tenant, trigger]);
        }
        self.0.controls.show(controls);
        self.0.breaker_open.show(open);
    }

    /// A trigger was put in shadow, for it fired too often since its preferences were changed.
    pub fn breaker_tripped(&self, tenant: &TenantId, trigger: Trigger) {
        by_trigger(&self.0.breaker_trips, &self.0.tenants.of(Some(tenant)), trigger).inc();
    }
}

/// What is seen of the work from outside.
impl Metrics {
    /// `n` spans were dropped.
    pub fn trace_spans_dropped(&self, n: u64) {
        self.0.trace_spans_dropped.inc_by(n);
    }
}

/// A role and its partitions.
impl Metrics {
    /// Says that the role cannot go on, until the answer is dropped. Several may hold it for the same reason.
    pub fn hold(&self, role: Role, reason: HeldReason) -> Held {
        self.change_holders(role, reason, |holders| holders + 1);
        Held { metrics: self.clone(), role, reason }
    }

    fn change_holders(&self, role: Role, reason: HeldReason, change: impl FnOnce(usize) -> usize) {
        let mut holders = self.0.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holders) = holders.get_mut(role as usize * HeldReason::ALL.len() + reason as usize) {
            *holders = change(*holders);
            // Set under the lock, or two who change it at once could leave the gauge wrong.
            self.0.held.with_label_values(&[role.name(), reason.name()]).set(i64::from(*holders > 0));
        }
    }

    /// Records taken up and not finished yet.
    pub fn set_inflight(&self, role: Role, records: usize) {
        self.0.inflight.with_label_values(&[role.name()]).set(whole(records));
    }

    pub fn set_assigned_partitions(&self, role: Role, partitions: usize) {
        self.0.assigned_partitions.with_label_values(&[role.name()]).set(whole(partitions));
    }

    /// Records of an assigned partition that are not finished yet.
    pub fn set_lag(&self, role: Role, topic: &str, partition: i32, records: u64) {
        self.0.lag.set(role, topic, partition, records);
    }

    /// A partition is somebody else's now; its lag is theirs to tell.
    pub fn forget_partition(&self, role: Role, topic: &str, partition: i32) {
        self.0.lag.forget(role, topic, partition);
    }

    pub fn rebalanced(&self, role: Role, kind: RebalanceKind) {
        self.0.rebalances.with_label_values(&[role.name(), kind.name()]).inc();
    }

    /// Redis was found empty and was filled again.
    pub fn refilled(&self, role: Role) {
        self.0.refills.times.with_label_values(&[role.name()]).inc();
    }

    /// So many records were read for it.
    pub fn refilled_records(&self, role: Role, records: u64) {
        self.0.refills.records.with_label_values(&[role.name()]).inc_by(records);
    }

    pub fn committed(&self, role: Role, result: CommitResult) {
        self.0.commits.with_label_values(&[role.name(), result.name()]).inc();
    }
}

/// The services that are asked.
impl Metrics {
    /// A round trip to Redis took so long, whatever its answer.
    pub fn redis_call(&self, operation: RedisOperation, took: Duration) {
        observe(&self.0.redis, operation as usize, took);
    }

    /// An HTTP call took so long and brought this status; `None` is no answer.
    pub fn http_call(&self, target: HttpTarget, status: Option<u16>, took: Duration) {
        observe(&self.0.http, target as usize, took);
        let class = ResponseClass::of(status);
        add(&self.0.http_responses, target as usize * ResponseClass::ALL.len() + class as usize, 1);
    }

    pub fn preferences_lookups(&self, result: LookupResult, n: u64) {
        add(&self.0.preferences_lookups, result as usize, n);
    }

    /// The age of the oldest copy in use.
    pub fn set_preferences_oldest_age(&self, age: Duration) {
        self.0.preferences_oldest_age.set(age.as_secs_f64());
    }

    /// How many tenants' preferences are in memory.
    pub fn set_preferences_cached(&self, tenants: usize) {
        self.0.preferences_cached.set(whole(tenants));
    }
}

/// The place of a decision's cell in a grid whose columns are the names of decisions.
fn decision_cell(trigger: Trigger, decision: DecisionName) -> usize {
    trigger as usize * Decision::NAMES.len() + decision.place()
}

/// The place of a trigger's cell in a grid whose columns are `names`. A name that is not among them has none.
fn cell(trigger: Trigger, names: &[&str], name: &str) -> usize {
    match names.iter().position(|candidate| *candidate == name) {
        Some(column) => trigger as usize * names.len() + column,
        None => usize::MAX,
    }
}

fn by_trigger(vector: &prometheus::IntCounterVec, tenant: &TenantSeries, trigger: Trigger) -> IntCounter {
    vector.with_label_values(&[tenant.label.as_str(), trigger.name()])
}

fn add(counters: &[IntCounter], index: usize, n: u64) {
    if let Some(counter) = counters.get(index) {
        counter.inc_by(n);
    }
}

fn observe(histograms: &[prometheus::Histogram], index: usize, took: Duration) {
    if let Some(histogram) = histograms.get(index) {
        histogram.observe(took.as_secs_f64());
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

//! Preferences that are tried out beside those in force: they decide the same events, are counted, and nothing follows.
//!
//! They have windows and claims of their own, and a task of their own, so that nothing that befalls them reaches what
//! counts: where they cannot keep up, events are skipped, and that is counted too. After a crash some events may be
//! counted twice or not at all, for no offset waits for them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use super::super::hold::in_full;
use super::super::walk::{self, Arrival, Conditions, Decisions, Ledgers, Made, Tested, Unsent, Wanted};
use crate::config::{Evaluate as Settings, Shadow, Windows as WindowSettings};
use crate::domain::ids::TenantId;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::edge::claims::Claims;
use crate::edge::preferences::{Lookup, PreferencesCache, PreferencesSource};
use crate::edge::quotas::Quotas;
use crate::edge::windows::{Compaction, Windows};
use crate::metrics::{CandidateChange, Metrics};

/// Batches that may wait.
const WAITING: usize = 2;
/// How long the live role waits for a place, once, before it skips until there is one.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the candidate's source and store may take for a batch.
const BUDGET: Duration = Duration::from_secs(10);

/// A batch as the preferences in force decided it.
pub struct Decided {
    arrivals: Vec<Arrival>,
    /// The place in the batch, and the trigger, of whatever fired.
    fired: HashSet<(usize, Trigger)>,
    now: Timestamp,
}

/// The live role's end: where decided batches are handed over.
pub struct Beside {
    intake: Sender<Decided>,
    keeps_up: AtomicBool,
    metrics: Metrics,
}

impl Beside {
    pub fn new(metrics: Metrics) -> (Self, Receiver<Decided>) {
        let (intake, taken) = channel(WAITING);
        (Self { intake, keeps_up: AtomicBool::new(true), metrics }, taken)
    }

    /// Hands a batch over. Waits at most [`PATIENCE`], and not again while the candidate does not keep up.
    pub(super) async fn give(&self, arrivals: Vec<Arrival>, tested: &[Tested], now: Timestamp) {
        let events = arrivals.len();
        let fired = tested.iter().filter(|one| one.decision.fires()).map(|one| (one.event, one.trigger)).collect();
        let patience = if self.keeps_up.load(Ordering::Relaxed) { PATIENCE } else { Duration::ZERO };
        let taken = tokio::time::timeout(patience, self.intake.send(Decided { arrivals, fired, now })).await;
        let taken = matches!(taken, Ok(Ok(())));
        self.keeps_up.store(taken, Ordering::Relaxed);
        if !taken {
            self.metrics.candidate_skipped(events);
        }
    }
}

/// The candidate's end: its preferences, its store, and the settings that it shares.
pub struct Candidate<T, S> {
    /// Windows and claims of its own.
    pub store: T,
    pub preferences: PreferencesCache<S>,
    pub settings: Settings,
    pub window_settings: WindowSettings,
    pub metrics: Metrics,
}

impl<T: Windows + Claims + Quotas + Clone, S: PreferencesSource> Candidate<T, S> {
    /// Decides what it is handed until `stop` is cancelled.
    pub async fn run(mut self, mut intake: Receiver<Decided>, stop: CancellationToken) {
        // Whether a trigger is in shadow, or its tenant at its cap, says nothing of what the rules say.
        self.settings.shadow = Shadow::default();
        self.settings.max_sessions_per_minute = None;
        let mut compactions = Vec::new();
        let mut well = true;
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = intake.recv() => batch,
            };
            let Some(mut batch) = batch else { return };
            let events = batch.arrivals.len();
            let decided = tokio::time::timeout(BUDGET, self.decide(&mut batch, &mut compactions)).await;
            let trouble = match decided {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(in_full(error.as_ref())),
                Err(_) => Some(format!("no answer within {BUDGET:?}")),
            };
            if let Some(reason) = &trouble {
                self.metrics.candidate_skipped(events);
                if well {
                    tracing::warn!(reason, "the candidate preferences cannot decide; their events are skipped");
                }
            }
            well = trouble.is_none();
        }
    }

    async fn decide(
        &self,
        batch: &mut Decided,
        compactions: &mut Vec<Compaction>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.look_up(batch).await?;
        let outlive = self.window_settings.outage_budget;
        let due = std::mem::take(compactions);
        let mut windowed = walk::record(&self.store, &batch.arrivals, due, &self.window_settings, outlive).await?;
        *compactions = std::mem::take(&mut windowed.compactions);
        let ledgers = Ledgers { live: self.store.clone(), shadow: self.store.clone() };
        let unsent = Unsent::of_no_account();
        let under = Conditions { settings: &self.settings, now: Some(batch.now), outlive, unsent: &unsent };
        let decisions = walk::decide(&ledgers, &batch.arrivals, &windowed, under, Wanted::Candidates).await?;
        self.count(batch, &decisions);
        Ok(())
    }

    /// Gives every arrival the candidate's preferences in place of those in force; leaves out those of no use.
    async fn look_up(&self, batch: &mut Decided) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let distinct: HashSet<TenantId> = batch.arrivals.iter().map(|arrival| arrival.event.tenant.clone()).collect();
        let tenants: Vec<TenantId> = distinct.into_iter().collect();
        let known = self.preferences.of_all(&tenants).await?;
        let of: std::collections::HashMap<_, _> = tenants.iter().zip(known).collect();
        let mut kept = Vec::with_capacity(batch.arrivals.len());
        let mut fired = HashSet::with_capacity(batch.fired.len());
        for (place, mut arrival) in std::mem::take(&mut batch.arrivals).into_iter().enumerate() {
            arrival.preferences = match of.get(&arrival.event.tenant) {
                Some(Lookup::Known(preferences)) => Some(Arc::clone(preferences)),
                Some(Lookup::NoTenant) => None,
                Some(Lookup::Unusable { .. }) | None => {
                    self.metrics.candidate_skipped(1);
                    continue;
                }
            };
            for trigger in arrival.event.activity.kind().tests() {
                if batch.fired.contains(&(place, *trigger)) {
                    fired.insert((kept.len(), *trigger));
                }
            }
            kept.push(arrival);
        }
        batch.arrivals = kept;
        batch.fired = fired;
        Ok(())
    }

    fn count(&self, batch: &Decided, decisions: &Decisions) {
        for Made { event, trigger, decision } in decisions.made.iter().copied() {
            let tenant = &batch.arrivals[event].event.tenant;
            self.metrics.candidate_decision(tenant, trigger, decision);
            match (batch.fired.contains(&(event, trigger)), decision.fires()) {
                (false, true) => self.metrics.candidate_change(tenant, trigger, CandidateChange::Newly),
                (true, false) => self.metrics.candidate_change(tenant, trigger, CandidateChange::NoLonger),
                (true, true) | (false, false) => {}
            }
        }
    }
}

//! The role that decides: activity in, commands and dead letters out.
//!
//! While one batch waits for its claims and acknowledgements, the next one is decoded and recorded. A record is reported
//! finished when everything that follows from it is acknowledged, and not before; so a crash at any point repeats work
//! under the same names and loses nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::console::{Console, MOST_TOLD, Told};
use super::hold::{Holder, Stopped};
use super::receipt::{Grounds, Maker, wanted};
use super::refill::Kept;
use super::walk::{Arrival, Ledgers, Tested, Windowed};
use crate::config::{Evaluate as Settings, Topics, Windows as WindowSettings};
use crate::domain::command::{Command, Terms};
use crate::domain::decide::{Decision, Mode};
use crate::domain::ids::TenantId;
use crate::domain::outcome::{RejectCode, Rejection};
use crate::domain::time::Timestamp;
use crate::domain::trigger::{ActivityType, Trigger};
use crate::edge::claims::Claims;
use crate::edge::clock;
use crate::edge::kafka::consumer::Progress;
use crate::edge::kafka::producer::{Outgoing, Sink, Size};
use crate::edge::kafka::records::{Batch, Position, Record};
use crate::edge::preferences::{PreferencesCache, PreferencesSource};
use crate::edge::quotas::Quotas;
use crate::edge::windows::{Compaction, Windows};
use crate::failpoint::{self, Step};
use crate::metrics::{EventResult, HeldReason, Metrics, Role};
use crate::traces::Traces;
use crate::wire::dead_letter::{self, Stage};
use crate::wire::event::{self, Decoded};
use crate::wire::{command, receipt, redrive, window};

pub mod candidate;
mod compactions;
mod flood;
pub mod guard;
mod lost;
mod missing;
mod spans;
use candidate::Beside;
use compactions::Compactions;
pub use flood::FloodStop;
use guard::Guard;
use lost::Since;
pub use missing::Unread;
use spans::Places;

/// The edges of the role, and what it goes by.
pub struct Evaluate<W, C, K, S> {
    pub windows: W,
    pub claims: Ledgers<C>,
    pub sink: K,
    pub preferences: Arc<PreferencesCache<S>>,
    pub settings: Settings,
    pub window_settings: WindowSettings,
    /// How long a command may wait to be delivered.
    pub max_command_age: Duration,
    pub topics: Topics,
    pub metrics: Metrics,
    pub holder: Holder,
    /// Whether the store still has what it was told.
    pub kept: Kept,
    /// Whose preferences were given up.
    pub unread: Unread,
    /// Which partitions bring nothing that can be processed.
    pub flood: FloodStop,
    /// What is in shadow at the moment, and what is to go there.
    pub guard: Guard,
    /// Where decided batches go to be decided by the candidate preferences, if there are any.
    pub candidate: Option<Beside>,
    pub traces: Traces,
    /// The page that shows the last decisions, where there is one.
    pub console: Option<Console>,
}

/// A batch whose bets are recorded.
struct Recorded {
    batch: Batch,
    arrivals: Vec<Arrival>,
    /// The record that each arrival came from.
    records: Vec<usize>,
    rejected: Vec<(usize, Option<TenantId>, Option<ActivityType>, Rejection)>,
    unknown_types: Vec<TenantId>,
    /// Of those rejected how many were given up, for want of what.
    given_up: Vec<(HeldReason, u64)>,
    windowed: Windowed,
    since: Since,
    /// When the batch was taken.
    taken: SystemTime,
}

impl<W: Windows, C: Claims + Quotas, K: Sink, S: PreferencesSource> Evaluate<W, C, K, S> {
    /// Works until `stop` is cancelled, and then finishes the batch at hand.
    pub async fn run(self, mut intake: Receiver<Batch>, progress: Progress, stop: CancellationToken) {
        let mut compactions = Compactions::default();
        let mut recorded: Option<Recorded> = None;
        loop {
            let due = compactions.due(&progress);
            let (next, finished) = tokio::join!(
                async {
                    let batch = tokio::select! {
                        biased;
                        () = stop.cancelled() => None,
                        batch = intake.recv() => batch,
                    };
                    match batch {
                        Some(batch) => self.begin(batch, &due, &progress).await.map(Some),
                        None => Ok(None),
                    }
                },
                async {
                    match recorded.take() {
                        Some(recorded) => self.finish(recorded, &progress).await.map(Some),
                        None => Ok(None),
                    }
                }
            );
            if let Ok(Some((found, behind))) = finished {
                compactions.add(found, behind);
            } else if finished.is_err() {
                return;
            }
            match next {
                Ok(Some(next)) => recorded = Some(next),
                Ok(None) | Err(Stopped) => return,
            }
        }
    }

    /// Decodes a batch, looks its tenants up and records its bets.
    async fn begin(&self, batch: Batch, due: &[Compaction], progress: &Progress) -> Result<Recorded, Stopped> {
        failpoint::pass(Step::EvaluateTaken);
        let mut recorded = self.read_in(batch, progress);
        self.look_up(&mut recorded).await?;
        failpoint::pass(Step::EvaluateLookedUp);
        self.record(&mut recorded, due).await?;
        failpoint::pass(Step::EvaluateRecorded);
        recorded.since = Since::now(self.kept.era());
        Ok(recorded)
    }

    fn decode(&self, batch: Batch) -> Recorded {
        let (now, taken) = (clock::now(), clock::precisely());
        let mut arrivals = Vec::with_capacity(batch.len());
        let mut records = Vec::with_capacity(batch.len());
        let mut rejected = Vec::new();
        let mut unknown_types = Vec::new();
        for (place, record) in batch.iter().enumerate() {
            match event::decode(record.payload, &self.settings.rates) {
                Decoded::Event(event) if event.occurred_at > now.plus(self.settings.max_clock_skew) => {
                    let rejection = Rejection {
                        code: RejectCode::TimestampInFuture,
                        error: format!("occurred_at is more than {:?} ahead", self.settings.max_clock_skew),
                    };
                    rejected.push((place, Some(event.tenant), Some(event.activity.kind()), rejection));
                }
                Decoded::Event(event) => {
                    let source = window::arrival(&record.position.source());
                    let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
                    let age_limit = redrive::age_limit(headers);
                    arrivals.push(Arrival { event, place: source, preferences: None, age_limit });
                    records.push(place);
                }
                Decoded::UnknownType { tenant } => unknown_types.push(tenant),
                Decoded::Rejected { rejection, .. } => rejected.push((place, None, None, rejection)),
            }
        }
        let (given_up, windowed, since) = (Vec::new(), Windowed::default(), Since::now(None));
        Recorded { batch, arrivals, records, rejected, unknown_types, given_up, windowed, since, taken }
    }

    /// Decides, sends what follows, awaits the acknowledgements, counts, and reports the records finished.
    async fn finish(
        &self,
        mut recorded: Recorded,
        progress: &Progress,
    ) -> Result<(Vec<Compaction>, Vec<Position>), Stopped> {
        let settings = &*self.guard.settings(&self.settings);
        let (tested, decided_at) = self.decide(&mut recorded, settings).await?;
        failpoint::pass(Step::EvaluateDecided);
        let (now, decided) = (clock::now(), clock::precisely());
        let mut outgoing = Vec::new();
        let records: Vec<Record<'_>> = recorded.batch.iter().collect();
        let places = Places::of(&self.traces, &recorded, &records);
        let commands = self.commands((&recorded, &records), &tested, &places, now, &mut outgoing);
        self.receipts((&recorded, &records), &tested, settings, decided_at, &mut outgoing);
        for (place, _, _, rejection) in &recorded.rejected {
            outgoing.push(dead_letter(&records[*place], rejection, Stage::Evaluate, &self.topics.dead_letters));
        }
        self.holder.send_renewed(&self.sink, outgoing, |record| self.renew(record)).await?;
        failpoint::pass(Step::EvaluateSent);
        self.confirm(&recorded, settings, decided_at).await?;
        places.end(&self.traces, &recorded, &records, &tested, decided);
        self.count(&recorded, &tested, settings, &commands);
        self.guard.hear(&recorded.arrivals, &tested, settings, now);
        failpoint::pass(Step::EvaluateCounted);
        progress.finish(recorded.batch.iter().map(|record| record.position));
        failpoint::pass(Step::EvaluateFinished);
        if let Some(candidate) = &self.candidate {
            candidate.give(std::mem::take(&mut recorded.arrivals), &tested, now).await;
        }
        Ok((recorded.windowed.compactions, last_of_each_partition(&recorded.batch)))
    }

    /// A command that could not be written for a while is issued again: its time begins when it can be delivered.
    fn renew(&self, record: &mut Outgoing) {
        if record.topic != self.topics.commands && record.topic != self.topics.shadow_commands {
            return;
        }
        if let Some(Ok(mut command)) = record.payload.as_deref().map(command::decode) {
            command.issued_at = clock::now();
            command.expires_at = command.issued_at.plus(self.max_command_age);
            record.payload = Some(command::encode(&command));
        }
    }

    /// The commands of a batch, and for each the time of its record.
    fn commands(
        &self,
        (recorded, records): (&Recorded, &[Record<'_>]),
        tested: &[Tested],
        places: &Places,
        now: Timestamp,
        outgoing: &mut Vec<Outgoing>,
    ) -> Vec<(TenantId, Trigger, Option<i64>)> {
        let terms = Terms { issued_at: now, max_age: self.max_command_age, reference: self.settings.reference };
        let mut commands = Vec::new();
        for one in tested {
            let (facts, topic) = match one.decision {
                Decision::Required { facts, .. } => (facts, &self.topics.commands),
                Decision::Shadowed { facts, .. } => (facts, &self.topics.shadow_commands),
                Decision::TenantUnknown
                | Decision::FeatureDisabled
                | Decision::TriggerDisabled
                | Decision::BelowThreshold { .. }
                | Decision::BelowFrequency(_)
                | Decision::EventTooOld { .. }
                | Decision::InCooldown { .. }
                | Decision::Capped { .. } => continue,
            };
            let arrival = &recorded.arrivals[one.event];
            let record = &records[recorded.records[one.event]];
            let version = arrival.preferences.as_ref().and_then(|preferences| preferences.updated_at.clone());
            let command = Command::new(&arrival.event, one.trigger, facts, record.position.source(), version, terms);
            let (decision, tenant) = (one.decision.name(), &command.tenant);
            tracing::debug!(command = %command.id, trigger = %one.trigger, %tenant, decision);
            if let Decision::Required { .. } = one.decision {
                commands.push((command.tenant.clone(), one.trigger, record.timestamp));
            }
            let key = command::key(&command.tenant, &command.customer);
            outgoing.push(places.mark(one.event, Outgoing::new(topic, Some(key), command::encode(&command))));
        }
        commands
    }

    /// The receipts of a batch, where they are wanted.
    fn receipts(
        &self,
        (recorded, records): (&Recorded, &[Record<'_>]),
        tested: &[Tested],
        evaluate: &Settings,
        decided_at: Option<Timestamp>,
        outgoing: &mut Vec<Outgoing>,
    ) {
        let (arrivals, windowed) = (&recorded.arrivals, &recorded.windowed);
        let windows = &self.window_settings;
        let mut maker = Maker::new(Grounds { arrivals, windowed, evaluate, windows, decided_at });
        for one in tested.iter().filter(|one| wanted(self.settings.receipts, &one.decision)) {
            let record = &records[recorded.records[one.event]];
            let receipt = maker.receipt(one, record.position.source(), record.payload.unwrap_or_default());
            let event = &arrivals[one.event].event;
            let key = command::key(&event.tenant, &event.customer);
            outgoing.push(Outgoing::new(&self.topics.receipts, Some(key), receipt::encode(&receipt)));
        }
    }

    /// Counts every event and decision of a batch once, now that all that follows from it is acknowledged.
    fn count(
        &self,
        recorded: &Recorded,
        tested: &[Tested],
        settings: &Settings,
        commands: &[(TenantId, Trigger, Option<i64>)],
    ) {
        let now = clock::now();
        for arrival in &recorded.arrivals {
            let kind = arrival.event.activity.kind();
            self.metrics.events(Some(&arrival.event.tenant), Some(kind), EventResult::Decided, 1);
        }
        for one in tested {
            let tenant = &recorded.arrivals[one.event].event.tenant;
            self.metrics.decisions(tenant, one.trigger, &one.decision, 1);
            if settings.shadow.mode(tenant, one.trigger) == Mode::Shadow {
                self.metrics.shadow_decision(tenant, one.trigger, &one.decision);
            }
            if wanted(self.settings.receipts, &one.decision) {
                self.metrics.receipt(&one.decision);
            }
        }
        for (tenant, trigger, since) in commands {
            self.metrics.commands(tenant, *trigger, 1);
            if let Some(since) = since {
                self.metrics.command_latency(now.since(Timestamp(*since)));
            }
        }
        for (_, tenant, kind, rejection) in &recorded.rejected {
            self.metrics.events(tenant.as_ref(), *kind, EventResult::Rejected, 1);
            self.metrics.dead_letters(rejection.code, 1);
        }
        for (reason, records) in &recorded.given_up {
            self.metrics.given_up(Role::Evaluate, *reason, *records);
        }
        for tenant in &recorded.unknown_types {
            self.metrics.events(Some(tenant), None, EventResult::UnknownType, 1);
        }
        self.metrics.late_bets(recorded.windowed.late_bets);
        if let Some(console) = &self.console {
            let told = tested.iter().rev().filter_map(|one| {
                let event = &recorded.arrivals[one.event].event;
                let position = recorded.batch.position(recorded.records[one.event])?;
                Told::new(event, || position.source(), one.trigger, &one.decision, now)
            });
            let mut told: Vec<Told> = told.take(MOST_TOLD).collect();
            told.reverse();
            console.tell(told);
        }
    }
}

/// The record itself, as it came, with the reason in its headers.
pub(super) fn dead_letter(record: &Record<'_>, rejection: &Rejection, stage: Stage, topic: &str) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        key: record.key.map(<[u8]>::to_vec),
        payload: record.payload.map(<[u8]>::to_vec),
        headers: dead_letter::headers(rejection.code, &rejection.error, stage, &record.position.source()),
        size: Size::MayBeCut { to: event::MAX_BYTES },
    }
}

fn last_of_each_partition(batch: &Batch) -> Vec<Position> {
    let mut last: HashMap<(Arc<str>, i32), Position> = HashMap::new();
    for record in batch.iter() {
        let partition = (Arc::clone(&record.position.topic), record.position.partition);
        last.insert(partition, record.position.clone());
    }
    last.into_values().collect()
}

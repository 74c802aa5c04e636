//! The role that decides: activity in, commands and dead letters out.
//!
//! A batch goes through four steps, and while it waits in one the next batch is in the step before: it is read in, its bets
//! are recorded and judged, it is decided, and what follows is sent. Each step takes batches in their order; where bets are
//! recorded and effects sent some are at hand side by side, and each customer's bets keep their order. A record is reported
//! finished when everything that follows from it is acknowledged, and not before; so a crash at any point repeats work
//! under the same names and loses nothing.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::console::Console;
use super::hold::{Holder, Stopped};
use super::receipt::{Grounds, Maker, wanted};
use super::refill::Kept;
use super::walk::{Arrival, Decisions, Fired, Ledgers, Made, Tested, Unsent, Wanted, Windowed, bring_preferences_near};
use crate::config::{Evaluate as Settings, Receipts, Topics, Windows as WindowSettings};
use crate::domain::command::{Command, Terms};
use crate::domain::decide::Decision;
use crate::domain::ids::TenantId;
use crate::domain::outcome::{RejectCode, Rejection};
use crate::domain::time::Timestamp;
use crate::domain::trigger::{ActivityType, Trigger};
use crate::edge::claims::Claims;
use crate::edge::clock;
use crate::edge::kafka::consumer::Progress;
use crate::edge::kafka::producer::{Outgoing, Sink, Size};
use crate::edge::kafka::records::{At, Batch, Record, retain_kept};
use crate::edge::preferences::{PreferencesCache, PreferencesSource};
use crate::edge::quotas::Quotas;
use crate::edge::windows::Windows;
use crate::failpoint::{self, Step};
use crate::metrics::{HeldReason, Metrics};
use crate::traces::Traces;
use crate::wire::dead_letter::{self, Stage};
use crate::wire::event::{self, Decoded};
use crate::wire::window::Arrivals;
use crate::wire::{command, receipt, redrive};

pub mod candidate;
mod compactions;
mod count;
mod flood;
pub mod guard;
mod lost;
mod missing;
mod side_by_side;
mod spans;
mod steps;
use candidate::Beside;
pub use flood::FloodStop;
use guard::Guard;
use lost::Told;
pub use missing::Unread;
use spans::Places;

/// So many records are decoded in one go: whoever hears from the store meanwhile does not wait for a whole batch.
const AT_ONCE: usize = 256;

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

/// A batch at hand.
struct Recorded {
    batch: Batch,
    arrivals: Vec<Arrival>,
    /// The record that each arrival came from.
    records: Vec<usize>,
    /// The batch's tenants, and of each arrival the place of its own among them, until it is decided.
    tenants: Vec<TenantId>,
    tenant_of: Vec<usize>,
    rejected: Vec<(usize, Option<TenantId>, Option<ActivityType>, Rejection)>,
    unknown_types: Vec<TenantId>,
    /// Of those rejected how many were given up, for want of what.
    given_up: Vec<(HeldReason, u64)>,
    /// Its bets, as they were told to the store.
    told: Arc<Told>,
    windowed: Windowed,
    /// When its bets were recorded.
    since: Instant,
    /// When the batch was taken.
    taken: SystemTime,
}

/// A batch that is decided, and what is to be sent for it.
struct Decided {
    recorded: Recorded,
    settings: Settings,
    /// Of each event that was decided the place of its tenant among the batch's, and its type.
    events: Vec<(usize, ActivityType)>,
    made: Vec<Made>,
    /// Those of which more is told than that they were made.
    tested: Vec<Tested>,
    /// Whose commands are on their way as long as this stands.
    fired: Arc<Vec<Fired>>,
    /// The clock that it was decided by.
    at: Option<Timestamp>,
    now: Timestamp,
    precisely: SystemTime,
    places: Places,
    commands: Vec<(TenantId, Trigger, Option<i64>)>,
    outgoing: Vec<Outgoing>,
}

impl<W: Windows, C: Claims + Quotas, K: Sink, S: PreferencesSource> Evaluate<W, C, K, S> {
    async fn decode(&self, batch: Batch) -> Recorded {
        let (now, taken) = (clock::now(), clock::precisely());
        let mut arrivals = Vec::with_capacity(batch.len());
        let mut records = Vec::with_capacity(batch.len());
        let mut rejected = Vec::new();
        let mut unknown_types = Vec::new();
        let mut partition: Option<(At<'_>, Arrivals)> = None;
        for (place, record) in batch.iter().enumerate() {
            if place % AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
            match event::decode(record.payload, &self.settings.rates) {
                Decoded::Event(event) if event.occurred_at > now.plus(self.settings.max_clock_skew) => {
                    let rejection = Rejection {
                        code: RejectCode::TimestampInFuture,
                        error: format!("occurred_at is more than {:?} ahead", self.settings.max_clock_skew),
                    };
                    rejected.push((place, Some(event.tenant), Some(event.activity.kind()), rejection));
                }
                Decoded::Event(event) => {
                    let at = record.position;
                    // Records come in runs of one partition.
                    let (_, places) = match partition {
                        Some(known) if known.0.is_beside(at) => known,
                        Some(_) | None => *partition.insert((at, Arrivals::of(at.topic, at.partition))),
                    };
                    let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
                    let age_limit = redrive::age_limit(headers);
                    arrivals.push(Arrival { event, place: places.at(at.offset), preferences: None, age_limit });
                    records.push(place);
                }
                Decoded::UnknownType { tenant } => unknown_types.push(tenant),
                Decoded::Rejected { rejection, .. } => rejected.push((place, None, None, rejection)),
            }
        }
        Recorded {
            batch,
            arrivals,
            records,
            tenants: Vec::new(),
            tenant_of: Vec::new(),
            rejected,
            unknown_types,
            given_up: Vec::new(),
            told: Arc::default(),
            windowed: Windowed::default(),
            since: Instant::now(),
            taken,
        }
    }

    /// Decides a batch, and makes what follows.
    async fn decide(&self, mut recorded: Recorded, unsent: &Unsent) -> Result<Decided, Stopped> {
        let settings = self.guard.settings(&self.settings).into_owned();
        let hear_of_all = self.guard.hears_of_all() || self.traces.are_on();
        let all = hear_of_all || self.settings.receipts == Receipts::All;
        let wanted = if all { Wanted::Every } else { Wanted::Candidates };
        let (decisions, at) = self.decide_batch(&mut recorded, &settings, unsent, wanted).await?;
        let Decisions { made, mut tested } = decisions;
        let fired = Arc::new(fired(&recorded.arrivals, &tested));
        failpoint::pass(Step::EvaluateDecided);
        let (now, precisely) = (clock::now(), clock::precisely());
        let mut outgoing = Vec::new();
        let places = Places::of(&self.traces, &recorded);
        let commands = self.commands(&recorded, &tested, &places, now, &mut outgoing);
        self.receipts(&recorded, &tested, &settings, at, &mut outgoing);
        recorded.windowed.let_go_of_logs();
        for (place, _, _, rejection) in &recorded.rejected {
            if let Some(record) = recorded.batch.record(*place) {
                outgoing.push(dead_letter(&record, rejection, Stage::Evaluate, &self.topics.dead_letters));
            }
        }
        let kinds = recorded.arrivals.iter().map(|arrival| arrival.event.activity.kind());
        let events = std::mem::take(&mut recorded.tenant_of).into_iter().zip(kinds).collect();
        if !hear_of_all {
            keep_what_is_told_of(&mut tested);
            // A candidate is given all events.
            if self.candidate.is_none() {
                recorded.keep_arrivals_of(&mut tested);
            }
        }
        recorded.batch.let_go_of_records();
        Ok(Decided { recorded, settings, events, made, tested, fired, at, now, precisely, places, commands, outgoing })
    }

    /// Sends what follows from batches, awaits the acknowledgements, counts, and reports the records finished.
    async fn finish(&self, mut group: Vec<Decided>, progress: &Progress) -> Result<Vec<Decided>, Stopped> {
        let outgoing = group.iter_mut().flat_map(|batch| std::mem::take(&mut batch.outgoing)).collect();
        self.holder.send_renewed(&self.sink, outgoing, |record| self.renew(record)).await?;
        failpoint::pass(Step::EvaluateSent);
        for batch in &group {
            self.confirm(&batch.recorded, &batch.settings, batch.at).await?;
            batch.places.end(&self.traces, &batch.recorded, &batch.tested, batch.precisely);
            self.count(batch);
            failpoint::pass(Step::EvaluateCounted);
            progress.finish_batch(&batch.recorded.batch);
            failpoint::pass(Step::EvaluateFinished);
        }
        Ok(group)
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
        recorded: &Recorded,
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
            let Some(record) = recorded.record_of(one.event) else { continue };
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
        recorded: &Recorded,
        tested: &[Tested],
        evaluate: &Settings,
        decided_at: Option<Timestamp>,
        outgoing: &mut Vec<Outgoing>,
    ) {
        let (arrivals, windowed) = (&recorded.arrivals, &recorded.windowed);
        let windows = &self.window_settings;
        let mut maker = Maker::new(Grounds { arrivals, windowed, evaluate, windows, decided_at });
        for one in tested.iter().filter(|one| wanted(self.settings.receipts, one.decision.called())) {
            let Some(record) = recorded.record_of(one.event) else { continue };
            let receipt = maker.receipt(one, record.position.source(), record.payload.unwrap_or_default());
            let event = &arrivals[one.event].event;
            let key = command::key(&event.tenant, &event.customer);
            outgoing.push(Outgoing::new(&self.topics.receipts, Some(key), receipt::encode(&receipt)));
        }
    }
}

impl Recorded {
    /// The record that an arrival came from.
    fn record_of(&self, arrival: usize) -> Option<Record<'_>> {
        self.batch.record(*self.records.get(arrival)?)
    }

    /// Lets go of the arrivals of which no decision is among these. The batch may wait for long, and others that come meanwhile
    /// find their memory used and near.
    fn keep_arrivals_of(&mut self, tested: &mut [Tested]) {
        let mut kept = vec![false; self.arrivals.len()];
        // They stand in the order of the events.
        for (place, same) in tested.chunk_by_mut(|one, next| one.event == next.event).enumerate() {
            for one in same {
                kept[one.event] = true;
                one.event = place;
            }
        }
        // To let go of a tenant's preferences is to count down there.
        bring_preferences_near(&self.arrivals);
        retain_kept(&mut self.arrivals, &kept);
        retain_kept(&mut self.records, &kept);
        self.windowed.retain(&kept);
    }
}

/// Lets go of decisions of which no more is told than that they were made.
fn keep_what_is_told_of(tested: &mut Vec<Tested>) {
    tested.retain(|one| one.decision.facts().is_some());
    tested.shrink_to_fit();
}

/// What belongs to batches that are not finished, in their order.
fn alive<T>(of: &mut Vec<Weak<T>>) -> Vec<Arc<T>> {
    of.retain(|one| one.strong_count() > 0);
    of.iter().filter_map(Weak::upgrade).collect()
}

fn fired(arrivals: &[Arrival], tested: &[Tested]) -> Vec<Fired> {
    let fires = tested.iter().filter(|one| one.decision.fires());
    fires.map(|one| Fired::new(&arrivals[one.event].event, one.trigger)).collect()
}

/// The record itself, as it came, with the reason in its headers.
pub(super) fn dead_letter(record: &Record<'_>, rejection: &Rejection, stage: Stage, topic: &str) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        key: record.key.map(<[u8]>::to_vec),
        payload: record.payload.map(<[u8]>::to_vec),
        headers: dead_letter::headers(rejection.code, &rejection.error, stage, &record.position.source()),
        size: Size::MayBeCut { key: dead_letter::MAX_CUT_KEY, payload: event::MAX_BYTES },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::{AgeLimit, Facts, Standing};
    use crate::domain::event::{Activity, Event};
    use crate::domain::ids::{CustomerId, EventId};
    use crate::domain::window::{Reach, Timeliness};

    fn arrival(number: u32) -> Arrival {
        let event = Event {
            id: EventId::new(&format!("e{number}")).unwrap(),
            tenant: TenantId::new("acme").unwrap(),
            customer: CustomerId::new("a").unwrap(),
            activity: Activity::Plain(ActivityType::Login),
            occurred_at: Timestamp(0),
            transaction: None,
        };
        Arrival { event, place: number, preferences: None, age_limit: AgeLimit::Kept }
    }

    fn reach(count: u32) -> Option<Reach> {
        Some(Reach { count, needed: 9, within_minutes: 5, timeliness: Timeliness::InTime })
    }

    #[test]
    fn what_is_told_of_keeps_its_event_its_record_and_its_window() {
        let mut recorded = Recorded {
            batch: Batch::default(),
            arrivals: (0..5).map(arrival).collect(),
            records: vec![0, 10, 20, 30, 40],
            tenants: vec![TenantId::new("acme").unwrap()],
            tenant_of: Vec::new(),
            rejected: Vec::new(),
            unknown_types: Vec::new(),
            given_up: Vec::new(),
            told: Arc::default(),
            windowed: Windowed::none_of(5),
            since: Instant::now(),
            taken: SystemTime::UNIX_EPOCH,
        };
        recorded.windowed.reaches = (0..5).map(reach).collect();
        let facts = Facts::Plain;
        let of = |event, decision| Tested { event, trigger: Trigger::Login, decision, answer: None };
        let fires = |event| of(event, Decision::Required { facts, standing: Standing::First });
        let mut tested = vec![
            of(0, Decision::TriggerDisabled),
            fires(1),
            of(1, Decision::InCooldown { facts, since: Timestamp(0), until: Timestamp(1) }),
            of(2, Decision::FeatureDisabled),
            of(3, Decision::TriggerDisabled),
            fires(3),
        ];
        keep_what_is_told_of(&mut tested);
        recorded.keep_arrivals_of(&mut tested);
        let told: Vec<_> = tested.iter().map(|one| (recorded.arrivals[one.event].place, one.decision.name())).collect();
        assert_eq!(told, [(1, "required"), (1, "in_cooldown"), (3, "required")]);
        assert_eq!((recorded.arrivals.len(), recorded.records), (2, vec![10, 30]));
        assert_eq!(recorded.windowed.reaches, [reach(1), reach(3)]);
    }
}

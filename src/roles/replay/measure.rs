//! What became of the events of this run, told from what was sent and what was read. Pure: times come in as microseconds
//! since the run began, all of one clock.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::latency::{Consequence, Course, Latency};
use crate::domain::command::Command;
use crate::domain::ids::CommandId;
use crate::domain::outcome::{Ending, Outcome};
use crate::domain::trigger::Trigger;
use crate::wire::dead_letter::{DeadLetter, Stage};

/// An event by its tenant and id, in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name(u64);

impl Name {
    pub(super) fn of(tenant: &str, event: &str) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(tenant.as_bytes());
        // A tenant's id cannot hold it.
        hasher.write_u8(0);
        hasher.write(event.as_bytes());
        Self(hasher.finish())
    }
}

/// How much is remembered at the most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Events whose command may still come; beyond that the oldest is forgotten, and its commands have no latency.
    pub(super) events: usize,
    /// Commands that are followed to their outcome; beyond that they are counted as unfollowed.
    pub(super) commands: usize,
    /// Outcomes whose command was not seen yet.
    pub(super) early: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: 2_000_000, commands: 4_000_000, early: 100_000 }
    }
}

/// Counts that only rise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) malformed: u64,
    pub(super) repeats_sent: u64,
    pub(super) bad_lines: u64,
    pub(super) failed: u64,
    pub(super) commands: u64,
    pub(super) commands_repeated: u64,
    pub(super) outcomes: u64,
    pub(super) outcomes_repeated: u64,
    /// Outcomes that say something else than the first of their command.
    pub(super) repeated: u64,
    pub(super) untimed: u64,
    pub(super) unfollowed: u64,
    pub(super) statuses: BTreeMap<&'static str, u64>,
    pub(super) by_trigger: BTreeMap<Trigger, (u64, u64)>,
    /// By code; those of events, and those of commands.
    pub(super) dead_events: BTreeMap<&'static str, u64>,
    pub(super) dead_commands: BTreeMap<&'static str, u64>,
}

/// Follows every event of a run.
#[derive(Debug)]
pub(super) struct Measure {
    run: String,
    bounds: Bounds,
    /// When each event was meant to be sent.
    sent: HashMap<Name, u64>,
    order: VecDeque<Name>,
    followed: HashMap<CommandId, Followed>,
    early: HashMap<CommandId, (Ended, Trigger, &'static str)>,
    early_order: VecDeque<CommandId>,
    pub(super) counts: Counts,
    pub(super) commanded: Consequence,
    pub(super) ended: Consequence,
    pub(super) sent_late: Latency,
    pub(super) course: Course,
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    /// When its event was meant to be sent, where that is still known.
    intended: Option<u64>,
    outcome: Option<u64>,
}

/// An outcome in brief: when it came, and a hash of its record.
#[derive(Debug, Clone, Copy)]
struct Ended {
    at: u64,
    record: u64,
}

impl Measure {
    /// Ids of the run's events begin with `run` and a hyphen, unless they were kept.
    pub(super) fn new(run: &str, bounds: Bounds) -> anyhow::Result<Self> {
        Ok(Self {
            run: format!("{run}-"),
            bounds,
            sent: HashMap::new(),
            order: VecDeque::new(),
            followed: HashMap::new(),
            early: HashMap::new(),
            early_order: VecDeque::new(),
            counts: Counts::default(),
            commanded: Consequence::new()?,
            ended: Consequence::new()?,
            sent_late: Latency::new()?,
            course: Course::new()?,
        })
    }

    /// An event is about to be sent at `now` that was meant to be sent at `intended`. Must come before it is sent. The
    /// first of several with one name counts, as it does for the windows.
    pub(super) fn sending(&mut self, name: Option<Name>, intended: u64, now: u64) {
        self.sent_late.record(now.saturating_sub(intended));
        let Some(name) = name else { return };
        match self.sent.entry(name) {
            Entry::Occupied(_) => self.counts.repeats_sent += 1,
            Entry::Vacant(place) => {
                place.insert(intended);
                self.order.push_back(name);
            }
        }
        if self.order.len() > self.bounds.events
            && let Some(oldest) = self.order.pop_front()
        {
            self.sent.remove(&oldest);
        }
    }

    /// A command was read at `now`.
    pub(super) fn command(&mut self, command: &Command, now: u64) {
        let name = Name::of(command.tenant.as_str(), command.cause.event.as_str());
        let intended = self.sent.get(&name).copied();
        if intended.is_none() && !command.cause.event.as_str().starts_with(&self.run) {
            return;
        }
        let room = self.followed.len() < self.bounds.commands;
        match self.followed.entry(command.id) {
            Entry::Occupied(_) => {
                self.counts.commands_repeated += 1;
                return;
            }
            Entry::Vacant(place) if room => drop(place.insert(Followed { intended, outcome: None })),
            Entry::Vacant(_) => self.counts.unfollowed += 1,
        }
        self.counts.commands += 1;
        self.counts.by_trigger.entry(command.trigger).or_default().0 += 1;
        match intended {
            Some(intended) => {
                let took = now.saturating_sub(intended);
                self.commanded.record(command.trigger, took);
                self.course.record(took);
            }
            None => self.counts.untimed += 1,
        }
        if let Some((ended, trigger, status)) = self.early.remove(&command.id) {
            self.settle(command.id, ended, trigger, status);
        }
    }

    /// An outcome was read at `now`, out of this `record`.
    pub(super) fn outcome(&mut self, outcome: &Outcome, record: &[u8], now: u64) {
        let mut hasher = SipHasher13::new();
        hasher.write(record);
        let (ended, status) = (Ended { at: now, record: hasher.finish() }, outcome.ending.status());
        if self.followed.contains_key(&outcome.command) {
            return self.settle(outcome.command, ended, outcome.trigger, status);
        }
        // Its command stands on another topic and may be read later; or it is nobody's of ours.
        if self.early.insert(outcome.command, (ended, outcome.trigger, status)).is_none() {
            self.early_order.push_back(outcome.command);
        }
        if self.early_order.len() > self.bounds.early
            && let Some(oldest) = self.early_order.pop_front()
        {
            self.early.remove(&oldest);
        }
    }

    fn settle(&mut self, command: CommandId, ended: Ended, trigger: Trigger, status: &'static str) {
        let Some(followed) = self.followed.get_mut(&command) else { return };
        match followed.outcome {
            Some(record) if record == ended.record => self.counts.outcomes_repeated += 1,
            Some(_) => self.counts.repeated += 1,
            None => {
                followed.outcome = Some(ended.record);
                self.counts.outcomes += 1;
                *self.counts.statuses.entry(status).or_default() += 1;
                self.counts.by_trigger.entry(trigger).or_default().1 += 1;
                if let Some(intended) = followed.intended {
                    self.ended.record(trigger, ended.at.saturating_sub(intended));
                }
            }
        }
    }

    /// A dead letter was read that was written since the run began.
    pub(super) fn dead_letter(&mut self, letter: &DeadLetter) {
        let codes = match letter.stage {
            Stage::Evaluate => &mut self.counts.dead_events,
            Stage::Dispatch => &mut self.counts.dead_commands,
        };
        *codes.entry(letter.code.name()).or_default() += 1;
    }

    /// Commands that are followed and have no outcome.
    pub(super) fn without_outcome(&self) -> u64 {
        (self.counts.commands - self.counts.unfollowed).saturating_sub(self.counts.outcomes)
    }

    /// Of these commands, how many did not come; and how many came that are not among them. An event that the brokers did not
    /// take may stand there or not: which commands must come is not known then.
    pub(super) fn compare(&self, expected: &std::collections::HashSet<CommandId>) -> Option<(u64, u64)> {
        if self.counts.failed > 0 {
            return None;
        }
        let missing = expected.iter().filter(|id| !self.followed.contains_key(id)).count();
        let unexpected = self.followed.keys().filter(|id| !expected.contains(id)).count();
        Some((missing as u64, unexpected as u64))
    }
}

impl Counts {
    /// Outcomes that brought a session.
    pub(super) fn sessions(&self) -> u64 {
        let created = Ending::STATUSES[0];
        self.statuses.get(created).copied().unwrap_or(0)
    }

    pub(super) fn dead_letters(&self) -> BTreeMap<&'static str, u64> {
        let mut all = self.dead_events.clone();
        for (code, count) in &self.dead_commands {
            *all.entry(code).or_default() += count;
        }
        all
    }

    /// Dead letters beyond the records that were malformed on purpose.
    pub(super) fn dead_letters_unexplained(&self) -> u64 {
        let events: u64 = self.dead_events.values().sum();
        events.saturating_sub(self.malformed) + self.dead_commands.values().sum::<u64>()
    }
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;

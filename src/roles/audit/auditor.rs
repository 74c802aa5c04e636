//! The auditor: takes in what came out, then goes through what went in, and says what does not fit. Pure: records and the
//! clock come in as arguments.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::course::{Course, Stretch};
use super::customers::Customers;
use super::findings::{Check, Counted, Findings};
use super::ledger::{Id, Ledger};
use super::names::{At, Lanes, Names};
use super::windows::Sample;
use crate::config::{Evaluate, Source, Start, Topics, Windows};
use crate::domain::preferences::Preferences;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::WindowRule;
use crate::edge::kafka::range::RangeRecord;
use crate::roles::offline::{Document, document_written_at, read_document};
use crate::wire::audit::{Report, Violation, digest};
use crate::wire::preferences as document;

/// What is held against what, and by which rules.
pub(super) struct Terms {
    pub(super) evaluate: Evaluate,
    pub(super) windows: Windows,
    pub(super) topics: Topics,
    pub(super) start: Start,
    /// How long preferences may be gone by after they have changed.
    pub(super) preferences_ttl: Duration,
    pub(super) max_command_age: Duration,
    /// The preferences to decide by; without them what was required is not known.
    pub(super) preferences: Option<PathBuf>,
    pub(super) documents: Documents,
    /// Whether nothing more is to come.
    pub(super) drained: Drained,
    pub(super) now: Timestamp,
}

/// Whether everything that follows from the range must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    Expected,
    /// What is late by less than the grace may still come.
    NotYet,
}

/// Where the documents of the preferences are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Documents {
    /// In their files, whose times tell when.
    Written,
    /// In a service. The files are copies.
    Copied,
}

impl From<&Source> for Documents {
    fn from(source: &Source) -> Self {
        match source {
            Source::Directory { .. } => Self::Written,
            Source::Http { .. } => Self::Copied,
        }
    }
}

/// What ends later than it should is waited for so long.
pub(super) const GRACE: Duration = Duration::from_secs(60);
/// A longer version of preferences does not stand on commands.
const LONGEST_VERSION: usize = 128;

/// A tenant's preferences at hand.
#[derive(Debug, Clone)]
pub(super) enum Known {
    Preferences(Arc<Preferences>),
    NoTenant,
    Unreadable,
}

/// What is known of a tenant.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) known: Known,
    /// A hash of the version at hand, as commands have it.
    pub(super) version: Option<u128>,
    pub(super) rule: Option<WindowRule>,
    /// Until then others may have been in force.
    pub(super) unsettled_until: Option<Timestamp>,
    /// Nothing says when its preferences were changed.
    pub(super) is_undated: bool,
    /// The triggers of which commands stand on the shadow topic.
    pub(super) shadowed: u16,
}

/// A difference that counts only where the customer's events come through one partition.
pub(super) struct Mismatch {
    pub(super) check: Check,
    pub(super) customer: u128,
    pub(super) trigger: Trigger,
    pub(super) violation: Violation,
}

/// How many records of each kind there were.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) events: u64,
    pub(super) dead_letters: u64,
    pub(super) retries: u64,
    pub(super) sessions: u64,
}

pub(super) struct Auditor {
    pub(super) terms: Terms,
    pub(super) lanes: Lanes,
    pub(super) names: Names,
    pub(super) tenants: HashMap<u32, Tenant>,
    pub(super) ledger: Ledger,
    pub(super) course: Course,
    pub(super) customers: Customers,
    pub(super) findings: Findings,
    pub(super) mismatches: Vec<Mismatch>,
    /// Required commands that were told to be missing.
    pub(super) missing: HashSet<Id>,
    pub(super) seen: Seen,
    /// The customers whose windows are compared, where any are.
    pub(super) sample: Option<Sample>,
    /// Where the commands in the range begin, unless that is where their topic does.
    pub(super) commands_since: Option<Timestamp>,
}

impl Auditor {
    pub(super) fn new(terms: Terms) -> Self {
        let mut findings = Findings::new();
        if terms.preferences.is_none() {
            for check in [Check::RequiredCommands, Check::Windows] {
                findings.skip(check, "no preferences are at hand: what should have been commanded is not known");
            }
        }
        Self {
            terms,
            lanes: Lanes::default(),
            names: Names::default(),
            tenants: HashMap::new(),
            ledger: Ledger::default(),
            course: Course::default(),
            customers: Customers::default(),
            findings,
            mismatches: Vec::new(),
            missing: HashSet::new(),
            seen: Seen::default(),
            sample: None,
            commands_since: None,
        }
    }

    /// Takes note of the range of a partition.
    pub(super) fn range(&mut self, topic: &Arc<str>, partition: i32, stretch: Stretch) {
        let lane = self.lanes.lane(topic, partition);
        self.course.read(lane, stretch);
    }

    /// To be called once, between what came out and what went in.
    pub(super) fn begin(&mut self) {
        self.course.seal();
        let Ledger { commands, shadows, .. } = &self.ledger;
        let issued =
            commands.values().map(|issued| (issued, false)).chain(shadows.values().map(|issued| (issued, true)));
        // A further try has the version of the first one, whenever it comes.
        let issued = issued.filter(|(one, _)| one.redrive_of.is_none());
        let seen: Vec<(u32, Option<u128>, Timestamp, Trigger, bool)> =
            issued.map(|(one, shadow)| (one.tenant, one.version, one.issued_at, one.trigger, shadow)).collect();
        for (number, version, issued_at, trigger, shadow) in seen {
            let tenant = self.tenant(number);
            if version != tenant.version {
                tenant.unsettled_until = tenant.unsettled_until.max(Some(issued_at));
            }
            if shadow {
                tenant.shadowed |= super::customers::bit(trigger);
            }
        }
    }

    /// What is known of a tenant; its document is read when it comes up first.
    pub(super) fn tenant(&mut self, number: u32) -> &mut Tenant {
        let Self { tenants, names, terms, .. } = self;
        tenants.entry(number).or_insert_with(|| {
            let place = terms.preferences.as_ref().zip(names.name(number));
            let known = match place {
                Some((directory, tenant)) => match read_document(directory, tenant) {
                    Document::Found(bytes) => document::decode(&bytes)
                        .map_or(Known::Unreadable, |preferences| Known::Preferences(Arc::new(preferences))),
                    Document::Missing => Known::NoTenant,
                    Document::Unreadable(_) => Known::Unreadable,
                },
                None => Known::NoTenant,
            };
            let place = place.filter(|_| terms.documents == Documents::Written);
            let written_at = place.and_then(|(directory, tenant)| document_written_at(directory, tenant));
            Tenant::of(known, written_at, &terms.windows)
        })
    }

    /// Whether all effects of a record must be there.
    pub(super) fn is_settled(&self, at: At) -> bool {
        self.terms.drained == Drained::Expected || self.course.is_committed(at)
    }

    /// Whether what was due at `at` can no longer come.
    pub(super) fn is_overdue(&self, due: Timestamp) -> bool {
        self.terms.drained == Drained::Expected || due.plus(GRACE) < self.terms.now
    }

    pub(super) fn is_activity(&self, at: At) -> bool {
        let topic = self.lanes.topic(at.lane);
        self.terms.topics.activity.iter().any(|activity| activity == topic)
    }

    pub(super) fn violation(&self, what: impl Into<String>, at: At) -> Violation {
        Violation { what: what.into(), at: Some(self.lanes.source(at).to_string()), ..Violation::default() }
    }

    pub(super) fn of_command(&self, violation: Violation, id: Id, tenant: u32, trigger: Option<Trigger>) -> Violation {
        Violation {
            tenant_id: self.names.name(tenant).map(ToString::to_string),
            command_id: Some(uuid::Uuid::from_u128(id).to_string()),
            trigger: trigger.map(Trigger::name),
            ..violation
        }
    }

    /// What was found, so far.
    pub(super) fn report(mut self, incomplete: bool) -> Report {
        let spread = self.customers.spread();
        for _ in 0..spread {
            self.findings.count(Counted::SeveralPartitions);
        }
        let undated = self.tenants.values().filter(|tenant| tenant.is_undated).count();
        if undated > 0 {
            self.findings.notes.push(format!(
                "{undated} tenants have preferences over HTTP without updated_at: \
                 a change of them cannot be told from a lost command"
            ));
        }
        let ok = !incomplete && self.findings.violations() == 0;
        let mut report = Report {
            events: self.seen.events,
            commands: self.ledger.commands.len() as u64,
            shadow_commands: self.ledger.shadows.len() as u64,
            outcomes: self.ledger.outcomes.len() as u64,
            dead_letters: self.seen.dead_letters,
            retries: self.seen.retries,
            sessions: self.seen.sessions,
            incomplete,
            ok,
            ..Report::default()
        };
        self.findings.tell(&mut report);
        report
    }
}

impl Tenant {
    /// `written_at` is when its document was last written, where that is known.
    fn of(known: Known, written_at: Option<Timestamp>, windows: &Windows) -> Self {
        let preferences = match &known {
            Known::Preferences(preferences) => Some(preferences),
            Known::NoTenant | Known::Unreadable => None,
        };
        let version = preferences.and_then(|preferences| preferences.updated_at.as_ref());
        let rule = preferences
            .and_then(|preferences| preferences.frequency())
            .map(|bound| WindowRule::new(bound, windows.max_lookback, windows.allowed_lateness, windows.max_entries));
        let changed_at = version.and_then(|text| Timestamp::parse(text).ok()).or(written_at);
        Self {
            version: version.filter(|text| text.len() <= LONGEST_VERSION).map(|text| digest(text.as_bytes())),
            unsettled_until: changed_at,
            is_undated: preferences.is_some() && changed_at.is_none(),
            rule,
            shadowed: 0,
            known,
        }
    }
}

/// When a record was written, by its own word.
pub(super) fn written_at(record: &RangeRecord<'_>) -> Option<Timestamp> {
    record.timestamp.map(Timestamp)
}

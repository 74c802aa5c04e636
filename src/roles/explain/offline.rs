//! One event of a recording, decided with everything that its customer did before.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::rules::{Case, ClaimSeen, Ruling, Tenant};
use super::subject;
use crate::domain::decide::{Decision, Standing};
use crate::domain::event::{Activity, Event};
use crate::domain::ids::{CommandId, TenantId};
use crate::domain::preferences::Preferences;
use crate::domain::window::WindowRule;
use crate::edge::recording::Recording;
use crate::roles::offline::{Line, Offline, Rules};
use crate::roles::progress::Progress;
use crate::roles::recording_args::RecordingArgs;
use crate::roles::walk::{Arrival, Tested};
use crate::wire::explanation::{self, Bet, Ending, Explanation, Knowledge, Place, Rejection, Repeat, VERSION, Window};
use crate::wire::identity;

/// What is asked of a recording.
pub(super) struct Asked {
    pub(super) events: PathBuf,
    pub(super) format: RecordingArgs,
    pub(super) preferences: PathBuf,
    pub(super) config: Option<PathBuf>,
    pub(super) event: String,
    pub(super) tenant: Option<TenantId>,
    pub(super) quiet: bool,
}

/// So many arrivals of one event are told of.
const MOST_ARRIVALS: usize = 20;

/// A line that holds the event.
struct Found {
    number: u64,
    line: Line,
    /// What it says its tenant, customer, type and time are.
    said: Said,
}

#[derive(Clone, Default)]
pub(super) struct Said {
    pub(super) tenant: Option<String>,
    pub(super) customer: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) occurred_at: Option<String>,
}

impl Said {
    pub(super) fn of(payload: &[u8]) -> Option<(String, Self)> {
        let names = identity::read(payload)?;
        let owned = |name: Option<std::borrow::Cow<'_, str>>| name.map(std::borrow::Cow::into_owned);
        let said = Self {
            tenant: owned(names.tenant),
            customer: owned(names.customer),
            kind: owned(names.kind),
            occurred_at: owned(names.occurred_at),
        };
        Some((names.id?.into_owned(), said))
    }
}

/// Decides everything its customer did up to the event's last arrival, and tells how each of them came out.
pub(super) async fn explain(asked: &Asked) -> anyhow::Result<Explanation> {
    let mut offline = asked.open()?;
    let found = asked.find(&mut offline)?;
    let Some(first) = found.iter().find_map(|found| match &found.line {
        Line::Event(arrival) => Some((found.number, arrival.as_ref().clone())),
        Line::Rejected { .. } | Line::UnknownType => None,
    }) else {
        let Some(found) = found.into_iter().next() else { bail!(asked.nothing()) };
        return Ok(undecided(asked, found));
    };
    let arrivals = found.iter().filter_map(|found| match &found.line {
        Line::Event(arrival) if arrival.event.customer == first.1.event.customer => Some(found.number),
        Line::Event(_) | Line::Rejected { .. } | Line::UnknownType => None,
    });
    let arrivals: Vec<u64> = arrivals.take(MOST_ARRIVALS).collect();
    let mut offline = asked.open()?;
    let history = asked.history(&mut offline, &first.1.event, arrivals.last().copied().unwrap_or(first.0))?;
    let batch: Vec<Arrival> = history.iter().map(|(_, arrival)| arrival.clone()).collect();
    let (_, tested) = offline.decide(&batch).await?;
    let told = Told { history: &history, tested: &tested, rules: offline.rules() };
    let mut lines = arrivals.iter().map(|number| Repeat { line: *number, triggers: told.triggers(*number) });
    let triggers = lines.next().map(|line| line.triggers).unwrap_or_default();
    let preferences = first.1.preferences.as_deref();
    Ok(Explanation {
        version: VERSION,
        event: subject(&first.1.event, Place::Line { line: first.0 }),
        preferences: explanation::Preferences {
            status: if preferences.is_some() { Knowledge::Known } else { Knowledge::None },
            updated_at: preferences.and_then(|preferences| preferences.updated_at.clone()),
            why: None,
        },
        triggers,
        repeats: lines.collect(),
        notes: notes(&found, &first.1.event),
    })
}

impl Asked {
    fn open(&self) -> anyhow::Result<Offline> {
        Offline::new(Rules::read(self.config.as_deref())?, &self.preferences)
    }

    fn recording(&self) -> anyhow::Result<Recording> {
        self.format.open(&self.events).context("--events")
    }

    fn name(&self) -> String {
        format!("--events {}", self.events.display())
    }

    fn nothing(&self) -> String {
        let of = self.tenant.as_ref().map(|tenant| format!(" of tenant {tenant}")).unwrap_or_default();
        format!("--event {}: the recording holds no such event{of}", self.event)
    }

    /// Every line that holds the event, of one tenant.
    fn find(&self, offline: &mut Offline) -> anyhow::Result<Vec<Found>> {
        let progress = Progress::new(None, "lines", self.quiet);
        let mut recording = self.recording()?;
        let (mut found, mut others) = (Vec::new(), BTreeSet::new());
        while let Some((number, line)) = recording.next_line().with_context(|| self.name())? {
            if number % 10_000 == 0 {
                progress.at(number, "");
            }
            if !identity::may_hold(line, &self.event) {
                continue;
            }
            let Some((id, said)) = Said::of(line) else { continue };
            if id != self.event {
                continue;
            }
            let wanted = self.tenant.as_ref().is_none_or(|tenant| said.tenant.as_deref() == Some(tenant.as_str()));
            others.extend(said.tenant.clone());
            if wanted && found.len() < MOST_ARRIVALS {
                found.push(Found { number, line: offline.read(line), said });
            }
        }
        let others: Vec<String> = others.into_iter().collect();
        if self.tenant.is_none() && others.len() > 1 {
            bail!(
                "--event {}: {} tenants have an event of this id: {}; say which with --tenant",
                self.event,
                others.len(),
                others.join(", ")
            );
        }
        if found.is_empty() && !others.is_empty() {
            bail!("{}; it is there of {}", self.nothing(), others.join(", "));
        }
        Ok(found)
    }

    /// What the event's customer did, up to a line, each with its line.
    fn history(&self, offline: &mut Offline, event: &Event, until: u64) -> anyhow::Result<Vec<(u64, Arrival)>> {
        let progress = Progress::new(Some(until), "lines", self.quiet);
        let mut recording = self.recording()?;
        let mut history = Vec::new();
        while let Some((number, line)) = recording.next_line().with_context(|| self.name())? {
            if number % 10_000 == 0 {
                progress.at(number, "");
            }
            if identity::may_hold(line, event.customer.as_str())
                && let Line::Event(arrival) = offline.read(line)
                && arrival.event.tenant == event.tenant
                && arrival.event.customer == event.customer
            {
                history.push((number, *arrival));
            }
            if number == until {
                break;
            }
        }
        Ok(history)
    }
}

/// An event that no trigger is tested for.
fn undecided(asked: &Asked, found: Found) -> Explanation {
    let (result, rejection) = match found.line {
        Line::Rejected { rejection, .. } => {
            (Ending::Rejected, Some(Rejection { code: rejection.code.name(), error: rejection.error }))
        }
        Line::UnknownType | Line::Event(_) => (Ending::UnknownType, None),
    };
    super::undecided(&asked.event, found.said, Place::Line { line: found.number }, result, rejection)
}

/// What there is to say of lines that hold the event and are no arrivals of it.
fn notes(found: &[Found], event: &Event) -> Vec<String> {
    let note = |found: &Found| match &found.line {
        Line::Event(arrival) if arrival.event.customer == event.customer => None,
        Line::Event(_) => Some(format!("line {} has the same id for another customer", found.number)),
        Line::Rejected { rejection, .. } => {
            Some(format!("line {} was rejected: {}: {}", found.number, rejection.code.name(), rejection.error))
        }
        Line::UnknownType => Some(format!("line {} was skipped: its type is unknown", found.number)),
    };
    found.iter().filter_map(note).collect()
}

/// What a customer did, decided.
struct Told<'a> {
    history: &'a [(u64, Arrival)],
    tested: &'a [Tested],
    rules: &'a Rules,
}

impl Told<'_> {
    /// How the arrival on a line came out.
    fn triggers(&self, line: u64) -> Vec<explanation::Tested> {
        let Some(place) = self.history.iter().position(|(number, _)| *number == line) else { return Vec::new() };
        self.tested.iter().filter(|one| one.event == place).map(|one| self.one(one)).collect()
    }

    fn one(&self, one: &Tested) -> explanation::Tested {
        let arrival = &self.history[one.event].1;
        let preferences = arrival.preferences.as_deref();
        let cooldown = self.rules.evaluate.cooldown.of(one.trigger);
        let case = Case {
            trigger: one.trigger,
            tenant: preferences.map_or(Tenant::None, Tenant::Known),
            ruling: Ruling::Decided(one.decision.clone()),
            cooldown,
            claim: self.claim(one),
            fired_before: self.fired(one).next_back().map(|fired| self.history[fired.event].1.event.occurred_at),
            age: None,
        };
        let required = one.decision.fires();
        explanation::Tested {
            trigger: one.trigger,
            decision: case.decision(),
            rules: case.rules(),
            window: self.window(one, preferences),
            cooldown: case.met(),
            command_id: required
                .then(|| CommandId::of(&arrival.event.tenant, one.trigger, &arrival.event.id).to_string()),
            command: None,
            outcome: None,
            notes: Vec::new(),
        }
    }

    /// What took a claim of the same trigger before.
    fn fired<'a>(&'a self, one: &'a Tested) -> impl DoubleEndedIterator<Item = &'a Tested> {
        let fired = |before: &&Tested| {
            before.decision.fires()
                && !before.decision.is_repeated()
                && before.trigger == one.trigger
                && before.event < one.event
        };
        self.tested.iter().filter(fired)
    }

    /// The claim that an event holds, or whose cool-down it fell into.
    fn claim(&self, one: &Tested) -> Option<ClaimSeen> {
        let own = &self.history[one.event].1.event;
        let of = |fired: &Tested| {
            let (line, arrival) = &self.history[fired.event];
            (*line, arrival.event.occurred_at, arrival.event.id.clone())
        };
        let seen = |(line, at, event): (u64, _, crate::domain::ids::EventId), how: &str| ClaimSeen {
            at,
            event: Some(event.as_str().to_owned()),
            how: format!("{how}{line}"),
        };
        match &one.decision {
            Decision::Required { standing: Standing::First, .. }
            | Decision::Shadowed { standing: Standing::First, .. } => {
                Some(ClaimSeen { at: own.occurred_at, event: Some(own.id.as_str().to_owned()), how: String::new() })
            }
            Decision::Required { standing: Standing::Again, .. }
            | Decision::Shadowed { standing: Standing::Again, .. } => {
                let first = self.fired(one).map(of).find(|(_, _, event)| *event == own.id)?;
                Some(seen(first, "it was decided before, on line "))
            }
            Decision::InCooldown { since, .. } => {
                Some(seen(self.fired(one).map(of).rfind(|(_, at, _)| at == since)?, "it stands on line "))
            }
            Decision::TenantUnknown
            | Decision::FeatureDisabled
            | Decision::TriggerDisabled
            | Decision::BelowThreshold { .. }
            | Decision::BelowFrequency(_)
            | Decision::EventTooOld { .. }
            | Decision::Capped { .. } => None,
        }
    }

    /// The customer's bets around the event as they stood when it first came.
    fn window(&self, one: &Tested, preferences: Option<&Preferences>) -> Option<Window> {
        let (reach, bound) = (one.decision.reach()?, preferences?.frequency()?);
        let settings = &self.rules.windows;
        let rule = WindowRule::new(bound, settings.max_lookback, settings.allowed_lateness, settings.max_entries);
        let own = &self.history[one.event].1.event;
        let until = self.history.iter().position(|(_, arrival)| arrival.event.id == own.id)?;
        let at = self.history[until].1.event.occurred_at;
        let mut seen = HashSet::new();
        let mut bets: Vec<Bet> = self.history[..=until]
            .iter()
            .map(|(_, arrival)| &arrival.event)
            .filter(|event| matches!(event.activity, Activity::Bet(_)))
            .filter(|event| event.occurred_at > at.minus(rule.width) && event.occurred_at < at.plus(rule.width))
            .filter(|event| seen.insert(event.id.as_str()))
            .map(|event| Bet {
                at: event.occurred_at,
                id: Some(event.id.as_str().to_owned()),
                this: event.id == own.id,
            })
            .collect();
        bets.sort_by_key(|bet| bet.at);
        let (needed, count, within_minutes) = (Some(reach.needed), Some(reach.count), Some(reach.within_minutes));
        Some(Window { needed, count, within_minutes, bets })
    }
}

//! The counts of a run, put together into its answer.

use std::collections::BTreeMap;

use super::engine::Engine;
use super::sweep::Sweep;
use super::tally::People;
use crate::domain::decide::Decision;
use crate::domain::money::Amount;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::wire::whatif::{self, Against, Answer, BadLine, Compared, Figures, Peak, Step};

/// What was read, beside the decisions.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) events: u64,
    pub(super) unknown_types: u64,
    pub(super) rejected: BTreeMap<&'static str, u64>,
    /// The first of the rejected lines.
    pub(super) bad_lines: Vec<BadLine>,
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    /// The recording was not read to its end.
    pub(super) partial: bool,
}

/// What was asked, as far as the answer must know.
pub(super) struct Question<'a> {
    pub(super) sweep: Option<&'a Sweep>,
    pub(super) cost_per_session: Option<Amount>,
    /// Whether the second world stands for changed preferences.
    pub(super) compared: bool,
    /// How the operator named each world but the first.
    pub(super) others: &'a str,
}

/// The whole answer. Customers must have been counted: see [`Engine::finish`].
pub(super) fn answer(engine: Engine, seen: Seen, question: &Question<'_>) -> Answer {
    let notes = notes(&engine, &seen, question);
    let sheet = Sheet { peaks: engine.counts.minutes.peaks(&engine.series()), engine: &engine, question };
    let compared = |trigger: Option<Trigger>| Compared {
        figures: sheet.figures(0, trigger),
        against: question.compared.then(|| sheet.against(trigger)),
    };
    let triggers = Trigger::ALL.iter().map(|trigger| (trigger.name(), compared(Some(*trigger)))).collect();
    let total = compared(None);
    let sweep = question.sweep.map(|sweep| whatif::Sweep {
        term: sweep.term.to_string(),
        trigger: sweep.term.trigger.name(),
        steps: sweep.values.iter().enumerate().map(|(place, value)| sheet.step(sweep, place, value)).collect(),
    });
    Answer {
        partial: seen.partial,
        events: seen.events,
        unknown_types: seen.unknown_types,
        rejected: seen.rejected,
        bad_lines: seen.bad_lines,
        late_bets: engine.counts.late_bets,
        from: seen.from.map(|at| at.to_string()),
        to: seen.to.map(|at| at.to_string()),
        given_up: engine.counts.given_up,
        cost_per_session: question.cost_per_session.map(|cost| cost.to_string()),
        notes,
        triggers,
        total,
        sweep,
        most_affected: engine.counts.most_affected.into_list(),
    }
}

struct Sheet<'a> {
    engine: &'a Engine,
    question: &'a Question<'a>,
    /// Of every series of [`Engine::series`].
    peaks: Vec<Option<(Timestamp, u64)>>,
}

impl Sheet<'_> {
    /// Of one trigger in one world, or of all.
    fn figures(&self, world: usize, trigger: Option<Trigger>) -> Figures {
        let mut decisions: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut people = People::default();
        let mut prompts = 0;
        for (_, slot) in self.engine.counts.slots.of(world, trigger) {
            for (name, count) in Decision::NAMES.iter().zip(slot.decisions).filter(|(_, count)| *count > 0) {
                *decisions.entry(name).or_default() += count;
            }
            people.join(&slot.people);
            prompts += slot.prompts;
        }
        let Some(trigger) = trigger else {
            // A customer of two triggers is one customer.
            return self.figures_of(world, 0, decisions, self.engine.counts.people[world], prompts);
        };
        self.figures_of(world, 1 + trigger as usize, decisions, people, prompts)
    }

    fn figures_of(
        &self,
        world: usize,
        series: usize,
        decisions: BTreeMap<&'static str, u64>,
        people: People,
        prompts: u64,
    ) -> Figures {
        let peak = self.peaks.get(world * (1 + Trigger::ALL.len()) + series).copied().flatten();
        Figures {
            required: decisions.get("required").copied().unwrap_or_default(),
            prompts,
            repeat_prompts: prompts.saturating_sub(people.customers),
            customers: people.customers,
            prompts_per_customer: people.spread,
            peak_minute: peak.map(|(at, sessions)| Peak { at: at.to_string(), sessions }),
            cost: self.question.cost_per_session.and_then(|each| cost(prompts, each)),
            decisions,
        }
    }

    fn against(&self, trigger: Option<Trigger>) -> Against {
        let counts = &self.engine.counts;
        let changes = match trigger {
            Some(trigger) => counts.changes[trigger as usize],
            None => whatif::Changes {
                newly: counts.changes.iter().map(|changes| changes.newly).sum(),
                no_longer: counts.changes.iter().map(|changes| changes.no_longer).sum(),
                customers_newly: counts.customers_newly,
                customers_no_longer: counts.customers_no_longer,
            },
        };
        Against { figures: self.figures(1, trigger), changes }
    }

    /// The first world is the preferences as they are, so the steps begin with the second.
    fn step(&self, sweep: &Sweep, place: usize, value: &str) -> Step {
        Step {
            value: value.to_owned(),
            figures: self.figures(1 + place, Some(sweep.term.trigger)),
            total: self.figures(1 + place, None),
        }
    }
}

/// What so many sessions cost, exactly.
fn cost(sessions: u64, each: Amount) -> Option<String> {
    Some(sessions.to_string().parse::<Amount>().ok()?.at_rate(each).to_string())
}

/// What a reader must know beside the figures, the gravest first.
fn notes(engine: &Engine, seen: &Seen, question: &Question<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if seen.partial {
        notes.push("Stopped before the end of the recording: the figures are of what was read until then.".to_owned());
    }
    let given_up = engine.counts.given_up;
    if !given_up.is_nothing() {
        notes.push(format!(
            "GIVEN UP for want of memory: windows and claims of {} customers, the names of {} customers, {} prompts of \
             closed minutes. Figures may be wrong; allow more with --memory.",
            given_up.states, given_up.customers, given_up.minutes
        ));
    }
    for (world, error) in engine.unreadable() {
        let side = if world == 0 { "--preferences" } else { question.others };
        let note = format!("{side}: a document is not readable, and its tenant's events were not decided: {error}");
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if seen.events == 0 {
        return notes;
    }
    if let Some(sweep) = question.sweep {
        let trigger = sweep.term.trigger;
        if !engine.is_on(trigger) {
            notes.push(format!(
                "{trigger} is off for every tenant of the recording, so the sweep shows nothing; switch it on with \
                 --change '{{\"{trigger}\":{{\"enabled\":true}}}}'."
            ));
        }
    } else if question.compared && !engine.differs() {
        notes.push(format!("{} changes nothing for any tenant of the recording.", question.others));
    }
    notes
}

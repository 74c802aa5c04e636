//! What the rules say now against the traces that the event left: where they disagree, the traces are right.

use super::rules::{Case, Ruling};
use super::traces::{Traces, is_required};
use super::trail::Issued;
use super::window::View;
use crate::domain::decide::{Facts, Mode};
use crate::domain::hindsight::Hindsight;
use crate::domain::ids::CommandId;
use crate::domain::outcome::{Ending, Outcome};
use crate::domain::trigger::Trigger;
use crate::wire::explanation::{self, Command, Knowledge, Rule, Tested};

/// One trigger's part of the explanation.
pub(super) fn weigh(
    traces: &Traces<'_>,
    case: &Case<'_>,
    view: Option<View>,
    met: Option<&Result<Hindsight, String>>,
) -> Tested {
    let id = CommandId::of(&traces.event.tenant, case.trigger, &traces.event.id);
    let (window, notes) = view.map_or((None, Vec::new()), |view| (Some(view.window), view.notes));
    let mut tested = Tested {
        trigger: case.trigger,
        decision: case.decision(),
        rules: case.rules(),
        window,
        cooldown: case.met(),
        command_id: None,
        command: Some(command(traces, case.trigger, id)),
        outcome: None,
        notes,
    };
    let issued = traces.trail.commands.as_ref().ok().and_then(|commands| commands.get(&id));
    let mode = traces.config.evaluate.shadow.mode(&traces.event.tenant, case.trigger);
    let fired = match mode {
        Mode::Live => "required",
        Mode::Shadow => "shadowed",
    };
    let held = matches!(met, Some(Ok(Hindsight::Held(_))));
    match issued {
        Some(issued) => {
            it_was_required(&mut tested, case, fired, "a command was issued");
            facts_of(&mut tested, issued);
            tested.notes.extend(other_version(traces, issued));
            tested.outcome = (mode == Mode::Live).then(|| outcome(traces, id));
        }
        None if held => {
            it_was_required(&mut tested, case, fired, "it holds a claim: it fired");
            tested.notes.extend(traces.trail.commands.is_ok().then(|| {
                "its command is not on the topic: retention took it, or a crash kept it and the redelivery will bring it"
                    .to_owned()
            }));
        }
        None if is_required(&case.ruling) && traces.trail.commands.is_ok() => it_was_not_required(&mut tested, traces),
        None => {}
    }
    if tested.decision == fired {
        tested.command_id = Some(id.to_string());
    }
    tested
}

/// The rules may say otherwise by now; what happened, happened.
fn it_was_required(tested: &mut Tested, case: &Case<'_>, fired: &'static str, trace: &str) {
    if is_required(&case.ruling) {
        return;
    }
    let otherwise = match &case.ruling {
        Ruling::Decided(decision) => format!("; by what is in force now it would be {}", decision.name()),
        Ruling::NoPreferences | Ruling::NoWindow(_) | Ruling::NoClaims { .. } => String::new(),
    };
    tested.rules.push(Rule { rule: fired, applies: Some(true), why: format!("{trace}{otherwise}") });
    tested.decision = fired;
}

/// By the rules a command was required, but there is no trace of one.
fn it_was_not_required(tested: &mut Tested, traces: &Traces<'_>) {
    match traces.evaluated {
        Some(false) => {}
        None => tested.notes.push("no command of it was found".to_owned()),
        Some(true) => {
            tested.decision = "unknown";
            if let Some(last) = tested.rules.last_mut().filter(|rule| matches!(rule.rule, "required" | "shadowed")) {
                last.applies = None;
            }
            tested.notes.push(
                "by what is known now a command would be required, but none was issued, nor does it hold a claim: when \
                 it was decided the preferences may have been others, or the event older than its record tells"
                    .to_owned(),
            );
            if let Some(limit) = traces.config.evaluate.max_sessions_per_minute {
                tested.notes.push(format!("or the tenant's {limit} sessions of that minute were used up"));
            }
        }
    }
}

/// The command tells the window's count as it was.
fn facts_of(tested: &mut Tested, issued: &Issued) {
    let (Facts::Frequency(reach), Some(window)) = (issued.command.facts, &mut tested.window) else { return };
    if window.count != Some(reach.count) {
        tested.notes.push(format!("its command says {} bets within {} min", reach.count, reach.within_minutes));
        (window.count, window.within_minutes) = (Some(reach.count), Some(reach.within_minutes));
    }
}

fn other_version(traces: &Traces<'_>, issued: &Issued) -> Option<String> {
    let today = traces.preferences.as_ref().ok()?.as_ref().and_then(|known| known.updated_at.clone());
    let then = &issued.command.preferences_updated_at;
    let named = |version: &Option<String>| version.clone().unwrap_or_else(|| "without a version".to_owned());
    (today != *then).then(|| {
        format!(
            "it was decided by preferences {}; the rules above are told by those of today, {}",
            named(then),
            named(&today)
        )
    })
}

fn command(traces: &Traces<'_>, trigger: Trigger, id: CommandId) -> Command {
    let topics = &traces.config.kafka.topics;
    let topic = match traces.config.evaluate.shadow.mode(&traces.event.tenant, trigger) {
        Mode::Live => &topics.commands,
        Mode::Shadow => &topics.shadow_commands,
    };
    let (status, why, issued) = match &traces.trail.commands {
        Ok(commands) => match commands.get(&id) {
            Some(issued) => (Knowledge::Known, None, Some(issued)),
            None => (Knowledge::None, Some(format!("none is on {topic} since {}", traces.trail.since)), None),
        },
        Err(reason) => (Knowledge::Unknown, Some(reason.clone()), None),
    };
    Command {
        status,
        issued_at: issued.map(|issued| issued.command.issued_at),
        topic: issued.map(|issued| issued.source.topic.to_string()),
        partition: issued.map(|issued| issued.source.partition),
        offset: issued.map(|issued| issued.source.offset),
        preferences_updated_at: issued.and_then(|issued| issued.command.preferences_updated_at.clone()),
        why,
    }
}

fn outcome(traces: &Traces<'_>, id: CommandId) -> explanation::Outcome {
    let none = |why: String| explanation::Outcome { status: None, completed_at: None, attempts: None, why: Some(why) };
    match &traces.trail.outcomes {
        Err(reason) => none(reason.clone()),
        Ok(outcomes) => match outcomes.get(&id) {
            None => none(format!("none is on {} yet", traces.config.kafka.topics.outcomes)),
            Some(Outcome { ending, completed_at, attempts, .. }) => explanation::Outcome {
                status: Some(ending.status()),
                completed_at: Some(*completed_at),
                attempts: Some(*attempts),
                why: reason(ending),
            },
        },
    }
}

/// The service's reason. A session's token is not looked at.
fn reason(ending: &Ending) -> Option<String> {
    let with_status = |status: Option<u16>, reason: &str| match status {
        Some(status) => format!("status {status}: {reason}"),
        None => reason.to_owned(),
    };
    match ending {
        Ending::SessionCreated(_) | Ending::AlreadyExists => None,
        Ending::NotRequired { reason } => Some(reason.clone()),
        Ending::Rejected { http_status, reason } => Some(with_status(Some(*http_status), reason)),
        Ending::Expired { http_status, reason } => Some(with_status(*http_status, reason)),
    }
}

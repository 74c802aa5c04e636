//! `stepup explain`: one event's decision, rule by rule, with the numbers that decided it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::offline::{Line, Offline, Rules};
use super::walk::{Arrival, Tested};
use crate::domain::decide::{Decision, Facts, Standing};
use crate::domain::event::Activity;
use crate::domain::ids::CommandId;
use crate::domain::preferences::{Preferences, Setting};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::{Reach, Timeliness};
use crate::edge::recording::Recording;

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  stepup explain --events bets.ndjson.gz --preferences ./preferences --event bet-854"
)]
pub struct ExplainArgs {
    /// The recording: NDJSON, plain, gzip or zstd.
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// A directory of preferences documents, one <tenant_id>.json each.
    #[arg(long, value_name = "DIR")]
    preferences: PathBuf,
    /// The id of the event.
    #[arg(long, value_name = "ID")]
    event: String,
    /// The event's tenant, where several tenants use the same id.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Take cool-downs, rates and window limits from this configuration instead of the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Decides everything its customer did up to the event, and tells how the event came out.
pub async fn run(args: ExplainArgs) -> anyhow::Result<()> {
    if args.events == Path::new("-") {
        bail!("--events -: explain reads the recording twice; give it a file");
    }
    let mut offline = Offline::new(Rules::read(args.config.as_deref())?, &args.preferences)?;
    let found = find(&args, &mut offline)?;
    let target = match found.line {
        Line::Event(target) => *target,
        Line::Rejected { rejection, .. } => {
            let text = format!("line {}: {}: {}\n", found.number, rejection.code.name(), rejection.error);
            return Ok(io::stdout().write_all(text.as_bytes())?);
        }
        Line::UnknownType => return Ok(()),
    };
    let mut offline = Offline::new(Rules::read(args.config.as_deref())?, &args.preferences)?;
    let history = history(&args.events, &mut offline, &target, found.number)?;
    let (_, tested) = offline.decide(&history).await?;
    let last = history.len() - 1;
    let tested: Vec<&Tested> = tested.iter().filter(|one| one.event == last).collect();
    let text = tell(&found.number, &history, &tested, offline.rules());
    Ok(io::stdout().write_all(text.as_bytes())?)
}

struct Found {
    number: u64,
    line: Line,
}

/// The first line that holds the event.
fn find(args: &ExplainArgs, offline: &mut Offline) -> anyhow::Result<Found> {
    let mut recording = open(&args.events)?;
    while let Some((number, line)) = recording.next_line()? {
        // A line without the id's text cannot be it, however it is escaped, unless it holds an escape.
        if !line.contains(&b'\\') && !contains(line, args.event.as_bytes()) {
            continue;
        }
        let line = offline.read(line);
        let matches = match &line {
            Line::Event(arrival) => {
                arrival.event.id.as_str() == args.event
                    && args.tenant.as_deref().is_none_or(|tenant| arrival.event.tenant.as_str() == tenant)
            }
            Line::Rejected { id: Some(id), .. } => id.as_str() == args.event,
            Line::Rejected { id: None, .. } | Line::UnknownType => false,
        };
        if matches {
            return Ok(Found { number, line });
        }
    }
    bail!("--event {}: the recording holds no such event", args.event)
}

fn contains(line: &[u8], text: &[u8]) -> bool {
    line.windows(text.len().max(1)).any(|part| part == text)
}

fn open(events: &Path) -> anyhow::Result<Recording> {
    Recording::open(events).with_context(|| format!("--events {}", events.display()))
}

/// What the event's customer did, up to the event.
fn history(events: &Path, offline: &mut Offline, target: &Arrival, until: u64) -> anyhow::Result<Vec<Arrival>> {
    let mut recording = open(events)?;
    let mut history = Vec::new();
    while let Some((number, line)) = recording.next_line()? {
        if let Line::Event(arrival) = offline.read(line)
            && arrival.event.tenant == target.event.tenant
            && arrival.event.customer == target.event.customer
        {
            history.push(*arrival);
        }
        if number == until {
            break;
        }
    }
    Ok(history)
}

fn tell(number: &u64, history: &[Arrival], tested: &[&Tested], rules: &Rules) -> String {
    let mut text = String::new();
    let Some(target) = history.last() else { return text };
    let event = &target.event;
    let amount = event.activity.amount().map(|amount| format!(" of {amount} USD")).unwrap_or_default();
    let _ = writeln!(text, "event {} (line {number})", event.id);
    let _ = writeln!(text, "  {}{amount} by {} of tenant {}", event.activity.kind(), event.customer, event.tenant);
    let _ = writeln!(text, "  occurred at {}", event.occurred_at);
    let version = target.preferences.as_ref().map(|known| known.updated_at.as_deref().unwrap_or("without a version"));
    let _ = writeln!(text, "  preferences {}", version.unwrap_or("none"));
    for one in tested {
        let _ = writeln!(text, "\n{}: {}", one.trigger, one.decision.name());
        let cooldown = rules.evaluate.cooldown.of(one.trigger);
        for (rule, verdict) in steps(target.preferences.as_deref(), one, cooldown) {
            let _ = writeln!(text, "  {rule:<17} {verdict}");
        }
        if let Some(reach) = one.decision.reach() {
            tell_window(&mut text, history, reach);
        }
        if one.decision.fires() {
            let id = CommandId::of(&event.tenant, one.trigger, &event.id);
            let _ = writeln!(text, "  command           {id}");
        }
    }
    text
}

/// Each rule that was gone through, in its order, and what it said; the last one decided.
fn steps(preferences: Option<&Preferences>, one: &Tested, cooldown: Duration) -> Vec<(&'static str, String)> {
    let mut steps = Vec::new();
    let Some(preferences) = preferences else {
        return vec![("tenant_unknown", "yes: the tenant has no preferences".to_owned())];
    };
    steps.push(("tenant_unknown", "no: the tenant has preferences".to_owned()));
    let setting = preferences.setting(one.trigger);
    if setting == Setting::FeatureOff {
        steps.push(("feature_disabled", "yes: is_reuse_kyc_enabled is off or absent".to_owned()));
        return steps;
    }
    steps.push(("feature_disabled", "no: is_reuse_kyc_enabled is on".to_owned()));
    if setting == Setting::Off {
        steps.push(("trigger_disabled", format!("yes: {} is absent or not enabled", one.trigger)));
        return steps;
    }
    steps.push(("trigger_disabled", format!("no: {}", in_words(one.trigger, setting))));
    if let Decision::BelowThreshold { amount, threshold } = one.decision {
        steps.push(("below_threshold", format!("yes: {amount} USD is less than {threshold} USD")));
        return steps;
    }
    if let Decision::BelowFrequency(reach) = one.decision {
        steps.push(("below_frequency", format!("yes: {}", counted(reach))));
        return steps;
    }
    match one.decision.facts() {
        Some(Facts::Amount(amount)) => steps.push(("below_threshold", format!("no: {amount} USD reaches it"))),
        Some(Facts::Frequency(reach)) => steps.push(("below_frequency", format!("no: {}", counted(*reach)))),
        Some(Facts::Plain) | None => {}
    }
    steps.extend(claim_steps(&one.decision, cooldown));
    steps
}

fn claim_steps(decision: &Decision, cooldown: Duration) -> Vec<(&'static str, String)> {
    let none = cooldown.is_zero();
    let holds = ("holds a claim", "no".to_owned());
    match decision {
        Decision::Required { standing: Standing::Again, .. } | Decision::Shadowed { standing: Standing::Again, .. } => {
            vec![("holds a claim", "yes: it was decided before".to_owned()), (decision.name(), "yes, again".to_owned())]
        }
        Decision::Required { standing: Standing::First, .. } | Decision::Shadowed { standing: Standing::First, .. }
            if none =>
        {
            vec![("in_cooldown", "no: this trigger has no cool-down".to_owned()), (decision.name(), "yes".to_owned())]
        }
        Decision::Required { standing: Standing::First, .. } | Decision::Shadowed { standing: Standing::First, .. } => {
            vec![
                holds,
                ("in_cooldown", format!("no: nothing fired in the {} s before", cooldown.as_secs())),
                (decision.name(), "yes: it takes the claim".to_owned()),
            ]
        }
        Decision::InCooldown { since, until, .. } => {
            vec![holds, ("in_cooldown", format!("yes: it fired at {since}; the next may fire from {until} on"))]
        }
        Decision::EventTooOld { age, limit, .. } => {
            vec![holds, ("event_too_old", format!("yes: {} s old; the limit is {} s", age.as_secs(), limit.as_secs()))]
        }
        Decision::TenantUnknown
        | Decision::FeatureDisabled
        | Decision::TriggerDisabled
        | Decision::BelowThreshold { .. }
        | Decision::BelowFrequency(_) => Vec::new(),
    }
}

fn in_words(trigger: Trigger, setting: Setting) -> String {
    match setting {
        Setting::FeatureOff | Setting::Off => format!("{trigger} is off"),
        Setting::Plain => format!("{trigger} is on"),
        Setting::Amount(bound) => match bound.threshold {
            Some(threshold) => format!("{trigger} is on from {threshold} USD"),
            None => format!("{trigger} is on for any amount"),
        },
        Setting::Frequency(bound) => match bound.window_minutes {
            Some(minutes) => format!("{trigger} is on for {} bets within {minutes} min", bound.needed),
            None => format!("{trigger} is on for {} bets within the look-back", bound.needed),
        },
    }
}

fn counted(reach: Reach) -> String {
    let missing = reach.needed.saturating_sub(reach.count);
    let next = match missing {
        0 => String::new(),
        1 => "; the next one in time would have".to_owned(),
        more => format!("; {more} more in time would have"),
    };
    let late = match reach.timeliness {
        Timeliness::InTime => "",
        Timeliness::Late => "; it came after its window was dropped",
    };
    format!("{} bets within {} min, {} needed{next}{late}", reach.count, reach.within_minutes, reach.needed)
}

/// The customer's bets around the event, as far as its window reaches.
fn tell_window(text: &mut String, history: &[Arrival], reach: Reach) {
    const MOST: usize = 50;
    let Some(target) = history.last() else { return };
    let width = Duration::from_secs(u64::from(reach.within_minutes) * 60);
    let (from, to): (Timestamp, Timestamp) =
        (target.event.occurred_at.minus(width), target.event.occurred_at.plus(width));
    let mut seen = HashSet::new();
    let mut bets: Vec<&Arrival> = history
        .iter()
        .filter(|arrival| matches!(arrival.event.activity, Activity::Bet(_)))
        .filter(|arrival| arrival.event.occurred_at > from && arrival.event.occurred_at < to)
        .filter(|arrival| seen.insert(arrival.event.id.clone()))
        .collect();
    bets.sort_by_key(|arrival| arrival.event.occurred_at);
    let left_out = bets.len().saturating_sub(MOST);
    let _ = writeln!(
        text,
        "  bets around it{}",
        if left_out > 0 { format!(" (the latest {MOST} of {})", bets.len()) } else { String::new() }
    );
    for arrival in bets.into_iter().skip(left_out) {
        let mark = if arrival.event.id == target.event.id { "→" } else { " " };
        let _ = writeln!(text, "   {mark} {}  {}", arrival.event.occurred_at, arrival.event.id);
    }
}

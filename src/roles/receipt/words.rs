//! Receipts in words.

use std::fmt::Write as _;

use super::Rerun;
use crate::domain::claim::ClaimAnswer;
use crate::domain::decide::{Decision, Facts, Mode, Standing};
use crate::domain::evidence::{Bets, Evidence, LastRules};
use crate::domain::preferences::Setting;
use crate::domain::window::{Reach, Timeliness};
use crate::wire::receipt::{Difference, Receipt};

/// One line for a receipt, and one more for each field that differs.
pub(super) fn line(number: u64, outcome: &Rerun) -> String {
    let named =
        |receipt: &Receipt| format!("{}  {} {}", receipt.id.0, receipt.evidence.trigger, receipt.decision.name());
    match outcome {
        Rerun::Same(receipt) if outcome.believed() => {
            format!(
                "line {number}: same, but for its window, which is too large to be judged again  {}\n",
                named(receipt)
            )
        }
        Rerun::Same(receipt) => format!("line {number}: same  {}\n", named(receipt)),
        Rerun::Differs(receipt, differences) => {
            let head = format!("line {number}: DIFFERS  {}\n", named(receipt));
            differences.iter().fold(head, |text, difference| text + &differing(difference))
        }
        Rerun::Contradicted(receipt, contradiction) => {
            let field = contradiction.field();
            format!(
                "line {number}: DIFFERS  {}\n    {field}: this version finds that {contradiction}\n",
                named(receipt)
            )
        }
        Rerun::Unreadable(rejection) => format!("line {number}: UNREADABLE  {}\n", rejection.error),
    }
}

fn differing(difference: &Difference) -> String {
    let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
    let (one, other) = (said(&difference.one), said(&difference.other));
    let hint = match difference.field.as_str() {
        "inputs_sha256" => "; something before it is not as it was written",
        _ => "",
    };
    format!("    {}: the receipt says {one}, this version says {other}{hint}\n", difference.field)
}

/// What a receipt tells, from the event to the decision.
pub(super) fn told(receipt: &Receipt) -> String {
    let evidence = &receipt.evidence;
    let event = &evidence.event;
    let mut lines = vec![
        ("event", format!("{} of type {} at {}", event.id, event.activity.kind(), receipt.source)),
        ("customer", format!("{} of tenant {}", event.customer, event.tenant)),
        ("occurred at", event.occurred_at.to_string()),
        ("trigger", evidence.trigger.to_string()),
        ("decided", decided(receipt)),
        ("preferences", preferences(receipt)),
    ];
    lines.extend(window(evidence).map(|text| ("window", text)));
    lines.extend(evidence.last.as_ref().map(|last| ("claims", claims(last))));
    lines.push(("decision", decision(&receipt.decision)));
    lines.extend(receipt.command.map(|command| ("command", command.to_string())));
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "  {name:<12} {value}");
        text
    })
}

fn decided(receipt: &Receipt) -> String {
    let at = receipt.evidence.decided_at.map_or_else(|| "without a clock".to_owned(), |at| format!("at {at}"));
    format!("{at} by version {}", receipt.software)
}

fn preferences(receipt: &Receipt) -> String {
    let (Some(setting), Some(version)) = (receipt.evidence.setting, &receipt.preferences) else {
        return "none: the tenant is not known".to_owned();
    };
    let said = match setting {
        Setting::FeatureOff => "is_reuse_kyc_enabled is off or absent".to_owned(),
        Setting::Off => "the trigger is off or absent".to_owned(),
        Setting::Plain => "the trigger is on".to_owned(),
        Setting::Amount(bound) => match bound.threshold {
            Some(threshold) => format!("the trigger is on from {threshold} USD"),
            None => "the trigger is on for any amount".to_owned(),
        },
        Setting::Frequency(bound) => match bound.window_minutes {
            Some(minutes) => format!("the trigger is on for {} bets within {minutes} min", bound.needed),
            None => format!("the trigger is on for {} bets within the look-back", bound.needed),
        },
    };
    format!("{said}; {}", version.updated_at.as_deref().unwrap_or("without a version"))
}

fn window(evidence: &Evidence) -> Option<String> {
    const MOST: usize = 20;
    let log = match &evidence.window.as_ref()?.bets {
        Bets::Log(log) => log,
        Bets::Summed { number, .. } => return Some(format!("{number} bets, too many to be told")),
    };
    let left_out = log.len().saturating_sub(MOST);
    let last = log.iter().skip(left_out);
    let times: String = last.map(|bet| format!("\n    {:<12} {}  {:016x}", "", bet.at, bet.id)).collect();
    let which = if left_out > 0 { format!(", of them the last {MOST}") } else { String::new() };
    Some(format!("{} bets with this one, in order of arrival{which}:{times}", log.len()))
}

fn claims(last: &LastRules) -> String {
    let of = match last.mode {
        Mode::Live => "",
        Mode::Shadow => "of the shadow, ",
    };
    of.to_owned() + &answered(last)
}

fn answered(last: &LastRules) -> String {
    let cooldown = last.cooldown.as_secs();
    match last.answer {
        None if last.cooldown.is_zero() => "not asked: the trigger has no cool-down".to_owned(),
        None => "not asked: the event is older than claims are kept".to_owned(),
        Some(ClaimAnswer::Held) => "held by the event already".to_owned(),
        Some(ClaimAnswer::Free) => format!("free: nothing fired in the {cooldown} s before"),
        Some(ClaimAnswer::CoolingDown { since }) => format!("taken at {since}, for {cooldown} s"),
    }
}

fn decision(decision: &Decision) -> String {
    let name = decision.name();
    match decision {
        Decision::TenantUnknown => format!("{name}: the tenant has no preferences"),
        Decision::FeatureDisabled => format!("{name}: the tenant's master switch is off"),
        Decision::TriggerDisabled => format!("{name}: the trigger is off"),
        Decision::BelowThreshold { amount, threshold } => {
            format!("{name}: {amount} USD is less than {threshold} USD")
        }
        Decision::BelowFrequency(reach) => format!("{name}: {}", counted(*reach)),
        Decision::EventTooOld { facts, age, limit } => {
            format!("{name}: {} s old, the limit is {} s{}", age.as_secs(), limit.as_secs(), fired(*facts))
        }
        Decision::InCooldown { facts, since, until } => {
            format!("{name}: it fired at {since}, the next may fire from {until} on{}", fired(*facts))
        }
        Decision::Required { facts, standing } | Decision::Shadowed { facts, standing } => {
            let again = match standing {
                Standing::First => "",
                Standing::Again => " again: it was decided before",
            };
            format!("{name}{again}{}", fired(*facts))
        }
        Decision::Capped { facts, limit } => {
            format!("{name}: the tenant's {limit} sessions of the minute were used up{}", fired(*facts))
        }
    }
}

fn fired(facts: Facts) -> String {
    match facts {
        Facts::Plain => String::new(),
        Facts::Amount(amount) => format!("; {amount} USD"),
        Facts::Frequency(reach) => format!("; {}", counted(reach)),
    }
}

fn counted(reach: Reach) -> String {
    let late = match reach.timeliness {
        Timeliness::InTime => "",
        Timeliness::Late => "; it came after its window was dropped",
    };
    format!("{} bets within {} min, {} needed{late}", reach.count, reach.within_minutes, reach.needed)
}

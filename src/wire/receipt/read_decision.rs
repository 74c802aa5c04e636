//! Reading what a receipt says was decided.

use super::read::{members, span};
use crate::domain::decide::{Decision, Facts, Standing};
use crate::domain::money::Usd;
use crate::domain::outcome::Rejection;
use crate::domain::trigger::{Bound, Trigger};
use crate::domain::window::{Reach, Timeliness};
use crate::wire::json::Field;

const DECISION: [&str; 14] = [
    "name",
    "amount",
    "threshold",
    "needed",
    "event_count",
    "event_window_minutes",
    "timeliness",
    "age_ms",
    "limit_ms",
    "since",
    "until",
    "standing",
    "cap",
    "command_id",
];

/// The decision with its numbers, and the command's id as it stands there.
pub(super) fn read(field: Field<'_>, trigger: Trigger) -> Result<(Decision, Field<'_>), Rejection> {
    let [name, amount, threshold, needed, count, minutes, timeliness, age, limit, since, until, standing, cap, command] =
        members(field, "decision.", &DECISION)?;
    let reached = || reach(needed.required_whole()?, count, minutes, timeliness);
    let facts = || {
        Ok(match trigger.bounded_by() {
            Bound::Nothing => Facts::Plain,
            Bound::Amount => Facts::Amount(amount.named(str::parse::<Usd>)?),
            Bound::Frequency => Facts::Frequency(reached()?),
        })
    };
    let decision = match name.required_text()?.as_ref() {
        "tenant_unknown" => Decision::TenantUnknown,
        "feature_disabled" => Decision::FeatureDisabled,
        "trigger_disabled" => Decision::TriggerDisabled,
        "below_threshold" => {
            Decision::BelowThreshold { amount: amount.named(str::parse)?, threshold: threshold.named(str::parse)? }
        }
        "below_frequency" => Decision::BelowFrequency(reached()?),
        "event_too_old" => Decision::EventTooOld { facts: facts()?, age: span(age)?, limit: span(limit)? },
        "in_cooldown" => Decision::InCooldown { facts: facts()?, since: since.time()?, until: until.time()? },
        "required" => Decision::Required { facts: facts()?, standing: self::standing(standing)? },
        "shadowed" => Decision::Shadowed { facts: facts()?, standing: self::standing(standing)? },
        "capped" => Decision::Capped { facts: facts()?, limit: cap.required_whole()? },
        _ => return Err(name.invalid("must be the name of a decision")),
    };
    Ok((decision, command))
}

fn standing(field: Field<'_>) -> Result<Standing, Rejection> {
    match field.required_text()?.as_ref() {
        "first" => Ok(Standing::First),
        "again" => Ok(Standing::Again),
        _ => Err(field.invalid("must be first or again")),
    }
}

/// What a window said.
pub(super) fn reach(
    needed: u32,
    count: Field<'_>,
    minutes: Field<'_>,
    timeliness: Field<'_>,
) -> Result<Reach, Rejection> {
    Ok(Reach {
        count: count.required_whole()?,
        within_minutes: minutes.required_whole()?,
        needed,
        timeliness: match timeliness.required_text()?.as_ref() {
            "in_time" => Timeliness::InTime,
            "late" => Timeliness::Late,
            _ => return Err(timeliness.invalid("must be in_time or late")),
        },
    })
}

//! A decision as the page tells it.

use crate::domain::decide::{Decision, Facts, Standing};
use crate::domain::event::Event;
use crate::domain::ids::{CustomerId, EventId, Source, TenantId};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::{Reach, Timeliness};
use crate::wire::window::customer_key;

/// A decision that came as far as the claims. It is put into words when somebody looks.
#[derive(Debug, Clone)]
pub struct Told {
    pub(super) at: Timestamp,
    pub(super) tenant: TenantId,
    pub(super) trigger: Trigger,
    pub(super) decision: Decision,
    /// Where the event stands.
    pub(super) source: Source,
    pub(super) customer: CustomerId,
    pub(super) event: EventId,
}

impl Told {
    /// `None`: a decision of which there are too many to tell, and little to say.
    pub fn new(
        event: &Event,
        source: impl FnOnce() -> Source,
        trigger: Trigger,
        decision: &Decision,
        at: Timestamp,
    ) -> Option<Self> {
        decision.facts().map(|_| Self {
            at,
            tenant: event.tenant.clone(),
            trigger,
            decision: decision.clone(),
            source: source(),
            customer: event.customer.clone(),
            event: event.id.clone(),
        })
    }

    /// Why it came out as it did.
    pub(super) fn why(&self) -> String {
        why(&self.decision).unwrap_or_default()
    }

    /// The beginning of the hash under which the customer's window is kept.
    pub(super) fn hash(&self) -> String {
        format!("{:08x}", customer_key(&self.tenant, &self.customer) >> 96)
    }
}

/// `None`: it did not come as far as the claims.
fn why(decision: &Decision) -> Option<String> {
    let text = match decision {
        Decision::TenantUnknown
        | Decision::FeatureDisabled
        | Decision::TriggerDisabled
        | Decision::BelowThreshold { .. }
        | Decision::BelowFrequency(_) => return None,
        Decision::EventTooOld { facts, age, limit } => {
            format!("{}; {} s old, at most {} s", said(facts), age.as_secs(), limit.as_secs())
        }
        Decision::InCooldown { facts, since, until } => {
            format!("{}; fired at {}, cool-down until {}", said(facts), clock(*since), clock(*until))
        }
        Decision::Required { facts, standing: Standing::First } => said(facts),
        Decision::Required { facts, standing: Standing::Again } => format!("{}; asked before, seen again", said(facts)),
        Decision::Shadowed { facts, standing: Standing::First } => format!("{}; in shadow", said(facts)),
        Decision::Shadowed { facts, standing: Standing::Again } => format!("{}; in shadow, seen again", said(facts)),
        Decision::Capped { facts, limit } => format!("{}; the tenant's {limit} a minute are used up", said(facts)),
    };
    Some(text)
}

fn said(facts: &Facts) -> String {
    match facts {
        Facts::Plain => "every event of this kind".to_owned(),
        Facts::Amount(amount) => format!("{amount} USD"),
        Facts::Frequency(Reach { count, within_minutes, needed, timeliness }) => {
            let late = match timeliness {
                Timeliness::InTime => "",
                Timeliness::Late => ", late",
            };
            format!("{count} bets within {within_minutes} min, {needed} needed{late}")
        }
    }
}

/// A time without its date.
pub(super) fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    let time = text.split_once('T').map_or(text.as_str(), |(_, time)| time);
    time.get(..8).unwrap_or(time).to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_decision_that_is_told_says_its_numbers() {
        let reach = Reach { count: 12, within_minutes: 5, needed: 10, timeliness: Timeliness::InTime };
        let facts = Facts::Frequency(reach);
        let noon = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
        for (decision, want) in [
            (Decision::Required { facts, standing: Standing::First }, Some("12 bets within 5 min, 10 needed")),
            (
                Decision::Shadowed { facts: Facts::Plain, standing: Standing::First },
                Some("every event of this kind; in shadow"),
            ),
            (
                Decision::InCooldown { facts: Facts::Plain, since: noon, until: noon.plus(Duration::from_secs(60)) },
                Some("every event of this kind; fired at 12:00:00, cool-down until 12:01:00"),
            ),
            (
                Decision::Capped { facts: Facts::Plain, limit: 5 },
                Some("every event of this kind; the tenant's 5 a minute are used up"),
            ),
            (Decision::BelowFrequency(reach), None),
            (Decision::TenantUnknown, None),
        ] {
            assert_eq!(why(&decision).as_deref(), want);
            assert_eq!(decision.facts().is_some(), want.is_some(), "what is told has something to say");
        }
    }
}

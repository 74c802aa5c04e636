//! The decision for one event and one trigger: the first rule that applies names it.
//!
//! Deciding has two halves, because between them somebody must ask the claims: [`judge`] goes through the rules that
//! preferences and the window answer, [`conclude`] through those that the claims and the clock answer.

use std::time::Duration;

use super::claim::ClaimAnswer;
use super::event::{Activity, Event};
use super::money::Usd;
use super::preferences::{Preferences, Setting};
use super::time::Timestamp;
use super::trigger::Trigger;
use super::window::Reach;

/// How one event stands to one trigger, with the numbers that decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The tenant has no preferences.
    TenantUnknown,
    /// The tenant's master switch is off or absent.
    FeatureDisabled,
    /// The trigger is absent or not enabled.
    TriggerDisabled,
    BelowThreshold {
        amount: Usd,
        threshold: Usd,
    },
    BelowFrequency(Reach),
    EventTooOld {
        facts: Facts,
        age: Duration,
        limit: Duration,
    },
    InCooldown {
        facts: Facts,
        since: Timestamp,
        until: Timestamp,
    },
    /// The customer is to be verified.
    Required {
        facts: Facts,
        standing: Standing,
    },
    /// The customer would be verified, were the trigger not in shadow.
    Shadowed {
        facts: Facts,
        standing: Standing,
    },
    /// The customer would be verified, had the tenant not asked as many in this minute as it may.
    Capped {
        facts: Facts,
        /// Sessions a minute.
        limit: u32,
    },
}

/// A decision's name, as small as a name can be: its place among [`Decision::NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionName(u8);

impl DecisionName {
    const REQUIRED: Self = Self(7);
    const SHADOWED: Self = Self(8);

    /// The name on the wire and in metrics.
    pub fn name(self) -> &'static str {
        Decision::NAMES[self.place()]
    }

    /// The place of the name among [`Decision::NAMES`].
    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    /// Whether the rules say that the customer is to be asked, in shadow or not.
    pub fn fires(self) -> bool {
        self == Self::REQUIRED || self == Self::SHADOWED
    }
}

/// Whether a customer is asked when the rules say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Live,
    /// The rules are tried out: nobody is asked, and the claims are kept apart from the live ones.
    Shadow,
}

/// Whether an event fires for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    First,
    /// It holds a claim already: a redelivery or a repeat. Its command may stand on the topic again, under the same id.
    Again,
}

/// What made a trigger fire, as far as a command tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facts {
    Plain,
    Amount(Usd),
    Frequency(Reach),
}

/// The judgment of the rules up to the claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Decided(Decision),
    /// Nothing speaks against asking the customer, so far.
    Candidate(Facts),
}

/// What is known of a tenant's preferences.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    Preferences(&'a Preferences),
    NoTenant,
}

/// Rules 1 to 5. `reach` is the window's answer; only a frequency trigger that is enabled reads it.
pub fn judge(event: &Event, trigger: Trigger, known: Known<'_>, reach: Option<Reach>) -> Verdict {
    let Known::Preferences(preferences) = known else {
        return Verdict::Decided(Decision::TenantUnknown);
    };
    judge_setting(event.activity, preferences.setting(trigger), reach)
}

/// Rules 2 to 5, for what a tenant's preferences say of one trigger.
pub fn judge_setting(activity: Activity, setting: Setting, reach: Option<Reach>) -> Verdict {
    match setting {
        Setting::FeatureOff => Verdict::Decided(Decision::FeatureDisabled),
        Setting::Off => Verdict::Decided(Decision::TriggerDisabled),
        Setting::Plain => Verdict::Candidate(Facts::Plain),
        Setting::Amount(bound) => {
            let amount = activity.amount().unwrap_or(Usd::ZERO);
            match bound.threshold {
                Some(threshold) if amount < threshold => {
                    Verdict::Decided(Decision::BelowThreshold { amount, threshold })
                }
                Some(_) | None => Verdict::Candidate(Facts::Amount(amount)),
            }
        }
        Setting::Frequency(bound) => {
            // A bet alone is a window of one.
            let reach = reach.unwrap_or(Reach {
                count: 1,
                within_minutes: bound.window_minutes.unwrap_or(1),
                needed: bound.needed,
                timeliness: super::window::Timeliness::InTime,
            });
            if reach.is_reached() {
                Verdict::Candidate(Facts::Frequency(reach))
            } else {
                Verdict::Decided(Decision::BelowFrequency(reach))
            }
        }
    }
}

/// Whether the bound on the age of events holds for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgeLimit {
    Kept,
    /// An operator redrives the event and wants it decided however old it is.
    Waived,
}

impl AgeLimit {
    /// What it leaves of the bound that is configured; `None` is no bound.
    pub fn of(self, configured: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Kept => configured,
            Self::Waived => None,
        }
    }
}

/// How old an event may be when it is evaluated. A limit of `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    TooOld { age: Duration, limit: Duration },
}

impl Freshness {
    pub fn of(event: &Event, now: Timestamp, limit: Option<Duration>) -> Self {
        let age = now.since(event.occurred_at);
        match limit {
            Some(limit) if age > limit => Self::TooOld { age, limit },
            Some(_) | None => Self::Fresh,
        }
    }
}

/// Rules 6 to 9. `answer` is `None` for a trigger without a cool-down, which takes no claims; in shadow it is the answer
/// of the shadow's own claims.
pub fn conclude(
    facts: Facts,
    freshness: Freshness,
    answer: Option<ClaimAnswer>,
    cooldown: Duration,
    mode: Mode,
) -> Decision {
    let fires = |standing| match mode {
        Mode::Live => Decision::Required { facts, standing },
        Mode::Shadow => Decision::Shadowed { facts, standing },
    };
    if answer == Some(ClaimAnswer::Held) {
        return fires(Standing::Again);
    }
    if let Freshness::TooOld { age, limit } = freshness {
        return Decision::EventTooOld { facts, age, limit };
    }
    if let Some(ClaimAnswer::CoolingDown { since }) = answer {
        return Decision::InCooldown { facts, since, until: since.plus(cooldown) };
    }
    fires(Standing::First)
}

impl Decision {
    /// Every name that a decision can have.
    pub const NAMES: [&'static str; 10] = [
        "tenant_unknown",
        "feature_disabled",
        "trigger_disabled",
        "below_threshold",
        "below_frequency",
        "event_too_old",
        "in_cooldown",
        "required",
        "shadowed",
        "capped",
    ];

    /// What becomes of it where the tenant has no session left in this minute. What fired before may fire again, and a
    /// shadow asks nobody.
    #[must_use]
    pub fn capped(self, limit: u32) -> Self {
        match self {
            Self::Required { facts, standing: Standing::First } => Self::Capped { facts, limit },
            other @ (Self::Required { standing: Standing::Again, .. }
            | Self::TenantUnknown
            | Self::FeatureDisabled
            | Self::TriggerDisabled
            | Self::BelowThreshold { .. }
            | Self::BelowFrequency(_)
            | Self::EventTooOld { .. }
            | Self::InCooldown { .. }
            | Self::Shadowed { .. }
            | Self::Capped { .. }) => other,
        }
    }

    /// The name on the wire and in metrics.
    pub fn name(&self) -> &'static str {
        self.called().name()
    }

    /// Its name, apart from its numbers.
    pub fn called(&self) -> DecisionName {
        match self {
            Self::TenantUnknown => DecisionName(0),
            Self::FeatureDisabled => DecisionName(1),
            Self::TriggerDisabled => DecisionName(2),
            Self::BelowThreshold { .. } => DecisionName(3),
            Self::BelowFrequency(_) => DecisionName(4),
            Self::EventTooOld { .. } => DecisionName(5),
            Self::InCooldown { .. } => DecisionName(6),
            Self::Required { .. } => DecisionName::REQUIRED,
            Self::Shadowed { .. } => DecisionName::SHADOWED,
            Self::Capped { .. } => DecisionName(9),
        }
    }

    /// What the window said, where it was asked.
    pub fn reach(&self) -> Option<Reach> {
        match (self, self.facts()) {
            (Self::BelowFrequency(reach), _) | (_, Some(Facts::Frequency(reach))) => Some(*reach),
            (_, Some(Facts::Plain | Facts::Amount(_)) | None) => None,
        }
    }

    /// What would make the trigger fire, where the preferences speak for it.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Self::EventTooOld { facts, .. }
            | Self::InCooldown { facts, .. }
            | Self::Required { facts, .. }
            | Self::Shadowed { facts, .. }
            | Self::Capped { facts, .. } => Some(facts),
            Self::TenantUnknown
            | Self::FeatureDisabled
            | Self::TriggerDisabled
            | Self::BelowThreshold { .. }
            | Self::BelowFrequency(_) => None,
        }
    }

    /// Whether it fired before: a redelivery or a repeat of an event that holds its claim.
    pub fn is_repeated(&self) -> bool {
        match self {
            Self::Required { standing, .. } | Self::Shadowed { standing, .. } => *standing == Standing::Again,
            Self::TenantUnknown
            | Self::FeatureDisabled
            | Self::TriggerDisabled
            | Self::BelowThreshold { .. }
            | Self::BelowFrequency(_)
            | Self::EventTooOld { .. }
            | Self::InCooldown { .. }
            | Self::Capped { .. } => false,
        }
    }

    /// Whether the rules say that the customer is to be asked, in shadow or not.
    pub fn fires(&self) -> bool {
        self.called().fires()
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;

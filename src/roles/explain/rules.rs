//! From a decision, or what is known of one, to the rules that were gone through, each with its numbers.

use std::time::Duration;

use crate::domain::decide::{Decision, Facts, Standing};
use crate::domain::preferences::{Preferences, Setting};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::{Reach, Timeliness};
use crate::wire::explanation::{Cooldown, Rule};

/// How one event stands to one trigger, as far as that can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ruling {
    Decided(Decision),
    /// The tenant's preferences could not be looked at.
    NoPreferences,
    /// The window could not be asked, for this reason.
    NoWindow(String),
    /// Nothing spoke against it but perhaps the claims, which could not be asked, for this reason.
    NoClaims {
        facts: Facts,
        reason: String,
    },
}

/// What is known of the event's tenant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tenant<'a> {
    Known(&'a Preferences),
    None,
    Unknown(&'a str),
}

/// One event and one trigger, with what the telling needs beside the decision.
pub(super) struct Case<'a> {
    pub(super) trigger: Trigger,
    pub(super) tenant: Tenant<'a>,
    pub(super) ruling: Ruling,
    pub(super) cooldown: Duration,
    /// The claim that the event holds, or the one whose cool-down it fell into.
    pub(super) claim: Option<ClaimSeen>,
    /// When the trigger fired before, its cool-down being over.
    pub(super) fired_before: Option<Timestamp>,
    /// How old the event was; nothing where its age plays no part.
    pub(super) age: Option<Age>,
}

/// A claim, as people are told of it.
#[derive(Debug, Clone)]
pub(super) struct ClaimSeen {
    pub(super) at: Timestamp,
    /// The id of the event that holds it, where it is known.
    pub(super) event: Option<String>,
    /// What there is to say of how the event came to it, as in `it was decided before`.
    pub(super) how: String,
}

/// The age of an event, by an estimate of when it was evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    pub(super) age: Duration,
    pub(super) limit: Option<Duration>,
    /// Since when, as in `when it was written`.
    pub(super) measured: &'static str,
}

impl Case<'_> {
    /// The name of the decision.
    pub(super) fn decision(&self) -> &'static str {
        match &self.ruling {
            Ruling::Decided(decision) => decision.name(),
            Ruling::NoPreferences | Ruling::NoWindow(_) | Ruling::NoClaims { .. } => "unknown",
        }
    }

    /// The cool-down that the event met: its own claim's where it holds one. What was decided before that met none.
    pub(super) fn met(&self) -> Cooldown {
        let seconds = self.cooldown.as_secs();
        let asked = match &self.ruling {
            Ruling::Decided(decision) => decision.fires() || matches!(decision, Decision::InCooldown { .. }),
            Ruling::NoPreferences | Ruling::NoWindow(_) | Ruling::NoClaims { .. } => true,
        };
        match &self.claim {
            Some(claim) if asked && seconds > 0 => Cooldown {
                seconds,
                since: Some(claim.at),
                until: Some(claim.at.plus(self.cooldown)),
                held_by: claim.event.clone(),
            },
            Some(_) | None => Cooldown { seconds, since: None, until: None, held_by: None },
        }
    }

    /// Each rule that was gone through, in its order, and what it said.
    pub(super) fn rules(&self) -> Vec<Rule> {
        let mut rules = Rules::default();
        let preferences = match self.tenant {
            Tenant::Unknown(reason) => return rules.unknown("tenant_unknown", reason).0,
            Tenant::None => return rules.yes("tenant_unknown", "the tenant has no preferences").0,
            Tenant::Known(preferences) => preferences,
        };
        rules = rules.no("tenant_unknown", "the tenant has preferences");
        let setting = preferences.setting(self.trigger);
        if setting == Setting::FeatureOff {
            return rules.yes("feature_disabled", "is_reuse_kyc_enabled is off or absent").0;
        }
        rules = rules.no("feature_disabled", "is_reuse_kyc_enabled is on");
        if setting == Setting::Off {
            return rules.yes("trigger_disabled", &format!("{} is absent or not enabled", self.trigger)).0;
        }
        rules = rules.no("trigger_disabled", &in_words(self.trigger, setting));
        self.bounds_and_claims(rules, setting).0
    }

    fn bounds_and_claims(&self, rules: Rules, setting: Setting) -> Rules {
        let (facts, reason) = match &self.ruling {
            Ruling::NoPreferences => return rules,
            Ruling::NoWindow(reason) => return rules.unknown("below_frequency", reason),
            Ruling::NoClaims { facts, reason } => (*facts, reason),
            Ruling::Decided(decision) => return self.decided(rules, setting, decision),
        };
        let rules = bound(rules, setting, facts).unknown("holds_claim", reason);
        self.age_rule(rules).unknown("in_cooldown", reason)
    }

    fn decided(&self, rules: Rules, setting: Setting, decision: &Decision) -> Rules {
        let free = "it was not decided before";
        match decision {
            Decision::TenantUnknown | Decision::FeatureDisabled | Decision::TriggerDisabled => rules,
            Decision::BelowThreshold { amount, threshold } => {
                rules.yes("below_threshold", &format!("{amount} USD is less than {threshold} USD"))
            }
            Decision::BelowFrequency(reach) => rules.yes("below_frequency", &counted(*reach)),
            Decision::EventTooOld { facts, .. } => self.age_rule(bound(rules, setting, *facts).no("holds_claim", free)),
            Decision::InCooldown { facts, since, until } => {
                let by = self.claim.as_ref().and_then(|claim| claim.event.as_deref());
                let by = by.map_or_else(|| "it fired".to_owned(), |event| format!("event {event} fired"));
                let how = self.claim.as_ref().map(|claim| claim.how.as_str()).filter(|how| !how.is_empty());
                let how = how.map(|how| format!("; {how}")).unwrap_or_default();
                let why = format!("{by} at {since}; the next may fire from {until} on{how}");
                self.age_rule(bound(rules, setting, *facts).no("holds_claim", free)).yes("in_cooldown", &why)
            }
            Decision::Required { facts, standing: Standing::Again }
            | Decision::Shadowed { facts, standing: Standing::Again } => {
                let how = self.claim.as_ref().map_or("it was decided before", |claim| claim.how.as_str());
                bound(rules, setting, *facts).yes("holds_claim", how)
            }
            Decision::Required { facts, standing: Standing::First }
            | Decision::Shadowed { facts, standing: Standing::First } => {
                let rules = bound(rules, setting, *facts);
                if self.cooldown.is_zero() {
                    let rules = self.age_rule(rules).no("in_cooldown", "this trigger has no cool-down");
                    return rules.yes(decision.name(), "nothing speaks against it");
                }
                let rules = self.age_rule(rules.no("holds_claim", free)).no("in_cooldown", &self.calm());
                rules.yes(decision.name(), "nothing speaks against it; it takes the claim")
            }
            Decision::Capped { facts, limit } => {
                let rules = self.age_rule(bound(rules, setting, *facts).no("holds_claim", free));
                rules
                    .no("in_cooldown", &self.calm())
                    .yes("capped", &format!("the tenant's {limit} sessions of the minute were used up"))
            }
        }
    }

    /// Why there is no cool-down.
    fn calm(&self) -> String {
        match self.fired_before {
            Some(at) => format!("the last one fired at {at}; its cool-down ended at {}", at.plus(self.cooldown)),
            None => format!("nothing fired in the {} s before", self.cooldown.as_secs()),
        }
    }

    fn age_rule(&self, rules: Rules) -> Rules {
        let Some(Age { age, limit, measured }) = self.age else { return rules };
        let Some(limit) = limit else { return rules.no("event_too_old", "no age is too great") };
        let why = format!("{} s old {measured}; the limit is {} s", age.as_secs(), limit.as_secs());
        if age > limit { rules.yes("event_too_old", &why) } else { rules.no("event_too_old", &why) }
    }
}

#[derive(Default)]
struct Rules(Vec<Rule>);

impl Rules {
    fn yes(self, rule: &'static str, why: &str) -> Self {
        self.with(rule, Some(true), why)
    }

    fn no(self, rule: &'static str, why: &str) -> Self {
        self.with(rule, Some(false), why)
    }

    fn unknown(self, rule: &'static str, why: &str) -> Self {
        self.with(rule, None, why)
    }

    fn with(mut self, rule: &'static str, applies: Option<bool>, why: &str) -> Self {
        self.0.push(Rule { rule, applies, why: why.to_owned() });
        self
    }
}

/// The amount's or the window's rule, which does not apply.
fn bound(rules: Rules, setting: Setting, facts: Facts) -> Rules {
    match facts {
        Facts::Plain => rules,
        Facts::Frequency(reach) => rules.no("below_frequency", &counted(reach)),
        Facts::Amount(amount) => match setting {
            Setting::Amount(bound) => match bound.threshold {
                Some(threshold) => {
                    rules.no("below_threshold", &format!("{amount} USD reaches the threshold of {threshold} USD"))
                }
                None => rules.no("below_threshold", &format!("{amount} USD; any amount does")),
            },
            Setting::FeatureOff | Setting::Off | Setting::Plain | Setting::Frequency(_) => rules,
        },
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
    let next = match reach.needed.saturating_sub(reach.count) {
        0 => String::new(),
        1 => "; the next one in time would have reached it".to_owned(),
        more => format!("; {more} more in time would have reached it"),
    };
    let late = match reach.timeliness {
        Timeliness::InTime => "",
        Timeliness::Late => "; it came after its window was dropped",
    };
    let bets = if reach.count == 1 { "bet" } else { "bets" };
    format!("{} {bets} within {} min, {} needed{next}{late}", reach.count, reach.within_minutes, reach.needed)
}

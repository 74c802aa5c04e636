//! The traces that an event left in a running deployment, judged by the rules.

use std::collections::HashMap;
use std::time::Duration;

use super::rules::{Age, Case, ClaimSeen, Ruling, Tenant};
use super::trail::Trail;
use super::{evidence, subject};
use crate::config::Config;
use crate::domain::claim::Claim;
use crate::domain::decide::{Freshness, Known, Verdict, conclude, judge};
use crate::domain::event::Event;
use crate::domain::hindsight::Hindsight;
use crate::domain::ids::Source;
use crate::domain::preferences::{FrequencyBound, Preferences, Setting};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::{Bet, Reach};
use crate::wire::explanation::{self, Explanation, Knowledge, Place, Tested, VERSION};
use crate::wire::window::{arrival, bet_id};

/// Everything that was looked at for one event.
pub(super) struct Traces<'a> {
    pub(super) config: &'a Config,
    pub(super) event: Event,
    pub(super) source: Source,
    pub(super) written_at: Option<Timestamp>,
    pub(super) now: Timestamp,
    /// The tenant's preferences, where it has some; why not, where that is not known.
    pub(super) preferences: Result<Option<Preferences>, String>,
    /// The customer's log of bets; nothing where the event is no bet.
    pub(super) log: Option<Result<Vec<Bet>, String>>,
    /// The claims of each trigger that has a cool-down.
    pub(super) claims: HashMap<Trigger, Result<Vec<Claim>, String>>,
    pub(super) trail: Trail,
    /// Whether the evaluating group is past the event.
    pub(super) evaluated: Option<bool>,
    /// Ids of events, by their hashes.
    pub(super) names: HashMap<u64, String>,
}

/// What the claims of a trigger tell of the event.
pub(super) fn hindsight(config: &Config, event: &Event, trigger: Trigger, claims: &[Claim]) -> Hindsight {
    let own = Claim { at: event.occurred_at, event: bet_id(&event.id) };
    Hindsight::of(claims, own, config.evaluate.cooldown.of(trigger), config.evaluate.claim_retention(trigger))
}

impl Traces<'_> {
    /// Whether the event left anything that only its evaluation leaves.
    pub(super) fn left_any(&self) -> bool {
        let own = arrival(&self.source);
        let logged = self.log.as_ref().and_then(|log| log.as_ref().ok());
        let logged =
            logged.is_some_and(|log| log.iter().any(|bet| bet.arrival == own && bet.id == bet_id(&self.event.id)));
        let holds = |(trigger, claims): (&Trigger, &Result<Vec<Claim>, String>)| {
            claims
                .as_ref()
                .is_ok_and(|claims| matches!(hindsight(self.config, &self.event, *trigger, claims), Hindsight::Held(_)))
        };
        let commanded = self.trail.commands.as_ref().is_ok_and(|commands| !commands.is_empty());
        logged || commanded || self.claims.iter().any(holds)
    }

    pub(super) fn explanation(&self) -> Explanation {
        let preferences = match &self.preferences {
            Ok(known) => explanation::Preferences {
                status: if known.is_some() { Knowledge::Known } else { Knowledge::None },
                updated_at: known.as_ref().and_then(|preferences| preferences.updated_at.clone()),
                why: None,
            },
            Err(reason) => {
                explanation::Preferences { status: Knowledge::Unknown, updated_at: None, why: Some(reason.clone()) }
            }
        };
        let place = Place::record(&self.source, self.written_at, self.evaluated);
        Explanation {
            version: VERSION,
            event: subject(&self.event, place),
            preferences,
            triggers: self.event.activity.kind().tests().iter().map(|trigger| self.tested(*trigger)).collect(),
            repeats: Vec::new(),
            notes: self.notes(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.evaluated == Some(false) {
            notes.push(
                "it is not evaluated yet, or was a moment ago: the group's position is before it; what follows is how it would \
                 come out now"
                    .to_owned(),
            );
        }
        if self.evaluated.is_none() {
            notes.push("whether it is evaluated yet is unknown: the group's position could not be read".to_owned());
        }
        notes
    }

    /// The rules as they stand, applied to the event as it stood.
    fn tested(&self, trigger: Trigger) -> Tested {
        let cooldown = self.config.evaluate.cooldown.of(trigger);
        let view = self.window_view(trigger);
        let met = self.claims.get(&trigger).map(|claims| {
            claims.as_ref().map(|claims| hindsight(self.config, &self.event, trigger, claims)).map_err(Clone::clone)
        });
        let age = Age { age: self.age(), limit: self.config.evaluate.max_event_age, measured: self.measured() };
        let case = Case {
            trigger,
            tenant: match &self.preferences {
                Ok(Some(preferences)) => Tenant::Known(preferences),
                Ok(None) => Tenant::None,
                Err(reason) => Tenant::Unknown(reason),
            },
            ruling: self.ruling(trigger, view.as_ref().map(|view| &view.reach), met.as_ref()),
            cooldown,
            claim: self.claim(met.as_ref()),
            fired_before: match met {
                Some(Ok(Hindsight::Free(before))) => before.map(|claim| claim.at),
                Some(_) | None => None,
            },
            age: Some(age),
        };
        evidence::weigh(self, &case, view, met.as_ref())
    }

    fn ruling(
        &self,
        trigger: Trigger,
        reach: Option<&Result<Reach, String>>,
        met: Option<&Result<Hindsight, String>>,
    ) -> Ruling {
        let known = match &self.preferences {
            Ok(Some(preferences)) => Known::Preferences(preferences),
            Ok(None) => Known::NoTenant,
            Err(_) => return Ruling::NoPreferences,
        };
        let reach = match reach {
            Some(Ok(reach)) => Some(*reach),
            Some(Err(reason)) => return Ruling::NoWindow(reason.clone()),
            None => None,
        };
        let facts = match judge(&self.event, trigger, known, reach) {
            Verdict::Decided(decision) => return Ruling::Decided(decision),
            Verdict::Candidate(facts) => facts,
        };
        let settings = &self.config.evaluate;
        let limit = settings.max_event_age;
        let freshness = match limit {
            Some(limit) if self.age() > limit => Freshness::TooOld { age: self.age(), limit },
            Some(_) | None => Freshness::Fresh,
        };
        let retention = settings.claim_retention(trigger);
        let answer = match met {
            // Its claims are not asked for.
            None => None,
            Some(_) if matches!(freshness, Freshness::TooOld { age, .. } if age > retention) => None,
            Some(Err(reason)) => return Ruling::NoClaims { facts, reason: reason.clone() },
            Some(Ok(met)) if self.claims_may_be_gone(trigger, *met) => {
                let reason = format!("its claims are no longer kept; they are for {} s", retention.as_secs());
                return Ruling::NoClaims { facts, reason };
            }
            Some(Ok(met)) => met.answer(),
        };
        let mode = settings.shadow.mode(&self.event.tenant, trigger);
        Ruling::Decided(conclude(facts, freshness, answer, settings.cooldown.of(trigger), mode))
    }

    /// Whether claims may have stood there that are forgotten by now.
    fn claims_may_be_gone(&self, trigger: Trigger, met: Hindsight) -> bool {
        match met {
            Hindsight::Forgotten => true,
            Hindsight::Held(_) | Hindsight::CooledDown(_) | Hindsight::Overtaken(_) | Hindsight::Free(Some(_)) => false,
            Hindsight::Free(None) => {
                let settings = &self.config.evaluate;
                let kept = settings.claim_retention(trigger).saturating_add(settings.cooldown.of(trigger));
                let kept = kept.saturating_add(self.config.windows.outage_budget);
                self.now.since(self.written_at.unwrap_or(self.event.occurred_at)) > kept
            }
        }
    }

    fn claim(&self, met: Option<&Result<Hindsight, String>>) -> Option<ClaimSeen> {
        let (claim, how) = match met?.as_ref().ok()? {
            Hindsight::Held(claim) => (claim, "it fired, and holds the claim that it took"),
            Hindsight::CooledDown(claim) => (claim, ""),
            Hindsight::Overtaken(claim) => {
                (claim, "that is a later event, so this one came out of order or was not decided by then")
            }
            Hindsight::Free(_) | Hindsight::Forgotten => return None,
        };
        Some(ClaimSeen { at: claim.at, event: self.names.get(&claim.event).cloned(), how: how.to_owned() })
    }

    /// How old the event was when it was evaluated, by the best estimate there is.
    fn age(&self) -> Duration {
        let evaluated_at = match self.evaluated {
            Some(false) => self.now,
            Some(true) | None => self.written_at.unwrap_or(self.now),
        };
        evaluated_at.since(self.event.occurred_at)
    }

    fn measured(&self) -> &'static str {
        match (self.evaluated, self.written_at) {
            (Some(false), _) => "by now",
            (Some(true) | None, Some(_)) => "when it was written to its topic, which estimates when it was evaluated",
            (Some(true) | None, None) => "by now, its record telling no time",
        }
    }

    /// What the preferences say of a frequency, where this trigger reads one.
    pub(super) fn frequency(&self, trigger: Trigger) -> Option<FrequencyBound> {
        match self.preferences.as_ref().ok()?.as_ref()?.setting(trigger) {
            Setting::Frequency(bound) => Some(bound),
            Setting::FeatureOff | Setting::Off | Setting::Plain | Setting::Amount(_) => None,
        }
    }
}

/// Whether the rules say that a command was required, in shadow or not.
pub(super) fn is_required(ruling: &Ruling) -> bool {
    match ruling {
        Ruling::Decided(decision) => decision.fires(),
        Ruling::NoPreferences | Ruling::NoWindow(_) | Ruling::NoClaims { .. } => false,
    }
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;

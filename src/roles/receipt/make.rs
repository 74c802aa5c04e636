//! Receipts for the decisions of one batch.

use std::collections::HashMap;

use super::super::walk::{Arrival, Tested, Windowed};
use crate::config::{Evaluate, Receipts, Windows};
use crate::domain::decide::{Decision, DecisionName};
use crate::domain::event::{Activity, Event};
use crate::domain::evidence::{Bets, Evidence, LastRules, WindowEvidence};
use crate::domain::ids::{Source, TenantId};
use crate::domain::money::Usd;
use crate::domain::preferences::{Preferences, Setting};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Bound;
use crate::domain::window::{self, Bet, WindowRule};
use crate::wire::receipt::{MAX_BETS, Origin, PreferencesVersion, Receipt, Sha256, preferences_sha256};
use crate::wire::window::bet_id;

/// Whether a decision is to have a receipt.
pub fn wanted(receipts: Receipts, decision: DecisionName) -> bool {
    match receipts {
        Receipts::Off => false,
        Receipts::Required => decision.fires(),
        Receipts::All => true,
    }
}

/// What the decisions of a batch were made under.
pub struct Grounds<'a> {
    pub arrivals: &'a [Arrival],
    /// Recorded with its logs kept.
    pub windowed: &'a Windowed,
    pub evaluate: &'a Evaluate,
    pub windows: &'a Windows,
    /// The clock that the decisions read.
    pub decided_at: Option<Timestamp>,
}

/// Makes receipts, each tenant's preferences digested once.
pub struct Maker<'a> {
    grounds: Grounds<'a>,
    known: HashMap<TenantId, Sha256>,
}

impl<'a> Maker<'a> {
    pub fn new(grounds: Grounds<'a>) -> Self {
        Self { grounds, known: HashMap::new() }
    }

    /// The receipt for a decision of the batch. `source` and `payload` are those of the event's record.
    pub fn receipt(&mut self, one: &Tested, source: Source, payload: &[u8]) -> Receipt {
        let arrival = &self.grounds.arrivals[one.event];
        let preferences = arrival.preferences.as_deref();
        let origin = Origin {
            software: env!("CARGO_PKG_VERSION").to_owned(),
            source,
            event_sha256: Sha256::of(payload),
            preferences: preferences.map(|preferences| PreferencesVersion {
                updated_at: preferences.updated_at.clone(),
                sha256: self.digest(&arrival.event.tenant, preferences),
            }),
        };
        let setting = preferences.map(|preferences| preferences.setting(one.trigger));
        let evidence = Evidence {
            event: as_read(&arrival.event, one.trigger.bounded_by()),
            trigger: one.trigger,
            setting,
            window: self.window(one.event, arrival, setting),
            decided_at: self.grounds.decided_at,
            last: self.last_rules(one, arrival),
        };
        Receipt::new(origin, evidence, one.decision.clone())
    }

    fn digest(&mut self, tenant: &TenantId, preferences: &Preferences) -> Sha256 {
        if let Some(known) = self.known.get(tenant) {
            return *known;
        }
        let digest = preferences_sha256(preferences);
        self.known.insert(tenant.clone(), digest);
        digest
    }

    fn window(&self, event: usize, arrival: &Arrival, setting: Option<Setting>) -> Option<WindowEvidence> {
        let Some(Setting::Frequency(bound)) = setting else { return None };
        let settings = self.grounds.windows;
        let rule = WindowRule::new(bound, settings.max_lookback, settings.allowed_lateness, settings.max_entries);
        let own = Bet { at: arrival.event.occurred_at, id: bet_id(&arrival.event.id), arrival: arrival.place };
        let log = window::as_of(self.grounds.windowed.log(event), &own, &rule).unwrap_or_default();
        let bets = match self.grounds.windowed.reaches[event] {
            Some(reach) if log.len() > MAX_BETS => Bets::Summed { number: log.len(), reach },
            Some(_) | None => Bets::Log(log),
        };
        let (max_lookback, lateness) = (settings.max_lookback, settings.allowed_lateness);
        Some(WindowEvidence { max_lookback, lateness, max_entries: settings.max_entries, bets })
    }

    /// What the last rules read, where they were reached.
    fn last_rules(&self, one: &Tested, arrival: &Arrival) -> Option<LastRules> {
        let evaluate = self.grounds.evaluate;
        one.decision.facts().map(|_| LastRules {
            mode: evaluate.shadow.mode(&arrival.event.tenant, one.trigger),
            max_event_age: arrival.age_limit.of(evaluate.max_event_age),
            cooldown: evaluate.cooldown.of(one.trigger),
            retention: evaluate.claim_retention(one.trigger),
            answer: one.answer,
            cap: match one.decision {
                Decision::Capped { limit, .. } => Some(limit),
                Decision::TenantUnknown
                | Decision::FeatureDisabled
                | Decision::TriggerDisabled
                | Decision::BelowThreshold { .. }
                | Decision::BelowFrequency(_)
                | Decision::EventTooOld { .. }
                | Decision::InCooldown { .. }
                | Decision::Required { .. }
                | Decision::Shadowed { .. } => None,
            },
        })
    }
}

/// The event without what a trigger of this kind does not read.
fn as_read(event: &Event, bound: Bound) -> Event {
    let activity = match (event.activity, bound) {
        (Activity::Bet(_), Bound::Frequency) => Activity::Bet(Usd::ZERO),
        (activity, _) => activity,
    };
    Event { activity, transaction: None, ..event.clone() }
}

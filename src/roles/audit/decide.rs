//! The decisions made again, by the rules that decide live, and held against the commands that are there.

use super::auditor::{Auditor, Known, Mismatch, Tenant};
use super::customers::bit;
use super::findings::{Check, Counted};
use super::ledger::Issued;
use super::walk::Case;
use crate::config::Start;
use crate::domain::claim::{Claim, ClaimRequest, Intent};
use crate::domain::decide::{self, Decision, Facts, Freshness, Mode, Verdict, conclude};
use crate::domain::event::Activity;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::{Bet, Reach};
use crate::wire::audit::Violation;
use crate::wire::window::{arrival, bet_id};

impl Auditor {
    /// Decides the event again for every trigger that it tests.
    pub(super) fn decide(&mut self, case: &Case<'_>) {
        let tenant = self.tenant(case.tenant).clone();
        let reach = self.record(case, &tenant);
        for trigger in case.triggers() {
            let known = match &tenant.known {
                Known::Preferences(preferences) => decide::Known::Preferences(preferences),
                Known::NoTenant => decide::Known::NoTenant,
                Known::Unreadable => {
                    self.findings.undecided("preferences_unreadable");
                    continue;
                }
            };
            match decide::judge(case.event, *trigger, known, reach) {
                Verdict::Decided(decision) => self.not_required(case, *trigger, &tenant, &decision),
                Verdict::Candidate(facts) => self.candidate(case, *trigger, &tenant, facts),
            }
        }
    }

    /// Takes a bet into its customer's window.
    fn record(&mut self, case: &Case<'_>, tenant: &Tenant) -> Option<Reach> {
        let (Activity::Bet(_), Some(rule)) = (case.event.activity, &tenant.rule) else { return None };
        let place = arrival(&self.lanes.source(case.at));
        let bet = Bet { at: case.event.occurred_at, id: bet_id(&case.event.id), arrival: place };
        self.sample(case, tenant, rule, bet);
        Some(self.customers.of(case.customer, case.at).window.take(bet, rule))
    }

    fn not_required(&mut self, case: &Case<'_>, trigger: Trigger, tenant: &Tenant, decision: &Decision) {
        let id = case.id(trigger);
        let Some(there) = self.ledger.commands.get(&id).or_else(|| self.ledger.shadows.get(&id)).cloned() else {
            return;
        };
        self.customers.of(case.customer, case.at).commanded |= bit(trigger);
        self.extra(case, trigger, tenant, &there, decision);
    }

    /// Nothing speaks against a command but the claims.
    fn candidate(&mut self, case: &Case<'_>, trigger: Trigger, tenant: &Tenant, facts: Facts) {
        let id = case.id(trigger);
        let (live, shadow) = (self.ledger.commands.get(&id), self.ledger.shadows.get(&id));
        let settings = &self.terms.evaluate;
        let mode = match (live, shadow) {
            (Some(_), _) => Mode::Live,
            (None, Some(_)) => Mode::Shadow,
            (None, None) => settings.shadow.mode(&case.event.tenant, trigger),
        };
        let there = live.or(shadow).cloned();
        let (cooldown, retention) = (settings.cooldown.of(trigger), settings.claim_retention(trigger));
        let claim = Claim { at: case.event.occurred_at, event: bet_id(&case.event.id) };
        let request = ClaimRequest { claim, intent: Intent::Look, cooldown, retention };
        let customer = self.customers.of(case.customer, case.at);
        let answer = (!cooldown.is_zero()).then(|| customer.ask(trigger, mode, &request));
        if there.is_some() {
            customer.commanded |= bit(trigger);
            if !cooldown.is_zero() {
                customer.take(trigger, mode, &request);
            }
        }
        let decision = conclude(facts, Freshness::Fresh, answer, cooldown, mode);
        match (decision.fires(), there) {
            (false, None) => {}
            (false, Some(there)) => self.extra(case, trigger, tenant, &there, &decision),
            (true, Some(there)) => {
                self.findings.checked(Check::RequiredCommands);
                self.customers.of(case.customer, case.at).required |= bit(trigger);
                self.compare_facts(case, trigger, tenant, &there, facts);
            }
            (true, None) if decision.is_repeated() => {}
            (true, None) => self.lacking(case, trigger, tenant, mode, &request),
        }
    }

    /// A command that the rules require and that is not there.
    fn lacking(&mut self, case: &Case<'_>, trigger: Trigger, tenant: &Tenant, mode: Mode, request: &ClaimRequest) {
        if !self.is_settled(case.at) {
            return self.findings.count(Counted::Pending);
        }
        if let Some(reason) = self.doubt(case, trigger, tenant) {
            return self.findings.undecided(reason);
        }
        self.findings.checked(Check::RequiredCommands);
        let customer = self.customers.of(case.customer, case.at);
        customer.required |= bit(trigger);
        if !request.cooldown.is_zero() {
            customer.take(trigger, mode, request);
        }
        let id = case.id(trigger);
        if self.missing.insert(id) {
            let topic = match mode {
                Mode::Live => "a required command is missing",
                Mode::Shadow => "a command that is required in shadow is missing",
            };
            let violation = self.violation(topic, case.at);
            self.mismatch(Check::RequiredCommands, case, trigger, violation);
        }
    }

    /// A command that is there and that the rules do not require.
    fn extra(&mut self, case: &Case<'_>, trigger: Trigger, tenant: &Tenant, there: &Issued, decision: &Decision) {
        if there.version != tenant.version {
            return;
        }
        // Where there is a version, the same one decided.
        let doubt = match tenant.version {
            Some(_) => self.is_cut(case, trigger, tenant).then_some("range_begins"),
            None => self.is_otherwise(case, trigger, tenant),
        };
        if let Some(reason) = doubt {
            return self.findings.undecided(reason);
        }
        let what = format!("a command that is not required: {}", decision.name());
        let mut violation = self.violation(what, there.at);
        violation.against = Some(self.lanes.source(case.at).to_string());
        match decision {
            Decision::BelowFrequency(_) | Decision::InCooldown { .. } => {
                self.mismatch(Check::NoOtherCommands, case, trigger, violation);
            }
            Decision::TenantUnknown
            | Decision::FeatureDisabled
            | Decision::TriggerDisabled
            | Decision::BelowThreshold { .. }
            | Decision::EventTooOld { .. }
            | Decision::Required { .. }
            | Decision::Shadowed { .. }
            | Decision::Capped { .. } => {
                let violation = self.of_case(violation, case, trigger);
                self.findings.violation(Check::NoOtherCommands, violation);
            }
        }
    }

    /// Why live may have decided otherwise than the rules do now, where it may.
    fn doubt(&self, case: &Case<'_>, trigger: Trigger, tenant: &Tenant) -> Option<&'static str> {
        let settings = &self.terms.evaluate;
        if self.terms.start == Start::Latest && !self.course.has_begun(case.at) {
            return Some("before_the_start");
        }
        if let Some(reason) = self.is_otherwise(case, trigger, tenant) {
            return Some(reason);
        }
        if tenant.shadowed & bit(trigger) != 0 && settings.shadow.mode(&case.event.tenant, trigger) == Mode::Live {
            return Some("shadow_switched");
        }
        if settings.max_sessions_per_minute.is_some() {
            return Some("capped");
        }
        // What takes no claim can be too old in a second delivery, as long as its own batch is not behind it.
        let ahead = if settings.cooldown.of(trigger).is_zero() { settings.batch_size } else { 0 };
        let passed = self.course.passed_by(case.at, i64::try_from(ahead).unwrap_or(i64::MAX));
        let latest = passed.unwrap_or(self.terms.now);
        match Freshness::of(case.event, latest, settings.max_event_age) {
            Freshness::Fresh => None,
            Freshness::TooOld { .. } => Some("event_too_old"),
        }
    }

    /// Why live may have gone by other events or other preferences, where it may.
    pub(super) fn is_otherwise(&self, case: &Case<'_>, trigger: Trigger, tenant: &Tenant) -> Option<&'static str> {
        if self.is_cut(case, trigger, tenant) {
            return Some("range_begins");
        }
        let counting = if trigger == Trigger::HighFrequencyBetting { tenant.rule } else { None };
        let counted = counting.map(|rule| rule.kept_for()).unwrap_or_default();
        let settles = self.terms.preferences_ttl.saturating_add(counted);
        let is_unsettled = |until: Timestamp| case.written_at <= until.plus(settles);
        tenant.unsettled_until.is_some_and(is_unsettled).then_some("preferences_changed")
    }

    /// Whether events before the range may have had a say.
    fn is_cut(&self, case: &Case<'_>, trigger: Trigger, tenant: &Tenant) -> bool {
        let counting = if trigger == Trigger::HighFrequencyBetting { tenant.rule } else { None };
        let span = counting.map(|rule| rule.kept_for()).unwrap_or_default();
        let span = span.saturating_add(self.terms.evaluate.cooldown.of(trigger));
        let (at, occurred_at) = (case.at, case.event.occurred_at);
        !span.is_zero() && self.course.is_near_the_beginning(at, case.written_at, occurred_at, span)
    }

    pub(super) fn mismatch(&mut self, check: Check, case: &Case<'_>, trigger: Trigger, violation: Violation) {
        let violation = self.of_case(violation, case, trigger);
        self.mismatches.push(Mismatch { check, customer: case.customer, trigger, violation });
    }

    pub(super) fn of_case(&self, violation: Violation, case: &Case<'_>, trigger: Trigger) -> Violation {
        let event_id = Some(case.event.id.to_string());
        self.of_command(Violation { event_id, ..violation }, case.id(trigger), case.tenant, Some(trigger))
    }
}

//! What the controls and the breaker do to decisions: triggers that go to shadow while the role runs.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use super::super::controls::Known;
use super::super::walk::{Arrival, Tested};
use crate::config::Evaluate as Settings;
use crate::domain::breaker::{Breaker, Heard, Trip};
use crate::domain::control::{Control, Kind, Reason, State, Target};
use crate::domain::decide::{Decision, Mode, Standing};
use crate::domain::ids::TenantId;
use crate::domain::preferences::Setting;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::metrics::Metrics;

/// The role's eye on what is switched, and on what its own decisions come to.
pub struct Guard {
    controls: Known,
    breaker: Option<Mutex<Breaker>>,
    metrics: Metrics,
}

impl Guard {
    pub fn new(settings: &Settings, controls: Known, metrics: Metrics) -> Self {
        let breaker = settings.breaker.terms().map(|terms| Mutex::new(Breaker::new(terms)));
        Self { controls, breaker, metrics }
    }

    /// The settings with what is in shadow by a control at this moment.
    pub(super) fn settings<'a>(&self, settings: &'a Settings) -> Cow<'a, Settings> {
        let controls = self.controls.now();
        if controls.active().all(|control| control.kind != Kind::Shadow) {
            return Cow::Borrowed(settings);
        }
        let mut settings = settings.clone();
        settings.shadow.controls = controls;
        Cow::Owned(settings)
    }

    /// Whether it is to hear of every decision, and not only of those that fire.
    pub(super) fn hears_of_all(&self) -> bool {
        self.breaker.is_some()
    }

    /// Hears of the decisions of a batch, made under these settings, and puts in shadow what fires too often.
    pub(super) fn hear(&self, arrivals: &[Arrival], tested: &[Tested], settings: &Settings, now: Timestamp) {
        let Some(breaker) = &self.breaker else { return };
        let mut breaker = breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let controls = self.controls.now();
        for one in tested {
            let arrival = &arrivals[one.event];
            let what = (&arrival.event.tenant, one.trigger);
            let setting = arrival.preferences.as_ref().map_or(Setting::FeatureOff, |known| known.setting(one.trigger));
            if settings.shadow.mode(what.0, what.1) == Mode::Shadow {
                breaker.rest(what, setting, now);
                continue;
            }
            let accepted = controls.get(Kind::Shadow, &target(what)).map(|control| control.at);
            if let Some(trip) = breaker.hear(what, setting, heard(&one.decision), accepted, now) {
                self.trip(what, trip, now);
            }
        }
    }

    fn trip(&self, (tenant, trigger): (&TenantId, Trigger), trip: Trip, now: Timestamp) {
        let (before, after) = (trip.before.per_minute(), trip.after.per_minute());
        let target = target((tenant, trigger));
        let at = self.controls.now().time_for(Kind::Shadow, &target, now);
        let reason = Reason::of(&format!("new preferences lifted it from {before:.1} to {after:.1} a minute"));
        self.controls.learn([Control { kind: Kind::Shadow, target, state: State::On, at, reason }]);
        self.metrics.breaker_tripped(tenant, trigger);
        tracing::error!(
            %tenant, %trigger, before, after,
            "new preferences lift the trigger beyond evaluate.breaker.factor, in commands a minute; it goes to shadow \
             until `stepup release` puts it back or `stepup keep` accepts it"
        );
    }
}

fn target((tenant, trigger): (&TenantId, Trigger)) -> Target {
    Target { tenant: Some(tenant.clone()), trigger: Some(trigger) }
}

/// What the cap keeps back would have asked as well.
fn heard(decision: &Decision) -> Heard {
    match decision {
        Decision::Required { standing: Standing::First, .. } | Decision::Capped { .. } => Heard::Fired,
        Decision::TenantUnknown
        | Decision::FeatureDisabled
        | Decision::TriggerDisabled
        | Decision::BelowThreshold { .. }
        | Decision::BelowFrequency(_)
        | Decision::EventTooOld { .. }
        | Decision::InCooldown { .. }
        | Decision::Required { standing: Standing::Again, .. }
        | Decision::Shadowed { .. } => Heard::Tested,
    }
}

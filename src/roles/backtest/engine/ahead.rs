//! Looking ahead: whose the coming events are, and what is kept of these customers.

use super::{Engine, Tenant};
use crate::domain::event::Activity;
use crate::domain::preferences::Setting;
use crate::domain::trigger::Trigger;
use crate::domain::window::WindowRule;
use crate::roles::backtest::customers::Customer;
use crate::roles::backtest::worlds::{Posed, Tests};
use crate::wire::event_plain::PlainEvent;
use crate::wire::window::customer_key_of;

/// An event that is to be decided soon.
pub(in crate::roles::backtest) struct Coming<'a> {
    pub(in crate::roles::backtest) event: PlainEvent<'a>,
    /// The place of its tenant.
    pub(super) tenant: usize,
    /// Its customer's, where a window or a claim may be asked.
    pub(super) key: Option<u128>,
}

/// So many events are looked at ahead: enough to wait for memory once, and few enough for what comes to stay near.
pub(in crate::roles::backtest) const AHEAD: usize = 32;

impl Engine {
    /// Finds out whose an event is.
    pub(in crate::roles::backtest) fn coming<'a>(&mut self, event: PlainEvent<'a>) -> Coming<'a> {
        let place = self.tenant(event.tenant);
        let Tenant { tests, rules, .. } = &self.tenants[place];
        let may_fire = |trigger: &Trigger| may_fire(&tests[*trigger as usize], event.activity);
        let needed = is_counted(event.activity, rules) || event.activity.kind().tests().iter().any(may_fire);
        Coming { event, tenant: place, key: needed.then(|| customer_key_of(event.tenant, event.customer)) }
    }

    /// Brings near what is kept of the customers of at most [`AHEAD`] events. They lie anywhere in memory, and to wait for
    /// all of them at once takes little more than to wait for one.
    pub(in crate::roles::backtest) fn bring_near<'a>(&self, coming: impl Iterator<Item = &'a Coming<'a>>) {
        let mut near: [Option<&Customer>; AHEAD] = [None; AHEAD];
        for (near, Coming { tenant, key, .. }) in near.iter_mut().zip(coming) {
            *near = key.and_then(|key| self.tenants[*tenant].customers.get(key));
        }
        // Each step reads no more than where the next one leads, so that nothing waits within a step.
        for step in [Customer::touch, Customer::touch_state, Customer::touch_claims] {
            let read: i64 = near.iter().flatten().map(|customer| step(customer)).fold(0, i64::wrapping_add);
            std::hint::black_box(read);
        }
    }
}

/// Whether an event comes into a window.
pub(super) fn is_counted(activity: Activity, rules: &[WindowRule]) -> bool {
    matches!(activity, Activity::Bet(_)) && !rules.is_empty()
}

/// Whether an event may come before the claims, which only a customer at hand can answer.
fn may_fire(tests: &Tests, activity: Activity) -> bool {
    tests.variants.iter().any(|variant| match variant.posed {
        Posed::Set(Setting::Plain | Setting::Frequency(_)) => true,
        Posed::Set(Setting::Amount(bound)) => {
            bound.threshold.is_none_or(|threshold| activity.amount().is_some_and(|amount| amount >= threshold))
        }
        Posed::Set(Setting::FeatureOff | Setting::Off) | Posed::NoTenant | Posed::Unreadable => false,
    })
}

//! What is counted of every event: handles of one tenant's counters, so that they are not looked up for each.

use std::sync::Arc;

use super::labels::EventResult;
use super::series::TenantSeries;
use super::{Metrics, UNKNOWN, decision_cell};
use crate::domain::decide::DecisionName;
use crate::domain::ids::TenantId;
use crate::domain::trigger::{ActivityType, Trigger};

/// The counters of one tenant.
pub struct OfTenant {
    metrics: Metrics,
    series: Arc<TenantSeries>,
}

impl Metrics {
    /// The counters of a tenant; `None` is one that could not be read.
    pub fn of(&self, tenant: Option<&TenantId>) -> OfTenant {
        OfTenant { metrics: self.clone(), series: self.0.tenants.of(tenant) }
    }

    /// `n` events reached their end. No tenant: it could not be read. No type: it is not known or could not be read.
    pub fn events(&self, tenant: Option<&TenantId>, activity: Option<ActivityType>, result: EventResult, n: u64) {
        self.of(tenant).events(activity, result, n);
    }
}

impl OfTenant {
    /// `n` events reached their end. No type: it is not known or could not be read.
    pub fn events(&self, activity: Option<ActivityType>, result: EventResult, n: u64) {
        let all = &self.metrics.0;
        all.sums.event(result, n);
        let row = activity.map_or(ActivityType::ALL.len(), |activity| activity as usize);
        self.series.events.add(row * EventResult::ALL.len() + result as usize, n, || {
            let activity = activity.map_or(UNKNOWN, ActivityType::name);
            all.events.with_label_values(&[self.series.label.as_str(), activity, result.name()])
        });
    }

    /// `n` events were decided alike for this trigger.
    pub fn decisions(&self, trigger: Trigger, decision: DecisionName, n: u64) {
        let all = &self.metrics.0;
        let cell = decision_cell(trigger, decision);
        all.sums.decision(cell, n);
        self.series.decisions.add(cell, n, || {
            all.decisions.with_label_values(&[self.series.label.as_str(), trigger.name(), decision.name()])
        });
    }
}

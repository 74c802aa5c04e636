//! The counting of a batch, once all that follows from it is acknowledged.

use super::{Decided, Evaluate};
use crate::domain::decide::Mode;
use crate::domain::time::Timestamp;
use crate::edge::claims::Claims;
use crate::edge::clock;
use crate::edge::kafka::producer::Sink;
use crate::edge::preferences::PreferencesSource;
use crate::edge::quotas::Quotas;
use crate::edge::windows::Windows;
use crate::metrics::{EventResult, OfTenant, Role};
use crate::roles::console::{MOST_TOLD, Told};
use crate::roles::receipt::wanted;
use crate::roles::walk::Made;

impl<W: Windows, C: Claims + Quotas, K: Sink, S: PreferencesSource> Evaluate<W, C, K, S> {
    /// Counts every event and decision of a batch once.
    pub(super) fn count(&self, batch: &Decided) {
        let (recorded, now) = (&batch.recorded, clock::now());
        let tenants: Vec<OfTenant> = recorded.tenants.iter().map(|tenant| self.metrics.of(Some(tenant))).collect();
        for (tenant, kind) in batch.events.iter().copied() {
            tenants[tenant].events(Some(kind), EventResult::Decided, 1);
        }
        for Made { event, trigger, decision } in batch.made.iter().copied() {
            let (tenant, _) = batch.events[event];
            tenants[tenant].decisions(trigger, decision, 1);
            let tenant = &recorded.tenants[tenant];
            if batch.settings.shadow.mode(tenant, trigger) == Mode::Shadow {
                self.metrics.shadow_decision(tenant, trigger, decision);
            }
            if wanted(self.settings.receipts, decision) {
                self.metrics.receipt(decision);
            }
        }
        for (tenant, trigger, since) in &batch.commands {
            self.metrics.commands(tenant, *trigger, 1);
            if let Some(since) = since {
                self.metrics.command_latency(now.since(Timestamp(*since)));
            }
        }
        for (_, tenant, kind, rejection) in &recorded.rejected {
            self.metrics.events(tenant.as_ref(), *kind, EventResult::Rejected, 1);
            self.metrics.dead_letters(rejection.code, 1);
        }
        for (reason, records) in &recorded.given_up {
            self.metrics.given_up(Role::Evaluate, *reason, *records);
        }
        for tenant in &recorded.unknown_types {
            self.metrics.events(Some(tenant), None, EventResult::UnknownType, 1);
        }
        self.metrics.late_bets(recorded.windowed.late_bets);
        self.tell_console(batch, now);
    }

    fn tell_console(&self, batch: &Decided, now: Timestamp) {
        let Some(console) = &self.console else { return };
        let recorded = &batch.recorded;
        let told = batch.tested.iter().rev().filter_map(|one| {
            let event = &recorded.arrivals[one.event].event;
            let position = recorded.batch.position(recorded.records[one.event])?;
            Told::new(event, || position.source(), one.trigger, &one.decision, now)
        });
        let mut told: Vec<Told> = told.take(MOST_TOLD).collect();
        told.reverse();
        console.tell(told);
    }
}

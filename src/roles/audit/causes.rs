//! What a command says of its event, held against the event.

use super::auditor::{Auditor, Tenant};
use super::findings::{Check, Counted};
use super::ledger::Issued;
use super::walk::Case;
use crate::domain::command::ReferenceChoice;
use crate::domain::decide::Facts;
use crate::domain::trigger::Trigger;
use crate::wire::audit::digest;
use crate::wire::window::customer_key;

impl Auditor {
    /// Marks the commands that name this event as theirs, and compares what they say of it.
    pub(super) fn find_causes(&mut self, case: &Case<'_>) {
        for trigger in case.triggers() {
            let id = case.id(*trigger);
            self.ledger.further.remove(&(id, case.at));
            let (commands, shadows) = (&mut self.ledger.commands, &mut self.ledger.shadows);
            let mut found = Vec::new();
            for issued in commands.get_mut(&id).into_iter().chain(shadows.get_mut(&id)) {
                if issued.cause == case.at && !issued.is_caused {
                    issued.is_caused = true;
                    found.push(issued.clone());
                }
            }
            for issued in found {
                self.findings.checked(Check::CommandFields);
                if let Some(field) = self.contradicted(case, *trigger, &issued) {
                    self.wrong_field(case, *trigger, &issued, field);
                }
                if self.terms.preferences.is_some() && issued.version != self.tenant(case.tenant).version {
                    self.findings.count(Counted::OtherVersion);
                }
            }
        }
    }

    /// The first field of a command that does not say what its event does.
    fn contradicted(&self, case: &Case<'_>, trigger: Trigger, issued: &Issued) -> Option<&'static str> {
        let event = case.event;
        let id = uuid::Uuid::from_u128(case.id(trigger)).to_string();
        let reference = match (self.terms.evaluate.reference, &event.transaction) {
            (ReferenceChoice::TransactionId, Some(transaction)) => digest(transaction.as_str().as_bytes()),
            (ReferenceChoice::TransactionId, None) | (ReferenceChoice::CommandId, _) => digest(id.as_bytes()),
        };
        let amount = match issued.facts {
            Facts::Amount(amount) => Some(amount) == event.activity.amount(),
            Facts::Plain | Facts::Frequency(_) => true,
        };
        let contradictions = [
            (issued.customer != customer_key(&event.tenant, &event.customer), "customer_id"),
            (issued.event != digest(event.id.as_str().as_bytes()), "cause.event_id"),
            (issued.kind != event.activity.kind(), "cause.type"),
            (issued.occurred_at != event.occurred_at, "cause.occurred_at"),
            (issued.reference != reference, "reference"),
            (!amount, "amount"),
        ];
        contradictions.iter().find(|(contradicted, _)| *contradicted).map(|(_, field)| *field)
    }

    /// Compares what the window counted. That is only known where the same preferences counted.
    pub(super) fn compare_facts(
        &mut self,
        case: &Case<'_>,
        trigger: Trigger,
        tenant: &Tenant,
        there: &Issued,
        facts: Facts,
    ) {
        let (Facts::Frequency(said), Facts::Frequency(counted)) = (there.facts, facts) else { return };
        if there.version != tenant.version
            || there.cause != case.at
            || self.is_otherwise(case, trigger, tenant).is_some()
        {
            return;
        }
        let what = if said.count != counted.count {
            format!("event_count is {} on a command whose window held {}", said.count, counted.count)
        } else if said.within_minutes != counted.within_minutes {
            let (said, counted) = (said.within_minutes, counted.within_minutes);
            format!("event_window_minutes is {said} on a command whose window took {counted}")
        } else {
            return;
        };
        let mut violation = self.violation(what, there.at);
        violation.against = Some(self.lanes.source(case.at).to_string());
        self.mismatch(Check::CommandFields, case, trigger, violation);
    }

    fn wrong_field(&mut self, case: &Case<'_>, trigger: Trigger, issued: &Issued, field: &str) {
        let mut violation = self.violation(format!("{field} of a command is not what its event says"), issued.at);
        violation.against = Some(self.lanes.source(case.at).to_string());
        let violation = self.of_case(violation, case, trigger);
        self.findings.violation(Check::CommandFields, violation);
    }
}

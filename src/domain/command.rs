//! A command: "this customer is to be verified", with what caused it.

use std::time::Duration;

use super::decide::Facts;
use super::event::Event;
use super::ids::{CommandId, CustomerId, EventId, Source, TenantId};
use super::time::Timestamp;
use super::trigger::{ActivityType, Trigger};

/// A request for one verification session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub id: CommandId,
    pub tenant: TenantId,
    pub customer: CustomerId,
    pub trigger: Trigger,
    /// The session's reference at the service; a lost answer adds `.2`, `.3` … to it.
    pub reference: Reference,
    pub facts: Facts,
    pub cause: Cause,
    /// The version of the preferences that decided.
    pub preferences_updated_at: Option<String>,
    /// The command that this one takes up again.
    pub redrive_of: Option<CommandId>,
    pub issued_at: Timestamp,
    /// After this nobody is asked any more.
    pub expires_at: Timestamp,
}

/// What a session is called at the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The command's own id. Nobody else uses it: a conflict can only come from a lost answer of ours.
    CommandId,
    /// The tenant's transaction. Others may use it too.
    Transaction(String),
}

/// Which id a session is to be called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceChoice {
    CommandId,
    /// The event's transaction where it has one.
    TransactionId,
}

/// The event behind a command, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub event: EventId,
    pub kind: ActivityType,
    pub occurred_at: Timestamp,
    pub source: Source,
}

impl Command {
    /// The command for an event that a trigger requires to be verified.
    pub fn new(
        event: &Event,
        trigger: Trigger,
        facts: Facts,
        source: Source,
        preferences_updated_at: Option<String>,
        terms: Terms,
    ) -> Self {
        let reference = match (terms.reference, &event.transaction) {
            (ReferenceChoice::TransactionId, Some(transaction)) => {
                Reference::Transaction(transaction.as_str().to_owned())
            }
            (ReferenceChoice::TransactionId, None) | (ReferenceChoice::CommandId, _) => Reference::CommandId,
        };
        Self {
            id: CommandId::of(&event.tenant, trigger, &event.id),
            tenant: event.tenant.clone(),
            customer: event.customer.clone(),
            trigger,
            reference,
            facts,
            cause: Cause {
                event: event.id.clone(),
                kind: event.activity.kind(),
                occurred_at: event.occurred_at,
                source,
            },
            preferences_updated_at,
            redrive_of: None,
            issued_at: terms.issued_at,
            expires_at: terms.issued_at.plus(terms.max_age),
        }
    }

    /// The command that takes this one up again after it came to nothing, with its whole age before it. A session that is
    /// called by the command's id is called by the new one's; a transaction stays.
    #[must_use]
    pub fn redriven(&self, issued_at: Timestamp, max_age: Duration) -> Self {
        Self {
            id: self.id.redriven(),
            redrive_of: Some(self.id),
            issued_at,
            expires_at: issued_at.plus(max_age),
            ..self.clone()
        }
    }

    /// The same command with its whole age before it, which has come to no end.
    #[must_use]
    pub fn renewed(&self, issued_at: Timestamp, max_age: Duration) -> Self {
        Self { redrive_of: Some(self.id), issued_at, expires_at: issued_at.plus(max_age), ..self.clone() }
    }

    /// The ids under which calls for its reference may be on record: its own, and that of the command it takes up again.
    pub fn attempted_as(&self) -> impl Iterator<Item = CommandId> + use<> {
        std::iter::once(self.id).chain(self.redrive_of)
    }

    /// The reference as the event and the configuration give it.
    pub fn base_reference(&self) -> String {
        match &self.reference {
            Reference::CommandId => self.id.to_string(),
            Reference::Transaction(transaction) => transaction.clone(),
        }
    }

    /// The reference of the `number`th session that is tried: the first is the plain one.
    pub fn numbered_reference(&self, number: u32) -> String {
        match number {
            0 | 1 => self.base_reference(),
            _ => format!("{}.{number}", self.base_reference()),
        }
    }
}

/// Under which terms commands are issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub issued_at: Timestamp,
    pub max_age: Duration,
    pub reference: ReferenceChoice,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Activity;
    use crate::domain::ids::TransactionId;
    use crate::domain::money::Amount;

    fn event(transaction: Option<&str>) -> Event {
        Event {
            id: EventId::new("e-1").unwrap(),
            tenant: TenantId::new("acme").unwrap(),
            customer: CustomerId::new("c-1").unwrap(),
            activity: Activity::Bet("12.50".parse::<Amount>().unwrap().as_usd()),
            occurred_at: Timestamp(500),
            transaction: transaction.map(|text| TransactionId::new(text).unwrap()),
        }
    }

    fn source(offset: i64) -> Source {
        Source { topic: "activity".into(), partition: 3, offset }
    }

    const TERMS: Terms =
        Terms { issued_at: Timestamp(1_000), max_age: Duration::from_secs(600), reference: ReferenceChoice::CommandId };

    fn command(event: &Event, trigger: Trigger, terms: Terms) -> Command {
        Command::new(event, trigger, Facts::Plain, source(7), Some("2026-03-01T12:00:00Z".to_owned()), terms)
    }

    #[test]
    fn a_command_tells_its_event_and_what_decided() {
        let event = event(Some("tx-1"));
        let facts = event.activity.amount().map_or(Facts::Plain, Facts::Amount);
        let updated_at = Some("2026-03-01T12:00:00Z".to_owned());
        let command = Command::new(&event, Trigger::LargeBetPlacement, facts, source(7), updated_at.clone(), TERMS);
        let want = Command {
            id: CommandId::of(&event.tenant, Trigger::LargeBetPlacement, &event.id),
            tenant: event.tenant.clone(),
            customer: event.customer.clone(),
            trigger: Trigger::LargeBetPlacement,
            reference: Reference::CommandId,
            facts,
            cause: Cause {
                event: event.id.clone(),
                kind: ActivityType::Bet,
                occurred_at: Timestamp(500),
                source: source(7),
            },
            preferences_updated_at: updated_at,
            redrive_of: None,
            issued_at: Timestamp(1_000),
            expires_at: Timestamp(601_000),
        };
        assert_eq!(command, want);
    }

    #[test]
    fn the_same_event_and_trigger_give_the_same_id_whatever_else_differs() {
        let one = command(&event(None), Trigger::LargeBetPlacement, TERMS);
        let later = Terms { issued_at: Timestamp(9_000), reference: ReferenceChoice::TransactionId, ..TERMS };
        let moved = Event { occurred_at: Timestamp(501), ..event(Some("tx-1")) };
        let again = Command::new(&moved, Trigger::LargeBetPlacement, Facts::Plain, source(8), None, later);
        assert_eq!(one.id, again.id);
        let other_trigger = command(&event(None), Trigger::HighFrequencyBetting, TERMS);
        assert_ne!(one.id, other_trigger.id);
        let other_event = Event { id: EventId::new("e-2").unwrap(), ..event(None) };
        assert_ne!(one.id, command(&other_event, Trigger::LargeBetPlacement, TERMS).id);
    }

    #[test]
    fn a_reference_is_the_transaction_where_that_is_asked_for_and_there_is_one() {
        let id = CommandId::of(&event(None).tenant, Trigger::LargeBetPlacement, &event(None).id).to_string();
        for (choice, transaction, want) in [
            (ReferenceChoice::CommandId, None, id.as_str()),
            (ReferenceChoice::CommandId, Some("tx-1"), id.as_str()),
            (ReferenceChoice::TransactionId, None, id.as_str()),
            (ReferenceChoice::TransactionId, Some("tx-1"), "tx-1"),
        ] {
            let command =
                command(&event(transaction), Trigger::LargeBetPlacement, Terms { reference: choice, ..TERMS });
            assert_eq!(command.base_reference(), want, "{choice:?} {transaction:?}");
            assert_eq!(command.reference == Reference::CommandId, want == id, "{choice:?} {transaction:?}");
            for (number, suffix) in [(0, ""), (1, ""), (2, ".2"), (3, ".3"), (10, ".10")] {
                assert_eq!(command.numbered_reference(number), format!("{want}{suffix}"));
            }
        }
    }

    #[test]
    fn a_command_that_is_taken_up_is_a_new_one_of_the_same_cause() {
        for (choice, reference) in [(ReferenceChoice::CommandId, None), (ReferenceChoice::TransactionId, Some("tx-1"))]
        {
            let terms = Terms { reference: choice, ..TERMS };
            let old = command(&event(Some("tx-1")), Trigger::LargeBetPlacement, terms);
            let new = old.redriven(Timestamp(9_000_000), TERMS.max_age);
            assert_eq!((new.id, new.redrive_of), (old.id.redriven(), Some(old.id)));
            assert_eq!((new.issued_at, new.expires_at), (Timestamp(9_000_000), Timestamp(9_600_000)));
            assert_eq!(new.base_reference(), reference.map_or(new.id.to_string(), str::to_owned));
            let same = Command {
                id: old.id,
                redrive_of: None,
                issued_at: old.issued_at,
                expires_at: old.expires_at,
                ..new.clone()
            };
            assert_eq!(same, old);
            assert_eq!(old.redriven(Timestamp(1), Duration::ZERO).id, new.id, "whenever it is taken up");
            let next = new.redriven(Timestamp(1), Duration::ZERO);
            assert_eq!((next.redrive_of, next.id), (Some(new.id), old.id.redriven().redriven()));
            assert_eq!(old.attempted_as().collect::<Vec<_>>(), [old.id]);
            assert_eq!(next.attempted_as().collect::<Vec<_>>(), [next.id, new.id]);
        }
    }

    #[test]
    fn a_command_expires_its_age_after_it_was_issued() {
        for (issued_at, max_age, expires_at) in [
            (0, Duration::from_millis(1), 1),
            (1_000, Duration::from_secs(600), 601_000),
            (-5_000, Duration::from_secs(1), -4_000),
            (1_000, Duration::ZERO, 1_000),
            (1_000, Duration::MAX, i64::MAX),
        ] {
            let terms = Terms { issued_at: Timestamp(issued_at), max_age, ..TERMS };
            let command = command(&event(None), Trigger::LargeBetPlacement, terms);
            assert_eq!((command.issued_at.0, command.expires_at.0), (issued_at, expires_at));
        }
    }
}

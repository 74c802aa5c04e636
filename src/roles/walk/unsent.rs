//! Claims whose commands may not stand on their topic yet. A later claim lets go of those that are older than the retention;
//! these it must keep, for after a crash nothing else tells that their events fired.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::event::Event;
use crate::domain::hashed::HashedAlready;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::wire::window::customer_key;

/// A customer, by its hash, and a trigger.
type Whose = (u128, Trigger);

/// An event that fired.
#[derive(Debug, Clone, Copy)]
pub struct Fired {
    whose: Whose,
    at: Timestamp,
}

impl Fired {
    pub fn new(event: &Event, trigger: Trigger) -> Self {
        Self::of(customer_key(&event.tenant, &event.customer), trigger, event.occurred_at)
    }

    /// The same of the hash of an event's customer.
    pub(super) fn of(customer: u128, trigger: Trigger, at: Timestamp) -> Self {
        Self { whose: (customer, trigger), at }
    }
}

type Earliest = HashMap<Whose, Timestamp, HashedAlready>;

/// The earliest of each customer and trigger.
#[derive(Debug, Clone, Default)]
pub struct Unsent(Option<Earliest>);

impl Unsent {
    /// For whoever cannot crash: claims go by their retention.
    pub fn of_no_account() -> Self {
        Self(None)
    }

    /// Those of batches that are decided and not acknowledged.
    pub fn of<'a>(fired: impl IntoIterator<Item = &'a Fired>) -> Self {
        let mut earliest = Earliest::default();
        for one in fired {
            note(&mut earliest, *one);
        }
        Self(Some(earliest))
    }

    /// Takes note of an event that may fire, and gives how long the claims before its own must be kept.
    pub(super) fn keeping(&mut self, may_fire: Fired, retention: Duration) -> Duration {
        let Some(earliest) = &mut self.0 else { return retention };
        let earliest = note(earliest, may_fire);
        retention.max(may_fire.at.since(earliest) + Duration::from_millis(1))
    }
}

/// Gives the earliest that there is then.
fn note(earliest: &mut Earliest, fired: Fired) -> Timestamp {
    let earliest = earliest.entry(fired.whose).or_insert(fired.at);
    *earliest = fired.at.min(*earliest);
    *earliest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Activity;
    use crate::domain::ids::{CustomerId, EventId, TenantId};
    use crate::domain::trigger::ActivityType;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn login(customer: &str, minute: i64) -> Event {
        Event {
            id: EventId::new("e").unwrap(),
            tenant: TenantId::new("acme").unwrap(),
            customer: CustomerId::new(customer).unwrap(),
            activity: Activity::Plain(ActivityType::Login),
            occurred_at: Timestamp(minute * 60_000),
            transaction: None,
        }
    }

    #[test]
    fn what_may_not_have_been_sent_is_kept_however_much_later_the_next_event_happened() {
        let mut unsent = Unsent::of(&[Fired::new(&login("a", 0), Trigger::Login)]);
        let beyond = |minutes: u64| Duration::from_secs(minutes * 60) + Duration::from_millis(1);
        for (event, want) in [
            (login("a", 30), HOUR),
            (login("a", 90), beyond(90)),
            (login("b", 90), HOUR),
            (login("b", 200), beyond(110)), // The one before it stands in the same batch.
            (login("a", -30), HOUR),
            (login("a", 90), beyond(120)),
        ] {
            assert_eq!(unsent.keeping(Fired::new(&event, Trigger::Login), HOUR), want, "{event:?}");
        }
        assert_eq!(unsent.keeping(Fired::new(&login("a", 200), Trigger::NameChange), HOUR), HOUR, "another trigger");
        let mut none = Unsent::of_no_account();
        none.keeping(Fired::new(&login("a", 0), Trigger::Login), HOUR);
        assert_eq!(none.keeping(Fired::new(&login("a", 200), Trigger::Login), HOUR), HOUR);
    }
}

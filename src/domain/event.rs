//! An activity event: one fact about one customer.

use super::ids::{CustomerId, EventId, TenantId, TransactionId};
use super::money::Usd;
use super::time::Timestamp;
use super::trigger::ActivityType;

/// An event that satisfies every rule of its format. What a sender carries along but no rule reads is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub tenant: TenantId,
    pub customer: CustomerId,
    pub activity: Activity,
    pub occurred_at: Timestamp,
    pub transaction: Option<TransactionId>,
}

/// What the customer did, with its amount in dollars where a trigger reads one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    Bet(Usd),
    Deposit(Usd),
    Withdrawal(Usd),
    /// Any activity whose trigger is a plain yes or no.
    Plain(ActivityType),
}

impl Activity {
    pub fn kind(self) -> ActivityType {
        match self {
            Self::Bet(_) => ActivityType::Bet,
            Self::Deposit(_) => ActivityType::Deposit,
            Self::Withdrawal(_) => ActivityType::Withdrawal,
            Self::Plain(kind) => kind,
        }
    }

    /// The amount in dollars, of the activities that have one to test.
    pub fn amount(self) -> Option<Usd> {
        match self {
            Self::Bet(amount) | Self::Deposit(amount) | Self::Withdrawal(amount) => Some(amount),
            Self::Plain(_) => None,
        }
    }
}

//! The plain form of an event, in which nearly all of a recording stands: read in one pass over its bytes, nothing copied.
//!
//! What is not plain (an escape, deep nesting, whatever breaks a rule) is left to [`super::event::decode`], which says what
//! is wrong with it. What is plain here means there exactly the same.

use crate::domain::event::{Activity, Event};
use crate::domain::ids::{CustomerId, EventId, TenantId, TransactionId};
use crate::domain::money::{Amount, Rates};
use crate::domain::time::Timestamp;
use crate::domain::trigger::ActivityType;

use super::event::MAX_BYTES;

mod reader;
use reader::{NESTING, Reader, Value};

/// An event that satisfies every rule of its format, as its line holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainEvent<'a> {
    pub id: &'a str,
    pub tenant: &'a str,
    pub customer: &'a str,
    pub activity: Activity,
    pub occurred_at: Timestamp,
}

impl<'a> From<&'a Event> for PlainEvent<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            id: event.id.as_str(),
            tenant: event.tenant.as_str(),
            customer: event.customer.as_str(),
            activity: event.activity,
            occurred_at: event.occurred_at,
        }
    }
}

/// Reads an event that stands there plainly, to be kept beyond its record; `None` says no more than that this reader cannot
/// tell.
#[inline]
pub fn read_owned(record: &[u8], rates: &Rates) -> Option<Event> {
    let fields = fields(record)?;
    Some(Event {
        id: EventId::new(fields.id.text()?).ok()?,
        tenant: TenantId::new(fields.tenant.text()?).ok()?,
        customer: CustomerId::new(fields.customer.text()?).ok()?,
        activity: activity(&fields, rates)?,
        occurred_at: Timestamp::parse(fields.occurred_at.text()?).ok()?,
        transaction: match fields.transaction.optional_text()? {
            Some(transaction) => Some(TransactionId::new(transaction).ok()?),
            None => None,
        },
    })
}

fn fields(record: &[u8]) -> Option<Fields<'_>> {
    if record.len() > MAX_BYTES {
        return None;
    }
    Fields::read(std::str::from_utf8(record).ok()?)
}

/// Reads an event that stands there plainly; `None` says no more than that this reader cannot tell.
pub fn read<'a>(line: &'a [u8], rates: &Rates) -> Option<PlainEvent<'a>> {
    let fields = fields(line)?;
    let (id, tenant, customer) = (fields.id.text()?, fields.tenant.text()?, fields.customer.text()?);
    EventId::check(id).ok()?;
    TenantId::check(tenant).ok()?;
    CustomerId::check(customer).ok()?;
    let occurred_at = Timestamp::parse(fields.occurred_at.text()?).ok()?;
    if let Some(transaction) = fields.transaction.optional_text()? {
        TransactionId::check(transaction).ok()?;
    }
    let activity = activity(&fields, rates)?;
    Some(PlainEvent { id, tenant, customer, activity, occurred_at })
}

fn activity(fields: &Fields<'_>, rates: &Rates) -> Option<Activity> {
    let kind = ActivityType::from_name(fields.kind.text()?)?;
    let amount = match fields.amount {
        Value::Absent | Value::Null => None,
        Value::Text(text) | Value::Number(text) => Some(text.parse::<Amount>().ok()?),
        Value::Other => return None,
    };
    let currency = fields.currency.optional_text()?;
    if currency.is_some_and(|code| code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase())) {
        return None;
    }
    if !kind.needs_amount() {
        return Some(Activity::Plain(kind));
    }
    let dollars = match currency {
        None | Some("USD") => amount?.as_usd(),
        Some(code) => amount?.at_rate(rates.get(code)?),
    };
    match kind {
        ActivityType::Bet => Some(Activity::Bet(dollars)),
        ActivityType::Deposit => Some(Activity::Deposit(dollars)),
        ActivityType::Withdrawal => Some(Activity::Withdrawal(dollars)),
        ActivityType::Login
        | ActivityType::PasswordChange
        | ActivityType::NameChange
        | ActivityType::PhoneNumberChange
        | ActivityType::TwoFactorAuthChange
        | ActivityType::NewDeviceOrLocation
        | ActivityType::DeviceFingerprintChange
        | ActivityType::PaymentMethodChange
        | ActivityType::AccountBalanceTransfer => None,
    }
}

struct Fields<'a> {
    id: Value<'a>,
    tenant: Value<'a>,
    customer: Value<'a>,
    kind: Value<'a>,
    occurred_at: Value<'a>,
    amount: Value<'a>,
    currency: Value<'a>,
    transaction: Value<'a>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let absent = Value::Absent;
        let mut fields = Self {
            id: absent,
            tenant: absent,
            customer: absent,
            kind: absent,
            occurred_at: absent,
            amount: absent,
            currency: absent,
            transaction: absent,
        };
        let (mut device, mut attributes) = (absent, absent);
        let mut reader = Reader::of(text);
        let mut members = reader.open(b'{')?;
        // Most write them in the order of the format's table: then no name is looked for. What stands elsewhere comes below.
        reader.next_member(&mut members, br#""id":"#, &mut fields.id)?;
        reader.next_member(&mut members, br#""tenant_id":"#, &mut fields.tenant)?;
        reader.next_member(&mut members, br#""customer_id":"#, &mut fields.customer)?;
        reader.next_member(&mut members, br#""type":"#, &mut fields.kind)?;
        reader.next_member(&mut members, br#""occurred_at":"#, &mut fields.occurred_at)?;
        reader.next_member(&mut members, br#""amount":"#, &mut fields.amount)?;
        reader.next_member(&mut members, br#""currency":"#, &mut fields.currency)?;
        reader.next_member(&mut members, br#""transaction_id":"#, &mut fields.transaction)?;
        while members {
            let place = match reader.name()? {
                "id" => &mut fields.id,
                "tenant_id" => &mut fields.tenant,
                "customer_id" => &mut fields.customer,
                "type" => &mut fields.kind,
                "occurred_at" => &mut fields.occurred_at,
                "amount" => &mut fields.amount,
                "currency" => &mut fields.currency,
                "transaction_id" => &mut fields.transaction,
                "attributes" => &mut attributes,
                "device" => {
                    if device != absent {
                        return None;
                    }
                    device = reader.device()?;
                    members = reader.more(b'}')?;
                    continue;
                }
                _ => {
                    reader.value(NESTING)?;
                    members = reader.more(b'}')?;
                    continue;
                }
            };
            if *place != absent {
                return None;
            }
            *place = reader.value(NESTING)?;
            members = reader.more(b'}')?;
        }
        reader.space();
        reader.is_at_end().then_some(fields)
    }
}

impl<'a> Reader<'a> {
    /// A device: an object, or nothing; those of its members that the format knows are texts, none of them twice.
    fn device(&mut self) -> Option<Value<'a>> {
        self.space();
        if self.peek()? != b'{' {
            return self.value(0).filter(|value| *value == Value::Null);
        }
        let mut known = [false; 3];
        let mut members = self.open(b'{')?;
        while members {
            let place = match self.name()? {
                "id" => Some(0),
                "fingerprint" => Some(1),
                "country" => Some(2),
                _ => None,
            };
            let value = self.value(NESTING)?;
            if let Some(place) = place {
                value.optional_text()?;
                if std::mem::replace(&mut known[place], true) {
                    return None;
                }
            }
            members = self.more(b'}')?;
        }
        Some(Value::Other)
    }
}

#[cfg(test)]
#[path = "event_plain_tests.rs"]
mod tests;

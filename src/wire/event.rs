//! An activity event, version 1: the bytes of a record to an [`Event`], or why not.

use super::event_plain;
use super::json::{self, Field};
use super::names;
use crate::domain::event::{Activity, Event};
use crate::domain::ids::{CustomerId, EventId, TenantId, TransactionId};
use crate::domain::money::{Amount, Rates, Usd};
use crate::domain::outcome::{RejectCode, Rejection};
use crate::domain::trigger::ActivityType;

/// The largest event that is read, in bytes.
pub const MAX_BYTES: usize = 65_536;

/// The fields of an event, in the order in which their rules are checked.
pub(super) const FIELDS: [&str; 10] = [
    "id",
    "tenant_id",
    "customer_id",
    "type",
    "occurred_at",
    "amount",
    "currency",
    "transaction_id",
    "device",
    "attributes",
];
pub(super) const DEVICE: [&str; 3] = ["id", "fingerprint", "country"];

/// What a record turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    Event(Event),
    /// An event in order, of a type that we do not know: it is skipped and counted, and no error.
    UnknownType {
        tenant: TenantId,
    },
    /// A record that cannot be processed. `id` is the event's, where the record was JSON and the id itself is valid.
    Rejected {
        rejection: Rejection,
        id: Option<EventId>,
    },
}

/// Reads the payload of a record. First the record must be JSON, then all required fields must be there, then each
/// field must keep its rule, in the order of the format's table and whatever the type is.
#[inline]
pub fn decode(payload: Option<&[u8]>, rates: &Rates) -> Decoded {
    // Nearly all events stand there plainly, and what is plain is valid.
    if let Some(event) = payload.and_then(|payload| event_plain::read_owned(payload, rates)) {
        return Decoded::Event(event);
    }
    decode_any(payload, rates)
}

/// The same without the short way: whatever form an event has, this is what it means.
pub fn decode_any(payload: Option<&[u8]>, rates: &Rates) -> Decoded {
    let record = match payload.ok_or_else(|| json::invalid_json("the record is empty")).and_then(Record::read) {
        Ok(record) => record,
        Err(rejection) => return Decoded::Rejected { rejection, id: None },
    };
    match record.check(rates) {
        Ok(decoded) => decoded,
        Err(rejection) => Decoded::Rejected { rejection, id: record.id.named(EventId::new).ok() },
    }
}

/// The known fields of a record, of which nothing is checked but that none stands there twice.
struct Record<'a> {
    id: Field<'a>,
    tenant: Field<'a>,
    customer: Field<'a>,
    kind: Field<'a>,
    occurred_at: Field<'a>,
    amount: Field<'a>,
    currency: Field<'a>,
    transaction: Field<'a>,
    device: Field<'a>,
    /// The members of the device where it is an object.
    device_members: Option<[Field<'a>; 3]>,
}

impl<'a> Record<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Rejection> {
        let [id, tenant, customer, kind, occurred_at, amount, currency, transaction, device, _attributes] =
            json::record(payload, MAX_BYTES, &FIELDS)?;
        let device_members = match device.raw() {
            Some(raw) if raw.get().starts_with('{') => Some(json::object(raw.get(), "device.", &DEVICE)?),
            Some(_) | None => None,
        };
        Ok(Self { id, tenant, customer, kind, occurred_at, amount, currency, transaction, device, device_members })
    }

    fn check(&self, rates: &Rates) -> Result<Decoded, Rejection> {
        self.check_presence()?;
        let id = self.id.named(EventId::new)?;
        let tenant = self.tenant.named(TenantId::new)?;
        let customer = self.customer.named(CustomerId::new)?;
        let kind = ActivityType::from_name(&self.kind.required_text()?);
        let occurred_at = self.occurred_at.time()?;
        let amount = self.amount()?;
        let activity = self.activity(kind, amount, rates)?;
        let transaction = match self.transaction.raw() {
            Some(_) => Some(self.transaction.named(TransactionId::new)?),
            None => None,
        };
        self.check_device()?;
        Ok(match activity {
            Some(activity) => Decoded::Event(Event { id, tenant, customer, activity, occurred_at, transaction }),
            None => Decoded::UnknownType { tenant },
        })
    }

    fn check_presence(&self) -> Result<(), Rejection> {
        for field in [self.id, self.tenant, self.customer, self.kind, self.occurred_at] {
            field.present()?;
        }
        let kind = self.kind.raw().and_then(json::text).and_then(|name| ActivityType::from_name(&name));
        if kind.is_some_and(ActivityType::needs_amount) {
            self.amount.present()?;
        }
        Ok(())
    }

    fn amount(&self) -> Result<Option<Amount>, Rejection> {
        self.amount.raw().map(|raw| json::amount(raw).map_err(|rule| self.amount.invalid(rule))).transpose()
    }

    /// Checks the currency and puts the type and the amount in dollars together.
    fn activity(
        &self,
        kind: Option<ActivityType>,
        amount: Option<Amount>,
        rates: &Rates,
    ) -> Result<Option<Activity>, Rejection> {
        let currency = self.currency.text()?;
        if currency.as_ref().is_some_and(|code| code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            return Err(self.currency.invalid("must be three letters A to Z, as in ISO 4217"));
        }
        let of_dollars: fn(Usd) -> Activity = match kind {
            None => return Ok(None),
            Some(ActivityType::Bet) => Activity::Bet,
            Some(ActivityType::Deposit) => Activity::Deposit,
            Some(ActivityType::Withdrawal) => Activity::Withdrawal,
            Some(
                plain @ (ActivityType::Login
                | ActivityType::PasswordChange
                | ActivityType::NameChange
                | ActivityType::PhoneNumberChange
                | ActivityType::TwoFactorAuthChange
                | ActivityType::NewDeviceOrLocation
                | ActivityType::DeviceFingerprintChange
                | ActivityType::PaymentMethodChange
                | ActivityType::AccountBalanceTransfer),
            ) => return Ok(Some(Activity::Plain(plain))),
        };
        let amount = amount.ok_or_else(|| self.amount.missing())?;
        let dollars = match currency.as_deref() {
            None | Some("USD") => amount.as_usd(),
            Some(code) => amount.at_rate(rates.get(code).ok_or_else(|| unknown_currency(code, rates))?),
        };
        Ok(Some(of_dollars(dollars)))
    }

    fn check_device(&self) -> Result<(), Rejection> {
        if self.device.raw().is_some() && self.device_members.is_none() {
            return Err(self.device.invalid("must be an object"));
        }
        for member in self.device_members.iter().flatten() {
            member.text()?;
        }
        Ok(())
    }
}

/// Names the currency, which is three letters here, and some of those that have a rate.
fn unknown_currency(code: &str, rates: &Rates) -> Rejection {
    let known: Vec<&str> = std::iter::once("USD").chain(rates.iter().map(|(code, _)| code)).collect();
    let known = names::first_few(&known);
    let error = format!("currency {code} has no rate in evaluate.rates; there is one for {known}");
    Rejection { code: RejectCode::UnknownCurrency, error }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;

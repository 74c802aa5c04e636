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

/// A value as far as the rules of a field look at it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Absent,
    Null,
    /// A string without escapes.
    Text(&'a str),
    Number(&'a str),
    Other,
}

impl<'a> Value<'a> {
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Null | Self::Number(_) | Self::Other => None,
        }
    }

    /// The text where there is one; `None` where something else stands in its place.
    fn optional_text(self) -> Option<Option<&'a str>> {
        match self {
            Self::Absent | Self::Null => Some(None),
            Self::Text(text) => Some(Some(text)),
            Self::Number(_) | Self::Other => None,
        }
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
        let mut reader = Reader { text, at: 0 };
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
        (reader.at == text.len()).then_some(fields)
    }
}

/// Objects and arrays within each other are followed so deep.
const NESTING: u32 = 16;

/// Reads JSON that holds no escapes, byte by byte.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, sign: u8) -> Option<()> {
        self.space();
        (self.peek()? == sign).then(|| self.at += 1)
    }

    /// The beginning of an object or array, and whether anything stands in it.
    fn open(&mut self, sign: u8) -> Option<bool> {
        self.take(sign)?;
        self.space();
        // The closing sign comes two places behind the opening one in ASCII.
        let empty = self.peek()? == sign + 2;
        self.at += usize::from(empty);
        Some(!empty)
    }

    /// Whether something follows the member that was read, or the object or array ends with `end`.
    fn more(&mut self, end: u8) -> Option<bool> {
        self.space();
        let sign = self.peek()?;
        self.at += 1;
        match sign {
            b',' => Some(true),
            sign => (sign == end).then_some(false),
        }
    }

    /// Reads the next member where it has this name, with its quotes and its colon.
    fn next_member<const N: usize>(&mut self, members: &mut bool, name: &[u8; N], value: &mut Value<'a>) -> Option<()> {
        if !*members {
            return Some(());
        }
        self.space();
        if self.text.as_bytes()[self.at..].first_chunk::<N>() == Some(name) {
            self.at += N;
            *value = self.value(NESTING)?;
            *members = self.more(b'}')?;
        }
        Some(())
    }

    fn name(&mut self) -> Option<&'a str> {
        self.space();
        let name = self.string()?;
        self.take(b':')?;
        Some(name)
    }

    fn string(&mut self) -> Option<&'a str> {
        if self.peek()? != b'"' {
            return None;
        }
        let begin = self.at + 1;
        let length = plain_length(&self.text.as_bytes()[begin..])?;
        let end = begin + length;
        if self.text.as_bytes()[end] != b'"' {
            return None;
        }
        self.at = end + 1;
        self.text.get(begin..end)
    }

    fn value(&mut self, nesting: u32) -> Option<Value<'a>> {
        self.space();
        match self.peek()? {
            b'"' => self.string().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number().map(Value::Number),
            b'n' => self.word("null").map(|()| Value::Null),
            b't' => self.word("true").map(|()| Value::Other),
            b'f' => self.word("false").map(|()| Value::Other),
            b'{' => {
                let nesting = nesting.checked_sub(1)?;
                let mut members = self.open(b'{')?;
                while members {
                    self.name()?;
                    self.value(nesting)?;
                    members = self.more(b'}')?;
                }
                Some(Value::Other)
            }
            b'[' => {
                let nesting = nesting.checked_sub(1)?;
                let mut items = self.open(b'[')?;
                while items {
                    self.value(nesting)?;
                    items = self.more(b']')?;
                }
                Some(Value::Other)
            }
            _ => None,
        }
    }

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

    fn word(&mut self, word: &str) -> Option<()> {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        found.then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<&'a str> {
        let begin = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.text.get(begin..self.at)
    }

    fn digits(&mut self) -> Option<()> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > begin).then_some(())
    }
}

/// How many bytes stand before the first at which the plain part of a string ends; eight are looked at together.
fn plain_length(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let (words, rest) = text.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        // A byte that is 0 after the exclusive or, or less than 0x20, borrows; the lowest such byte is found exactly.
        let ends = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let ends = ends & HIGH;
        if ends != 0 {
            return Some(place * 8 + ends.trailing_zeros() as usize / 8);
        }
    }
    let length = rest.iter().position(|byte| ENDS[usize::from(*byte)])?;
    Some(text.len() - rest.len() + length)
}

/// The bytes at which the plain part of a string ends: its quote, an escape, or what may not stand there.
const ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        ends[byte] = true;
        byte += 1;
    }
    ends[b'"' as usize] = true;
    ends[b'\\' as usize] = true;
    ends
};

#[cfg(test)]
#[path = "event_plain_tests.rs"]
mod tests;

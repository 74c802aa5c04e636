//! An activity event under another id and at another time, and otherwise byte for byte as it was.

use std::hash::Hasher as _;
use std::ops::Range;

use serde_json::value::RawValue;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::json::{self, Field};
use super::json_writer;
use crate::domain::ids::{CustomerId, EventId, TenantId};
use crate::domain::outcome::Rejection;
use crate::domain::time::Timestamp;

const FIELDS: [&str; 4] = ["id", "tenant_id", "customer_id", "occurred_at"];
/// The most characters of an event's id.
const LONGEST_ID: usize = 128;

/// A recorded event, as far as it must be known to be sent again. The rest of it may be wrong: it is sent as it is.
#[derive(Debug)]
pub struct Recorded<'a> {
    line: &'a [u8],
    id_place: Range<usize>,
    time_place: Range<usize>,
    pub id: EventId,
    pub tenant: TenantId,
    pub customer: CustomerId,
    pub occurred_at: Timestamp,
}

impl<'a> Recorded<'a> {
    /// Finds the fields of one line of a recording.
    pub fn read(line: &'a [u8]) -> Result<Self, Rejection> {
        let [id, tenant, customer, occurred_at] = json::record(line, super::event::MAX_BYTES, &FIELDS)?;
        Ok(Self {
            line,
            id: id.named(EventId::new)?,
            tenant: tenant.named(TenantId::new)?,
            customer: customer.named(CustomerId::new)?,
            id_place: place(line, id)?,
            time_place: place(line, occurred_at)?,
            occurred_at: occurred_at.time()?,
        })
    }

    /// The line with these values in place of its own.
    pub fn rewritten(&self, id: Option<&EventId>, at: Option<Timestamp>) -> Vec<u8> {
        let mut changes = Vec::with_capacity(2);
        changes.extend(id.map(|id| (self.id_place.clone(), json_writer::text(id.as_str()))));
        changes.extend(at.map(|at| (self.time_place.clone(), json_writer::text(&at.to_string()))));
        changes.sort_by_key(|(place, _)| place.start);
        let mut out = Vec::with_capacity(self.line.len() + 64);
        let mut copied = 0;
        for (place, text) in changes {
            out.extend_from_slice(&self.line[copied..place.start]);
            out.extend_from_slice(&text);
            copied = place.end;
        }
        out.extend_from_slice(&self.line[copied..]);
        out
    }
}

/// The id of an event in a run of its own: the run stands before it. Where that is too long a hash stands for the id, so
/// that equal ids stay equal.
pub fn id_in_run(run: &str, id: &EventId) -> EventId {
    let plain = format!("{run}-{id}");
    if plain.chars().count() <= LONGEST_ID
        && let Ok(plain) = EventId::new(&plain)
    {
        return plain;
    }
    let mut hasher = SipHasher13::new();
    hasher.write(id.as_str().as_bytes());
    EventId::new(&format!("{run}-{:032x}", hasher.finish128().as_u128())).unwrap_or_else(|_| id.clone())
}

/// Where a field's value stands in the line it was read from.
fn place(line: &[u8], field: Field<'_>) -> Result<Range<usize>, Rejection> {
    let raw: &RawValue = field.present()?;
    let start = (raw.get().as_ptr() as usize).wrapping_sub(line.as_ptr() as usize);
    let place = start..start.wrapping_add(raw.get().len());
    // Values are borrowed from the line; one that was not would be a mistake that must not change another byte.
    if line.get(place.clone()) == Some(raw.get().as_bytes()) {
        Ok(place)
    } else {
        Err(field.invalid("is not in its place"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_id_and_time_change() {
        let new = EventId::new("r1-\"x\"").unwrap();
        for (line, want) in [
            (
                r#"{"id":"a","tenant_id":"t","customer_id":"c","occurred_at":"2026-01-01T00:00:00Z","amount":1.50}"#,
                r#"{"id":"r1-\"x\"","tenant_id":"t","customer_id":"c","occurred_at":"1970-01-01T00:00:01.000Z","amount":1.50}"#,
            ),
            (
                r#" { "occurred_at" : "2026-01-01T00:00:00+01:00", "attributes":{"id":"a","n":[1e400]}, "customer_id":"c","tenant_id":"t", "id" : "\u0061" } "#,
                r#" { "occurred_at" : "1970-01-01T00:00:01.000Z", "attributes":{"id":"a","n":[1e400]}, "customer_id":"c","tenant_id":"t", "id" : "r1-\"x\"" } "#,
            ),
            (
                r#"{"i\u0064":"ä","tenant_id":"t","customer_id":"ü","occurred_at":"2026-01-01T00:00:00Z","type":7}"#,
                r#"{"i\u0064":"r1-\"x\"","tenant_id":"t","customer_id":"ü","occurred_at":"1970-01-01T00:00:01.000Z","type":7}"#,
            ),
        ] {
            let recorded = Recorded::read(line.as_bytes()).unwrap();
            let written = recorded.rewritten(Some(&new), Some(Timestamp(1_000)));
            assert_eq!(String::from_utf8(written).unwrap(), want);
            assert_eq!(recorded.rewritten(None, None), line.as_bytes());
        }
    }

    #[test]
    fn what_cannot_be_sent_again_says_why() {
        for (line, want) in [
            ("{", "the record is not JSON"),
            (r#"{"tenant_id":"t","customer_id":"c","occurred_at":"2026-01-01T00:00:00Z"}"#, "id is missing"),
            (
                r#"{"id":"a","tenant_id":"t","customer_id":"c","occurred_at":"yesterday"}"#,
                "occurred_at must be an RFC 3339 date-time with 'T' and an offset or 'Z', like 2026-03-01T12:00:00.250Z",
            ),
            (r#"{"id":"a","id":"a"}"#, "id stands there twice"),
        ] {
            assert_eq!(Recorded::read(line.as_bytes()).unwrap_err().error, want, "{line}");
        }
    }

    #[test]
    fn an_id_in_a_run_is_valid_and_equal_ids_stay_equal() {
        let id = |text: &str| id_in_run("r7", &EventId::new(text).unwrap());
        assert_eq!(id("bet-1").as_str(), "r7-bet-1");
        let (long, other) = ("é".repeat(128), "é".repeat(127));
        assert_eq!(id(&long), id(&long));
        assert_ne!(id(&long), id(&other));
        assert!(id(&long).as_str().starts_with("r7-"));
    }
}

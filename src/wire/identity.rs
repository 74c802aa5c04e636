//! Who an event says it is, whether or not the rest of it can be read.

use std::borrow::Cow;

use super::event::MAX_BYTES;
use super::json;

/// The names in an event. Each is there only where it is a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity<'a> {
    pub id: Option<Cow<'a, str>>,
    pub tenant: Option<Cow<'a, str>>,
    pub customer: Option<Cow<'a, str>>,
    pub kind: Option<Cow<'a, str>>,
    pub occurred_at: Option<Cow<'a, str>>,
}

const FIELDS: [&str; 5] = ["id", "tenant_id", "customer_id", "type", "occurred_at"];

/// Reads the names of an event; nothing where its bytes are no JSON object, or too many.
pub fn read(payload: &[u8]) -> Option<Identity<'_>> {
    let [id, tenant, customer, kind, occurred_at] = json::record(payload, MAX_BYTES, &FIELDS).ok()?;
    Some(Identity {
        id: id.raw().and_then(json::text),
        tenant: tenant.raw().and_then(json::text),
        customer: customer.raw().and_then(json::text),
        kind: kind.raw().and_then(json::text),
        occurred_at: occurred_at.raw().and_then(json::text),
    })
}

/// Whether the bytes of a JSON text may hold this string at all. Cheap, and never wrongly `false`: a string that is not
/// there letter by letter can only stand there escaped.
pub fn may_hold(payload: &[u8], text: &str) -> bool {
    payload.contains(&b'\\') || payload.windows(text.len().max(1)).any(|part| part == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_what_is_no_event_too() {
        let read_names = |text: &'static str| {
            read(text.as_bytes()).map(|names| {
                [names.id, names.tenant, names.customer, names.kind, names.occurred_at]
                    .map(Option::unwrap_or_default)
                    .join("|")
            })
        };
        for (text, want) in [
            (r#"{"id":"e","tenant_id":"t","customer_id":"c","type":"bet","occurred_at":"now"}"#, Some("e|t|c|bet|now")),
            (r#"{"id":"\u0065","amount":"much","type":5}"#, Some("e||||")),
            (r#"{}"#, Some("||||")),
            (r#"[]"#, None),
            (r#"{"id":"a","id":"b"}"#, None),
        ] {
            assert_eq!(read_names(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn bytes_are_only_passed_over_where_the_string_cannot_be() {
        for (payload, text, want) in [
            (r#"{"id":"bet-1"}"#, "bet-1", true),
            (r#"{"id":"bet-1"}"#, "bet-2", false),
            (r#"{"id":"\u0062et-2"}"#, "bet-2", true),
            ("", "bet", false),
        ] {
            assert_eq!(may_hold(payload.as_bytes(), text), want, "{payload} {text}");
        }
    }
}

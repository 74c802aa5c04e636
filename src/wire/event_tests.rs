use proptest::prelude::*;

use super::*;
use crate::domain::time::Timestamp;

const GOOD: &str = r#"{"id":"e-1","tenant_id":"acme","customer_id":"c-1","type":"bet","occurred_at":"2026-03-01T12:00:00Z","amount":"12.50"}"#;

fn rates() -> Rates {
    let mut rates = Rates::default();
    rates.set("EUR", "1.08".parse().unwrap()).unwrap();
    rates
}

fn read(text: &str) -> Decoded {
    both_ways(Some(text.as_bytes()))
}

/// What is decoded the short way and the long one must be the same.
#[track_caller]
fn both_ways(payload: Option<&[u8]>) -> Decoded {
    let decoded = decode(payload, &rates());
    assert_eq!(decoded, decode_any(payload, &rates()));
    decoded
}

/// The good event with one field put in place of its own or at the end; an empty value takes the field away.
fn with(changes: &[(&str, &str)]) -> String {
    let mut fields: Vec<(&str, &str)> = vec![
        ("id", r#""e-1""#),
        ("tenant_id", r#""acme""#),
        ("customer_id", r#""c-1""#),
        ("type", r#""bet""#),
        ("occurred_at", r#""2026-03-01T12:00:00Z""#),
        ("amount", r#""12.50""#),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        if !value.is_empty() {
            fields.push((name, value));
        }
    }
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    format!("{{{}}}", fields.join(","))
}

fn event(text: &str) -> Event {
    let Decoded::Event(event) = read(text) else { panic!("no event: {text}") };
    event
}

#[derive(Debug, PartialEq)]
enum Short {
    Fine,
    Unknown,
    Rejected(RejectCode, String),
}

fn short(decoded: Decoded) -> Short {
    match decoded {
        Decoded::Event(_) => Short::Fine,
        Decoded::UnknownType { .. } => Short::Unknown,
        Decoded::Rejected { rejection, .. } => Short::Rejected(rejection.code, rejection.error),
    }
}

fn rejected(code: RejectCode, error: &str) -> Short {
    Short::Rejected(code, error.to_owned())
}

#[test]
fn an_event_is_read_whole() {
    let want = Event {
        id: EventId::new("e-1").unwrap(),
        tenant: TenantId::new("acme").unwrap(),
        customer: CustomerId::new("c-1").unwrap(),
        activity: Activity::Bet("12.5".parse().unwrap()),
        occurred_at: Timestamp::parse("2026-03-01T12:00:00Z").unwrap(),
        transaction: None,
    };
    assert_eq!(event(GOOD), want);
    let full = with(&[
        ("id", r#""e-\u0031""#),
        ("transaction_id", r#""tx-1""#),
        ("currency", r#""EUR""#),
        ("amount", "10"),
        ("device", r#"{"id":"d","fingerprint":null,"country":"DE","os":["x",{"id":1,"id":2}]}"#),
        ("attributes", r#"{"a":1,"a":2}"#),
        ("shop", r#"[{"id":1}]"#),
    ]);
    let want = Event {
        activity: Activity::Bet("10.8".parse().unwrap()),
        transaction: Some(TransactionId::new("tx-1").unwrap()),
        ..want
    };
    assert_eq!(event(&full), want);
}

#[test]
fn only_bets_deposits_and_withdrawals_carry_an_amount() {
    for kind in ActivityType::ALL {
        let text = with(&[("type", &format!(r#""{kind}""#)), ("currency", r#""EUR""#), ("amount", "10")]);
        let activity = event(&text).activity;
        assert_eq!(activity.kind(), *kind);
        assert_eq!(activity.amount(), kind.needs_amount().then(|| "10.8".parse().unwrap()), "{kind}");
        let without = short(read(&with(&[("type", &format!(r#""{kind}""#)), ("amount", "")])));
        let missing = rejected(RejectCode::MissingField, "amount is missing");
        assert_eq!(without, if kind.needs_amount() { missing } else { Short::Fine }, "{kind}");
    }
}

#[test]
fn what_is_no_json_object_is_invalid_json() {
    let deep = format!(r#"{{"id":{}"#, "[".repeat(65_000));
    for (payload, error) in [
        (None, "the record is empty"),
        (Some(""), "the record is not JSON"),
        (Some("null"), "the record is not a JSON object"),
        (Some("[1]"), "the record is not a JSON object"),
        (Some("{"), "the record is not JSON"),
        (Some("\u{feff}{}"), "the record is not JSON"),
        (Some(deep.as_str()), "the record is not JSON"),
        (Some(r#"{"id":"a"} x"#), "something follows the JSON object"),
        (Some(r#"{"id":null,"id":"a"}"#), "id stands there twice"),
        (Some(r#"{"id":"a","i\u0064":"a"}"#), "id stands there twice"),
        (Some(r#"{"attributes":1,"attributes":1}"#), "attributes stands there twice"),
        (Some(r#"{"device":{"id":"a","id":null}}"#), "device.id stands there twice"),
        (Some(r#"{"device":{"fingerprint":1,"fingerprint":2}}"#), "device.fingerprint stands there twice"),
        (Some(r#"{"device":{"country":1,"c\u006funtry":2}}"#), "device.country stands there twice"),
    ] {
        let decoded = both_ways(payload.map(str::as_bytes));
        let rejection = Rejection { code: RejectCode::InvalidJson, error: error.to_owned() };
        assert_eq!(decoded, Decoded::Rejected { rejection, id: None }, "{payload:.80?}");
    }
    let latin = decode(Some(b"{\"shop\":\"caf\xe9\"}"), &rates());
    assert_eq!(short(latin), rejected(RejectCode::InvalidJson, "the record is not UTF-8"));
}

#[test]
fn every_known_field_counts_once() {
    for name in FIELDS {
        let text = format!(r#"{{"{name}":null,"other":{{}},"{name}":null}}"#);
        assert_eq!(short(read(&text)), rejected(RejectCode::InvalidJson, &format!("{name} stands there twice")));
    }
}

#[test]
fn the_size_is_checked_before_anything_else() {
    let padded = |length: usize| format!("{GOOD}{}", " ".repeat(length - GOOD.len()));
    assert_eq!(short(read(&padded(MAX_BYTES))), Short::Fine);
    let too_large = rejected(RejectCode::TooLarge, "the record is larger than 65536 bytes");
    assert_eq!(short(read(&padded(MAX_BYTES + 1))), too_large);
    assert_eq!(short(decode(Some(&vec![0xff; 10_000_000]), &rates())), too_large);
}

#[test]
fn presence_is_checked_first_and_in_order() {
    let names = ["id", "tenant_id", "customer_id", "type", "occurred_at", "amount"];
    for (place, name) in names.into_iter().enumerate() {
        let want = rejected(RejectCode::MissingField, &format!("{name} is missing"));
        for absent in ["", "null"] {
            // All that comes later is missing too, and all that is there is wrong but for the type.
            let mut changes: Vec<_> = names[place..].iter().map(|name| (*name, absent)).collect();
            changes.extend(names[..place].iter().filter(|name| **name != "type").map(|name| (*name, "{}")));
            changes.extend([("currency", "7"), ("device", "7")]);
            assert_eq!(short(read(&with(&changes))), want, "{name}");
        }
    }
    for kind in [r#""no_such_type""#, "7", "[]"] {
        let text = with(&[("type", kind), ("customer_id", "null"), ("amount", "")]);
        assert_eq!(short(read(&text)), rejected(RejectCode::MissingField, "customer_id is missing"), "{kind}");
    }
}

const TEXT: &str = "must be a string of Unicode characters";
const LONG: &str = "must be 1 to 128 characters long";
const NUMBER: &str = "must be a number as JSON writes it, like 12.50";
const TIME: &str = "must be an RFC 3339 date-time with 'T' and an offset or 'Z', like 2026-03-01T12:00:00.250Z";
const LETTERS: &str = "must be three letters A to Z, as in ISO 4217";

/// Puts each value into its field, whatever the type; `None` is a value in order.
fn check_rules(table: &[(&str, &str, Option<&str>)]) {
    for (field, value, want) in table {
        for (kind, fine) in [("bet", Short::Fine), ("login", Short::Fine), ("no_such_type", Short::Unknown)] {
            let text = with(&[("type", &format!(r#""{kind}""#)), (field, value)]);
            let want = want.map_or(fine, |rule| rejected_field(field, rule));
            assert_eq!(short(read(&text)), want, "{text:.200}");
        }
    }
}

#[test]
fn names_and_times_keep_their_rules_whatever_the_type() {
    let (long, longest) = (format!(r#""{}""#, "é".repeat(129)), format!(r#""{}""#, "é".repeat(128)));
    let escaped = format!(r#""{}""#, r"\u00e9".repeat(128));
    let long_tenant = format!(r#""{}""#, "a".repeat(65));
    check_rules(&[
        ("id", "7", Some(TEXT)),
        ("id", r#""""#, Some(LONG)),
        ("id", &long, Some(LONG)),
        ("id", &longest, None),
        ("id", &escaped, None),
        ("id", r#""\ud800""#, Some(TEXT)),
        ("id", r#""\u0000\n""#, None),
        (
            "tenant_id",
            r#""a/b""#,
            Some("must start with a letter or digit and hold only letters, digits, '.', '_' and '-'"),
        ),
        ("tenant_id", &long_tenant, Some("must be 1 to 64 characters long")),
        ("customer_id", "{}", Some(TEXT)),
        ("customer_id", r#""a\u0085b""#, Some("must not hold control characters")),
        ("customer_id", &long, Some(LONG)),
        ("customer_id", &longest, None),
        ("type", "7", Some(TEXT)),
        ("type", "true", Some(TEXT)),
        ("occurred_at", "1772366400", Some(TEXT)),
        ("occurred_at", r#""2026-03-01 12:00:00Z""#, Some(TIME)),
        ("occurred_at", r#""2026-03-01T12:00:00""#, Some(TIME)),
        ("occurred_at", r#""2026-02-29T12:00:00Z""#, Some(TIME)),
        ("occurred_at", r#""2026-03-01T12:00:00.123456+05:30""#, None),
    ]);
}

#[test]
fn amounts_and_what_is_optional_keep_their_rules_whatever_the_type() {
    let (long, longest) = (format!(r#""{}""#, "é".repeat(129)), format!(r#""{}""#, "é".repeat(128)));
    check_rules(&[
        ("amount", r#""""#, Some(NUMBER)),
        ("amount", r#"" 1""#, Some(NUMBER)),
        ("amount", r#""1,000""#, Some(NUMBER)),
        ("amount", "true", Some(NUMBER)),
        ("amount", "[1]", Some(NUMBER)),
        ("amount", "{}", Some(NUMBER)),
        ("amount", "-0.01", Some("must not be negative")),
        ("amount", r#""-1""#, Some("must not be negative")),
        ("amount", "12345678901234567890123456789", Some("must have at most 28 significant digits")),
        ("amount", "1e5", None),
        ("amount", r#""\u0031""#, None),
        ("currency", "7", Some(TEXT)),
        ("currency", r#""usd""#, Some(LETTERS)),
        ("currency", r#""EURO""#, Some(LETTERS)),
        ("currency", r#""€""#, Some(LETTERS)),
        ("currency", r#""""#, Some(LETTERS)),
        ("currency", r#""USD""#, None),
        ("currency", "null", None),
        ("transaction_id", "7", Some(TEXT)),
        ("transaction_id", r#""""#, Some(LONG)),
        ("transaction_id", &long, Some(LONG)),
        ("transaction_id", &longest, None),
        ("device", "7", Some("must be an object")),
        ("device", r#"["id"]"#, Some("must be an object")),
        ("device", "{}", None),
        ("device", "null", None),
        ("attributes", "7", None),
        ("attributes", "[[null]]", None),
    ]);
}

fn rejected_field(field: &str, rule: &str) -> Short {
    rejected(RejectCode::InvalidField, &format!("{field} {rule}"))
}

#[test]
fn members_of_a_device_are_strings() {
    for member in DEVICE {
        for (value, fine) in [(r#""x""#, true), ("null", true), (r#""""#, true), ("7", false), ("{}", false)] {
            let text = with(&[("device", &format!(r#"{{"{member}":{value}}}"#))]);
            let want = if fine { Short::Fine } else { rejected_field(&format!("device.{member}"), TEXT) };
            assert_eq!(short(read(&text)), want, "{text}");
        }
    }
}

#[test]
fn rules_are_checked_in_the_order_of_the_table() {
    let wrong = [
        ("id", r#""""#),
        ("tenant_id", r#""/""#),
        ("customer_id", r#""""#),
        ("type", "7"),
        ("occurred_at", r#""""#),
        ("amount", "-1"),
        ("currency", r#""usd""#),
        ("transaction_id", r#""""#),
        ("device", r#"{"id":1}"#),
    ];
    for first in 0..wrong.len() {
        let Short::Rejected(code, error) = short(read(&with(&wrong[first..]))) else { panic!("{first}") };
        assert_eq!(code, RejectCode::InvalidField);
        assert!(error.starts_with(wrong[first].0), "{error}");
    }
}

#[test]
fn a_currency_without_a_rate_is_an_error_only_where_an_amount_is_converted() {
    let error = "currency GBP has no rate in evaluate.rates; there is one for USD, EUR";
    let unknown = || rejected(RejectCode::UnknownCurrency, error);
    for (changes, want) in [
        (vec![("currency", r#""GBP""#)], unknown()),
        (vec![("currency", r#""GBP""#), ("transaction_id", "7"), ("device", "7")], unknown()),
        (vec![("currency", r#""GBP""#), ("amount", "-1")], rejected_field("amount", "must not be negative")),
        (vec![("currency", r#""GBP""#), ("type", r#""login""#)], Short::Fine),
        (vec![("currency", r#""GBP""#), ("type", r#""no_such_type""#)], Short::Unknown),
        (vec![("currency", r#""EUR""#)], Short::Fine),
    ] {
        assert_eq!(short(read(&with(&changes))), want, "{changes:?}");
    }
}

#[test]
fn of_many_currencies_that_have_a_rate_some_are_named() {
    let mut rates = Rates::default();
    for letter in 'A'..='Z' {
        rates.set(&format!("X{letter}X"), "1".parse().unwrap()).unwrap();
    }
    let event = with(&[("currency", r#""GBP""#)]);
    let Decoded::Rejected { rejection, .. } = decode(Some(event.as_bytes()), &rates) else { panic!("not rejected") };
    assert!(
        rejection.error.ends_with("one for USD, XAX, XBX, XCX, XDX, XEX, XFX, XGX, XHX, XIX, XJX, XKX and 15 more")
    );
}

#[test]
fn the_id_is_told_where_it_can_be_read() {
    let id_of = |text: &str| {
        let Decoded::Rejected { id, .. } = read(text) else { panic!("not rejected: {text}") };
        id.map(|id| id.as_str().to_owned())
    };
    let told = Some("e-1".to_owned());
    assert_eq!(id_of(&with(&[("amount", "-1")])), told);
    assert_eq!(id_of(&with(&[("tenant_id", "null")])), told);
    assert_eq!(id_of(&with(&[("id", "7"), ("tenant_id", "null")])), None);
    assert_eq!(id_of(&with(&[("id", r#""""#)])), None);
    assert_eq!(id_of(&with(&[("id", "null")])), None);
}

#[test]
fn nesting_in_what_is_not_read_is_harmless() {
    let deep = format!("{}{}", "[".repeat(32_000), "]".repeat(32_000));
    for field in ["attributes", "shop"] {
        assert_eq!(short(read(&with(&[(field, &deep)]))), Short::Fine, "{field}");
    }
    for (field, rule) in [("id", TEXT), ("amount", NUMBER), ("device", "must be an object")] {
        assert_eq!(short(read(&with(&[(field, &deep)]))), rejected_field(field, rule), "{field}");
    }
    let members = format!(r#"{{"os":{deep}}}"#);
    assert_eq!(short(read(&with(&[("device", &members)]))), Short::Fine);
}

#[test]
fn an_error_never_tells_a_value() {
    let secret = "s3cr3t";
    for field in FIELDS {
        for value in [format!(r#""/{secret}\u0001""#), format!(r#"{{"id":["{secret}"]}}"#)] {
            if let Short::Rejected(_, error) = short(read(&with(&[(field, &value)]))) {
                assert!(!error.contains(secret), "{error}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decided(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        both_ways(Some(&bytes));
    }

    #[test]
    fn any_json_like_text_is_decided(text in r#"\{("(id|type|amount|device|x)":("[a-z\\"]{0,4}"|[0-9.eE-]{1,6}|null|\{\}|\[)[,}]){0,5}\}?"#) {
        both_ways(Some(text.as_bytes()));
    }

    #[test]
    fn a_good_event_with_bytes_changed_is_decided(
        changes in proptest::collection::vec((0..GOOD.len(), any::<u8>()), 1..5), cut in 0..=GOOD.len(),
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        bytes.truncate(cut);
        both_ways(Some(&bytes));
    }

    #[test]
    fn names_of_any_characters_come_back(id in "\\PC{1,128}", customer in "\\PC{1,128}", escape: bool) {
        let quote = |text: &str| if escape {
            let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            format!("\"{units}\"")
        } else {
            serde_json::to_string(text).unwrap()
        };
        let event = event(&with(&[("id", &quote(&id)), ("customer_id", &quote(&customer))]));
        prop_assert_eq!(event.id.as_str(), id);
        prop_assert_eq!(event.customer.as_str(), customer);
    }
}

use std::collections::HashSet;

use serde_json::Value;

use super::*;
use crate::domain::money::Rates;
use crate::wire::event::{self, Decoded};

const KEY: &[u8] = b"0123456789abcdef\n";

fn pseudonyms(key: &[u8]) -> Pseudonyms {
    Pseudonyms::new(PseudonymKey::new(key).unwrap(), Attributes::Dropped, TenantNames::Kept)
}

fn written(pseudonyms: &mut Pseudonyms, payload: &str) -> Result<String, String> {
    let mut out = Vec::new();
    pseudonyms.write(&mut out, payload.as_bytes()).map_err(|rejection| {
        assert!(out.is_empty(), "{payload}");
        rejection.error
    })?;
    Ok(String::from_utf8(out).unwrap())
}

fn event(tenant: &str, customer: &str, more: &str) -> String {
    format!(
        r#"{{"id":"bet-1","tenant_id":"{tenant}","customer_id":"{customer}","type":"login","occurred_at":"2026-03-01T12:00:00.250Z"{more}}}"#
    )
}

/// Recordings outlive versions of this program, and may be joined: the hashes under a key must never change. These were
/// computed by another implementation of HMAC.
#[test]
fn the_hashes_under_a_key_are_fixed_for_ever() {
    let more = r#","transaction_id":"ann","device":{"id":"ann","fingerprint":"ann","country":"NL"}"#;
    let mut replaced = Pseudonyms::new(PseudonymKey::new(KEY).unwrap(), Attributes::Dropped, TenantNames::Hashed);
    for (tenant, hashed, [id, customer, transaction, device, fingerprint]) in [
        (
            "acme",
            "n-GFAwiZI59Wo5rubzC-sU3A",
            [
                "e-_M_88CkhSOrRx6CfGo3f2Q",
                "c-eIm8To4nObaB2jj9el0lzA",
                "t-F816lyo2_DwzBxlDVpB8CQ",
                "d--fW0UEblurajVM5q1YMHLQ",
                "f-jNnTANqobTuK5qwc0oRZNg",
            ],
        ),
        (
            "beta",
            "n-jnhnpj75O2KlsojmIfRE-g",
            [
                "e-rU6tyEaX5ok6WN3cXX0n0g",
                "c-gl3iDcjJ6Y5XmHbpdF59lg",
                "t-OrJ6uvU5pmIpM8PpIi_EtQ",
                "d-oIhG1X4_lX6M_-KZckeJMA",
                "f-wGN4pXdb8v_-8u6bYMOPdg",
            ],
        ),
    ] {
        let want = |tenant: &str| {
            format!(
                r#"{{"id":"{id}","tenant_id":"{tenant}","customer_id":"{customer}","type":"login","occurred_at":"2026-03-01T12:00:00.250Z","transaction_id":"{transaction}","device":{{"id":"{device}","fingerprint":"{fingerprint}","country":"NL"}}}}"#
            )
        };
        let payload = event(tenant, "ann", more);
        assert_eq!(written(&mut pseudonyms(KEY), &payload), Ok(want(tenant)));
        assert_eq!(written(&mut replaced, &payload), Ok(want(hashed)));
        assert_eq!(replaced.hashed_tenants()[&TenantId::new(tenant).unwrap()], hashed);
    }
    assert!(pseudonyms(KEY).hashed_tenants().is_empty());
    let escaped = written(&mut pseudonyms(KEY), &event("acme", r#"Zo\u00eb \"x\""#, "")).unwrap();
    assert!(escaped.contains(r#""customer_id":"c-tbTLHsnDnMeH8m4Ed73Vag""#), "{escaped}");
}

#[test]
fn equal_names_are_equal_within_a_tenant_a_kind_and_a_key_and_nowhere_else() {
    let more = r#","transaction_id":"x","device":{"id":"x","fingerprint":"x"}"#;
    let hashes = |key: &[u8], tenant: &str| {
        let line = written(&mut pseudonyms(key), &event(tenant, "x", more).replace("bet-1", "x")).unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        ["/id", "/customer_id", "/transaction_id", "/device/id", "/device/fingerprint"]
            .map(|path| value.pointer(path).and_then(Value::as_str).unwrap().split_once('-').unwrap().1.to_owned())
    };
    assert_eq!(hashes(KEY, "acme"), hashes(b" 0123456789abcdef", "acme"), "white space is no part of a key");
    let all = [hashes(KEY, "acme"), hashes(KEY, "beta"), hashes(b"another key of 24 bytes.", "acme")].concat();
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{all:?}");
}

#[test]
fn what_is_not_on_the_list_goes_and_is_counted() {
    let payload = event(
        "acme",
        "ann",
        ",\"amount\":1.50,\"currency\":\"EUR\",\"email\":\"a@b.c\",\"attributes\":{\"card\" :\n\"4111\"},\"device\":{\"country\":\"home of Ann\",\"os\":1}",
    );
    let start = r#"{"id":"e-_M_88CkhSOrRx6CfGo3f2Q","tenant_id":"acme","customer_id":"c-eIm8To4nObaB2jj9el0lzA","type":"login","occurred_at":"2026-03-01T12:00:00.250Z","amount":1.50,"currency":"EUR","device":{}"#;
    let mut dropping = pseudonyms(KEY);
    for _ in 0..2 {
        assert_eq!(written(&mut dropping, &payload), Ok(format!("{start}}}")));
    }
    let country = "device.country (no code of two or three letters)";
    let want = vec![("attributes", 2), (country, 2), ("device.os", 2), ("email", 2)];
    assert_eq!(dropping.dropped().collect::<Vec<_>>(), want);

    let mut keeping = Pseudonyms::new(PseudonymKey::new(KEY).unwrap(), Attributes::Kept, TenantNames::Kept);
    assert_eq!(written(&mut keeping, &payload), Ok(format!(r#"{start},"attributes":{{"card":"4111"}}}}"#)));
    assert!(keeping.dropped().all(|(name, _)| name != "attributes"));
}

#[test]
fn names_of_fields_cost_no_more_than_their_bound() {
    let mut pseudonyms = pseudonyms(KEY);
    for number in 0..100 {
        written(&mut pseudonyms, &event("acme", "ann", &format!(r#","f{number:03}{}\u001b":1"#, "x".repeat(500))))
            .unwrap();
    }
    let dropped: Vec<_> = pseudonyms.dropped().collect();
    assert_eq!(dropped.len(), MOST_DROPPED + 1);
    assert!(dropped.iter().all(|(name, _)| name.len() <= LONGEST_DROPPED));
    assert_eq!(dropped.last(), Some(&("…", 100 - MOST_DROPPED as u64)));
}

/// What a decoder takes is written, and decodes to the same but for the names; what it rejects is not, for the same
/// reason.
#[test]
fn lines_are_judged_as_a_decoder_judges_them() {
    let with = |more: &str| event("acme", "ann", more);
    let payloads = [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "\u{feff}{}".to_owned(),
        r#"{"id":"1","id":"1"}"#.to_owned(),
        with(""),
        with(r#","amount":null,"currency":null,"transaction_id":null,"device":null,"attributes":null"#),
        with(r#","amount":"1.5e1""#),
        with(r#","amount":-1"#),
        with(r#","amount":"x""#),
        with(r#","amount":12345678901234567890123456789"#),
        with(r#","amount":1234567890123456789012345678"#),
        with(r#","currency":"eur""#),
        with(r#","currency":7"#),
        with(r#","transaction_id":"""#),
        with(r#","transaction_id":7"#),
        with(r#","device":[]"#),
        with(r#","device":{"id":7}"#),
        with(r#","device":{"id":"a","id":"a"}"#),
        with(r#","device":{"id":"","fingerprint":null}"#),
        with(r#","customer_id":"bob""#),
        with("").replace("ann", "a\\nb"),
        with("").replace("ann", "\\ud800"),
        with("").replace("acme", "../acme"),
        with("").replace("login", "yoga"),
        with("").replace("login", "bet"),
        with(r#","amount":5"#).replace("login", "bet"),
        with("").replace("\"login\"", "7"),
        with("").replace("12:00:00.250Z", "12:00"),
        with(&format!(r#","attributes":"{}""#, "x".repeat(MAX_BYTES))),
    ];
    let mut judged = [0, 0];
    for payload in payloads {
        let name = payload.chars().take(300).collect::<String>();
        let was = event::decode(Some(payload.as_bytes()), &Rates::default());
        let line = written(&mut pseudonyms(KEY), &payload);
        let is = line.as_ref().map(|line| event::decode(Some(line.as_bytes()), &Rates::default()));
        judged[usize::from(line.is_ok())] += 1;
        match (was, is) {
            (Decoded::Rejected { rejection, .. }, Err(error)) => assert_eq!(rejection.error, *error, "{name}"),
            (Decoded::UnknownType { tenant: was }, Ok(Decoded::UnknownType { tenant: is })) => assert_eq!(was, is),
            (Decoded::Event(was), Ok(Decoded::Event(is))) => {
                assert_eq!((was.tenant, was.activity, was.occurred_at), (is.tenant, is.activity, is.occurred_at));
                assert_eq!(was.transaction.is_some(), is.transaction.is_some(), "{name}");
            }
            (was, is) => panic!("{name}: {was:?} became {is:?}"),
        }
    }
    assert!(judged[0] >= 15 && judged[1] >= 7, "{judged:?}");
}

#[test]
fn a_currency_without_a_rate_here_may_have_one_elsewhere() {
    let payload = event("acme", "ann", r#","amount":"1.50","currency":"XXX""#).replace("login", "bet");
    let line = written(&mut pseudonyms(KEY), &payload).unwrap();
    assert!(line.ends_with(r#""amount":"1.50","currency":"XXX"}"#), "{line}");
}

#[test]
fn a_type_that_we_do_not_know_may_name_anybody() {
    let line = written(&mut pseudonyms(KEY), &event("acme", "ann", "").replace("login", "ann")).unwrap();
    assert!(line.contains(r#""type":"y-a668n7JId3fhQqDiUH6jQQ""#), "{line}");
}

#[test]
fn a_short_key_is_refused_and_none_is_shown() {
    for (content, ok) in [(&b"0123456789abcdef"[..], true), (b" \n0123456789abcde\n  ", false), (b"", false)] {
        assert_eq!(PseudonymKey::new(content).is_ok(), ok, "{content:?}");
    }
    assert_eq!(format!("{:?}", PseudonymKey::new(KEY).unwrap()), "PseudonymKey(…)");
}

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::wire::event::{Decoded, decode_any};

fn rates() -> Rates {
    let mut rates = Rates::default();
    rates.set("EUR", "1.08".parse().unwrap()).unwrap();
    rates
}

/// What the plain reader makes of a line must be what the decoder makes of it.
#[track_caller]
fn agrees(line: &[u8]) -> bool {
    let owned = read_owned(line, &rates());
    let Some(plain) = read(line, &rates()) else {
        assert_eq!(owned, None);
        return false;
    };
    let Decoded::Event(event) = decode_any(Some(line), &rates()) else {
        panic!("no event for the decoder: {}", String::from_utf8_lossy(line))
    };
    assert_eq!(plain, PlainEvent::from(&event), "{}", String::from_utf8_lossy(line));
    assert_eq!(owned, Some(event), "{}", String::from_utf8_lossy(line));
    true
}

/// A good event with something more in it.
fn with(more: &str) -> String {
    format!(
        r#"{{"id":"e-1","tenant_id":"acme","customer_id":"é 1","type":"bet","occurred_at":"2026-03-01T12:00:00Z"{more}}}"#
    )
}

const PLAIN: [&str; 12] = [
    r#","amount":"12.50""#,
    r#","amount":12.5e-1"#,
    r#","amount":0,"currency":"EUR""#,
    r#","amount":"1","currency":null,"device":null,"transaction_id":null"#,
    r#","amount":"1","transaction_id":"t","attributes":[1,{"a":[true,false,null,-0.5E+3]},"x"],"other":{}"#,
    r#","amount":"1","device":{"id":"d","fingerprint":null,"more":[],"more":{}}"#,
    r#","amount":"1","device":{}"#,
    r#" , "amount" : "1" , "x" : [ ] , "y" : { "a" : 1 } "#,
    r#","amount":"1","x":1,"x":2"#,
    r#","amount":"1","attributes":{"id":1,"id":2}"#,
    r#","amount":"1","currency":"USD","a":"","":0"#,
    r#","amount":"1","x":-0,"y":0.10,"z":1e9"#,
];

#[test]
fn what_stands_there_plainly_is_read_as_the_decoder_reads_it() {
    for more in PLAIN {
        assert!(agrees(with(more).as_bytes()), "{more}");
    }
    for kind in ActivityType::ALL {
        let line = with(r#","amount":"7.25","currency":"EUR""#).replace(r#""bet""#, &format!("{:?}", kind.name()));
        assert!(agrees(line.as_bytes()), "{line}");
    }
    assert!(agrees(format!("\t{}\r\n ", with(PLAIN[0])).as_bytes()));
}

#[test]
fn what_breaks_a_rule_or_is_not_plain_is_left_to_the_decoder() {
    let deep = format!(r#","amount":1,"x":{}{}"#, "[".repeat(100_000), "]".repeat(100_000));
    for more in [
        "",
        r#","amount":"1","amount":"1""#,
        r#","amount":null"#,
        r#","amount":[1]"#,
        r#","amount":01"#,
        r#","amount":1."#,
        r#","amount":-1"#,
        r#","amount":"1","currency":"usd""#,
        r#","amount":"1","currency":"XXX""#,
        r#","amount":"1","currency":7"#,
        r#","amount":"1","id":"again""#,
        r#","amount":"1","device":"d""#,
        r#","amount":"1","device":{"id":1}"#,
        r#","amount":"1","device":{"id":null,"id":"d"}"#,
        r#","amount":"1","device":{},"device":null"#,
        r#","amount":"1","attributes":1,"attributes":1"#,
        r#","amount":"1","transaction_id":"""#,
        r#","amount":"1","x":"\n""#,
        r#","amount":"1","x":nul"#,
        r#","amount":"1","x":+1"#,
        r#","amount":"1","x":1e"#,
        r#","amount":"1","x":[1,]"#,
        r#","amount":"1","x":{,}"#,
        r#","amount":"1","x":[1}"#,
        r#","amount":"1",}"#,
        r#","amount":"1"} {"#,
        "\u{0}",
        ",\"amount\":\"1\",\"x\":\"\u{1}\"",
        &deep,
    ] {
        assert_eq!(read(with(more).as_bytes(), &rates()), None, "{more}");
    }
    let good = with(PLAIN[0]);
    for (old, new) in [
        ("e-1", ""),
        ("acme", "a/b"),
        ("é 1", "\u{85}"),
        ("bet", "unheard_of"),
        ("\"bet\"", "null"),
        ("2026-03-01T", "2026-02-30T"),
        ("{", "["),
        ("}", ""),
    ] {
        assert_eq!(read(good.replacen(old, new, 1).as_bytes(), &rates()), None, "{old} {new}");
    }
    assert_eq!(read(b"\xff", &rates()), None);
    assert_eq!(read(&[good.as_bytes(), &vec![b' '; MAX_BYTES]].concat(), &rates()), None);
}

/// The members of a good event, in the order of the format's table.
const MEMBERS: [&str; 10] = [
    r#""id":"e-1""#,
    r#""tenant_id":"acme""#,
    r#""customer_id":"c-1""#,
    r#""type":"bet""#,
    r#""occurred_at":"2026-03-01T12:00:00Z""#,
    r#""amount":"12.50""#,
    r#""currency":"EUR""#,
    r#""transaction_id":"t-1""#,
    r#""device":{"id":"d-1"}"#,
    r#""attributes":{"id":"x"}"#,
];

proptest! {
    #[test]
    fn members_may_stand_in_any_order_and_none_of_them_twice(
        members in Just(MEMBERS.to_vec()).prop_shuffle(),
        again in prop::option::of((any::<Index>(), any::<Index>())),
    ) {
        let event = format!("{{{}}}", members.join(","));
        assert!(agrees(event.as_bytes()), "{event}");
        if let Some((which, to)) = again {
            let mut members = members;
            members.insert(to.index(members.len() + 1), MEMBERS[which.index(MEMBERS.len())]);
            let event = format!("{{{}}}", members.join(", "));
            assert!(!agrees(event.as_bytes()), "{event}");
        }
    }

    #[test]
    fn a_line_with_bytes_changed_is_read_alike_or_left(
        more in select(&PLAIN[..]),
        changes in prop::collection::vec((any::<Index>(), select(&b"\"\\{}[]:,-+.0123eEntfu \x00\x1f\xc3ids"[..])), 0..4),
        cut in prop::option::of(any::<Index>()),
    ) {
        let mut line = with(more).into_bytes();
        for (place, byte) in changes {
            let place = place.index(line.len());
            line[place] = byte;
        }
        line.truncate(cut.map_or(line.len(), |cut| cut.index(line.len())));
        agrees(&line);
    }
}

use super::*;
use crate::domain::command::{Cause, Reference};
use crate::domain::ids::{CommandId, CustomerId, EventId, Source, TenantId};
use crate::domain::money::Amount;
use crate::domain::trigger::{ActivityType, Trigger};
use crate::domain::window::{Reach, Timeliness};

const NOW: Timestamp = Timestamp(1_772_366_400_000); // 2026-03-01T12:00:00Z

fn command(trigger: Trigger, facts: Facts) -> Command {
    let (tenant, event) = (TenantId::new("acme").unwrap(), EventId::new("e1").unwrap());
    Command {
        id: CommandId::of(&tenant, trigger, &event),
        tenant,
        customer: CustomerId::new("player \"1\"").unwrap(),
        trigger,
        reference: Reference::CommandId,
        facts,
        cause: Cause {
            event,
            kind: ActivityType::Bet,
            occurred_at: NOW,
            source: Source { topic: "activity".into(), partition: 0, offset: 7 },
        },
        preferences_updated_at: None,
        redrive_of: None,
        issued_at: NOW,
        expires_at: NOW.plus(TOKEN_LIFETIME),
    }
}

fn usd(text: &str) -> Facts {
    Facts::Amount(text.parse::<Amount>().unwrap().as_usd())
}

#[test]
fn a_request_tells_the_facts_of_its_trigger_and_nothing_else() {
    let reach = Reach { count: 12, within_minutes: 5, needed: 10, timeliness: Timeliness::InTime };
    for (trigger, facts, urls, want) in [
        (Trigger::Login, Facts::Plain, (None, None), r#""event":"login"}"#),
        (Trigger::Deposit, usd("500.00"), (None, None), r#""event":"deposit","amount":500}"#),
        (
            Trigger::Withdrawal,
            usd("12345678901234567.89012345678"),
            (None, None),
            r#""event":"withdrawal","amount":12345678901234567.89012345678}"#,
        ),
        (Trigger::LargeBetPlacement, usd("0"), (None, None), r#""event":"large_bet_placement","amount":0}"#),
        (
            Trigger::HighFrequencyBetting,
            Facts::Frequency(reach),
            (Some("https://app.example/back"), Some("https://app.example/cb?a=\"b\"")),
            r#""event":"high_frequency_betting","event_count":12,"event_window_minutes":5,"redirect_url":"https://app.example/back","callback_url":"https://app.example/cb?a=\"b\""}"#,
        ),
    ] {
        let body = encode_request(&command(trigger, facts), "ref.2", urls.0, urls.1);
        let want = format!(r#"{{"reference":"ref.2","customer_id":"player \"1\"",{want}"#);
        assert_eq!(String::from_utf8(body.clone()).unwrap(), want);
        serde_json::from_slice::<Value>(&body).unwrap();
    }
}

fn lost(reason: &str) -> Answer {
    Answer::Lost { reason: reason.to_owned() }
}

#[test]
fn a_success_is_read_or_lost() {
    let unclear = "the answer does not say whether verification is required";
    let no_object = "the answer is not a JSON object";
    let tokenless = "the answer asks for verification but holds no usable token";
    for (status, body, want) in [
        (200, r#"{"is_required":false,"reason":"feature\ndisabled"}"#, not_required("feature disabled")),
        (200, r#"{"is_required":false,"token":"t","reason":null}"#, not_required("")),
        (200, r#"{"is_required":false,"reason":"REPEAT"}"#, not_required("REPEAT")),
        (200, "", lost(no_object)),
        (204, "", lost(no_object)),
        (200, "<html>", lost(no_object)),
        (200, "[]", lost(no_object)),
        (200, "{}", lost(unclear)),
        (200, r#"{"is_required":"true","token":"t"}"#, lost(unclear)),
        (200, r#"{"is_required":true}"#, lost(tokenless)),
        (200, r#"{"is_required":true,"token":""}"#, lost(tokenless)),
        (200, r#"{"is_required":true,"token":7}"#, lost(tokenless)),
        (200, r#"{"is_required":true,"token":"a\nb"}"#, lost(tokenless)),
    ] {
        assert_eq!(decode_answer(status, body.as_bytes(), None, NOW), want, "{body}");
    }
    let long = format!(r#"{{"is_required":false,"reason":"{}"}}"#, "é".repeat(600));
    assert_eq!(decode_answer(200, long.as_bytes(), None, NOW), not_required(&"é".repeat(512)));
    let huge = format!(r#"{{"is_required":false,"reason":"{}"}}"#, "x".repeat(MAX_ANSWER_BYTES));
    assert_eq!(decode_answer(200, huge.as_bytes(), None, NOW), lost("the answer is larger than 64 KiB"));
    assert_eq!(decode_answer(200, "[".repeat(60_000).as_bytes(), None, NOW), lost(no_object));
}

fn not_required(reason: &str) -> Answer {
    Answer::NotRequired { reason: reason.to_owned() }
}

#[test]
fn a_session_has_its_token_its_expiry_and_its_links() {
    let default = NOW.plus(TOKEN_LIFETIME);
    let stated = Timestamp::parse("2026-03-01T12:05:00Z").unwrap();
    for (extra, expires, links) in [
        ("", default, &[][..]),
        (r#","token_expires_at":"2026-03-01T12:05:00Z""#, stated, &[]),
        (r#","expires_at":"2026-03-01T13:05:00+01:00""#, stated, &[]),
        (r#","token_expires_at":"soon","expires_at":7"#, default, &[]),
        (
            r#","links":{"mobile":"https://m.example/1","n":1},"qr_code":"data:x","session_url":"https://s.example","callback_url":"https://no.example","note":"no""#,
            default,
            &[("mobile", "https://m.example/1"), ("qr_code", "data:x"), ("session_url", "https://s.example")],
        ),
    ] {
        let body = format!(r#"{{"reference":"r","token":"tok-1","is_required":true,"reason":""{extra}}}"#);
        let Answer::Created(session) = decode_answer(201, body.as_bytes(), None, NOW) else {
            panic!("no session in {body}");
        };
        let links: Vec<_> = links.iter().map(|(n, l): &(&str, &str)| ((*n).to_owned(), (*l).to_owned())).collect();
        assert_eq!((session.token.as_str(), session.token_expires_at, session.links), ("tok-1", expires, links));
    }
}

#[test]
fn links_are_bounded_in_number_and_size() {
    let many: Vec<String> = (0..40).map(|n| format!(r#""l{n}":"https://x.example/{n}""#)).collect();
    let long = format!(r#""too_long":"{}""#, "x".repeat(MAX_LINK_BYTES + 1));
    let body = format!(r#"{{"token":"t","is_required":true,"links":{{{long},{}}}}}"#, many.join(","));
    let Answer::Created(session) = decode_answer(200, body.as_bytes(), None, NOW) else { panic!("no session") };
    assert_eq!(session.links.len(), MAX_LINKS);
    assert!(session.links.iter().all(|(name, _)| name != "too_long"));
}

#[test]
fn any_other_status_stays_one_with_its_message() {
    let wait = Some(Duration::from_secs(3));
    for (status, body, want) in [
        (400, r#"{"message":"reference\u0000 is missing"}"#, "reference  is missing"),
        (409, r#"{"error":"taken"}"#, "taken"),
        (409, r#"{"error":{"message":"taken","code":3}}"#, "taken"),
        (422, r#"{"message":"","reason":"no"}"#, "no"),
        (503, "<html>busy</html>", ""),
        (302, "", ""),
        (500, r#"["message"]"#, ""),
    ] {
        let want = Answer::Status { code: status, reason: want.to_owned(), retry_after: wait };
        assert_eq!(decode_answer(status, body.as_bytes(), wait, NOW), want, "{body}");
    }
    let huge = vec![b' '; MAX_ANSWER_BYTES + 1];
    let want = Answer::Status { code: 502, reason: String::new(), retry_after: None };
    assert_eq!(decode_answer(502, &huge, None, NOW), want);
}

#[test]
fn retry_after_is_seconds_or_a_date_and_bounded() {
    for (value, seconds) in [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("99999999999999999999999", Some(86_400)),
        ("Sun, 01 Mar 2026 12:00:30 GMT", Some(30)),
        ("Sun, 01 Mar 2026 11:00:00 GMT", Some(0)),
        ("Mon, 01 Mar 2027 12:00:00 GMT", Some(86_400)),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("2026-03-01T12:00:30Z", None),
    ] {
        assert_eq!(retry_after(value, NOW), seconds.map(Duration::from_secs), "{value}");
    }
}

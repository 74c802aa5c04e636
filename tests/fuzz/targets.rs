//! The decoders, each with what must hold of whatever it is given.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::value::RawValue;
use stepup::config::Config;
use stepup::domain::command::Command;
use stepup::domain::delivery::Answer;
use stepup::domain::money::{Amount, Rates, Usd};
use stepup::domain::outcome::{Ending, Outcome, Rejection};
use stepup::domain::time::Timestamp;
use stepup::wire::event::Decoded;
use stepup::wire::event_plain::PlainEvent;
use stepup::wire::pseudonym::{Attributes, PseudonymKey, Pseudonyms, TenantNames};
use stepup::wire::{self, columns, header, line, rewrite, session_api, trace, window};

use super::corpus::{examples, header_examples, texts};

/// One decoder.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Decodes, panics where something does not hold, and tells whether the input was accepted.
    pub(crate) decode: fn(&[u8]) -> bool,
}

const NOW: Timestamp = Timestamp(1_772_366_400_000);

/// What is accepted is JSON by another reader's word as well, and UTF-8.
fn is_json(input: &[u8]) {
    assert!(std::str::from_utf8(input).is_ok(), "what is accepted is UTF-8");
    serde_json::from_slice::<&RawValue>(input).expect("what is accepted is JSON");
}

/// A sentence that names the rule fits into a header and on a line.
fn is_sentence(rejection: &Rejection) {
    let Rejection { error, .. } = rejection;
    assert!(!error.is_empty() && error.len() <= header::MAX_SENTENCE, "{error}");
    assert!(!error.contains(char::is_control), "{error:?}");
}

/// Lines `name: value` as headers.
fn headers(input: &[u8]) -> Vec<(String, Vec<u8>)> {
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        (String::from_utf8_lossy(&line[..colon]).into_owned(), value.strip_prefix(b" ").unwrap_or(value).to_vec())
    };
    input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(header).collect()
}

fn borrowed(headers: &[(String, Vec<u8>)]) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
}

fn written<'a>(headers: &'a [(&'static str, Vec<u8>)]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    headers.iter().map(|(name, value)| (*name, value.as_slice()))
}

pub(crate) fn event() -> Target {
    fn decode(input: &[u8]) -> bool {
        let mut rates = Rates::default();
        rates.set("EUR", "1.08".parse().unwrap()).unwrap();
        let decoded = wire::event::decode_any(Some(input), &rates);
        assert_eq!(wire::event::decode(Some(input), &rates), decoded);
        let plain = wire::event_plain::read(input, &rates);
        let event = match &decoded {
            Decoded::Rejected { rejection, .. } => {
                is_sentence(rejection);
                None
            }
            Decoded::UnknownType { .. } => None,
            Decoded::Event(event) => Some(event),
        };
        match (&plain, event) {
            (Some(plain), Some(event)) => assert_eq!(*plain, PlainEvent::from(event)),
            (Some(plain), None) => panic!("{plain:?} for one reader, and no event for the other"),
            (None, _) => {}
        }
        let Some(event) = event else { return false };
        is_json(input);
        let mut on_one_line = Vec::new();
        line::write(&mut on_one_line, input).expect("an event is JSON");
        assert!(!on_one_line.contains(&b'\n'));
        let recorded = rewrite::Recorded::read(&on_one_line).expect("an event can be recorded");
        for again in [&on_one_line, &recorded.rewritten(None, None)] {
            assert_eq!(wire::event::decode(Some(again), &rates), Decoded::Event(event.clone()));
        }
        let moved = recorded.rewritten(None, Some(NOW));
        let Decoded::Event(moved) = wire::event::decode(Some(&moved), &rates) else { panic!("no event any more") };
        assert_eq!((moved.occurred_at, moved.id), (NOW, event.id.clone()));
        true
    }
    Target { name: "event", seeds: || examples("activity-event"), decode }
}

pub(crate) fn command() -> Target {
    fn decode(input: &[u8]) -> bool {
        match wire::command::decode(input) {
            Ok(command) => {
                is_json(input);
                let again =
                    wire::command::decode(&wire::command::encode(&command)).expect("what is written can be read");
                // A version of preferences that is no date-time, for it is too long, is not passed on.
                let kept = |version: &String| version.len() <= 128;
                let preferences_updated_at = command.preferences_updated_at.clone().filter(kept);
                assert_eq!(again, Command { preferences_updated_at, ..command });
                true
            }
            Err(rejection) => {
                is_sentence(&rejection);
                false
            }
        }
    }
    Target { name: "command", seeds: || examples("verification-command"), decode }
}

pub(crate) fn outcome() -> Target {
    fn decode(input: &[u8]) -> bool {
        match wire::outcome::decode(input) {
            Ok(outcome) => {
                is_json(input);
                assert_eq!(wire::outcome::decode(&wire::outcome::encode(&outcome)), Ok(outcome));
                true
            }
            Err(rejection) => {
                is_sentence(&rejection);
                false
            }
        }
    }
    Target { name: "outcome", seeds: || examples("verification-outcome"), decode }
}

pub(crate) fn preferences() -> Target {
    fn decode(input: &[u8]) -> bool {
        let merged = wire::preferences_update::merge_document(None, input, NOW);
        let spelled = wire::preferences_update::spell_out(input);
        for document in merged.iter().chain(&spelled) {
            is_json(document);
        }
        let Ok(preferences) = wire::preferences::decode(input) else { return false };
        is_json(input);
        assert_eq!(wire::preferences::decode(input), Ok(preferences));
        true
    }
    Target { name: "preferences", seeds: || examples("preferences"), decode }
}

/// A command of the examples, for what must be one of some command.
fn some_command() -> Command {
    let good = examples("verification-command");
    good.iter().find_map(|bytes| wire::command::decode(bytes).ok()).expect("a good example")
}

pub(crate) fn session_answer() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        texts(&[
            r#"{"reference":"r","token":"t-1","is_required":true,"reason":"","links":{"mobile":"https://k/h/t-1"}}"#,
            r#"{"reference":"r","token":"t-1","is_required":true,"expires_at":"2026-03-01T12:10:00Z","mobile_link":"https://k/h"}"#,
            r#"{"is_required":false,"reason":"feature disabled"}"#,
            r#"{"message":"no such tenant"}"#,
            r#"{"error":{"message":"a fault"}}"#,
        ])
    }
    fn decode(input: &[u8]) -> bool {
        let command = some_command();
        let mut accepted = false;
        for status in [200, 201, 400, 401, 409, 429, 500, 599] {
            let ending = match wire::session::decode_answer(status, input, Some(Duration::from_secs(1)), NOW) {
                Answer::Created(session) => {
                    is_json(input);
                    Ending::SessionCreated(session)
                }
                Answer::NotRequired { reason } => Ending::NotRequired { reason },
                Answer::Status { code, reason, .. } => Ending::Rejected { http_status: code, reason },
                Answer::Lost { reason } | Answer::NotSent { reason } | Answer::NoCredential { reason } => {
                    Ending::Expired { http_status: None, reason }
                }
            };
            accepted |= matches!(ending, Ending::SessionCreated(_));
            // Whatever the service says, what we make of it can be read by those who come after us.
            let outcome = Outcome::new(&command, "r".to_owned(), ending, 1, NOW);
            let record = wire::outcome::encode(&outcome);
            assert!(record.len() <= wire::outcome::MAX_BYTES, "{} bytes", record.len());
            assert_eq!(wire::outcome::decode(&record).as_ref(), Ok(&outcome), "{}", String::from_utf8_lossy(&record));
        }
        if let Ok(text) = std::str::from_utf8(input)
            && let Some(wait) = wire::session::retry_after(text, NOW)
        {
            assert!(wait <= wire::session::MAX_RETRY_AFTER);
        }
        accepted
    }
    Target { name: "session_answer", seeds, decode }
}

pub(crate) fn session_request() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        texts(&[
            r#"{"reference":"r","customer_id":"c","event":"deposit","amount":12.5,"redirect_url":"https://a/b"}"#,
            r#"{"reference":"r","customer_id":"c","event":"high_frequency_betting","event_count":3,"event_window_minutes":5}"#,
            r#"{"token":"t-1","proof":"aGk="}"#,
            r#"{"reuse_kyc_reactions":{"max_retry_attempts":2,"trigger_alert":true,"freeze_duration_minutes":5}}"#,
        ])
    }
    fn decode(input: &[u8]) -> bool {
        let request = session_api::decode_request(input);
        let submission = session_api::decode_submission(input, 1_000);
        let _ = session_api::decode_connect(input);
        let _ = session_api::decode_reactions(input);
        if request.is_ok() || submission.is_ok() {
            is_json(input);
        }
        request.is_ok()
    }
    Target { name: "session_request", seeds, decode }
}

pub(crate) fn dead_letter() -> Target {
    fn decode(input: &[u8]) -> bool {
        match wire::dead_letter::decode(borrowed(&headers(input))) {
            Ok(letter) => {
                let again = wire::dead_letter::headers(letter.code, &letter.error, letter.stage, &letter.source);
                assert_eq!(wire::dead_letter::decode(written(&again)), Ok(letter));
                true
            }
            Err(rejection) => {
                is_sentence(&rejection);
                false
            }
        }
    }
    Target { name: "dead_letter", seeds: || header_examples("dead-letter"), decode }
}

pub(crate) fn retry() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        texts(&[
            "not-before: 1772366400250\nattempts: 3\nreference-number: 2\nunanswered: true\nlast-status: 503\nlast-reason: busy\n",
            "stepup-not-before: 1\nstepup-attempts: 1\n",
            "not-before: -9223372036854775808\n",
        ])
    }
    fn decode(input: &[u8]) -> bool {
        match wire::retry::decode(borrowed(&headers(input))) {
            Ok(parked) => {
                let again = wire::retry::headers(parked.not_before.unwrap_or(NOW), &parked.attempts);
                let read = wire::retry::decode(written(&again)).expect("what is written can be read");
                assert_eq!(read.attempts, parked.attempts);
                assert_eq!(read.not_before, parked.not_before.or(Some(NOW)));
                true
            }
            Err(rejection) => {
                is_sentence(&rejection);
                false
            }
        }
    }
    Target { name: "retry", seeds, decode }
}

pub(crate) fn trace() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        texts(&[
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\ntracestate: a=b,c=d\n",
            "traceparent: cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more\n",
            "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\n",
        ])
    }
    fn decode(input: &[u8]) -> bool {
        let Some(context) = trace::TraceContext::decode(borrowed(&headers(input))) else { return false };
        let again = context.record_headers();
        for (name, value) in &again {
            assert!(value.iter().all(|byte| (b' '..=b'~').contains(byte)), "{name}: {value:?}");
        }
        assert_eq!(trace::TraceContext::decode(written(&again)), Some(context));
        true
    }
    Target { name: "trace", seeds, decode }
}

pub(crate) fn receipt() -> Target {
    fn decode(input: &[u8]) -> bool {
        match wire::receipt::decode(input) {
            Ok(receipt) => {
                is_json(input);
                assert_eq!(wire::receipt::encode(&receipt), input);
                // A receipt may contradict itself; telling so is no trouble.
                let _ = receipt.again();
                true
            }
            Err(rejection) => {
                is_sentence(&rejection);
                false
            }
        }
    }
    Target { name: "receipt", seeds: || examples("decision-receipt"), decode }
}

pub(crate) fn window_log() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        vec![
            vec![],
            vec![7; window::BET_BYTES],
            vec![255; 3 * window::BET_BYTES],
            vec![1; 100 * window::BET_BYTES + 1],
            [vec![0; 5], vec![7; window::BET_BYTES]].concat(),
        ]
    }
    fn decode(input: &[u8]) -> bool {
        let Ok(bets) = window::decode_log(input) else {
            assert_ne!(input.len() % window::BET_BYTES, 0);
            return false;
        };
        let mut again = vec![0; input.len() % window::BET_BYTES];
        bets.for_each(|bet| window::encode(&bet, &mut again));
        assert_eq!(again, input);
        true
    }
    Target { name: "window_log", seeds, decode }
}

pub(crate) fn claims() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        vec![vec![], vec![7; window::CLAIM_BYTES], vec![255; 5 * window::CLAIM_BYTES]]
    }
    fn decode(input: &[u8]) -> bool {
        let Ok(claims) = window::decode_claims(input) else {
            assert_ne!(input.len() % window::CLAIM_BYTES, 0);
            return false;
        };
        let again: Vec<u8> = claims.iter().flat_map(window::encode_claim).collect();
        assert_eq!(again, input);
        true
    }
    Target { name: "claims", seeds, decode }
}

pub(crate) fn control() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        texts(&[
            "pause|acme|deposit\n{\"state\":\"on\",\"at\":5,\"reason\":\"the API is down\"}",
            "shadow|*|*\n{\"state\":\"off\",\"at\":-5}",
            "pause|*|login\n{\"state\":\"released\",\"at\":1772366400250,\"by\":{}}",
        ])
    }
    fn decode(input: &[u8]) -> bool {
        let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
        let value = input.get(end + 1..).unwrap_or_default();
        let Ok(control) = wire::control::decode(&input[..end], value) else { return false };
        is_json(value);
        let name = wire::control::name(control.kind, &control.target);
        assert_eq!(name.as_bytes(), &input[..end]);
        assert!(!control.to_string().contains(char::is_control), "{control}");
        assert_eq!(wire::control::decode(name.as_bytes(), &wire::control::encode(&control)), Ok(control));
        true
    }
    Target { name: "control", seeds, decode }
}

pub(crate) fn columns() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        texts(&[
            "id=id,tenant_id='acme',customer_id=who,type=kind,occurred_at=unix:at,amount=sum\nid,who,kind,at,sum\n1,c,bet,1772366400,12.5",
            "id=id,tenant_id=t,customer_id=c,type='log''in',occurred_at=unix_ms:at\nid,t,c,at\n1,acme,c,1772366400000",
        ])
    }
    fn decode(input: &[u8]) -> bool {
        let mut lines = input.split(|byte| *byte == b'\n');
        let Ok(mapping) = std::str::from_utf8(lines.next().unwrap_or_default()) else { return false };
        let Ok(columns) = mapping.parse::<columns::Columns>() else { return false };
        let names = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        let names: Vec<String> = names.split(',').map(str::to_owned).collect();
        let Ok(located) = columns.locate(&names) else { return false };
        let cells: Vec<&[u8]> = lines.next().unwrap_or_default().split(|byte| *byte == b',').collect();
        let mut line = Vec::new();
        located.write(&mut line, |column| cells.get(column).copied());
        // A row is always one line, and JSON where its cells are text; whether it is an event is for the decoder to say.
        match wire::event::decode(Some(&line), &Rates::default()) {
            Decoded::Rejected { .. } if std::str::from_utf8(&line).is_err() => {}
            Decoded::Rejected { .. } | Decoded::UnknownType { .. } | Decoded::Event(_) => is_json(&line),
        }
        assert!(!line.contains(&b'\n'));
        true
    }
    Target { name: "columns", seeds, decode }
}

pub(crate) fn config() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        texts(&[
            "kafka: {brokers: 'k:9092', properties: {security.protocol: SSL}}\nredis: {url: 'redis://r', password: hunter2}\n\
             preferences: {source: directory, directory: /p}\nsession_api: {url: 'https://s'}\n",
            "roles: [evaluate]\nkafka:\n  brokers: k:1\n  topics: {activity: [a, b]}\npreferences: {url: 'https://p/q'}\n\
             evaluate: {cooldown: {default: 10m, deposit: 0s}, rates: {EUR: \"1.08\"}}\n\
             windows: {max_lookback: 24h}\nlog: {level: info}\n",
        ])
    }
    fn decode(input: &[u8]) -> bool {
        let text = String::from_utf8_lossy(input);
        match Config::from_yaml(&text, std::iter::empty()) {
            Ok(config) => {
                let effective = config.effective();
                let again =
                    Config::from_yaml(&effective, std::iter::empty()).expect("what is in force can be written down");
                assert_eq!(again.effective(), effective);
                if config.redis.password.is_some_and(|password| password.expose_secret() == "hunter2") {
                    assert!(
                        effective.contains("password: \"***\"") || effective.contains("password: ***"),
                        "{effective}"
                    );
                }
                true
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.len() < 3_000, "{} bytes: {said:.200}", said.len());
                assert!(!said.contains('\n'), "{said:?}");
                false
            }
        }
    }
    Target { name: "config", seeds, decode }
}

pub(crate) fn pseudonyms() -> Target {
    fn decode(input: &[u8]) -> bool {
        let key = PseudonymKey::new(b"0123456789abcdef").unwrap();
        let mut pseudonyms = Pseudonyms::new(key, Attributes::Dropped, TenantNames::Hashed);
        let mut line = Vec::new();
        if let Err(rejection) = pseudonyms.write(&mut line, input) {
            is_sentence(&rejection);
            assert!(line.is_empty(), "nothing is written of what is not understood");
            return false;
        }
        is_json(&line);
        assert!(!line.contains(&b'\n'));
        let Decoded::Event(event) = wire::event::decode(Some(input), &Rates::default()) else { return false };
        let Decoded::Event(hidden) = wire::event::decode(Some(&line), &Rates::default()) else {
            panic!("an event under other names is an event: {}", String::from_utf8_lossy(&line))
        };
        assert_eq!((hidden.activity, hidden.occurred_at), (event.activity, event.occurred_at));
        assert!(hidden.customer != event.customer && hidden.id != event.id && hidden.tenant != event.tenant);
        true
    }
    Target { name: "pseudonyms", seeds: || examples("activity-event"), decode }
}

pub(crate) fn faults() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        texts(&[
            r#"[{"kind":"status","status":503,"retry_after":2,"rate":0.5,"count":3,"tenant":"acme","on":"preferences"}]"#,
            "kind=delay,delay_ms=5,rate=0.1",
        ])
    }
    fn decode(input: &[u8]) -> bool {
        if let Ok(text) = std::str::from_utf8(input) {
            let _ = wire::faults::fault_of_flag(text);
        }
        let Ok(faults) = wire::faults::decode_faults(input) else { return false };
        is_json(input);
        assert!(faults.iter().all(|fault| (0.0..=1.0).contains(&fault.rate)));
        true
    }
    Target { name: "faults", seeds, decode }
}

pub(crate) fn times() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        texts(&[
            "2026-03-01T12:00:00Z",
            "2026-02-28T23:59:59.999999999-12:30",
            "0001-01-01T00:00:00+00:00",
            "9999-12-31T23:59:59.9Z",
        ])
    }
    fn decode(input: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(input) else { return false };
        let Ok(time) = Timestamp::parse(text) else { return false };
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time), "{time}");
        let kept = window::time_of(window::time_bytes(time));
        // Beyond the year 6400 a store keeps the last moment that it can.
        assert!(kept == time || kept == window::time_of(window::time_bytes(Timestamp(i64::MAX))), "{time} as {kept}");
        true
    }
    Target { name: "times", seeds, decode }
}

pub(crate) fn amounts() -> Target {
    fn seeds() -> Vec<Vec<u8>> {
        texts(&["12.50", "0", "1e3", "1.5E-7", "9999999999999999999999999999", "0.000000000000000000000000001"])
    }
    fn decode(input: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(input) else { return false };
        let Ok(amount) = text.parse::<Amount>() else { return false };
        is_json(input);
        let usd = amount.as_usd().to_string();
        assert!(usd.len() <= 4_100, "{usd}");
        assert_eq!(usd.parse::<Usd>(), Ok(amount.as_usd()), "{usd}");
        true
    }
    Target { name: "amounts", seeds, decode }
}

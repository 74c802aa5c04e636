use super::*;
use crate::config::Config;
use crate::domain::command::{Cause, Reference};
use crate::domain::decide::Facts;
use crate::domain::ids::{CommandId, CustomerId, EventId, Source};
use crate::domain::trigger::{ActivityType, Trigger};

const NOW: Timestamp = Timestamp(1_772_366_400_000);
const MAX_AGE: Duration = Duration::from_secs(600);
const EVENT: &str = r#"{"id":"e-1","tenant_id":"acme","customer_id":"c-1","type":"login"}"#;

fn topics() -> Topics {
    let yaml = "kafka: { brokers: b, topics: { activity: [act-1, act-2], commands: cmd, retries: ret } }
preferences: { source: directory, directory: . }
session_api: { url: 'http://127.0.0.1:1' }";
    Config::from_yaml(yaml, std::iter::empty()).unwrap().kafka.topics
}

fn command() -> Command {
    let (tenant, event) = (TenantId::new("acme").unwrap(), EventId::new("e-1").unwrap());
    Command {
        id: CommandId::of(&tenant, Trigger::Login, &event),
        tenant,
        customer: CustomerId::new("c-1").unwrap(),
        trigger: Trigger::Login,
        reference: Reference::CommandId,
        facts: Facts::Plain,
        cause: Cause {
            event,
            kind: ActivityType::Login,
            occurred_at: Timestamp(0),
            source: Source { topic: "act-1".into(), partition: 0, offset: 0 },
        },
        preferences_updated_at: None,
        redrive_of: None,
        issued_at: Timestamp(1_000),
        expires_at: Timestamp(601_000),
    }
}

fn letter(code: RejectCode, stage: Stage, topic: &str, payload: &[u8]) -> Letter {
    let source = Source { topic: topic.into(), partition: 3, offset: 42 };
    let headers = dead_letter::headers(code, "why", stage, &source);
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Letter { key: Some(b"key".to_vec()), payload: Some(payload.to_vec()), headers, ..Letter::default() }
}

fn everything() -> Asked {
    Asked { codes: Vec::new(), tenant: None, stage: None, force: Force::No, age_limit: AgeLimit::Kept }
}

fn judged(letter: &Letter, asked: &Asked) -> Verdict {
    prepare(letter, asked, &topics(), MAX_AGE, NOW)
}

#[track_caller]
fn goes(letter: &Letter, asked: &Asked) -> Prepared {
    match judged(letter, asked) {
        Verdict::Goes(prepared) => *prepared,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_goes_back_as_it_came() {
    let letter = letter(RejectCode::UnknownCurrency, Stage::Evaluate, "act-2", EVENT.as_bytes());
    for (age_limit, headers) in
        [(AgeLimit::Kept, vec![]), (AgeLimit::Waived, vec![("redrive-ignore-age", b"1".to_vec())])]
    {
        let prepared = goes(&letter, &Asked { age_limit, ..everything() });
        let Outgoing { topic, key, payload, headers: sent, size } = prepared.outgoing;
        assert_eq!(
            (topic.as_str(), key.as_deref(), payload.as_deref()),
            ("act-2", Some(&b"key"[..]), Some(EVENT.as_bytes()))
        );
        assert_eq!((sent, size), (headers, Size::Fixed));
        assert_eq!((prepared.group.tenant.as_deref(), prepared.group.source_topic.as_str()), (Some("acme"), "act-2"));
    }
}

#[test]
fn a_command_goes_back_as_a_new_one_from_the_retries_too_and_is_one_however_often_it_is_read() {
    let old = command();
    for (code, topic) in [(RejectCode::Expired, "cmd"), (RejectCode::Rejected, "ret")] {
        let letter = letter(code, Stage::Dispatch, topic, &command::encode(&old));
        let prepared = goes(&letter, &Asked { age_limit: AgeLimit::Waived, ..everything() });
        let new = command::decode(prepared.outgoing.payload.as_deref().unwrap()).unwrap();
        assert_eq!(new, old.redriven(NOW, MAX_AGE));
        assert_eq!(prepared.name, Name::Command(old.id.redriven()));
        assert_eq!((prepared.outgoing.topic.as_str(), prepared.group.topic.as_str()), ("cmd", "cmd"));
        assert_eq!(prepared.outgoing.key.as_deref(), Some(&b"acme/c-1"[..]));
        assert!(prepared.outgoing.headers.is_empty(), "an event's age is no command's");
        let later = prepare(&letter, &everything(), &topics(), MAX_AGE, NOW.plus(MAX_AGE));
        assert!(matches!(later, Verdict::Goes(later) if later.name == prepared.name));
    }
}

#[test]
fn what_is_forced_goes_as_it_came_and_under_its_own_id() {
    let forced = Asked { force: Force::Yes, ..everything() };
    let bytes = command::encode(&command());
    for (code, stage, topic, payload, to) in [
        (RejectCode::InvalidJson, Stage::Evaluate, "act-1", &b"{"[..], "act-1"),
        (RejectCode::InvalidJson, Stage::Dispatch, "ret", b"{", "cmd"),
        (RejectCode::InvalidField, Stage::Dispatch, "cmd", &bytes, "cmd"),
        (RejectCode::Expired, Stage::Dispatch, "cmd", b"{", "cmd"),
    ] {
        let letter = letter(code, stage, topic, payload);
        assert!(matches!(judged(&letter, &everything()), Verdict::Refused { code: Some(known), .. } if known == code));
        let prepared = goes(&letter, &forced);
        assert_eq!(prepared.outgoing.payload.as_deref(), Some(payload), "{code:?}");
        assert_eq!((prepared.outgoing.topic.as_str(), prepared.outgoing.key.as_deref()), (to, Some(&b"key"[..])));
        assert_eq!(prepared.name, Name::Bytes(Sha256::of(payload).0));
    }
}

#[test]
fn nothing_goes_where_the_configuration_does_not_read() {
    let bytes = command::encode(&command());
    for (stage, topic) in [
        (Stage::Evaluate, "elsewhere"),
        (Stage::Evaluate, "cmd"),
        (Stage::Evaluate, "ret"),
        (Stage::Dispatch, "act-1"),
        (Stage::Dispatch, "verification-outcomes"),
        (Stage::Dispatch, "stepup-dead-letters"),
    ] {
        for force in [Force::No, Force::Yes] {
            let letter = letter(RejectCode::Expired, stage, topic, &bytes);
            let verdict = judged(&letter, &Asked { force, ..everything() });
            assert!(matches!(verdict, Verdict::Refused { refusal: Refusal::ForeignSource, .. }), "{stage:?} {topic}");
        }
    }
}

#[test]
fn a_letter_that_was_cut_or_says_nothing_of_itself_never_goes() {
    let forced = Asked { force: Force::Yes, ..everything() };
    let mut cut = letter(RejectCode::TooLarge, Stage::Evaluate, "act-1", EVENT.as_bytes());
    let whole = cut.headers.clone();
    for header in ["payload-bytes", "key-bytes"] {
        cut.headers = whole.iter().cloned().chain([(header.to_owned(), b"20000000".to_vec())]).collect();
        assert!(matches!(judged(&cut, &forced), Verdict::Refused { refusal: Refusal::Cut, .. }), "{header}");
    }
    let dumb = Letter { headers: Vec::new(), ..cut };
    assert!(matches!(judged(&dumb, &forced), Verdict::Refused { code: None, refusal: Refusal::Unreadable }));
    let chosen = Asked { codes: vec![RejectCode::TooLarge], ..forced };
    assert!(matches!(judged(&dumb, &chosen), Verdict::NotAskedFor));
}

#[test]
fn letters_are_chosen_by_code_tenant_and_stage() {
    let event = letter(RejectCode::UnknownCurrency, Stage::Evaluate, "act-1", EVENT.as_bytes());
    let nobody_s = letter(RejectCode::InvalidJson, Stage::Evaluate, "act-1", b"{");
    let codes = |codes: &[RejectCode]| Asked { codes: codes.to_vec(), ..everything() };
    let tenant = |name| Asked { tenant: Some(TenantId::new(name).unwrap()), ..everything() };
    let stage = |stage| Asked { stage: Some(stage), ..everything() };
    for (letter, asked, want) in [
        (&event, everything(), true),
        (&event, codes(&[RejectCode::Expired, RejectCode::UnknownCurrency]), true),
        (&event, codes(&[RejectCode::Expired]), false),
        (&event, tenant("acme"), true),
        (&event, tenant("other"), false),
        (&event, stage(Stage::Evaluate), true),
        (&event, stage(Stage::Dispatch), false),
        (&nobody_s, everything(), true),
        (&nobody_s, tenant("acme"), false),
    ] {
        assert_eq!(!matches!(judged(letter, &asked), Verdict::NotAskedFor), want, "{asked:?}");
    }
}

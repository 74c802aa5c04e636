//! Events in at one end, sessions out at the other, with the world breaking in between.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use stepup::domain::time::Timestamp;

use crate::services::{StepupProcess, wait_for, wait_until};
use crate::stack::{PATIENCE, Stack, event, just_now, one_outcome_each};

const BETTING: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-01-01T00:00:00Z","reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":4,"window_minutes":10},
    "large_bet_placement":{"enabled":true,"threshold":400},
    "password_change":true,"withdrawal":{"enabled":true,"threshold":100}}}"#;

/// Hours of betting by some customers, with bursts, some late and some sent twice, in time order but for those.
fn recording(seed: u64, events: usize) -> Vec<(String, String)> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut at = 1_700_000_000_000_i64;
    let mut recording: Vec<(String, String)> = Vec::new();
    for number in 0..events {
        at += chance.random_range(0..20_000);
        let customer = format!("player-{}", chance.random_range(0..40_u32).min(chance.random_range(0..40)));
        let late = if chance.random_bool(0.05) { chance.random_range(0..200_000) } else { 0 };
        let when = Timestamp(at - late).to_string();
        let (kind, more) = match chance.random_range(0..100) {
            0..3 => ("password_change", String::new()),
            3..6 => ("withdrawal", format!(r#","amount":"{}.50""#, chance.random_range(1..300))),
            _ => ("bet", format!(r#","amount":{}"#, chance.random_range(1..420))),
        };
        if chance.random_bool(0.02) && !recording.is_empty() {
            let back = chance.random_range(1..=recording.len().min(30));
            recording.push(recording[recording.len() - back].clone());
        }
        recording.push(event("acme", &customer, &format!("e{number}"), kind, &when, &more));
    }
    recording
}

/// What the back-test requires over a recording: the triggers that fire, by event.
fn required(stack: &Stack, recording: &[(String, String)]) -> BTreeSet<(String, String)> {
    let file = stack.directory.path().join("recording.ndjson");
    let lines: Vec<&str> = recording.iter().map(|(_, payload)| payload.as_str()).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let mut process = StepupProcess::start(
        &[
            "backtest",
            "--events",
            &file.display().to_string(),
            "--preferences",
            &stack.preferences().display().to_string(),
            "--decisions",
            "-",
        ],
        &[],
    );
    assert!(process.wait_exit(PATIENCE).success(), "{}", process.stderr());
    process
        .stdout()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["decision"] == "required")
        .map(|line| (line["event_id"].as_str().unwrap().to_owned(), line["event"].as_str().unwrap().to_owned()))
        .collect()
}

fn commanded(commands: &[Value]) -> BTreeSet<(String, String)> {
    let name = |command: &Value| {
        (command["cause"]["event_id"].as_str().unwrap().to_owned(), command["event"].as_str().unwrap().to_owned())
    };
    commands.iter().map(name).collect()
}

/// One session a command whose token reached an outcome, and the simulator knows it.
#[track_caller]
fn sessions_match(stack: &Stack, outcomes: &BTreeMap<String, Value>) {
    let sessions = stack.simulator("/sim/sessions?limit=100000");
    let known: BTreeSet<&str> =
        sessions["sessions"].as_array().unwrap().iter().map(|session| session["reference"].as_str().unwrap()).collect();
    for (command, outcome) in outcomes {
        assert_eq!(outcome["status"], "session_created", "{outcome}");
        let reference = outcome["reference"].as_str().unwrap();
        assert!(reference == command || reference.starts_with(&format!("{command}.")), "{outcome}");
        assert!(known.contains(reference), "the simulator has no session {reference}");
    }
}

#[test]
fn a_recording_gives_the_commands_of_the_backtest_and_one_session_each() {
    let stack = Stack::new("straight", 4, &[("acme", BETTING)]).with("evaluate: { max_event_age: 0s }");
    let recording = recording(1, 3_000);
    let required = required(&stack, &recording);
    assert!(required.len() > 100, "the recording is of no use: {}", required.len());
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&recording);
    let outcomes = one_outcome_each(&stack.outcomes(required.len()));
    assert_eq!(commanded(&stack.json("commands")), required);
    assert_eq!(outcomes.len(), required.len());
    sessions_match(&stack, &outcomes);
    let stats = stack.simulator("/sim/stats");
    assert_eq!(stats["created"], required.len(), "{stats}");
    wait_until(PATIENCE, "every event is counted", || {
        processor.metric("stepup_events_total", &["result=\"decided\""]) >= recording.len() as f64
    });
    assert_eq!(processor.metric("stepup_events_total", &[]), recording.len() as f64);
    let counted = processor.metric("stepup_decisions_total", &["decision=\"required\""]);
    assert_eq!(counted, processor.metric("stepup_commands_total", &[]));
    // A repeat commands again under the same id, and dispatch folds it or publishes the same outcome.
    let ended = processor.metric("stepup_outcomes_total", &["status=\"session_created\""]);
    assert!(ended >= required.len() as f64 && ended <= counted, "{ended} of {counted}");
}

#[test]
fn killed_in_the_middle_twice_it_gives_the_same_commands_and_outcomes() {
    let stack = Stack::new("killed", 4, &[("acme", BETTING)]).with("evaluate: { max_event_age: 0s, batch_size: 100 }");
    let recording = recording(2, 6_000);
    let required = required(&stack, &recording);
    let (first, rest) = recording.split_at(2_500);
    let (second, third) = rest.split_at(2_000);
    for part in [first, second] {
        let mut processor = stack.run("evaluate,dispatch");
        processor.until_ready();
        let before = stack.read("commands").len();
        stack.produce(part);
        wait_for(PATIENCE, "it is in the middle of its work", || {
            let now = stack.read("commands").len();
            if now > before + 20 { Ok(()) } else { Err(format!("{now} commands, {before} before")) }
        });
        processor.process.kill9();
    }
    let _last = stack.run("evaluate,dispatch");
    stack.produce(third);
    let outcomes = one_outcome_each(&stack.outcomes(required.len()));
    assert_eq!(commanded(&stack.json("commands")), required);
    assert_eq!(outcomes.len(), required.len());
    sessions_match(&stack, &outcomes);
}

#[test]
fn a_second_replica_comes_and_goes_and_nothing_is_lost_or_asked_twice() {
    let stack = Stack::new("replicas", 6, &[("acme", BETTING)]).with("evaluate: { max_event_age: 0s, batch_size: 50 }");
    let recording = recording(3, 4_000);
    let required = required(&stack, &recording);
    let first = stack.run("evaluate,dispatch");
    first.until_ready();
    for part in recording.chunks(1_000) {
        let mut second = stack.run("evaluate,dispatch");
        stack.produce(part);
        second.until_ready();
        second.stop();
    }
    let outcomes = one_outcome_each(&stack.outcomes(required.len()));
    assert_eq!(commanded(&stack.json("commands")), required);
    sessions_match(&stack, &outcomes);
}

#[test]
fn what_cannot_be_processed_goes_to_the_dead_letters_as_it_came_and_the_rest_goes_on() {
    let stack = Stack::new("poison", 1, &[("acme", BETTING), ("broken", r#"{"is_reuse_kyc_enabled":"maybe"}"#)]);
    let now = just_now();
    let (key, good) = event("acme", "c", "good", "password_change", &now, "");
    let large = format!(r#"{{"id":"large","padding":"{}"}}"#, "x".repeat(66_000));
    let deep = event(
        "acme",
        "d",
        "deep",
        "login",
        &now,
        &format!(r#","attributes":{}{}"#, "[".repeat(30_000), "]".repeat(30_000)),
    )
    .1;
    let bad = [
        ("too_large", large),
        // As large as a producer writes by default: with our headers on top a dead letter is larger than that.
        ("too_large", "x".repeat(999_900)),
        ("invalid_json", "{\"id\":".to_owned()),
        ("invalid_json", r#"{"id":"a","id":"b"}"#.to_owned()),
        ("missing_field", r#"{"id":"a","tenant_id":"acme"}"#.to_owned()),
        ("invalid_field", event("acme/../x", "c", "i", "login", &now, "").1),
        ("unknown_currency", event("acme", "c", "u", "bet", &now, r#","amount":1,"currency":"XAU""#).1),
        ("timestamp_in_future", event("acme", "c", "f", "login", "2099-01-01T00:00:00Z", "").1),
        ("preferences_unavailable", event("broken", "c", "p", "login", &now, "").1),
    ];
    let mut events: Vec<(String, String)> = bad.iter().map(|(_, text)| ("k".to_owned(), text.clone())).collect();
    events.push(("k".to_owned(), deep));
    events.push(event("acme", "c", "unknown", "jackpot", &now, ""));
    events.push((key, good));
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&events);
    assert_eq!(stack.outcomes(1).len(), 1, "the good event at the end is not held up");
    let letters = stack.read("dead-letters");
    let found: Vec<(&str, &str)> =
        letters.iter().map(|letter| (letter.header("error-code").unwrap(), letter.text())).collect();
    let want: Vec<(&str, &str)> = bad.iter().map(|(code, text)| (*code, text.as_str())).collect();
    assert_eq!(found, want);
    for (offset, letter) in letters.iter().enumerate() {
        assert_eq!(letter.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(letter.header("stage"), Some("evaluate"));
        assert_eq!(letter.header("source-topic"), Some(stack.topic("activity").as_str()));
        assert_eq!(letter.header("source-partition"), Some("0"));
        assert_eq!(letter.header("source-offset"), Some(offset.to_string().as_str()));
    }
    assert_eq!(processor.metric("stepup_dead_letters_total", &[]), bad.len() as f64);
    assert_eq!(processor.metric("stepup_events_total", &["result=\"rejected\""]), bad.len() as f64);
    assert_eq!(processor.metric("stepup_events_total", &["result=\"skipped\""]), 1.0);
}

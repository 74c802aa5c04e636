//! What the roles do while something that they need is away for long, where it is declared that they give up.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::services::{self, RedisServer, kafka, wait_for, wait_until};
use crate::stack::{PATIENCE, Processor, Stack, event, just_now, one_outcome_each};

const ON: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"password_change":true,
    "deposit":{"enabled":true},"high_frequency_betting":{"enabled":true,"count":1,"window_minutes":5}}}"#;

const GIVES_UP: &str = "evaluate: { on_unavailable: dead_letter, hold_for: 2s }\n\
                        dispatch: { on_unavailable: dead_letter, hold_for: 2s }";

fn one(tenant: &str, id: &str, kind: &str) -> (String, String) {
    let more = if matches!(kind, "bet" | "deposit") { r#","amount":5"# } else { "" };
    event(tenant, &format!("c-{id}"), id, kind, &just_now(), more)
}

/// The ids of the events in the dead letters, by their code.
fn letters(stack: &Stack, code: &str) -> BTreeSet<String> {
    let of_code = |letter: &&services::Record| letter.header("error-code") == Some(code);
    let id = |letter: &services::Record| {
        serde_json::from_slice::<Value>(&letter.payload).unwrap()["id"].as_str().unwrap().to_owned()
    };
    stack.read("dead-letters").iter().filter(of_code).map(id).collect()
}

fn ids<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
    ids.map(str::to_owned).into()
}

#[track_caller]
fn says_that_it_gave_up(processor: &Processor, role: &str, reason: &str, dependency: &str) {
    assert_eq!(processor.metric("stepup_held", &[role, reason]), 1.0);
    let ready = processor.page("/readyz").unwrap_err();
    assert!(ready.contains(role) && ready.contains(dependency) && ready.contains("given up"), "{ready}");
    assert!(processor.page("/livez").is_ok());
}

#[test]
fn what_needs_a_store_that_is_away_too_long_goes_to_the_dead_letters_and_the_rest_goes_on() {
    let mut redis = RedisServer::start();
    let stack = Stack::on("gives-up", 1, &[("acme", ON)], kafka(), &redis.url()).with(GIVES_UP);
    let processor = stack.run("evaluate");
    stack.produce(&[one("acme", "before", "password_change")]);
    wait_until(PATIENCE, "the first is commanded", || stack.read("commands").len() == 1);
    redis.kill();
    // A bet needs its window, a change of password its claims. A deposit takes no claims, a login triggers nothing.
    stack.produce(&[
        one("acme", "bet", "bet"),
        one("acme", "change", "password_change"),
        one("acme", "deposit", "deposit"),
        one("acme", "login", "login"),
    ]);
    wait_until(PATIENCE, "both are given up", || letters(&stack, "store_unavailable") == ids(["bet", "change"]));
    wait_until(PATIENCE, "the others are decided", || {
        processor.metric("stepup_events_total", &["result=\"decided\""]) == 3.0
    });
    assert_eq!(processor.metric("stepup_given_up_total", &["evaluate", "windows"]), 1.0);
    assert_eq!(processor.metric("stepup_given_up_total", &["evaluate", "claims"]), 1.0);
    says_that_it_gave_up(&processor, "evaluate", "claims", "redis");
    stack.produce(&[one("acme", "later", "password_change")]);
    wait_until(PATIENCE, "a later one is given up as well", || letters(&stack, "store_unavailable").len() == 3);
    redis.restart_empty();
    // Nobody sends anything: it finds out by itself.
    processor.until_ready();
    assert_eq!(processor.metric("stepup_held", &[]), 0.0);
    stack.produce(&[one("acme", "after", "password_change")]);
    wait_until(PATIENCE, "it commands again", || stack.read("commands").len() == 3);
    let caused = |command: &Value| command["cause"]["event_id"].as_str().unwrap().to_owned();
    let commands: BTreeSet<String> = stack.json("commands").iter().map(caused).collect();
    assert_eq!(commands, ids(["before", "deposit", "after"]));
    assert!(processor.process.stderr().contains("given up"), "{}", processor.process.stderr());
}

#[test]
fn a_command_whose_outcome_cannot_be_fixed_goes_to_the_dead_letters_without_one() {
    let mut redis = RedisServer::start();
    let stack = Stack::on("unfixed", 1, &[("acme", ON)], kafka(), &redis.url()).with(GIVES_UP);
    let evaluate = stack.run("evaluate");
    stack.faults(r#"[{"kind":"delay","delay_ms":2500}]"#);
    let dispatch = stack.run("dispatch");
    dispatch.until_ready();
    stack.produce(&[one("acme", "first", "password_change"), one("acme", "second", "password_change")]);
    wait_until(PATIENCE, "both are called for", || stack.simulator("/sim/stats")["calls"] == 2);
    drop(evaluate);
    redis.kill();
    let ended = || {
        wait_for(PATIENCE, "both are given up", || {
            let letters = stack.read("dead-letters");
            if letters.len() >= 2 { Ok(letters) } else { Err(format!("{} letters", letters.len())) }
        })
    };
    let commands = stack.read("commands");
    for (letter, command) in ended().iter().zip(&commands) {
        assert_eq!(letter.header("error-code"), Some("store_unavailable"));
        assert_eq!(letter.header("stage"), Some("dispatch"));
        assert!(commands.iter().any(|command| command.payload == letter.payload), "{}", command.text());
    }
    assert_eq!(dispatch.metric("stepup_given_up_total", &["dispatch", "outcomes"]), 2.0);
    assert_eq!(dispatch.metric("stepup_orphan_sessions_total", &[]), 2.0);
    says_that_it_gave_up(&dispatch, "dispatch", "outcomes", "redis");
    // Whether these have an outcome already cannot be known either.
    let again: Vec<(&[u8], &[u8])> =
        commands.iter().map(|record| (record.key.as_deref().unwrap(), record.payload.as_slice())).collect();
    services::produce(&stack.brokers, &stack.topic("commands"), &again);
    wait_until(PATIENCE, "they are given up at once", || stack.read("dead-letters").len() == 4);
    assert_eq!(stack.simulator("/sim/stats")["calls"], 2, "and nobody is called");
    assert!(stack.read("outcomes").is_empty());
    redis.restart_empty();
    dispatch.until_ready();
    stack.faults("[]");
    services::produce(&stack.brokers, &stack.topic("commands"), &again);
    let outcomes = one_outcome_each(&stack.outcomes(2));
    assert!(outcomes.values().all(|outcome| outcome["status"] == "session_created"), "{outcomes:?}");
}

#[test]
fn a_tenant_whose_preferences_are_away_too_long_holds_up_nobody_else_for_ever() {
    let stack = Stack::new("unread", 1, &[("good", ON), ("bad", ON)]).with(GIVES_UP);
    stack.faults(r#"[{"kind":"status","status":503,"tenant":"bad","on":"preferences"}]"#);
    let url = format!("{}/api/v1/kyc/preferences", stack.api());
    let http = [("STEPUP__PREFERENCES__SOURCE", "http"), ("STEPUP__PREFERENCES__URL", url.as_str())];
    let processor = stack.run_with("evaluate", &http);
    let login = |tenant: &str, id: &str| one(tenant, id, "password_change");
    stack.produce(&[login("bad", "b1"), login("good", "g1"), login("bad", "b2")]);
    wait_until(PATIENCE, "it is held first", || processor.metric("stepup_held", &["preferences"]) == 1.0);
    wait_until(PATIENCE, "the good one's is decided", || stack.read("commands").len() == 1);
    assert_eq!(letters(&stack, "preferences_unavailable"), ids(["b1", "b2"]));
    assert_eq!(processor.metric("stepup_given_up_total", &["evaluate", "preferences"]), 2.0);
    says_that_it_gave_up(&processor, "evaluate", "preferences", "preferences");
    stack.produce(&[login("good", "g2")]);
    wait_until(PATIENCE, "it goes on", || stack.read("commands").len() == 2);
    says_that_it_gave_up(&processor, "evaluate", "preferences", "preferences");
    stack.faults("[]");
    processor.until_ready();
    stack.produce(&[login("bad", "b3")]);
    wait_until(PATIENCE, "the bad one is well", || stack.read("commands").len() == 3);
    assert_eq!(letters(&stack, "preferences_unavailable").len(), 2);
}

#[test]
fn a_tenant_that_was_made_up_stops_nobody_while_the_preferences_are_away() {
    let stack = Stack::new("made-up", 1, &[("good", ON)]);
    let url = format!("{}/api/v1/kyc/preferences", stack.api());
    let http = [
        ("STEPUP__PREFERENCES__SOURCE", "http"),
        ("STEPUP__PREFERENCES__URL", url.as_str()),
        ("STEPUP__PREFERENCES__TTL", "1s"),
    ];
    let processor = stack.run_with("evaluate", &http);
    let both = |number: usize| ["ghost", "good"].map(|tenant| one(tenant, &number.to_string(), "password_change"));
    stack.produce(&both(0));
    wait_until(PATIENCE, "both are known", || stack.read("commands").len() == 1);
    stack.faults(r#"[{"kind":"status","status":503,"on":"preferences"}]"#);
    let mut sent = 1;
    wait_until(PATIENCE, "what was known of them is too old", || {
        stack.produce(&both(sent));
        sent += 1;
        processor.metric("stepup_preferences_lookups_total", &["result=\"stale\""]) >= 6.0
    });
    stack.produce(&both(sent));
    wait_until(PATIENCE, "the good one's are commanded", || stack.read("commands").len() == sent + 1);
    let unknown = ["tenant=\"ghost\"", "decision=\"tenant_unknown\""];
    wait_until(PATIENCE, "the ghost's are passed over", || {
        processor.metric("stepup_decisions_total", &unknown) == (sent + 1) as f64
    });
    assert_eq!(processor.metric("stepup_held", &["preferences"]), 0.0);
    let failed = processor.metric("stepup_http_responses_total", &["target=\"preferences\"", "class=\"5xx\""]);
    assert!(failed > 0.0, "its answers are counted");
}

#[test]
fn a_partition_of_nothing_but_poison_stands_while_the_others_go_on_and_is_let_go_on_by_the_configuration() {
    let stack = Stack::new("flood", 2, &[("acme", ON)]).with("evaluate: { flood: { records: 500 }, batch_size: 100 }");
    let mut processor = stack.run("evaluate");
    let poison: Vec<(i32, String)> = (0..2_000).map(|number| (0, format!("poison {number}"))).collect();
    let good = |from: usize| {
        let event = move |number| (1, one("acme", &format!("good-{number}"), "password_change").1);
        (from..from + 300).map(event).collect::<Vec<(i32, String)>>()
    };
    let produce = |records: &[(i32, String)]| {
        services::produce_to(&stack.brokers, &stack.topic("activity"), records);
    };
    produce(&good(0));
    produce(&poison);
    produce(&good(300));
    wait_until(PATIENCE, "the partition stands", || processor.metric("stepup_flood", &["partition=\"0\""]) == 1.0);
    let ready = processor.page("/readyz").unwrap_err();
    assert!(ready.contains("input") && ready.contains("cannot be processed"), "{ready}");
    wait_until(PATIENCE, "the other one goes on", || stack.read("commands").len() == 600);
    produce(&good(600));
    wait_until(PATIENCE, "and on", || stack.read("commands").len() == 900);
    let letters = stack.read("dead-letters").len();
    assert!((400..500).contains(&letters), "{letters} dead letters: those before the flood was one");
    wait_until(PATIENCE, "its lag is told", || {
        processor.metric("stepup_consumer_lag", &["evaluate", "partition=\"0\""]) == (2_000 - letters) as f64
    });
    assert!(processor.process.stderr().contains("evaluate.flood.records"), "{}", processor.process.stderr());

    processor.stop();
    let processor = stack.run_with("evaluate", &[("STEPUP__EVALUATE__FLOOD__RECORDS", "0")]);
    wait_until(PATIENCE, "all are in the dead letters", || stack.read("dead-letters").len() == 2_000);
    processor.until_ready();
    assert_eq!(stack.read("commands").len(), 900, "and nothing was done twice");
}

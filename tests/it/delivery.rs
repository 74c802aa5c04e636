//! The session API as it is on a bad day.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::services::{self, directory, wait_for, wait_until};
use crate::stack::{PATIENCE, Stack, event, just_now, one_outcome_each};

const PLAIN: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"password_change":true,
    "high_frequency_betting":{"enabled":true,"count":1,"window_minutes":5},"large_bet_placement":{"enabled":true}}}"#;

/// One password change each by so many customers.
fn changes(tenant: &str, customers: usize) -> Vec<(String, String)> {
    let now = just_now();
    (0..customers)
        .map(|number| event(tenant, &format!("c{number}"), &format!("{tenant}-{number}"), "password_change", &now, ""))
        .collect()
}

fn statuses(outcomes: &[Value]) -> BTreeSet<&str> {
    outcomes.iter().map(|outcome| outcome["status"].as_str().unwrap()).collect()
}

#[test]
fn a_lost_answer_is_asked_for_again_under_the_next_reference() {
    let stack = Stack::new("lost", 2, &[("acme", PLAIN)]);
    stack.faults(r#"[{"kind":"cut_after","count":3}]"#);
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&changes("acme", 10));
    let outcomes = one_outcome_each(&stack.outcomes(10));
    let renamed = outcomes.iter().filter(|(command, outcome)| outcome["reference"] == format!("{command}.2")).count();
    let plain = outcomes.iter().filter(|(command, outcome)| outcome["reference"] == **command).count();
    assert_eq!((renamed, plain), (3, 7));
    assert!(outcomes.values().all(|outcome| outcome["token"].as_str().is_some_and(|token| !token.is_empty())));
    assert_eq!(stack.simulator("/sim/stats")["created"], 13, "three sessions are left unused");
    assert_eq!(processor.metric("stepup_orphan_sessions_total", &[]), 3.0);
}

#[test]
fn a_lost_answer_is_only_reported_where_that_is_asked_for() {
    let stack = Stack::new("report", 1, &[("acme", PLAIN)]).with("dispatch: { on_lost_answer: report }");
    stack.faults(r#"[{"kind":"cut_after","count":1}]"#);
    let _processor = stack.run("evaluate,dispatch");
    stack.produce(&changes("acme", 1));
    assert_eq!(statuses(&stack.outcomes(1)), BTreeSet::from(["already_exists"]));
}

#[test]
fn a_transaction_that_has_a_session_already_is_not_asked_about_twice() {
    let stack = Stack::new("transaction", 1, &[("acme", PLAIN)]).with("evaluate: { reference: transaction_id }");
    let _processor = stack.run("evaluate,dispatch");
    // One bet fires two triggers, and both commands bear the bet's transaction.
    stack.produce(&[event("acme", "c", "b", "bet", &just_now(), r#","amount":5,"transaction_id":"tx-1""#)]);
    let outcomes = stack.outcomes(2);
    assert_eq!(statuses(&outcomes), BTreeSet::from(["already_exists", "session_created"]));
    assert!(outcomes.iter().all(|outcome| outcome["reference"] == "tx-1"), "{outcomes:?}");
}

#[test]
fn a_storm_of_errors_is_outlasted() {
    let stack = Stack::new("storm", 2, &[("acme", PLAIN)])
        .with("dispatch: { park_after: 100ms, breaker: { failures: 0 }, retry_budget: { least: 1000 } }");
    stack.faults(
        r#"[{"kind":"status","status":503,"count":30},{"kind":"status","status":429,"retry_after":1,"count":10},
            {"kind":"cut_before","count":10},{"kind":"garbage","count":5}]"#,
    );
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&changes("acme", 40));
    let outcomes = one_outcome_each(&stack.outcomes(40));
    assert!(outcomes.values().all(|outcome| outcome["status"] == "session_created"));
    let attempts: u64 = outcomes.values().map(|outcome| outcome["attempts"].as_u64().unwrap()).sum();
    assert!(attempts >= 95, "{attempts} calls for 40 commands and 55 faults");
    assert!(processor.metric("stepup_parked_total", &[]) > 0.0, "long waits go to the retries topic");
    assert!(!stack.read("retries").is_empty());
}

#[test]
fn a_service_that_fails_wholly_is_only_probed_and_nothing_is_lost_when_it_is_back() {
    const COMMANDS: usize = 150;
    let stack = Stack::new("down", 2, &[("acme", PLAIN)]).with(
        "dispatch: { concurrency: 16, concurrency_per_tenant: 16, park_after: 500ms, breaker: { failures: 5, pause: 300ms, longest_pause: 2s } }",
    );
    stack.faults(r#"[{"kind":"status","status":503}]"#);
    let processor = stack.run("evaluate,dispatch");
    processor.until_ready();
    stack.produce(&changes("acme", COMMANDS));
    let state = |state: &str| processor.metric("stepup_session_api_breaker", &[state]);
    let opened = || processor.metric("stepup_session_api_breaker_opened_total", &[]);
    wait_until(PATIENCE, "it is probed", || opened() >= 5.0);
    assert_eq!(state("\"open\"") + state("half_open"), 1.0);
    assert_eq!(state("closed") + state("recovering"), 0.0);
    let calls = stack.simulator("/sim/stats")["calls"].as_u64().unwrap();
    // The five that opened it, what was under way then, and one probe for each time that it opened again.
    assert!(calls as f64 <= 5.0 + 16.0 + opened(), "{calls} calls, opened {} times", opened());
    assert!(processor.process.stderr().contains("fails call after call"), "{}", processor.process.stderr());
    stack.faults("[]");
    let outcomes = one_outcome_each(&stack.outcomes(COMMANDS));
    assert!(outcomes.values().all(|outcome| outcome["status"] == "session_created"));
    assert_eq!(stack.simulator("/sim/stats")["created"], COMMANDS, "one session each");
    wait_until(PATIENCE, "the breaker is closed", || state("closed") == 1.0);
    assert!(stack.read("dead-letters").is_empty());
}

#[test]
fn retries_are_a_tenth_of_the_calls_however_long_a_service_fails() {
    const COMMANDS: usize = 200;
    let stack = Stack::new("budget", 2, &[("acme", PLAIN)])
        .with("dispatch: { park_after: 0s, backoff_base: 10ms, backoff_cap: 100ms, breaker: { failures: 0 } }");
    stack.faults(r#"[{"kind":"status","status":503}]"#);
    let processor = stack.run("evaluate,dispatch");
    processor.until_ready();
    let begun = stepup::edge::clock::now();
    stack.produce(&changes("acme", COMMANDS));
    wait_until(PATIENCE, "many had to wait, and twice", || {
        processor.metric("stepup_retries_delayed_total", &[]) >= 2.0 * COMMANDS as f64
    });
    let calls = stack.simulator("/sim/stats")["calls"].as_u64().unwrap();
    // What is saved up at first, and one a second.
    let most = COMMANDS as f64 * 1.1 + 10.0 + stepup::edge::clock::now().since(begun).as_secs_f64() + 1.0;
    assert!((COMMANDS as f64..=most).contains(&(calls as f64)), "{calls} calls, at most {most}");
    stack.faults("[]");
    let outcomes = one_outcome_each(&stack.outcomes(COMMANDS));
    assert!(outcomes.values().all(|outcome| outcome["status"] == "session_created"));
    assert_eq!(stack.simulator("/sim/stats")["created"], COMMANDS, "one session each");
}

#[test]
fn a_refused_command_ends_as_rejected_and_stands_in_the_dead_letters() {
    let stack = Stack::new("rejected", 1, &[("acme", PLAIN)]);
    stack.faults(r#"[{"kind":"status","status":422}]"#);
    let _processor = stack.run("evaluate,dispatch");
    stack.produce(&changes("acme", 1));
    let outcomes = stack.outcomes(1);
    assert_eq!(outcomes[0]["status"], "rejected");
    assert_eq!(outcomes[0]["http_status"], 422);
    let letters = stack.read("dead-letters");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].header("error-code"), Some("rejected"));
    assert_eq!(letters[0].header("stage"), Some("dispatch"));
    assert_eq!(letters[0].payload, stack.read("commands")[0].payload);
}

#[test]
fn a_tenant_whose_credential_is_refused_is_paused_and_costs_the_others_nothing() {
    let stack = Stack::new("refused", 2, &[("good", PLAIN), ("bad", PLAIN)])
        .with("dispatch: { pause: 1s, concurrency_per_tenant: 4 }");
    stack.faults(r#"[{"kind":"status","status":401,"tenant":"bad"}]"#);
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&changes("bad", 100));
    stack.produce(&changes("good", 50));
    let outcomes = stack.outcomes(50);
    assert!(outcomes.iter().all(|outcome| outcome["tenant_id"] == "good"), "none of the refused tenant's is burned");
    assert_eq!(processor.metric("stepup_paused_tenants", &[]), 1.0);
    wait_until(PATIENCE, "the tenant was probed", || processor.metric("stepup_parked_total", &[]) >= 100.0);
    let calls = stack.simulator("/sim/stats")["calls"].as_u64().unwrap();
    assert!(calls < 50 + 100, "{calls} calls: a paused tenant is probed, not hammered");
    stack.faults("[]");
    let outcomes = one_outcome_each(&stack.outcomes(150));
    assert!(outcomes.values().all(|outcome| outcome["status"] == "session_created"));
    assert_eq!(processor.metric("stepup_paused_tenants", &[]), 0.0);
    assert!(stack.read("dead-letters").is_empty());
}

#[test]
fn a_tenant_whose_credential_cannot_be_read_is_paused_and_costs_the_others_nothing() {
    let stack = Stack::new("unreadable", 2, &[("good", PLAIN), ("bad", PLAIN)])
        .with("dispatch: { pause: 1s, breaker: { failures: 5 } }");
    let credentials = directory("credentials");
    for (tenant, credential) in [("good", "secret-1"), ("bad", "")] {
        std::fs::write(credentials.path().join(tenant), credential).unwrap();
    }
    let theirs = credentials.path().display().to_string();
    let processor = stack.run_with("evaluate,dispatch", &[("STEPUP__SESSION_API__CREDENTIALS_DIR", &theirs)]);
    stack.produce(&changes("bad", 60));
    stack.produce(&changes("good", 50));
    let outcomes = stack.outcomes(50);
    assert!(outcomes.iter().all(|outcome| outcome["tenant_id"] == "good"), "{outcomes:?}");
    wait_until(PATIENCE, "the tenant is paused", || processor.metric("stepup_paused_tenants", &[]) == 1.0);
    assert_eq!(processor.metric("stepup_session_api_breaker_opened_total", &[]), 0.0, "the service is there");
    processor.until_ready();
    assert_eq!(stack.simulator("/sim/stats")["calls"], 50);
    std::fs::write(credentials.path().join("bad"), "secret-2").unwrap();
    assert_eq!(one_outcome_each(&stack.outcomes(110)).len(), 110);
    assert_eq!(processor.metric("stepup_paused_tenants", &[]), 0.0);
}

#[test]
fn a_tenant_that_fails_stops_no_calls_for_the_others() {
    let stack = Stack::new("failing", 2, &[("good", PLAIN), ("bad", PLAIN)])
        .with("dispatch: { park_after: 100ms, breaker: { failures: 5 }, retry_budget: { least: 1000 } }");
    stack.faults(r#"[{"kind":"status","status":503,"tenant":"bad"}]"#);
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&changes("good", 1));
    stack.outcomes(1);
    stack.produce(&changes("bad", 60));
    wait_until(PATIENCE, "it fails again and again", || processor.metric("stepup_retries_total", &[]) >= 120.0);
    assert_eq!(processor.metric("stepup_session_api_breaker_opened_total", &[]), 0.0);
    stack.produce(&changes("good", 50)[1..]);
    assert!(stack.outcomes(50).iter().all(|outcome| outcome["tenant_id"] == "good"));
    stack.faults("[]");
    assert_eq!(one_outcome_each(&stack.outcomes(110)).len(), 110);
}

#[test]
fn a_slow_tenant_does_not_hold_up_the_others() {
    let stack =
        Stack::new("slow", 1, &[("fast", PLAIN), ("slow", PLAIN)]).with("dispatch: { concurrency_per_tenant: 2 }");
    stack.faults(r#"[{"kind":"delay","delay_ms":1500,"tenant":"slow"}]"#);
    let _processor = stack.run("evaluate,dispatch");
    stack.produce(&changes("slow", 40));
    stack.produce(&changes("fast", 200));
    wait_for(PATIENCE, "the fast tenant is done", || {
        let outcomes = stack.json("outcomes");
        let of = |tenant: &str| outcomes.iter().filter(|outcome| outcome["tenant_id"] == tenant).count();
        match (of("fast"), of("slow")) {
            (200, 40) => panic!("the slow tenant was not slow: the test shows nothing"),
            (200, _) => Ok(()),
            (fast, slow) => Err(format!("{fast} fast, {slow} slow")),
        }
    });
    stack.faults("[]");
    assert_eq!(one_outcome_each(&stack.outcomes(240)).len(), 240);
}

#[test]
fn nobody_is_called_for_a_command_that_has_expired() {
    let stack = Stack::new("expired", 1, &[("acme", PLAIN)]).with("dispatch: { max_command_age: 6s, pause: 1s }");
    let evaluate = stack.run("evaluate");
    stack.produce(&changes("acme", 5));
    wait_until(PATIENCE, "the commands are there", || stack.read("commands").len() == 5);
    drop(evaluate);
    let last =
        stack.json("commands").iter().map(|command| command["expires_at"].as_str().unwrap().to_owned()).max().unwrap();
    wait_until(PATIENCE, "they have expired", || just_now() > last);
    let _dispatch = stack.run("dispatch");
    assert_eq!(statuses(&stack.outcomes(5)), BTreeSet::from(["expired"]));
    assert_eq!(stack.simulator("/sim/stats")["calls"], 0);
    let letters = stack.read("dead-letters");
    assert!(letters.len() == 5 && letters.iter().all(|letter| letter.header("error-code") == Some("expired")));
}

#[test]
fn a_command_that_comes_again_is_not_called_again() {
    let stack = Stack::new("again", 1, &[("acme", PLAIN)]);
    let evaluate = stack.run("evaluate");
    stack.produce(&changes("acme", 3));
    wait_until(PATIENCE, "the commands are there", || stack.read("commands").len() == 3);
    drop(evaluate);
    let commands = stack.read("commands");
    let again: Vec<(&[u8], &[u8])> =
        commands.iter().map(|record| (record.key.as_deref().unwrap(), record.payload.as_slice())).collect();
    services::produce(&stack.brokers, &stack.topic("commands"), &again);
    let dispatch = stack.run("dispatch");
    stack.outcomes(3);
    services::produce(&stack.brokers, &stack.topic("commands"), &again);
    wait_until(PATIENCE, "all nine are behind it", || {
        dispatch.metric("stepup_consumer_lag", &["commands"]) == 0.0 && stack.read("outcomes").len() >= 6
    });
    assert_eq!(one_outcome_each(&stack.json("outcomes")).len(), 3);
    assert_eq!(stack.simulator("/sim/stats")["calls"], 3);
}

#[test]
fn what_the_service_contradicts_is_counted_and_the_preferences_are_read_again() {
    let stack = Stack::new("contradicted", 1, &[("acme", PLAIN)]);
    let evaluate = stack.run("evaluate");
    stack.produce(&changes("acme", 1));
    wait_until(PATIENCE, "the command is there", || stack.read("commands").len() == 1);
    // The service has changed its mind since.
    stack.prefer("acme", r#"{"is_reuse_kyc_enabled":false}"#);
    let dispatch = stack.run("dispatch");
    let outcomes = stack.outcomes(1);
    assert_eq!(outcomes[0]["status"], "not_required");
    assert!(outcomes[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    wait_until(PATIENCE, "it is counted", || {
        dispatch.metric("stepup_contradictions_total", &["password_change"]) == 1.0
    });
    drop(evaluate);
}

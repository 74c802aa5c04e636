//! What people switch while processors run: the emergency stop, and the erasing of a customer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::services::{RedisServer, StepupProcess, kafka, wait_for, wait_until};
use crate::stack::{PATIENCE, Processor, Stack, event, free_port, just_now, one_outcome_each};

const ON: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,"password_change":true,
    "high_frequency_betting":{"enabled":true,"count":2,"window_minutes":5}}}"#;

/// What a verb said and how it ended.
struct Said {
    status: i32,
    out: String,
    people: String,
}

/// Runs a verb on the configuration of a stack.
fn stepup(stack: &Stack, verb: &str, args: &[&str]) -> Said {
    let config = stack.config(free_port());
    let args: Vec<&str> = [verb, "--config", &config].into_iter().chain(args.iter().copied()).collect();
    let mut process = StepupProcess::start(&args, &[]);
    let status = process.wait_exit(PATIENCE);
    Said { status: status.code().unwrap(), out: process.stdout(), people: process.stderr() }
}

#[track_caller]
fn switch(stack: &Stack, verb: &str, args: &[&str]) -> String {
    let said = stepup(stack, verb, args);
    assert_eq!(said.status, 0, "{verb} {args:?}: {}{}", said.out, said.people);
    said.people
}

/// A password change of each of these customers.
fn changes(tenant: &str, customers: std::ops::Range<usize>) -> Vec<(String, String)> {
    let now = just_now();
    customers
        .map(|number| event(tenant, &format!("c{number}"), &format!("{tenant}-{number}"), "password_change", &now, ""))
        .collect()
}

fn tenants(outcomes: &[Value]) -> BTreeSet<&str> {
    outcomes.iter().map(|outcome| outcome["tenant_id"].as_str().unwrap()).collect()
}

fn paused(processor: &Processor) -> f64 {
    processor.metric("stepup_controls", &["kind=\"pause\""])
}

#[track_caller]
fn until_paused(processors: &[&Processor], controls: f64) {
    wait_until(PATIENCE, "every replica knows", || processors.iter().all(|processor| paused(processor) == controls));
}

#[test]
fn a_paused_tenant_waits_while_the_others_go_on_and_is_served_once_it_is_resumed() {
    let stack = Stack::new("pause", 2, &[("acme", ON), ("other", ON)]);
    let processor = stack.run("evaluate,dispatch");
    processor.until_ready();
    let said = switch(&stack, "pause", &["--tenant", "acme", "--reason", "too many selfies"]);
    assert!(said.contains("paused: tenant acme") && said.contains("stepup resume --config"), "{said}");
    until_paused(&[&processor], 1.0);
    stack.produce(&changes("acme", 0..10));
    stack.produce(&changes("other", 0..10));
    assert_eq!(tenants(&stack.outcomes(10)), BTreeSet::from(["other"]));
    wait_until(PATIENCE, "the paused commands wait on the retries topic", || {
        stack.read("commands").len() == 20 && processor.metric("stepup_parked_total", &[]) >= 10.0
    });
    let ready = processor.page("/readyz").unwrap();
    assert!(ready.contains("pause: tenant acme") && ready.contains("too many selfies"), "{ready}");
    assert_eq!(processor.metric("stepup_controls", &["tenant=\"acme\"", "trigger=\"any\""]), 1.0);
    let log = processor.process.stderr();
    assert!(log.contains("commands wait") && log.contains("tenant acme"), "{log}");
    let checked = stepup(&stack, "check", &[]);
    assert_eq!(checked.status, 0, "{}", checked.out);
    assert!(
        checked.out.lines().any(|line| line.contains("controls") && line.contains("tenant acme")),
        "{}",
        checked.out
    );
    assert!(stepup(&stack, "pause", &["--list"]).out.starts_with("pause: tenant acme, since "));
    assert_eq!(stack.simulator("/sim/stats")["calls"], 10, "nobody was asked for the paused tenant");

    let said = switch(&stack, "resume", &["--tenant", "acme"]);
    assert!(said.contains("resumed: tenant acme") && !said.contains("still paused"), "{said}");
    let outcomes = one_outcome_each(&stack.outcomes(20));
    assert!(outcomes.values().all(|outcome| outcome["status"] == "session_created"));
    assert_eq!(paused(&processor), 0.0);
    assert!(!processor.page("/readyz").unwrap().contains("pause"));
    assert_eq!(stepup(&stack, "pause", &["--list"]).out, "nothing is paused or in shadow\n");
}

#[test]
fn commands_that_are_held_for_too_long_expire_as_always() {
    let stack = Stack::new("hold", 1, &[("acme", ON)]).with("dispatch: { max_command_age: 8s, pause: 1s }");
    let processor = stack.run("evaluate,dispatch");
    processor.until_ready();
    let said = switch(&stack, "pause", &[]);
    assert!(said.contains("paused: ALL commands of ALL tenants"), "{said}");
    until_paused(&[&processor], 1.0);
    stack.produce(&changes("acme", 0..5));
    let outcomes = one_outcome_each(&stack.outcomes(5));
    assert!(outcomes.values().all(|outcome| outcome["status"] == "expired"), "{outcomes:?}");
    assert_eq!(stack.simulator("/sim/stats")["calls"], 0);
    assert_eq!(stack.read("dead-letters").len(), 5);
    // One who comes new knows it before his first call.
    drop(processor);
    let successor = stack.run("evaluate,dispatch");
    stack.produce(&changes("acme", 5..7));
    let outcomes = one_outcome_each(&stack.outcomes(7));
    assert!(outcomes.values().all(|outcome| outcome["status"] == "expired"), "{outcomes:?}");
    assert_eq!(paused(&successor), 1.0);
}

#[test]
fn a_pause_counts_in_every_replica_within_five_seconds_and_survives_an_emptied_redis() {
    let redis = RedisServer::start();
    let stack = Stack::on("replicas", 2, &[("acme", ON)], kafka(), &redis.url());
    let replicas = [stack.run("dispatch"), stack.run("dispatch")];
    let _evaluate = stack.run("evaluate");
    let both = [&replicas[0], &replicas[1]];
    both.iter().for_each(|replica| replica.until_ready());
    for (verb, want) in [("pause", 1.0), ("resume", 0.0), ("pause", 1.0)] {
        switch(&stack, verb, &["--trigger", "password_change"]);
        let set = now();
        until_paused(&both, want);
        assert!(set.elapsed() < Duration::from_secs(5), "{verb} took {:?}", set.elapsed());
    }
    redis::cmd("FLUSHALL").exec(&mut redis.connect()).unwrap();
    let listed = wait_for(PATIENCE, "it is written back", || {
        let listed = stepup(&stack, "pause", &["--list"]).out;
        if listed.starts_with("pause: trigger password_change") { Ok(listed) } else { Err(listed) }
    });
    assert_eq!(listed.lines().count(), 1, "what was resumed is not back: {listed}");
    assert!(both.iter().all(|replica| paused(replica) == 1.0), "and meanwhile nobody went on");
    stack.produce(&changes("acme", 0..3));
    stack.produce(&[event("acme", "c", "l", "login", &just_now(), "")]);
    assert_eq!(stack.outcomes(1)[0]["event"], "login");
    switch(&stack, "resume", &["--trigger", "password_change"]);
    let outcomes = one_outcome_each(&stack.outcomes(4));
    assert!(outcomes.values().all(|outcome| outcome["status"] == "session_created"));
}

#[test]
fn what_is_typed_wrong_is_told_and_what_still_holds_too() {
    let stack = Stack::new("typed", 1, &[("acme", ON)]);
    for (args, words) in [
        (vec!["--trigger", "logins"], vec!["logins", "one of: login, password_change", "high_frequency_betting"]),
        (vec!["--tenant", "a b"], vec!["a b", "letter or digit"]),
        (vec!["--list", "--tenant", "acme"], vec!["--list", "cannot be used with"]),
    ] {
        let said = stepup(&stack, "pause", &args);
        assert_eq!(said.status, 2, "{}", said.people);
        assert!(words.iter().all(|word| said.people.contains(word)), "{}", said.people);
    }
    assert!(switch(&stack, "resume", &[]).contains("was not paused: everything"));
    switch(&stack, "pause", &[]);
    switch(&stack, "pause", &["--tenant", "acme"]);
    switch(&stack, "pause", &["--tenant", "b", "--trigger", "login"]);
    let said = switch(&stack, "resume", &["--tenant", "acme"]);
    assert!(said.contains("resumed: tenant acme") && said.contains("still paused: everything"), "{said}");
    assert!(!said.contains("tenant b"), "{said}");
    let said = switch(&stack, "resume", &[]);
    assert!(said.contains("still paused: trigger login of tenant b, until stepup resume"), "{said}");
    let said = stepup(&stack, "forget", &["--tenant", "acme"]);
    assert!(said.status == 2 && said.people.contains("--customer"), "{}", said.people);
}

#[test]
fn a_forgotten_customer_begins_anew_and_no_other_does() {
    let stack = Stack::new("forget", 1, &[("acme", ON)]);
    let processor = stack.run("evaluate,dispatch");
    let bet = |customer: &str, id: &str| event("acme", customer, id, "bet", &just_now(), r#","amount":5"#);
    let decided = |decision: &str, count: f64| {
        let label = format!("decision=\"{decision}\"");
        let frequency = "trigger=\"high_frequency_betting\"";
        wait_until(PATIENCE, decision, || processor.metric("stepup_decisions_total", &[&label, frequency]) == count);
    };
    stack.produce(&[bet("c1", "1"), bet("c1", "2"), bet("c2", "3"), bet("c2", "4")]);
    decided("required", 2.0);
    let one = ["--tenant", "acme", "--customer", "c1"];
    for dry_run in [true, true, false] {
        let args: Vec<&str> = one.into_iter().chain(dry_run.then_some("--dry-run")).collect();
        let said = stepup(&stack, "forget", &args);
        let done = if dry_run { "would be erased" } else { "erased" };
        assert_eq!(said.out, format!("2 keys {done}: 1 of windows, 1 of claims\n"), "{}", said.people);
    }
    assert_eq!(stepup(&stack, "forget", &one).out, "0 keys erased: 0 of windows, 0 of claims\n");
    stack.produce(&[bet("c1", "5"), bet("c2", "6")]);
    decided("below_frequency", 3.0);
    decided("in_cooldown", 1.0);
    assert_eq!(stepup(&stack, "forget", &one).out, "1 keys erased: 1 of windows, 0 of claims\n");
}

#[allow(clippy::disallowed_methods, reason = "processes run on the real clock")]
fn now() -> Instant {
    Instant::now()
}

//! Guard rails: what keeps a mistake from asking too many.

use serde_json::Value;

use crate::services::{StepupProcess, wait_until};
use crate::stack::{PATIENCE, Processor, Stack, event, free_port, just_now};

const ON: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true}}"#;

fn decided(processors: &[&Processor], decision: &str) -> f64 {
    let label = format!("decision=\"{decision}\"");
    processors.iter().map(|processor| processor.metric("stepup_decisions_total", &[&label])).sum()
}

/// The wall clock's minute.
fn minute() -> i64 {
    stepup::edge::clock::now().0 / 60_000
}

#[test]
fn replicas_together_never_ask_more_than_the_cap() {
    let stack = Stack::new("cap", 4, &[("acme", ON), ("other", ON)]).with("evaluate: { max_sessions_per_minute: 5 }");
    let replicas = [stack.run("evaluate"), stack.run("evaluate")];
    let both = [&replicas[0], &replicas[1]];
    wait_until(PATIENCE, "both have partitions", || {
        both.iter().all(|replica| {
            replica.page("/readyz").is_ok() && replica.metric("stepup_assigned_partitions", &["evaluate"]) == 2.0
        })
    });
    let began = minute();
    let login = |tenant: &str, number: usize| {
        event(tenant, &format!("c{number}"), &format!("e{number}"), "login", &just_now(), "")
    };
    stack.produce(&(0..200).map(|number| login("acme", number)).collect::<Vec<_>>());
    stack.produce(&(0..3).map(|number| login("other", number)).collect::<Vec<_>>());
    wait_until(PATIENCE, "all are decided", || decided(&both, "required") + decided(&both, "capped") == 203.0);
    let most = 5 * (minute() - began + 1);
    let commands = stack.json("commands");
    let of = |tenant: &str| commands.iter().filter(|command| command["tenant_id"] == tenant).count() as i64;
    assert!((5..=most).contains(&of("acme")), "{} of at most {most}", of("acme"));
    assert_eq!(of("other"), 3, "another tenant has places of its own");
    assert_eq!(decided(&both, "capped"), (203 - commands.len()) as f64);
    assert!(both.iter().all(|replica| decided(&[replica], "capped") > 0.0), "both had their share");
}

/// Runs a verb on the configuration of a stack: how it ended, and what it told people.
fn stepup(stack: &Stack, verb: &str, args: &[&str]) -> (i32, String) {
    let config = stack.config(free_port());
    let args: Vec<&str> = [verb, "--config", &config].into_iter().chain(args.iter().copied()).collect();
    let mut process = StepupProcess::start(&args, &[]);
    let status = process.wait_exit(PATIENCE).code().unwrap();
    (status, process.stderr())
}

fn deposits(tenant: &str, round: &str, count: usize) -> Vec<(String, String)> {
    let now = just_now();
    let deposit = |number| {
        let id = format!("{tenant}-{round}-{number}");
        event(tenant, &format!("c{number}"), &id, "deposit", &now, r#","amount":"50""#)
    };
    (0..count).map(deposit).collect()
}

fn threshold(amount: u32) -> String {
    format!(
        r#"{{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{{"deposit":{{"enabled":true,"threshold":{amount}}},
        "login":true}}}}"#
    )
}

#[test]
fn a_change_of_preferences_that_asks_too_many_goes_to_shadow_until_it_is_released() {
    let strict = threshold(500);
    let stack = Stack::new("breaker", 2, &[("acme", &strict), ("other", &strict)])
        .with("evaluate: { breaker: { factor: 3, least: 10, window: 10m } }");
    let replicas = [stack.run("evaluate"), stack.run("evaluate")];
    let both = [&replicas[0], &replicas[1]];
    wait_until(PATIENCE, "both are ready", || both.iter().all(|replica| replica.page("/readyz").is_ok()));
    stack.produce(&deposits("acme", "before", 50));
    stack.produce(&deposits("other", "before", 50));
    wait_until(PATIENCE, "all are decided", || decided(&both, "below_threshold") == 100.0);

    stack.prefer("acme", &threshold(5));
    let open = |replica: &Processor| replica.metric("stepup_breaker_open", &["acme", "deposit"]);
    let mut round = 0;
    wait_until(PATIENCE, "a replica trips, and both know", || {
        round += 1;
        stack.produce(&deposits("acme", &format!("after-{round}"), 50));
        both.iter().all(|replica| open(replica) == 1.0)
    });
    let trips = || both.iter().map(|replica| replica.metric("stepup_breaker_trips_total", &[])).sum::<f64>();
    assert!((1.0..=2.0).contains(&trips()), "{}", trips());
    assert!(both.iter().any(|replica| replica.process.stderr().contains("evaluate.breaker.factor")));
    let ready = replicas[1].page("/readyz").unwrap();
    assert!(ready.contains("shadow: trigger deposit of tenant acme") && ready.contains("a minute"), "{ready}");

    // From now on it is decided and counted, and nobody is asked; other triggers go on.
    let of_the_round = |topic: &str, round: &str| {
        let caused = |command: &Value| command["cause"]["event_id"].as_str().unwrap().starts_with(round);
        stack.json(topic).iter().filter(|command| caused(command)).count()
    };
    stack.produce(&deposits("acme", "shadow", 50));
    stack.produce(&[event("acme", "c", "the-login", "login", &just_now(), "")]);
    wait_until(PATIENCE, "all are in shadow", || of_the_round("shadow", "acme-shadow") == 50);
    wait_until(PATIENCE, "but for the login", || of_the_round("commands", "the-login") == 1);
    assert_eq!(of_the_round("commands", "acme-shadow"), 0);

    let what = ["--tenant", "acme", "--trigger", "deposit"];
    let (status, said) = stepup(&stack, "keep", &what);
    assert!(status == 0 && said.contains("kept in shadow: trigger deposit of tenant acme"), "{said}");
    wait_until(PATIENCE, "the alarm is off", || both.iter().all(|replica| open(replica) == 0.0));
    assert_eq!(replicas[0].metric("stepup_controls", &["kind=\"shadow\"", "acme", "deposit"]), 1.0);

    let (status, said) = stepup(&stack, "release", &what);
    assert!(status == 0 && said.contains("released: trigger deposit of tenant acme"), "{said}");
    let switched = || both.iter().map(|replica| replica.metric("stepup_controls", &[])).sum::<f64>();
    wait_until(PATIENCE, "both know", || switched() == 0.0);
    let tripped = trips();
    stack.produce(&deposits("acme", "released", 100));
    wait_until(PATIENCE, "all are asked again", || of_the_round("commands", "acme-released") == 100);
    assert_eq!((trips(), switched()), (tripped, 0.0), "what was released is accepted");
    let (status, said) = stepup(&stack, "keep", &what);
    assert!(status == 1 && said.contains("is not in shadow by the breaker"), "{said}");
}

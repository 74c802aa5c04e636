//! The auditor over runs on the real services: a clean one is found so, and what is forged is named with its place.

use serde_json::Value;
use stepup::domain::time::Timestamp;
use stepup::edge::clock;

use crate::services::{self, StepupProcess, create_topic};
use crate::stack::{PATIENCE, Stack, event, free_port, just_now};

const RULES: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-01-01T00:00:00Z","reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":3,"window_minutes":10},
    "large_bet_placement":{"enabled":true,"threshold":400},"login":true,
    "deposit":{"enabled":true,"threshold":50},"withdrawal":{"enabled":true,"threshold":100}}}"#;

/// What an audit answered, and how it ended.
struct Audited {
    report: Value,
    status: i32,
    people: String,
}

impl Audited {
    fn check(&self, name: &str) -> &Value {
        self.report["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap()
    }

    fn counted(&self, name: &str) -> u64 {
        self.report["counted"][name].as_u64().unwrap()
    }

    /// The one violation that there is.
    #[track_caller]
    fn only_violation(&self, check: &str) -> &Value {
        assert_eq!(self.status, 1, "{}", self.report);
        for other in self.report["checks"].as_array().unwrap() {
            let want = u64::from(other["name"] == check);
            assert_eq!(other["violations"], want, "{} {}", other["name"], self.report);
        }
        let violation = &self.check(check)["first"][0];
        let said = violation["at"].as_str().unwrap();
        assert!(self.people.contains(said) && self.people.lines().count() == 1, "{}", self.people);
        violation
    }
}

fn audit(stack: &Stack, args: &[&str]) -> Audited {
    audit_of(&stack.config(free_port()), args)
}

fn audit_of(config: &str, args: &[&str]) -> Audited {
    let args: Vec<&str> = ["audit", "--config", config, "--json"].into_iter().chain(args.iter().copied()).collect();
    let mut process = StepupProcess::start(&args, &[]);
    let status = process.wait_exit(PATIENCE).code().unwrap();
    let (out, people) = (process.stdout(), process.stderr());
    let report = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {people}"));
    Audited { report, status, people }
}

/// Bursts, repeats, bets out of order, events that cannot be processed, and customers whose commands are rejected or expire.
fn traffic() -> Vec<(String, String)> {
    let now = clock::now();
    let at = |seconds: i64| Timestamp(now.0 - 300_000 + seconds * 1_000).to_string();
    let mut events = Vec::new();
    for customer in 0..30 {
        let name = format!("player-{customer}");
        for bet in 0..6 {
            let when = at(if bet == 4 { -100 } else { bet * 7 });
            let more = format!(r#","amount":{}"#, 20 + customer * 15 + bet);
            events.push(event("acme", &name, &format!("b{customer}-{bet}"), "bet", &when, &more));
            if (customer + bet) % 5 == 0 {
                events.push(events[events.len() - 1].clone());
            }
        }
        let more = format!(r#","amount":"{}.25","transaction_id":"t{customer}""#, customer * 4);
        events.push(event("acme", &name, &format!("d{customer}"), "deposit", &at(50), &more));
        events.push(event("acme", &name, &format!("l{customer}"), "login", &at(60), ""));
        events.push(event("acme", &name, &format!("m{customer}"), "login", &at(61), ""));
    }
    for customer in 0..5 {
        let name = format!("person-{customer}");
        events.push(event("refused", &name, &format!("r{customer}"), "login", &at(0), ""));
        events.push(event("late", &name, &format!("x{customer}"), "login", &at(0), ""));
        events.push(event("nobody", &name, &format!("n{customer}"), "login", &at(0), ""));
    }
    for (place, bad) in [
        "{\"id\":".to_owned(),
        r#"{"id":"a","tenant_id":"acme"}"#.to_owned(),
        "x".repeat(70_000),
        event("acme", "c", "future", "login", "2099-01-01T00:00:00Z", "").1,
        event("acme", "c", "odd", "jackpot", &just_now(), "").1,
    ]
    .into_iter()
    .enumerate()
    {
        events.insert(place * 20, ("bad".to_owned(), bad));
    }
    events
}

const FAULTS: &str = r#"[{"tenant":"refused","kind":"status","status":422},{"tenant":"late","kind":"status","status":503},
    {"tenant":"acme","kind":"cut_after","rate":0.2,"count":8}]"#;

/// A run over the traffic, ended.
fn run(name: &str) -> Stack {
    let tenants = [("acme", RULES), ("refused", RULES), ("late", RULES)];
    let stack = Stack::new(name, 3, &tenants).with("dispatch: { max_command_age: 10s, pause: 1s, park_after: 1s }");
    stack.faults(FAULTS);
    let mut processor = stack.run("evaluate,dispatch");
    stack.produce(&traffic());
    let commands = settled_commands(&stack);
    stack.outcomes(commands);
    processor.stop();
    stack
}

/// The number of commands, once every event was worked on.
fn settled_commands(stack: &Stack) -> usize {
    // Bursts of 30, deposits of at least 50, large bets, and one login each.
    services::wait_for(PATIENCE, "every event is decided", || {
        let audited = audit(stack, &[]);
        let pending = audited.check("required_commands")["violations"].as_u64().unwrap() + audited.counted("pending");
        let commands = usize::try_from(audited.report["commands"].as_u64().unwrap()).unwrap();
        let outcomes = audited.report["outcomes"].as_u64().unwrap() as usize;
        if commands > 80 && commands == outcomes && pending == 0 {
            Ok(commands)
        } else {
            Err(audited.report.to_string())
        }
    })
}

#[test]
fn a_clean_run_is_found_clean_and_what_is_forged_afterwards_is_named() {
    let stack = run("audit");
    let api = stack.api();
    let args = ["--expect-drained", "--windows", "--sessions", api.as_str()];
    let audited = audit(&stack, &args);
    assert_eq!((audited.status, audited.people.as_str()), (0, ""), "{}", audited.report);
    assert_eq!(audited.report["ok"], true);
    for check in audited.report["checks"].as_array().unwrap() {
        let retried = check["name"] == "retries_of_commands";
        assert!(retried || check["checked"].as_u64().unwrap() > 0, "{check} was not checked");
        assert_eq!(check["skipped"], Value::Null, "{check}");
    }
    assert_eq!(audited.check("dead_letters_of_commands")["checked"], 10);
    assert_eq!([audited.counted("undecided"), audited.counted("pending"), audited.counted("by_the_clock")], [0, 0, 1]);
    assert!(audited.counted("orphans") > 0, "{}", audited.report);
    a_second_outcome_is_named(&stack);
    a_lost_command_is_named(&stack);
}

#[test]
fn crashes_and_customers_in_several_partitions_break_no_promise() {
    let stack = Stack::new("audit-crash", 3, &[("acme", RULES)]).with("evaluate: { batch_size: 20 }");
    stack.faults(r#"[{"kind":"cut_after","rate":0.05},{"kind":"status","status":503,"rate":0.1}]"#);
    let mut events = traffic();
    // What comes keyed by anything but the customer is spread over the partitions.
    for (place, event) in events.iter_mut().enumerate().filter(|(_, (key, _))| key.ends_with('3')) {
        event.0 = format!("any-{place}");
    }
    for part in events.chunks(170) {
        let mut killed = stack.run("evaluate,dispatch");
        killed.until_ready();
        stack.produce(part);
        // Somewhere in the middle of its work.
        services::wait_until(PATIENCE, "it has begun", || killed.metric("stepup_events_total", &[]) > 0.0);
        killed.process.kill9();
    }
    let mut processor = stack.run("evaluate,dispatch");
    stack.outcomes(settled_commands(&stack));
    processor.stop();
    let api = stack.api();
    let audited = audit(&stack, &["--expect-drained", "--windows", "--sessions", api.as_str()]);
    assert_eq!((audited.status, audited.people.as_str()), (0, ""), "{}", audited.report);
    assert_eq!((audited.counted("undecided"), audited.counted("several_partitions")), (0, 3), "{}", audited.report);
}

/// Forges a second outcome of a command, and looks for it.
fn a_second_outcome_is_named(stack: &Stack) {
    let outcomes = stack.read("outcomes");
    let first = outcomes.iter().find(|record| record.text().contains(r#""status":"rejected""#)).unwrap();
    let forged = first.text().replace(r#""attempts":1"#, r#""attempts":2"#);
    assert_ne!(forged, first.text());
    let places = services::produce(&stack.brokers, &stack.topic("outcomes"), &[(first.key.clone().unwrap(), forged)]);
    let audited = audit(stack, &["--expect-drained"]);
    let violation = audited.only_violation("one_outcome");
    let place = |partition: i32, offset: i64| format!("{}[{partition}]@{offset}", stack.topic("outcomes"));
    assert_eq!(violation["at"], place(places[0].0, places[0].1));
    assert_eq!(violation["against"], place(first.partition, first.offset));
    assert_eq!(violation["tenant_id"], "refused");
    let text = serde_json::to_string(&audited.report).unwrap();
    let tokens: Vec<Value> =
        stack.json("outcomes").into_iter().filter_map(|outcome| outcome.get("token").cloned()).collect();
    assert!(!tokens.is_empty());
    for secret in tokens.iter().filter_map(Value::as_str).chain(["player-", "person-"]) {
        assert!(!text.contains(secret) && !audited.people.contains(secret), "{secret} in {text}");
    }
}

/// Takes one login's command away, and looks for it. (The forged outcome of before has a topic of its own now.)
fn a_lost_command_is_named(stack: &Stack) {
    let [commands, outcomes] = ["fewer-commands", "fewer-outcomes"].map(|kind| {
        create_topic(&stack.brokers, &stack.topic(kind), 1);
        stack.topic(kind)
    });
    let lost = stack.json("commands").into_iter().find(|command| command["cause"]["event_id"] == "l7").unwrap();
    let id = lost["id"].as_str().unwrap();
    let copy = |from: &str, to: &str| {
        let records = stack.read(from).into_iter().filter(|record| !record.text().contains(id));
        let keep = |text: &str| {
            !text.contains(r#""status":"rejected","http_status":422,"reason""#) || text.contains(r#""attempts":1"#)
        };
        let kept: Vec<_> = records.filter(|r| keep(r.text())).map(|r| (r.key.clone().unwrap(), r.payload)).collect();
        services::produce(&stack.brokers, to, &kept);
    };
    copy("commands", &commands);
    copy("outcomes", &outcomes);
    let config = stack.config(free_port());
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text
        .replace(&format!("commands: {},", stack.topic("commands")), &format!("commands: {commands},"))
        .replace(&format!("outcomes: {},", stack.topic("outcomes")), &format!("outcomes: {outcomes},"));
    std::fs::write(&config, text).unwrap();
    let audited = audit_of(&config, &["--expect-drained"]);
    let violation = audited.check("required_commands")["first"][0].clone();
    let cause = &lost["cause"];
    let place = format!("{}[{}]@{}", stack.topic("activity"), cause["partition"], cause["offset"]);
    assert_eq!(
        (&violation["at"], &violation["event_id"]),
        (&Value::from(place), &Value::from("l7")),
        "{}",
        audited.report
    );
    assert_eq!((&violation["command_id"], &violation["trigger"]), (&lost["id"], &Value::from("login")));
    assert_eq!(audited.check("required_commands")["violations"], 1, "{}", audited.report);
    assert_eq!(audited.status, 1);
    assert!(audited.people.contains("a required command is missing"), "{}", audited.people);
}

/// A document as the README's quick start has it: nothing in it says when it was changed.
const UNDATED: &str =
    r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"withdrawal":{"enabled":true,"threshold":500}}}"#;
const DEPOSITS_TOO: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
    "withdrawal":{"enabled":true,"threshold":500},"deposit":{"enabled":true}}}"#;

#[test]
fn preferences_that_were_changed_lose_no_command_although_nothing_in_them_says_when() {
    let stack = Stack::new("audit-changed", 1, &[("acme", UNDATED)]);
    let mut processor = stack.run("evaluate,dispatch");
    stack.produce(&[
        event("acme", "c1", "d1", "deposit", &just_now(), r#","amount":"20""#),
        event("new", "c2", "d2", "deposit", &just_now(), r#","amount":"20""#),
        event("acme", "c1", "w1", "withdrawal", &just_now(), r#","amount":"900""#),
    ]);
    stack.outcomes(1);
    processor.stop();
    for (changes, undecided) in [(&[][..], 0), (&["acme", "new"], 2)] {
        for tenant in changes {
            stack.prefer(tenant, DEPOSITS_TOO);
        }
        let audited = audit(&stack, &["--expect-drained"]);
        assert_eq!((audited.status, audited.people.as_str()), (0, ""), "{}", audited.report);
        assert_eq!(audited.counted("undecided"), undecided, "{}", audited.report);
        assert_eq!(audited.check("required_commands")["checked"], 1, "{}", audited.report);
    }
    // Preferences that were the same all the time excuse nothing.
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    let file = std::fs::File::open(stack.preferences().join("acme.json")).unwrap();
    file.set_modified(long_ago).unwrap();
    let audited = audit(&stack, &["--expect-drained"]);
    assert_eq!(audited.only_violation("required_commands")["event_id"], "d1");
}

//! `stepup redrive`: dead letters back to where they came from, on the real thing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use serde_json::Value;
use stepup::domain::time::Timestamp;
use stepup::roles::receipt::{Rerun, rerun_one};

use crate::services::{StepupProcess, block_on, wait_until};
use crate::stack::{PATIENCE, Stack, event, free_port, just_now, one_outcome_each};

const PLAIN: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"password_change":true,
    "high_frequency_betting":{"enabled":true,"count":1,"window_minutes":5},"large_bet_placement":{"enabled":true}}}"#;
const WITH_EUR: &str = r#"evaluate: { receipts: all, rates: { EUR: "1.08" } }"#;

/// What the verb said and how it ended.
struct Said {
    status: i32,
    out: String,
    people: String,
}

fn start(stack: &Stack, args: &[&str]) -> StepupProcess {
    let config = stack.config(free_port());
    let args: Vec<&str> = ["redrive", "--config", &config].into_iter().chain(args.iter().copied()).collect();
    StepupProcess::start(&args, &[])
}

#[track_caller]
fn ended(process: &mut StepupProcess) -> Said {
    let status = process.wait_exit(PATIENCE);
    Said { status: status.code().unwrap(), out: process.stdout(), people: process.stderr() }
}

fn redrive(stack: &Stack, args: &[&str]) -> Said {
    ended(&mut start(stack, args))
}

/// What it did, where it did it well.
#[track_caller]
fn redriven(stack: &Stack, args: &[&str]) -> Value {
    let said = redrive(stack, &[args, &["--json"]].concat());
    assert_eq!(said.status, 0, "{args:?}: {}{}", said.out, said.people);
    serde_json::from_str(&said.out).unwrap()
}

/// One password change each by so many customers.
fn changes(customers: usize) -> Vec<(String, String)> {
    let now = just_now();
    (0..customers)
        .map(|number| event("acme", &format!("c{number}"), &format!("e{number}"), "password_change", &now, ""))
        .collect()
}

/// Different commands by the command that they take up.
fn taken_up(stack: &Stack) -> BTreeMap<String, BTreeSet<String>> {
    let mut by_old: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for command in stack.json("commands") {
        if let Some(old) = command["redrive_of"].as_str() {
            by_old.entry(old.to_owned()).or_default().insert(command["id"].as_str().unwrap().to_owned());
        }
    }
    by_old
}

#[test]
fn commands_of_one_transaction_that_were_refused_make_one_session_when_they_are_redriven() {
    let stack = Stack::new("one-session", 1, &[("acme", PLAIN)]).with("evaluate: { reference: transaction_id }");
    stack.faults(r#"[{"kind":"status","status":422,"count":2}]"#);
    let _processor = stack.run("evaluate,dispatch");
    // One bet fires two triggers, and both commands bear the bet's transaction.
    stack.produce(&[event("acme", "c", "b", "bet", &just_now(), r#","amount":5,"transaction_id":"tx-1""#)]);
    assert!(stack.outcomes(2).iter().all(|outcome| outcome["status"] == "rejected"));
    until_letters(&stack, 2);
    redriven(&stack, &[]);
    let outcomes = stack.outcomes(4);
    let statuses: BTreeSet<&str> = outcomes[2..].iter().map(|outcome| outcome["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, BTreeSet::from(["already_exists", "session_created"]));
    assert_eq!(stack.simulator("/sim/stats")["created"], 1, "nobody is asked twice");
}

#[track_caller]
fn until_letters(stack: &Stack, letters: usize) {
    wait_until(PATIENCE, "the dead letters are there", || stack.read("dead-letters").len() >= letters);
}

/// Code, stage, source topic, payload and further headers.
type Letter<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Writes dead letters by hand.
fn write_letters(stack: &Stack, letters: &[Letter<'_>]) {
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &stack.brokers).create().unwrap();
    for (code, stage, topic, payload, more) in letters {
        let own = [
            ("error-code", *code),
            ("error", "why"),
            ("stage", stage),
            ("source-topic", topic),
            ("source-partition", "0"),
            ("source-offset", "0"),
        ];
        let headers = own
            .iter()
            .chain(*more)
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        let topic = stack.topic("dead-letters");
        let record = FutureRecord::to(&topic).key("acme/c").payload(*payload).headers(headers);
        block_on(async { producer.send(record, Timeout::Never).await.unwrap() });
    }
}

#[test]
fn rejected_commands_end_with_one_session_each_however_often_they_are_redriven() {
    let stack = Stack::new("redrive", 2, &[("acme", PLAIN)]);
    stack.faults(r#"[{"kind":"status","status":422}]"#);
    let _processor = stack.run("evaluate,dispatch");
    stack.produce(&changes(4));
    let rejected = one_outcome_each(&stack.outcomes(4));
    assert!(rejected.values().all(|outcome| outcome["status"] == "rejected"));
    until_letters(&stack, 4);

    let dry = redriven(&stack, &["--dry-run"]);
    assert_eq!((&dry["dry_run"], &dry["redriven"], &dry["refused"]), (&true.into(), &4.into(), &0.into()), "{dry}");
    let group = &dry["by"][0];
    assert_eq!(
        (&group["code"], &group["stage"], &group["tenant"]),
        (&"rejected".into(), &"dispatch".into(), &"acme".into())
    );
    assert_eq!(group["source_topic"].as_str(), Some(stack.topic("commands").as_str()));
    let said = redrive(&stack, &["--dry-run"]);
    assert!(said.out.starts_with("4 of 4 dead letters would be redriven\n       4  rejected "), "{}", said.out);
    assert_eq!(stack.read("commands").len(), 4, "nothing was sent");
    for filter in [["--code", "expired"], ["--tenant", "other"], ["--stage", "evaluate"], ["--to", "-1h"]] {
        assert_eq!(redriven(&stack, &filter)["redriven"], 0, "{filter:?}");
    }

    stack.faults("[]");
    // Two at once, neither of which can see what the other sends.
    let mut both = [start(&stack, &[]), start(&stack, &[])];
    for process in &mut both {
        let said = ended(process);
        assert_eq!(said.status, 0, "{}{}", said.out, said.people);
    }
    let again = redriven(&stack, &[]);
    assert_eq!((&again["redriven"], &again["redriven_before"]), (&0.into(), &4.into()), "{again}");
    let outcomes = one_outcome_each(&stack.outcomes(8));
    let by_old = taken_up(&stack);
    assert_eq!(by_old.keys().collect::<Vec<_>>(), rejected.keys().collect::<Vec<_>>());
    for new in by_old.values() {
        assert_eq!(new.len(), 1, "{by_old:?}");
        let outcome = &outcomes[new.first().unwrap()];
        assert_eq!(outcome["status"], "session_created", "{outcome}");
        assert_eq!(outcome["reference"], outcome["command_id"]);
    }
    assert_eq!(outcomes.len(), 8);
    assert_eq!(stack.simulator("/sim/stats")["created"], 4);
    assert_eq!(stack.read("dead-letters").len(), 4, "they stay where they are");
}

#[test]
fn a_redriven_command_that_fails_again_is_taken_up_in_turn() {
    let stack = Stack::new("redrive-on", 1, &[("acme", PLAIN)]);
    stack.faults(r#"[{"kind":"status","status":422}]"#);
    let _processor = stack.run("evaluate,dispatch");
    stack.produce(&changes(1));
    until_letters(&stack, 1);
    assert_eq!(redriven(&stack, &[])["redriven"], 1);
    stack.outcomes(2);
    until_letters(&stack, 2);
    stack.faults("[]");
    let second = redriven(&stack, &[]);
    assert_eq!((&second["redriven"], &second["redriven_before"]), (&1.into(), &1.into()), "{second}");
    let outcomes = one_outcome_each(&stack.outcomes(3));
    let by_old = taken_up(&stack);
    let first = stack.json("commands")[0]["id"].as_str().unwrap().to_owned();
    let second = by_old[&first].first().unwrap();
    let third = by_old[second].first().unwrap();
    assert_eq!(outcomes[second]["status"], "rejected");
    assert_eq!(outcomes[third]["status"], "session_created");
    assert_eq!(stack.simulator("/sim/stats")["created"], 1);
}

#[test]
fn a_transaction_whose_answer_was_lost_is_asked_about_under_its_next_name() {
    let reference = "evaluate: { reference: transaction_id }\n";
    let mut stack = Stack::new("redrive-tx", 1, &[("acme", PLAIN)])
        .with(&format!("{reference}dispatch: {{ max_command_age: 6s, pause: 1s }}"));
    stack.faults(r#"[{"kind":"cut_after","count":1},{"kind":"status","status":503}]"#);
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&[event("acme", "c", "e", "password_change", &just_now(), r#","transaction_id":"tx-1""#)]);
    let outcomes = stack.outcomes(1);
    assert_eq!((&outcomes[0]["status"], &outcomes[0]["reference"]), (&"expired".into(), &"tx-1".into()));
    until_letters(&stack, 1);
    stack.faults("[]");
    // The new command has more time, so that a slow machine shows the same.
    stack.extra = vec![reference.to_owned()];
    assert_eq!(redriven(&stack, &["--code", "expired"])["redriven"], 1);
    let outcomes = one_outcome_each(&stack.outcomes(2));
    let new = outcomes.values().find(|outcome| outcome["status"] != "expired").unwrap();
    assert_eq!((&new["status"], &new["reference"]), (&"session_created".into(), &"tx-1.2".into()), "{new}");
    assert_eq!(processor.metric("stepup_orphan_sessions_total", &[]), 1.0);
}

#[test]
fn an_event_whose_currency_has_a_rate_now_is_decided_and_however_old_where_that_is_asked_for() {
    let mut stack = Stack::new("redrive-events", 2, &[("acme", PLAIN)]);
    let old = Timestamp::parse(&just_now()).unwrap().minus(Duration::from_secs(1_800)).to_string();
    let bet =
        |customer: &str, at: &str| event("acme", customer, customer, "bet", at, r#","amount":5,"currency":"EUR""#);
    let mut processor = stack.run("evaluate,dispatch");
    stack.produce(&[bet("young", &just_now()), bet("old", &old)]);
    until_letters(&stack, 2);
    // Well, so that it is done with them, and they are not read again under the new rates.
    processor.stop();
    stack.extra.push(WITH_EUR.to_owned());
    let processor = stack.run("evaluate,dispatch");
    processor.until_ready();

    assert_eq!(redriven(&stack, &["--code", "unknown_currency", "--rate", "1000"])["redriven"], 2);
    let customers = |outcomes: &[Value]| -> BTreeSet<String> {
        outcomes.iter().map(|outcome| outcome["customer_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(customers(&stack.outcomes(2)), BTreeSet::from(["young".to_owned()]));
    let too_old = || processor.metric("stepup_decisions_total", &["decision=\"event_too_old\""]);
    wait_until(PATIENCE, "the old one is too old", || too_old() == 2.0);

    assert_eq!(redriven(&stack, &["--ignore-age"])["redriven"], 2);
    let outcomes = one_outcome_each(&stack.outcomes(4));
    assert_eq!(outcomes.len(), 4, "two triggers each, and the young one's are the same");
    assert!(outcomes.values().all(|outcome| outcome["status"] == "session_created"));
    assert_eq!(too_old(), 2.0);
    let sent: Vec<_> = stack.read("activity").into_iter().map(|record| (record.key, record.payload)).collect();
    assert_eq!(sent.len(), 6);
    assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), 2, "with the bytes and keys that they came with");

    let receipts = stack.read("receipts");
    let (mut limited, mut waived) = (0, 0);
    for receipt in &receipts {
        assert!(matches!(rerun_one(&receipt.payload), Rerun::Same(_)), "{}", receipt.text());
        let receipt: Value = serde_json::from_slice(&receipt.payload).unwrap();
        match receipt["max_event_age_ms"].as_u64() {
            Some(limit) => limited += u64::from(limit == 900_000),
            None => waived += 1,
        }
    }
    assert_eq!((receipts.len(), limited, waived), (8, 4, 4));
}

#[test]
fn what_cannot_be_mended_or_came_from_elsewhere_is_refused_and_told() {
    let stack = Stack::new("redrive-refused", 1, &[]);
    let (activity, commands) = (stack.topic("activity"), stack.topic("commands"));
    let good = r#"{"id":"e","tenant_id":"acme","customer_id":"c","type":"login","occurred_at":"2026-03-01T12:00:00Z"}"#;
    write_letters(
        &stack,
        &[
            ("unknown_currency", "evaluate", &activity, good, &[]),
            ("invalid_json", "evaluate", &activity, "{", &[]),
            ("invalid_json", "dispatch", &commands, "[", &[]),
            ("too_large", "evaluate", &activity, "{", &[("payload-bytes", "20000000")]),
            ("expired", "dispatch", "somebody-s-topic", good, &[]),
            ("unknown_currency", "evaluate", &stack.topic("outcomes"), good, &[]),
            ("lost", "evaluate", &activity, good, &[]),
        ],
    );
    let done = redriven(&stack, &[]);
    assert_eq!((&done["read"], &done["redriven"], &done["refused"]), (&7.into(), &1.into(), &6.into()), "{done}");
    let refused = |done: &Value| -> Vec<String> {
        let refusals = done["refusals"].as_array().unwrap().iter();
        let name = |refused: &Value| {
            format!(
                "{}/{} {}",
                refused["code"].as_str().unwrap_or("-"),
                refused["refusal"].as_str().unwrap(),
                refused["count"]
            )
        };
        refusals.map(name).collect()
    };
    let never = ["-/unreadable 1", "too_large/cut 1", "unknown_currency/foreign_source 1", "expired/foreign_source 1"];
    let mut want = never.to_vec();
    want.insert(2, "invalid_json/ends_the_same 2");
    assert_eq!(refused(&done), want);
    let told = redrive(&stack, &["--dry-run", "--quiet"]).out;
    let forced = "invalid_json             ends_the_same: a second try ends the same: its bytes stay what they are; --force sends it";
    assert!(told.starts_with("6 refused\n") && told.contains(forced), "{told}");
    assert!(
        told.contains(&format!("evaluate reads {activity}; dispatch reads {commands}, {}", stack.topic("retries")))
    );

    let done = redriven(&stack, &["--force", "--code", "invalid_json", "--limit", "1"]);
    assert_eq!((&done["redriven"], &done["ending"]), (&1.into(), &"enough".into()), "{done}");
    let rest = done["rest"].as_str().unwrap();
    assert_eq!(redriven(&stack, &["--force", "--code", "invalid_json", "--from", rest])["redriven"], 1);
    let bytes = |kind: &str| stack.read(kind).into_iter().map(|record| record.payload).collect::<Vec<_>>();
    assert_eq!(bytes("activity"), [good.as_bytes(), b"{"]);
    assert_eq!(bytes("commands"), [b"["]);
    assert_eq!(bytes("outcomes"), Vec::<Vec<u8>>::new());
    assert_eq!(refused(&redriven(&stack, &["--force", "--dry-run"])), never);
}

#[test]
fn who_is_stopped_tells_what_was_done_and_where_the_rest_begins() {
    let stack = Stack::new("redrive-stopped", 1, &[]);
    let activity = stack.topic("activity");
    let payloads: Vec<String> = (0..100).map(|number| format!(r#"{{"id":"{number}","tenant_id":"acme"}}"#)).collect();
    let letters: Vec<_> = payloads
        .iter()
        .map(|payload| ("preferences_unavailable", "evaluate", activity.as_str(), payload.as_str(), &[][..]))
        .collect();
    write_letters(&stack, &letters);
    let mut process = start(&stack, &["--rate", "5", "--json"]);
    wait_until(PATIENCE, "some were sent", || stack.read("activity").len() >= 3);
    process.sigterm();
    let said = ended(&mut process);
    assert_eq!(said.status, 0, "{}", said.people);
    let done: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(done["ending"], "stopped");
    let sent = stack.read("activity").len();
    assert!(sent < 100 && done["redriven"] == sent, "{sent}: {done}");
    assert_eq!(done["rest"], format!("0:{sent}"));
    assert_eq!(redriven(&stack, &["--rate", "10000", "--from", &format!("0:{sent}")])["redriven"], 100 - sent);
    let ids: BTreeSet<Vec<u8>> = stack.read("activity").into_iter().map(|record| record.payload).collect();
    assert_eq!((ids.len(), stack.read("activity").len()), (100, 100));
}

#[test]
fn what_is_typed_wrong_is_told() {
    let stack = Stack::new("redrive-typed", 1, &[]);
    for (args, status, words) in [
        (vec!["--code", "late"], 2, vec!["--code", "late", "one of: too_large, invalid_json", "expired"]),
        (vec!["--stage", "replay"], 2, vec!["--stage", "replay", "one of: evaluate, dispatch"]),
        (vec!["--tenant", "a b"], 2, vec!["--tenant", "a b", "letter or digit"]),
        (vec!["--rate", "0"], 2, vec!["--rate", "0", "1..=10000"]),
        (vec!["--limit", "0"], 2, vec!["--limit", "0"]),
        (vec!["--from", "latest"], 2, vec!["--from", "latest", "must be earliest"]),
        (vec!["--ignore-age", "--stage", "dispatch"], 2, vec!["--ignore-age", "is for events", "--stage evaluate"]),
        (vec!["--from", "0:7"], 1, vec!["offset 7 is yet to come"]),
    ] {
        let said = redrive(&stack, &args);
        assert_eq!(said.status, status, "{args:?}: {}", said.people);
        assert!(words.iter().all(|word| said.people.contains(word)), "{args:?}: {}", said.people);
    }
    let help = redrive(&stack, &["--help"]);
    let help = help.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in
        ["Dead letters stay on their topic", "to run this twice is safe", "stepup redrive --config stepup.yaml"]
    {
        assert!(help.contains(words), "{help}");
    }
}

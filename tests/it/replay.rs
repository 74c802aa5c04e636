//! Load on a running deployment, measured from outside.

use serde_json::Value;

use crate::services::{StepupProcess, wait_until};
use crate::stack::{PATIENCE, Stack};

const BETTING: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-01-01T00:00:00Z","reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":6,"window_minutes":10},
    "large_bet_placement":{"enabled":true,"threshold":60},
    "password_change":true,"withdrawal":{"enabled":true,"threshold":200}}}"#;

fn stack(name: &str) -> Stack {
    Stack::new(name, 4, &[("tenant-0", BETTING), ("tenant-1", BETTING)])
}

fn replay(stack: &Stack, more: &[&str]) -> StepupProcess {
    let config = stack.config(1);
    StepupProcess::start(&[&["replay", "--config", &config][..], more].concat(), &[])
}

/// Waits for the end and gives back the status and the object.
#[track_caller]
fn figures(mut process: StepupProcess) -> (Option<i32>, Value) {
    let status = process.wait_exit(PATIENCE);
    let stdout = process.stdout();
    let json = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}\n{}", process.stderr()));
    (status.code(), json)
}

#[test]
fn synthetic_events_are_followed_to_their_sessions() {
    let stack = stack("replay");
    let _processor = stack.run("evaluate,dispatch");
    let preferences = stack.preferences().display().to_string();
    let report = stack.directory.path().join("load.html");
    let common = ["--synthetic", "--rate", "1000", "--tenants", "2", "--customers", "300", "--json"];
    let wild = ["--repeated", "1%", "--malformed", "1%", "--late", "5%", "--out-of-order", "5%", "--bursts", "1%"];
    let more = [
        "--events",
        "2000",
        "--seed",
        "7",
        "--preferences",
        &preferences,
        "--slo",
        "lost=0,repeated=0,dead_letters=0,max<60s",
    ];
    let page = ["--report", &report.display().to_string()].map(str::to_owned);
    let page: Vec<&str> = page.iter().map(String::as_str).collect();
    let (status, json) = figures(replay(&stack, &[&common[..], &wild, &more, &page].concat()));
    assert_eq!(status, Some(0), "{json}");
    for (name, want) in
        [("produced", 2_000), ("decided", 2_000), ("lost", 0), ("repeated", 0), ("failed", 0), ("unexpected", 0)]
    {
        assert_eq!(json[name], want, "{name}: {json}");
    }
    let commands = json["commands"].as_u64().unwrap();
    assert!(commands > 50, "{json}");
    assert_eq!((&json["outcomes"], &json["sessions"]), (&json["commands"], &json["commands"]), "{json}");
    assert_eq!(json["lost_of"]["missing"], 0, "the same as decided offline");
    let malformed = json["malformed"].as_u64().unwrap();
    assert!(malformed > 5 && json["repeats_sent"].as_u64().unwrap() > 5, "{json}");
    let dead: u64 = json["dead_letters"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(dead, malformed, "{json}");
    let of = |kind: &str, name: &str| json["latency_ms"][kind][name].as_f64().unwrap();
    for kind in ["command", "outcome"] {
        assert!(of(kind, "p50") > 0.0 && of(kind, "p50") <= of(kind, "p90") && of(kind, "p90") <= of(kind, "p99"));
        assert!(
            of(kind, "p99") <= of(kind, "p999") && of(kind, "p999") <= of(kind, "max") && of(kind, "max") < 60_000.0
        );
    }
    assert!(of("outcome", "p50") >= of("command", "p50"), "an outcome follows its command: {json}");
    let by_trigger: u64 =
        json["by_trigger"].as_object().unwrap().values().map(|of| of["commands"].as_u64().unwrap()).sum();
    assert_eq!(by_trigger, commands);
    assert!(json["rate"].as_f64().unwrap() > 500.0, "{json}");
    assert!(!std::fs::read(&report).unwrap().is_empty());

    // The objective that cannot be met says so, one line a term.
    let mut missed =
        replay(&stack, &[&common[..], &["--events", "300", "--slo", "p50<0.001ms,lost=0,rate>1000000"]].concat());
    assert_eq!(missed.wait_exit(PATIENCE).code(), Some(1));
    let stderr = missed.stderr();
    let broken: Vec<&str> = stderr.lines().filter(|line| line.contains("is not met")).collect();
    assert_eq!(broken.len(), 2, "{stderr}");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("run ")).count(), 1, "{stderr}");
}

#[test]
fn a_recording_is_sent_anew_each_time_and_its_bad_lines_are_named() {
    let stack = stack("replay-recording");
    let _processor = stack.run("evaluate,dispatch");
    let line = |id: &str, at: &str| {
        format!(
            r#"{{"id":"{id}","tenant_id":"tenant-0","customer_id":"c-{id}","type":"password_change","occurred_at":"{at}"}}"#
        )
    };
    let (first, second) = (line("a", "2020-01-01T00:00:00Z"), line("b", "2020-01-01T00:00:10Z"));
    let file = stack.directory.path().join("recording.ndjson");
    std::fs::write(&file, [first.as_str(), "nonsense", &second, &second].join("\n")).unwrap();
    let file = file.display().to_string();
    let recorded = ["--recording", &file, "--rate", "recorded*10", "--json"];
    for run in ["one", "two"] {
        let (status, json) = figures(replay(&stack, &[&recorded[..], &["--run-id", run]].concat()));
        assert_eq!(status, Some(0));
        for (name, want) in [("produced", 3), ("decided", 3), ("outcomes", 2), ("bad_lines", 1), ("repeats_sent", 1)] {
            // The cool-down of the first run holds in the second one: only new ids, not new customers.
            let want = if run == "two" && name == "outcomes" { 0 } else { want };
            assert_eq!(json[name], want, "{run}, {name}: {json}");
        }
        assert!(json["seconds"].as_f64().unwrap() >= 1.0, "ten seconds, ten times as fast: {json}");
    }
    let mut strict = replay(&stack, &[&recorded[..], &["--strict"]].concat());
    assert_eq!(strict.wait_exit(PATIENCE).code(), Some(1));
    assert!(strict.stderr().contains("line 2 of the recording cannot be sent: the record is not JSON"));
}

#[test]
fn told_to_stop_it_ends_with_what_was_done_so_far() {
    let stack = stack("replay-stop");
    let _processor = stack.run("evaluate");
    let mut process = replay(&stack, &["--duration", "10m", "--rate", "200", "--no-outcomes"]);
    wait_until(PATIENCE, "something is decided", || !stack.read("commands").is_empty());
    process.signal("INT");
    assert_eq!(process.wait_exit(PATIENCE).code(), Some(0), "{}", process.stderr());
    let summary = process.stdout();
    for word in ["interrupted after", "produced", "decided", "event → command"] {
        assert!(summary.contains(word), "{summary}");
    }
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_sent() {
    let stack = stack("replay-refused");
    let config = stack.config(1);
    let text = std::fs::read_to_string(&config).unwrap();
    let elsewhere = stack.directory.path().join("elsewhere.yaml");
    let gone = text.replace(&stack.topic("outcomes"), "gone").replace(&stack.topic("dead-letters"), "gone-too");
    std::fs::write(&elsewhere, gone).unwrap();
    let elsewhere = elsewhere.display().to_string();
    for (args, status, words) in [
        (vec!["--config", &elsewhere, "--events", "5"], 1, vec!["no topic gone, no topic gone-too"]),
        (vec!["--config", &config], 2, vec!["--events or --duration"]),
        (
            vec!["--config", &config, "--events", "5", "--topic", "nope"],
            2,
            vec!["--topic nope", &stack.topic("activity")],
        ),
        (vec!["--config", &config, "--events", "5", "--slo", "p95<1s"], 2, vec!["p95", "p999"]),
        (vec!["--config", &config, "--recording", "/nowhere"], 1, vec!["--recording: /nowhere"]),
        (vec!["--config", &config, "--events", "5", "--report", "/nowhere/x"], 1, vec!["--report /nowhere/x"]),
    ] {
        let mut process = StepupProcess::start(&[&["replay"], &args[..]].concat(), &[]);
        assert_eq!(process.wait_exit(PATIENCE).code(), Some(status), "{args:?}");
        for word in words {
            assert!(process.stderr().contains(word), "{args:?}: {}", process.stderr());
        }
    }
    assert!(stack.read("activity").is_empty());
}

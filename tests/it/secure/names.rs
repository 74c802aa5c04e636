//! Names that try to be more than names: out of a key, a header, a label, a log line, a page.

use serde_json::Value;

use super::ON;
use crate::services::{RedisServer, StepupProcess, kafka, wait_for};
use crate::stack::{PATIENCE, Stack, event, just_now, one_outcome_each};

/// Customers that the rules allow.
const CUSTOMERS: [&str; 16] = [
    "}{00}:x",
    "{}{{{{",
    "\"quoted\" 'twice' `and` \\back",
    "../../../etc/passwd",
    "%0d%0aX-Tenant-ID: other%00",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>&amp;{{7*7}}",
    "\u{202e}txt.exe\u{202c}",
    "\u{200b}\u{feff}\u{2060}",
    "line\u{2028}and\u{2029}paragraph",
    "a\"} 1 stepup_up 1",
    "$(reboot);|&&",
    "* MATCH * KEYS",
    "🧿é\u{301}中",
    ":w:{3d}:",
    "acme/other",
];

/// Ids of events, which may hold anything.
const EVENTS: [&str; 5] = [
    "line\r\nX-Injected: 1",
    "nul\u{0}nul",
    "\u{1b}[2J\u{1b}]0;title\u{7}",
    "\"},\"level\":\"ERROR\"",
    "\u{9b}31m\u{85}\u{202e}",
];

/// Tenants that the rules do not allow.
const TENANTS: [&str; 8] =
    ["../acme", "acme/..", "acme}", "{acme", "acme\r\nX: y", "acme\",x=\"1", "\u{202e}acme", "."];

/// Customer and id of every event that is one.
fn good() -> Vec<(&'static str, String)> {
    let plain = CUSTOMERS.iter().enumerate().map(|(number, customer)| (*customer, format!("e-{number}")));
    let odd = EVENTS.iter().zip(CUSTOMERS).map(|(id, customer)| (customer, (*id).to_owned()));
    plain.chain(odd).collect()
}

fn written(tenant: &str, customer: &str, id: &str) -> String {
    let inside = |text: &str| {
        let quoted = Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    event(&inside(tenant), &inside(customer), &inside(id), "password_change", &just_now(), "").1
}

/// Whether nothing but line feeds steers whoever shows the text, and nothing turns it around.
fn is_harmless(text: &str) -> bool {
    !text
        .chars()
        .any(|c| (c.is_control() && c != '\n') || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

#[test]
fn names_stay_names_wherever_they_go() {
    let redis = RedisServer::start();
    let stack =
        Stack::on("names", 1, &[("acme", ON)], kafka(), &redis.url()).with("evaluate: { cooldown: { default: 0s } }");
    let level = ("STEPUP__LOG__LEVEL", "info,stepup=trace");
    let evaluator = stack.run_with("evaluate", &[level, ("STEPUP__HTTP__CONSOLE_IDS", "shown")]);
    let dispatcher = stack.run_with("dispatch", &[level, ("STEPUP__LOG__FORMAT", "pretty")]);
    let good = good();
    let records: Vec<_> = good.iter().map(|(customer, id)| (*customer, written("acme", customer, id))).collect();
    stack.produce(&records.into_iter().map(|(key, payload)| (key.to_owned(), payload)).collect::<Vec<_>>());
    stack.produce(&TENANTS.map(|tenant| ("k".to_owned(), written(tenant, "c", "e"))));
    let outcomes = one_outcome_each(&stack.outcomes(good.len()));
    wait_for(PATIENCE, "what is none is set aside", || match stack.read("dead-letters").len() {
        letters if letters == TENANTS.len() => Ok(()),
        letters => Err(letters.to_string()),
    });

    // What was sent has come through as it was, to the service and back.
    let sessions = stack.simulator("/sim/sessions");
    let asked: Vec<&str> =
        sessions["sessions"].as_array().unwrap().iter().filter_map(|session| session["customer"].as_str()).collect();
    for customer in CUSTOMERS {
        assert!(asked.contains(&customer), "{customer:?} in {asked:?}");
        assert!(outcomes.values().any(|outcome| outcome["customer_id"] == customer), "{customer:?}");
    }
    for command in stack.json("commands") {
        let known = good
            .iter()
            .any(|(customer, id)| command["customer_id"] == *customer && command["cause"]["event_id"] == **id);
        assert!(known, "{command}");
    }
    for letter in stack.read("dead-letters") {
        assert_eq!(letter.header("error-code"), Some("invalid_field"));
        assert!(letter.headers.iter().all(|(_, value)| value.iter().all(|byte| (b' '..=b'~').contains(byte))));
    }
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis.connect()).unwrap();
    assert!(keys.len() >= good.len());
    for key in keys {
        assert!(key.bytes().all(|byte| byte.is_ascii_graphic()) && key.matches('{').count() <= 1, "{key:?}");
    }
    for processor in [&evaluator, &dispatcher] {
        let metrics = processor.page("/metrics").unwrap();
        assert!(is_harmless(&metrics) && !metrics.contains("alert(") && !metrics.contains("stepup_up 1"), "{metrics}");
        let page = processor.page("/").unwrap();
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{page}");
        let log = processor.process.stderr();
        assert!(is_harmless(&log), "{log:?}");
    }
    for line in evaluator.process.stderr().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(line["level"], "ERROR", "{line}");
    }
    let page = evaluator.page("/").unwrap();
    assert!(page.contains("alert(1)") && is_harmless(&page), "ids are shown, and do nothing: {page}");
}

#[test]
fn what_a_person_reads_in_a_terminal_does_not_steer_it() {
    let stack = crate::services::directory("terminal");
    let path = |name: &str| stack.path().join(name).display().to_string();
    std::fs::create_dir(path("preferences")).unwrap();
    std::fs::write(path("preferences/acme.json"), ON).unwrap();
    let lines: Vec<String> = good().iter().map(|(customer, id)| written("acme", customer, id)).collect();
    std::fs::write(path("events.ndjson"), lines.join("\n")).unwrap();
    for (customer, id) in good().iter().filter(|(_, id)| !id.contains('\0')) {
        let (events, preferences) = (path("events.ndjson"), path("preferences"));
        let args = ["explain", "--events", &events, "--preferences", &preferences, "--event", id];
        let mut process = StepupProcess::start(&args, &[]);
        assert!(process.wait_exit(PATIENCE).success(), "{id:?}: {}", process.stderr());
        let said = process.stdout();
        assert!(said.contains("password_change by") && is_harmless(&said), "{customer:?} {id:?}: {said:?}");
        assert!(is_harmless(&process.stderr()), "{:?}", process.stderr());
    }
}

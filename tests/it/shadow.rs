//! Trying out: triggers in shadow, and a candidate beside the preferences in force.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::services::{create_topic, wait_until};
use crate::stack::{PATIENCE, Processor, Stack, event, just_now};

const ON: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,"password_change":true,
    "deposit":{"enabled":true,"threshold":100}}}"#;
const CANDIDATE: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,
    "deposit":{"enabled":true,"threshold":50}}}"#;

fn decided(processor: &Processor, decision: &str) -> f64 {
    processor.metric("stepup_decisions_total", &[&format!("decision=\"{decision}\"")])
}

/// What is on a topic of commands: the trigger and the event that caused each.
fn causes(commands: &[Value]) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    commands.iter().map(|command| (text(&command["event"]), text(&command["cause"]["event_id"]))).collect()
}

fn pairs(wanted: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    wanted.iter().map(|(trigger, event)| ((*trigger).to_owned(), (*event).to_owned())).collect()
}

#[test]
fn a_shadow_asks_nobody_and_leaves_the_live_cooldown_alone() {
    let mut stack = Stack::new("shadow", 2, &[("acme", ON), ("quiet", ON)])
        .with("evaluate: { shadow: { triggers: [login], tenants: [quiet] } }");
    let mut shadowed = stack.run("evaluate,dispatch");
    let now = just_now();
    stack.produce(&[
        event("acme", "c1", "login-1", "login", &now, ""),
        event("acme", "c1", "login-2", "login", &now, ""),
        event("acme", "c1", "password", "password_change", &now, ""),
        event("quiet", "c2", "quiet-password", "password_change", &now, ""),
    ]);
    assert_eq!(stack.outcomes(1)[0]["event"], "password_change");
    wait_until(PATIENCE, "all four are decided", || shadowed.metric("stepup_events_total", &[]) == 4.0);
    assert_eq!(causes(&stack.json("commands")), pairs(&[("password_change", "password")]));
    assert_eq!(
        causes(&stack.json("shadow")),
        pairs(&[("login", "login-1"), ("password_change", "quiet-password")]),
        "the second login is within the shadow's own cool-down"
    );
    assert_eq!(decided(&shadowed, "shadowed"), 2.0);
    assert_eq!(decided(&shadowed, "required"), 1.0);
    assert_eq!(shadowed.metric("stepup_shadow_decisions_total", &["login", "decision=\"shadowed\""]), 1.0);
    assert_eq!(shadowed.metric("stepup_shadow_decisions_total", &["login", "decision=\"in_cooldown\""]), 1.0);
    assert_eq!(shadowed.metric("stepup_commands_total", &[]), 1.0);
    shadowed.stop();

    // Switched on for good: the shadow's claims hold nobody off, and the live one holds as before.
    stack.extra.clear();
    let live = stack.run("evaluate,dispatch");
    stack.produce(&[
        event("acme", "c1", "login-3", "login", &just_now(), ""),
        event("acme", "c1", "password-2", "password_change", &just_now(), ""),
    ]);
    wait_until(PATIENCE, "both are decided", || live.metric("stepup_events_total", &[]) == 2.0);
    assert_eq!(decided(&live, "required"), 1.0);
    assert_eq!(decided(&live, "in_cooldown"), 1.0);
    stack.outcomes(2);
    assert_eq!(causes(&stack.json("commands")), pairs(&[("password_change", "password"), ("login", "login-3")]));
}

#[test]
fn a_candidate_is_counted_beside_the_preferences_in_force_and_never_acted_on() {
    let stack = Stack::new("candidate", 2, &[("acme", ON)]);
    let candidate = stack.directory.path().join("candidate");
    std::fs::create_dir(&candidate).unwrap();
    std::fs::write(candidate.join("acme.json"), CANDIDATE).unwrap();
    let stack = stack.with(&format!("evaluate: {{ candidate: {{ directory: \"{}\" }} }}", candidate.display()));
    let processor = stack.run("evaluate,dispatch");
    let now = just_now();
    stack.produce(&[
        event("acme", "c1", "login", "login", &now, ""),
        event("acme", "c1", "password", "password_change", &now, ""),
        event("acme", "c1", "small", "deposit", &now, r#","amount":"60""#),
        event("acme", "c1", "large", "deposit", &now, r#","amount":"100""#),
        event("acme", "c1", "tiny", "deposit", &now, r#","amount":"49.99""#),
    ]);
    let decisions = || processor.metric("stepup_candidate_decisions_total", &[]);
    wait_until(PATIENCE, "the candidate has decided all five", || decisions() == 5.0);
    let counted = |decision: &str, trigger: &str| {
        let decision = format!("decision=\"{decision}\"");
        processor.metric("stepup_candidate_decisions_total", &[&decision, trigger])
    };
    assert_eq!((counted("required", "login"), counted("required", "deposit")), (1.0, 2.0));
    assert_eq!(counted("trigger_disabled", "password_change"), 1.0);
    let change = |change: &str, trigger: &str| processor.metric("stepup_candidate_changes_total", &[change, trigger]);
    assert_eq!((change("newly", "deposit"), change("newly", "")), (1.0, 1.0));
    assert_eq!((change("no_longer", "password_change"), change("no_longer", "")), (1.0, 1.0));
    assert_eq!(processor.metric("stepup_candidate_skipped_total", &[]), 0.0);
    stack.outcomes(3);
    assert_eq!(
        causes(&stack.json("commands")),
        pairs(&[("login", "login"), ("password_change", "password"), ("deposit", "large")])
    );
}

#[test]
fn a_candidate_that_cannot_be_read_delays_nobody() {
    let stack = Stack::new("no-candidate", 1, &[("acme", ON)]);
    // Nothing listens there.
    let stack = stack.with("evaluate: { candidate: { url: \"http://127.0.0.1:9/preferences\" } }");
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&[event("acme", "c1", "login", "login", &just_now(), "")]);
    stack.outcomes(1);
    wait_until(PATIENCE, "what it missed is counted", || {
        processor.metric("stepup_candidate_skipped_total", &[]) == 1.0
    });
    assert_eq!(processor.metric("stepup_held", &[]), 0.0);
    wait_until(PATIENCE, "the log says why", || processor.process.stderr().contains("candidate preferences"));
}

#[test]
fn a_shadow_without_its_topic_is_told_by_name() {
    let stack = Stack::new("no-shadow-topic", 1, &[("acme", ON)]).with("evaluate: { shadow: { triggers: [login] } }");
    let missing = format!("{}-nowhere", stack.name);
    let processor = stack.run_with("evaluate", &[("STEPUP__KAFKA__TOPICS__SHADOW_COMMANDS", &missing)]);
    wait_until(PATIENCE, "it says which topic is missing", || {
        processor.page("/readyz").err().is_some_and(|page| page.contains(&missing))
    });
    create_topic(&stack.brokers, &missing, 1);
    processor.until_ready();
}

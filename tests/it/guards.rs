//! Guard rails: what keeps a mistake from asking too many.

use crate::services::wait_until;
use crate::stack::{PATIENCE, Processor, Stack, event, just_now};

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

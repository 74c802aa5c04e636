//! What an operator does to it, and what it says.

use std::time::Duration;

use crate::services::{RedisServer, StepupProcess, directory, kafka, wait_for, wait_until};
use crate::stack::{PATIENCE, Processor, Stack, event, just_now, one_outcome_each};

const ON: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"password_change":true}}"#;
const OFF: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{}}"#;

fn change(customer: &str) -> Vec<(String, String)> {
    vec![event("acme", customer, &format!("e-{customer}"), "password_change", &just_now(), "")]
}

fn decided(processor: &Processor, decision: &str) -> f64 {
    processor.metric("stepup_decisions_total", &[&format!("decision=\"{decision}\"")])
}

#[test]
fn redis_that_hangs_holds_the_role_and_nothing_is_lost_or_counted_wrong() {
    let redis = RedisServer::start();
    let stack = Stack::on("hangs", 2, &[("acme", ON)], kafka(), &redis.url());
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&change("before"));
    stack.outcomes(1);
    redis.freeze();
    stack.produce(&change("meanwhile"));
    wait_until(PATIENCE, "the role says that it is held", || processor.metric("stepup_held", &["evaluate"]) > 0.0);
    let ready =
        wait_for(PATIENCE, "it is not ready", || processor.page("/readyz").err().ok_or_else(|| "it is".to_owned()));
    assert!(ready.starts_with("503") && ready.contains("redis"), "{ready}");
    assert!(processor.page("/livez").is_ok(), "a store that is away is no reason to be restarted");
    assert_eq!(stack.read("commands").len(), 1);
    redis.thaw();
    assert_eq!(one_outcome_each(&stack.outcomes(2)).len(), 2);
    processor.until_ready();
    assert_eq!(processor.metric("stepup_held", &[]), 0.0);
    assert_eq!(decided(&processor, "required"), 2.0);
}

#[test]
fn an_idle_process_says_that_its_redis_went_away_and_that_it_is_there_again() {
    let mut redis = RedisServer::start();
    let stack = Stack::on("idle", 1, &[("acme", ON)], kafka(), &redis.url());
    let processor = stack.run("evaluate,dispatch");
    processor.until_ready();
    redis.kill();
    let ready = wait_for(PATIENCE, "both roles say so", || match processor.page("/readyz") {
        Err(page) if page.contains("evaluate") && page.contains("dispatch") => Ok(page),
        other => Err(format!("{other:?}")),
    });
    assert!(ready.starts_with("503") && ready.contains("redis"), "{ready}");
    assert_eq!(processor.metric("stepup_held", &[]), 0.0, "nothing waits for it");
    redis.restart_empty();
    processor.until_ready();
    stack.produce(&change("after"));
    assert_eq!(stack.outcomes(1).len(), 1);
}

#[test]
fn a_redis_that_is_missing_at_start_is_waited_for() {
    let mut redis = RedisServer::start();
    redis.kill();
    let stack = Stack::on("missing", 1, &[("acme", ON)], kafka(), &redis.url());
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&change("c"));
    let ready = wait_for(PATIENCE, "it says what is missing", || match processor.page("/readyz") {
        Err(page) if page.contains("redis") => Ok(page),
        other => Err(format!("{other:?}")),
    });
    assert!(ready.starts_with("503"), "{ready}");
    wait_until(PATIENCE, "the log says so as well", || processor.process.stderr().contains("redis"));
    redis.restart_empty();
    assert_eq!(stack.outcomes(1).len(), 1);
    processor.until_ready();
}

#[test]
fn a_change_of_preferences_is_seen_while_it_runs() {
    let stack = Stack::new("preferences", 1, &[("acme", OFF)]);
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&change("first"));
    wait_until(PATIENCE, "the trigger is off", || decided(&processor, "trigger_disabled") == 1.0);
    stack.prefer("acme", ON);
    // Every event asks anew; the first that is decided by the new preferences fires.
    let mut customers = 0;
    wait_until(PATIENCE, "the new preferences are seen", || {
        customers += 1;
        stack.produce(&change(&format!("later-{customers}")));
        decided(&processor, "required") > 0.0
    });
    std::fs::remove_file(stack.preferences().join("acme.json")).unwrap();
    wait_until(PATIENCE, "the tenant is gone", || {
        customers += 1;
        stack.produce(&change(&format!("later-{customers}")));
        decided(&processor, "tenant_unknown") > 0.0
    });
}

#[test]
fn told_to_stop_it_commits_what_is_done_and_a_successor_does_none_of_it_again() {
    let stack = Stack::new("stopped", 3, &[("acme", ON)]);
    let mut first = stack.run("evaluate,dispatch");
    for customer in 0..20 {
        stack.produce(&change(&format!("c{customer}")));
    }
    stack.outcomes(20);
    first.process.sigterm();
    let status = first.process.wait_exit(Duration::from_secs(30));
    assert!(status.success(), "{status}: {}", first.process.stderr());
    let second = stack.run("evaluate,dispatch");
    stack.produce(&change("last"));
    stack.outcomes(21);
    wait_until(PATIENCE, "it is counted", || decided(&second, "required") >= 1.0);
    assert_eq!(decided(&second, "required"), 1.0, "only the last event was new");
    assert_eq!(stack.read("outcomes").len(), 21, "and no outcome is repeated");
}

#[test]
fn a_mistake_in_the_configuration_names_the_key_and_nothing_starts() {
    let directory = directory("mistakes");
    let path = directory.path().join("stepup.yaml");
    let least = "preferences: {source: directory, directory: .}\nsession_api: {url: 'http://127.0.0.1:1'}\n";
    for (text, words) in [
        (format!("kafka: {{brokerz: x}}\n{least}"), vec!["kafka.brokerz", "brokers"]),
        (
            format!("kafka: {{brokers: x}}\ndispatch: {{concurrency: many}}\n{least}"),
            vec!["dispatch.concurrency", "many"],
        ),
        (format!("kafka: {{brokers: x}}\nroles: [decide]\n{least}"), vec!["roles", "decide", "evaluate"]),
        (
            format!("kafka: {{brokers: x}}\nwindows: {{store: memory}}\n{least}"),
            vec!["windows.store", "memory", "run needs redis"],
        ),
    ] {
        std::fs::write(&path, &text).unwrap();
        for verb in ["run", "check"] {
            let mut process = StepupProcess::start(&[verb, "--config", &path.display().to_string()], &[]);
            let status = process.wait_exit(PATIENCE);
            let said = process.stderr();
            assert_eq!(status.code(), Some(2), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }
}

#[test]
fn check_gives_each_connection_its_verdict_and_shows_no_secret() {
    let stack = Stack::new("checked", 1, &[("acme", ON)]).with("log: { level: info }");
    let config = stack.config(crate::stack::free_port());
    let mut process = StepupProcess::start(
        &["check", "--config", &config],
        &[("STEPUP__KAFKA__PROPERTIES__SASL_PASSWORD", "hunter2")],
    );
    let status = process.wait_exit(PATIENCE);
    let said = process.stdout();
    assert!(status.success(), "{said}{}", process.stderr());
    for what in ["kafka", "redis", "preferences", "session_api"] {
        assert!(said.lines().any(|line| line.starts_with("ok") && line.contains(what)), "{what}: {said}");
    }
    assert!(!said.contains("hunter2"));
    stack.prefer("acme", "{");
    for (variable, value, reason) in [
        ("STEPUP__REDIS__URL", "redis://me:hunter2@127.0.0.1:1", "127.0.0.1:1: "),
        ("STEPUP__REDIS__PASSWORD_FILE", "/nope", "redis.password_file: /nope: No such file or directory"),
    ] {
        let mut process = StepupProcess::start(&["check", "--config", &config], &[(variable, value)]);
        assert_eq!(process.wait_exit(PATIENCE).code(), Some(1));
        let said = process.stdout();
        let failed = |what: &str| said.lines().any(|line| line.starts_with("FAIL") && line.contains(what));
        assert!(failed(reason) && failed("acme.json"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        assert_eq!(process.stderr(), "stepup: not fit: redis, preferences; see the lines marked FAIL\n");
    }
}

#[test]
fn a_property_that_kafka_refuses_is_named_and_its_value_is_nowhere() {
    let stack = Stack::new("refused", 1, &[("acme", ON)]);
    let secret = stack.directory.path().join("secret");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let secret = secret.display().to_string();
    let config = stack.config(crate::stack::free_port());
    let verbs: [&[&str]; 5] = [
        &["check"],
        &["run"],
        &["audit"],
        &["redrive", "--code", "expired", "--dry-run"],
        &["explain", "--event", "e1"],
    ];
    for (variable, value, property) in [
        (
            "STEPUP__KAFKA__PROPERTIES_FILES__SASL_OAUTHBEARER_CLIENT_SECRET",
            secret.as_str(),
            "oauthbearer.client.secret",
        ),
        ("STEPUP__KAFKA__PROPERTIES__SASL_PASWORD", "hunter2", "sasl.pasword"),
    ] {
        for verb in verbs {
            let args = [verb, &["--config", &config]].concat();
            let mut process = StepupProcess::start(&args, &[(variable, value)]);
            let status = process.wait_exit(PATIENCE);
            let said = process.stdout() + &process.stderr();
            assert_eq!(status.code(), Some(1), "{verb:?}: {said}");
            assert!(said.contains(property) && !said.contains("hunter2"), "{verb:?}: {said}");
        }
    }
}

#[test]
fn the_demo_shows_sessions_loses_nothing_and_ends_by_itself() {
    let mut demo = StepupProcess::start(&["demo", "--for", "5s", "--rate", "300"], &[]);
    let status = demo.wait_exit(PATIENCE);
    let summary = demo.stdout();
    assert!(status.success(), "{}", demo.stderr());
    assert!(summary.contains("(0 did not)"), "{summary}");
    assert!(summary.contains("commands without an outcome 0, with two different ones 0"), "{summary}");
    assert!(!summary.contains("(0 sessions)"), "{summary}");
    assert!(demo.stderr().contains("http://127.0.0.1:"), "{}", demo.stderr());
}

#[test]
fn what_is_kept_of_a_busy_customer_does_not_grow() {
    const FREQUENCY: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
        "high_frequency_betting":{"enabled":true,"count":500,"window_minutes":5}}}"#;
    let redis = RedisServer::start();
    let stack =
        Stack::on("busy", 1, &[("acme", FREQUENCY)], kafka(), &redis.url()).with("windows: { max_entries: 500 }");
    let processor = stack.run("evaluate");
    let bets = |round: usize, count: usize| -> Vec<(String, String)> {
        (0..count)
            .map(|number| event("acme", "busy", &format!("{round}-{number}"), "bet", &just_now(), r#","amount":"1""#))
            .collect()
    };
    stack.produce(&bets(0, 2_000));
    wait_until(PATIENCE, "all are counted", || decided(&processor, "below_frequency") >= 499.0);
    let mut connection = redis.connect();
    let mut kept = || -> usize {
        let keys: Vec<String> = redis::cmd("KEYS").arg("*:w:*").query(&mut connection).unwrap();
        redis::cmd("STRLEN").arg(keys.first().expect("the customer's window")).query(&mut connection).unwrap()
    };
    // A log is rewritten along with a later batch, once what was read of it is committed.
    let mut round = 0;
    wait_until(PATIENCE, "what is dead is dropped", || {
        round += 1;
        stack.produce(&bets(round, 1));
        kept() < 600 * 18
    });
    assert!(kept() >= 500 * 18, "what counts is kept");
}

#[test]
fn the_page_at_the_front_tells_what_is_decided_and_why_and_masks_who() {
    let stack = Stack::new("front", 1, &[("acme", ON)]);
    let processor = stack.run("evaluate,dispatch");
    stack.produce(&change("somebody"));
    stack.outcomes(1);
    let page = wait_for(PATIENCE, "the decision is on the page", || {
        processor
            .page("/")
            .and_then(|page| if page.contains("every event of this kind") { Ok(page) } else { Err(page) })
    });
    let at = format!("{}[0]@0", stack.topic("activity"));
    for part in ["<!doctype html>", "refresh", "password_change", "acme", "session_created", &at] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("somebody"), "{page}");
    assert!(!processor.page("/?still").unwrap().contains("http-equiv=\"refresh\""));

    let silent = stack.run_with("evaluate", &[("STEPUP__HTTP__CONSOLE", "off")]);
    silent.until_ready();
    assert!(silent.page("/").unwrap().contains("/livez /readyz /metrics"));
}

//! What a run under faults prints holds no token, no credential, no payload and nobody's name.

use super::ON;
use crate::services::{self, RedisServer, StepupProcess, kafka, wait_until};
use crate::stack::{PATIENCE, Processor, Stack, event, free_port, just_now};

const REDIS: &str = "redis-hush-4711";
const BROKER: &str = "broker-hush-4712";
const CREDENTIALS: [(&str, &str); 3] =
    [("acme", "credential-hush-4713"), ("beta", "credential-hush-4714"), ("gamma", "credential-hush-4715")];
/// In every customer's id, and in every value of what cannot be read.
const CUSTOMER: &str = "somebody-hush";

/// Events that end as dead letters or are skipped; each holds what must not be told.
fn malformed() -> Vec<(String, String)> {
    let now = just_now();
    let of = |text: String| (CUSTOMER.to_owned(), text);
    let valid = |customer: &str, id: &str, kind: &str, more: &str| event("acme", customer, id, kind, &now, more);
    vec![
        of("not-json-hush".to_owned()),
        of(r#"{"id":"id-hush","tenant_id":"acme","customer_id":"somebody-hush""#.to_owned()),
        of(r#"{"id":"id-hush","id":"id-hush-again"}"#.to_owned()),
        of(r#"{"hush-field":1,"hush-field":2,"id":"x"}"#.to_owned()),
        of(format!("\"{}\"", "hush ".repeat(20_000))),
        of(format!("{}hush", "[".repeat(60_000))),
        of(r#"{"id":"e","tenant_id":"hush/../hush","customer_id":"somebody-hush","type":"login","occurred_at":"2026-03-01T12:00:00Z"}"#.to_owned()),
        valid("somebody-hush\\n", "e-10", "login", ""),
        valid(CUSTOMER, "e-11", "type-hush", ""),
        valid(CUSTOMER, "e-12", "deposit", r#","amount":"amount-hush""#),
        valid(CUSTOMER, "e-13", "deposit", r#","amount":{"hush":1}"#),
        valid(CUSTOMER, "e-14", "deposit", r#","amount":"1","currency":"HUSH""#),
        valid(CUSTOMER, "e-15", "deposit", r#","amount":"1","currency":"HSH""#),
        valid(CUSTOMER, "e-16", "login", r#","transaction_id":["hush"]"#),
        valid(CUSTOMER, "e-17", "login", r#","device":{"id":"hush","id":"hush"}"#),
        event("acme", CUSTOMER, "e-18", "login", "2026-hush", ""),
        event("acme", CUSTOMER, "e-19", "login", "2199-01-01T00:00:00Z", r#","attributes":{"k":"hush"}"#),
        event("tenant.unknown", CUSTOMER, "e-20", "login", &now, ""),
    ]
}

/// Records on the commands topic that are none, or not whole.
fn unreadable() -> Vec<(String, String)> {
    let command = r#"{"version":1,"id":"de5104d8-398a-55de-954f-e274b53286a3","tenant_id":"acme","customer_id":"somebody-hush","event":"login""#;
    [
        "command-hush".to_owned(),
        format!("{command}}}"),
        format!(
            r#"{command},"reference":"reference-hush","cause":"cause-hush","issued_at":"hush","expires_at":"hush"}}"#
        ),
        format!(r#"{command},"event":"event-hush"}}"#),
        r#"{"version":"hush"}"#.to_owned(),
    ]
    .map(|text| (CUSTOMER.to_owned(), text))
    .into()
}

/// A stack whose Redis wants a password, and whose service wants credentials and has a bad day.
fn stack(redis: &RedisServer) -> Stack {
    let preferences = [("acme", ON), ("beta", ON), ("gamma", r#"{"is_reuse_kyc_enabled":"hush-switch"}"#)];
    let stack = Stack::on("secrets", 2, &preferences, kafka(), &redis.url()).guarded(&CREDENTIALS);
    let ours = stack.directory.path().join("ours");
    std::fs::create_dir(&ours).unwrap();
    for (tenant, credential) in CREDENTIALS {
        std::fs::write(ours.join(tenant), credential).unwrap();
    }
    std::fs::write(stack.directory.path().join("redis-password"), REDIS).unwrap();
    stack.with("dispatch: { pause: 1s, backoff_base: 100ms }")
}

fn changes(tenant: &str, round: &str) -> Vec<(String, String)> {
    let now = just_now();
    let change = |number| {
        let customer = format!("{CUSTOMER}-{round}-{number}");
        event(
            tenant,
            &customer,
            &format!("e-{round}-{number}"),
            "password_change",
            &now,
            r#","attributes":{"k":"hush"}"#,
        )
    };
    (0..15).map(change).collect()
}

#[test]
fn a_run_under_faults_prints_no_secret_and_nobodys_name() {
    let redis = RedisServer::start();
    let mut administrator = redis.connect();
    let stack = stack(&redis);
    let _: () = redis::cmd("CONFIG").arg(&["SET", "requirepass", REDIS]).query(&mut administrator).unwrap();
    let path = |name: &str| stack.directory.path().join(name).display().to_string();
    let (ours, password, service) = (path("ours"), path("redis-password"), stack.api());
    let preferences = format!("{service}/api/v1/kyc/preferences");
    let variables = [
        ("STEPUP__LOG__LEVEL", "info,stepup=trace"),
        ("STEPUP__REDIS__PASSWORD_FILE", password.as_str()),
        ("STEPUP__KAFKA__PROPERTIES__SASL_PASSWORD", BROKER),
        ("STEPUP__SESSION_API__CREDENTIALS_DIR", ours.as_str()),
        ("STEPUP__PREFERENCES__SOURCE", "http"),
        ("STEPUP__PREFERENCES__DIRECTORY", ""),
        ("STEPUP__PREFERENCES__URL", preferences.as_str()),
    ];
    stack.faults(
        r#"[{"kind":"status","status":500,"rate":0.2},{"kind":"cut_after","count":3},{"kind":"cut_before","count":3},
            {"kind":"garbage","count":2},{"kind":"status","status":401,"count":3,"tenant":"beta"},
            {"kind":"status","status":422,"count":2,"tenant":"acme"},{"kind":"status","status":429,"retry_after":1,"count":3},
            {"kind":"status","status":500,"count":1,"on":"preferences"}]"#,
    );
    let processor = stack.run_with("evaluate,dispatch", &variables);
    stack.produce(&malformed());
    services::produce(&stack.brokers, &stack.topic("commands"), &unreadable());
    stack.produce(&changes("acme", "1"));
    stack.produce(&changes("beta", "1"));
    stack.outcomes(30);

    // The store is away and comes back refusing us for a while.
    let _: () =
        redis::cmd("CONFIG").arg(&["SET", "requirepass", "another-hush-4716"]).query(&mut administrator).unwrap();
    let _: () =
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).query(&mut administrator).unwrap();
    stack.produce(&changes("acme", "2"));
    wait_until(PATIENCE, "it is held", || processor.metric("stepup_held", &[]) > 0.0);
    let held = printed(&processor);
    let _: () = redis::cmd("CONFIG").arg(&["SET", "requirepass", REDIS]).query(&mut administrator).unwrap();
    stack.outcomes(45);
    // A tenant whose preferences cannot be read holds the partition of its event.
    stack.produce(&[event("gamma", CUSTOMER, "e-30", "login", &just_now(), "")]);
    wait_until(PATIENCE, "the preferences are told to be unreadable", || processor.process.stderr().contains("gamma"));

    let mut check = StepupProcess::start(&["check", "--config", &stack.config(free_port())], &variables);
    check.wait_exit(PATIENCE);
    let letters = stack.read("dead-letters");
    assert!(letters.len() >= malformed().len() + unreadable().len() - 3, "{} dead letters", letters.len());
    let headers: String = letters
        .iter()
        .flat_map(|letter| &letter.headers)
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value)))
        .collect();
    let sessions = stack.simulator("/sim/sessions?tokens=1");
    let tokens: Vec<&str> =
        sessions["sessions"].as_array().unwrap().iter().filter_map(|session| session["token"].as_str()).collect();
    assert!(tokens.len() >= 30, "{} sessions", tokens.len());
    for text in [held, printed(&processor), check.stdout(), check.stderr(), headers] {
        let leaks: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("hush") || tokens.iter().any(|token| line.contains(token)))
            .collect();
        assert!(leaks.is_empty(), "{leaks:#?}");
    }
    assert_eq!(processor.metric("stepup_outcomes_total", &["session_created"]) > 0.0, true);
}

/// All that a processor lets people and machines read.
fn printed(processor: &Processor) -> String {
    let mut text = processor.process.stdout() + &processor.process.stderr();
    assert!(text.contains("TRACE") || text.contains("DEBUG"), "the log is as talkative as can be");
    for page in ["/", "/?still", "/metrics", "/readyz", "/livez", "/hush-path-is-not-told"] {
        let (Ok(said) | Err(said)) = processor.page(page);
        assert!(page.contains("hush") || !said.is_empty(), "{page}");
        text.push_str(&said);
        text.push('\n');
    }
    text
}

//! Kafka over TLS, with a user and a password.

use std::path::Path;

use super::ON;
use crate::services::{Authority, Broker, Secure, StepupProcess, Valid, redis_url, wait_for, wait_until};
use crate::stack::{PATIENCE, Processor, Stack, event, free_port, just_now, one_outcome_each};

const USER: &str = "stepup";
const PASSWORD: &str = "first-hush-4711";
const ROTATED: &str = "second-hush-4712";

/// What the environment says of Kafka.
struct Access {
    brokers: String,
    authority: String,
    password_file: String,
}

impl Access {
    fn variables(&self) -> Vec<(&str, &str)> {
        vec![
            ("STEPUP__KAFKA__BROKERS", &self.brokers),
            ("STEPUP__KAFKA__PROPERTIES__SECURITY_PROTOCOL", "SASL_SSL"),
            ("STEPUP__KAFKA__PROPERTIES__SSL_CA_LOCATION", &self.authority),
            ("STEPUP__KAFKA__PROPERTIES__SASL_MECHANISM", "SCRAM-SHA-256"),
            ("STEPUP__KAFKA__PROPERTIES__SASL_USERNAME", USER),
            ("STEPUP__KAFKA__PROPERTIES_FILES__SASL_PASSWORD", &self.password_file),
            ("STEPUP__KAFKA__PROPERTIES__BROKER_ADDRESS_FAMILY", "v4"),
            ("STEPUP__KAFKA__PROPERTIES__RECONNECT_BACKOFF_MAX_MS", "500"),
        ]
    }
}

struct Fixture {
    broker: Broker,
    stack: Stack,
    authority: Authority,
    good: Access,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let authority = Authority::new();
        let identity = authority.issue("broker", "DNS:localhost", Valid::Now).in_one_file();
        let secure = || Secure { identity: identity.clone(), user: USER.to_owned(), password: PASSWORD.to_owned() };
        let broker = Broker::start_secure(secure);
        let stack = Stack::on(name, 1, &[("acme", ON)], &broker.brokers(), redis_url());
        let good = Access {
            brokers: format!("localhost:{}", broker.secure_port()),
            authority: authority.certificate(),
            password_file: write(stack.directory.path(), "password", PASSWORD),
        };
        Self { broker, stack, authority, good }
    }

    fn change(&self, customer: &str) {
        let id = format!("e-{customer}");
        self.stack.produce(&[event("acme", customer, &id, "password_change", &just_now(), "")]);
    }
}

fn write(directory: &Path, name: &str, content: &str) -> String {
    let (new, path) = (directory.join("new"), directory.join(name));
    std::fs::write(&new, format!("{content}\n")).unwrap();
    std::fs::rename(new, &path).unwrap();
    path.display().to_string()
}

/// What `/readyz` says while it says 503.
fn not_ready(processor: &Processor, part: &str) -> String {
    wait_for(PATIENCE, "it says why it is not ready", || match processor.page("/readyz") {
        Err(page) if page.starts_with("503") && page.contains(part) => Ok(page),
        other => Err(format!("{part} is not in {other:?}; {}", processor.process.stderr())),
    })
}

#[test]
fn over_tls_with_a_password_events_become_outcomes_and_each_mistake_has_its_reason() {
    let fixture = Fixture::new("secure-kafka");
    let Fixture { broker, stack, good, .. } = &fixture;
    let processor = stack.run_with("evaluate,dispatch", &good.variables());
    fixture.change("somebody");
    assert_eq!(stack.outcomes(1)[0]["status"], "session_created");
    processor.until_ready();

    let stranger = Authority::new();
    let wrong = write(stack.directory.path(), "wrong", "wrong-hush-4713");
    let with = |brokers: String, authority: String, password_file: &str| Access {
        brokers,
        authority,
        password_file: password_file.to_owned(),
    };
    let mistakes = [
        (with(good.brokers.clone(), stranger.certificate(), &good.password_file), "certificate verify failed"),
        (with(good.brokers.clone(), good.authority.clone(), &wrong), "invalid credentials"),
        (
            with(format!("127.0.0.1:{}", broker.secure_port()), good.authority.clone(), &good.password_file),
            "certificate verify failed",
        ),
    ];
    let started: Vec<_> = mistakes
        .iter()
        .map(|(access, reason)| {
            let config = stack.config(free_port());
            let check = StepupProcess::start(&["check", "--config", &config], &access.variables());
            (check, stack.run_with("evaluate", &access.variables()), *reason)
        })
        .collect();
    for (mut check, processor, reason) in started {
        let page = not_ready(&processor, reason);
        assert!(page.contains("kafka"), "{page}");
        wait_until(PATIENCE, "the log says so too", || processor.process.stderr().contains(reason));
        assert_eq!(check.wait_exit(PATIENCE).code(), Some(1));
        let said = check.stdout();
        let verdict = said.lines().find(|line| line.starts_with("FAIL")).unwrap_or_default();
        assert!(verdict.contains("kafka") && verdict.contains(reason), "{said}");
        for printed in [said, check.stderr(), processor.process.stderr(), page] {
            assert!(!printed.contains("hush"), "{printed}");
        }
    }
    let mut check = StepupProcess::start(&["check", "--config", &stack.config(free_port())], &good.variables());
    assert!(check.wait_exit(PATIENCE).success(), "{}", check.stdout());
}

#[test]
fn a_rotated_password_is_taken_without_a_restart() {
    let mut fixture = Fixture::new("rotated-kafka");
    let processor = fixture.stack.run_with("evaluate,dispatch", &fixture.good.variables());
    fixture.change("before");
    fixture.stack.outcomes(1);
    fixture.broker.set_password(USER, ROTATED);
    fixture.change("meanwhile");
    fixture.stack.outcomes(2);

    // Connections that stand are not asked again; a broker that comes back asks everybody.
    fixture.broker.restart();
    not_ready(&processor, "invalid credentials");
    write(fixture.stack.directory.path(), "password", ROTATED);
    fixture.change("after");
    wait_for(PATIENCE, "the new password is taken", || match one_outcome_each(&fixture.stack.json("outcomes")).len() {
        3.. => Ok(()),
        outcomes => Err(format!("{outcomes} outcomes; {}", processor.process.stderr())),
    });
    processor.until_ready();
    let said = processor.process.stderr();
    assert!(said.contains("made anew") && !said.contains("hush"), "{said}");
    drop(fixture.authority);
}

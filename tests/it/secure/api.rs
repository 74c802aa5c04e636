//! The session API and the preferences over TLS, by the word of a private authority.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use stepup::domain::delivery::Answer;
use stepup::domain::ids::TenantId;
use stepup::edge::credentials::Credentials;
use stepup::edge::preferences::{
    CredentialAnswer, CredentialStore, HttpPreferences, HttpSettings, PreferencesSource as _,
};
use stepup::edge::sessions::{HttpSessions, Sessions as _, SessionsSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::ON;
use crate::services::{self, Authority, Identity, StepupProcess, TlsFront, Valid, block_on, wait_for};
use crate::stack::{PATIENCE, Stack, event, free_port, just_now};

/// What the environment says of the service behind a front.
fn variables(front: &TlsFront, authority: Option<&str>) -> Vec<(&'static str, String)> {
    let url = format!("https://localhost:{}", front.address.port());
    let mut variables = vec![
        ("STEPUP__PREFERENCES__SOURCE", "http".to_owned()),
        ("STEPUP__PREFERENCES__DIRECTORY", String::new()),
        ("STEPUP__PREFERENCES__URL", format!("{url}/api/v1/kyc/preferences")),
        ("STEPUP__SESSION_API__URL", url),
    ];
    variables.extend(authority.map(|path| ("STEPUP__SESSION_API__CA_FILE", path.to_owned())));
    variables
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn change() -> Vec<(String, String)> {
    vec![event("acme", "somebody", "e-1", "password_change", &just_now(), "")]
}

#[test]
fn a_service_with_a_certificate_of_a_private_authority_is_asked() {
    let authority = Authority::make();
    let stack = Stack::new("private", 1, &[("acme", ON)]);
    let front = TlsFront::start(&authority.issue("api", "DNS:localhost", Valid::Now), stack.api_address());
    let variables = variables(&front, Some(&authority.certificate()));
    let processor = stack.run_with("evaluate,dispatch", &borrowed(&variables));
    stack.produce(&change());
    assert_eq!(stack.outcomes(1)[0]["status"], "session_created");
    processor.until_ready();
    let mut check = StepupProcess::start(&["check", "--config", &stack.config(free_port())], &borrowed(&variables));
    assert!(check.wait_exit(PATIENCE).success(), "{}", check.stdout());
}

#[test]
fn authorities_are_rotated_without_a_restart() {
    let (old, new) = (Authority::make(), Authority::make());
    let stack = Stack::new("rotated", 1, &[("acme", ON), ("beta", ON), ("gamma", ON)]);
    let trusted = stack.directory.path().join("ca.pem");
    let trust = |pem: &str| replace(&trusted, pem);
    trust(&pem(&old));
    let front = TlsFront::start(&old.issue("api", "DNS:localhost", Valid::Now), stack.api_address());
    let variables = variables(&front, trusted.to_str());
    let processor = stack.run_with("evaluate,dispatch", &borrowed(&variables));
    // Each time of another tenant, whose preferences are to be read.
    let ask = |tenant: &str| stack.produce(&[event(tenant, "somebody", "e", "password_change", &just_now(), "")]);
    let created = |many: usize| {
        let outcomes = stack.outcomes(many);
        assert!(outcomes.iter().all(|outcome| outcome["status"] == "session_created"), "{outcomes:?}");
    };
    ask("acme");
    created(1);

    trust("not whole yet");
    front.rotate(&old.issue("api-1", "DNS:localhost", Valid::Now));
    ask("beta");
    created(2);

    trust(&pem(&new));
    front.rotate(&new.issue("api", "DNS:localhost", Valid::Now));
    ask("gamma");
    created(3);
    processor.until_ready();
}

/// Puts another file in its place, in one step.
fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn pem(authority: &Authority) -> String {
    std::fs::read_to_string(authority.certificate()).unwrap()
}

struct Mistake {
    name: &'static str,
    identity: Identity,
    trusted: Option<String>,
    reason: &'static str,
}

/// Services that must not be believed.
fn mistakes(authority: &Authority, stranger: &Authority) -> [Mistake; 4] {
    let (good, trusted) = ("DNS:localhost", Some(authority.certificate()));
    [
        Mistake {
            name: "another-authority",
            identity: stranger.issue("api", good, Valid::Now),
            trusted: trusted.clone(),
            reason: "UnknownIssuer",
        },
        Mistake {
            name: "no-authority",
            identity: authority.issue("api-1", good, Valid::Now),
            trusted: None,
            reason: "UnknownIssuer",
        },
        Mistake {
            name: "expired",
            identity: authority.issue("api-2", good, Valid::UntilYesterday),
            trusted: trusted.clone(),
            reason: "Expired",
        },
        Mistake {
            name: "another-name",
            identity: authority.issue("api-3", "DNS:elsewhere.example", Valid::Now),
            trusted,
            reason: "not valid for name",
        },
    ]
}

#[test]
fn a_service_that_cannot_be_believed_is_told_nothing_and_the_reason_is_told() {
    let (authority, stranger) = (Authority::make(), Authority::make());
    let mistakes = mistakes(&authority, &stranger);
    let stack = Stack::new("believed", 1, &[("acme", ON)]);
    let credential = stack.directory.path().join("credential");
    std::fs::write(&credential, "hush-4711").unwrap();
    let started: Vec<_> = mistakes
        .iter()
        .map(|mistake| {
            let front = TlsFront::start(&mistake.identity, stack.api_address());
            let mut variables = variables(&front, mistake.trusted.as_deref());
            variables.push(("STEPUP__SESSION_API__CREDENTIAL_FILE", credential.display().to_string()));
            variables.push(("STEPUP__KAFKA__GROUP_ID", format!("{}-{}", stack.name, mistake.name)));
            let config = stack.config(free_port());
            let check = StepupProcess::start(&["check", "--config", &config], &borrowed(&variables));
            let processor = stack.run_with("evaluate,dispatch", &borrowed(&variables));
            (mistake, front, check, processor)
        })
        .collect();
    stack.produce(&change());
    for (mistake, front, mut check, processor) in started {
        let Mistake { name, reason, trusted, .. } = mistake;
        for dependency in ["session_api", "preferences"] {
            wait_for(PATIENCE, name, || {
                let page = processor.page("/readyz").err().unwrap_or_default();
                let missing: serde_json::Value =
                    serde_json::from_str(page.trim_start_matches(|c| c != '{')).unwrap_or_default();
                let entries = missing["missing"].as_array().cloned().unwrap_or_default();
                let told = entries.iter().any(|entry| {
                    entry["dependency"] == dependency && entry["reason"].as_str().unwrap_or_default().contains(reason)
                });
                if told { Ok(()) } else { Err(format!("{dependency}: {page}; {}", processor.process.stderr())) }
            });
        }
        assert_eq!(check.wait_exit(PATIENCE).code(), Some(1), "{name}");
        let said = check.stdout();
        for dependency in ["session_api", "preferences"] {
            let verdict = said.lines().find(|line| line.starts_with("FAIL") && line.contains(dependency));
            assert!(verdict.unwrap_or_default().contains(reason), "{name}: {said}");
        }
        assert!(!processor.process.stderr().contains("hush"), "{name}");
        let answer = call(&front, trusted.as_deref());
        assert!(matches!(&answer, Answer::NotSent { reason: told } if told.contains(reason)), "{name}: {answer:?}");
    }
    assert_eq!(stack.simulator("/sim/stats")["calls"], 0);
}

/// Speaks HTTP/2 and answers every call with 418. What it is told over connections that were made before it fell silent goes
/// nowhere, and nobody is told.
struct Http2Service {
    front: TlsFront,
    silence: Arc<Notify>,
}

impl Http2Service {
    fn start(identity: &Identity) -> Self {
        let silence = Arc::new(Notify::new());
        let falls_silent = Arc::clone(&silence);
        let front = TlsFront::start_for(identity, &[b"h2"], move |stream| {
            let falls_silent = Arc::clone(&falls_silent);
            async move {
                let answer = service_fn(async |_| Response::builder().status(418).body(String::new()));
                let stream = TokioIo::new(stream);
                let mut serving = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(stream, answer));
                tokio::select! {
                    _ = &mut serving => {}
                    // It stays, and is not looked after.
                    () = falls_silent.notified() => std::future::pending().await,
                }
            }
        });
        Self { front, silence }
    }
}

#[test]
fn a_connection_whose_other_end_is_gone_is_not_used_for_ever() {
    let authority = Authority::make();
    let service = Http2Service::start(&authority.issue("api", "DNS:localhost", Valid::Now));
    let mut settings = SessionsSettings::new(format!("https://localhost:{}", service.front.address.port()));
    settings.ca_file = Some(authority.certificate().into());
    // A busy machine takes a while for a handshake.
    settings.timeout = Duration::from_secs(2);
    let limit = settings.timeout;
    block_on(async {
        let sessions = HttpSessions::new(settings, Arc::new(Credentials::none())).unwrap();
        let call = async || sessions.create(&TenantId::new("acme").unwrap(), b"{}".to_vec(), None, limit).await;
        for _ in 0..2 {
            assert!(matches!(call().await, Answer::Status { code: 418, .. }));
        }
        service.silence.notify_waiters();
        let mut lost = 0;
        while matches!(call().await, Answer::Lost { .. }) {
            lost += 1;
            assert!(lost < 10, "a new connection is made");
        }
        assert!(lost > 0, "what went over the silent connection is not told as lost");
    });
}

#[test]
fn whom_the_ca_file_names_is_trusted_from_the_next_call_on_and_nobody_else() {
    let (old, new) = (Authority::make(), Authority::make());
    let issue = |authority: &Authority, name: &str| authority.issue(name, "DNS:localhost", Valid::Now);
    let directory = services::directory("trusted");
    let trusted = directory.path().join("ca.pem");
    replace(&trusted, &pem(&old));
    let front = TlsFront::start_for(&issue(&old, "first"), &[], |mut stream| async move {
        // Long enough for the head of a request.
        let _head = stream.read(&mut [0; 4_096]).await;
        let _answered = stream.write_all(b"HTTP/1.1 418 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        let _ended = stream.shutdown().await;
        let _rest = stream.read_to_end(&mut Vec::new()).await;
    });
    let service = Service::at(&front, &trusted);
    service.both_answer("at first");

    // A service that is not believed has the file looked at again before the next call.
    replace(&trusted, "not whole yet");
    front.rotate(&issue(&new, "second"));
    service.call();
    front.rotate(&issue(&old, "third"));
    service.both_answer("while the file is broken");

    replace(&trusted, &pem(&new));
    front.rotate(&issue(&new, "fourth"));
    service.call();
    service.both_answer("by the new one");

    front.rotate(&issue(&old, "fifth"));
    for _ in 0..2 {
        for told in service.call() {
            assert!(told.contains("UnknownIssuer"), "the old authority is withdrawn: {told}");
        }
    }
}

/// Both clients of one service.
struct Service {
    sessions: HttpSessions,
    preferences: HttpPreferences,
}

struct NoCredentials;

impl CredentialStore for NoCredentials {
    fn of(&self, _: &TenantId) -> CredentialAnswer {
        CredentialAnswer::None
    }
    fn reread(&self, _: &TenantId) -> bool {
        false
    }
}

impl Service {
    fn at(front: &TlsFront, trusted: &Path) -> Self {
        let url = format!("https://localhost:{}", front.address.port());
        let mut settings = SessionsSettings::new(url.clone());
        settings.ca_file = Some(trusted.to_owned());
        let sessions = HttpSessions::new(settings, Arc::new(Credentials::none())).unwrap();
        let settings = HttpSettings {
            url,
            tenant_header: "X-Tenant-ID".to_owned(),
            authorization_header: "Authorization".to_owned(),
            scheme: "Bearer".to_owned(),
            timeout: Duration::from_secs(10),
            ca_file: Some(trusted.to_owned()),
        };
        Self { sessions, preferences: HttpPreferences::new(settings, Arc::new(NoCredentials)).unwrap() }
    }

    /// What each of the two tells of a call.
    fn call(&self) -> [String; 2] {
        let tenant = TenantId::new("acme").unwrap();
        block_on(async {
            let session = self.sessions.create(&tenant, b"{}".to_vec(), None, Duration::from_secs(10)).await;
            [format!("{session:?}"), format!("{:?}", self.preferences.fetch(&tenant).await)]
        })
    }

    #[track_caller]
    fn both_answer(&self, when: &str) {
        for told in self.call() {
            assert!(told.contains("418"), "{when}: {told}");
        }
    }
}

/// One call by itself.
fn call(front: &TlsFront, authority: Option<&str>) -> Answer {
    let mut settings = SessionsSettings::new(format!("https://localhost:{}", front.address.port()));
    settings.ca_file = authority.map(Into::into);
    block_on(async {
        let sessions = HttpSessions::new(settings, Arc::new(Credentials::none())).unwrap();
        sessions.create(&TenantId::new("acme").unwrap(), b"{}".to_vec(), None, Duration::from_secs(10)).await
    })
}

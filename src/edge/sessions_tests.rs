use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::domain::time::Timestamp;
use crate::roles::session_api::{Simulator, SimulatorSettings, serve};
use crate::wire::faults::decode_faults;
use crate::wire::trace::TraceContext;

const LONG: Duration = Duration::from_secs(20);
const LOGIN: &[u8] = br#"{"reference":"r","customer_id":"c","event":"login"}"#;

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn sessions(url: &str) -> HttpSessions {
    HttpSessions::new(SessionsSettings::new(url), Arc::new(Credentials::none())).unwrap()
}

/// The simulator over TCP, with one tenant who verifies logins and deposits.
struct Service {
    url: String,
    simulator: Simulator,
    directory: TempDir,
    _serving: AbortOnDropHandle<anyhow::Result<()>>,
}

async fn service(with: impl FnOnce(SimulatorSettings, &Path) -> SimulatorSettings) -> Service {
    let directory = tempfile::tempdir().unwrap();
    let document = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,"deposit":{"enabled":true}}}"#;
    std::fs::write(directory.path().join("acme.json"), document).unwrap();
    let simulator = Simulator::new(with(SimulatorSettings::new(directory.path()), directory.path()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(serve(listener, simulator.clone(), CancellationToken::new()));
    Service { url, simulator, directory, _serving: AbortOnDropHandle::new(serving) }
}

impl Service {
    fn fault(&self, fault: &serde_json::Value) {
        self.simulator.set_faults(decode_faults(json!([fault]).to_string().as_bytes()).unwrap());
    }

    async fn get(&self, path: &str) -> serde_json::Value {
        install_tls_provider();
        let client = Client::builder().no_proxy().build().unwrap();
        client.get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }

    async fn references(&self) -> usize {
        self.get("/sim/sessions").await["sessions"].as_array().unwrap().len()
    }
}

/// A server that reads each request whole and answers with `answer`, as it is, one connection after another. It tells
/// what was asked.
async fn raw(answer: Vec<u8>) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, asked) = tokio::sync::mpsc::unbounded_channel();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tell.send(request(&mut stream).await).unwrap();
            let _ = stream.write_all(&answer).await;
        }
    });
    (url, asked, AbortOnDropHandle::new(serving))
}

/// The head and the body of a request; bodies here are JSON objects and end with a brace.
async fn request(stream: &mut TcpStream) -> String {
    let (mut bytes, mut part) = (Vec::new(), [0; 4_096]);
    while !bytes.ends_with(b"}") {
        match stream.read(&mut part).await.unwrap() {
            0 => break,
            length => bytes.extend_from_slice(&part[..length]),
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_session_is_made_and_a_reference_taken_once() {
    let service = service(|settings, _| settings).await;
    let sessions = sessions(&service.url);
    let Answer::Created(session) = sessions.create(&acme(), LOGIN.to_vec(), None, LONG).await else {
        panic!("no session")
    };
    let shown = service.get("/sim/sessions?tokens=1").await;
    assert_eq!(shown["sessions"][0]["token"].as_str(), Some(session.token.as_str()));
    assert_eq!(session.links.len(), 1);
    let again = sessions.create(&acme(), LOGIN.to_vec(), None, LONG).await;
    assert!(matches!(again, Answer::Status { code: 409, .. }), "{again:?}");
    let other = sessions.create(&TenantId::new("other").unwrap(), LOGIN.to_vec(), None, LONG).await;
    assert_eq!(other, Answer::NotRequired { reason: "feature disabled".to_owned() });
}

#[tokio::test]
async fn an_amount_arrives_with_all_its_digits() {
    use crate::domain::command::{Cause, Command, Reference};
    use crate::domain::decide::Facts;
    use crate::domain::ids::{CommandId, CustomerId, EventId, Source};
    use crate::domain::money::Amount;
    use crate::domain::trigger::{ActivityType, Trigger};

    let service = service(|settings, _| settings).await;
    let event = EventId::new("e").unwrap();
    let digits = "12345678901234567.89012345678";
    let command = Command {
        id: CommandId::of(&acme(), Trigger::Deposit, &event),
        tenant: acme(),
        customer: CustomerId::new("c").unwrap(),
        trigger: Trigger::Deposit,
        reference: Reference::CommandId,
        facts: Facts::Amount(digits.parse::<Amount>().unwrap().as_usd()),
        cause: Cause {
            event,
            kind: ActivityType::Deposit,
            occurred_at: Timestamp(0),
            source: Source { topic: "activity".into(), partition: 0, offset: 0 },
        },
        preferences_updated_at: None,
        redrive_of: None,
        issued_at: Timestamp(0),
        expires_at: Timestamp(600_000),
    };
    let body = crate::wire::session::encode_request(&command, &command.base_reference(), None, None);
    let answer = sessions(&service.url).create(&acme(), body, None, LONG).await;
    assert!(matches!(answer, Answer::Created(_)), "{answer:?}");
    assert_eq!(service.get("/sim/sessions").await["sessions"][0]["amount"], digits);
}

#[tokio::test]
async fn every_status_comes_back_with_its_wait() {
    let service = service(|settings, _| settings).await;
    let sessions = sessions(&service.url);
    for (code, wait) in [
        (400, None),
        (408, None),
        (422, None),
        (425, Some(1)),
        (429, Some(7)),
        (500, None),
        (503, Some(120)),
        (504, None),
    ] {
        service.fault(&json!({"kind": "status", "status": code, "retry_after": wait}));
        let want = Answer::Status {
            code,
            reason: "a fault was asked for".to_owned(),
            retry_after: wait.map(Duration::from_secs),
        };
        assert_eq!(sessions.create(&acme(), LOGIN.to_vec(), None, LONG).await, want);
    }
    assert_eq!(service.references().await, 0);
}

#[tokio::test]
async fn a_cut_connection_and_garbage_are_lost_answers_whatever_was_done() {
    let service = service(|settings, _| settings).await;
    let sessions = sessions(&service.url);
    for (fault, made) in [
        (json!({"kind": "cut_before"}), 0),
        (json!({"kind": "garbage"}), 0),
        (json!({"kind": "cut_after", "count": 1}), 1),
    ] {
        service.fault(&fault);
        let answer = sessions.create(&acme(), LOGIN.to_vec(), None, LONG).await;
        assert!(matches!(answer, Answer::Lost { .. }), "{fault}: {answer:?}");
        assert_eq!(service.references().await, made, "{fault}");
    }
    let calls = &service.get("/sim/stats").await["calls"];
    assert_eq!(calls, 3, "no call is repeated unseen");
    let answer = sessions.create(&acme(), LOGIN.to_vec(), None, LONG).await;
    assert!(matches!(answer, Answer::Status { code: 409, .. }), "{answer:?}");
}

#[tokio::test]
async fn no_connection_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/?secret=hush", listener.local_addr().unwrap());
    drop(listener);
    let answer = sessions(&url).create(&acme(), LOGIN.to_vec(), None, LONG).await;
    let Answer::NotSent { reason } = answer else { panic!("{answer:?}") };
    assert!(reason.starts_with("no connection") && !reason.contains("hush") && !reason.contains("http"), "{reason}");
    let answer = sessions("http://127.0.0.1:1").create(&acme(), LOGIN.to_vec(), None, Duration::ZERO).await;
    assert_eq!(answer, not_sent("no time was left for a call"));
}

#[tokio::test]
async fn the_limit_and_the_timeout_end_a_call_that_hangs() {
    let service = service(|settings, _| settings).await;
    service.fault(&json!({"kind": "hang"}));
    let short = Duration::from_millis(100);
    let settings = SessionsSettings { timeout: short, ..SessionsSettings::new(service.url.clone()) };
    let impatient = HttpSessions::new(settings, Arc::new(Credentials::none())).unwrap();
    let lost = Answer::Lost { reason: "no answer in time".to_owned() };
    for (sessions, limit) in [(sessions(&service.url), short), (impatient, LONG)] {
        let began = Instant::now();
        assert_eq!(sessions.create(&acme(), LOGIN.to_vec(), None, limit).await, lost);
        assert!(began.elapsed() >= short && began.elapsed() < LONG, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn an_answer_that_is_huge_or_drips_is_refused() {
    let gibibyte = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1_u64 << 30);
    // More than what is read of it, which is what the test is about; the rest need not be sent.
    let huge = [gibibyte.as_bytes(), &vec![b' '; 1 << 20]].concat();
    let unmeasured = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b' '; 1 << 20]].concat();
    let too_large = Answer::Lost { reason: "the answer is larger than 64 KiB".to_owned() };
    for answer in [huge, unmeasured] {
        let (url, _asked, _serving) = raw(answer).await;
        assert_eq!(sessions(&url).create(&acme(), LOGIN.to_vec(), None, LONG).await, too_large);
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let _dripping = AbortOnDropHandle::new(tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        let mut drops = tokio::time::interval(Duration::from_millis(10));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n").await.unwrap();
        while stream.write_all(b" ").await.is_ok() {
            drops.tick().await;
        }
    }));
    let answer = sessions(&url).create(&acme(), LOGIN.to_vec(), None, Duration::from_millis(200)).await;
    assert_eq!(answer, Answer::Lost { reason: "no answer in time".to_owned() });
}

#[tokio::test]
async fn an_error_status_stands_even_if_its_message_cannot_be_read() {
    let cut_off = b"HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\n{\"message\"".to_vec();
    let (url, _asked, _serving) = raw(cut_off).await;
    let answer = sessions(&url).create(&acme(), LOGIN.to_vec(), None, LONG).await;
    assert_eq!(answer, Answer::Status { code: 422, reason: String::new(), retry_after: None });
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, mut asked_elsewhere, _elsewhere) = raw(Vec::new()).await;
    let redirect = format!("HTTP/1.1 307 Elsewhere\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n");
    let (url, _asked, _serving) = raw(redirect.into_bytes()).await;
    let answer = sessions(&url).create(&acme(), LOGIN.to_vec(), None, LONG).await;
    assert_eq!(answer, Answer::Status { code: 307, reason: String::new(), retry_after: None });
    assert!(asked_elsewhere.try_recv().is_err());
}

#[tokio::test]
async fn the_headers_are_those_of_the_settings() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("acme"), "secret-1\n").unwrap();
    let no_content = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (scheme, want) in [("Token", "x-key: token secret-1\r\n"), ("", "x-key: secret-1\r\n")] {
        let (url, mut asked, _serving) = raw(no_content.to_vec()).await;
        let settings = SessionsSettings {
            path: "/v2/session".to_owned(),
            tenant_header: "X-Org".to_owned(),
            credential_header: "X-Key".to_owned(),
            credential_scheme: scheme.to_owned(),
            ..SessionsSettings::new(format!("{url}/base/"))
        };
        let sessions = HttpSessions::new(settings, Arc::new(Credentials::per_tenant(directory.path()))).unwrap();
        let parent = "traceparent: 00-0000000000000000000000000000000a-000000000000000b-01\r\ntracestate: a=b\r\n";
        let state = Some("a=b".to_owned());
        let context = TraceContext { trace_id: 10, span_id: 11, sampled: true, state };
        let context = (scheme == "Token").then_some(&context);
        sessions.create(&acme(), LOGIN.to_vec(), context, LONG).await;
        let asked = asked.recv().await.unwrap().to_lowercase();
        assert_eq!(asked.contains(parent), context.is_some(), "{asked}");
        assert_eq!(asked.contains("trace"), context.is_some(), "{asked}");
        assert!(asked.starts_with("post /base/v2/session http/1.1\r\n"), "{asked}");
        let agent = format!("user-agent: stepup/{}\r\n", env!("CARGO_PKG_VERSION"));
        for header in ["x-org: acme\r\n", want, "content-type: application/json\r\n", &agent] {
            assert!(asked.contains(header), "{header} in {asked}");
        }
        assert!(asked.ends_with(std::str::from_utf8(LOGIN).unwrap()));
    }
}

#[tokio::test]
async fn a_rotated_credential_is_read_again_once_it_is_refused() {
    let service =
        service(|settings, directory| SimulatorSettings { credentials: Some(directory.join("theirs")), ..settings })
            .await;
    let (ours, theirs) = (service.directory.path().join("ours"), service.directory.path().join("theirs"));
    for directory in [&ours, &theirs] {
        std::fs::create_dir(directory).unwrap();
        std::fs::write(directory.join("acme"), "one").unwrap();
    }
    let credentials = Arc::new(Credentials::per_tenant(&ours));
    let sessions = HttpSessions::new(SessionsSettings::new(service.url.clone()), credentials).unwrap();
    let body = |reference: &str| json!({"reference": reference, "customer_id": "c", "event": "login"}).to_string();
    let create = async |reference: &str| sessions.create(&acme(), body(reference).into_bytes(), None, LONG).await;
    let calls = async || service.get("/sim/stats").await["calls"].as_u64().unwrap();

    assert!(matches!(create("r1").await, Answer::Created(_)));
    std::fs::write(theirs.join("acme"), "two").unwrap();
    assert!(matches!(create("r2").await, Answer::Status { code: 401, .. }), "ours is the old one still");
    assert_eq!(calls().await, 2, "what has not changed is not tried again");
    std::fs::write(ours.join("acme"), "two").unwrap();
    assert!(matches!(create("r2").await, Answer::Created(_)), "in the same call");
    assert_eq!(calls().await, 4);

    let unknown = sessions.create(&TenantId::new("other").unwrap(), LOGIN.to_vec(), None, LONG).await;
    assert_eq!(unknown, Answer::NoCredential { reason: "no credential for this tenant".to_owned() });
    std::fs::write(ours.join("empty"), "").unwrap();
    let empty = sessions.create(&TenantId::new("empty").unwrap(), LOGIN.to_vec(), None, LONG).await;
    assert!(matches!(&empty, Answer::NoCredential { reason } if reason.contains("must hold one line")), "{empty:?}");
    assert_eq!(calls().await, 4, "nothing is sent without a credential");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let good = || SessionsSettings::new("https://kyc.example");
    for (settings, want) in [
        (SessionsSettings::new("kyc.example"), "the URL of the session API must be an absolute http or https URL"),
        (
            SessionsSettings::new("ftp://kyc.example"),
            "the URL of the session API must be an absolute http or https URL",
        ),
        (SessionsSettings { tenant_header: "X Tenant".to_owned(), ..good() }, "\"X Tenant\" is no name of a header"),
        (SessionsSettings { ca_file: Some(empty), ..good() }, "cannot read the certificates in"),
        (
            SessionsSettings { ca_file: Some("/nowhere.pem".into()), ..good() },
            "cannot read the certificates in /nowhere.pem",
        ),
    ] {
        let error = HttpSessions::new(settings, Arc::new(Credentials::none())).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
    HttpSessions::new(good(), Arc::new(Credentials::none())).unwrap();
}

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::wire::faults::decode_faults;

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148";
const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0";

/// A simulator over TCP, whose clock stands until it is moved.
struct Service {
    url: String,
    client: Client,
    directory: TempDir,
    clock: Arc<AtomicI64>,
    simulator: Simulator,
    _serving: AbortOnDropHandle<anyhow::Result<()>>,
}

impl Service {
    async fn start(change: impl FnOnce(SimulatorSettings, &Path) -> SimulatorSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(0));
        let ticking = Arc::clone(&clock);
        let settings = SimulatorSettings {
            clock: Arc::new(move || Timestamp(ticking.load(Ordering::SeqCst))),
            ..SimulatorSettings::new(directory.path())
        };
        let simulator = Simulator::new(change(settings, directory.path()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(serve(listener, simulator.clone(), CancellationToken::new()));
        crate::edge::tls::install_tls_provider();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { url, client, directory, clock, simulator, _serving: AbortOnDropHandle::new(serving) }
    }

    fn document(&self, tenant: &str, document: &Value) {
        std::fs::write(self.directory.path().join(format!("{tenant}.json")), document.to_string()).unwrap();
    }

    fn faults(&self, list: &Value) {
        self.simulator.set_faults(decode_faults(list.to_string().as_bytes()).unwrap());
    }

    async fn call(&self, method: Method, path: &str, agent: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        request = request.header("X-Tenant-ID", "acme").header("User-Agent", agent);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, DESKTOP, None).await.1
    }

    async fn create(&self, body: Value) -> (u16, Value) {
        self.call(Method::POST, "/api/v1/kyc/face/session", "stepup", Some(body)).await
    }

    /// A body of which less comes than was announced, and then its direction is closed.
    async fn broken_off(&self) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.url.trim_start_matches("http://")).await.unwrap();
        let head =
            "POST /api/v1/kyc/face/session HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: acme\r\nContent-Length: 90\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn token(&self, reference: &str, callback_url: Option<&str>) -> String {
        let body = json!({"reference": reference, "customer_id": "c", "event": "login", "callback_url": callback_url});
        let (status, answer) = self.create(body).await;
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    async fn submit(&self, token: &str, agent: &str, proof: &str) -> (u16, Value) {
        use base64::Engine as _;
        let proof = base64::engine::general_purpose::STANDARD.encode(proof);
        let body = json!({"token": token, "proof": proof});
        self.call(Method::POST, "/api/v1/kyc/face/submit", agent, Some(body)).await
    }
}

fn logins() -> Value {
    json!({"is_reuse_kyc_enabled": true, "reuse_kyc_triggers": {"login": true},
        "reuse_kyc_reactions": {"max_retry_attempts": 1, "trigger_alert": true, "freeze_account": true,
            "freeze_duration_minutes": 30}})
}

fn login(reference: &str) -> Value {
    json!({"reference": reference, "customer_id": "c", "event": "login"})
}

#[tokio::test]
async fn a_session_is_made_once_a_reference_and_shown_without_its_token() {
    let service = Service::start(|settings, _| settings).await;
    service.document("acme", &logins());
    let (status, answer) = service.create(login("r1")).await;
    assert_eq!((status, &answer["reference"], &answer["is_required"]), (200, &json!("r1"), &json!(true)));
    let token = answer["token"].as_str().unwrap();
    assert_eq!(answer["links"]["mobile"], json!(format!("https://kyc.example/hand-off/{token}")));
    let (status, answer) = service.create(login("r1")).await;
    assert_eq!((status, answer["message"].as_str()), (409, Some("a session with this reference exists already")));

    let shown = service.get("/sim/sessions?tenant=acme").await;
    assert_eq!(shown["sessions"][0]["reference"], "r1");
    assert!(!shown.to_string().contains(token));
    let shown = service.get("/sim/sessions?tenant=acme&reference=r1&tokens=1").await;
    assert_eq!(shown["sessions"][0]["token"], token);
    assert_eq!(service.get("/sim/sessions?tenant=other").await["sessions"], json!([]));

    let stats = service.get("/sim/stats").await;
    assert_eq!((&stats["calls"], &stats["created"], &stats["conflicts"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(stats["tenants"]["acme"]["calls"], 2);
    service.call(Method::DELETE, "/sim/sessions", DESKTOP, None).await;
    assert_eq!(service.create(login("r1")).await.0, 200);
}

#[tokio::test]
async fn the_document_is_read_again_when_it_changes() {
    let service = Service::start(|settings, _| settings).await;
    let required = async |reference: &str| {
        let (status, answer) = service.create(login(reference)).await;
        assert_eq!(status, 200, "{answer}");
        (answer["is_required"].as_bool().unwrap(), answer["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(required("r").await, (false, "feature disabled".to_owned()));
    service.document("acme", &logins());
    assert_eq!(required("r").await, (true, String::new()));
    service.document("acme", &json!({"is_reuse_kyc_enabled": true, "reuse_kyc_triggers": {"login": false}}));
    assert_eq!(required("r2").await, (false, "trigger disabled".to_owned()));
}

#[tokio::test]
async fn a_wrong_request_is_told_what_is_wrong() {
    let service = Service::start(|settings, _| settings).await;
    for (body, message) in [
        (json!({"customer_id": "c", "event": "login"}), "reference is required"),
        (json!({"reference": "r", "customer_id": "c", "event": "deposit"}), "amount is required"),
        (
            json!({"reference": "r", "customer_id": "c", "event": "login", "callback_url": "http://example.org/"}),
            "callback_url must be https, or http to this machine",
        ),
    ] {
        assert_eq!(service.create(body).await, (400, json!({"message": message})));
    }
    let url = format!("{}/api/v1/kyc/face/session", service.url);
    for (tenant, body, status, message) in [
        (None, String::new(), 400, "X-Tenant-ID is required"),
        (Some("../x"), String::new(), 400, "X-Tenant-ID must start with a letter or digit"),
        (Some("acme"), " ".repeat(70_000), 413, "the body must have at most 65536 bytes"),
    ] {
        let mut request = service.client.post(&url).body(body);
        if let Some(tenant) = tenant {
            request = request.header("X-Tenant-ID", tenant);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        let answer: Value = answer.json().await.unwrap();
        assert!(answer["message"].as_str().unwrap().starts_with(message), "{answer}");
    }
    // What was lost on the way is not the caller's mistake, and may come again.
    assert!(service.broken_off().await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn a_credential_is_asked_for_where_there_are_some() {
    let service = Service::start(|settings, directory| SimulatorSettings {
        credentials: Some(directory.join("credentials")),
        ..settings
    })
    .await;
    let credentials = service.directory.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("acme"), "secret\n").unwrap();
    service.document("acme", &logins());
    let url = format!("{}/api/v1/kyc/preferences", service.url);
    for (tenant, authorization, status) in [
        ("acme", "Bearer secret", 200),
        ("acme", "Bearer wrong", 401),
        ("acme", "secret", 401),
        ("acme", "", 401),
        ("other", "Bearer secret", 401),
    ] {
        let request = service.client.get(&url).header("X-Tenant-ID", tenant).header("Authorization", authorization);
        assert_eq!(request.send().await.unwrap().status(), status, "{tenant} {authorization}");
    }
    assert_eq!(service.create(login("r")).await.0, 401);
}

#[tokio::test]
async fn preferences_are_served_as_they_stand_and_updated_by_key() {
    let service = Service::start(|settings, _| settings).await;
    let path = "/api/v1/kyc/preferences";
    let missing = service.call(Method::GET, path, DESKTOP, None).await;
    assert_eq!(missing, (404, json!({"message": "the tenant has no preferences"})));
    service.clock.store(1_000, Ordering::SeqCst);
    let update = json!({"is_reuse_kyc_enabled": true, "reuse_kyc_triggers": {"login": true}});
    assert_eq!(service.call(Method::PUT, path, DESKTOP, Some(update)).await.0, 200);
    service.clock.store(2_000, Ordering::SeqCst);
    let update = json!({"reuse_kyc_triggers": {"deposit": {"enabled": true}}});
    let (status, document) = service.call(Method::PATCH, path, DESKTOP, Some(update)).await;
    assert_eq!(status, 200);
    assert_eq!(document["reuse_kyc_triggers"], json!({"login": true, "deposit": {"enabled": true}}));
    assert_eq!(document["created_at"], "1970-01-01T00:00:01.000Z");
    assert_eq!(document["updated_at"], "1970-01-01T00:00:02.000Z");
    assert_eq!(service.get(path).await, document);
    assert_eq!(service.create(login("r")).await.1["is_required"], true);
    let wrong = json!({"reuse_kyc_triggers": {"login": "yes"}});
    assert_eq!(service.call(Method::PATCH, path, DESKTOP, Some(wrong)).await.0, 400);
    assert_eq!(service.get(path).await, document);
}

#[tokio::test]
async fn a_selfie_is_taken_from_phones_and_its_retries_are_counted() {
    let service = Service::start(|settings, _| settings).await;
    service.document("acme", &logins());
    let token = service.token("r1", None).await;
    let refused = json!({"message": "face capture must be completed on a mobile device"});
    assert_eq!(service.submit(&token, DESKTOP, "approve").await, (400, refused));

    let (status, first) = service.submit(&token, PHONE, "decline: too dark").await;
    assert_eq!((status, &first["status"], &first["declined_reason"]), (200, &json!("declined"), &json!("too dark")));
    assert_eq!(first["data"], json!({"retries_remaining": 1, "retry_limit_exceeded": false}));
    let (_, second) = service.submit(&token, PHONE, "decline").await;
    assert_eq!((&second["event"], &second["reference"]), (&json!("reuse_kyc"), &json!("r1")));
    let data = &second["data"];
    assert_eq!((&data["retries_remaining"], &data["retry_limit_exceeded"]), (&json!(0), &json!(true)));
    assert_eq!(
        (&data["block"], &data["freeze_account"], &data["enforce_logout"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert_eq!(data["freeze_duration_minutes"], 30);
    assert!(data["alert_id"].is_string());
    assert_eq!(service.submit(&token, PHONE, "approve").await.0, 409, "it is declined for good");

    let token = service.token("r2", None).await;
    let connected =
        service.call(Method::PUT, "/api/v1/kyc/session/connect", PHONE, Some(json!({"token": token}))).await;
    assert_eq!((connected.0, &connected.1["mobile_connected"]), (200, &json!(true)));
    let (_, approved) = service.submit(&token, PHONE, "approve").await;
    assert_eq!(approved["status"], "approved");
    assert_eq!(approved["data"], json!({"retries_remaining": 1, "retry_limit_exceeded": false}));
    let state = service.get(&format!("/api/v1/kyc/face/verify/{token}")).await;
    assert_eq!((&state["status"], &state["is_submitted"]), (&json!("approved"), &json!(true)));
}

#[tokio::test]
async fn a_token_that_is_unknown_or_expired_opens_nothing() {
    let service = Service::start(|settings, _| settings).await;
    service.document("acme", &logins());
    let token = service.token("r", None).await;
    let verify =
        async |token: &str| service.call(Method::GET, &format!("/api/v1/kyc/face/verify/{token}"), DESKTOP, None).await;
    assert_eq!(verify("r").await.0, 404, "a reference is no token");
    assert_eq!(verify(&token).await.1["status"], "pending");
    assert_eq!(service.submit("AAAA", PHONE, "approve").await.0, 404);
    service.clock.store(600_000, Ordering::SeqCst);
    assert_eq!(verify(&token).await.1["status"], "expired");
    assert_eq!(service.submit(&token, PHONE, "approve").await.0, 410);
}

#[tokio::test]
async fn the_callback_carries_what_the_submission_answered() {
    let service = Service::start(|settings, _| settings).await;
    service.document("acme", &logins());
    let (heard, mut callbacks) = tokio::sync::mpsc::channel::<Value>(1);
    let hook = post(move |axum::Json(body): axum::Json<Value>| async move {
        heard.send(body).await.unwrap();
        StatusCode::NO_CONTENT
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/cb", listener.local_addr().unwrap());
    let hooks = axum::serve(listener, Router::new().route("/cb", hook)).into_future();
    let _hooks = AbortOnDropHandle::new(tokio::spawn(hooks));
    let token = service.token("r", Some(&url)).await;
    let (_, answer) = service.submit(&token, PHONE, "approve").await;
    let callback = tokio::time::timeout(Duration::from_secs(5), callbacks.recv()).await.unwrap().unwrap();
    assert_eq!(callback, answer);
    assert_eq!(callback["event"], "reuse_kyc");
}

#[tokio::test]
async fn faults_are_set_at_run_time_and_counted() {
    let service = Service::start(|settings, _| settings).await;
    service.document("acme", &logins());
    let list = json!([{"kind": "status", "status": 429, "count": 1}]);
    assert_eq!(service.call(Method::PUT, "/sim/faults", DESKTOP, Some(list)).await.0, 204);
    assert_eq!(service.create(login("r")).await, (429, json!({"message": "a fault was asked for"})));
    assert_eq!(service.get("/sim/faults").await[0]["count"], 0);
    assert_eq!(service.create(login("r")).await.0, 200);
    assert_eq!(service.get("/sim/stats").await["faults"], 1);
    let wrong = json!([{"kind": "explode"}]);
    assert_eq!(service.call(Method::PUT, "/sim/faults", DESKTOP, Some(wrong)).await.0, 400);
    service.faults(&json!([{"kind": "status", "status": 500, "on": "preferences"}]));
    assert_eq!(service.call(Method::GET, "/api/v1/kyc/preferences", DESKTOP, None).await.0, 500);
    assert_eq!(service.create(login("r2")).await.0, 200);
}

#[tokio::test]
async fn a_cut_shows_as_an_answer_that_breaks_off_where_the_connection_is_not_ours() {
    let service = Service::start(|settings, _| settings).await;
    service.faults(&json!([{"kind": "cut_before"}]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/kyc/face/session", listener.local_addr().unwrap());
    let serving = axum::serve(listener, service.simulator.router()).into_future();
    let _serving = AbortOnDropHandle::new(tokio::spawn(serving));
    let broken = match service.client.post(url).header("X-Tenant-ID", "acme").send().await {
        Ok(answer) => answer.bytes().await.is_err(),
        Err(_) => true,
    };
    assert!(broken);
}

#[tokio::test]
async fn it_stops_while_a_call_hangs() {
    let directory = tempfile::tempdir().unwrap();
    let settings = SimulatorSettings {
        faults: decode_faults(br#"[{"kind":"hang"}]"#).unwrap(),
        ..SimulatorSettings::new(directory.path())
    };
    let simulator = Simulator::new(settings);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, simulator, shutdown.clone()));
    crate::edge::tls::install_tls_provider();
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{url}/api/v1/kyc/face/session")).header("X-Tenant-ID", "acme").json(&login("r"));
    let hanging = tokio::spawn(request.send());
    // The call is counted before it hangs.
    loop {
        let stats: Value = client.get(format!("{url}/sim/stats")).send().await.unwrap().json().await.unwrap();
        if stats["faults"] == 1 {
            break;
        }
    }
    shutdown.cancel();
    tokio::time::timeout(GRACE, serving).await.unwrap().unwrap().unwrap();
    assert!(hanging.await.unwrap().is_err());
}

//! No tenant's credential, preferences, windows or claims are ever another's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::services::wait_until;
use crate::stack::{PATIENCE, Processor, Stack, event, just_now, one_outcome_each};

/// Names that meet where names are joined without care.
const TENANTS: [&str; 4] = ["a", "a.b", "a-b", "b"];
const CUSTOMERS: [&str; 10] = ["b", ".b", "b/c", "c", "x}{y", "{3d}", "a:b", "a/b", "a.b", r#"..%2F\" onload"#];

/// A service of the test's own that writes down who asked for what.
#[derive(Clone, Default)]
struct Service(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    wanted: BTreeMap<String, String>,
    calls: Vec<Call>,
    refused: usize,
}

struct Call {
    tenant: String,
    authorization: String,
    /// Empty for a look-up of preferences.
    body: Value,
}

impl Service {
    fn start(&self) -> (String, tokio::runtime::Runtime) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pages = axum::Router::new()
            .route("/api/v1/kyc/face/session", post(session))
            .route("/api/v1/kyc/preferences", get(preferences))
            .with_state(self.clone());
        runtime.spawn(async move { axum::serve(listener, pages).await });
        (url, runtime)
    }

    fn want(&self, tenant: &str, token: &str) {
        self.0.lock().unwrap().wanted.insert(tenant.to_owned(), format!("Bearer {token}"));
    }

    fn refused(&self) -> usize {
        self.0.lock().unwrap().refused
    }

    /// Writes a call down, and tells whether it is let in.
    fn admit(&self, headers: &HeaderMap, body: Value) -> (String, bool) {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let (tenant, authorization) = (text("x-tenant-id"), text("authorization"));
        let mut known = self.0.lock().unwrap();
        let admitted = known.wanted.get(&tenant) == Some(&authorization);
        known.refused += usize::from(!admitted);
        known.calls.push(Call { tenant: tenant.clone(), authorization, body });
        (tenant, admitted)
    }
}

async fn session(State(service): State<Service>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let reference = body["reference"].clone();
    let (tenant, admitted) = service.admit(&headers, body);
    if !admitted {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "message": "who is that" }))).into_response();
    }
    if tenant == "b" {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let token = format!("session-of-{tenant}-{}", reference.as_str().unwrap_or_default());
    Json(json!({ "reference": reference, "token": token, "is_required": true, "reason": "" })).into_response()
}

/// Each tenant has preferences of its own: `b` does not ask at a change of the password.
async fn preferences(State(service): State<Service>, headers: HeaderMap) -> Response {
    let (tenant, admitted) = service.admit(&headers, Value::Null);
    if !admitted {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(json!({
        "is_reuse_kyc_enabled": true,
        "reuse_kyc_triggers": {
            "password_change": tenant != "b",
            "login": tenant == "b",
            "high_frequency_betting": { "enabled": true, "count": 3, "window_minutes": 10 },
        },
        "updated_at": format!("2026-03-01T12:00:0{}Z", tenant.len()),
    }))
    .into_response()
}

/// A stack whose processors ask a service of the test's own.
struct Fixture {
    stack: Stack,
    service: Service,
    url: String,
    page: String,
    credentials: std::path::PathBuf,
    _runtime: tokio::runtime::Runtime,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let service = Service::default();
        let (url, runtime) = service.start();
        let stack = Stack::new(name, 2, &[]).with("dispatch: { pause: 1s }");
        let credentials = stack.directory.path().join("credentials");
        std::fs::create_dir(&credentials).unwrap();
        let page = format!("{url}/api/v1/kyc/preferences");
        Self { stack, service, url, page, credentials, _runtime: runtime }
    }

    /// Runs both roles with the credentials that `access` names.
    fn run(&self, access: &str, path: &std::path::Path) -> Processor {
        let path = path.display().to_string();
        self.stack.run_with(
            "evaluate,dispatch",
            &[
                ("STEPUP__PREFERENCES__SOURCE", "http"),
                ("STEPUP__PREFERENCES__DIRECTORY", ""),
                ("STEPUP__PREFERENCES__URL", &self.page),
                ("STEPUP__SESSION_API__URL", &self.url),
                (access, &path),
            ],
        )
    }

    fn give(&self, tenant: &str, token: &str) {
        let new = self.stack.directory.path().join("new");
        std::fs::write(&new, token).unwrap();
        std::fs::rename(new, self.credentials.join(tenant)).unwrap();
    }

    fn outcomes_of(&self, tenant: &str) -> usize {
        self.stack.json("outcomes").iter().filter(|outcome| outcome["tenant_id"] == tenant).count()
    }
}

#[test]
fn names_that_would_meet_and_a_refused_credential_lead_no_tenant_to_anything_of_anothers() {
    let fixture = Fixture::new("tenants");
    let Fixture { stack, service, .. } = &fixture;
    for tenant in TENANTS {
        service.want(tenant, &format!("token-{tenant}-1"));
        fixture.give(tenant, &format!("token-{tenant}-1"));
    }
    let _processor = fixture.run("STEPUP__SESSION_API__CREDENTIALS_DIR", &fixture.credentials);
    let pairs = || TENANTS.into_iter().flat_map(|tenant| (0..CUSTOMERS.len()).map(move |place| (tenant, place)));
    let now = just_now();
    for kind in ["bet", "bet", "password_change"].iter().enumerate() {
        let (number, kind) = kind;
        let more = if *kind == "bet" { r#","amount":"1""# } else { "" };
        let events: Vec<_> = pairs()
            .map(|(tenant, place)| event(tenant, CUSTOMERS[place], &format!("e-{number}-{place}"), kind, &now, more))
            .collect();
        stack.produce(&events);
    }
    let asking = CUSTOMERS.len() * (TENANTS.len() - 1);
    stack.outcomes(asking);

    service.want("a", "token-a-2");
    let second = |tenant: &str| {
        event(tenant, "another", "e-9", if tenant == "b" { "login" } else { "password_change" }, &now, "")
    };
    stack.produce(&TENANTS.map(second));
    stack.outcomes(asking + TENANTS.len() - 1);
    wait_until(PATIENCE, "the old credential is refused", || service.refused() > 0);
    assert_eq!(fixture.outcomes_of("a"), CUSTOMERS.len(), "what was refused waits");
    fixture.give("a", "token-a-2");
    let outcomes = one_outcome_each(&stack.outcomes(asking + TENANTS.len()));

    let commands = stack.json("commands");
    assert_eq!(commands.len(), asking + TENANTS.len(), "each tenant by its own preferences, windows and claims");
    let mut asked = BTreeMap::new();
    for command in &commands {
        assert_ne!(command["event"], "high_frequency_betting", "no window holds another's bets: {command}");
        assert_eq!(command["event"] == "login", command["tenant_id"] == "b", "{command}");
        let length = command["tenant_id"].as_str().unwrap().len();
        assert_eq!(command["preferences_updated_at"], format!("2026-03-01T12:00:0{length}Z"), "{command}");
        asked.insert(
            command["reference"].as_str().unwrap(),
            (command["tenant_id"].clone(), command["customer_id"].clone()),
        );
    }
    let whose: BTreeSet<String> = asked.values().map(|(tenant, customer)| format!("{tenant} {customer}")).collect();
    assert_eq!(whose.len(), commands.len());
    for outcome in outcomes.values() {
        let (tenant, customer) = &asked[outcome["reference"].as_str().unwrap()];
        assert_eq!((&outcome["tenant_id"], &outcome["customer_id"]), (tenant, customer), "{outcome}");
        let token = outcome["token"].as_str().unwrap();
        assert!(token.starts_with(&format!("session-of-{}-", tenant.as_str().unwrap())), "{outcome}");
    }
    for call in &service.0.lock().unwrap().calls {
        let own = [1, 2].map(|number| format!("Bearer token-{}-{number}", call.tenant));
        assert!(own.contains(&call.authorization), "{} came with {}", call.tenant, call.authorization);
        if let Some(reference) = call.body["reference"].as_str() {
            let (tenant, customer) = &asked[reference];
            assert_eq!((tenant.as_str().unwrap(), &call.body["customer_id"]), (call.tenant.as_str(), customer));
        }
    }
}

#[test]
fn one_credential_for_all_is_read_again_under_load_when_it_is_refused() {
    let fixture = Fixture::new("shared-credential");
    let Fixture { stack, service, .. } = &fixture;
    let want = |token: &str| ["a", "a-b"].iter().for_each(|tenant| service.want(tenant, token));
    want("shared-1");
    fixture.give("all", "shared-1");
    let processor = fixture.run("STEPUP__SESSION_API__CREDENTIAL_FILE", &fixture.credentials.join("all"));
    let mut made = 0;
    let mut load = |count: usize| {
        let now = just_now();
        let change = |number: usize| {
            let customer = format!("c{number}");
            event(["a", "a-b"][number % 2], &customer, &customer, "password_change", &now, "")
        };
        stack.produce(&(made..made + count).map(change).collect::<Vec<_>>());
        made += count;
        made
    };
    stack.outcomes(load(20));
    want("shared-2");
    load(20);
    wait_until(PATIENCE, "the old credential is refused", || service.refused() > 0);
    let paused = || processor.metric("stepup_paused_tenants", &[]);
    wait_until(PATIENCE, "both tenants wait", || paused() == 2.0);
    fixture.give("all", "shared-2");
    let outcomes = one_outcome_each(&stack.outcomes(load(20)));
    assert!(outcomes.values().all(|outcome| outcome["status"] == "session_created"));
    assert_eq!(stack.read("dead-letters"), [], "a refused credential is no fault of the commands");
    wait_until(PATIENCE, "nobody waits any more", || paused() == 0.0);
}

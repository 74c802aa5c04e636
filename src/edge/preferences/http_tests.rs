use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;

use super::*;
use crate::domain::preferences::Preferences;
use crate::edge::preferences::lock;

/// What the server does for each tenant, and the headers of its latest request.
#[derive(Default)]
struct Service {
    heard: Mutex<HeaderMap>,
    requests: AtomicUsize,
    redirected: AtomicUsize,
}

async fn preferences(State(service): State<Arc<Service>>, headers: HeaderMap) -> axum::response::Response {
    service.requests.fetch_add(1, Ordering::Relaxed);
    *lock(&service.heard) = headers.clone();
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let status = |status: u16| StatusCode::from_u16(status).unwrap();
    match header("x-tenant-id") {
        "on" => r#"{"is_reuse_kyc_enabled":true,"updated_at":"v1"}"#.into_response(),
        "garbage" => "<html>".into_response(),
        "empty" => "".into_response(),
        "huge" => "x".repeat(10_000_000).into_response(),
        "redirect" => Redirect::temporary("/elsewhere").into_response(),
        "slow" => std::future::pending().await,
        "drip" => Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>()).into_response(),
        "cut" => Body::from_stream(futures_util::stream::iter([Ok("{".to_owned()), Err(std::io::Error::other("cut"))]))
            .into_response(),
        "guarded" if header("authorization") == "Bearer fresh" => "{}".into_response(),
        "guarded" => status(401).into_response(),
        name => status(name.trim_start_matches("status-").parse().unwrap()).into_response(),
    }
}

async fn serve() -> (String, Arc<Service>) {
    let service = Arc::new(Service::default());
    let elsewhere = async |State(service): State<Arc<Service>>| {
        service.redirected.fetch_add(1, Ordering::Relaxed);
        "{}"
    };
    let routes = Router::new()
        .route("/preferences", get(preferences))
        .route("/elsewhere", get(elsewhere))
        .with_state(Arc::clone(&service));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/preferences", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, routes).into_future());
    (url, service)
}

fn settings(url: &str) -> HttpSettings {
    HttpSettings {
        url: url.to_owned(),
        tenant_header: "X-Tenant-ID".to_owned(),
        authorization_header: "Authorization".to_owned(),
        scheme: "Bearer".to_owned(),
        timeout: Duration::from_secs(5),
        ca_file: None,
    }
}

/// Credentials by tenant; reading one again brings what was put in its place.
#[derive(Default)]
struct Vault {
    held: Mutex<HashMap<TenantId, CredentialAnswer>>,
    replacements: Mutex<HashMap<TenantId, CredentialAnswer>>,
    rereads: AtomicUsize,
}

impl CredentialStore for Vault {
    fn of(&self, tenant: &TenantId) -> CredentialAnswer {
        lock(&self.held).get(tenant).cloned().unwrap_or(CredentialAnswer::None)
    }

    fn reread(&self, tenant: &TenantId) -> bool {
        self.rereads.fetch_add(1, Ordering::Relaxed);
        let replacement = lock(&self.replacements).remove(tenant);
        replacement.is_some_and(|answer| lock(&self.held).insert(tenant.clone(), answer).is_some())
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn token(text: &str, is_own: bool) -> CredentialAnswer {
    CredentialAnswer::Token { token: text.to_owned().into(), is_own }
}

#[tokio::test]
async fn every_answer_of_the_service_is_judged() {
    let (url, service) = serve().await;
    let (told, calls) = std::sync::mpsc::channel();
    let mut source = HttpPreferences::new(settings(&url), Arc::new(Vault::default())).unwrap();
    source.observe(Box::new(move |status, _| told.send(status).unwrap()));
    let away = |reason: &str| Fetched::Away { reason: reason.to_owned() };
    let unreadable = |reason| Fetched::Unreadable(format!("the preferences document is not readable: {reason}"));
    let refused = |status| Fetched::Refused {
        own_credential: false,
        reason: format!("the service refused the credential with status {status}"),
    };
    for (name, want) in [
        ("on", Fetched::Document(Preferences { enabled: true, updated_at: Some("v1".to_owned()), ..Preferences::OFF })),
        ("garbage", away("the service's answer is not JSON")),
        ("empty", away("the service's answer is not JSON")),
        ("huge", unreadable("it is larger than 65536 bytes")),
        ("redirect", away("the service answered with status 307")),
        ("status-404", Fetched::NotFound),
        ("status-401", refused(401)),
        ("status-403", refused(403)),
        ("status-204", away("the service answered with status 204")),
        ("status-400", Fetched::Unreadable("the service answered with status 400 for this tenant".into())),
        ("status-407", away("the service answered with status 407")),
        ("status-408", away("the service answered with status 408")),
        ("status-422", Fetched::Unreadable("the service answered with status 422 for this tenant".into())),
        ("status-429", away("the service answered with status 429")),
        ("status-500", away("the service answered with status 500")),
        ("status-503", away("the service answered with status 503")),
    ] {
        assert_eq!(source.fetch(&tenant(name)).await, want, "{name}");
        let status = name
            .strip_prefix("status-")
            .map_or(if name == "redirect" { 307 } else { 200 }, |status| status.parse().unwrap());
        assert_eq!(calls.try_iter().collect::<Vec<_>>(), [Some(status)], "{name}");
    }
    assert_eq!(service.redirected.load(Ordering::Relaxed), 0);
    let Fetched::Away { reason } = source.fetch(&tenant("cut")).await else { panic!("a cut body is no answer") };
    assert!(reason.starts_with("the connection broke"), "{reason}");
}

#[tokio::test]
async fn a_service_that_is_slow_or_gone_is_away_in_bounded_time() {
    let (url, _service) = serve().await;
    let hasty = HttpSettings { timeout: Duration::from_millis(200), ..settings(&url) };
    let source = HttpPreferences::new(hasty, Arc::new(Vault::default())).unwrap();
    for name in ["slow", "drip"] {
        let want = Fetched::Away { reason: "no whole answer within 200ms".to_owned() };
        assert_eq!(source.fetch(&tenant(name)).await, want, "{name}");
    }
    // A port that was free a moment ago.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = HttpPreferences::new(settings(&format!("http://{closed}/")), Arc::new(Vault::default())).unwrap();
    let Fetched::Away { reason } = gone.fetch(&tenant("on")).await else { panic!("nobody is there") };
    assert_eq!(reason, "no connection: Connection refused (os error 111)");
}

#[tokio::test]
async fn the_configured_headers_carry_the_tenant_and_its_credential() {
    let (url, service) = serve().await;
    for (header, scheme, credential, want) in [
        ("Authorization", "Bearer", CredentialAnswer::None, None),
        ("Authorization", "Bearer", token("s3cret", false), Some("Bearer s3cret")),
        ("X-Api-Key", "", token("s3cret", true), Some("s3cret")),
    ] {
        let vault = Arc::new(Vault::default());
        lock(&vault.held).insert(tenant("on"), credential);
        let named =
            HttpSettings { authorization_header: header.to_owned(), scheme: scheme.to_owned(), ..settings(&url) };
        let source = HttpPreferences::new(named, vault).unwrap();
        assert_eq!(source.fetch(&tenant("on")).await.name(), "document");
        let heard = lock(&service.heard);
        assert_eq!(heard.get("x-tenant-id").unwrap(), "on");
        assert_eq!(heard.get(header).map(|value| value.to_str().unwrap()), want, "{header}");
    }
}

#[tokio::test]
async fn a_refused_credential_is_read_again_once() {
    let refused = |own_credential| Fetched::Refused {
        own_credential,
        reason: "the service refused the credential with status 401".into(),
    };
    for (held, replacement, want, requests) in [
        (token("old", true), Some(token("fresh", true)), Fetched::Document(Preferences::OFF), 2),
        (token("old", true), Some(token("also old", true)), refused(true), 2),
        (token("old", false), Some(token("also old", false)), refused(false), 2),
        (token("old", true), Some(CredentialAnswer::Missing), Fetched::NoCredential, 1),
        (token("old", true), None, refused(true), 1),
        (token("fresh", true), None, Fetched::Document(Preferences::OFF), 1),
        (CredentialAnswer::Missing, None, Fetched::NoCredential, 0),
    ] {
        let (url, service) = serve().await;
        let vault = Arc::new(Vault::default());
        let case = format!("{held:?} then {replacement:?}");
        assert!(!case.contains("old") && !case.contains("fresh"), "the debug form shows the token: {case}");
        let must_reread = matches!(want, Fetched::Refused { .. }) || replacement.is_some();
        lock(&vault.held).insert(tenant("guarded"), held);
        lock(&vault.replacements).extend(replacement.map(|answer| (tenant("guarded"), answer)));
        let source = HttpPreferences::new(settings(&url), Arc::clone(&vault) as Arc<dyn CredentialStore>).unwrap();
        let foregone = source.foregone(&tenant("guarded"));
        assert_eq!(foregone.is_some(), requests == 0, "{case}");
        assert_eq!(source.fetch(&tenant("guarded")).await, want, "{case}");
        assert_eq!(service.requests.load(Ordering::Relaxed), requests, "{case}");
        assert_eq!(vault.rereads.load(Ordering::Relaxed), usize::from(must_reread), "{case}");
    }
}

#[tokio::test]
async fn a_credential_that_no_header_can_carry_is_refused_unsent() {
    let (url, service) = serve().await;
    let vault = Arc::new(Vault::default());
    lock(&vault.held).insert(tenant("on"), token("two\nlines", true));
    let source = HttpPreferences::new(settings(&url), vault).unwrap();
    let reason = "the credential holds characters that a header cannot carry".to_owned();
    assert_eq!(source.fetch(&tenant("on")).await, Fetched::Refused { own_credential: true, reason });
    assert_eq!(service.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn settings_that_no_client_can_be_made_of_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let good = || settings("https://kyc.example/preferences");
    for (settings, want) in [
        (HttpSettings { url: "kyc.example".to_owned(), ..good() }, "the preferences URL is not an http or https URL"),
        (HttpSettings { url: "file:///etc".to_owned(), ..good() }, "the preferences URL is not an http or https URL"),
        (
            HttpSettings { tenant_header: "X Tenant".to_owned(), ..good() },
            r#""X Tenant" is not a header name: invalid HTTP header name"#,
        ),
        (
            HttpSettings { ca_file: Some("/nowhere/ca.pem".into()), ..good() },
            "cannot read the certificates in /nowhere/ca.pem: No such file or directory (os error 2)",
        ),
        (
            HttpSettings { ca_file: Some(empty.clone()), ..good() },
            &format!("cannot read the certificates in {}: it holds no PEM certificate", empty.display()),
        ),
    ] {
        let error = HttpPreferences::new(settings, Arc::new(Vault::default())).err().unwrap();
        assert_eq!(format!("{:#}", anyhow::Error::from(error)), want);
    }
}

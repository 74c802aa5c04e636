//! The pages that operators and their machines read: `/livez`, `/readyz`, `/metrics`.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::health::{Health, Missing};
use crate::metrics::{self, Metrics};

/// A client that has not sent its request's head by then is cut off.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// A connection ends after so long, whatever its client reads or does not.
const CONNECTION_WITHIN: Duration = Duration::from_secs(30);
/// Where so many connections are open, the oldest one gives way to the next: clients that say nothing must not keep out the
/// probes of a process that would be restarted for it.
const MOST_CONNECTIONS: usize = 64;
/// How long to wait before accepting again when the system has no more sockets to give.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long connections in hand may take to end once the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Who asks, for pages that are not for everybody.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The pages for machines.
fn router(metrics: Metrics, health: Health) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(health)
        .merge(Router::new().route("/metrics", get(render)).with_state(metrics))
}

/// Serves the pages, and `front` at `/`, until `shutdown`, then lets the connections in hand end. One request a connection: probes and
/// scrapes are rare, and nothing idle is left to reap.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    health: Health,
    front: Option<Router>,
    shutdown: CancellationToken,
) {
    let front = front.unwrap_or_else(|| Router::new().route("/", get(async || plain_front())));
    let pages = router(metrics, health).merge(front);
    let connections = TaskTracker::new();
    let mut open: VecDeque<AbortOnDropHandle<()>> = VecDeque::with_capacity(MOST_CONNECTIONS);
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((connection, peer)) => {
                let (pages, shutdown) = (pages.clone().layer(Extension(Peer(peer.ip()))), shutdown.clone());
                open.retain(|connection| !connection.is_finished());
                if open.len() >= MOST_CONNECTIONS {
                    tracing::debug!("the oldest connection gives way to another");
                    open.pop_front();
                }
                let answering = connections.spawn(async move { answer(connection, pages, &shutdown).await });
                open.push_back(AbortOnDropHandle::new(answering));
            }
            Err(error) if is_the_clients(&error) => tracing::debug!(%error, "a connection ended before it began"),
            Err(error) => {
                tracing::warn!(%error, "accepting a connection for /livez, /readyz and /metrics");
                shutdown.run_until_cancelled(tokio::time::sleep(ACCEPT_AGAIN_AFTER)).await;
            }
        }
    }
    connections.close();
    if tokio::time::timeout(STOP_WITHIN, connections.wait()).await.is_err() {
        tracing::debug!("connections were still open when the server stopped");
    }
}

async fn answer(connection: TcpStream, pages: Router, shutdown: &CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .keep_alive(false)
        .serve_connection(TokioIo::new(connection), TowerToHyperService::new(pages));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::time::timeout(CONNECTION_WITHIN, async {
        if let Some(ended) = shutdown.run_until_cancelled(connection.as_mut()).await {
            return ended;
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    });
    match ended.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection broke off"),
        Err(_) => tracing::debug!("a connection took too long and was cut off"),
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The front page where there is no other.
pub fn plain_front() -> String {
    format!("stepup {}: /livez /readyz /metrics\n", env!("CARGO_PKG_VERSION"))
}

async fn livez(State(health): State<Health>) -> impl IntoResponse {
    let liveness = health.liveness();
    let stuck: Vec<_> = liveness
        .stuck
        .iter()
        .map(|(role, silent)| json!({ "role": role.name(), "silent_seconds": silent.as_secs() }))
        .collect();
    let status = if liveness.alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "alive": liveness.alive, "stuck": stuck })))
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let readiness = health.readiness();
    let missing: Vec<_> = readiness
        .missing
        .iter()
        .map(|Missing { role, dependency, reason, since }| {
            json!({
                "role": role.name(),
                "dependency": dependency.name(),
                "reason": reason,
                "since": since.to_string(),
            })
        })
        .collect();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut page = json!({ "ready": readiness.ready, "missing": missing });
    let controls = health.controls();
    if !controls.is_empty() {
        page["controls"] = controls.into();
    }
    (status, Json(page))
}

async fn render(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.render())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::domain::time::Timestamp;
    use crate::health::Dependency;
    use crate::metrics::Role;

    struct Server {
        at: SocketAddr,
        metrics: Metrics,
        health: Health,
        shutdown: CancellationToken,
        ended: JoinHandle<()>,
    }

    async fn server() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (metrics, health, shutdown) = (Metrics::new(4).unwrap(), Health::new(), CancellationToken::new());
        let ended = tokio::spawn(serve(listener, metrics.clone(), health.clone(), None, shutdown.clone()));
        Server { at, metrics, health, shutdown, ended }
    }

    impl Server {
        async fn ask(&self, method: reqwest::Method, path: &str) -> (u16, String, String) {
            // Another test may have installed it already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::new();
            let answer = client.request(method, format!("http://{}{path}", self.at)).send().await.unwrap();
            let kind = answer.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
            (answer.status().as_u16(), kind.unwrap_or_default(), answer.text().await.unwrap())
        }

        async fn get_json(&self, path: &str) -> (u16, serde_json::Value) {
            let (status, kind, body) = self.ask(reqwest::Method::GET, path).await;
            assert_eq!(kind, "application/json");
            (status, serde_json::from_str(&body).unwrap())
        }
    }

    #[tokio::test]
    async fn every_path_answers_what_it_is_for_and_no_other_path_does() {
        let server = server().await;
        server.metrics.late_bets(3);
        for (method, path, status, kind, holds) in [
            ("GET", "/", 200, "text/plain; charset=utf-8", "/livez /readyz /metrics"),
            ("GET", "/livez", 200, "application/json", r#"{"alive":true,"stuck":[]}"#),
            ("GET", "/readyz", 503, "application/json", r#"{"missing":[],"ready":false}"#),
            ("GET", "/metrics", 200, "text/plain; version=0.0.4", "\nstepup_late_bets_total 3\n"),
            ("GET", "/metrics", 200, "text/plain; version=0.0.4", "\nprocess_open_fds "),
            ("HEAD", "/readyz", 503, "application/json", ""),
            ("POST", "/livez", 405, "", ""),
            ("GET", "/metrics/", 404, "", ""),
            ("GET", "/../etc/passwd", 404, "", ""),
            ("GET", "/favicon.ico", 404, "", ""),
        ] {
            let answer = server.ask(method.parse().unwrap(), path).await;
            assert_eq!((answer.0, answer.1.as_str()), (status, kind), "{method} {path}");
            assert!(answer.2.contains(holds), "{method} {path}: {}", answer.2);
        }
    }

    #[tokio::test]
    async fn readyz_says_who_misses_what_and_since_when() {
        let server = server().await;
        server.health.register(Role::Evaluate, &[Dependency::Redis]);
        server.health.missing(Role::Evaluate, Dependency::Redis, "connection refused");
        let (status, body) = server.get_json("/readyz").await;
        assert_eq!(status, 503);
        assert_eq!(body["ready"], false);
        let missing = &body["missing"][0];
        assert_eq!(missing["role"], "evaluate");
        assert_eq!(missing["dependency"], "redis");
        assert_eq!(missing["reason"], "connection refused");
        assert!(Timestamp::parse(missing["since"].as_str().unwrap()).unwrap() > Timestamp(1_700_000_000_000));
        server.health.ready(Role::Evaluate, Dependency::Redis);
        assert_eq!(server.get_json("/readyz").await, (200, json!({ "ready": true, "missing": [] })));
        assert_eq!(server.get_json("/livez").await, (200, json!({ "alive": true, "stuck": [] })));
        server.health.set_controls(vec!["pause: everything".to_owned()]);
        let paused = json!({ "ready": true, "missing": [], "controls": ["pause: everything"] });
        assert_eq!(server.get_json("/readyz").await, (200, paused));
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_keeps_neither_the_others_nor_the_stop_waiting() {
        let server = server().await;
        let mut silent = TcpStream::connect(server.at).await.unwrap();
        silent.write_all(b"GET /livez HTTP/1.1\r\nHost: ").await.unwrap();
        assert_eq!(server.get_json("/livez").await.0, 200);
        server.shutdown.cancel();
        tokio::time::timeout(STOP_WITHIN * 2, server.ended).await.unwrap().unwrap();
        assert!(TcpStream::connect(server.at).await.is_err());
    }

    #[tokio::test]
    async fn clients_that_say_nothing_do_not_keep_out_others_however_many_they_are() {
        let server = server().await;
        let mut silent = Vec::new();
        for _ in 0..MOST_CONNECTIONS + 10 {
            let mut connection = TcpStream::connect(server.at).await.unwrap();
            connection.write_all(b"GET /livez HTTP/1.1\r\nHost: ").await.unwrap();
            silent.push(connection);
        }
        assert_eq!(server.get_json("/livez").await.0, 200);
        let cut = silent[0].read(&mut [0]).await;
        assert!(matches!(cut, Ok(0) | Err(_)), "the oldest one is gone: {cut:?}");
        silent[MOST_CONNECTIONS].write_all(b"a\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        silent[MOST_CONNECTIONS].read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "a younger one is answered: {answer}");
    }

    #[tokio::test]
    async fn a_connection_ends_with_its_answer() {
        let server = server().await;
        let mut connection = TcpStream::connect(server.at).await.unwrap();
        connection.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}

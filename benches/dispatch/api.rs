//! The simulator, with a note of when each call arrived and was answered.

use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use stepup::roles::session_api::{Simulator, SimulatorSettings};
use stepup::wire::faults::decode_faults;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::timeline::{Stamp, Timeline, now};

pub struct Api {
    url: String,
    simulator: Simulator,
    runtime: Option<Runtime>,
}

impl Api {
    pub fn start(preferences: &Path, timeline: Arc<Timeline>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let simulator = Simulator::new(SimulatorSettings::new(preferences));
        let router = simulator.router().layer(from_fn_with_state(timeline, timed));
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket without delay"));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, simulator, runtime: Some(runtime) }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn faults(&self, list: &str) {
        self.simulator.set_faults(decode_faults(list.as_bytes()).expect("faults"));
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn timed(State(timeline): State<Arc<Timeline>>, request: Request, next: Next) -> Response {
    let arrived = now();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 65_536).await.expect("a whole body");
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let id = after(text, r#""reference":""#).unwrap_or_default().to_owned();
    timeline.stamp(&id, Stamp::Arrived, arrived);
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    timeline.stamp(&id, Stamp::Answered, now());
    answer
}

/// The id that follows a name in JSON.
pub fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(name)?;
    rest.get(..36)
}

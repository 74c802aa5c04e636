//! Callbacks to the tenant's application, sent beside the answers.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Url;
use tokio::sync::Semaphore;

use crate::edge::tls::install_tls_provider;
use crate::wire::session_answers::Callback;

/// Callbacks under way at most; one more is given up.
const MAX_UNDER_WAY: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a callback may go there: by https, or to this machine.
pub(super) fn is_allowed(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

/// Sends callbacks, each once.
pub(super) struct Callbacks {
    client: OnceLock<Option<reqwest::Client>>,
    room: Arc<Semaphore>,
    counts: Arc<CallbackCounts>,
}

#[derive(Default)]
pub(super) struct CallbackCounts {
    pub(super) sent: AtomicU64,
    /// Not sent, or not answered by a success.
    pub(super) failed: AtomicU64,
}

impl Callbacks {
    pub(super) fn new() -> Self {
        Self {
            client: OnceLock::new(),
            room: Arc::new(Semaphore::new(MAX_UNDER_WAY)),
            counts: Arc::new(CallbackCounts::default()),
        }
    }

    pub(super) fn counts(&self) -> &CallbackCounts {
        &self.counts
    }

    /// Starts to send and returns at once.
    pub(super) fn send(&self, url: &str, callback: &Callback) {
        let client = self.client.get_or_init(client);
        let (Some(client), Ok(place)) = (client, Arc::clone(&self.room).try_acquire_owned()) else {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let request = client.post(url).json(callback);
        let counts = Arc::clone(&self.counts);
        tokio::spawn(async move {
            let arrived = request.send().await.is_ok_and(|answer| answer.status().is_success());
            let count = if arrived { &counts.sent } else { &counts.failed };
            count.fetch_add(1, Ordering::Relaxed);
            drop(place);
        });
    }
}

fn client() -> Option<reqwest::Client> {
    install_tls_provider();
    reqwest::Client::builder()
        .user_agent(concat!("stepup-session-api/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn callbacks_go_by_https_or_to_this_machine() {
        for (url, allowed) in [
            ("https://app.example/cb", true),
            ("http://127.0.0.1:8080/cb", true),
            ("http://[::1]:8080/cb", true),
            ("http://localhost/cb", true),
            ("http://app.example/cb", false),
            ("http://10.0.0.1/cb", false),
            ("http://localhost.evil.example/cb", false),
            ("http://127.0.0.1@evil.example/cb", false),
            ("file:///etc/passwd", false),
            ("app.example", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(url), allowed, "{url}");
        }
    }
}

//! The page at `/`: what this process does at the moment, for whoever is called out of bed. It reads, and changes nothing.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::header::{CACHE_CONTROL, HOST, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Router, extract};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Console as Audience, ConsoleIds};
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::preferences::Remembered;
use crate::health::Health;
use crate::http::{self, Peer};
use crate::metrics::{Metrics, Totals};

mod page;
mod told;
pub use told::Told;

/// How often what was counted is noted down.
const EVERY: Duration = Duration::from_secs(5);
/// So many notes reach back a quarter of an hour.
const MOST_NOTES: usize = 181;
/// So many decisions are remembered.
pub const MOST_TOLD: usize = 50;
/// So many tenants are shown, those with the oldest preferences.
const MOST_TENANTS: usize = 30;

/// What the page shows. Clones share it.
#[derive(Clone)]
pub struct Console(Arc<Board>);

type Snapshot = Box<dyn Fn(usize) -> Vec<Remembered> + Send + Sync>;

struct Board {
    metrics: Metrics,
    health: Health,
    audience: Audience,
    ids: ConsoleIds,
    /// What is said of the process below the title.
    lead: String,
    since: Timestamp,
    notes: Mutex<VecDeque<Note>>,
    told: Mutex<VecDeque<Told>>,
    preferences: OnceLock<Snapshot>,
}

/// What was counted up to a moment.
#[derive(Clone)]
struct Note {
    at: Instant,
    wall: Timestamp,
    totals: Totals,
}

impl Console {
    /// The page of a process that works by this configuration; nothing where it is switched off.
    pub fn new(config: &Config, metrics: Metrics, health: Health) -> Option<Self> {
        if config.http.console == Audience::Off {
            return None;
        }
        let roles: Vec<&str> = config.roles.iter().map(|role| super::wiring::role(*role).name()).collect();
        let lead = format!("{} of consumer group {}", roles.join(" and "), config.kafka.group_id);
        Some(Self(Arc::new(Board {
            metrics,
            health,
            audience: config.http.console,
            ids: config.http.console_ids,
            lead,
            since: clock::now(),
            notes: Mutex::default(),
            told: Mutex::default(),
            preferences: OnceLock::new(),
        })))
    }

    /// Where the preferences in use can be seen: the tenants with the oldest ones, as many as asked for.
    pub fn show_preferences(&self, snapshot: impl Fn(usize) -> Vec<Remembered> + Send + Sync + 'static) {
        let _ = self.0.preferences.set(Box::new(snapshot));
    }

    /// Remembers decisions, the newest last.
    pub fn tell(&self, told: impl IntoIterator<Item = Told>) {
        let mut known = lock(&self.0.told);
        known.extend(told);
        let over = known.len().saturating_sub(MOST_TOLD);
        known.drain(..over);
    }

    /// Notes down every few seconds what was counted, until `stop`.
    async fn keep(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let note = self.0.note();
            let mut notes = lock(&self.0.notes);
            notes.push_back(note);
            let over = notes.len().saturating_sub(MOST_NOTES);
            notes.drain(..over);
        }
    }

    /// The page in place of the plain front page. What it shows is kept until `stop`.
    pub fn serve(&self, stop: &CancellationToken) -> Router {
        tokio::spawn(self.clone().keep(stop.clone()));
        Router::new().route("/", get(front)).with_state(self.clone())
    }

    /// Whether somebody may see the page. A page for this machine alone is shown neither to others nor to a browser that was
    /// sent here under another name.
    fn admits(&self, peer: IpAddr, host: Option<&str>) -> bool {
        match self.0.audience {
            Audience::Off => false,
            Audience::All => true,
            Audience::Local => peer.to_canonical().is_loopback() && host.is_some_and(names_this_machine),
        }
    }
}

impl Board {
    fn note(&self) -> Note {
        Note { at: Instant::now(), wall: clock::now(), totals: self.metrics.totals() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn names_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn front(
    State(console): State<Console>,
    Extension(Peer(peer)): Extension<Peer>,
    query: extract::RawQuery,
    headers: HeaderMap,
) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if !console.admits(peer, host) {
        return (StatusCode::OK, http::plain_front()).into_response();
    }
    let stands_still = query.0.as_deref() == Some("still");
    let head = [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (X_FRAME_OPTIONS, "DENY")];
    (head, Html(page::render(&console.0, stands_still))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_few_names() {
        for (host, its) in [
            ("localhost", true),
            ("LOCALHOST:9090", true),
            ("127.0.0.1:9090", true),
            ("127.9.9.9", true),
            ("[::1]:9090", true),
            ("[::1]", true),
            ("localhost.evil.example", false),
            ("evil.example:9090", false),
            ("10.0.0.1:9090", false),
            ("[2001:db8::1]:9090", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(names_this_machine(host), its, "{host}");
        }
    }

    #[test]
    fn the_page_is_for_whom_it_is_configured() {
        let [here, mapped, there]: [IpAddr; 3] =
            ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3"].map(|text| text.parse().unwrap());
        for (console, peer, host, admitted) in [
            ("local", here, Some("localhost:9090"), true),
            ("local", mapped, Some("127.0.0.1"), true),
            ("local", here, Some("evil.example"), false),
            ("local", here, None, false),
            ("local", there, Some("localhost"), false),
            ("all", there, Some("stepup.internal"), true),
        ] {
            let text = format!(
                "kafka: {{ brokers: 'k:9092' }}\npreferences: {{ source: directory, directory: /p }}\n\
                 redis: {{ url: 'redis://r' }}\nsession_api: {{ url: 'http://s' }}\nhttp: {{ console: {console} }}\n"
            );
            let config = Config::from_yaml(&text, std::iter::empty()).unwrap();
            let page = Console::new(&config, Metrics::new(1).unwrap(), Health::new()).unwrap();
            assert_eq!(page.admits(peer, host), admitted, "{console} {peer} {host:?}");
        }
    }
}

//! The verb `session-api`: a simulator of the verification service, for tests, demos and load. Faults come on demand.

mod answers;
mod callback;
mod connection;
mod control;
mod decision;
mod documents;
mod faults;
mod sessions;
mod store;
mod submission;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::routing::{get, post, put};
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::callback::Callbacks;
use self::connection::{Connection, CuttableListener};
use self::documents::Documents;
use self::faults::Faults;
use self::store::Store;
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::credentials::Credentials;
use crate::roles::whole::at_least;
use crate::wire::faults::{Fault, InvalidFault, Stats, fault_of_flag};

/// How long connections may take to finish once the simulator stops.
const GRACE: Duration = Duration::from_secs(3);

const EXAMPLE: &str = "\
Example:
  stepup session-api --listen 127.0.0.1:8081 --preferences ./preferences \\
      --fault kind=status,status=503,retry_after=2,rate=0.1

At run time:
  curl -X PUT http://127.0.0.1:8081/sim/faults \\
      -d '[{\"kind\":\"cut_after\",\"tenant\":\"tenant-0\",\"count\":3}]'
  curl http://127.0.0.1:8081/sim/sessions?tenant=tenant-0
  curl http://127.0.0.1:8081/sim/stats";

/// Simulates the verification service: sessions, preferences, submissions and callbacks.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct SessionApiArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// A directory with one <tenant_id>.json a tenant; read again when it changes
    #[arg(long, value_name = "DIR")]
    pub preferences: PathBuf,
    /// A directory with one file a tenant, whose content must come as bearer token
    #[arg(long, value_name = "DIR")]
    pub credentials: Option<PathBuf>,
    /// Customers whose id begins so have no prior KYC, and need no verification
    #[arg(long, value_name = "PREFIX")]
    pub no_prior_kyc: Option<String>,
    /// A fault as name=value pairs: kind (status, delay, cut_before, cut_after, hang, garbage), tenant, status,
    /// retry_after (seconds), delay_ms, rate (0 to 1), count, on (session, preferences), carried_out
    #[arg(long, value_name = "FAULT", value_parser = fault)]
    pub fault: Vec<Fault>,
    /// Fixes the chance by which faults meet calls
    #[arg(long, default_value_t = 0, value_parser = at_least::<0>, allow_negative_numbers = true)]
    pub seed: u64,
    /// Sessions remembered; beyond that the oldest is forgotten
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_SESSIONS)]
    pub max_sessions: usize,
}

const DEFAULT_MAX_SESSIONS: usize = 2_000_000;

fn fault(text: &str) -> Result<Fault, InvalidFault> {
    fault_of_flag(text)
}

/// Runs the simulator until `shutdown` is cancelled.
///
/// # Errors
/// Where the preferences are no directory, or the address cannot be listened on.
pub async fn run(args: SessionApiArgs, shutdown: CancellationToken) -> anyhow::Result<()> {
    for directory in std::iter::once(&args.preferences).chain(&args.credentials) {
        if !directory.is_dir() {
            bail!("{} is no directory: give one with a file for each tenant", directory.display());
        }
    }
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr().context("cannot tell the address that is listened on")?;
    // Whoever started it may have closed stderr; it serves all the same.
    let _ = writeln!(std::io::stderr(), "session-api listens on http://{address}");
    let settings = SimulatorSettings {
        credentials: args.credentials,
        no_prior_kyc: args.no_prior_kyc,
        faults: args.fault,
        seed: args.seed,
        max_sessions: args.max_sessions,
        ..SimulatorSettings::new(args.preferences)
    };
    serve(listener, Simulator::new(settings), shutdown).await
}

/// Serves a simulator on a listener until `shutdown` is cancelled, and at most three seconds longer. Faults that cut
/// connections really cut them.
///
/// # Errors
/// Where serving fails for good.
pub async fn serve(listener: TcpListener, simulator: Simulator, shutdown: CancellationToken) -> anyhow::Result<()> {
    let service = simulator.router().into_make_service_with_connect_info::<Connection>();
    let stopping = {
        let (shutdown, closing) = (shutdown.clone(), simulator.shared.closing.clone());
        async move {
            shutdown.cancelled().await;
            closing.cancel();
        }
    };
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let serving = axum::serve(CuttableListener(listener), service).with_graceful_shutdown(stopping);
    tokio::select! {
        served = serving.into_future() => served.context("the session API stopped serving"),
        () = overdue => Ok(()),
    }
}

/// How a simulator behaves.
#[derive(Clone)]
pub struct SimulatorSettings {
    /// Holds `<tenant_id>.json` files.
    pub preferences: PathBuf,
    /// Holds one file a tenant; without it no credential is asked for.
    pub credentials: Option<PathBuf>,
    pub no_prior_kyc: Option<String>,
    pub faults: Vec<Fault>,
    pub seed: u64,
    pub max_sessions: usize,
    /// Session tokens follow it in the links for phones.
    pub hand_off_url: String,
    /// What the time is; tests bring their own.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl SimulatorSettings {
    /// No faults, no credentials, and the wall clock.
    pub fn new(preferences: impl Into<PathBuf>) -> Self {
        Self {
            preferences: preferences.into(),
            credentials: None,
            no_prior_kyc: None,
            faults: Vec::new(),
            seed: 0,
            max_sessions: DEFAULT_MAX_SESSIONS,
            hand_off_url: "https://kyc.example/hand-off/".to_owned(),
            clock: Arc::new(clock::now),
        }
    }
}

/// The simulated service. Clones share everything.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
}

struct Shared {
    documents: Documents,
    credentials: Credentials,
    no_prior_kyc: Option<String>,
    hand_off_url: String,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    store: Mutex<Store>,
    faults: Mutex<Faults>,
    stats: Mutex<Stats>,
    callbacks: Callbacks,
    /// Ends the calls that hang or are delayed.
    closing: CancellationToken,
}

impl Simulator {
    pub fn new(settings: SimulatorSettings) -> Self {
        let shared = Shared {
            documents: Documents::new(settings.preferences),
            credentials: settings.credentials.map_or_else(Credentials::none, Credentials::per_tenant),
            no_prior_kyc: settings.no_prior_kyc,
            hand_off_url: settings.hand_off_url,
            clock: settings.clock,
            store: Mutex::new(Store::new(settings.max_sessions)),
            faults: Mutex::new(Faults::new(settings.seed, settings.faults)),
            stats: Mutex::default(),
            callbacks: Callbacks::new(),
            closing: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The service's routes, and the simulator's own under `/sim`. Served otherwise than by [`serve`], a cut connection
    /// shows as an answer that breaks off.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/api/v1/kyc/face/session", post(sessions::create))
            .route("/api/v1/kyc/face/verify/{token}", get(submission::verify))
            .route("/api/v1/kyc/face/submit", post(submission::submit))
            .route("/api/v1/kyc/session/connect", put(submission::connect))
            .route(
                "/api/v1/kyc/preferences",
                get(control::preferences).put(control::update_preferences).patch(control::update_preferences),
            )
            .route("/sim/faults", get(control::faults).put(control::set_faults))
            .route("/sim/sessions", get(control::sessions).delete(control::reset))
            .route("/sim/stats", get(control::stats))
            .with_state(self.clone())
    }

    /// Puts other faults in force.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.faults().set(faults);
    }

    fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "session_api_tests.rs"]
mod tests;

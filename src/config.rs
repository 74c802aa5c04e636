//! What an operator sets: one YAML file, with environment variables over it, read once, checked once, passed as values.
//!
//! The variable of `kafka.brokers` is `STEPUP__KAFKA__BROKERS`. Where a text is expected it is taken as it is; anything
//! else is read as YAML, so that lists and numbers can be written. An empty variable, and an empty key in the file, is as
//! if not set. Within `kafka.properties` a variable's `_` stands for a dot, so a property whose name has a `_` can only
//! be set in the file; `evaluate.cooldown` takes a trigger's name in capitals, `evaluate.rates` the currency.
//!
//! Every error is one line that names the key, where its value came from, the value unless it is secret, and what is
//! allowed.

mod build;
mod checks;
mod duration;
mod effective;
mod keys;
mod mask;
mod read;
mod resilience;
mod settings;
mod table;
mod tree;
pub mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::domain::breaker;
use crate::domain::command::ReferenceChoice;
use crate::domain::control::Controls;
use crate::domain::decide::Mode;
use crate::domain::delivery::OnLostAnswer;
use crate::domain::ids::TenantId;
use crate::domain::money::Rates;
use crate::domain::trigger::Trigger;

pub use keys::{KeyDoc, Kind, Names};
pub use resilience::{FloodStop, OnUnavailable, RetryBudget, SessionBreaker, Unavailable};
pub use table::KEYS;

/// No configuration is longer, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Why there is no configuration. Each is one line that says where, what and what is allowed instead.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}: is no configuration: {reason}", path.display())]
    NotText { path: PathBuf, reason: &'static str },
    /// The place is `file:line:column`.
    #[error("{origin}: is no YAML: {reason}")]
    Syntax { origin: String, reason: String },
    /// The origin is `file:line` or the name of an environment variable.
    #[error("{origin}: {path}: {problem}")]
    Setting { origin: String, path: String, problem: String },
}

/// A secret: never shown by `Debug`, wiped when dropped. `ExposeSecret` reads it.
pub type Secret = SecretString;

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// At least one, none twice.
    pub roles: Vec<Role>,
    pub kafka: Kafka,
    pub redis: Redis,
    pub preferences: Preferences,
    pub session_api: SessionApi,
    pub windows: Windows,
    pub evaluate: Evaluate,
    pub dispatch: Dispatch,
    pub http: Http,
    pub log: Log,
    pub metrics: Metrics,
    pub traces: Traces,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Events to commands.
    Evaluate,
    /// Commands to outcomes.
    Dispatch,
}

/// `Debug` shows no secret property.
#[derive(Clone)]
pub struct Kafka {
    /// host:port, several separated by commas.
    pub brokers: String,
    pub start: Start,
    pub group_id: String,
    pub topics: Topics,
    /// For librdkafka; none of those that stepup itself sets.
    pub properties: BTreeMap<String, String>,
    /// librdkafka properties whose value is a file's content without white space at its ends.
    pub properties_files: BTreeMap<String, PathBuf>,
}

/// Where a group without offsets begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
}

/// All different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// At least one.
    pub activity: Vec<String>,
    pub commands: String,
    /// Where the commands go that ask nobody.
    pub shadow_commands: String,
    pub outcomes: String,
    pub retries: String,
    pub dead_letters: String,
    pub receipts: String,
}

/// `Debug` shows no password.
#[derive(Clone)]
pub struct Redis {
    /// May hold a password. Not used where `cluster` is not empty.
    pub url: String,
    /// Nodes of a Redis Cluster; each may hold a password.
    pub cluster: Vec<String>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub password_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    /// What is written counts once so many replicas have it.
    pub wait_replicas: usize,
    pub key_prefix: String,
}

#[derive(Debug, Clone)]
pub struct Preferences {
    pub source: Source,
    pub ttl: Duration,
    /// At least `ttl`.
    pub max_stale: Duration,
    pub refused_for: Duration,
    pub lookups_per_second: u32,
    pub timeout: Duration,
    pub max_tenants: u64,
}

/// Where preferences come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Http { url: String },
    Directory { path: PathBuf },
}

#[derive(Debug, Clone)]
pub struct SessionApi {
    /// There where the role dispatch is.
    pub url: Option<String>,
    pub path: String,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub tenant_header: String,
    pub authorization_header: String,
    pub authorization_scheme: String,
    /// Not together with `credential_file`.
    pub credentials_dir: Option<PathBuf>,
    pub credential_file: Option<PathBuf>,
    pub redirect_url: Option<String>,
    pub callback_url: Option<String>,
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct Windows {
    pub store: Store,
    pub max_lookback: Duration,
    pub allowed_lateness: Duration,
    /// How far back activity is read again where the windows were lost.
    pub refill: Duration,
    pub max_entries: usize,
    pub outage_budget: Duration,
}

/// Where windows, claims and outcomes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Redis,
    Memory,
}

#[derive(Debug, Clone)]
pub struct Evaluate {
    /// `None`: events of any age.
    pub max_event_age: Option<Duration>,
    pub max_clock_skew: Duration,
    pub reference: ReferenceChoice,
    claim_retention: Duration,
    pub cooldown: Cooldowns,
    pub rates: Rates,
    pub receipts: Receipts,
    pub batch_size: usize,
    pub shadow: Shadow,
    /// For each tenant, over all replicas. `None`: as many as the rules say.
    pub max_sessions_per_minute: Option<u32>,
    pub breaker: Breaker,
    /// Preferences that are tried out beside those in force; nothing follows from them.
    pub candidate: Option<Source>,
    pub flood: FloodStop,
    /// While windows, claims or preferences are away.
    pub unavailable: Unavailable,
}

/// Which decisions get a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipts {
    Off,
    /// Those that a command follows from.
    Required,
    All,
}

impl Evaluate {
    /// How long claims of a trigger are kept: as configured, and no shorter than its cool-down.
    pub fn claim_retention(&self, trigger: Trigger) -> Duration {
        self.claim_retention.max(self.cooldown.of(trigger))
    }
}

/// What puts a trigger in shadow that fires too often since its preferences were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Beyond so many times the rate before; 0 is off.
    pub factor: u32,
    /// The least commands that judge.
    pub least: u32,
    pub window: Duration,
}

impl Breaker {
    /// What it goes by, where it is on.
    pub fn terms(&self) -> Option<breaker::Terms> {
        let Self { factor, least, window } = *self;
        (factor > 0).then_some(breaker::Terms { factor, least, window })
    }
}

/// What is decided and counted, and asks nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shadow {
    /// For every tenant.
    pub triggers: BTreeSet<Trigger>,
    /// For every trigger.
    pub tenants: BTreeSet<TenantId>,
    /// What was put in shadow while the processors run; no part of the configuration.
    pub controls: Arc<Controls>,
}

impl Shadow {
    pub fn is_empty(&self) -> bool {
        self.triggers.is_empty() && self.tenants.is_empty()
    }

    pub fn mode(&self, tenant: &TenantId, trigger: Trigger) -> Mode {
        let configured = self.triggers.contains(&trigger) || self.tenants.contains(tenant);
        if configured || self.controls.is_shadowed(tenant, trigger) { Mode::Shadow } else { Mode::Live }
    }
}

/// The cool-down of every trigger; 0 tests nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldowns {
    /// Of the triggers that are not named and whose transactions do not stand for themselves.
    default: Duration,
    named: BTreeMap<Trigger, Duration>,
}

impl Cooldowns {
    pub fn of(&self, trigger: Trigger) -> Duration {
        match self.named.get(&trigger) {
            Some(named) => *named,
            None => self.default,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Dispatch {
    pub max_command_age: Duration,
    pub concurrency: usize,
    /// At most `concurrency`.
    pub concurrency_per_tenant: usize,
    pub on_lost_answer: OnLostAnswer,
    pub backoff_base: Duration,
    /// At least `backoff_base`.
    pub backoff_cap: Duration,
    pub max_retry_after: Duration,
    /// How long a tenant whose credential is refused waits before one call tries again.
    pub pause: Duration,
    /// A command with a longer wait goes to the retries topic.
    pub park_after: Duration,
    pub breaker: SessionBreaker,
    pub retry_budget: RetryBudget,
    /// While outcomes are away.
    pub unavailable: Unavailable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http {
    pub listen: SocketAddr,
    /// Who may see the page at `/`.
    pub console: Console,
    pub console_ids: ConsoleIds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    Off,
    /// Whoever asks from this machine, as through a forwarded port.
    Local,
    All,
}

/// What the page at `/` shows of customers and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleIds {
    Masked,
    Shown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// A level, or directives as `tracing_subscriber::EnvFilter` reads them.
    pub level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Pretty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metrics {
    /// How many tenants have a label of their own.
    pub max_tenants: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// The URL of an OTLP/HTTP collector, without the path of the traces. `None`: nothing is traced.
    pub endpoint: Option<String>,
    /// Of the traces that begin here, the share that is kept: 0 to 1.
    pub sample: f64,
}

impl Config {
    /// Reads the file at `path`, at most 1 MiB, with those of the variables over it that begin with `STEPUP__`.
    pub fn load(path: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let no_text = |reason| ConfigError::NotText { path: path.to_owned(), reason };
        if bytes.len() as u64 > LARGEST {
            return Err(no_text("it is larger than 1 MiB"));
        }
        let text = String::from_utf8(bytes).map_err(|_| no_text("it is not UTF-8"))?;
        Self::from_named(&path.display().to_string(), &text, env)
    }

    /// The same from a text, which messages call `config.yaml`.
    pub fn from_yaml(text: &str, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        Self::from_named("config.yaml", text, env)
    }

    fn from_named(name: &str, text: &str, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let settings = settings::Settings::read(name, text, env)?;
        let config = build::config(&settings)?;
        checks::across(&config, &settings)?;
        Ok(config)
    }

    /// What is in force, as YAML that loads again; secrets are masked as `***`.
    pub fn effective(&self) -> String {
        effective::yaml(self)
    }
}

#[cfg(test)]
mod tests;

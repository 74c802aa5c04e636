//! From the configuration to the settings of each edge, and from the edges' reports to metrics and health.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use secrecy::SecretString;

use crate::config::{self, Config, Source, Start};
use crate::domain::control::{Controls, Kind};
use crate::domain::delivery::RetryPolicy;
use crate::domain::ids::TenantId;
use crate::edge::credentials::Credentials;
use crate::edge::kafka::Connection;
use crate::edge::kafka::consumer::{Ahead, ConsumerSettings, LaneSettings, Observer, StartAt};
use crate::edge::kafka::headers::Headers;
use crate::edge::preferences::{
    self, CredentialAnswer, DirectoryPreferences, Fetched, HttpPreferences, PreferencesCache, PreferencesSource,
};
use crate::edge::redis::{RedisSettings, RedisStore, Servers};
use crate::edge::sessions::{HttpSessions, SessionsSettings};
use crate::health::{Dependency, Health};
use crate::metrics::{
    CommitResult, Held, HeldReason, HttpTarget, LookupResult, Metrics, RebalanceKind, RedisOperation, Role,
};
use crate::roles::dispatch::Route;
use crate::wire::{redrive, trace};

/// Every tenant's preferences, cached, from whichever source is configured.
pub type TenantPreferences = PreferencesCache<AnySource>;

pub fn role(role: config::Role) -> Role {
    match role {
        config::Role::Evaluate => Role::Evaluate,
        config::Role::Dispatch => Role::Dispatch,
    }
}

/// What a role must have reached before it is ready.
pub fn needs(role: Role) -> &'static [Dependency] {
    match role {
        Role::Evaluate => &[Dependency::Kafka, Dependency::Redis, Dependency::Assignment],
        Role::Dispatch => &[Dependency::Kafka, Dependency::Redis, Dependency::Assignment, Dependency::SessionApi],
    }
}

pub fn kafka(config: &Config) -> Connection {
    Connection {
        brokers: config.kafka.brokers.clone(),
        properties: config.kafka.properties.clone(),
        property_files: config.kafka.properties_files.clone(),
    }
}

pub fn evaluate_input(config: &Config) -> ConsumerSettings {
    let lane = LaneSettings {
        topics: config.kafka.topics.activity.clone(),
        batch_records: config.evaluate.batch_size,
        capacity: 1,
        headers: of_events(config),
    };
    consumer(config, "evaluate", vec![lane])
}

pub fn dispatch_input(config: &Config) -> ConsumerSettings {
    let lane = |topic: &String, headers| LaneSettings {
        topics: vec![topic.clone()],
        batch_records: 256,
        // While one batch is looked up the next ones wait: a lane that is full is paused, and has to be fetched again.
        capacity: 4,
        headers,
    };
    let topics = &config.kafka.topics;
    let lanes = vec![lane(&topics.commands, context(config)), lane(&topics.retries, Headers::Kept)];
    // Whoever skips old activity must not skip the commands that the first evaluator wrote in the meantime.
    // Sessions are made more slowly than commands are read.
    let ahead = Ahead { kilobytes: 1_024, records: 5_000, partition_bytes: 131_072 };
    ConsumerSettings { start: StartAt::Earliest, ahead, ..consumer(config, "dispatch", lanes) }
}

/// What is read of an event's headers: how an operator redrives it, and its trace's context where that is asked for.
fn of_events(config: &Config) -> Headers {
    Headers::Named(if config.traces.endpoint.is_some() { redrive::HEADERS_AND_TRACE } else { redrive::HEADERS })
}

/// Nobody asks for a trace's context while traces are off.
fn context(config: &Config) -> Headers {
    if config.traces.endpoint.is_some() { Headers::Named(trace::HEADERS) } else { Headers::Dropped }
}

fn consumer(config: &Config, role: &str, lanes: Vec<LaneSettings>) -> ConsumerSettings {
    ConsumerSettings {
        connection: kafka(config),
        group_id: format!("{}-{role}", config.kafka.group_id),
        lanes,
        start: match config.kafka.start {
            Start::Earliest => StartAt::Earliest,
            Start::Latest => StartAt::Latest,
        },
        revoke_budget: Duration::from_secs(10),
        commit_interval: Duration::from_secs(1),
        linger: Duration::from_millis(1),
        // Some tens of milliseconds' worth at full rate.
        ahead: Ahead { kilobytes: 4_096, records: 5_000, partition_bytes: 262_144 },
    }
}

/// Whether commands may go to the topic of the shadow: by configuration, by a control, or by a breaker yet to trip.
pub fn may_shadow(evaluate: &config::Evaluate, controls: &Controls) -> bool {
    let switched = controls.active().any(|control| control.kind == Kind::Shadow);
    switched || !evaluate.shadow.is_empty() || evaluate.breaker.terms().is_some()
}

/// The store that is configured, not connected yet.
pub fn redis(config: &Config, metrics: &Metrics) -> RedisStore {
    let redis = &config.redis;
    let servers = if redis.cluster.is_empty() {
        Servers::Single { url: redis.url.clone() }
    } else {
        Servers::Cluster { urls: redis.cluster.clone() }
    };
    let settings = RedisSettings {
        username: redis.username.clone(),
        password: redis.password.clone(),
        password_file: redis.password_file.clone(),
        ca_file: redis.ca_file.clone(),
        wait_replicas: redis.wait_replicas,
        key_prefix: redis.key_prefix.clone(),
        ..RedisSettings::new(servers)
    };
    let metrics = metrics.clone();
    RedisStore::new(settings).observed(Arc::new(move |operation, took| {
        if let Some(operation) = RedisOperation::ALL.iter().find(|known| known.name() == operation) {
            metrics.redis_call(*operation, took);
        }
    }))
}

fn credentials(config: &Config) -> Credentials {
    match (&config.session_api.credentials_dir, &config.session_api.credential_file) {
        (Some(directory), _) => Credentials::per_tenant(directory),
        (None, Some(file)) => Credentials::shared(file),
        (None, None) => Credentials::none(),
    }
}

pub fn sessions(config: &Config) -> anyhow::Result<HttpSessions> {
    let api = &config.session_api;
    let settings = SessionsSettings {
        path: api.path.clone(),
        timeout: api.timeout,
        connect_timeout: api.connect_timeout,
        tenant_header: api.tenant_header.clone(),
        credential_header: api.authorization_header.clone(),
        credential_scheme: api.authorization_scheme.clone(),
        ca_file: api.ca_file.clone(),
        ..SessionsSettings::new(api.url.clone().unwrap_or_default())
    };
    HttpSessions::new(settings, Arc::new(credentials(config))).context("session_api")
}

/// How the session API is called in spans.
pub fn route(config: &Config) -> Route {
    let api = &config.session_api;
    let url = api.url.as_deref().and_then(|url| reqwest::Url::parse(url).ok());
    let prefix = url.as_ref().map_or("", |url| url.path().trim_end_matches('/'));
    Route {
        path: format!("{prefix}{}", api.path),
        host: url.as_ref().and_then(reqwest::Url::host_str).unwrap_or_default().to_owned(),
        port: url.as_ref().and_then(reqwest::Url::port_or_known_default),
    }
}

pub fn retry_policy(dispatch: &config::Dispatch) -> RetryPolicy {
    RetryPolicy {
        on_lost_answer: dispatch.on_lost_answer,
        base: dispatch.backoff_base,
        cap: dispatch.backoff_cap,
        max_retry_after: dispatch.max_retry_after,
        margin: Duration::from_millis(250),
    }
}

/// The configured source of preferences.
pub enum AnySource {
    Http(Box<HttpPreferences>),
    Directory(DirectoryPreferences),
}

impl PreferencesSource for AnySource {
    async fn fetch(&self, tenant: &TenantId) -> Fetched {
        match self {
            Self::Http(source) => source.fetch(tenant).await,
            Self::Directory(source) => source.fetch(tenant).await,
        }
    }

    fn foregone(&self, tenant: &TenantId) -> Option<Fetched> {
        match self {
            Self::Http(source) => source.foregone(tenant),
            Self::Directory(source) => source.foregone(tenant),
        }
    }

    fn adjust(&self, settings: preferences::Settings) -> preferences::Settings {
        match self {
            Self::Http(source) => source.adjust(settings),
            Self::Directory(source) => source.adjust(settings),
        }
    }
}

/// One of the two sources that a configuration can name.
pub fn source(config: &Config, source: &Source) -> anyhow::Result<AnySource> {
    let api = &config.session_api;
    Ok(match source {
        Source::Directory { path } => AnySource::Directory(DirectoryPreferences::new(path)),
        Source::Http { url } => {
            let settings = preferences::HttpSettings {
                url: url.clone(),
                tenant_header: api.tenant_header.clone(),
                authorization_header: api.authorization_header.clone(),
                scheme: api.authorization_scheme.clone(),
                timeout: config.preferences.timeout,
                ca_file: api.ca_file.clone(),
            };
            let bearer = Arc::new(Bearer(credentials(config)));
            AnySource::Http(Box::new(HttpPreferences::new(settings, bearer).context("preferences")?))
        }
    })
}

pub fn preferences(config: &Config, metrics: &Metrics) -> anyhow::Result<TenantPreferences> {
    let mut source = source(config, &config.preferences.source)?;
    if let AnySource::Http(source) = &mut source {
        let metrics = metrics.clone();
        source.observe(Box::new(move |status, took| metrics.http_call(HttpTarget::Preferences, status, took)));
    }
    Ok(PreferencesCache::new(source, cache(config), Arc::new(Lookups(metrics.clone()))))
}

/// The preferences that are tried out beside those in force, if there are any.
pub fn candidate(config: &Config) -> anyhow::Result<Option<TenantPreferences>> {
    let Some(candidate) = &config.evaluate.candidate else { return Ok(None) };
    let source = source(config, candidate).context("evaluate.candidate")?;
    Ok(Some(PreferencesCache::new(source, cache(config), Arc::new(preferences::Unobserved))))
}

fn cache(config: &Config) -> preferences::Settings {
    preferences::Settings {
        ttl: config.preferences.ttl,
        max_stale: config.preferences.max_stale,
        refused_for: config.preferences.refused_for,
        lookups_per_second: NonZeroU32::new(config.preferences.lookups_per_second).unwrap_or(NonZeroU32::MIN),
        max_tenants: config.preferences.max_tenants,
    }
}

/// The credentials as the preferences look-up asks for them.
struct Bearer(Credentials);

impl preferences::CredentialStore for Bearer {
    fn of(&self, tenant: &TenantId) -> CredentialAnswer {
        if !self.0.are_asked_for() {
            return CredentialAnswer::None;
        }
        match self.0.of(tenant) {
            Ok(Some(credential)) => CredentialAnswer::Token {
                token: SecretString::from(credential.reveal()),
                is_own: self.0.are_per_tenant(),
            },
            Ok(None) => CredentialAnswer::Missing,
            Err(error) => {
                tracing::error!(%tenant, error = &error as &dyn std::error::Error, "no credential");
                // Asked without one, the service refuses, and the tenant is held like one with a refused credential.
                CredentialAnswer::Token { token: SecretString::from(""), is_own: self.0.are_per_tenant() }
            }
        }
    }

    fn reread(&self, tenant: &TenantId) -> bool {
        self.0.reread(tenant)
    }
}

struct Lookups(Metrics);

impl preferences::Observer for Lookups {
    fn hits(&self, times: u64) {
        self.0.preferences_lookups(LookupResult::Hit, times);
    }

    fn miss(&self) {
        self.0.preferences_lookups(LookupResult::Miss, 1);
    }

    fn refresh(&self, result: &'static str) {
        let answered = matches!(result, "document" | "not_found" | "no_credential");
        let result = if answered { LookupResult::RefreshOk } else { LookupResult::RefreshFailed };
        self.0.preferences_lookups(result, 1);
    }

    fn stale_served(&self) {
        self.0.preferences_lookups(LookupResult::Stale, 1);
    }
}

/// Tells metrics and health what happens to a role's consumer, and `gone` which partitions went.
pub fn observer(
    role: Role,
    metrics: &Metrics,
    health: &Health,
    gone: impl Fn(&str, i32) + Send + Sync + 'static,
) -> Arc<dyn Observer> {
    let (metrics, health) = (metrics.clone(), health.clone());
    Arc::new(Watcher { role, metrics, health, gone, lost: Mutex::default() })
}

struct Watcher<G> {
    role: Role,
    metrics: Metrics,
    health: Health,
    gone: G,
    /// The positions that are lost, while their partitions stand.
    lost: Mutex<Option<(Vec<String>, Held)>>,
}

impl<G: Fn(&str, i32) + Send + Sync> Observer for Watcher<G> {
    fn polled(&self) {
        self.health.heartbeat(self.role);
    }

    fn assigned(&self, partitions: usize) {
        self.metrics.rebalanced(self.role, RebalanceKind::Assigned);
        self.metrics.set_assigned_partitions(self.role, partitions);
        self.health.ready(self.role, Dependency::Kafka);
        self.health.ready(self.role, Dependency::Assignment);
    }

    fn revoked(&self, partitions: usize, lost: bool) {
        let kind = if lost { RebalanceKind::Lost } else { RebalanceKind::Revoked };
        self.metrics.rebalanced(self.role, kind);
        self.metrics.set_assigned_partitions(self.role, partitions);
    }

    fn lag(&self, topic: &str, partition: i32, lag: i64) {
        self.metrics.set_lag(self.role, topic, partition, u64::try_from(lag).unwrap_or(0));
    }

    fn gone(&self, topic: &str, partition: i32) {
        self.metrics.forget_partition(self.role, topic, partition);
        (self.gone)(topic, partition);
        // Whoever gets the partition next finds out for himself whether its position is there.
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((partitions, _)) = lost.as_mut() {
            let gone = format!("{topic}[{partition}]@");
            partitions.retain(|lost| !lost.starts_with(&gone));
            if partitions.is_empty() {
                *lost = None;
                self.health.ready(self.role, Dependency::Positions);
            }
        }
    }

    fn committed(&self, ok: bool) {
        self.metrics.committed(self.role, if ok { CommitResult::Committed } else { CommitResult::Failed });
    }

    fn open(&self, records: usize) {
        self.metrics.set_inflight(self.role, records);
    }

    fn trouble(&self, reason: &str) {
        self.health.missing(self.role, Dependency::Kafka, reason);
    }

    fn well(&self) {
        self.health.ready(self.role, Dependency::Kafka);
    }

    fn stalled(&self, _partition: &str) {
        self.metrics.stalled(self.role);
    }

    fn position_lost(&self, partitions: &[String]) {
        tracing::error!(
            role = %self.role, ?partitions,
            "the group's position is outside of what the brokers hold; these partitions stand until their offsets are set"
        );
        self.health.missing(self.role, Dependency::Positions, &format!("lost: {}", partitions.join(", ")));
        let held = self.metrics.hold(self.role, HeldReason::KafkaInput);
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some((partitions.to_vec(), held));
    }
}

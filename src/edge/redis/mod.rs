//! Windows, claims, outcomes and controls in Redis, on one server or a cluster of them.
//!
//! Every call is one pipeline, on a cluster one for each bucket present, side by side. Whatever is called may be called
//! again: a call whose answer was lost is made anew by the caller. Scripts check their arguments and what is stored before
//! their first write.

mod claims;
mod connection;
mod controls;
mod direct;
mod failure;
mod forget;
mod keys;
mod marks;
mod outcomes;
mod peek;
mod pipelines;
mod protocol;
mod quotas;
mod replies;
mod scripts;
mod windows;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;
use secrecy::SecretString;
use tokio::time::Instant;

use self::connection::Connection;
use self::failure::{Failure, not_understood};
use self::keys::Keys;
use self::pipelines::{Pipelines, get};
use self::replies::{setting_in, version_in};
use super::marks::{Part, Watch};
use super::{Scope, Scoped, StoreError};

/// Where Redis is and how it is spoken to.
#[derive(Clone)]
pub struct RedisSettings {
    pub servers: Servers,
    /// ACL user; it takes precedence over one in the URL.
    pub username: Option<String>,
    pub password: Option<SecretString>,
    /// Read again for every new connection, so that a rotated password is taken up. It takes precedence over `password`.
    pub password_file: Option<PathBuf>,
    /// PEM certificates to trust instead of the system's; only with `rediss://`.
    pub ca_file: Option<PathBuf>,
    /// What is written counts only once so many replicas have it.
    pub wait_replicas: usize,
    /// First part of every key, without braces: they would move the hash tag of a cluster.
    pub key_prefix: String,
    /// The longest a call may take once there is a connection.
    pub response_timeout: Duration,
    /// The longest an attempt to connect may take.
    pub connect_timeout: Duration,
}

/// One Redis or a cluster.
#[derive(Clone)]
pub enum Servers {
    /// `redis://…`, or `rediss://…` for TLS.
    Single { url: String },
    /// Some of the cluster's nodes, by which the others are found.
    Cluster { urls: Vec<String> },
}

impl RedisSettings {
    /// The usual settings for these servers: prefix `stepup`, 2 s for an answer, 5 s for a connection, no credentials.
    pub fn new(servers: Servers) -> Self {
        Self {
            servers,
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            wait_replicas: 0,
            key_prefix: "stepup".to_owned(),
            response_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for RedisSettings {
    /// Leaves out the addresses, which may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("password_file", &self.password_file)
            .field("ca_file", &self.ca_file)
            .field("key_prefix", &self.key_prefix)
            .field("response_timeout", &self.response_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

/// Bytes that a store remembers of what it wrote, at the most, once windows are written.
pub const MEMORY: usize = windows::MEMORY;

/// Hears of every call that the store answered: which operation, and how long it took with its retries.
pub type Observe = Arc<dyn Fn(&'static str, Duration) + Send + Sync>;

/// The stores in Redis. Clones share one connection, those that are [`Scoped::beside`] each other do not. It is made at the
/// first call and made anew after it was lost, also while it was idle; a call under which it is lost fails as unavailable, and
/// the next one connects.
#[derive(Clone)]
pub struct RedisStore {
    connection: Connection,
    prefix: Arc<str>,
    wait_replicas: usize,
    keys: Arc<Keys>,
    observe: Observe,
    /// When the windows end that were given a time to live.
    expiries: Arc<windows::Expiries>,
    /// The windows as they were written to last.
    copies: Arc<windows::Copies>,
    /// What every call must find whole.
    watch: Option<(Part, Watch)>,
}

impl Scoped for RedisStore {
    fn scoped(&self, scope: Scope) -> Self {
        let keys = Arc::new(Keys::new(&self.prefix, scope));
        Self {
            keys,
            expiries: Arc::new(windows::Expiries::new()),
            copies: Arc::new(windows::Copies::new()),
            ..self.clone()
        }
    }

    fn beside(&self) -> Self {
        Self { connection: self.connection.another(), ..self.clone() }
    }
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    pub version: String,
    /// Of a cluster the first primary's that is not `noeviction`, if any. `None` where `CONFIG GET` is forbidden.
    pub maxmemory_policy: Option<String>,
}

/// What is asked of the store, by its name in metrics and in words.
#[derive(Clone, Copy)]
struct Operation {
    name: &'static str,
    action: &'static str,
}

impl RedisStore {
    /// A store that is not connected yet.
    pub fn new(settings: RedisSettings) -> Self {
        let prefix: Arc<str> = settings.key_prefix.as_str().into();
        let keys = Arc::new(Keys::new(&prefix, Scope::Live));
        let wait_replicas = settings.wait_replicas;
        Self {
            connection: Connection::new(settings),
            prefix,
            wait_replicas,
            keys,
            observe: Arc::new(|_, _| {}),
            expiries: Arc::new(windows::Expiries::new()),
            copies: Arc::new(windows::Copies::new()),
            watch: None,
        }
    }

    /// The same store, telling `observe` how long its calls take.
    #[must_use]
    pub fn observed(self, observe: Observe) -> Self {
        Self { observe, ..self }
    }

    /// Asks the server, or every primary of a cluster, whether it answers, and what it is.
    pub async fn ping(&self) -> Result<ServerFacts, StoreError> {
        const PING: Operation = Operation { name: "ping", action: "ask Redis for its version and settings" };
        let facts = async {
            self.connection.ask_primaries(&["PING"]).await?;
            let information = self.connection.ask_primaries(&["INFO", "server"]).await?;
            let version = information.iter().find_map(version_in).ok_or_else(not_understood)?;
            let maxmemory_policy = match self.connection.ask_primaries(&["CONFIG", "GET", "maxmemory-policy"]).await {
                Ok(answers) => first_evicting(answers.iter().filter_map(setting_in)),
                Err(failure) if failure.is_refusal() => None,
                Err(failure) => return Err(failure),
            };
            Ok(ServerFacts { version, maxmemory_policy })
        };
        self.observed_call(PING, facts).await
    }

    fn pipelines(&self) -> Pipelines {
        self.pipelines_for(0)
    }

    /// Pipelines with room for about so many commands.
    fn pipelines_for(&self, commands: usize) -> Pipelines {
        Pipelines::new(&self.connection, commands)
    }

    /// Sends the pipelines and gives the answers that were asked for, each at its place. Where the store is watched, each
    /// pipeline ends with a look at its mark: an answer is good if the mark still stood behind it.
    async fn call(&self, operation: Operation, mut pipelines: Pipelines) -> Result<Vec<Value>, StoreError> {
        let Some((part, watch)) = &self.watch else { return self.unwatched_call(operation, pipelines).await };
        let lost = StoreError::Lost { action: operation.action };
        let Some(era) = watch.era() else { return Err(lost) };
        let mark = |bucket| get(&Keys::mark(&self.prefix, *part, bucket).name);
        let answers = pipelines.add_to_each(mark);
        let mut all = self.unwatched_call(operation, pipelines).await?;
        let seen = all.split_off(answers);
        if !marks::are_of(&seen, era) {
            watch.end(era);
            return Err(lost);
        }
        Ok(all)
    }

    /// The same for what must not be lost: where replicas are to be waited for, it fails as unavailable unless they have it.
    async fn write(&self, operation: Operation, mut pipelines: Pipelines) -> Result<Vec<Value>, StoreError> {
        if self.wait_replicas == 0 {
            return self.call(operation, pipelines).await;
        }
        let first = pipelines.add_to_each(|_| {
            let mut wait = ::redis::cmd("WAIT");
            wait.arg(self.wait_replicas).arg(LONGEST_WAIT.as_millis() as u64);
            wait
        });
        let mut answers = self.call(operation, pipelines).await?;
        for answer in answers.split_off(first) {
            let has = if let Value::Int(replicas) = answer { usize::try_from(replicas).unwrap_or(0) } else { 0 };
            if has < self.wait_replicas {
                let failure = Failure::TooFewReplicas { has, wanted: self.wait_replicas };
                return Err(failure.into_store_error(operation.action));
            }
        }
        Ok(answers)
    }

    async fn unwatched_call(&self, operation: Operation, pipelines: Pipelines) -> Result<Vec<Value>, StoreError> {
        self.observed_call(operation, pipelines.send(&self.connection)).await
    }

    async fn observed_call<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let answer = call.await.map_err(|failure| failure.into_store_error(operation.action));
        if answer.is_ok() {
            (self.observe)(operation.name, started.elapsed());
        }
        answer
    }
}

/// How long replicas are waited for, within the time that a call may take.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The first policy that evicts, or else the first.
fn first_evicting(policies: impl Iterator<Item = String>) -> Option<String> {
    policies.reduce(|first, policy| if first == "noeviction" { policy } else { first })
}

/// A TTL as Redis takes it: from a millisecond to ten years.
fn ttl_millis(ttl: Duration) -> u64 {
    const TEN_YEARS: u64 = 10 * 365 * 86_400_000;
    u64::try_from(ttl.as_millis()).unwrap_or(TEN_YEARS).clamp(1, TEN_YEARS)
}

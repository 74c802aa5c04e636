//! Whether this process can do its work (readiness) and whether its loops still turn (liveness).
//!
//! A dependency that is away makes the process not ready; only a loop that stands still makes it dead, for a restart
//! mends the second and never the first.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::time::Timestamp;
use crate::metrics::Role;

mod board;

pub use board::STUCK_AFTER;
use board::{Board, Line, Moment};

/// How often the board is looked at for reminders.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a role cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dependency {
    Kafka,
    Redis,
    Preferences,
    SessionApi,
    /// Membership of the consumer group, with or without partitions.
    Assignment,
    /// Brokers that acknowledge what is written.
    KafkaOutput,
    /// The topics that are configured.
    Topics,
    /// Committed positions that the brokers still hold.
    Positions,
    /// Partitions most of whose records can be processed.
    Input,
}

impl Dependency {
    /// The name in `/readyz` and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Redis => "redis",
            Self::Preferences => "preferences",
            Self::SessionApi => "session_api",
            Self::Assignment => "assignment",
            Self::KafkaOutput => "kafka_output",
            Self::Topics => "topics",
            Self::Positions => "positions",
            Self::Input => "input",
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether work can be done, and if not, what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    pub ready: bool,
    pub missing: Vec<Missing>,
}

/// A dependency that a role waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub role: Role,
    pub dependency: Dependency,
    pub reason: String,
    pub since: Timestamp,
}

/// Whether every loop turns, and if not, which ones stand still and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liveness {
    pub alive: bool,
    pub stuck: Vec<(Role, Duration)>,
}

/// The health of one process. Clones share the same board.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<Board>>);

impl Health {
    /// A board without roles, which is alive and not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a role on the board. Everything that it needs is missing until [`Health::ready`] says otherwise, and its
    /// loop owes heartbeats from its first one on.
    pub fn register(&self, role: Role, needs: &[Dependency]) {
        self.board().register(role, needs, Moment::now());
    }

    /// Takes a role off the board, for its loop ended in order.
    pub fn deregister(&self, role: Role) {
        self.board().deregister(role);
    }

    /// A dependency answers. Says so once, if it was missing.
    pub fn ready(&self, role: Role, dependency: Dependency) {
        let line = self.board().ready(role, dependency, Moment::now());
        log(line);
    }

    /// A dependency is away. Says so once; the reason is for people, and is cut to 300 characters.
    pub fn missing(&self, role: Role, dependency: Dependency, reason: &str) {
        let line = self.board().missing(role, dependency, reason, Moment::now());
        log(line);
    }

    /// A dependency does not answer whoever looks at it from time to time: so it is missing for every role that needs it. What
    /// a role says of it by itself goes before that.
    pub fn suspect(&self, dependency: Dependency, reason: &str) {
        let lines = self.board().suspect(dependency, reason, Moment::now());
        log(lines);
    }

    /// A dependency that may be suspected answers. Where a role says by itself that it is missing, it stays so.
    pub fn clear(&self, dependency: Dependency) {
        let lines = self.board().clear(dependency, Moment::now());
        log(lines);
    }

    /// The role's loop turned once more. A loop that waits for a dependency turns as well.
    pub fn heartbeat(&self, role: Role) {
        self.board().heartbeat(role, Instant::now());
    }

    /// Ready is a process with at least one role and nothing missing.
    pub fn readiness(&self) -> Readiness {
        self.board().readiness()
    }

    pub fn liveness(&self) -> Liveness {
        self.board().liveness(Instant::now())
    }

    /// What people and guard rails have switched, a line each. It has no bearing on readiness.
    pub fn set_controls(&self, lines: Vec<String>) {
        self.board().controls = lines;
    }

    pub fn controls(&self) -> Vec<String> {
        self.board().controls.clone()
    }

    /// Says again what has been missing or stuck for a minute since it was last said.
    pub fn remind(&self) {
        let lines = self.board().remind(Instant::now());
        log(lines);
    }

    /// Reminds until `shutdown`.
    pub async fn keep_reminding(&self, shutdown: &CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.remind();
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(lines: impl IntoIterator<Item = Line>) {
    for line in lines {
        match line {
            Line::Missing(Missing { role, dependency, reason, since }) => {
                tracing::warn!(%role, %dependency, %reason, %since, "{role} waits for {dependency}");
            }
            Line::StillMissing(Missing { role, dependency, reason, since }) => {
                tracing::warn!(%role, %dependency, %reason, %since, "{role} still waits for {dependency}");
            }
            Line::Ready { role, dependency, after } => {
                let after_seconds = after.as_secs_f64();
                tracing::info!(%role, %dependency, after_seconds, "{role} has {dependency}");
            }
            Line::Stuck { role, silent } => {
                let silent_seconds = silent.as_secs();
                tracing::error!(%role, silent_seconds, "the loop of {role} stands still: /livez says so");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_a_process_with_a_role_and_nothing_missing() {
        use Dependency::{Kafka, Redis, SessionApi};
        let health = Health::new();
        let is = || {
            let readiness = health.readiness();
            (readiness.ready, readiness.missing.iter().map(|m| (m.role, m.dependency)).collect::<Vec<_>>())
        };
        assert_eq!(is(), (false, vec![]));
        health.register(Role::Evaluate, &[Kafka, Redis]);
        health.register(Role::Dispatch, &[Kafka]);
        assert_eq!(is(), (false, vec![(Role::Evaluate, Kafka), (Role::Evaluate, Redis), (Role::Dispatch, Kafka)]));
        health.ready(Role::Evaluate, Kafka);
        health.ready(Role::Dispatch, Kafka);
        assert_eq!(is(), (false, vec![(Role::Evaluate, Redis)]));
        health.ready(Role::Evaluate, Redis);
        assert_eq!(is(), (true, vec![]));
        // A dependency that the role did not name counts as well.
        health.missing(Role::Dispatch, SessionApi, "503");
        assert_eq!(is(), (false, vec![(Role::Dispatch, SessionApi)]));
        health.deregister(Role::Dispatch);
        health.missing(Role::Dispatch, SessionApi, "a role that left is not asked");
        assert_eq!(is(), (true, vec![]));
    }

    #[test]
    fn who_only_looks_at_a_dependency_says_nothing_against_those_who_need_it() {
        use Dependency::Redis;
        let health = Health::new();
        health.register(Role::Evaluate, &[Redis]);
        let is = || health.readiness().missing.into_iter().map(|missing| missing.reason).next().unwrap_or_default();
        health.clear(Redis);
        assert_eq!(is(), "not reached yet", "whoever needs it has not asked it");
        health.ready(Role::Evaluate, Redis);
        health.suspect(Redis, "refused");
        health.suspect(Redis, "timed out");
        assert_eq!(is(), "timed out");
        health.clear(Redis);
        assert_eq!(is(), "");
        health.suspect(Redis, "refused");
        health.missing(Role::Evaluate, Redis, "out of memory");
        health.suspect(Redis, "refused");
        health.clear(Redis);
        assert_eq!(is(), "out of memory");
        health.ready(Role::Evaluate, Redis);
        assert_eq!(is(), "");
    }
}

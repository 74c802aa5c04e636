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
use crate::edge::clock;
use crate::metrics::Role;

/// A loop that was silent for longer than this stands still.
pub const STUCK_AFTER: Duration = Duration::from_secs(60);
/// What is still missing is said again after so long.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// How often the board is looked at for reminders.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 300;
/// The reason of a dependency before it answers for the first time.
const NOT_YET: &str = "not reached yet";

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
    /// loop owes a heartbeat from now on.
    pub fn register(&self, role: Role, needs: &[Dependency]) {
        self.board().register(role, needs, Moment::now());
    }

    /// Takes a role off the board, for its loop ended in order.
    pub fn deregister(&self, role: Role) {
        self.board().roles.retain(|entry| entry.role != role);
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

    /// The role's loop turned once more. A loop that waits for a dependency turns as well.
    pub fn heartbeat(&self, role: Role) {
        let now = Instant::now();
        if let Some(entry) = self.board().role(role) {
            entry.heartbeat = now;
        }
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

/// One point in time on both clocks: the one that only runs forward, and the one that people read.
#[derive(Clone, Copy)]
struct Moment {
    instant: Instant,
    wall: Timestamp,
}

impl Moment {
    fn now() -> Self {
        Self { instant: Instant::now(), wall: clock::now() }
    }
}

/// What is to be logged.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Missing(Missing),
    StillMissing(Missing),
    Ready { role: Role, dependency: Dependency, after: Duration },
    Stuck { role: Role, silent: Duration },
}

/// Who needs what, and when each loop last turned.
#[derive(Default)]
struct Board {
    roles: Vec<Entry>,
    controls: Vec<String>,
}

struct Entry {
    role: Role,
    heartbeat: Instant,
    /// When it was last said that the loop stands still.
    stuck_said: Option<Instant>,
    needs: Vec<(Dependency, State)>,
}

enum State {
    Ready,
    Missing {
        reason: String,
        since: Moment,
        /// When it was last said.
        said: Option<Instant>,
    },
}

impl Board {
    fn role(&mut self, role: Role) -> Option<&mut Entry> {
        self.roles.iter_mut().find(|entry| entry.role == role)
    }

    fn register(&mut self, role: Role, needs: &[Dependency], now: Moment) {
        self.roles.retain(|entry| entry.role != role);
        let missing = || State::Missing { reason: NOT_YET.to_owned(), since: now, said: None };
        let needs = needs.iter().map(|dependency| (*dependency, missing())).collect();
        self.roles.push(Entry { role, heartbeat: now.instant, stuck_said: None, needs });
    }

    fn ready(&mut self, role: Role, dependency: Dependency, now: Moment) -> Option<Line> {
        let (_, state) = self.role(role)?.needs.iter_mut().find(|need| need.0 == dependency)?;
        match std::mem::replace(state, State::Ready) {
            State::Ready => None,
            State::Missing { since, .. } => {
                Some(Line::Ready { role, dependency, after: now.instant.duration_since(since.instant) })
            }
        }
    }

    /// Keeps since when it is missing, and takes the newest reason.
    fn missing(&mut self, role: Role, dependency: Dependency, reason: &str, now: Moment) -> Option<Line> {
        let entry = self.role(role)?;
        let index = entry.needs.iter().position(|need| need.0 == dependency).unwrap_or_else(|| {
            entry.needs.push((dependency, State::Ready));
            entry.needs.len() - 1
        });
        let (_, state) = entry.needs.get_mut(index)?;
        let reason = readable(reason);
        let (since, said) = match state {
            State::Ready => (now, None),
            State::Missing { since, said, .. } => (*since, *said),
        };
        *state = State::Missing { reason: reason.clone(), since, said: said.or(Some(now.instant)) };
        said.is_none().then_some(Line::Missing(Missing { role, dependency, reason, since: since.wall }))
    }

    fn readiness(&self) -> Readiness {
        let missing = self.roles.iter().flat_map(|entry| {
            entry.needs.iter().filter_map(|(dependency, state)| match state {
                State::Ready => None,
                State::Missing { reason, since, .. } => Some(Missing {
                    role: entry.role,
                    dependency: *dependency,
                    reason: reason.clone(),
                    since: since.wall,
                }),
            })
        });
        let missing: Vec<Missing> = missing.collect();
        Readiness { ready: missing.is_empty() && !self.roles.is_empty(), missing }
    }

    fn liveness(&self, now: Instant) -> Liveness {
        let silent = self.roles.iter().map(|entry| (entry.role, now.duration_since(entry.heartbeat)));
        let stuck: Vec<_> = silent.filter(|(_, silent)| *silent > STUCK_AFTER).collect();
        Liveness { alive: stuck.is_empty(), stuck }
    }

    fn remind(&mut self, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        for entry in &mut self.roles {
            let (role, silent) = (entry.role, now.duration_since(entry.heartbeat));
            if silent <= STUCK_AFTER {
                entry.stuck_said = None;
            } else if is_due(entry.stuck_said, now) {
                entry.stuck_said = Some(now);
                lines.push(Line::Stuck { role, silent });
            }
            for (dependency, state) in &mut entry.needs {
                let State::Missing { reason, since, said } = state else { continue };
                if is_due(Some(said.unwrap_or(since.instant)), now) {
                    *said = Some(now);
                    let (dependency, reason, since) = (*dependency, reason.clone(), since.wall);
                    lines.push(Line::StillMissing(Missing { role, dependency, reason, since }));
                }
            }
        }
        lines
    }
}

fn is_due(said: Option<Instant>, now: Instant) -> bool {
    said.is_none_or(|said| now.duration_since(said) >= REMIND_EVERY)
}

/// A reason on one line and of a bounded length; an outside text may be part of it.
fn readable(reason: &str) -> String {
    reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect()
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

    /// So many seconds after `start`, on both clocks.
    fn after(start: Instant, seconds: u64) -> Moment {
        let span = Duration::from_secs(seconds);
        Moment { instant: start + span, wall: Timestamp(0).plus(span) }
    }

    fn redis_away(reason: &str, since: u64) -> Missing {
        let since = Timestamp(0).plus(Duration::from_secs(since));
        Missing { role: Role::Evaluate, dependency: Dependency::Redis, reason: reason.to_owned(), since }
    }

    enum Happens {
        Away(&'static str),
        Back,
        Remind,
    }

    #[test]
    fn a_change_is_said_once_and_what_stays_missing_once_a_minute() {
        use Happens::{Away, Back, Remind};
        let start = Instant::now();
        let mut board = Board::default();
        board.register(Role::Evaluate, &[Dependency::Redis], after(start, 0));
        let back = |seconds| {
            let after = Duration::from_secs(seconds);
            vec![Line::Ready { role: Role::Evaluate, dependency: Dependency::Redis, after }]
        };
        for (second, happens, said) in [
            (10, Remind, vec![]),
            (60, Remind, vec![Line::StillMissing(redis_away("not reached yet", 0))]),
            (61, Away("refused"), vec![]),
            (62, Back, back(62)),
            (63, Back, vec![]),
            (200, Remind, vec![]),
            (300, Away("refused"), vec![Line::Missing(redis_away("refused", 300))]),
            (301, Away("timed out"), vec![]),
            (359, Remind, vec![]),
            (360, Remind, vec![Line::StillMissing(redis_away("timed out", 300))]),
            (365, Remind, vec![]),
            (419, Remind, vec![]),
            (420, Remind, vec![Line::StillMissing(redis_away("timed out", 300))]),
            (421, Back, back(121)),
            (422, Away("refused"), vec![Line::Missing(redis_away("refused", 422))]),
        ] {
            let now = after(start, second);
            board.role(Role::Evaluate).unwrap().heartbeat = now.instant;
            let lines = match happens {
                Away(reason) => {
                    board.missing(Role::Evaluate, Dependency::Redis, reason, now).into_iter().collect::<Vec<_>>()
                }
                Back => board.ready(Role::Evaluate, Dependency::Redis, now).into_iter().collect(),
                Remind => board.remind(now.instant),
            };
            assert_eq!(lines, said, "at second {second}");
        }
    }

    #[test]
    fn a_role_that_finds_a_dependency_away_at_its_start_says_so_at_once() {
        let start = Instant::now();
        let mut board = Board::default();
        board.register(Role::Evaluate, &[Dependency::Redis], after(start, 0));
        let line = board.missing(Role::Evaluate, Dependency::Redis, "refused", after(start, 1));
        assert_eq!(line, Some(Line::Missing(redis_away("refused", 0))));
    }

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
    fn only_a_silent_loop_is_dead_and_it_is_said_once_a_minute() {
        let start = Instant::now();
        let mut board = Board::default();
        let at = |seconds| after(start, seconds).instant;
        let stuck = |seconds| vec![(Role::Dispatch, Duration::from_secs(seconds))];
        assert!(board.liveness(at(0)).alive);
        board.register(Role::Dispatch, &[], after(start, 0));
        for (second, beats, silent, said) in [
            (60, false, None, false),
            (61, false, Some(61), true),
            (70, false, Some(70), false),
            (121, false, Some(121), true),
            (122, true, None, false),
            (182, false, None, false),
            (183, false, Some(61), true),
        ] {
            if beats {
                board.role(Role::Dispatch).unwrap().heartbeat = at(second);
            }
            let liveness = board.liveness(at(second));
            assert_eq!(liveness.stuck, silent.map_or(vec![], stuck), "at second {second}");
            assert_eq!(liveness.alive, silent.is_none(), "at second {second}");
            assert_eq!(!board.remind(at(second)).is_empty(), said, "at second {second}");
        }
    }

    #[test]
    fn a_reason_is_one_line_of_a_bounded_length() {
        assert_eq!(readable("a\nb\u{1b}[31mc"), "a b [31mc");
        assert_eq!(readable(&"é".repeat(1_000)).chars().count(), LONGEST_REASON);
    }
}

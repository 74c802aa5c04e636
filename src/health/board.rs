//! Who needs what, what of it is missing, and what is to be said of it when. What the time is, is told.

use std::time::Duration;

use tokio::time::Instant;

use super::{Dependency, Liveness, Missing, Readiness};
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::metrics::Role;

/// A loop that was silent for longer than this stands still.
pub const STUCK_AFTER: Duration = Duration::from_secs(60);
/// What is still missing is said again after so long.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 300;
/// The reason of a dependency before it answers for the first time.
const NOT_YET: &str = "not reached yet";

/// One point in time on both clocks: the one that only runs forward, and the one that people read.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    instant: Instant,
    wall: Timestamp,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { instant: Instant::now(), wall: clock::now() }
    }
}

/// What is to be logged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Missing(Missing),
    StillMissing(Missing),
    Ready { role: Role, dependency: Dependency, after: Duration },
    Stuck { role: Role, silent: Duration },
}

/// Who needs what, and when each loop last turned.
#[derive(Default)]
pub(super) struct Board {
    roles: Vec<Entry>,
    /// What people and guard rails have switched, a line each.
    pub(super) controls: Vec<String>,
}

struct Entry {
    role: Role,
    /// When its loop last turned; `None` before it begins, for which it may have to wait for a dependency.
    heartbeat: Option<Instant>,
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
        by: Witness,
    },
}

/// Who says that a dependency is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Witness {
    /// Whoever needs it.
    Work,
    /// Whoever looks at it from time to time.
    Watch,
}

impl Entry {
    /// How long its loop has not turned.
    fn silent(&self, now: Instant) -> Duration {
        self.heartbeat.map_or(Duration::ZERO, |heartbeat| now.duration_since(heartbeat))
    }
}

impl Board {
    fn role(&mut self, role: Role) -> Option<&mut Entry> {
        self.roles.iter_mut().find(|entry| entry.role == role)
    }

    pub(super) fn register(&mut self, role: Role, needs: &[Dependency], now: Moment) {
        self.deregister(role);
        let missing = || State::Missing { reason: NOT_YET.to_owned(), since: now, said: None, by: Witness::Work };
        let needs = needs.iter().map(|dependency| (*dependency, missing())).collect();
        self.roles.push(Entry { role, heartbeat: None, stuck_said: None, needs });
    }

    pub(super) fn deregister(&mut self, role: Role) {
        self.roles.retain(|entry| entry.role != role);
    }

    pub(super) fn heartbeat(&mut self, role: Role, now: Instant) {
        if let Some(entry) = self.role(role) {
            entry.heartbeat = Some(now);
        }
    }

    pub(super) fn ready(&mut self, role: Role, dependency: Dependency, now: Moment) -> Option<Line> {
        let (_, state) = self.role(role)?.needs.iter_mut().find(|need| need.0 == dependency)?;
        match std::mem::replace(state, State::Ready) {
            State::Ready => None,
            State::Missing { since, .. } => {
                Some(Line::Ready { role, dependency, after: now.instant.duration_since(since.instant) })
            }
        }
    }

    pub(super) fn missing(&mut self, role: Role, dependency: Dependency, reason: &str, now: Moment) -> Option<Line> {
        self.tell(role, dependency, reason, now, Witness::Work)
    }

    pub(super) fn suspect(&mut self, dependency: Dependency, reason: &str, now: Moment) -> Vec<Line> {
        let roles = self.roles_where(dependency, |by| by != Some(Witness::Work));
        roles.into_iter().filter_map(|role| self.tell(role, dependency, reason, now, Witness::Watch)).collect()
    }

    pub(super) fn clear(&mut self, dependency: Dependency, now: Moment) -> Vec<Line> {
        let roles = self.roles_where(dependency, |by| by == Some(Witness::Watch));
        roles.into_iter().filter_map(|role| self.ready(role, dependency, now)).collect()
    }

    /// The roles that need it, by who says that it is missing; nobody where it is not.
    fn roles_where(&self, dependency: Dependency, wanted: impl Fn(Option<Witness>) -> bool) -> Vec<Role> {
        let says = |state: &State| match state {
            State::Ready => None,
            State::Missing { by, .. } => Some(*by),
        };
        let is_wanted = |need: &(Dependency, State)| need.0 == dependency && wanted(says(&need.1));
        self.roles.iter().filter(|entry| entry.needs.iter().any(is_wanted)).map(|entry| entry.role).collect()
    }

    /// Keeps since when it is missing, and takes the newest reason.
    fn tell(&mut self, role: Role, dependency: Dependency, reason: &str, now: Moment, by: Witness) -> Option<Line> {
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
        *state = State::Missing { reason: reason.clone(), since, said: said.or(Some(now.instant)), by };
        said.is_none().then_some(Line::Missing(Missing { role, dependency, reason, since: since.wall }))
    }

    pub(super) fn readiness(&self) -> Readiness {
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

    pub(super) fn liveness(&self, now: Instant) -> Liveness {
        let silent = self.roles.iter().map(|entry| (entry.role, entry.silent(now)));
        let stuck: Vec<_> = silent.filter(|(_, silent)| *silent > STUCK_AFTER).collect();
        Liveness { alive: stuck.is_empty(), stuck }
    }

    pub(super) fn remind(&mut self, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        for entry in &mut self.roles {
            let (role, silent) = (entry.role, entry.silent(now));
            if silent <= STUCK_AFTER {
                entry.stuck_said = None;
            } else if is_due(entry.stuck_said, now) {
                entry.stuck_said = Some(now);
                lines.push(Line::Stuck { role, silent });
            }
            for (dependency, state) in &mut entry.needs {
                let State::Missing { reason, since, said, .. } = state else { continue };
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
            board.heartbeat(Role::Evaluate, now.instant);
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
    fn only_a_silent_loop_is_dead_and_it_is_said_once_a_minute() {
        let start = Instant::now();
        let mut board = Board::default();
        let at = |seconds| after(start, seconds).instant;
        let stuck = |seconds| vec![(Role::Dispatch, Duration::from_secs(seconds))];
        assert!(board.liveness(at(0)).alive);
        board.register(Role::Dispatch, &[], after(start, 0));
        assert!(board.liveness(at(600)).alive, "it waits to begin");
        board.heartbeat(Role::Dispatch, at(0));
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
                board.heartbeat(Role::Dispatch, at(second));
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

//! A lane for each tenant: its commands wait in it for their turn, and turns go round between tenants. So one tenant that
//! is slow, loud or refused costs the others nothing. Pure: time comes in as an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::TenantId;

/// The name of a command at hand, within this process.
pub(super) type JobId = u64;

/// The lanes of all tenants that have commands at hand or are paused.
#[derive(Debug)]
pub(super) struct Lanes {
    per_tenant: usize,
    lanes: HashMap<TenantId, Lane>,
    /// Tenants that may have a command to call, in order of their turn. A tenant stands here at most once.
    turns: VecDeque<TenantId>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Lane {
    ready: VecDeque<(JobId, Instant)>,
    running: usize,
    gate: Gate,
    in_turn: bool,
}

/// Whether a tenant's commands may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Gate {
    #[default]
    Open,
    /// The tenant's credential is refused. From `until` on one call finds out whether it still is.
    Paused { until: Instant },
}

impl Lanes {
    pub(super) fn new(per_tenant: usize) -> Self {
        Self { per_tenant, lanes: HashMap::new(), turns: VecDeque::new(), waiting: 0 }
    }

    /// Whether no command waits for a turn.
    pub(super) fn are_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Commands that wait for a turn.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn push(&mut self, tenant: &TenantId, job: JobId, now: Instant) {
        let lane = self.lanes.entry(tenant.clone()).or_default();
        lane.ready.push_back((job, now));
        self.waiting += 1;
        if !std::mem::replace(&mut lane.in_turn, true) {
            self.turns.push_back(tenant.clone());
        }
    }

    /// The next command to call, if any tenant with one has a place free. It counts as running from now on.
    pub(super) fn next(&mut self, now: Instant) -> Option<JobId> {
        for _ in 0..self.turns.len() {
            let tenant = self.turns.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&tenant) else { continue };
            let places = match lane.gate {
                Gate::Open => self.per_tenant,
                Gate::Paused { until } if now >= until => 1,
                Gate::Paused { .. } => 0,
            };
            if lane.running < places
                && let Some((job, _)) = lane.ready.pop_front()
            {
                lane.running += 1;
                self.waiting -= 1;
                lane.in_turn = !lane.ready.is_empty();
                if lane.in_turn {
                    self.turns.push_back(tenant);
                }
                return Some(job);
            }
            lane.in_turn = !lane.ready.is_empty();
            if lane.in_turn {
                self.turns.push_back(tenant);
            }
        }
        None
    }

    /// A call of this tenant has ended.
    pub(super) fn ended(&mut self, tenant: &TenantId) {
        if let Some(lane) = self.lanes.get_mut(tenant) {
            lane.running = lane.running.saturating_sub(1);
        }
    }

    /// Pauses a tenant and gives back the commands that waited in its lane. Tells whether it was open before.
    pub(super) fn pause(&mut self, tenant: &TenantId, until: Instant) -> (bool, Vec<JobId>) {
        let lane = self.lanes.entry(tenant.clone()).or_default();
        let was_open = lane.gate == Gate::Open;
        lane.gate = Gate::Paused { until };
        let waiting: Vec<JobId> = lane.ready.drain(..).map(|(job, _)| job).collect();
        self.waiting -= waiting.len();
        (was_open, waiting)
    }

    /// Until when a tenant is paused, where it still is at `now`.
    pub(super) fn paused_until(&self, tenant: &TenantId, now: Instant) -> Option<Instant> {
        match self.lanes.get(tenant)?.gate {
            Gate::Paused { until } if until > now => Some(until),
            Gate::Paused { .. } | Gate::Open => None,
        }
    }

    /// The service took a call of this tenant's. Tells whether it was paused.
    pub(super) fn open(&mut self, tenant: &TenantId) -> bool {
        let Some(lane) = self.lanes.get_mut(tenant) else { return false };
        std::mem::replace(&mut lane.gate, Gate::Open) != Gate::Open
    }

    /// Forgets tenants that have nothing here, and pauses that ended before `forgotten` without anybody asking.
    pub(super) fn tidy(&mut self, forgotten: Instant) {
        let idle = |lane: &Lane| lane.running == 0 && lane.ready.is_empty() && !lane.in_turn;
        self.lanes.retain(|_, lane| match lane.gate {
            Gate::Open => !idle(lane),
            Gate::Paused { until } => !idle(lane) || until > forgotten,
        });
    }

    pub(super) fn paused(&self) -> usize {
        self.lanes.values().filter(|lane| lane.gate != Gate::Open).count()
    }

    /// Takes out the commands that have waited for a turn longer than `patience`.
    pub(super) fn overdue(&mut self, now: Instant, patience: Duration) -> Vec<JobId> {
        let mut overdue = Vec::new();
        for lane in self.lanes.values_mut() {
            while let Some((job, since)) = lane.ready.front().copied() {
                if now.saturating_duration_since(since) <= patience {
                    break;
                }
                lane.ready.pop_front();
                overdue.push(job);
            }
        }
        self.waiting -= overdue.len();
        overdue
    }

    /// Takes the latest commands out of the longest lane, all but `keep`.
    pub(super) fn relieve(&mut self, keep: usize) -> Vec<JobId> {
        let Some(lane) = self.lanes.values_mut().max_by_key(|lane| lane.ready.len()) else { return Vec::new() };
        if lane.ready.len() <= keep {
            return Vec::new();
        }
        let taken: Vec<JobId> = lane.ready.drain(keep..).map(|(job, _)| job).collect();
        self.waiting -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn all(lanes: &mut Lanes, now: Instant) -> Vec<JobId> {
        std::iter::from_fn(|| lanes.next(now)).collect()
    }

    #[test]
    fn turns_go_round_and_no_tenant_takes_more_than_its_places() {
        let now = Instant::now();
        let mut lanes = Lanes::new(2);
        for job in 0..10 {
            lanes.push(&tenant("loud"), job, now);
        }
        lanes.push(&tenant("quiet"), 100, now);
        assert_eq!(all(&mut lanes, now), [0, 100, 1]);
        assert_eq!(lanes.waiting(), 8);
        lanes.ended(&tenant("loud"));
        assert_eq!(all(&mut lanes, now), [2]);
        lanes.push(&tenant("quiet"), 101, now);
        lanes.ended(&tenant("loud"));
        lanes.ended(&tenant("quiet"));
        assert_eq!(all(&mut lanes, now).len(), 2);
    }

    #[test]
    fn a_paused_tenant_is_probed_by_one_call_and_opened_by_its_success() {
        let now = Instant::now();
        let later = now + Duration::from_secs(30);
        let mut lanes = Lanes::new(4);
        for job in 0..3 {
            lanes.push(&tenant("t"), job, now);
        }
        assert_eq!(lanes.next(now), Some(0));
        assert_eq!(lanes.pause(&tenant("t"), later), (true, vec![1, 2]));
        lanes.ended(&tenant("t"));
        assert_eq!(lanes.paused_until(&tenant("t"), now), Some(later));
        for job in 3..6 {
            lanes.push(&tenant("t"), job, now);
        }
        assert_eq!(lanes.next(now), None);
        assert_eq!(all(&mut lanes, later), [3], "one call finds out");
        assert_eq!(lanes.pause(&tenant("t"), later + Duration::from_secs(30)), (false, vec![4, 5]));
        lanes.ended(&tenant("t"));
        lanes.push(&tenant("t"), 6, later);
        lanes.push(&tenant("t"), 7, later);
        let much_later = later + Duration::from_secs(31);
        assert_eq!(lanes.next(much_later), Some(6));
        assert!(lanes.open(&tenant("t")));
        assert!(!lanes.open(&tenant("t")));
        assert_eq!(lanes.next(much_later), Some(7));
        assert_eq!(lanes.paused(), 0);
    }

    #[test]
    fn what_waits_too_long_or_fills_the_memory_is_given_back() {
        let now = Instant::now();
        let mut lanes = Lanes::new(1);
        for job in 0..5 {
            lanes.push(&tenant("slow"), job, now + Duration::from_secs(job));
        }
        lanes.push(&tenant("other"), 9, now + Duration::from_secs(4));
        assert_eq!(lanes.overdue(now + Duration::from_secs(4), Duration::from_secs(2)), [0, 1]);
        assert_eq!(lanes.relieve(1), [3, 4]);
        assert_eq!(lanes.relieve(1), Vec::<JobId>::new());
        assert_eq!(lanes.waiting(), 2);
        assert_eq!(all(&mut lanes, now).len(), 2);
    }
}

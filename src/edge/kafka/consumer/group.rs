//! What the polling thread, its callbacks and the role share: which partitions are ours, and how far each one is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::offsets::OffsetTracker;
use super::super::records::{Assignment, At, Batch};
use super::StartAt;
use super::progress::{Observer, Settled};
use super::stalls::Idle;

mod commits;
pub(super) use commits::{clear, commit, store};

pub(super) struct Group {
    observer: Arc<dyn Observer>,
    revoke_budget: Duration,
    start: StartAt,
    state: Mutex<State>,
    finished: Condvar,
    /// Rises with every change of what is ours.
    version: AtomicU64,
    /// Whether the client's own idea of the end of partitions is stale, because it does not fetch.
    paused: AtomicBool,
    /// Whether partitions are waited for that are about to go.
    leaving: AtomicBool,
    /// Whether partitions were stopped since this was last asked.
    stops: AtomicBool,
}

#[derive(Default)]
struct State {
    partitions: HashMap<(Arc<str>, i32), Owned>,
    epochs: u64,
    assigned: bool,
    closing: bool,
}

struct Owned {
    epoch: u64,
    tracker: OffsetTracker,
    /// The next offset that the client fetches, as it last told.
    fetching: i64,
    /// Nothing more of it is to be read.
    stopped: bool,
}

/// How far we are with a partition.
pub(super) struct OwnPartition {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// One past what is finished; none before its first record where the group has no position in it.
    pub(super) next: Option<i64>,
    /// Whether records of it are handed out and not finished.
    pub(super) is_at_work: bool,
}

impl Group {
    pub(super) fn new(observer: Arc<dyn Observer>, revoke_budget: Duration, start: StartAt) -> Self {
        Self {
            observer,
            revoke_budget,
            start,
            state: Mutex::default(),
            finished: Condvar::new(),
            version: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            stops: AtomicBool::new(false),
        }
    }

    pub(super) fn observer(&self) -> &dyn Observer {
        self.observer.as_ref()
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    pub(super) fn start(&self) -> StartAt {
        self.start
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// A partition as it is assigned to us now.
    pub(super) fn assignment(&self, topic: &str, partition: i32) -> Option<Assignment> {
        let state = self.state();
        state
            .partitions
            .iter()
            .find(|((own, number), _)| *number == partition && own.as_ref() == topic)
            .map(|((own, _), owned)| Assignment { topic: Arc::clone(own), partition, epoch: owned.epoch })
    }

    /// Takes note of a batch that is handed out, and drops from it what is not ours any more.
    pub(super) fn begin(&self, batch: &mut Batch) {
        let mut state = self.state();
        let is_ours = state.each(batch.positions(), |owned, offset| owned.tracker.begin(offset));
        if !is_ours {
            batch.retain(|at| state.owned(at).is_some());
        }
    }

    /// Whether partitions came since this was last asked.
    pub(super) fn take_assigned(&self) -> bool {
        std::mem::take(&mut self.state().assigned)
    }

    /// Those partitions of topics that are not stopped.
    pub(super) fn owned(&self, topics: &[String]) -> Vec<(Arc<str>, i32)> {
        let state = self.state();
        let reads = |((topic, _), owned): &(&(Arc<str>, i32), &Owned)| {
            !owned.stopped && topics.iter().any(|own| **own == **topic)
        };
        state.partitions.iter().filter(reads).map(|(name, _)| name.clone()).collect()
    }

    /// Partitions of which nothing more is to be read.
    pub(super) fn stopped(&self) -> Vec<(Arc<str>, i32)> {
        let state = self.state();
        state.partitions.iter().filter(|(_, owned)| owned.stopped).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.state().partitions.values().any(|owned| owned.stopped)
    }

    pub(super) fn take_stops(&self) -> bool {
        self.stops.swap(false, Ordering::AcqRel)
    }

    /// Takes note of how far the client has fetched a partition.
    pub(super) fn fetching(&self, topic: &Arc<str>, partition: i32, next: i64) {
        if let Some(owned) = self.state().partitions.get_mut(&(Arc::clone(topic), partition)) {
            owned.fetching = next;
        }
    }

    /// The partitions of topics that are read and of which nothing is at hand.
    pub(super) fn idle(&self, topics: &[String]) -> Vec<Idle> {
        let state = self.state();
        let of = |((topic, partition), owned): (&(Arc<str>, i32), &Owned)| {
            let reads = !owned.stopped && owned.tracker.open() == 0 && topics.iter().any(|own| **own == **topic);
            let next = owned.tracker.stands_at();
            reads.then(|| Idle { topic: Arc::clone(topic), partition: *partition, next, fetching: owned.fetching })
        };
        state.partitions.iter().filter_map(of).collect()
    }

    /// Every partition, how far it is finished, and whether records of it are at hand.
    pub(super) fn own_partitions(&self) -> Vec<OwnPartition> {
        let state = self.state();
        let of = |((topic, partition), owned): (&(Arc<str>, i32), &Owned)| OwnPartition {
            topic: Arc::clone(topic),
            partition: *partition,
            next: owned.tracker.stands_at(),
            is_at_work: owned.tracker.open() > 0,
        };
        state.partitions.iter().map(of).collect()
    }

    /// Every partition in which the brokers have confirmed a position of the group's.
    pub(super) fn known_to_brokers(&self) -> Vec<(Arc<str>, i32)> {
        let state = self.state();
        let known = |(_, owned): &(&(Arc<str>, i32), &Owned)| owned.tracker.is_known_to_brokers();
        state.partitions.iter().filter(known).map(|(name, _)| name.clone()).collect()
    }

    /// Every partition with a position, that position, and what the client fetches next.
    pub(super) fn positions(&self) -> Vec<(Arc<str>, i32, i64, i64)> {
        let state = self.state();
        let position = |((topic, partition), owned): (&(Arc<str>, i32), &Owned)| {
            owned.tracker.stands_at().map(|next| (Arc::clone(topic), *partition, next, owned.fetching))
        };
        state.partitions.iter().filter_map(position).collect()
    }

    pub(super) fn report_open(&self) {
        let open = self.state().partitions.values().map(|owned| owned.tracker.open()).sum();
        self.observer.open(open);
    }

    /// From now on revoked partitions are not waited for.
    pub(super) fn begin_closing(&self) {
        self.state().closing = true;
        self.finished.notify_all();
    }

    pub(super) fn end_closing(&self) {
        self.state().closing = false;
    }

    pub(super) fn forget_all(&self) {
        self.state().partitions.clear();
        self.version.fetch_add(1, Ordering::Release);
        self.finished.notify_all();
    }

    pub(super) fn assign(&self, partitions: Vec<(String, i32, Option<i64>)>, pinned: &[(String, i32)]) -> usize {
        let mut state = self.state();
        for (topic, partition, position) in partitions {
            state.epochs += 1;
            let epoch = state.epochs;
            let fresh = pinned.iter().any(|(own, number)| *own == topic && *number == partition);
            let tracker = if fresh { OffsetTracker::pinned(position) } else { OffsetTracker::starting_at(position) };
            state.partitions.insert((topic.into(), partition), Owned { epoch, tracker, fetching: -1, stopped: false });
        }
        state.assigned = true;
        self.version.fetch_add(1, Ordering::Release);
        state.partitions.len()
    }

    /// Waits until what these partitions have at hand is finished or abandoned, or the budget is used up.
    pub(super) fn drain(&self, partitions: &[(String, i32, Option<i64>)]) {
        self.leaving.store(true, Ordering::Release);
        self.wait_for(partitions);
        self.leaving.store(false, Ordering::Release);
    }

    fn wait_for(&self, partitions: &[(String, i32, Option<i64>)]) {
        let deadline = Instant::now() + self.revoke_budget;
        let mut state = self.state();
        loop {
            let open = |(topic, partition, _): &(String, i32, Option<i64>)| {
                let owned = state.partitions.get(&(topic.as_str().into(), *partition));
                owned.is_some_and(|owned| owned.tracker.open() > 0)
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if !partitions.iter().any(open) || state.closing || left.is_zero() {
                return;
            }
            state = self.finished.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn remove(&self, partitions: &[(String, i32, Option<i64>)]) -> usize {
        let mut state = self.state();
        for (topic, partition, _) in partitions {
            state.partitions.remove(&(topic.as_str().into(), *partition));
        }
        self.version.fetch_add(1, Ordering::Release);
        state.partitions.len()
    }
}

impl State {
    fn owned(&mut self, at: At<'_>) -> Option<&mut Owned> {
        let owned = self.partitions.get_mut(&(Arc::clone(at.topic), at.partition));
        owned.filter(|owned| owned.epoch == at.epoch)
    }

    /// Does the same for every record that is ours still; tells whether all of them are. Records come in runs of one
    /// partition, which is looked up once for each.
    fn each<'a>(&mut self, positions: impl IntoIterator<Item = At<'a>>, mut act: impl FnMut(&mut Owned, i64)) -> bool {
        let mut positions = positions.into_iter().peekable();
        let mut all = true;
        while let Some(first) = positions.next() {
            let mut owned = self.owned(first);
            all &= owned.is_some();
            let mut next = Some(first);
            while let Some(at) = next {
                if let Some(owned) = &mut owned {
                    act(owned, at.offset);
                }
                next = positions.next_if(|next| next.is_beside(first));
            }
        }
        all
    }
}

impl Group {
    pub(super) fn finish<'a>(&self, positions: impl IntoIterator<Item = At<'a>>) {
        self.state().each(positions, |owned, offset| owned.tracker.finish(offset));
        self.finished.notify_all();
    }

    pub(super) fn abandon<'a>(&self, positions: impl IntoIterator<Item = At<'a>>) {
        self.state().each(positions, |owned, offset| owned.tracker.abandon(offset));
        self.finished.notify_all();
    }

    pub(super) fn stop(&self, position: At<'_>) {
        if let Some(owned) = self.state().owned(position)
            && !std::mem::replace(&mut owned.stopped, true)
        {
            self.stops.store(true, Ordering::Release);
        }
    }

    /// The log of a partition was replaced by another one: as long as the partition is ours nothing of it counts any more, and
    /// whoever reads it next begins where it begins.
    pub(super) fn back_to(&self, topic: &Arc<str>, partition: i32, first: i64) {
        if let Some(owned) = self.state().partitions.get_mut(&(Arc::clone(topic), partition)) {
            owned.tracker.back_to(first);
        }
        self.finished.notify_all();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    pub(super) fn settled(&self, position: At<'_>) -> Settled {
        match self.state().owned(position) {
            None => Settled::Gone,
            Some(owned) if owned.tracker.is_committed(position.offset) => Settled::Committed,
            Some(_) => Settled::NotYet,
        }
    }
}

//! Stopping a partition that brings nearly nothing but records that cannot be processed, before its topic is in the dead
//! letters. Its records are left unfinished, so that its place is kept; the other partitions go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Evaluate, Recorded};
use crate::domain::flood::{Flood, Sum, Terms};
use crate::edge::claims::Claims;
use crate::edge::kafka::consumer::Progress;
use crate::edge::kafka::producer::Sink;
use crate::edge::kafka::records::{At, Batch, Position, Share};
use crate::edge::preferences::PreferencesSource;
use crate::edge::quotas::Quotas;
use crate::edge::windows::Windows;
use crate::health::{Dependency, Health};
use crate::metrics::{Metrics, Role};

/// Which partitions are stopped. Clones share it.
#[derive(Clone)]
pub struct FloodStop(Arc<Shared>);

struct Shared {
    terms: Option<Terms>,
    metrics: Metrics,
    health: Health,
    known: Mutex<Known>,
}

type Known = HashMap<(Arc<str>, i32), Watched>;

/// A partition as it was assigned this time.
struct Watched {
    epoch: u64,
    flood: Flood,
    /// Where it stopped, and why.
    stopped: Option<(i64, Sum)>,
}

impl FloodStop {
    /// Without terms no partition is ever stopped.
    pub fn new(terms: Option<Terms>, metrics: Metrics, health: Health) -> Self {
        Self(Arc::new(Shared { terms, metrics, health, known: Mutex::default() }))
    }

    /// A partition is somebody else's now, who judges it anew.
    pub fn gone(&self, topic: &str, partition: i32) {
        let mut known = self.known();
        let was_stopped = known.remove(&(topic.into(), partition)).is_some_and(|watched| watched.stopped.is_some());
        if was_stopped {
            self.show(&known);
        }
    }

    /// Hears which records of a batch cannot be processed; tells whether a partition is stopped for them.
    fn hear(&self, batch: &Batch, bad: impl Iterator<Item = usize>) -> bool {
        let Some(terms) = self.0.terms else { return false };
        let sum = |share: &Share<'_>| Sum { bad: 0, of: share.records as u64 };
        let mut sums: Vec<(At<'_>, Sum)> = batch.shares().iter().map(|share| (share.first, sum(share))).collect();
        for position in bad.filter_map(|place| batch.position(place)) {
            if let Some((_, sum)) = sums.iter_mut().find(|(first, _)| first.is_beside(position)) {
                sum.bad += 1;
            }
        }
        let mut known = self.known();
        let mut stopped = false;
        for (first, sum) in sums {
            let partition = (Arc::clone(first.topic), first.partition);
            let fresh = || Watched { epoch: first.epoch, flood: Flood::new(terms), stopped: None };
            let watched = known.entry(partition).or_insert_with(fresh);
            if watched.epoch != first.epoch {
                *watched = fresh();
            }
            if let Some(flood) = watched.flood.hear(sum).filter(|_| watched.stopped.is_none()) {
                watched.stopped = Some((first.offset, flood));
                stopped = true;
                tracing::error!(
                    topic = %first.topic, partition = first.partition, offset = first.offset, bad = flood.bad, of = flood.of,
                    "nearly all of the partition's last records cannot be processed; it stands, for they would all go to the \
                     dead letters: have their sender mended, or set evaluate.flood.records to 0 and restart"
                );
            }
        }
        if stopped {
            self.show(&known);
        }
        stopped
    }

    /// Takes the records of stopped partitions out of a batch, to be read again by whoever gets them next.
    fn leave_out(&self, batch: &mut Batch, progress: &Progress) {
        let known = self.known();
        if !known.values().any(|watched| watched.stopped.is_some()) {
            return;
        }
        let stands = |at: At<'_>| {
            let watched = known.get(&(Arc::clone(at.topic), at.partition));
            watched.is_some_and(|watched| watched.stopped.is_some() && watched.epoch == at.epoch)
        };
        let left: Vec<Position> = batch.positions().filter(|at| stands(*at)).map(At::position).collect();
        progress.abandon(&left);
        left.iter().for_each(|position| progress.stop(position));
        batch.retain(|at| !stands(at));
    }

    fn show(&self, known: &Known) {
        let stopped =
            known.iter().filter_map(|((topic, partition), watched)| Some((topic, *partition, watched.stopped?)));
        let mut stopped: Vec<_> = stopped.collect();
        stopped.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        self.0.metrics.set_floods(stopped.iter().map(|(topic, partition, _)| (topic.as_ref(), *partition)));
        if stopped.is_empty() {
            return self.0.health.ready(Role::Evaluate, Dependency::Input);
        }
        let told = stopped.iter().map(|(topic, partition, (offset, Sum { bad, of }))| {
            format!("{topic}[{partition}]@{offset} stands: {bad} of its last {of} records cannot be processed")
        });
        let told: Vec<String> = told.collect();
        self.0.health.missing(Role::Evaluate, Dependency::Input, &told.join(", "));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Windows, C: Claims + Quotas, K: Sink, S: PreferencesSource> Evaluate<W, C, K, S> {
    /// Decodes a batch, without what is of partitions that are stopped.
    pub(super) async fn read_in(&self, mut batch: Batch, progress: &Progress) -> Recorded {
        self.flood.leave_out(&mut batch, progress);
        let recorded = self.decode(batch).await;
        if !self.flood.hear(&recorded.batch, recorded.rejected.iter().map(|(place, ..)| *place)) {
            return recorded;
        }
        let mut batch = recorded.batch;
        self.flood.leave_out(&mut batch, progress);
        self.decode(batch).await
    }
}

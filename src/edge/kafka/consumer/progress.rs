//! A consumer as others see it: who is told what happens to it, and how it is told what is finished.

use std::sync::Arc;

use super::super::records::{Batch, Position};
use super::group::Group;

/// Who wants to know what happens to a consumer. Called on its thread: must not block.
pub trait Observer: Send + Sync {
    /// The thread is alive.
    fn polled(&self);
    /// Partitions came; so many are ours now.
    fn assigned(&self, partitions: usize);
    /// Partitions went; so many are ours now.
    fn revoked(&self, partitions: usize, lost: bool);
    /// How many records a partition has beyond its committed position.
    fn lag(&self, topic: &str, partition: i32, lag: i64);
    /// A partition is not ours any more.
    fn gone(&self, topic: &str, partition: i32);
    fn committed(&self, ok: bool);
    /// Records handed out whose effects are not all acknowledged.
    fn open(&self, records: usize);
    /// Brokers are away or answer with errors.
    fn trouble(&self, reason: &str);
    /// Brokers answer.
    fn well(&self);
    /// These positions are outside of what the brokers hold. Their partitions stand until somebody decides.
    fn position_lost(&self, partitions: &[String]);
    /// This partition is not read although it holds more. The client is made anew.
    fn stalled(&self, _partition: &str) {}
}

/// What became of a record that was reported finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Committed,
    NotYet,
    /// Its partition went elsewhere: somebody may read it again.
    Gone,
}

/// The way to report what is finished. Cheap to clone.
#[derive(Clone)]
pub struct Progress {
    group: Arc<Group>,
}

impl Progress {
    pub(super) fn new(group: Arc<Group>) -> Self {
        Self { group }
    }

    /// All effects of these records are acknowledged. Of a partition that went elsewhere nothing is taken note of.
    pub fn finish<'a>(&self, positions: impl IntoIterator<Item = &'a Position>) {
        self.group.finish(positions.into_iter().map(Position::at));
    }

    /// The same for all records of a batch.
    pub fn finish_batch(&self, batch: &Batch) {
        self.group.finish(batch.positions());
    }

    /// Nothing more of the partition that this record is of is read, as long as it is ours; its position stays where it is.
    pub fn stop(&self, position: &Position) {
        self.group.stop(position.at());
    }

    /// Whether partitions are about to go and are only waited for because of what is open.
    pub fn is_leaving(&self) -> bool {
        self.group.is_leaving()
    }

    /// These records are left to whoever reads them next. They are never committed here.
    pub fn abandon<'a>(&self, positions: impl IntoIterator<Item = &'a Position>) {
        self.group.abandon(positions.into_iter().map(Position::at));
    }

    pub fn settled(&self, position: &Position) -> Settled {
        self.group.settled(position.at())
    }
}

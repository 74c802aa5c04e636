//! Which of our records the group has finished. Others may write to the same topic, so ours are known by their offsets.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Our acknowledged records against the group's committed positions.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    partitions: BTreeMap<i32, Partition>,
    produced: u64,
    decided: u64,
}

#[derive(Debug, Default)]
struct Partition {
    /// Records that are not finished yet, as runs of offsets in rising order.
    open: VecDeque<Range<i64>>,
    committed: i64,
}

impl Ledger {
    /// The brokers have a record of ours at this place. Those of one partition come in the order of their offsets.
    pub(super) fn acknowledged(&mut self, partition: i32, offset: i64) {
        self.produced += 1;
        let partition = self.partitions.entry(partition).or_default();
        if offset < partition.committed {
            self.decided += 1;
            return;
        }
        match partition.open.back_mut() {
            Some(last) if last.end == offset => last.end = offset + 1,
            Some(_) | None => partition.open.push_back(offset..offset + 1),
        }
    }

    /// The group has finished everything of a partition before `next`.
    pub(super) fn committed(&mut self, partition: i32, next: i64) {
        let partition = self.partitions.entry(partition).or_default();
        partition.committed = partition.committed.max(next);
        while let Some(first) = partition.open.front_mut() {
            let end = first.end.min(partition.committed);
            self.decided += u64::try_from(end - first.start).unwrap_or(0);
            first.start = first.start.max(end);
            if !first.is_empty() {
                break;
            }
            partition.open.pop_front();
        }
    }

    /// Records that the brokers have.
    pub(super) fn produced(&self) -> u64 {
        self.produced
    }

    /// Of these, those that the group has finished.
    pub(super) fn decided(&self) -> u64 {
        self.decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decided_are_our_records_before_the_committed_position() {
        let mut ledger = Ledger::default();
        // Others wrote 12, 14 and 15.
        for offset in [10, 11, 13, 16, 17] {
            ledger.acknowledged(0, offset);
        }
        ledger.acknowledged(1, 5);
        let mut decided = |partition, next| {
            ledger.committed(partition, next);
            ledger.decided()
        };
        assert_eq!(decided(0, 3), 0, "the group is still at what was there before");
        assert_eq!(decided(0, 11), 1);
        assert_eq!(decided(0, 13), 2);
        assert_eq!(decided(0, 15), 3);
        assert_eq!(decided(0, 17), 4);
        assert_eq!(decided(0, 12), 4, "a position that went back finishes nothing anew");
        assert_eq!(decided(1, 6), 5);
        assert_eq!(decided(7, 6), 5);
        assert_eq!(ledger.produced(), 6);
    }

    #[test]
    fn what_is_finished_before_it_is_acknowledged_counts() {
        let mut ledger = Ledger::default();
        ledger.committed(2, 8);
        ledger.acknowledged(2, 7);
        ledger.acknowledged(2, 8);
        assert_eq!((ledger.produced(), ledger.decided()), (2, 1));
    }
}

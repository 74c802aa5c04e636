//! Which offset of a partition may be committed: the end of what is finished without a gap, never the highest seen.

use std::collections::VecDeque;

/// The records of one partition that are being worked on, under one assignment.
#[derive(Debug, Default)]
pub struct OffsetTracker {
    /// Begun records in order of offset, and how each stands. The first one is not finished.
    open: VecDeque<(i64, Work)>,
    /// One past the last offset that may be committed.
    next: Option<i64>,
    /// One past the last offset that was sent off to be committed.
    sent: Option<i64>,
    /// One past the last offset that the broker has confirmed.
    confirmed: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Open,
    Finished,
    /// Nobody works on it any more, and it is not to be committed.
    Abandoned,
}

impl OffsetTracker {
    /// A tracker of a partition whose committed position is `committed`, where it has one.
    pub fn starting_at(committed: Option<i64>) -> Self {
        Self { open: VecDeque::new(), next: committed, sent: committed, confirmed: committed }
    }

    /// A tracker of a partition that the group has no position in: where it begins is yet to be committed.
    pub fn pinned(first: Option<i64>) -> Self {
        Self { open: VecDeque::new(), next: first, sent: None, confirmed: None }
    }

    /// The first offset that is not finished yet; without any position it is that of the oldest record at hand.
    pub fn stands_at(&self) -> Option<i64> {
        self.next.or_else(|| self.open.front().map(|(offset, _)| *offset))
    }

    /// Takes note of a record that is handed out. Offsets come in rising order, with gaps.
    pub fn begin(&mut self, offset: i64) {
        if self.open.back().is_none_or(|(last, _)| *last < offset) {
            self.open.push_back((offset, Work::Open));
        }
    }

    /// Takes note that all effects of a record are acknowledged.
    pub fn finish(&mut self, offset: i64) {
        if self.open.front().is_some_and(|(first, _)| *first == offset) {
            self.open.pop_front();
            self.next = self.next.max(Some(offset + 1));
        } else if let Ok(place) = self.open.binary_search_by_key(&offset, |(offset, _)| *offset) {
            self.open[place].1 = Work::Finished;
        }
        while let Some((offset, Work::Finished)) = self.open.front().copied() {
            self.open.pop_front();
            self.next = self.next.max(Some(offset + 1));
        }
    }

    /// Takes note of a record that is left to the partition's next owner.
    pub fn abandon(&mut self, offset: i64) {
        if let Ok(place) = self.open.binary_search_by_key(&offset, |(offset, _)| *offset)
            && self.open[place].1 == Work::Open
        {
            self.open[place].1 = Work::Abandoned;
        }
    }

    /// The offset to commit now, where it is beyond what was sent off before.
    pub fn to_commit(&mut self) -> Option<i64> {
        if self.next > self.sent {
            self.sent = self.next;
            return self.next;
        }
        None
    }

    /// What the broker said to a commit of `next`.
    pub fn committed(&mut self, next: i64) {
        self.confirmed = self.confirmed.max(Some(next));
    }

    /// A commit failed: what is not confirmed must be sent off again.
    pub fn commit_failed(&mut self) {
        self.sent = self.confirmed;
    }

    /// The position was one in a log that is no more, and what may be at hand is of that: it is taken back to where the log
    /// begins now, and that is committed.
    pub fn back_to(&mut self, first: i64) {
        *self = Self::pinned(Some(first));
    }

    /// Whether the broker has confirmed a position of this assignment.
    pub fn is_known_to_brokers(&self) -> bool {
        self.confirmed.is_some()
    }

    /// Whether the broker has confirmed all that was finished: nothing is left to be committed, and nothing is on its way.
    pub fn is_all_committed(&self) -> bool {
        self.next == self.confirmed && self.sent == self.confirmed
    }

    /// Whether the record at `offset` is behind the committed position.
    pub fn is_committed(&self, offset: i64) -> bool {
        self.confirmed.is_some_and(|next| offset < next)
    }

    /// Records that were handed out and are still worked on.
    pub fn open(&self) -> usize {
        self.open.iter().filter(|(_, work)| *work == Work::Open).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_finished_without_a_gap_is_committed() {
        let mut tracker = OffsetTracker::starting_at(None);
        for offset in [3, 4, 7, 9] {
            tracker.begin(offset);
        }
        tracker.finish(4);
        tracker.finish(9);
        assert_eq!((tracker.to_commit(), tracker.stands_at()), (None, Some(3)));
        tracker.finish(3);
        assert_eq!(tracker.to_commit(), Some(5));
        assert_eq!(tracker.to_commit(), None, "it was sent off already");
        tracker.commit_failed();
        assert_eq!(tracker.to_commit(), Some(5), "a failed commit is repeated");
        tracker.committed(5);
        assert!(tracker.is_committed(4) && !tracker.is_committed(7));
        tracker.finish(7);
        assert_eq!(tracker.to_commit(), Some(10));
        assert_eq!(tracker.open(), 0);
    }

    #[test]
    fn what_is_abandoned_is_not_worked_on_and_never_committed() {
        let mut tracker = OffsetTracker::starting_at(Some(0));
        for offset in 0..4 {
            tracker.begin(offset);
        }
        tracker.finish(0);
        tracker.abandon(1);
        tracker.finish(2);
        tracker.finish(3);
        tracker.abandon(3);
        assert_eq!(tracker.open(), 0);
        assert_eq!(tracker.to_commit(), Some(1));
    }

    #[test]
    fn a_position_that_is_taken_back_is_committed_whatever_is_finished_after_it() {
        let mut tracker = OffsetTracker::starting_at(Some(50));
        tracker.begin(50);
        tracker.back_to(0);
        tracker.finish(50);
        assert_eq!((tracker.to_commit(), tracker.open()), (Some(0), 0));
        tracker.commit_failed();
        assert_eq!(tracker.to_commit(), Some(0));
    }

    #[test]
    fn what_was_never_handed_out_changes_nothing() {
        let mut tracker = OffsetTracker::starting_at(Some(5));
        tracker.finish(5);
        assert_eq!(tracker.to_commit(), None);
        tracker.begin(5);
        tracker.begin(5);
        tracker.finish(5);
        tracker.finish(5);
        assert_eq!(tracker.to_commit(), Some(6));
    }

    proptest! {
        /// Whatever the order of completion, the committed position never passes an unfinished record and ends behind
        /// the last one.
        #[test]
        fn the_position_never_passes_an_unfinished_record(
            gaps in prop::collection::vec(1_i64..4, 1..60),
            order in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let offsets: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut tracker = OffsetTracker::starting_at(None);
            for offset in &offsets {
                tracker.begin(*offset);
            }
            let mut unfinished = offsets.clone();
            let mut position = i64::MIN;
            for pick in &order {
                if unfinished.is_empty() { break; }
                tracker.finish(unfinished.remove(pick.index(unfinished.len())));
                if let Some(next) = tracker.to_commit() {
                    prop_assert!(next > position);
                    position = next;
                }
                prop_assert!(unfinished.iter().all(|offset| *offset >= position));
                let oldest = unfinished.first().copied().unwrap_or(i64::MAX);
                prop_assert!(offsets.iter().filter(|offset| **offset < oldest).all(|offset| *offset < position));
            }
        }
    }
}

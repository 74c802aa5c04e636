//! How far the work had come, partition by partition: what was in the range, what was finished, and by when.

use std::collections::HashMap;
use std::ops::Range;

use super::names::At;
use crate::domain::time::Timestamp;

/// The range of one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Stretch {
    pub(super) range: Range<i64>,
    /// Offsets in it that the brokers do not have any more.
    pub(super) lost: Vec<Range<i64>>,
    /// One past the last offset whose effects are acknowledged. `None`: nothing is finished.
    pub(super) committed: Option<i64>,
}

/// The first record of a partition: what came before it is not known.
#[derive(Debug, Clone, Copy)]
struct First {
    written_at: Timestamp,
    occurred_at: Timestamp,
}

/// What is known of the activity partitions beside their records.
#[derive(Debug, Default)]
pub(super) struct Course {
    stretches: HashMap<u32, Stretch>,
    firsts: HashMap<u32, First>,
    /// Of effects: the offset that caused them, and their time. In order of offset once sealed; then every time is the
    /// earliest of those from there on.
    reached: HashMap<u32, Vec<(i64, Timestamp)>>,
}

impl Course {
    pub(super) fn read(&mut self, lane: u32, stretch: Stretch) {
        self.stretches.insert(lane, stretch);
    }

    /// Takes note that the work on a partition had come to `cause` by `at`.
    pub(super) fn effect(&mut self, cause: At, at: Timestamp) {
        self.reached.entry(cause.lane).or_default().push((cause.offset, at));
    }

    /// To be called once, when every effect is known.
    pub(super) fn seal(&mut self) {
        for reached in self.reached.values_mut() {
            reached.sort_unstable();
            let mut earliest = Timestamp(i64::MAX);
            for (_, at) in reached.iter_mut().rev() {
                earliest = earliest.min(*at);
                *at = earliest;
            }
        }
    }

    /// By when the record at `ahead` offsets behind this one, or a later one, was worked on.
    pub(super) fn passed_by(&self, at: At, ahead: i64) -> Option<Timestamp> {
        let reached = self.reached.get(&at.lane)?;
        let place = reached.partition_point(|(offset, _)| *offset < at.offset.saturating_add(ahead));
        reached.get(place).map(|(_, at)| *at)
    }

    /// Whether any effect of this record or an earlier one is known.
    pub(super) fn has_begun(&self, at: At) -> bool {
        self.reached.get(&at.lane).and_then(|reached| reached.first()).is_some_and(|(first, _)| *first <= at.offset)
    }

    /// Whether a record of the range stands there.
    pub(super) fn holds(&self, at: At) -> bool {
        let holds = |stretch: &Stretch| {
            stretch.range.contains(&at.offset) && !stretch.lost.iter().any(|lost| lost.contains(&at.offset))
        };
        self.stretches.get(&at.lane).is_some_and(holds)
    }

    /// Whether the effects of a record were acknowledged when reading began.
    pub(super) fn is_committed(&self, at: At) -> bool {
        let next = self.stretches.get(&at.lane).and_then(|stretch| stretch.committed);
        next.is_some_and(|next| at.offset < next)
    }

    /// Takes note of a partition's first record.
    pub(super) fn begins(&mut self, at: At, written_at: Timestamp, occurred_at: Timestamp) {
        self.firsts.entry(at.lane).or_insert(First { written_at, occurred_at });
    }

    /// Whether records that are not in the range may have had a say in what became of one that is: within `span` of where
    /// the range begins, unless that is where the partition does.
    pub(super) fn is_near_the_beginning(
        &self,
        at: At,
        written_at: Timestamp,
        occurred_at: Timestamp,
        span: std::time::Duration,
    ) -> bool {
        let whole = |stretch: &Stretch| stretch.range.start == 0 && stretch.lost.is_empty();
        if self.stretches.get(&at.lane).is_none_or(whole) {
            return false;
        }
        let near =
            |first: &First| written_at < first.written_at.plus(span) || occurred_at < first.occurred_at.plus(span);
        self.firsts.get(&at.lane).is_none_or(near)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(offset: i64) -> At {
        At { lane: 0, offset }
    }

    #[test]
    fn effects_of_later_records_bound_when_earlier_ones_were_worked_on() {
        let mut course = Course::default();
        for (offset, time) in [(5, 50), (1, 20), (9, 40), (3, 60)] {
            course.effect(at(offset), Timestamp(time));
        }
        course.seal();
        let by = |offset, ahead| course.passed_by(at(offset), ahead).map(|at| at.0);
        assert_eq!([by(0, 0), by(1, 0), by(2, 0), by(9, 0), by(10, 0)], [Some(20), Some(20), Some(40), Some(40), None]);
        assert_eq!([by(0, 2), by(0, 10)], [Some(40), None]);
        assert_eq!([course.has_begun(at(0)), course.has_begun(at(1))], [false, true]);
    }

    #[test]
    fn a_range_that_begins_in_the_middle_knows_less_at_first() {
        let (second, minute) = (Timestamp(1_000), Duration::from_secs(60));
        for (start, written, occurred, near) in
            [(0, 1_000, 1_000, false), (7, 1_000, 1_000, true), (7, 70_000, 1_000, true), (7, 70_000, 70_000, false)]
        {
            let mut course = Course::default();
            course.read(0, Stretch { range: start..20, lost: Vec::new(), committed: Some(15) });
            course.begins(at(7), second, second);
            let got = course.is_near_the_beginning(at(8), Timestamp(written), Timestamp(occurred), minute);
            assert_eq!(got, near, "{start} {written} {occurred}");
            assert_eq!([course.is_committed(at(14)), course.is_committed(at(15))], [true, false]);
            assert_eq!([course.holds(at(19)), course.holds(at(20))], [true, false]);
        }
    }
}

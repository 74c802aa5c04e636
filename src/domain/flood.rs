//! A flood of records that cannot be processed: when nearly all of the last ones of a partition are of no use, somebody changed
//! what they write, and going on would only move a topic to the dead letters.

use std::collections::VecDeque;

/// What is a flood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Of the last so many records, and no fewer; more than 0.
    pub records: u64,
    /// At least this share cannot be processed.
    pub share: f64,
}

/// So many of so many records cannot be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    pub bad: u64,
    pub of: u64,
}

/// The last records of one partition.
#[derive(Debug, Clone)]
pub struct Flood {
    terms: Terms,
    /// In order; the last one is still being filled.
    parts: VecDeque<Sum>,
}

/// In how many parts the last records are forgotten.
const PARTS: u64 = 10;

impl Flood {
    pub fn new(terms: Terms) -> Self {
        Self { terms, parts: VecDeque::new() }
    }

    /// Hears of further records, and tells of a flood.
    #[allow(clippy::cast_precision_loss, reason = "a share of thousands")]
    pub fn hear(&mut self, more: Sum) -> Option<Sum> {
        match self.parts.back_mut() {
            Some(last) if last.of < self.terms.records.div_ceil(PARTS) => {
                last.bad += more.bad;
                last.of += more.of;
            }
            Some(_) | None => self.parts.push_back(more),
        }
        while let Some(first) = self.parts.front()
            && self.sum().of - first.of >= self.terms.records
        {
            self.parts.pop_front();
        }
        let sum = self.sum();
        let is_flood = sum.of >= self.terms.records && sum.bad as f64 >= self.terms.share * sum.of as f64;
        (is_flood && sum.bad > 0).then_some(sum)
    }

    fn sum(&self) -> Sum {
        self.parts.iter().fold(Sum::default(), |sum, part| Sum { bad: sum.bad + part.bad, of: sum.of + part.of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many records it is a flood, of batches of `size` of which so many are bad in each phase of so many batches.
    fn after(size: u64, phases: &[(u64, u64)]) -> Option<u64> {
        let mut flood = Flood::new(Terms { records: 1_000, share: 0.9 });
        let batches = phases.iter().flat_map(|(batches, bad)| (0..*batches).map(move |_| *bad));
        batches
            .enumerate()
            .find_map(|(number, bad)| flood.hear(Sum { bad, of: size }).map(|_| (number as u64 + 1) * size))
    }

    #[test]
    fn nearly_all_of_the_last_records_are_a_flood_and_a_few_bad_ones_never() {
        for (size, phases, want) in [
            (100, vec![(100, 0)], None),
            // One in a thousand, and one in two.
            (1_000, vec![(10_000, 1)], None),
            (100, vec![(10_000, 50)], None),
            (100, vec![(10_000, 89)], None),
            // From the beginning: no sooner than there are enough to judge by.
            (100, vec![(100, 100)], Some(1_000)),
            (1, vec![(10_000, 1)], Some(1_000)),
            (100, vec![(100, 90)], Some(1_000)),
            (5_000, vec![(1, 5_000)], Some(5_000)),
            // After good ones: when they are nearly forgotten.
            (100, vec![(100, 0), (100, 100)], Some(10_900)),
            (10, vec![(1_000, 0), (1_000, 10)], Some(10_900)),
            // A stretch that is shorter than what is judged by.
            (100, vec![(100, 0), (8, 100), (100, 0)], None),
        ] {
            assert_eq!(after(size, &phases), want, "{size} {phases:?}");
        }
    }

    #[test]
    fn a_share_of_nothing_takes_a_bad_record_all_the_same() {
        let mut flood = Flood::new(Terms { records: 1, share: 0.0 });
        assert_eq!(flood.hear(Sum { bad: 0, of: 5 }), None);
        assert!(flood.hear(Sum { bad: 1, of: 5 }).is_some());
    }
}

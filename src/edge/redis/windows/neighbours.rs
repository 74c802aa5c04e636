//! Where a hash lies in a bounded memory: in one of a few neighbouring places, the others of which have it for company.

use std::ops::Range;

/// A hash may lie in one of so many neighbouring places.
const NEIGHBOURS: usize = 4;

/// The half of a hash by which it is known, and the places that the other half chooses of so many.
#[allow(clippy::cast_possible_truncation, reason = "halves of a hash")]
pub(super) fn neighbours(hash: u128, places: usize) -> (u64, Range<usize>) {
    let first = (hash as u64 >> 8) as usize % (places / NEIGHBOURS) * NEIGHBOURS;
    ((hash >> 64) as u64, first..first + NEIGHBOURS)
}

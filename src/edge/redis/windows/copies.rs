//! Copies of the windows that this process wrote to lately: a bounded memory of logs.
//!
//! A log only grows, and `APPEND` answers how long it has become: where that is the copy's length and what was appended to
//! it, nobody else has written there, and the log need not be read. Whoever rewrites a log changes its generation with it,
//! which its length tells, so that it cannot grow back to a length that is known: not within the eighteen generations that
//! there are. A log that ended or was deleted begins anew, though, and may be brought to that length by others. So a copy is
//! believed only for some minutes, and not where its key may have ended. One that is forgotten costs one read.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::neighbours::neighbours;
use crate::edge::marks::Era;
use crate::edge::prefetch::bring_near;
use crate::wire::window::BET_BYTES;

/// Customers whose log may be known, at 32 bytes each beside the log.
const PLACES: usize = 1 << 18;
/// Bytes of all logs together.
const BYTES: usize = 24 * 1024 * 1024;
/// A copy that has to be moved is given room for so many bytes more.
const ROOM: usize = 3 * BET_BYTES;
/// A longer log is read whenever it is needed.
const LONGEST: usize = 8 * 1024;

/// A copy that was kept longer ago is not believed.
const BELIEVED_FOR: Duration = Duration::from_secs(5 * 60);
/// Ages of copies are told in steps of so many milliseconds: about one batch.
const TICK: u128 = 4;

/// Bytes that the copies take at the most.
pub(in super::super) const MEMORY: usize = BYTES + PLACES * size_of::<Place>();

/// Clones of a store share it.
pub(in super::super) struct Copies {
    began: Instant,
    shelf: Mutex<Shelf>,
}

/// The copies, held for as long as they are looked at.
#[derive(Default)]
pub(super) struct Shelf {
    places: Vec<Place>,
    bytes: usize,
    /// The place that gives way next where there are too many bytes.
    hand: usize,
    /// Ticks since the copies began, which may have begun again at 0 since.
    now: u32,
    /// What is known is known of the store in this era.
    era: Option<Era>,
}

/// A log as it is stored, with room behind it for what is appended next.
#[derive(Clone, Default)]
pub(super) struct Log {
    memory: Box<[u8]>,
    /// So much of the memory is the log.
    length: u32,
}

/// A log and whose it is. The log's parts stand among the others, so that two places fill a line of memory.
#[derive(Clone, Default)]
struct Place {
    /// The half of the hash that does not choose the place.
    tag: u64,
    /// The tick in which it was put here.
    put: u32,
    /// That of the log; 0 where nothing is known.
    length: u32,
    memory: Box<[u8]>,
}

impl Log {
    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.get(..self.length as usize).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Where there is no room, it is moved to where there is some for what comes next, too.
    pub(super) fn append(&mut self, records: &[u8]) {
        let begin = self.length as usize;
        let end = begin + records.len();
        if end > self.memory.len() {
            let mut moved = Vec::with_capacity(end + ROOM);
            moved.extend_from_slice(self.bytes());
            moved.resize(end + ROOM, 0);
            self.memory = moved.into_boxed_slice();
        }
        self.memory[begin..end].copy_from_slice(records);
        self.length = u32::try_from(end).unwrap_or_default();
    }
}

/// A log that was read, without room behind it.
impl From<Vec<u8>> for Log {
    fn from(log: Vec<u8>) -> Self {
        let length = u32::try_from(log.len()).unwrap_or_default();
        Self { memory: log.into_boxed_slice(), length }
    }
}

impl Place {
    fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn take(&mut self) -> Log {
        Log { memory: std::mem::take(&mut self.memory), length: std::mem::take(&mut self.length) }
    }
}

impl Copies {
    pub(in super::super) fn new() -> Self {
        Self { began: Instant::now(), shelf: Mutex::default() }
    }

    /// The copies of what a store holds in this era. In another nothing is known of it.
    pub(super) fn of(&self, era: Option<Era>) -> MutexGuard<'_, Shelf> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf.era != era {
            *shelf = Shelf { era, ..Shelf::default() };
        }
        shelf.now = ticks(self.began.elapsed());
        shelf
    }
}

#[allow(clippy::cast_possible_truncation, reason = "they begin again at 0")]
fn ticks(span: Duration) -> u32 {
    (span.as_millis() / TICK) as u32
}

impl Shelf {
    /// Brings near what is known of customers, before it is taken or put.
    pub(super) fn bring_near(&self, hashes: impl Iterator<Item = u128>) {
        let near = hashes.filter_map(|hash| self.places.get(neighbours(hash, PLACES).1));
        bring_near(near.flatten().map(|place| place.tag));
    }

    /// Takes a copy away; empty where there is none that may be believed. It is put back once it is known to be true.
    pub(super) fn take(&mut self, hash: u128) -> Log {
        let (tag, near) = neighbours(hash, PLACES);
        let near = self.places.get_mut(near).unwrap_or_default();
        let Some(known) = near.iter_mut().find(|place| place.tag == tag && !place.is_empty()) else {
            return Log::default();
        };
        let age = self.now.wrapping_sub(known.put);
        let log = known.take();
        self.bytes -= log.memory.len();
        if age <= ticks(BELIEVED_FOR) { log } else { Log::default() }
    }

    /// Keeps a copy. Where there is no place for it, the one that was put there first gives way.
    pub(super) fn put(&mut self, hash: u128, log: Log) {
        if log.is_empty() || log.bytes().len() > LONGEST {
            return;
        }
        let Log { memory, length } = log;
        if self.places.is_empty() {
            self.places = vec![Place::default(); PLACES];
        }
        let (tag, near) = neighbours(hash, PLACES);
        let first = near.start;
        let now = self.now;
        let near = &mut self.places[near];
        let age = |place: &Place| if place.is_empty() { u32::MAX } else { now.wrapping_sub(place.put) };
        let known = near.iter().position(|place| place.tag == tag && !place.is_empty());
        let oldest = || (0..near.len()).max_by_key(|place| age(&near[*place])).unwrap_or(0);
        let place = known.unwrap_or_else(oldest);
        self.bytes = self.bytes + memory.len() - near[place].memory.len();
        near[place] = Place { tag, put: now, length, memory };
        while self.bytes > BYTES {
            self.hand = (self.hand + 1) % PLACES;
            if self.hand != first + place {
                self.bytes -= self.places[self.hand].take().memory.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn log(length: usize) -> Log {
        vec![7; length].into()
    }

    #[test]
    fn a_copy_is_there_once() {
        let copies = Copies::new();
        let mut shelf = copies.of(None);
        assert!(shelf.take(7).is_empty());
        shelf.put(7, log(18));
        assert!(shelf.take(7 | 1 << 64).is_empty(), "another key");
        assert_eq!(shelf.take(7).bytes(), [7; 18]);
        assert!(shelf.take(7).is_empty());
        assert_eq!(shelf.bytes, 0);
    }

    #[test]
    fn a_log_grows_by_what_is_appended_wherever_it_lies() {
        let mut log = Log::default();
        let mut want = Vec::new();
        for number in 0..20 {
            let records = vec![number; BET_BYTES * (1 + usize::from(number % 3))];
            log.append(&records);
            want.extend(records);
            assert_eq!(log.bytes(), want);
        }
        let room = log.memory.len() - want.len();
        assert!(room <= ROOM, "{room} bytes of room");
        let copies = Copies::new();
        let mut shelf = copies.of(None);
        shelf.put(7, log);
        assert_eq!(shelf.bytes, want.len() + room, "the room counts as well");
        assert_eq!(shelf.take(7).bytes(), want);
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_believed_for_some_minutes() {
        let copies = Copies::new();
        for (later, is_believed) in [(BELIEVED_FOR, true), (BELIEVED_FOR + Duration::from_millis(4), false)] {
            copies.of(None).put(7, log(18));
            tokio::time::advance(later).await;
            assert_eq!(copies.of(None).take(7).is_empty(), !is_believed, "{later:?}");
            assert_eq!(copies.of(None).bytes, 0);
        }
    }

    #[test]
    fn nothing_is_known_of_another_era() {
        let copies = Copies::new();
        let era = |number| NonZeroU64::new(number).map(Era);
        copies.of(era(1)).put(7, log(18));
        assert!(copies.of(era(2)).take(7).is_empty());
        assert!(copies.of(era(1)).take(7).is_empty());
    }

    #[test]
    fn where_there_is_no_place_the_oldest_gives_way() {
        let copies = Copies::new();
        let mut shelf = copies.of(None);
        let of = |tag: u128| tag << 64;
        for tag in [1, 2, 3, 4, 1, 5] {
            shelf.now += 1;
            shelf.put(of(tag), log(18 * tag as usize));
        }
        assert_eq!(shelf.bytes, 18 * (1 + 3 + 4 + 5));
        let known: Vec<u128> = (1..=5).filter(|tag| !shelf.take(of(*tag)).is_empty()).collect();
        assert_eq!(known, [1, 3, 4, 5]);
        assert_eq!(shelf.bytes, 0);
    }

    #[test]
    fn no_more_bytes_are_kept_than_may_be_however_long_the_logs_are() {
        let copies = Copies::new();
        let mut shelf = copies.of(None);
        shelf.put(1 << 8, log(LONGEST + 1));
        assert_eq!(shelf.bytes, 0, "too long");
        let many = 2 * (BYTES / LONGEST) as u128;
        for number in 1..=many {
            shelf.put(number << 8 | number << 64, log(LONGEST));
            assert!(shelf.bytes <= BYTES);
        }
        assert_eq!(shelf.bytes, BYTES / LONGEST * LONGEST);
        assert_eq!(shelf.take(many << 8 | many << 64).bytes().len(), LONGEST, "the last one stays");
    }
}

//! A batch of records as they came from Kafka: one buffer, and an index into it.

use std::ops::Range;
use std::sync::Arc;

use crate::domain::ids::Source;

/// Where a record stands, and under which assignment of its partition it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// Assignments are numbered; what an earlier one read is not committed under a later one.
    pub epoch: u64,
}

impl Position {
    pub fn source(&self) -> Source {
        Source { topic: Arc::clone(&self.topic), partition: self.partition, offset: self.offset }
    }

    pub fn at(&self) -> At<'_> {
        At { topic: &self.topic, partition: self.partition, offset: self.offset, epoch: self.epoch }
    }
}

/// A [`Position`], borrowed: what is asked of every record must not share a counter between threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<'a> {
    pub topic: &'a Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub epoch: u64,
}

impl At<'_> {
    pub fn position(self) -> Position {
        Position { topic: Arc::clone(self.topic), partition: self.partition, offset: self.offset, epoch: self.epoch }
    }

    pub fn source(self) -> Source {
        Source { topic: Arc::clone(self.topic), partition: self.partition, offset: self.offset }
    }

    /// Whether both are of one partition under one assignment.
    pub fn is_beside(self, other: At<'_>) -> bool {
        self.partition == other.partition
            && self.epoch == other.epoch
            && (Arc::ptr_eq(self.topic, other.topic) || self.topic == other.topic)
    }
}

/// A partition as it was assigned to us once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub topic: Arc<str>,
    pub partition: i32,
    pub epoch: u64,
}

impl Assignment {
    fn at(&self, offset: i64) -> At<'_> {
        At { topic: &self.topic, partition: self.partition, offset, epoch: self.epoch }
    }
}

/// Records in the order in which they were read: in order within each partition.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    header_bytes: usize,
    assignments: Vec<Assignment>,
    /// Where each record stands.
    places: Vec<Place>,
    /// What each record says, as long as that is kept.
    contents: Vec<Content>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// The place of its assignment among the batch's.
    assignment: usize,
    offset: i64,
}

#[derive(Debug)]
struct Content {
    timestamp: Option<i64>,
    key: Option<Range<usize>>,
    payload: Option<Range<usize>>,
    headers: Vec<(String, Vec<u8>)>,
}

/// One record, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub position: At<'a>,
    /// The broker's or the sender's time of the record, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [(String, Vec<u8>)],
}

/// What a batch holds of one partition.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    pub first: At<'a>,
    pub last: At<'a>,
    pub records: usize,
}

impl Batch {
    /// An empty batch with room for records and their bytes.
    pub fn with_room(records: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            places: Vec::with_capacity(records),
            contents: Vec::with_capacity(records),
            ..Self::default()
        }
    }

    /// Takes a record in. Its headers are asked for last: they stand behind its payload, which is near by then.
    pub fn push(
        &mut self,
        assignment: &Assignment,
        offset: i64,
        timestamp: Option<i64>,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: impl FnOnce() -> Vec<(String, Vec<u8>)>,
    ) {
        let key = key.map(|bytes| self.keep(bytes));
        let payload = payload.map(|bytes| self.keep(bytes));
        let headers = headers();
        self.header_bytes += headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let assignment = self.place_of(assignment);
        self.places.push(Place { assignment, offset });
        self.contents.push(Content { timestamp, key, payload, headers });
    }

    /// Records come in runs of one partition, so the last one's is looked at first.
    fn place_of(&mut self, assignment: &Assignment) -> usize {
        let is_same =
            |place: usize| self.assignments.get(place).is_some_and(|known| known.at(0).is_beside(assignment.at(0)));
        if let Some(last) = self.places.last().map(|place| place.assignment)
            && is_same(last)
        {
            return last;
        }
        (0..self.assignments.len()).find(|place| is_same(*place)).unwrap_or_else(|| {
            self.assignments.push(assignment.clone());
            self.assignments.len() - 1
        })
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of keys, payloads and headers held.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.header_bytes
    }

    /// Where the record in a place of the batch stands in its input.
    pub fn position(&self, place: usize) -> Option<At<'_>> {
        self.places.get(place).map(|place| self.at(*place))
    }

    fn at(&self, place: Place) -> At<'_> {
        self.assignments[place.assignment].at(place.offset)
    }

    /// Where its records stand.
    pub fn positions(&self) -> impl Iterator<Item = At<'_>> {
        self.places.iter().map(|place| self.at(*place))
    }

    /// The record in a place of the batch; none once they were let go of.
    pub fn record(&self, place: usize) -> Option<Record<'_>> {
        Some(self.read(*self.places.get(place)?, self.contents.get(place)?))
    }

    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.places.iter().zip(&self.contents).map(|(place, content)| self.read(*place, content))
    }

    fn read<'a>(&'a self, place: Place, content: &'a Content) -> Record<'a> {
        Record {
            position: self.at(place),
            timestamp: content.timestamp,
            key: content.key.clone().map(|range| &self.bytes[range]),
            payload: content.payload.clone().map(|range| &self.bytes[range]),
            headers: &content.headers,
        }
    }

    /// What it holds of each partition.
    pub fn shares(&self) -> Vec<Share<'_>> {
        let mut shares: Vec<Option<Share<'_>>> = vec![None; self.assignments.len()];
        for place in &self.places {
            let at = self.at(*place);
            let share = shares[place.assignment].get_or_insert(Share { first: at, last: at, records: 0 });
            share.last = at;
            share.records += 1;
        }
        shares.into_iter().flatten().collect()
    }

    /// Frees what all records say. Where they stand in their input stays.
    pub fn let_go_of_records(&mut self) {
        (self.bytes, self.header_bytes, self.contents) = (Vec::new(), 0, Vec::new());
    }

    /// Drops the records whose position is no longer wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(At<'_>) -> bool) {
        let kept: Vec<bool> = self.positions().map(&mut wanted).collect();
        if kept.iter().all(|kept| *kept) {
            return;
        }
        retain_kept(&mut self.places, &kept);
        retain_kept(&mut self.contents, &kept);
    }
}

/// Keeps those of a list, of records or beside them, whose place is kept, and frees the room of the others.
pub fn retain_kept<T>(list: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    list.retain(|_| kept.next().copied().unwrap_or(true));
    list.shrink_to_fit();
}

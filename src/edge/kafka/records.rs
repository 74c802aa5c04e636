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
}

/// Records in the order in which they were read: in order within each partition.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    header_bytes: usize,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    position: Position,
    timestamp: Option<i64>,
    key: Option<Range<usize>>,
    payload: Option<Range<usize>>,
    headers: Vec<(String, Vec<u8>)>,
}

/// One record, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub position: &'a Position,
    /// The broker's or the sender's time of the record, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [(String, Vec<u8>)],
}

impl Batch {
    pub fn push(
        &mut self,
        position: Position,
        timestamp: Option<i64>,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: Vec<(String, Vec<u8>)>,
    ) {
        self.header_bytes += headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let key = key.map(|bytes| self.keep(bytes));
        let payload = payload.map(|bytes| self.keep(bytes));
        self.entries.push(Entry { position, timestamp, key, payload, headers });
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys, payloads and headers held.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.header_bytes
    }

    /// Where the record in a place of the batch stands in its input.
    pub fn position(&self, place: usize) -> Option<&Position> {
        self.entries.get(place).map(|entry| &entry.position)
    }

    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.entries.iter().map(|entry| Record {
            position: &entry.position,
            timestamp: entry.timestamp,
            key: entry.key.clone().map(|range| &self.bytes[range]),
            payload: entry.payload.clone().map(|range| &self.bytes[range]),
            headers: &entry.headers,
        })
    }

    /// Drops the records whose position is no longer wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&Position) -> bool) {
        self.entries.retain(|entry| wanted(&entry.position));
    }
}

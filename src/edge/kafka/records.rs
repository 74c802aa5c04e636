//! A batch of records as they came from Kafka: one buffer, and an index into it.

use std::ops::Range;
use std::sync::Arc;

use super::headers::Header;
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
    /// Those of all records, one after the other.
    headers: Vec<Header>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// The place of its assignment among the batch's.
    assignment: usize,
    offset: i64,
}

/// Small, for there are many, and one thread writes what another reads. Lengths are what Kafka has for them: 31 bits.
#[derive(Debug)]
struct Content {
    timestamp: Option<i64>,
    /// Where its bytes begin: first the key, then the payload.
    begin: usize,
    key: Option<u32>,
    payload: Option<u32>,
    /// Its own among all headers.
    headers: Range<u32>,
}

/// One record, borrowed from its batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub position: At<'a>,
    /// The broker's or the sender's time of the record, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [Header],
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
        headers: impl FnOnce() -> Vec<Header>,
    ) {
        let begin = self.bytes.len();
        let key = key.map(|bytes| self.keep(bytes));
        let payload = payload.map(|bytes| self.keep(bytes));
        let first = self.headers.len() as u32;
        self.headers.extend(headers());
        let headers = first..self.headers.len() as u32;
        self.header_bytes +=
            self.headers[range(&headers)].iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let assignment = self.place_of(assignment);
        self.places.push(Place { assignment, offset });
        self.contents.push(Content { timestamp, begin, key, payload, headers });
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

    fn keep(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.extend_from_slice(bytes);
        bytes.len() as u32
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
        let payload_begins = content.begin + content.key.unwrap_or(0) as usize;
        let bytes = |begin: usize, length: u32| &self.bytes[begin..begin + length as usize];
        Record {
            position: self.at(place),
            timestamp: content.timestamp,
            key: content.key.map(|length| bytes(content.begin, length)),
            payload: content.payload.map(|length| bytes(payload_begins, length)),
            headers: &self.headers[range(&content.headers)],
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
        (self.bytes, self.header_bytes) = (Vec::new(), 0);
        (self.contents, self.headers) = (Vec::new(), Vec::new());
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

fn range(narrow: &Range<u32>) -> Range<usize> {
    narrow.start as usize..narrow.end as usize
}

/// Keeps those of a list, of records or beside them, whose place is kept, and frees the room of the others.
pub fn retain_kept<T>(list: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    list.retain(|_| kept.next().copied().unwrap_or(true));
    list.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key, the payload and the headers of a record.
    type Said = (Option<&'static str>, Option<&'static str>, &'static [(&'static str, &'static str)]);

    const RECORDS: [Said; 5] = [
        (Some("a"), Some("one"), &[]),
        (None, Some("two"), &[("h", "1"), ("i", "")]),
        (Some("c"), None, &[("h", "3")]),
        (None, None, &[]),
        (Some(""), Some(""), &[("h", "5")]),
    ];

    fn batch() -> Batch {
        let partition = |partition| Assignment { topic: "activity".into(), partition, epoch: 1 };
        let mut batch = Batch::with_room(1, 1);
        for (offset, (key, payload, headers)) in (0..).zip(RECORDS) {
            let header = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
            let headers = || headers.iter().map(header).collect();
            let (key, payload) = (key.map(str::as_bytes), payload.map(str::as_bytes));
            batch.push(&partition(offset as i32 % 2), offset, Some(offset * 10), key, payload, headers);
        }
        batch
    }

    fn is(record: &Record<'_>, offset: usize) -> bool {
        let (key, payload, headers) = RECORDS[offset];
        let said = |(name, value): &Header| (name.clone(), String::from_utf8(value.clone()).unwrap());
        let wanted = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        record.position.offset == offset as i64
            && record.position.partition == offset as i32 % 2
            && record.timestamp == Some(offset as i64 * 10)
            && record.key == key.map(str::as_bytes)
            && record.payload == payload.map(str::as_bytes)
            && record.headers.iter().map(said).eq(headers.iter().map(wanted))
    }

    #[test]
    fn a_batch_says_what_its_records_said_also_when_some_are_dropped() {
        let mut batch = batch();
        assert_eq!(batch.size(), "aonetwoc".len() + "h1ih3h5".len());
        assert!((0..5).all(|place| is(&batch.record(place).unwrap(), place)));
        batch.retain(|at| at.offset != 1 && at.offset != 3);
        let kept = [0, 2, 4];
        assert!(batch.iter().zip(kept).all(|(record, offset)| is(&record, offset)));
        assert!((0..3).all(|place| is(&batch.record(place).unwrap(), kept[place])));
        let shares = |batch: &Batch| -> Vec<_> {
            batch.shares().iter().map(|share| (share.first.offset, share.last.offset, share.records)).collect()
        };
        assert_eq!(shares(&batch), [(0, 4, 3)]);
        batch.let_go_of_records();
        assert!(batch.record(0).is_none() && batch.size() == 0);
        assert_eq!((shares(&batch), batch.len()), (vec![(0, 4, 3)], 3));
    }
}

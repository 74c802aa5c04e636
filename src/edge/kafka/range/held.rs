//! The next record of a partition, in memory that is used again for the one after it.

use rdkafka::message::{BorrowedMessage, Message as _};

use super::super::headers::{Header, Headers, headers};

/// A record that waits for its turn.
pub(super) struct Held {
    /// The time of the last record; one that has none comes right behind it.
    pub(super) time: i64,
    pub(super) timestamp: Option<i64>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) headers: Vec<Header>,
}

impl Held {
    pub(super) fn nothing() -> Self {
        Self { time: i64::MIN, timestamp: None, key: None, payload: None, headers: Vec::new() }
    }

    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>, kept: Headers) {
        self.timestamp = message.timestamp().to_millis();
        self.time = self.timestamp.unwrap_or(self.time);
        keep(&mut self.key, message.key());
        keep(&mut self.payload, message.payload());
        self.headers = headers(message, kept);
    }
}

/// Takes bytes over into memory that is there already.
fn keep(place: &mut Option<Vec<u8>>, bytes: Option<&[u8]>) {
    match (place.as_mut(), bytes) {
        (Some(kept), Some(bytes)) => {
            kept.clear();
            kept.extend_from_slice(bytes);
        }
        (_, bytes) => *place = bytes.map(<[u8]>::to_vec),
    }
}

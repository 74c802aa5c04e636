//! The dead letters of a range, read on a thread of their own.

use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::RedriveArgs;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::kafka::headers::{Header, Headers};
use crate::edge::kafka::range::{Next, RangeReader, RangeRecord, RangeSettings, Span};
use crate::roles::wiring;

/// After so much time without any record the brokers are given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Letters that are read ahead; each may be as large as brokers take.
const AHEAD: usize = 16;

/// A dead letter as it stands on its topic.
#[derive(Debug, Clone, Default)]
pub(super) struct Letter {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) at: Option<Timestamp>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
    pub(super) headers: Vec<Header>,
}

pub(super) enum Taken {
    Letter(Letter),
    /// The end of the range, with how each partition was read.
    End(Vec<Span>),
    Failed(anyhow::Error),
}

pub(super) struct Letters {
    spans: Vec<Span>,
    pub(super) taken: Receiver<Taken>,
}

impl Letters {
    /// Finds the range as it is now and begins to read.
    pub(super) async fn open(args: &RedriveArgs, config: &Config) -> anyhow::Result<Self> {
        let now = clock::now();
        let settings = RangeSettings {
            connection: wiring::kafka(config),
            group_id: format!("{}-redrive", config.kafka.group_id),
            topics: vec![config.kafka.topics.dead_letters.clone()],
            from: args.from.bound(now),
            to: args.to.bound(now),
            headers: Headers::Kept,
            patience: PATIENCE,
        };
        let brokers = config.kafka.brokers.clone();
        let open = move || RangeReader::open(&settings).with_context(|| format!("kafka {brokers}"));
        // The Kafka client blocks whoever waits for a record.
        let reader = tokio::task::spawn_blocking(open).await??;
        let spans = reader.spans().cloned().collect();
        let (sender, taken) = channel(AHEAD);
        tokio::task::spawn_blocking(move || read(reader, &sender));
        Ok(Self { spans, taken })
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// How many offsets the range has.
    pub(super) fn offsets(&self) -> u64 {
        self.spans.iter().map(|span| (span.end - span.start).max(0).unsigned_abs()).sum()
    }
}

/// Reads to the end, or until nobody wants to know any more.
fn read(mut reader: RangeReader, sender: &Sender<Taken>) {
    loop {
        let taken = match reader.next_record() {
            Ok(Next::Record(record)) => Taken::Letter(letter(&record)),
            Ok(Next::Waiting) if sender.is_closed() => return,
            Ok(Next::Waiting) => continue,
            Ok(Next::End) => Taken::End(reader.spans().cloned().collect()),
            Err(error) => Taken::Failed(error.into()),
        };
        let last = !matches!(taken, Taken::Letter(_));
        if sender.blocking_send(taken).is_err() || last {
            return;
        }
    }
}

fn letter(record: &RangeRecord<'_>) -> Letter {
    Letter {
        partition: record.partition,
        offset: record.offset,
        at: record.timestamp.map(Timestamp),
        key: record.key.map(<[u8]>::to_vec),
        payload: record.payload.map(<[u8]>::to_vec),
        headers: record.headers.to_vec(),
    }
}

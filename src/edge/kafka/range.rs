//! A bounded range of topics, read without a group: no partition is taken from anybody, and nothing is committed.
//!
//! Partitions are merged by the time of their records: the earliest of what comes next in each of them comes next of all.
//! Within a partition the order is kept, so a time that goes back there goes back here. At most one record of a partition
//! is held, and what the client fetches ahead is bounded.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;
use tokio::time::Instant;

use super::headers::{Header, Headers};
use super::heard::{Listening, NoAnswer};
use super::{ClientError, Connection};

mod held;
mod plan;
use held::Held;
pub use plan::{Bound, Span};

/// What all partitions together may fetch ahead, and the least of each, in kB.
const AHEAD_KB: usize = 64 * 1024;
const LEAST_AHEAD_KB: usize = 256;
const MOST_AHEAD_KB: usize = 8 * 1024;
/// How long a look for the next record may take before the caller is asked whether to go on.
const LOOK: Duration = Duration::from_millis(100);

/// What is read, and how.
#[derive(Debug, Clone)]
pub struct RangeSettings {
    pub connection: Connection,
    /// The client wants a name of a group, although none is joined.
    pub group_id: String,
    pub topics: Vec<String>,
    pub from: Bound,
    pub to: Bound,
    pub headers: Headers,
    /// After so much time without any record the range is given up.
    pub patience: Duration,
}

/// Why a range cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{action}")]
    NoAnswer { action: String, source: NoAnswer },
    #[error("topic {topic} does not exist; there are {there_are}")]
    NoTopic { topic: String, there_are: String },
    #[error("topic {topic} has no partition {partition}, only 0 to {}", partitions.saturating_sub(1))]
    NoPartition { topic: String, partition: i32, partitions: usize },
    #[error("{topic}[{partition}] ends before offset {end}; offset {offset} is yet to come")]
    Beyond { topic: String, partition: i32, offset: i64, end: i64 },
    #[error("{topic}[{partition}] cannot be read")]
    Unreadable { topic: String, partition: i32, source: KafkaError },
    #[error("nothing came of {topic}[{partition}] for {} s{}", waited.as_secs(), trouble.as_ref().map(|trouble| format!("; the last trouble: {trouble}")).unwrap_or_default())]
    Stalled { topic: String, partition: i32, waited: Duration, trouble: Option<String> },
    #[error("a record of {topic}[{partition}] came where none is expected: an error of this program")]
    Misrouted { topic: String, partition: i32 },
}

/// One record, borrowed from its reader.
#[derive(Debug, Clone, Copy)]
pub struct RangeRecord<'a> {
    pub topic: &'a Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// The broker's or the sender's time of the record, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    /// At most 64 of them; none unless they were asked for.
    pub headers: &'a [Header],
}

/// What the next look brought.
#[derive(Debug)]
pub enum Next<'a> {
    Record(RangeRecord<'a>),
    /// Nothing yet.
    Waiting,
    /// Every partition was read to its end.
    End,
}

/// Reads a range. Blocks; at most a moment at a time once it is open.
pub struct RangeReader {
    lanes: Vec<Lane>,
    /// The lanes that hold a record, the earliest first; equal times go by topic and partition.
    held: BinaryHeap<Reverse<(i64, usize)>>,
    /// Lanes whose next record is not known.
    wanting: Vec<usize>,
    /// Since when nothing came of what was looked at.
    waiting_since: Option<Instant>,
    patience: Duration,
    consumer: Arc<BaseConsumer<Listening>>,
}

/// One partition with its next record.
struct Lane {
    span: Span,
    queue: PartitionQueue<Listening>,
    state: State,
    record: Held,
    kept: Headers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The brokers say that nothing more comes.
    AtEnd,
    /// The brokers do not have the offset that comes next.
    PositionLost,
}

/// What a look at one partition brought.
enum Look {
    Held,
    Ended,
    Nothing,
}

impl RangeReader {
    /// Finds the offsets of the range as they are now, and begins to read.
    pub fn open(settings: &RangeSettings) -> Result<Self, RangeError> {
        let spans = plan::spans(&create(settings, 1)?, &settings.topics, &settings.from, &settings.to)?;
        let consumer = Arc::new(create(settings, spans.len())?);
        let mut lanes = Vec::with_capacity(spans.len());
        let mut assignment = TopicPartitionList::new();
        for span in spans {
            let refused = |error| RangeError::Client(ClientError::Refused(error));
            if span.next < span.end {
                assignment
                    .add_partition_offset(&span.topic, span.partition, Offset::Offset(span.next))
                    .map_err(refused)?;
            }
            // Split off before the assignment: what is fetched in between would go to the common queue.
            let queue = consumer.split_partition_queue(&span.topic, span.partition);
            let queue = queue.ok_or_else(|| refused(KafkaError::Canceled))?;
            let (state, record) = (State::Reading, Held::nothing());
            lanes.push(Lane { span, queue, state, record, kept: settings.headers });
        }
        consumer.assign(&assignment).map_err(ClientError::Refused)?;
        let wanting = (0..lanes.len()).rev().collect();
        Ok(Self { lanes, held: BinaryHeap::new(), wanting, waiting_since: None, patience: settings.patience, consumer })
    }

    /// The next record in the order of time.
    pub fn next_record(&mut self) -> Result<Next<'_>, RangeError> {
        while let Some(place) = self.wanting.last().copied() {
            match self.look(place)? {
                Look::Held => self.held.push(Reverse((self.lanes[place].record.time, place))),
                Look::Ended => {}
                Look::Nothing => {
                    self.serve()?;
                    return self.waited(place);
                }
            }
            self.wanting.pop();
            self.waiting_since = None;
        }
        let Some(Reverse((_, place))) = self.held.pop() else { return Ok(Next::End) };
        self.wanting.push(place);
        let lane = &mut self.lanes[place];
        let offset = lane.span.next;
        lane.span.next += 1;
        lane.span.records += 1;
        let lane = &self.lanes[place];
        Ok(Next::Record(RangeRecord {
            topic: &lane.span.topic,
            partition: lane.span.partition,
            offset,
            timestamp: lane.record.timestamp,
            key: lane.record.key.as_deref(),
            payload: lane.record.payload.as_deref(),
            headers: &lane.record.headers,
        }))
    }

    /// Every partition's range, and how far it was read.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.lanes.iter().map(|lane| &lane.span)
    }

    /// Looks for the next record of a partition.
    fn look(&mut self, place: usize) -> Result<Look, RangeError> {
        let lane = &mut self.lanes[place];
        loop {
            match lane.state {
                State::AtEnd => return settle_end(&self.consumer, &mut lane.span),
                State::PositionLost => {
                    find_again(&self.consumer, &mut lane.span)?;
                    lane.state = State::Reading;
                }
                State::Reading => {}
            }
            if lane.span.next >= lane.span.end {
                stop(&self.consumer, &lane.span);
                return Ok(Look::Ended);
            }
            match lane.queue.poll(LOOK) {
                None => return Ok(Look::Nothing),
                Some(Ok(message)) => {
                    let offset = message.offset();
                    // After a jump the client may still have what came before it.
                    if offset < lane.span.next {
                        continue;
                    }
                    // Up to the offset found there is nothing: compacted, or a record of the broker's own.
                    lane.span.next = offset.min(lane.span.end);
                    if offset >= lane.span.end {
                        continue;
                    }
                    lane.record.take(&message, lane.kept);
                    return Ok(Look::Held);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => lane.state = State::AtEnd,
                Some(Err(error)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                        lane.state = State::PositionLost;
                    }
                    _ if is_final(&error) => {
                        let (topic, partition) = (lane.span.topic.to_string(), lane.span.partition);
                        return Err(RangeError::Unreadable { topic, partition, source: error });
                    }
                    _ => {
                        note(&self.consumer, &error);
                        return Ok(Look::Nothing);
                    }
                },
            }
        }
    }

    /// Lets the client tell what concerns no partition.
    fn serve(&self) -> Result<(), RangeError> {
        match self.consumer.poll(Duration::ZERO) {
            None => {}
            Some(Err(error)) => note(&self.consumer, &error),
            Some(Ok(message)) => {
                let (topic, partition) = (message.topic().to_owned(), message.partition());
                return Err(RangeError::Misrouted { topic, partition });
            }
        }
        Ok(())
    }

    fn waited(&mut self, place: usize) -> Result<Next<'_>, RangeError> {
        let waited = self.waiting_since.get_or_insert_with(Instant::now).elapsed();
        if waited < self.patience {
            return Ok(Next::Waiting);
        }
        let Span { topic, partition, .. } = &self.lanes[place].span;
        let trouble = self.consumer.context().0.last();
        Err(RangeError::Stalled { topic: topic.to_string(), partition: *partition, waited, trouble })
    }
}

fn note(consumer: &BaseConsumer<Listening>, error: &KafkaError) {
    consumer.context().0.tell(error, "");
}

fn create(settings: &RangeSettings, partitions: usize) -> Result<BaseConsumer<Listening>, ClientError> {
    let ahead = (AHEAD_KB / partitions.max(1)).clamp(LEAST_AHEAD_KB, MOST_AHEAD_KB);
    let fetch = (ahead * 1024).min(1024 * 1024);
    let mut config = settings.connection.client(&[
        ("fetch.wait.max.ms", "100"),
        ("fetch.queue.backoff.ms", "10"),
        ("queued.max.messages.kbytes", &ahead.to_string()),
        ("fetch.message.max.bytes", &fetch.to_string()),
    ])?;
    config
        .set("group.id", &settings.group_id)
        .set("allow.auto.create.topics", "false")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        // A position that is lost is told, never a silent jump.
        .set("auto.offset.reset", "error");
    config.create_with_context(Listening::default()).map_err(ClientError::Refused)
}

/// Nothing more comes. What that leaves unread at the end are records of the broker's own, or the partition is shorter
/// than it was.
fn settle_end(consumer: &BaseConsumer<Listening>, span: &mut Span) -> Result<Look, RangeError> {
    let held = plan::watermarks(consumer, &span.topic, span.partition)?;
    if held.end < span.end {
        span.lost.push(held.end.max(span.next)..span.end);
    }
    span.next = span.end;
    stop(consumer, span);
    Ok(Look::Ended)
}

/// Goes on with the first record that the brokers still have, and takes note of those that they do not.
fn find_again(consumer: &BaseConsumer<Listening>, span: &mut Span) -> Result<(), RangeError> {
    let held = plan::watermarks(consumer, &span.topic, span.partition)?;
    let next = if span.next > held.end { span.end } else { held.start.max(span.next).min(span.end) };
    if next > span.next {
        span.lost.push(span.next..next);
        span.next = next;
    }
    if next == span.end {
        return Ok(());
    }
    // A partition whose position was lost is not fetched any more; a seek would be refused.
    let unreadable =
        |source| RangeError::Unreadable { topic: span.topic.to_string(), partition: span.partition, source };
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(&span.topic, span.partition, Offset::Offset(next)).map_err(unreadable)?;
    consumer.incremental_unassign(&partition).map_err(unreadable)?;
    consumer.incremental_assign(&partition).map_err(unreadable)
}

/// Ends the fetching of a partition that was read to its end.
fn stop(consumer: &BaseConsumer<Listening>, span: &Span) {
    let mut partition = TopicPartitionList::new();
    partition.add_partition(&span.topic, span.partition);
    if let Err(error) = consumer.pause(&partition) {
        tracing::debug!(%error, "a Kafka partition could not be paused");
    }
}

/// Whether waiting mends nothing.
fn is_final(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(
                // Behind records that do not match their checksum the client would go on without a word.
                RDKafkaErrorCode::BadMessage
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownPartition
            )
        )
}

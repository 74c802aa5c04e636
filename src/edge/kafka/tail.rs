//! Reading along: everything that is written to some topics from now on, without a group and without a trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::heard::{Listening, NoAnswer};
use super::{ClientError, Connection, ask};

/// Why topics cannot be read along.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the end of topic {topic} cannot be found")]
    NoEnd { topic: String, source: NoAnswer },
    #[error("the partitions cannot be read")]
    NotAssigned(#[source] KafkaError),
}

/// Where a partition ends: one past its last record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

/// The ends of all partitions of some topics. Blocks for up to `patience` a call; there is one call a partition.
pub fn ends(connection: &Connection, topics: &[String], patience: Duration) -> Result<Vec<End>, TailError> {
    let consumer: BaseConsumer<Listening> =
        connection.client(&[])?.create_with_context(Listening::default()).map_err(ClientError::Refused)?;
    let mut ends = Vec::new();
    for topic in topics {
        let no_end = |error| TailError::NoEnd { topic: topic.clone(), source: NoAnswer::of(&consumer, error) };
        for partition in ask::partitions(&consumer, topic, patience).map_err(no_end)? {
            let offset = ask::end(&consumer, topic, partition, patience).map_err(no_end)?;
            ends.push(End { topic: topic.clone(), partition, offset });
        }
    }
    Ok(ends)
}

/// One record that was read along.
pub struct Tailed<'a> {
    message: &'a BorrowedMessage<'a>,
}

impl Tailed<'_> {
    pub fn topic(&self) -> &str {
        self.message.topic()
    }

    pub fn payload(&self) -> &[u8] {
        self.message.payload().unwrap_or_default()
    }

    /// Name and value of each header; one without a value has an empty one.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.message.headers().into_iter().flat_map(|headers| headers.iter());
        headers.map(|header| (header.key, header.value.unwrap_or_default()))
    }
}

/// Logs what goes wrong, which the end of a partition is not.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(%error, reason, "the Kafka client that reads along");
        }
    }
}

impl ConsumerContext for Quiet {}

/// How far each partition has been read.
struct Reached {
    partitions: Vec<(End, AtomicI64)>,
    /// How often the end of a partition was met.
    ends: AtomicUsize,
}

impl Reached {
    fn find(&self, topic: &str, partition: i32) -> Option<&AtomicI64> {
        let same = |(from, _): &&(End, AtomicI64)| from.partition == partition && from.topic == topic;
        self.partitions.iter().find(same).map(|(_, reached)| reached)
    }
}

/// Reads along on a thread of its own until it is dropped.
pub struct Tail {
    reached: Arc<Reached>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tail {
    /// Reads what comes after `from`, and gives each record to `seen` on the reading thread.
    pub fn start(
        connection: &Connection,
        from: Vec<End>,
        mut seen: impl FnMut(&Tailed<'_>) + Send + 'static,
    ) -> Result<Self, TailError> {
        let consumer: BaseConsumer<Quiet> = connection
            .client(&[("fetch.wait.max.ms", "20"), ("fetch.queue.backoff.ms", "5")])?
            // A name is asked for; nothing joins it and nothing is committed.
            .set("group.id", "stepup-tail")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .create_with_context(Quiet)
            .map_err(ClientError::Refused)?;
        let mut assignment = TopicPartitionList::new();
        for end in &from {
            assignment
                .add_partition_offset(&end.topic, end.partition, Offset::Offset(end.offset))
                .map_err(TailError::NotAssigned)?;
        }
        consumer.assign(&assignment).map_err(TailError::NotAssigned)?;
        // A list that outlives its consumer keeps it from closing.
        drop(assignment);
        let beginnings = from.into_iter().map(|end| (end.clone(), AtomicI64::new(end.offset)));
        let reached = Arc::new(Reached { partitions: beginnings.collect(), ends: AtomicUsize::new(0) });
        let stop = Arc::new(AtomicBool::new(false));
        let (known, told) = (Arc::clone(&reached), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("kafka-tail".to_owned())
            .spawn(move || read(&consumer, &known, &told, &mut seen))
            .map_err(ClientError::Thread)?;
        Ok(Self { reached, stop, thread: Some(thread) })
    }

    /// Whether all partitions have been fetched from: what is written from now on is read without the delay of a start.
    pub fn is_warm(&self) -> bool {
        self.reached.ends.load(Ordering::Relaxed) >= self.reached.partitions.len()
    }

    /// Which of these ends were not read up to and given away, and how far each of their partitions was. Partitions that are not
    /// read along do not count.
    pub fn before<'a>(&self, ends: &'a [End]) -> impl Iterator<Item = (&'a End, i64)> {
        ends.iter().filter_map(|end| {
            let reached = self.reached.find(&end.topic, end.partition)?.load(Ordering::Acquire);
            (reached < end.offset).then_some((end, reached))
        })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It looks at the flag several times a second, and a panic of it was shown already.
            let _ = thread.join();
        }
    }
}

fn read(consumer: &BaseConsumer<Quiet>, reached: &Reached, stop: &AtomicBool, seen: &mut impl FnMut(&Tailed<'_>)) {
    while !stop.load(Ordering::Relaxed) {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => drop(reached.ends.fetch_add(1, Ordering::Relaxed)),
            Some(Err(error)) => tracing::warn!(%error, "reading along"),
            Some(Ok(message)) => {
                seen(&Tailed { message: &message });
                if let Some(reached) = reached.find(message.topic(), message.partition()) {
                    reached.store(message.offset() + 1, Ordering::Release);
                }
            }
        }
    }
}

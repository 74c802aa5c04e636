//! Looking for records: topics are read between two moments, by whoever, without joining a group or committing anything.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;
use tokio::time::Instant;

use super::heard::{Listening, NoAnswer};
use super::{ClientError, Connection, ask};
use crate::domain::ids::Source;
use crate::domain::time::Timestamp;

/// Why a search came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("there is no topic {0}")]
    NoTopic(String),
    #[error("there is no partition {partition} of the topic {topic}")]
    NoPartition { topic: String, partition: i32 },
    #[error("{topic}[{partition}] holds no record at offset {offset}: it begins at {begin} and ends before {end}")]
    NoRecord { topic: String, partition: i32, offset: i64, begin: i64, end: i64 },
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("nothing came from the topic {topic} for {waited:?}")]
    Stalled { topic: String, waited: Duration },
}

/// A client that reads and leaves no trace at the brokers. All its calls block.
pub struct Finder {
    consumer: BaseConsumer<Listening>,
    patience: Duration,
}

/// A part of a topic, from a moment on up to what stood there when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub topic: String,
    /// Of each partition that holds something in between: the first offset, and one past the last.
    pub partitions: Vec<(i32, i64, i64)>,
}

/// One record that was found, borrowed from the client.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub partition: i32,
    pub offset: i64,
    /// The broker's or the sender's time of the record.
    pub written_at: Option<Timestamp>,
    pub payload: Option<&'a [u8]>,
}

impl Stretch {
    /// How many offsets it spans: as many records, or more where some were compacted away.
    pub fn len(&self) -> u64 {
        self.partitions.iter().map(|(_, from, to)| to.saturating_sub(*from).unsigned_abs()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }
}

impl Finder {
    /// A client that is not connected yet. `group_id` is needed to ask for a group's position; it is never joined.
    pub fn new(connection: &Connection, group_id: &str, patience: Duration) -> Result<Self, ClientError> {
        let defaults = [
            ("fetch.wait.max.ms", "50"),
            ("fetch.queue.backoff.ms", "10"),
            ("queued.max.messages.kbytes", "32768"),
            ("allow.auto.create.topics", "false"),
        ];
        let mut config = connection.client(&defaults)?;
        // What concerns members of a group.
        for property in ["group.protocol", "group.remote.assignor", "group.instance.id"] {
            config.remove(property);
        }
        config
            .set("group.id", group_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            // What retention takes away meanwhile is not there to be found.
            .set("auto.offset.reset", "earliest");
        let consumer = config.create_with_context(Listening::default()).map_err(ClientError::Refused)?;
        Ok(Self { consumer, patience })
    }

    /// The part of a topic from `since` on, by the time of its records, to its end as it is now.
    pub fn stretch(&self, topic: &str, since: Timestamp) -> Result<Stretch, FindError> {
        let numbers = self.partitions(topic)?;
        let begins = ask::offsets_at(&self.consumer, topic, &numbers, since, self.patience);
        let begins = begins.map_err(|error| self.no_answer(error))?;
        let mut partitions = Vec::with_capacity(begins.len());
        for partition in numbers {
            // Nothing stands there that is so young.
            let Some(begin) = begins.get(&partition).copied() else { continue };
            let held = self.held(topic, partition)?;
            if begin.max(held.start) < held.end {
                partitions.push((partition, begin.max(held.start), held.end));
            }
        }
        Ok(Stretch { topic: topic.to_owned(), partitions })
    }

    /// Shows `visit` every record of the part, in order within each partition, until it has seen enough. Gives back how
    /// many records it saw.
    pub fn scan(
        &self,
        stretch: &Stretch,
        mut visit: impl FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> Result<u64, FindError> {
        if stretch.is_empty() {
            return Ok(0);
        }
        let list = list(stretch).map_err(|error| self.no_answer(error))?;
        self.consumer.assign(&list).map_err(|error| self.no_answer(error))?;
        let read = self.read(stretch, &mut visit);
        // A partition that was paused would be so in the next scan as well.
        let _ = self.consumer.resume(&list);
        let _ = self.consumer.unassign();
        read
    }

    fn read(&self, stretch: &Stretch, visit: &mut impl FnMut(Seen<'_>) -> ControlFlow<()>) -> Result<u64, FindError> {
        let mut ends: HashMap<i32, i64> = stretch.partitions.iter().map(|(number, _, end)| (*number, *end)).collect();
        let mut seen = 0;
        let mut last = Instant::now();
        let mut trouble = None;
        while !ends.is_empty() {
            match self.consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    last = Instant::now();
                    let (partition, offset) = (message.partition(), message.offset());
                    let Some(end) = ends.get(&partition).copied() else { continue };
                    if offset + 1 >= end {
                        self.end(&mut ends, &stretch.topic, partition);
                    }
                    if offset >= end {
                        continue;
                    }
                    seen += 1;
                    let written_at = message.timestamp().to_millis().map(Timestamp);
                    if visit(Seen { partition, offset, written_at, payload: message.payload() }).is_break() {
                        return Ok(seen);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => self.end(&mut ends, &stretch.topic, partition),
                Some(Err(error)) => trouble = Some(error),
                None => {}
            }
            if last.elapsed() > self.patience {
                let stalled = FindError::Stalled { topic: stretch.topic.clone(), waited: self.patience };
                return Err(trouble.map_or(stalled, |error| self.no_answer(error)));
            }
        }
        Ok(seen)
    }

    /// The record at one place, handed to `visit`.
    pub fn at<T>(&self, place: &Source, visit: impl FnOnce(Seen<'_>) -> T) -> Result<T, FindError> {
        let Source { topic, partition, offset } = place;
        if !self.partitions(topic)?.contains(partition) {
            return Err(FindError::NoPartition { topic: topic.to_string(), partition: *partition });
        }
        let Range { start: begin, end } = self.held(topic, *partition)?;
        let mut visit = Some(visit);
        let mut found = None;
        if (begin..end).contains(offset) {
            let stretch = Stretch { topic: topic.to_string(), partitions: vec![(*partition, *offset, end)] };
            self.scan(&stretch, |seen| {
                if seen.offset == *offset {
                    found = visit.take().map(|visit| visit(seen));
                }
                ControlFlow::Break(())
            })?;
        }
        let topic = topic.to_string();
        found.ok_or(FindError::NoRecord { topic, partition: *partition, offset: *offset, begin, end })
    }

    /// The group's position in a partition: one past the last record that it is done with.
    pub fn committed(&self, topic: &str, partition: i32) -> Result<Option<i64>, FindError> {
        let asked = std::iter::once((topic, partition));
        let answer = ask::committed(&self.consumer, asked, self.patience);
        let answer = answer.map_err(|error| self.no_answer(error))?;
        Ok(answer.into_iter().find_map(|(_, _, position)| position))
    }

    fn partitions(&self, topic: &str) -> Result<Vec<i32>, FindError> {
        let partitions = ask::partitions(&self.consumer, topic, self.patience);
        let partitions = partitions.map_err(|error| self.no_answer(error))?;
        if partitions.is_empty() { Err(FindError::NoTopic(topic.to_owned())) } else { Ok(partitions) }
    }

    fn held(&self, topic: &str, partition: i32) -> Result<Range<i64>, FindError> {
        ask::held(&self.consumer, topic, partition, self.patience).map_err(|error| self.no_answer(error))
    }

    fn no_answer(&self, error: KafkaError) -> FindError {
        NoAnswer::of(&self.consumer, error).into()
    }

    /// A partition that was read to its end is fetched no further.
    fn end(&self, ends: &mut HashMap<i32, i64>, topic: &str, partition: i32) {
        if ends.remove(&partition).is_some() && !ends.is_empty() {
            let mut list = TopicPartitionList::new();
            list.add_partition(topic, partition);
            let _ = self.consumer.pause(&list);
        }
    }
}

fn list(stretch: &Stretch) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, from, _) in &stretch.partitions {
        list.add_partition_offset(&stretch.topic, *partition, Offset::Offset(*from))?;
    }
    Ok(list)
}

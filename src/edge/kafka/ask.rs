//! Questions to the brokers. Brokers that start, or that are about to give a partition away, refuse for a moment: then they
//! are asked again, as long as there is patience. Each call blocks.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use tokio::time::Instant;

use crate::domain::time::Timestamp;

/// How long a refusal that passes is given.
const PAUSE: Duration = Duration::from_millis(100);

/// The answer to a question that is told how long it may take, and asked again after a refusal that passes.
fn patiently<T>(patience: Duration, ask: impl Fn(Duration) -> KafkaResult<T>) -> KafkaResult<T> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = ask(deadline.saturating_duration_since(Instant::now()));
        let left = deadline.saturating_duration_since(Instant::now());
        if !matches!(&answer, Err(error) if left > PAUSE && passes(error)) {
            return answer;
        }
        #[expect(clippy::disallowed_methods, reason = "whoever asks has a thread to wait on")]
        std::thread::sleep(PAUSE);
    }
}

/// The numbers of a topic's partitions, in order; none where there is no such topic.
pub(super) fn partitions<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    patience: Duration,
) -> KafkaResult<Vec<i32>> {
    patiently(patience, |left| {
        let metadata = consumer.fetch_metadata(Some(topic), left)?;
        let found = metadata.topics().iter().filter(|found| found.name() == topic);
        let mut numbers = Vec::new();
        for topic in found {
            match topic.error().map(RDKafkaErrorCode::from) {
                None | Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {}
                Some(code) => return Err(KafkaError::MetadataFetch(code)),
            }
            numbers.extend(topic.partitions().iter().map(|partition| partition.id()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    })
}

/// The first offset that a partition holds and one past the last that may be read.
pub(super) fn held<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    patience: Duration,
) -> KafkaResult<Range<i64>> {
    patiently(patience, |left| held_now(consumer, topic, partition, left))
}

/// The same, asked once.
pub(super) fn held_now<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    patience: Duration,
) -> KafkaResult<Range<i64>> {
    let deadline = Instant::now() + patience;
    let low = edge(consumer, topic, partition, Offset::Beginning, patience)?;
    let high = edge(consumer, topic, partition, Offset::End, deadline.saturating_duration_since(Instant::now()))?;
    Ok(low..high.max(low))
}

/// One past the last offset of a partition that may be read.
pub(super) fn end<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    patience: Duration,
) -> KafkaResult<i64> {
    patiently(patience, |left| end_now(consumer, topic, partition, left))
}

/// The same, asked once.
pub(super) fn end_now<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    patience: Duration,
) -> KafkaResult<i64> {
    edge(consumer, topic, partition, Offset::End, patience)
}

/// Where a partition begins or ends. The client's own question for both loses the refusal of one where the other is answered,
/// and then gives the partition out as an empty one.
fn edge<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    edge: Offset,
    patience: Duration,
) -> KafkaResult<i64> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(topic, partition, edge)?;
    let found = positions(&consumer.offsets_for_times(asked, patience)?)?.into_iter().find_map(|(_, _, offset)| offset);
    found.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::NoOffset))
}

/// The offset of each partition's first record at or after a time. A partition without one is not in the answer.
pub(super) fn offsets_at<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: &[i32],
    time: Timestamp,
    patience: Duration,
) -> KafkaResult<HashMap<i32, i64>> {
    let answers = patiently(patience, |left| {
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            // Kafka knows no time before 1970, and takes negative ones for something else.
            asked.add_partition_offset(topic, *partition, Offset::Offset(time.0.max(0)))?;
        }
        positions(&consumer.offsets_for_times(asked, left)?)
    })?;
    Ok(answers.into_iter().filter_map(|(_, partition, offset)| Some((partition, offset?))).collect())
}

/// The positions that the consumer's group has committed in these partitions, where it has one: one past the last record
/// that it is done with.
pub(super) fn committed<'a, C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: impl Iterator<Item = (&'a str, i32)> + Clone,
    patience: Duration,
) -> KafkaResult<Vec<(String, i32, Option<i64>)>> {
    patiently(patience, |left| {
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in partitions.clone() {
            asked.add_partition(topic, partition);
        }
        positions(&consumer.committed_offsets(asked, left)?)
    })
}

/// What each partition was answered with. Where one of them was refused, what stands beside it is the question.
fn positions(list: &TopicPartitionList) -> KafkaResult<Vec<(String, i32, Option<i64>)>> {
    for element in list.elements() {
        element.error()?;
    }
    Ok(offsets_of(list))
}

/// Whether a refusal is that of brokers that are busy with themselves, or of a client that is busy finding them.
fn passes(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerDestroy, BrokerTransportFailure, CoordinatorLoadInProgress, CoordinatorNotAvailable,
        DestroyBroker, FencedLeaderEpoch, KafkaStorageError, LeaderNotAvailable, NetworkException, NotCoordinator,
        NotLeaderForPartition, OffsetNotAvailable, ReplicaNotAvailable, RequestTimedOut, UnknownLeaderEpoch,
        UnknownPartition, WaitingForCoordinator,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(
            AllBrokersDown
                | BrokerDestroy
                | BrokerTransportFailure
                | CoordinatorLoadInProgress
                | CoordinatorNotAvailable
                | DestroyBroker
                | FencedLeaderEpoch
                | KafkaStorageError
                | LeaderNotAvailable
                | NetworkException
                | NotCoordinator
                | NotLeaderForPartition
                | OffsetNotAvailable
                | ReplicaNotAvailable
                | RequestTimedOut
                | UnknownLeaderEpoch
                | UnknownPartition
                | WaitingForCoordinator
        )
    )
}

/// The offsets of a list, taken out of it at once: a list that outlives its consumer keeps it from closing.
pub(super) fn offsets_of(list: &TopicPartitionList) -> Vec<(String, i32, Option<i64>)> {
    list.elements()
        .iter()
        .map(|element| {
            let offset = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => None,
            };
            (element.topic().to_owned(), element.partition(), offset)
        })
        .collect()
}

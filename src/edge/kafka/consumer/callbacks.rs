//! What the Kafka client calls on the polling thread: partitions that come and go, commits that are answered, statistics.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::super::Connection;
use super::super::heard::Heard;
use super::group::{Group, commit};
use super::{StartAt, offsets_of};
use crate::edge::files::FileStamp;

pub(super) struct GroupContext {
    group: Arc<Group>,
    heard: Heard,
    /// Those of the property files when the client was made.
    stamps: Vec<Option<FileStamp>>,
    /// Whether another client has taken over: what happens to this one is of no account any more.
    retired: AtomicBool,
}

impl GroupContext {
    pub(super) fn new(group: Arc<Group>, stamps: Vec<Option<FileStamp>>) -> Self {
        Self { group, heard: Heard::default(), stamps, retired: AtomicBool::new(false) }
    }

    /// Whether the brokers refuse what the client was made with while its files hold something else by now.
    pub(super) fn is_outdated(&self, connection: &Connection) -> bool {
        self.heard.is_refused() && self.stamps != connection.stamps()
    }

    /// From now on the client touches nothing that its successor shares with it.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Where each new partition begins: at its committed offset, or, where the group has none, at the configured end.
    /// `latest` is pinned by a commit, so that a restart cannot jump over what came in between; and it is for a group that
    /// is new: a partition that is new to an old group is read from its beginning.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        let partitions: Vec<(String, i32)> =
            list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect();
        let mut pinned = Vec::new();
        match committed(consumer, &partitions) {
            Ok(known) => {
                let mut old = HashMap::new();
                for (topic, partition, offset) in known {
                    let offset = match (offset, self.group.start()) {
                        (Some(offset), _) => Offset::Offset(offset),
                        (None, StartAt::Earliest) => Offset::Beginning,
                        (None, StartAt::Latest) => {
                            let old = *old.entry(topic.clone()).or_insert_with(|| has_offsets(consumer, &topic));
                            if !old {
                                pinned.push((topic.clone(), partition));
                            }
                            if old { Offset::Beginning } else { last_offset(consumer, &topic, partition) }
                        }
                    };
                    let _ = list.set_partition_offset(&topic, partition, offset);
                }
            }
            // Without an answer the stored offset is used; a partition that has none stops loudly instead of jumping.
            Err(error) => tracing::warn!(%error, "the group's offsets could not be read"),
        }
        let count = self.group.assign(offsets_of(list), &pinned);
        let done = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(list),
        };
        if let Err(error) = done {
            tracing::error!(%error, "Kafka partitions could not be taken over");
        }
        // The client remembers a pause beyond a revoke; what must be paused now, the polling thread pauses again.
        if let Err(error) = consumer.resume(list) {
            tracing::warn!(%error, "Kafka partitions that came could not be resumed");
        }
        tracing::info!(came = partitions.len(), ours = count, "partitions assigned");
        self.group.observer().assigned(count);
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        if self.is_retired() {
            let _ = let_go(consumer, list);
            return;
        }
        let partitions = offsets_of(list);
        let lost = consumer.assignment_lost();
        if !lost {
            self.group.drain(&partitions);
            commit(&self.group, consumer, Some(&partitions));
        }
        let count = self.group.remove(&partitions);
        if let Err(error) = let_go(consumer, list) {
            tracing::error!(%error, "Kafka partitions could not be let go");
        }
        for (topic, partition, _) in &partitions {
            self.group.observer().gone(topic, *partition);
        }
        tracing::info!(went = partitions.len(), ours = count, lost, "partitions revoked");
        self.group.observer().revoked(count, lost);
    }
}

fn let_go(consumer: &BaseConsumer<GroupContext>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

/// Whether the group has a position in any partition of a topic.
fn has_offsets(consumer: &BaseConsumer<GroupContext>, topic: &str) -> bool {
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)) else { return false };
    let partitions = metadata.topics().iter().flat_map(|found| found.partitions());
    let partitions: Vec<(String, i32)> = partitions.map(|partition| (topic.to_owned(), partition.id())).collect();
    committed(consumer, &partitions).is_ok_and(|known| known.iter().any(|(_, _, offset)| offset.is_some()))
}

fn last_offset(consumer: &BaseConsumer<GroupContext>, topic: &str, partition: i32) -> Offset {
    let found = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10));
    found.map_or(Offset::End, |(_, high)| Offset::Offset(high))
}

/// The group's committed offsets of these partitions; asked a few times, for a coordinator may be moving.
fn committed(
    consumer: &BaseConsumer<GroupContext>,
    partitions: &[(String, i32)],
) -> KafkaResult<Vec<(String, i32, Option<i64>)>> {
    let ask = || {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        let known = consumer.committed_offsets(list, Duration::from_secs(10))?;
        for element in known.elements() {
            element.error()?;
        }
        Ok(offsets_of(&known))
    };
    ask().or_else(|_| ask()).or_else(|_| ask())
}

/// Whether an error says that the cluster cannot be used. A single broker that is away is no trouble while others answer.
pub(super) fn is_trouble(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::SSL
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
        )
    )
}

impl ClientContext for GroupContext {
    fn stats(&self, statistics: Statistics) {
        if self.is_retired() {
            return;
        }
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            self.heard.forget();
            self.group.observer().well();
        }
        let is_paused = self.group.is_paused();
        let positions = self.group.positions();
        for (name, number) in self.group.all_owned() {
            let partition = statistics.topics.get(name.as_ref()).and_then(|topic| topic.partitions.get(&number));
            let Some(partition) = partition else { continue };
            self.group.fetching(&name, number, partition.next_offset);
            if is_paused {
                continue;
            }
            // The client has no lag to tell before the first commit, however much there is.
            let stands = || positions.iter().find(|(topic, own, _)| *topic == name && *own == number);
            if partition.consumer_lag >= 0 {
                self.group.observer().lag(&name, number, partition.consumer_lag);
            } else if let (0.., Some((.., next))) = (partition.hi_offset, stands()) {
                self.group.observer().lag(&name, number, partition.hi_offset.saturating_sub(*next).max(0));
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client");
        let told = self.heard.tell(&error, reason);
        if is_trouble(&error) && !self.is_retired() {
            self.group.observer().trouble(&told);
        }
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !self.is_retired() {
            self.assign(consumer, list);
        } else {
            self.revoke(consumer, list);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        if self.is_retired() {
            return;
        }
        self.group.commit_answered(&offsets_of(offsets), result.as_ref().err());
    }
}

//! What the Kafka client calls on the polling thread: partitions that come and go, commits that are answered, statistics.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::{self, Statistics};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::time::Instant;

use super::super::Connection;
use super::super::ask::{self, offsets_of};
use super::super::heard::Heard;
use super::StartAt;
use super::group::{self, Group, OwnPartition};
use crate::edge::files::FileStamp;

/// How long brokers may take for an answer while partitions change hands.
const ANSWER: Duration = Duration::from_secs(10);

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

    /// Whether people have not been told of such an error lately.
    pub(super) fn is_news(&self, error: &KafkaError) -> bool {
        self.heard.is_news(error, Instant::now())
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
    /// is new: a partition that is new to an old group is read from its beginning. Where the brokers do not say, the stored
    /// offset is used, and a partition that has none stops loudly instead of jumping.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        let partitions: Vec<(String, i32)> =
            list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect();
        let mut pinned = Vec::new();
        let asked = partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition));
        match ask::committed(consumer, asked, ANSWER) {
            Ok(known) => {
                let mut old = HashMap::new();
                for (topic, partition, offset) in known {
                    let offset = match (offset, self.group.start()) {
                        (Some(offset), _) => Ok(Offset::Offset(offset)),
                        (None, StartAt::Earliest) => Ok(Offset::Beginning),
                        (None, StartAt::Latest) => latest(consumer, &topic, partition, &mut old).inspect(|begin| {
                            if matches!(begin, Offset::Offset(_)) {
                                pinned.push((topic.clone(), partition));
                            }
                        }),
                    };
                    match offset {
                        Ok(offset) => drop(list.set_partition_offset(&topic, partition, offset)),
                        Err(error) => tracing::warn!(%error, topic, partition, "where it begins could not be read"),
                    }
                }
            }
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
        if lost {
            group::clear(consumer, partitions.iter().map(|(topic, partition, _)| (topic.as_str(), *partition)));
        } else {
            self.group.drain(&partitions);
            group::commit(&self.group, consumer, Some(&partitions));
            group::clear(consumer, self.group.all_committed(&partitions));
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

/// Where a partition begins that the group has no position in: at its end as it is now, or at its beginning where the group
/// has one in another partition of the topic. `old` keeps by topic whether it has.
fn latest(
    consumer: &BaseConsumer<GroupContext>,
    topic: &str,
    partition: i32,
    old: &mut HashMap<String, bool>,
) -> KafkaResult<Offset> {
    let is_old = match old.get(topic) {
        Some(is_old) => *is_old,
        None => {
            let is_old = has_offsets(consumer, topic)?;
            old.insert(topic.to_owned(), is_old);
            is_old
        }
    };
    if is_old {
        return Ok(Offset::Beginning);
    }
    Ok(Offset::Offset(ask::end(consumer, topic, partition, ANSWER)?))
}

/// Whether the group has a position in any partition of a topic.
fn has_offsets(consumer: &BaseConsumer<GroupContext>, topic: &str) -> KafkaResult<bool> {
    let partitions = ask::partitions(consumer, topic, ANSWER)?;
    let asked = partitions.iter().map(|partition| (topic, *partition));
    Ok(ask::committed(consumer, asked, ANSWER)?.iter().any(|(_, _, offset)| offset.is_some()))
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

/// How many records a partition has that are not finished, where that is known. At its end stand markers of transactions and
/// what was aborted: nobody is handed those, and once they are fetched there is nothing left to do.
fn lag_of(own: &OwnPartition, told: &statistics::Partition) -> Option<i64> {
    // The client knows which end is meant, that of all records or of those whose transactions have ended; it has no lag to
    // tell before the first commit, however much there is.
    let (end, next) = if told.consumer_lag >= 0 {
        (told.committed_offset + told.consumer_lag, told.committed_offset)
    } else {
        (Some(told.hi_offset).filter(|end| *end >= 0)?, own.next?)
    };
    let has_all = told.next_offset >= end && told.fetchq_cnt == 0 && !own.is_at_work;
    Some(if has_all { 0 } else { end.saturating_sub(next).max(0) })
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
        for own in self.group.own_partitions() {
            let topic = statistics.topics.get(own.topic.as_ref());
            let Some(partition) = topic.and_then(|topic| topic.partitions.get(&own.partition)) else { continue };
            self.group.fetching(&own.topic, own.partition, partition.next_offset);
            // A paused partition is not fetched, and would seem to stand still.
            if let Some(lag) = lag_of(&own, partition).filter(|_| !is_paused) {
                self.group.observer().lag(&own.topic, own.partition, lag);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the client tells of a partition: committed, its lag, fetched up to, waiting to be taken, and its end.
    fn told(committed: i64, lag: i64, fetched: i64, waiting: i64, end: i64) -> statistics::Partition {
        statistics::Partition {
            committed_offset: committed,
            consumer_lag: lag,
            next_offset: fetched,
            fetchq_cnt: waiting,
            hi_offset: end,
            ..statistics::Partition::default()
        }
    }

    #[test]
    fn lag_is_what_is_not_finished_and_no_marker_at_the_end() {
        for (story, (next, is_at_work), told, want) in [
            ("all is committed", (Some(50), false), told(50, 0, 50, 0, 50), Some(0)),
            ("records are being decided", (Some(50), true), told(50, 10, 60, 0, 60), Some(10)),
            ("records wait to be taken", (Some(50), false), told(50, 10, 60, 10, 60), Some(10)),
            ("records wait to be fetched", (Some(50), false), told(50, 10, 55, 0, 60), Some(10)),
            ("a marker is all there is", (Some(50), false), told(50, 1, 51, 0, 51), Some(0)),
            ("a marker behind one at work", (Some(50), true), told(50, 2, 52, 0, 52), Some(2)),
            // The end that counts is that of ended transactions: 53 is of one that is open.
            ("a transaction is open", (Some(50), false), told(50, 1, 51, 0, 53), Some(0)),
            ("nothing is committed yet", (Some(40), true), told(-1001, -1, 60, 0, 60), Some(20)),
            ("nothing is finished yet", (None, false), told(-1001, -1, 0, 0, 60), None),
            ("the end is not known yet", (Some(40), false), told(-1001, -1, 40, 0, -1001), None),
        ] {
            let own = OwnPartition { topic: "activity".into(), partition: 3, next, is_at_work };
            assert_eq!(lag_of(&own, &told), want, "{story}");
        }
    }
}

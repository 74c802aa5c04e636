//! Offsets on their way to the brokers, and their answers.

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;

use super::super::super::ask::offsets_of;
use super::Group;

/// Commits what is finished, of all partitions or of those named, and waits for the answer.
pub(in super::super) fn commit<C: ConsumerContext>(
    group: &Group,
    consumer: &BaseConsumer<C>,
    only: Option<&[(String, i32, Option<i64>)]>,
) {
    let list = group.to_commit(only);
    if list.count() > 0 {
        // When partitions go the client commits once more what it was last given: an older position would stand then.
        let _ = consumer.store_offsets(&list);
        let done = consumer.commit(&list, CommitMode::Sync);
        group.commit_answered(&offsets_of(&list), done.as_ref().err());
    }
}

/// Takes from the client what it keeps of these partitions. It would commit that when they go, once more where it is committed,
/// and then also into a topic that was made in the place of the one it is of.
pub(in super::super) fn clear<'a, C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: impl IntoIterator<Item = (&'a str, i32)>,
) {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        // Without an offset there is nothing to commit.
        list.add_partition(topic, partition);
    }
    // Of a partition that the client does not know it keeps nothing.
    let _ = consumer.store_offsets(&list);
}

/// Gives the client what is finished, for its next commit. Only what the client commits of its own accord is answered to
/// [`commit_answered`](Group::commit_answered); a commit that is asked for without waiting never is.
pub(in super::super) fn store<C: ConsumerContext>(group: &Group, consumer: &BaseConsumer<C>) {
    let list = group.to_commit(None);
    if list.count() > 0
        && let Err(error) = consumer.store_offsets(&list)
    {
        group.commit_answered(&offsets_of(&list), Some(&error));
    }
}

impl Group {
    /// What is finished and was not sent off yet, of all partitions or of those named.
    fn to_commit(&self, only: Option<&[(String, i32, Option<i64>)]>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), owned) in &mut self.state().partitions {
            let wanted =
                only.is_none_or(|only| only.iter().any(|(own, number, _)| **own == **topic && number == partition));
            if wanted && let Some(next) = owned.tracker.to_commit() {
                let _ = list.add_partition_offset(topic, *partition, Offset::Offset(next));
            }
        }
        list
    }

    /// Those of the partitions in which nothing is left to be committed.
    pub(in super::super) fn all_committed<'a>(&self, of: &'a [(String, i32, Option<i64>)]) -> Vec<(&'a str, i32)> {
        let state = self.state();
        let is_done = |(topic, partition): &(&str, i32)| {
            state.partitions.get(&((*topic).into(), *partition)).is_some_and(|owned| owned.tracker.is_all_committed())
        };
        of.iter().map(|(topic, partition, _)| (topic.as_str(), *partition)).filter(is_done).collect()
    }

    pub(in super::super) fn commit_answered(&self, offsets: &[(String, i32, Option<i64>)], error: Option<&KafkaError>) {
        let mut state = self.state();
        for (topic, partition, next) in offsets {
            let Some(owned) = state.partitions.get_mut(&(topic.as_str().into(), *partition)) else { continue };
            match (error, next) {
                (None, Some(next)) => owned.tracker.committed(*next),
                (None, None) => {}
                (Some(_), _) => owned.tracker.commit_failed(),
            }
        }
        drop(state);
        self.observer.committed(error.is_none());
        if let Some(error) = error {
            tracing::warn!(%error, "offsets were not committed; they are sent again");
        }
    }
}

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

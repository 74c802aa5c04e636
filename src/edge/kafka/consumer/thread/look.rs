//! What the polling thread asks the brokers about its partitions: where they end, and whether they hold our positions.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::time::Instant;

use super::super::callbacks::GroupContext;
use super::super::stalls::{Idle, Stalls};
use super::{Lane, Thread};

/// How long this thread may ask brokers for the ends of partitions in one go.
const LOOK_BUDGET: Duration = Duration::from_secs(2);

impl Thread {
    /// Whether a partition is not read although it grows and nothing of it is at hand.
    pub(super) fn is_stalled(
        &self,
        consumer: &BaseConsumer<GroupContext>,
        lanes: &[Lane],
        stalls: &mut Stalls,
    ) -> bool {
        let mut idle = Vec::new();
        for (lane, settings) in lanes.iter().zip(&self.settings.lanes).filter(|(lane, _)| !lane.paused) {
            let in_hand = |one: &Idle| {
                lane.hand
                    .shares()
                    .iter()
                    .any(|share| share.first.partition == one.partition && *share.first.topic == one.topic)
            };
            idle.extend(self.group.idle(&settings.topics).into_iter().filter(|one| !in_hand(one)));
        }
        let deadline = Instant::now() + LOOK_BUDGET;
        for one in stalls.look(idle) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((low, high)) = consumer.fetch_watermarks(&one.topic, one.partition, left) else { return false };
            if stalls.holds(&one, low, high, Instant::now()) {
                let partition = format!("{}[{}]@{}", one.topic, one.partition, one.next);
                tracing::error!(
                    partition,
                    end = high,
                    "a partition grows and is not read; the Kafka client is made anew"
                );
                self.group.observer().stalled(&partition);
                return true;
            }
        }
        false
    }

    /// Asks the brokers how far each partition goes: a paused one is not fetched, and would seem to stand still.
    pub(super) fn measure_lag(&self, consumer: &BaseConsumer<GroupContext>) {
        let deadline = Instant::now() + LOOK_BUDGET;
        for (topic, partition, next) in self.group.positions() {
            // A broker that does not answer must not keep this thread from polling.
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((_, high)) = consumer.fetch_watermarks(&topic, partition, left) else { return };
            self.group.observer().lag(&topic, partition, high.saturating_sub(next).max(0));
        }
    }

    /// The partitions whose committed position the broker no longer has, or does not have yet.
    pub(super) fn lost_positions(&self, consumer: &BaseConsumer<GroupContext>) -> Vec<String> {
        let owned = self.group.positions();
        let deadline = Instant::now() + LOOK_BUDGET;
        let within = |topic: &str, partition: i32, next: i64| {
            consumer
                .fetch_watermarks(topic, partition, deadline.saturating_duration_since(Instant::now()))
                .map_or(true, |(low, high)| (low..=high).contains(&next))
        };
        owned
            .into_iter()
            .filter(|(topic, partition, next)| !within(topic, *partition, *next))
            .map(|(topic, partition, next)| format!("{topic}[{partition}]@{next}"))
            .collect()
    }
}

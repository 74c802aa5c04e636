//! What the polling thread asks the brokers about its partitions: where they end, and whether they hold our positions.

use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use tokio::time::Instant;

use super::super::super::ask;
use super::super::callbacks::GroupContext;
use super::super::stalls::{Idle, Stalls};
use super::{End, Lane, Thread};

/// How long this thread may ask brokers for the ends of partitions in one go.
const LOOK_BUDGET: Duration = Duration::from_secs(2);

impl Thread {
    /// Whether a partition is not read although it holds more and nothing of it is at hand.
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
            let Ok(held) = ask::held_now(consumer, &one.topic, one.partition, left) else { return false };
            if stalls.holds(&one, held.start, held.end, Instant::now()) {
                let partition = format!("{}[{}]@{}", one.topic, one.partition, one.next);
                tracing::error!(
                    partition,
                    end = held.end,
                    "a partition holds more and is not read; the Kafka client is made anew"
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
            let Ok(end) = ask::end_now(consumer, &topic, partition, left) else { return };
            self.group.observer().lag(&topic, partition, end.saturating_sub(next).max(0));
        }
    }

    /// The brokers do not hold a position. One before their first record stands: somebody has to decide what becomes of the
    /// records that are gone. One beyond their last is of a log that is no more, and nothing was read of the one in its place:
    /// that is read from its beginning by a new client.
    pub(super) fn positions_lost(&self, consumer: &BaseConsumer<GroupContext>) -> Option<End> {
        let deadline = Instant::now() + LOOK_BUDGET;
        let (mut before, mut beyond) = (Vec::new(), Vec::new());
        for (topic, partition, next) in self.group.positions() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(held) = ask::held_now(consumer, &topic, partition, left) else { continue };
            let position = format!("{topic}[{partition}]@{next} (held: {} to {})", held.start, held.end);
            if next > held.end {
                self.group.back_to(&topic, partition, held.start);
                beyond.push(position);
            } else if next < held.start {
                before.push(position);
            }
        }
        if !before.is_empty() {
            self.group.observer().position_lost(&before);
        }
        if !beyond.is_empty() {
            tracing::error!(
                partitions = ?beyond,
                "these partitions end before the group's position, so their topic was made again or lost records; all that \
                 they hold is read, and the Kafka client is made anew"
            );
            self.group.observer().trouble(&format!("made again or cut off: {}", beyond.join(", ")));
        } else if before.is_empty() {
            // What was fetched ahead is gone, or the brokers do not say what they hold: a new client finds out.
            tracing::warn!("the brokers hold every position and refuse one; the Kafka client is made anew");
        } else {
            return None;
        }
        Some(End::Fatal)
    }
}

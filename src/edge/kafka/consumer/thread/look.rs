//! What the polling thread asks the brokers about its partitions: where they end, and whether they hold our positions.

use std::ops::Range;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use tokio::time::Instant;

use super::super::super::ask;
use super::super::callbacks::GroupContext;
use super::super::stalls::{Idle, Judgment, Stalls};
use super::{End, Lane, Thread};

/// How long this thread may ask brokers for the ends of partitions in one go.
const LOOK_BUDGET: Duration = Duration::from_secs(2);

impl Thread {
    /// Whether a partition of which nothing is at hand is not read although it holds more, or is of a log that is no more.
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
        let (mut stalled, mut beyond, mut is_answered) = (Vec::new(), Vec::new(), false);
        for one in &stalls.look(idle) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(held) = ask::held_now(consumer, &one.topic, one.partition, left) else { continue };
            is_answered = true;
            let next = one.next.unwrap_or(held.start).max(one.fetching);
            match stalls.judge(one, &held, Instant::now()) {
                Judgment::Rests => {}
                Judgment::Stalled => stalled.push(position(&one.topic, one.partition, next, &held)),
                Judgment::Beyond => {
                    self.group.back_to(&one.topic, one.partition, held.start);
                    beyond.push(position(&one.topic, one.partition, next, &held));
                }
            }
        }
        self.tell_of_beyond(&beyond);
        let is_made_again = is_answered && self.is_made_again(consumer);
        if let Some(partition) = stalled.first() {
            tracing::error!(
                partitions = ?stalled,
                "these partitions hold more and are not read; the Kafka client is made anew"
            );
            self.group.observer().stalled(partition);
        }
        is_made_again || !beyond.is_empty() || !stalled.is_empty()
    }

    /// Whether the brokers know no more of a position that they confirmed to us: they forget it with a topic that is deleted.
    /// There may be a log in its place that is longer than the position, and nothing of it was read.
    fn is_made_again(&self, consumer: &BaseConsumer<GroupContext>) -> bool {
        let deadline = Instant::now() + LOOK_BUDGET;
        let left = || deadline.saturating_duration_since(Instant::now());
        let known = self.group.known_to_brokers();
        let asked = known.iter().map(|(topic, partition)| (topic.as_ref(), *partition));
        let Ok(committed) = ask::committed(consumer, asked, left()) else { return false };
        let mut again = Vec::new();
        for (topic, partition, _) in committed.into_iter().filter(|(_, _, offset)| offset.is_none()) {
            // Of a topic that was deleted and not made again there is nothing to read.
            let Ok(held) = ask::held_now(consumer, &topic, partition, left()) else { continue };
            self.group.back_to(&topic.as_str().into(), partition, held.start);
            again.push(format!("{topic}[{partition}] (held: {} to {})", held.start, held.end));
        }
        if again.is_empty() {
            return false;
        }
        tracing::error!(
            partitions = ?again,
            "the brokers have forgotten the group's position in these partitions, so their topic was made again; all that they \
             hold is read, and the Kafka client is made anew"
        );
        self.group.observer().trouble(&format!("made again: {}", again.join(", ")));
        true
    }

    /// Asks the brokers how far each partition goes: a paused one is not fetched, and would seem to stand still.
    pub(super) fn measure_lag(&self, consumer: &BaseConsumer<GroupContext>) {
        let deadline = Instant::now() + LOOK_BUDGET;
        for (topic, partition, next, _) in self.group.positions() {
            // A broker that does not answer must not keep this thread from polling.
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(end) = ask::end_now(consumer, &topic, partition, left) else { return };
            self.group.observer().lag(&topic, partition, end.saturating_sub(next).max(0));
        }
    }

    /// The brokers do not hold a position. One before their first record stands: somebody has to decide what becomes of the
    /// records that are gone. One beyond their last, be it that of what was fetched ahead, is of a log that is no more, and
    /// nothing was read of the one in its place: that is read from its beginning by a new client.
    pub(super) fn positions_lost(&self, consumer: &BaseConsumer<GroupContext>) -> Option<End> {
        let deadline = Instant::now() + LOOK_BUDGET;
        let (mut before, mut beyond) = (Vec::new(), Vec::new());
        for (topic, partition, next, fetching) in self.group.positions() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(held) = ask::held_now(consumer, &topic, partition, left) else { continue };
            let read = next.max(fetching);
            if read > held.end {
                self.group.back_to(&topic, partition, held.start);
                beyond.push(position(&topic, partition, read, &held));
            } else if next < held.start {
                before.push(position(&topic, partition, next, &held));
            }
        }
        if !before.is_empty() {
            self.group.observer().position_lost(&before);
        }
        self.tell_of_beyond(&beyond);
        if !beyond.is_empty() || (before.is_empty() && self.is_made_again(consumer)) {
            return Some(End::Fatal);
        }
        if !before.is_empty() {
            return None;
        }
        // The brokers do not say what they hold, or hold it again: a new client finds out.
        tracing::warn!("the brokers hold every position and refuse one; the Kafka client is made anew");
        Some(End::Fatal)
    }

    fn tell_of_beyond(&self, partitions: &[String]) {
        if partitions.is_empty() {
            return;
        }
        tracing::error!(
            ?partitions,
            "these partitions end before what was read of them, so their topic was made again or lost records; all that they \
             hold is read, and the Kafka client is made anew"
        );
        self.group.observer().trouble(&format!("made again or cut off: {}", partitions.join(", ")));
    }
}

fn position(topic: &str, partition: i32, next: i64, held: &Range<i64>) -> String {
    format!("{topic}[{partition}]@{next} (held: {} to {})", held.start, held.end)
}

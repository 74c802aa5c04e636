//! The polling thread: records into hands, hands over to whoever takes them, and offsets to the brokers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::super::headers::headers;
use super::super::records::{Assignment, Batch};
use super::callbacks::GroupContext;
use super::group::{self, Group};
use super::stalls::Stalls;
use super::wait::within;
use super::{ConsumerSettings, LaneSettings, create};

mod look;

/// The most bytes of one batch.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How long a full lane is waited for before its partitions are paused. Pausing throws fetched records away.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often the end of partitions is asked for while they are paused.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked at whether a partition is not read.
const WATCH_EVERY: Duration = Duration::from_secs(15);
/// So many records are taken before anything else is looked after.
const AT_ONCE: usize = 256;
/// How long a client is not made anew after it met a fatal error.
const FATAL_WAIT: Duration = Duration::from_secs(5);

/// The polling thread.
pub(super) struct Thread {
    pub(super) settings: ConsumerSettings,
    pub(super) group: Arc<Group>,
    pub(super) stop: Arc<AtomicBool>,
}

/// One lane as the thread sees it.
struct Lane {
    sender: Sender<Batch>,
    hand: Batch,
    since: Option<Instant>,
    paused: bool,
}

/// Where the records of one partition go, as long as the assignment stays as it is.
struct Known {
    assignment: Assignment,
    lane: usize,
    version: u64,
}

/// Why no more was taken for now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// Nothing more has been fetched.
    Nothing,
    /// A hand is full, or other things are to be looked after.
    More,
}

/// Why polling ended.
enum End {
    Stopped,
    /// The client is of no use any more.
    Fatal,
    /// What the client was made with is refused, and there is something else to try.
    Outdated,
}

fn list_of(partitions: &[(Arc<str>, i32)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

impl Thread {
    pub(super) fn run(&self, mut consumer: BaseConsumer<GroupContext>, senders: Vec<Sender<Batch>>) {
        let mut stalls = Stalls::default();
        loop {
            let end = self.poll_until_end(&consumer, &senders, &mut stalls);
            match end {
                End::Stopped | End::Fatal => {
                    self.group.begin_closing();
                    group::commit(&self.group, &consumer, None);
                    drop(consumer);
                }
                End::Outdated => retire(consumer),
            }
            self.group.forget_all();
            match end {
                End::Stopped => return,
                // What was fatal may be so again at once.
                End::Fatal => pass(FATAL_WAIT),
                End::Outdated => {}
            }
            match self.create_anew() {
                Some(fresh) => consumer = fresh,
                None => return,
            }
        }
    }

    fn create_anew(&self) -> Option<BaseConsumer<GroupContext>> {
        while !self.stopping() {
            self.group.end_closing();
            match create(&self.settings, &self.group) {
                Ok(consumer) => return Some(consumer),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "no new Kafka consumer; trying again");
                    pass(Duration::from_secs(1));
                }
            }
        }
        None
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn poll_until_end(
        &self,
        consumer: &BaseConsumer<GroupContext>,
        senders: &[Sender<Batch>],
        stalls: &mut Stalls,
    ) -> End {
        let lane = |sender: &Sender<Batch>| Lane {
            sender: sender.clone(),
            hand: Batch::default(),
            since: None,
            paused: false,
        };
        let mut lanes: Vec<Lane> = senders.iter().map(lane).collect();
        let mut last_store = Instant::now();
        let mut last_look = Instant::now();
        let mut last_watch = Instant::now();
        let mut known = None;
        while !self.stopping() {
            self.group.observer().polled();
            if self.group.take_assigned() {
                self.pause_again(consumer, &lanes);
            }
            if self.group.take_stops() {
                self.pause_all(consumer, self.group.stopped());
            }
            let waiting = lanes.iter().any(|lane| !lane.hand.is_empty());
            let patience = if waiting { self.settings.linger } else { Duration::from_millis(100) };
            let pause = match self.poll(consumer, patience, &mut lanes, &mut known) {
                Ok(pause) => pause,
                Err(end) => return end,
            };
            for (place, lane) in lanes.iter_mut().enumerate() {
                self.hand_over(consumer, place, lane, pause);
            }
            if last_store.elapsed() >= self.settings.commit_interval / 4 {
                last_store = Instant::now();
                group::store(&self.group, consumer);
                self.group.report_open();
                if consumer.context().is_outdated(&self.settings.connection) {
                    tracing::info!("files of kafka.properties_files have changed; the Kafka consumer is made anew");
                    return End::Outdated;
                }
            }
            self.group.set_paused(lanes.iter().any(|lane| lane.paused) || self.group.has_stopped());
            if self.group.is_paused() && last_look.elapsed() >= LOOK_EVERY {
                self.measure_lag(consumer);
                last_look = Instant::now();
            }
            if last_watch.elapsed() >= WATCH_EVERY {
                last_watch = Instant::now();
                if self.is_stalled(consumer, &lanes, stalls) {
                    return End::Fatal;
                }
            }
        }
        End::Stopped
    }

    /// Takes the records that are there, or the first to come within `patience`, until a hand is full.
    fn poll(
        &self,
        consumer: &BaseConsumer<GroupContext>,
        patience: Duration,
        lanes: &mut [Lane],
        known: &mut Option<Known>,
    ) -> Result<Pause, End> {
        let mut patience = patience;
        for _ in 0..AT_ONCE {
            match consumer.poll(patience) {
                Some(Ok(message)) => {
                    let lane = self.take(&message, lanes, known);
                    if lane.is_some_and(|place| self.is_full(place, &lanes[place])) {
                        return Ok(Pause::More);
                    }
                }
                Some(Err(error)) => return self.trouble(consumer, &error, lanes).map_or(Ok(Pause::More), Err),
                None => return Ok(Pause::Nothing),
            }
            patience = Duration::ZERO;
        }
        Ok(Pause::More)
    }

    fn is_full(&self, place: usize, lane: &Lane) -> bool {
        lane.hand.len() >= self.settings.lanes[place].batch_records || lane.hand.size() >= BATCH_BYTES
    }

    /// Puts a record into its lane's hand, and says which lane's. Records mostly come in runs of one partition, which `known`
    /// spares looking up.
    fn take(&self, message: &BorrowedMessage<'_>, lanes: &mut [Lane], known: &mut Option<Known>) -> Option<usize> {
        let topic = self.topic_of(message);
        let fits = |known: &Known| {
            known.assignment.partition == message.partition()
                && *known.assignment.topic == *topic
                && known.version == self.group.version()
        };
        if !known.as_ref().is_some_and(fits) {
            *known = self.look_up(topic, message.partition());
        }
        let Known { assignment, lane: place, .. } = known.as_ref()?;
        let lane = &mut lanes[*place];
        lane.since.get_or_insert_with(Instant::now);
        let headers = || headers(message, self.settings.lanes[*place].headers);
        let time = message.timestamp().to_millis();
        lane.hand.push(assignment, message.offset(), time, message.key(), message.payload(), headers);
        Some(*place)
    }

    /// Who reads one topic has no need to ask each record for it.
    fn topic_of<'a>(&'a self, message: &'a BorrowedMessage<'_>) -> &'a str {
        match self.settings.lanes.as_slice() {
            [LaneSettings { topics, .. }] if topics.len() == 1 => &topics[0],
            _ => message.topic(),
        }
    }

    fn look_up(&self, topic: &str, partition: i32) -> Option<Known> {
        let version = self.group.version();
        let lane = self.settings.lanes.iter().position(|lane| lane.topics.iter().any(|own| own == topic))?;
        Some(Known { assignment: self.group.assignment(topic, partition)?, lane, version })
    }

    /// Hands a batch over when it is full, has waited long enough, or there is nothing to wait for; pauses the lane while
    /// nobody takes it. Where the role is busy there is no room, and a batch grows meanwhile.
    fn hand_over(&self, consumer: &BaseConsumer<GroupContext>, place: usize, lane: &mut Lane, pause: Pause) {
        let settings = &self.settings.lanes[place];
        let full = self.is_full(place, lane);
        let ripe = pause == Pause::Nothing || lane.since.is_some_and(|since| since.elapsed() >= self.settings.linger);
        if lane.hand.is_empty() || !(full || ripe) {
            return;
        }
        // With other lanes to serve there is no time to wait for this one.
        let patience = match (full, self.settings.lanes.len()) {
            (false, _) => Duration::ZERO,
            (true, _) if lane.paused => Duration::ZERO,
            (true, 1) => PATIENCE,
            (true, _) => Duration::from_millis(5),
        };
        match within(patience, lane.sender.reserve()) {
            Some(Ok(permit)) => {
                // The next one will be much like it, and one that is a little larger is not to be moved as it grows.
                let room = Batch::with_room(lane.hand.len(), lane.hand.size() / 16 * 17);
                let mut batch = std::mem::replace(&mut lane.hand, room);
                lane.since = None;
                self.group.begin(&mut batch);
                if !batch.is_empty() {
                    permit.send(batch);
                }
                if lane.paused {
                    lane.paused = false;
                    self.set_paused(consumer, settings, false);
                }
            }
            // Nobody receives any more: the role is stopping.
            Some(Err(_)) => lane.hand = Batch::default(),
            None if full && !lane.paused => {
                lane.paused = true;
                self.set_paused(consumer, settings, true);
            }
            None => {}
        }
    }

    /// Hands out what was taken and waits until that is finished, within the time that a revoke may take.
    fn finish_what_is_at_hand(&self, consumer: &BaseConsumer<GroupContext>, lanes: &mut [Lane]) {
        for (place, lane) in lanes.iter_mut().enumerate() {
            self.hand_over(consumer, place, lane, Pause::Nothing);
        }
        let partitions = self.group.own_partitions().into_iter();
        let partitions: Vec<_> = partitions.map(|own| (own.topic.to_string(), own.partition, own.next)).collect();
        self.group.drain(&partitions);
    }

    fn pause_again(&self, consumer: &BaseConsumer<GroupContext>, lanes: &[Lane]) {
        for (place, lane) in lanes.iter().enumerate() {
            if lane.paused {
                self.set_paused(consumer, &self.settings.lanes[place], true);
            }
        }
    }

    fn set_paused(&self, consumer: &BaseConsumer<GroupContext>, lane: &LaneSettings, paused: bool) {
        let partitions = self.group.owned(&lane.topics);
        if paused {
            return self.pause_all(consumer, partitions);
        }
        if let Err(error) = consumer.resume(&list_of(&partitions)) {
            tracing::warn!(%error, "Kafka partitions could not be resumed");
        }
    }

    fn pause_all(&self, consumer: &BaseConsumer<GroupContext>, partitions: Vec<(Arc<str>, i32)>) {
        if let Err(error) = consumer.pause(&list_of(&partitions)) {
            tracing::warn!(%error, "Kafka partitions could not be paused");
        }
    }

    fn trouble(&self, consumer: &BaseConsumer<GroupContext>, error: &KafkaError, lanes: &mut [Lane]) -> Option<End> {
        if let KafkaError::MessageConsumptionFatal(code) = error {
            tracing::error!(%code, "the Kafka consumer met a fatal error and is made anew");
            self.group.observer().trouble(&format!("fatal error: {code}"));
            return Some(End::Fatal);
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PollExceeded) => {
                tracing::warn!("the Kafka consumer was away too long and joins its group again");
            }
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                return self.positions_lost(consumer);
            }
            // With `check.crcs` the client leaves out what it tells of here, and goes on behind it. What it gave before is good,
            // and a new one begins there.
            Some(RDKafkaErrorCode::BadMessage) => {
                let reason = "records do not match their checksum";
                tracing::error!(
                    "{reason}; they are not left out, and the Kafka consumer is made anew to read them again"
                );
                self.group.observer().trouble(reason);
                self.finish_what_is_at_hand(consumer, lanes);
                return Some(End::Fatal);
            }
            // Of trouble with the brokers the callback has told, and of topics that are missing the role knows.
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            )
            | None => tracing::debug!(%error, "Kafka consumer"),
            // With some the client stands before what it cannot read, and tries again twice a second: what was compressed cannot
            // be unpacked, the broker's disk or the permission to read is gone.
            Some(_) if consumer.context().is_news(error) => {
                tracing::warn!(%error, "the Kafka consumer met an error and tries again");
            }
            Some(_) => {}
        }
        None
    }
}

/// Lets time pass on this thread, which has nobody else to serve.
fn pass(time: Duration) {
    let _ = within(time, std::future::pending::<()>());
}

/// Lets go of a client that the brokers refuse. They take no commit of it either, and closing it waits for one: that is
/// left to a thread of its own. What is not committed is read again.
fn retire(consumer: BaseConsumer<GroupContext>) {
    consumer.context().retire();
    // Where no thread is to be had the client is closed here, at last.
    let _ = std::thread::Builder::new().name("kafka-consumer-end".to_owned()).spawn(move || drop(consumer));
}

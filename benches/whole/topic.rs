//! A topic, filled fast and read raw.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::events::Event;
use crate::ground::PARTITIONS;
use crate::services::passes;

/// So many events are kept beside the topic, to be decoded without it.
const SAMPLE: usize = 200_000;
const LONG: Duration = Duration::from_secs(120);

/// What stands on a topic.
pub struct Written {
    pub events: usize,
    pub bytes: usize,
    pub bets: usize,
    pub sample: Vec<String>,
}

/// Writes all events in large batches of lz4, as a busy platform does.
pub fn fill(brokers: &str, topic: &str, events: impl Iterator<Item = Event>) -> Written {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("compression.codec", "lz4")
        .set("enable.idempotence", "false")
        .set("acks", "1")
        .set("linger.ms", "20")
        .set("queue.buffering.max.messages", "500000")
        .create()
        .expect("a producer");
    let mut written = Written { events: 0, bytes: 0, bets: 0, sample: Vec::new() };
    for event in events {
        written.events += 1;
        written.bytes += event.payload.len();
        written.bets += usize::from(event.is_bet);
        let mut record = BaseRecord::to(topic).key(&event.key).payload(&event.payload);
        while let Err((error, again)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), "{topic} takes no record");
            producer.poll(Duration::from_millis(10));
            record = again;
        }
        if written.events.is_multiple_of(1_000) {
            producer.poll(Duration::ZERO);
        }
        if written.sample.len() < SAMPLE {
            written.sample.push(event.payload);
        }
    }
    producer.flush(LONG).expect("every event is on the topic");
    written
}

/// A consumer of all partitions from their beginning.
pub fn consumer(brokers: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&partitions).expect("an assignment");
    consumer
}

/// Hands over the payloads of so many records, the first of which is not timed. Gives the time from the first to the last.
pub fn read(
    brokers: &str,
    topic: &str,
    records: usize,
    mut each: impl FnMut(&[u8]),
    mut begun: impl FnMut(),
) -> Duration {
    let consumer = consumer(brokers, topic);
    let (mut seen, asked) = (0, Instant::now());
    let mut began = asked;
    while seen < records {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => {
                if seen == 0 {
                    began = Instant::now();
                    begun();
                }
                seen += 1;
                each(message.payload().unwrap_or_default());
            }
            Some(Err(error)) if !passes(&error) => panic!("{topic} cannot be read: {error}"),
            Some(Err(_)) | None => assert!(asked.elapsed() < LONG, "{topic} has {seen} of {records} records"),
        }
    }
    began.elapsed()
}

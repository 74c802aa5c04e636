//! Topics: made, filled and read back.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{block_on, now, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// One record as it stands on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub payload: Vec<u8>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// The payload as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("a payload in UTF-8")
    }

    /// The value of the first header of that name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(std::str::from_utf8(value).expect("a header in UTF-8"))
    }
}

fn patiently() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

/// Makes a topic with one replica and waits until its partitions have leaders.
pub fn create_topic(brokers: &str, name: &str, partitions: i32) {
    create_topic_with(brokers, name, partitions, 1);
}

/// The same with so many replicas, all of which but one must have what is acknowledged.
pub fn create_topic_with(brokers: &str, name: &str, partitions: i32, copies: i32) {
    let admin: AdminClient<_> = config(brokers).create().expect("an admin client");
    let in_sync = (copies - 1).max(1).to_string();
    // Records of tests have times of long ago, which the broker's next look at what is too old would delete.
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(copies))
        .set("min.insync.replicas", &in_sync)
        .set("retention.ms", "-1");
    let answers = block_on(admin.create_topics(&[topic], &patiently())).expect("the broker answers");
    for answer in answers {
        answer.unwrap_or_else(|(topic, code)| panic!("topic {topic} is not made: {code}"));
    }
    wait_for(PATIENCE, "the topic has its leaders", || {
        let metadata = admin.inner().fetch_metadata(Some(name), PATIENCE).map_err(|error| error.to_string())?;
        let led = metadata.topics().iter().flat_map(|topic| topic.partitions()).filter(|p| p.leader() >= 0).count();
        if i32::try_from(led) == Ok(partitions) { Ok(()) } else { Err(format!("{led} of {partitions}")) }
    });
}

/// Gives a topic more partitions, up to `partitions` in all.
pub fn add_partitions(brokers: &str, name: &str, partitions: usize) {
    let admin: AdminClient<_> = config(brokers).create().expect("an admin client");
    let answers = block_on(admin.create_partitions(&[NewPartitions::new(name, partitions)], &patiently()));
    for answer in answers.expect("the broker answers") {
        answer.unwrap_or_else(|(topic, code)| panic!("topic {topic} gets no partitions: {code}"));
    }
}

/// Deletes a topic, and waits until the brokers know nothing of it.
pub fn delete_topic(brokers: &str, name: &str) {
    let admin: AdminClient<_> = config(brokers).create().expect("an admin client");
    for answer in block_on(admin.delete_topics(&[name], &patiently())).expect("the broker answers") {
        answer.unwrap_or_else(|(topic, code)| panic!("topic {topic} is not deleted: {code}"));
    }
    wait_for(PATIENCE, "the topic is gone", || {
        let metadata = admin.inner().fetch_metadata(None, PATIENCE).map_err(|error| error.to_string())?;
        if metadata.topics().iter().any(|topic| topic.name() == name) { Err("it is there".to_owned()) } else { Ok(()) }
    });
}

/// Deletes the records of a partition that stand before an offset.
pub fn delete_records(brokers: &str, topic: &str, partition: i32, before: i64) {
    let admin: AdminClient<_> = config(brokers).create().expect("an admin client");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
    let done = block_on(admin.delete_records(&list, &patiently())).expect("the broker answers");
    done.elements().iter().for_each(|element| element.error().expect("the records are deleted"));
}

/// Writes records with these keys and payloads in their order, and waits for the acknowledgements. Gives back where
/// each stands: its partition and offset.
pub fn produce(brokers: &str, topic: &str, records: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Vec<(i32, i64)> {
    send(
        brokers,
        topic,
        records.iter().map(|(key, payload)| FutureRecord::to(topic).key(key.as_ref()).payload(payload.as_ref())),
    )
}

/// The same without keys, each to the partition that stands before it.
pub fn produce_to(brokers: &str, topic: &str, records: &[(i32, impl AsRef<[u8]>)]) -> Vec<(i32, i64)> {
    let record = |partition, payload| FutureRecord::<[u8], [u8]>::to(topic).partition(partition).payload(payload);
    send(brokers, topic, records.iter().map(|(partition, payload)| record(*partition, payload.as_ref())))
}

/// Writes each text to the first partition in a transaction of its own, which is committed or aborted.
pub fn produce_in_transactions(brokers: &str, topic: &str, texts: &[(&str, bool)]) {
    let producer: BaseProducer = config(brokers).set("transactional.id", topic).create().expect("a producer");
    producer.init_transactions(PATIENCE).expect("transactions");
    for (text, commits) in texts {
        producer.begin_transaction().expect("a transaction");
        let record: BaseRecord<'_, str, str> = BaseRecord::to(topic).payload(*text).partition(0);
        producer.send(record).unwrap_or_else(|(error, _)| panic!("{topic} takes no record: {error}"));
        producer.flush(PATIENCE).expect("the record is written");
        let ended = if *commits { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) };
        ended.expect("the transaction ends");
    }
}

fn send<'a>(
    brokers: &str,
    topic: &str,
    records: impl Iterator<Item = FutureRecord<'a, [u8], [u8]>>,
) -> Vec<(i32, i64)> {
    let producer: FutureProducer = config(brokers)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer");
    let sent: Vec<_> = records
        .map(|record| {
            producer.send_result(record).unwrap_or_else(|(error, _)| panic!("{topic} takes no record: {error}"))
        })
        .collect();
    block_on(async {
        let mut places = Vec::with_capacity(sent.len());
        for delivery in sent {
            let delivered = delivery.await.expect("the producer lives");
            let place = delivered.unwrap_or_else(|(error, _)| panic!("a record for {topic} is lost: {error}"));
            places.push((place.partition, place.offset));
        }
        places
    })
}

/// Reads everything that stands on a topic now, partition by partition. Of a transaction only what is committed counts.
pub fn read_all(brokers: &str, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = config(brokers)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "10")
        .create()
        .expect("a consumer");
    let mut ends = ends(&consumer, topic);
    let mut records = Vec::new();
    let begun = now();
    while !ends.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{topic} cannot be read to its end; left: {ends:?}");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ends.remove(&partition)),
            Some(Err(error)) if passes(&error) => {}
            Some(Err(error)) => panic!("{topic} cannot be read: {error}"),
            Some(Ok(message)) => {
                if let Some(end) = ends.get(&message.partition()).copied() {
                    if message.offset() + 1 >= end {
                        ends.remove(&message.partition());
                    }
                    if message.offset() < end {
                        records.push(record(&message));
                    }
                }
            }
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// Whether a reader only hears that connections went: the client makes others, which the reader's patience bounds.
pub fn passes(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure};
    matches!(error, KafkaError::MessageConsumption(AllBrokersDown | BrokerTransportFailure))
}

/// Assigns every partition that holds something, and gives back their end offsets.
fn ends(consumer: &BaseConsumer, topic: &str) -> HashMap<i32, i64> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
    let partitions = metadata.topics().first().expect("the answer has the topic").partitions();
    assert!(!partitions.is_empty(), "there is no topic {topic}");
    let mut ends = HashMap::new();
    // The list must not outlive this function: a consumer cannot be dropped while one exists.
    let mut assignment = TopicPartitionList::new();
    for partition in partitions.iter().map(|partition| partition.id()) {
        let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("the broker knows its offsets");
        if low < high {
            ends.insert(partition, high);
            assignment.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
        }
    }
    consumer.assign(&assignment).expect("the partitions can be assigned");
    ends
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect::<Vec<_>>()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().unwrap_or_default().to_vec(),
        headers: headers.unwrap_or_default(),
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("reconnect.backoff.max.ms", "500").set("log_level", "0");
    config
}

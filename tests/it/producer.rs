//! Records out, on a real broker, and on one that refuses whatever it is told to.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use stepup::edge::kafka::Connection;
use stepup::edge::kafka::producer::{Outgoing, Producer, Sink as _, Size};

use crate::services::{create_topic, kafka, read_all, unique};

/// A topic of one partition, and a producer of which one thing is set.
fn writing_to(topic: &str, (key, value): (&str, &str)) -> (String, Producer) {
    let topic = unique(topic);
    create_topic(kafka(), &topic, 1);
    let properties = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let connection = Connection { brokers: kafka().to_owned(), properties, ..Connection::default() };
    (topic, Producer::new(connection).unwrap())
}

/// Far fewer than the records of a call find a place in the client's queue, so nearly all of them wait for one.
#[tokio::test]
async fn records_of_one_key_keep_their_order_also_where_the_queue_is_full() {
    let (topic, producer) = writing_to("ordered", ("queue.buffering.max.messages", "7"));
    let numbers: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let record = |number: &String| Outgoing::new(&topic, Some(b"one key".to_vec()), number.clone().into_bytes());
    producer.send(&numbers.iter().map(record).collect::<Vec<_>>()).await.unwrap();
    let written: Vec<String> = read_all(kafka(), &topic).iter().map(|record| record.text().to_owned()).collect();
    assert_eq!(written, numbers);
}

#[tokio::test]
async fn what_is_too_large_goes_as_far_as_it_may_be_cut_or_is_told_by_its_place() {
    let (topic, producer) = writing_to("cut", ("message.max.bytes", "1000"));
    let of = |key: Option<usize>, payload: Option<usize>, size| {
        let (key, payload) = (key.map(|bytes| vec![b'k'; bytes]), payload.map(|bytes| vec![b'x'; bytes]));
        Outgoing { payload, size, ..Outgoing::new(&topic, key, Vec::new()) }
    };
    let may_be_cut = |key, payload| of(key, payload, Size::MayBeCut { key: 20, payload: 100 });
    let records = [
        of(None, Some(3000), Size::Fixed),
        may_be_cut(None, Some(3000)),
        may_be_cut(Some(300), Some(300)),
        of(Some(5000), None, Size::Fixed),
        may_be_cut(Some(2000), Some(50)),
        may_be_cut(Some(2001), None),
        may_be_cut(Some(2002), Some(3000)),
        may_be_cut(Some(15), Some(3000)),
    ];
    assert_eq!(producer.send(&records).await.unwrap_err().unsent, [0, 3]);
    let written = read_all(kafka(), &topic);
    let told: Vec<_> = written
        .iter()
        .map(|record| {
            let key = record.key.as_ref().map(Vec::len);
            (key, record.header("key-bytes"), record.payload.len(), record.header("payload-bytes"))
        })
        .collect();
    let want = [
        (Some(300), None, 300, None),
        (None, None, 100, Some("3000")),
        (Some(20), Some("2000"), 50, None),
        (Some(20), Some("2001"), 0, None),
        (Some(20), Some("2002"), 100, Some("3000")),
        (Some(15), None, 100, Some("3000")),
    ];
    assert_eq!(told, want);
}

/// Whatever the brokers answer to what an idempotent producer writes, the records are there in the end, the unsent of each
/// try sent again, as a role does it.
#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_the_brokers_refuse_for_good_is_made_anew_and_its_records_are_sent_again() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH as FENCED,
        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER as OUT_OF_ORDER, RD_KAFKA_RESP_ERR_PRODUCER_FENCED as REPLACED,
        RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID as UNKNOWN,
    };
    for refusal in [FENCED, OUT_OF_ORDER, REPLACED, UNKNOWN] {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("commands", 1, 1).unwrap();
        let connection = Connection { brokers: cluster.bootstrap_servers(), ..Connection::default() };
        let producer = Producer::new(connection).unwrap();
        let record = |number: u32| Outgoing::new("commands", Some(b"one".to_vec()), number.to_string().into_bytes());
        producer.send(&[record(0)]).await.unwrap();
        cluster.request_errors(RDKafkaApiKey::Produce, &[refusal; 3]);
        let mut left: Vec<Outgoing> = (1..=100).map(record).collect();
        let mut tries = 0;
        while let Err(error) = producer.send(&left).await {
            tries += 1;
            assert!(tries < 10, "{refusal:?}: {error:?}");
            left = error.unsent.iter().map(|place| left[*place].clone()).collect();
        }
        producer.send(&[record(101)]).await.unwrap();
        let written = read_all(&cluster.bootstrap_servers(), "commands");
        let numbers: BTreeSet<u32> = written.iter().map(|record| record.text().parse().unwrap()).collect();
        assert_eq!(numbers, (0..=101).collect(), "{refusal:?} after {tries} tries");
    }
}

//! Records out, on a real broker.

use std::collections::BTreeMap;

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
    let of = |bytes: usize, size| Outgoing { size, ..Outgoing::new(&topic, None, vec![b'x'; bytes]) };
    let may_be_cut = |bytes| of(bytes, Size::MayBeCut { to: 100 });
    let records = [of(3000, Size::Fixed), may_be_cut(3000), may_be_cut(300), of(5000, Size::Fixed)];
    assert_eq!(producer.send(&records).await.unwrap_err().unsent, [0, 3]);
    let written = read_all(kafka(), &topic);
    let told: Vec<_> = written.iter().map(|record| (record.payload.len(), record.header("payload-bytes"))).collect();
    assert_eq!(told, [(300, None), (100, Some("3000"))]);
}

//! Records out, on a real broker.

use std::collections::BTreeMap;

use stepup::edge::kafka::Connection;
use stepup::edge::kafka::producer::{Outgoing, Producer, Sink as _, Size};

use crate::services::{create_topic, kafka, read_all, unique};

/// Far fewer than the records of a call find a place in the client's queue, so nearly all of them wait for one.
#[tokio::test]
async fn records_of_one_key_keep_their_order_also_where_the_queue_is_full() {
    let topic = unique("ordered");
    create_topic(kafka(), &topic, 1);
    let properties = BTreeMap::from([("queue.buffering.max.messages".to_owned(), "7".to_owned())]);
    let connection = Connection { brokers: kafka().to_owned(), properties, ..Connection::default() };
    let producer = Producer::new(connection).unwrap();
    let numbers: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let record = |number: &String| Outgoing::new(&topic, Some(b"one key".to_vec()), number.clone().into_bytes());
    producer.send(&numbers.iter().map(record).collect::<Vec<_>>()).await.unwrap();
    let written: Vec<String> = read_all(kafka(), &topic).iter().map(|record| record.text().to_owned()).collect();
    assert_eq!(written, numbers);
}

#[tokio::test]
async fn what_is_too_large_goes_as_far_as_it_may_be_cut_or_is_told_by_its_place() {
    let topic = unique("cut");
    create_topic(kafka(), &topic, 1);
    let properties = BTreeMap::from([("message.max.bytes".to_owned(), "1000".to_owned())]);
    let connection = Connection { brokers: kafka().to_owned(), properties, ..Connection::default() };
    let producer = Producer::new(connection).unwrap();
    let of = |bytes: usize, size| Outgoing { size, ..Outgoing::new(&topic, None, vec![b'x'; bytes]) };
    let may_be_cut = |bytes| of(bytes, Size::MayBeCut { to: 100 });
    let records = [of(3000, Size::Fixed), may_be_cut(3000), may_be_cut(300), of(5000, Size::Fixed)];
    assert_eq!(producer.send(&records).await.unwrap_err().unsent, [0, 3]);
    let written = read_all(kafka(), &topic);
    let told: Vec<_> = written.iter().map(|record| (record.payload.len(), record.header("payload-bytes"))).collect();
    assert_eq!(told, [(300, None), (100, Some("3000"))]);
}

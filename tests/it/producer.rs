//! Records out, on a real broker.

use std::collections::BTreeMap;

use stepup::edge::kafka::Connection;
use stepup::edge::kafka::producer::{Outgoing, Producer, Sink as _};

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

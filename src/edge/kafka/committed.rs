//! How far a consumer group has come, asked from outside of it.

use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use super::{ClientError, Connection, ask};

/// The committed positions of a group in one topic. It is asked and never joined.
pub struct GroupPositions {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl GroupPositions {
    pub fn new(connection: &Connection, group: &str, topic: &str, partitions: i32) -> Result<Self, ClientError> {
        let consumer = connection
            .client(&[])?
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()
            .map_err(ClientError::Refused)?;
        Ok(Self { consumer, topic: topic.to_owned(), partitions })
    }

    /// One past the last record that the group has finished, by partition; a partition in which it has committed nothing
    /// is left out. Blocks for up to `patience`.
    pub fn committed(&self, patience: Duration) -> Result<Vec<(i32, i64)>, KafkaError> {
        let asked = (0..self.partitions).map(|partition| (self.topic.as_str(), partition));
        let answer = ask::committed(&self.consumer, asked, patience)?;
        Ok(answer.into_iter().filter_map(|(_, partition, offset)| Some((partition, offset?))).collect())
    }
}

//! A look at a Kafka cluster without joining a group.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;

use super::{ClientError, Connection};

/// Why a cluster could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the brokers do not answer")]
    NoAnswer(#[source] KafkaError),
}

/// Every topic, with the number of its partitions. Blocks for up to `patience`.
pub fn topics(connection: &Connection, patience: Duration) -> Result<BTreeMap<String, usize>, ProbeError> {
    let consumer: BaseConsumer = connection.client(&[])?.create().map_err(ClientError::Refused)?;
    let metadata = consumer.fetch_metadata(None, patience).map_err(ProbeError::NoAnswer)?;
    Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
}

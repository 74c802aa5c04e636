//! A look at a Kafka cluster without joining a group.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::heard::{Listening, NoAnswer};
use super::{ClientError, Connection};

/// Why a cluster could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// Every topic, with the number of its partitions. Blocks for up to `patience`.
pub fn topics(connection: &Connection, patience: Duration) -> Result<BTreeMap<String, usize>, ProbeError> {
    let consumer: BaseConsumer<Listening> =
        connection.client(&[])?.create_with_context(Listening::default()).map_err(ClientError::Refused)?;
    let metadata = consumer.fetch_metadata(None, patience).map_err(|source| NoAnswer::of(&consumer, source))?;
    Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
}

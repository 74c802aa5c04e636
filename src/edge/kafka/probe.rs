//! A look at a Kafka cluster without joining a group.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;

use super::heard::Listening;
use super::{ClientError, Connection};

/// The most events that are looked at for a reason.
const MOST_EVENTS: usize = 100;

/// Why a cluster could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the brokers do not answer{}", .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    NoAnswer {
        /// What the client said of them meanwhile.
        reason: Option<String>,
        source: KafkaError,
    },
}

/// Every topic, with the number of its partitions. Blocks for up to `patience`.
pub fn topics(connection: &Connection, patience: Duration) -> Result<BTreeMap<String, usize>, ProbeError> {
    let consumer: BaseConsumer<Listening> =
        connection.client(&[])?.create_with_context(Listening::default()).map_err(ClientError::Refused)?;
    let metadata = consumer.fetch_metadata(None, patience).map_err(|source| {
        // What the client has to say waits until it is polled.
        for _ in 0..MOST_EVENTS {
            let _ = consumer.poll(Duration::ZERO);
        }
        ProbeError::NoAnswer { reason: consumer.context().0.last(), source }
    })?;
    Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
}

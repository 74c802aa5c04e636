//! Records out at full speed: nobody waits for an acknowledgement, and each is reported.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use super::{ClientError, Connection};

/// Who hears what became of each record, on the producer's thread.
pub trait Deliveries: Send + Sync + 'static {
    /// All in-sync replicas have it, at this place.
    fn acknowledged(&self, partition: i32, offset: i64);
    /// It was given up.
    fn failed(&self, error: &KafkaError);
}

/// What became of a record that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    Taken,
    /// The queue is full: the brokers take less than is offered. To be offered again.
    Full,
}

/// A producer of one topic with a bounded queue.
pub struct Loader {
    producer: ThreadedProducer<Reports>,
    topic: String,
}

struct Reports(Arc<dyn Deliveries>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => self.0.acknowledged(message.partition(), message.offset()),
            Err((error, _)) => self.0.failed(error),
        }
    }
}

impl Loader {
    /// Connects, so that the first record does not wait for that; brokers that do not answer within `patience` are left
    /// to be found later. Blocks meanwhile.
    pub fn connect(
        connection: &Connection,
        topic: &str,
        patience: Duration,
        deliveries: Arc<dyn Deliveries>,
    ) -> Result<Self, ClientError> {
        let config = connection.client(&[
            ("compression.type", "lz4"),
            ("linger.ms", "1"),
            ("partitioner", "murmur2_random"),
            ("message.timeout.ms", "30000"),
            ("queue.buffering.max.messages", "100000"),
            ("queue.buffering.max.kbytes", "65536"),
            // A record that the client itself repeated would look like one that the deployment repeated.
            ("enable.idempotence", "true"),
            ("acks", "all"),
        ])?;
        let producer: ThreadedProducer<Reports> =
            config.create_with_context(Reports(deliveries)).map_err(ClientError::Refused)?;
        if let Err(error) = producer.client().fetch_metadata(Some(topic), patience) {
            tracing::warn!(%error, topic, "the brokers do not answer the producer yet");
        }
        Ok(Self { producer, topic: topic.to_owned() })
    }

    /// Queues a record without waiting. Records of one key keep their order.
    pub fn offer(&self, key: &[u8], payload: &[u8]) -> Result<Offered, KafkaError> {
        match self.producer.send(BaseRecord::to(&self.topic).key(key).payload(payload)) {
            Ok(()) => Ok(Offered::Taken),
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => Ok(Offered::Full),
            Err((error, _)) => Err(error),
        }
    }

    /// Records that are not reported yet.
    pub fn waiting(&self) -> u64 {
        u64::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }
}

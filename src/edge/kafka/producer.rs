//! Records out: idempotent, acknowledged by all in-sync replicas, and each acknowledgement awaited.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;

use super::heard::{Heard, Listening};
use super::{ClientError, Connection};
use crate::edge::files::FileStamp;
use crate::wire::dead_letter::{KEY_BYTES, PAYLOAD_BYTES};

mod client;
use client::Client;

/// A record to be written.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub topic: String,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub size: Size,
}

/// What is to be done about a record that brokers refuse for its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// It goes as it is or not at all.
    Fixed,
    /// It goes with the first bytes of its key and of its payload, so many at the most, and the length of what was cut in
    /// the headers `key-bytes` and `payload-bytes`: better a part of what cannot be processed than a partition that stands
    /// for ever.
    MayBeCut { key: usize, payload: usize },
}

impl Outgoing {
    pub fn new(topic: &str, key: Option<Vec<u8>>, payload: Vec<u8>) -> Self {
        Self { topic: topic.to_owned(), key, payload: Some(payload), headers: Vec::new(), size: Size::Fixed }
    }

    /// Bytes of its key and payload.
    pub fn bytes(&self) -> usize {
        [&self.key, &self.payload].into_iter().flatten().map(Vec::len).sum()
    }

    /// The record without the ends of its key and payload, where it may be cut and one of them is long enough for that.
    fn cut(&self) -> Option<Self> {
        let Size::MayBeCut { key, payload } = self.size else { return None };
        let mut cut = Self { size: Size::Fixed, ..self.clone() };
        for (bytes, most, header) in [(&mut cut.key, key, KEY_BYTES), (&mut cut.payload, payload, PAYLOAD_BYTES)] {
            if let Some(bytes) = bytes.as_mut().filter(|bytes| bytes.len() > most) {
                cut.headers.push((header, bytes.len().to_string().into_bytes()));
                bytes.truncate(most);
            }
        }
        (cut.headers.len() > self.headers.len()).then_some(cut)
    }
}

/// Some records were not acknowledged. They may be sent again: every record we write may be repeated.
#[derive(Debug, thiserror::Error)]
#[error("{topic}: {} of the batch were not acknowledged{}", unsent.len(), .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
pub struct SendError {
    /// The topic of the first failure.
    pub topic: String,
    /// What the client said of its brokers meanwhile.
    pub reason: Option<String>,
    pub source: KafkaError,
    /// Places in the batch.
    pub unsent: Vec<usize>,
}

/// Where records are written to.
pub trait Sink: Send + Sync {
    /// Writes the records and waits until each is acknowledged. Records of one key keep their order.
    fn send(&self, records: &[Outgoing]) -> impl Future<Output = Result<(), SendError>> + Send;
}

/// A producer that makes itself anew after a fatal error, and when a file of its properties changes.
pub struct Producer {
    connection: Connection,
    current: RwLock<Current>,
}

/// The client in use, and what its property files were when it was made.
struct Current {
    client: Arc<Client>,
    heard: Arc<Heard>,
    stamps: Vec<Option<FileStamp>>,
    looked_at: Instant,
}

/// How often the property files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long librdkafka tries to deliver a record before it gives it back.
const DELIVERY_TIMEOUT_MS: &str = "30000";

impl Producer {
    pub fn new(connection: Connection) -> Result<Self, ClientError> {
        let current = RwLock::new(Current::create(&connection)?);
        Ok(Self { connection, current })
    }

    fn current(&self) -> (Arc<Client>, Arc<Heard>) {
        self.renew_if_outdated();
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&current.client), Arc::clone(&current.heard))
    }

    /// What stands in files may have been rotated, and a client keeps what it was made with. Whoever sends with the old
    /// one meanwhile ends with it.
    fn renew_if_outdated(&self) {
        let due = |current: &Current| !current.stamps.is_empty() && current.looked_at.elapsed() >= LOOK_EVERY;
        if !due(&self.current.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.looked_at = Instant::now();
        if current.stamps != self.connection.stamps() {
            tracing::info!("files of kafka.properties_files have changed; the Kafka producer is made anew");
            self.renew(&mut current);
        }
    }

    /// An idempotent producer that met a fatal error is dead for good; a new one has a new identity.
    fn renew_if_fatal(&self, used: &Client) {
        let Some((code, reason)) = used.fatal_error() else { return };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.client.fatal_error().is_none() {
            return;
        }
        tracing::error!(%code, reason, "the Kafka producer met a fatal error and is made anew");
        self.renew(&mut current);
    }

    fn renew(&self, current: &mut Current) {
        match Current::create(&self.connection) {
            Ok(fresh) => *current = fresh,
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "no new Kafka producer"),
        }
    }
}

impl Current {
    fn create(connection: &Connection) -> Result<Self, ClientError> {
        // Taken first: a file that changes in between is then one that has changed.
        let stamps = connection.stamps();
        let heard = Arc::<Heard>::default();
        Ok(Self { client: create(connection, Arc::clone(&heard))?, heard, stamps, looked_at: Instant::now() })
    }
}

fn create(connection: &Connection, heard: Arc<Heard>) -> Result<Arc<Client>, ClientError> {
    let mut defaults = vec![
        ("compression.type", "lz4"),
        ("linger.ms", "1"),
        ("partitioner", "murmur2_random"),
        // As large as brokers may be set up to take, so that a dead letter can be what it was as an event.
        ("message.max.bytes", "10485760"),
        ("queue.buffering.max.messages", "100000"),
        ("queue.buffering.max.kbytes", "65536"),
        ("enable.idempotence", "true"),
        ("acks", "all"),
    ];
    // Two names of one setting: where both are given either may win.
    if !connection.properties.contains_key("delivery.timeout.ms") {
        defaults.push(("message.timeout.ms", DELIVERY_TIMEOUT_MS));
    }
    let config = connection.client(&defaults)?;
    Client::start(&config, Listening(heard)).map(Arc::new)
}

impl Sink for Producer {
    async fn send(&self, records: &[Outgoing]) -> Result<(), SendError> {
        if records.is_empty() {
            return Ok(());
        }
        let (client, heard) = self.current();
        let failed = write(&client, records).await;
        self.renew_if_fatal(&client);
        let unsent = failed.iter().map(|(place, _)| *place).collect();
        let Some((first, source)) = failed.into_iter().next() else {
            heard.forget();
            return Ok(());
        };
        Err(SendError { topic: records[first].topic.clone(), reason: heard.last(), source, unsent })
    }
}

/// Writes records, and those that are refused for their size once more as far as they may be cut.
async fn write(client: &Client, records: &[Outgoing]) -> Vec<(usize, KafkaError)> {
    let too_large = |error: &KafkaError| error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge);
    let (mut failed, mut places, mut cut) = (Vec::new(), Vec::new(), Vec::new());
    for (place, error) in client.write(records).await {
        match too_large(&error).then(|| records[place].cut()).flatten() {
            Some(shorter) => {
                places.push(place);
                cut.push(shorter);
            }
            None => failed.push((place, error)),
        }
    }
    if !cut.is_empty() {
        failed.extend(client.write(&cut).await.into_iter().map(|(place, error)| (places[place], error)));
        failed.sort_by_key(|(place, _)| *place);
    }
    failed
}

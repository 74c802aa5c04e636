//! A client that writes records, and the thread that hears what became of each.
//!
//! The library's own waits for each record by itself, and may change the order of records that find its queue full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::Outgoing;
use crate::edge::kafka::ClientError;
use crate::edge::kafka::heard::Listening;

/// How long the thread waits for something to hear, and so how long a client takes to end. The client waits whole
/// milliseconds and spends the rest of a fraction spinning: so there is hardly any rest.
const LISTEN: Duration = Duration::from_micros(100_020);
/// How long a record waits for a place in a queue that is full.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it tries.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// Who waits for a record: whoever wrote it with others hears its place among them if it failed. An acknowledged one is
/// just let go of.
pub(in super::super) struct Waiting {
    place: usize,
    failures: UnboundedSender<(usize, KafkaError)>,
}

impl ProducerContext for Listening {
    type DeliveryOpaque = Box<Waiting>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        if let Err((error, _)) = result {
            // Nobody may wait for it any more.
            let _ = waiting.failures.send((waiting.place, error.clone()));
        }
    }
}

/// A client of librdkafka's; it ends with this value, once what is under way in the thread has come to its end.
pub(super) struct Client {
    producer: Arc<BaseProducer<Listening>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    pub(super) fn start(config: &ClientConfig, listening: Listening) -> Result<Self, ClientError> {
        let producer: BaseProducer<Listening> = config.create_with_context(listening).map_err(ClientError::Refused)?;
        let (producer, stop) = (Arc::new(producer), Arc::<AtomicBool>::default());
        let (listened, stopped) = (Arc::clone(&producer), Arc::clone(&stop));
        let listen = move || {
            while !stopped.load(Ordering::Acquire) {
                listened.poll(LISTEN);
            }
        };
        let thread = std::thread::Builder::new().name("kafka-producer".to_owned()).spawn(listen);
        Ok(Self { producer, stop, thread: Some(thread.map_err(ClientError::Thread)?) })
    }

    /// Writes records in their order, and waits until each is acknowledged or has failed. Gives back the places of those
    /// that failed, and why, in their order.
    pub(super) async fn write(&self, records: &[Outgoing]) -> Vec<(usize, KafkaError)> {
        let (failures, mut failed) = unbounded_channel();
        for (place, record) in records.iter().enumerate() {
            let waiting = Box::new(Waiting { place, failures: failures.clone() });
            if let Err(error) = self.queue(record, waiting).await {
                let _ = failures.send((place, error));
            }
        }
        drop(failures);
        let mut all = Vec::new();
        while let Some(failure) = failed.recv().await {
            all.push(failure);
        }
        all.sort_by_key(|(place, _)| *place);
        all
    }

    async fn queue(&self, record: &Outgoing, waiting: Box<Waiting>) -> Result<(), KafkaError> {
        let mut base: BaseRecord<'_, [u8], [u8], Box<Waiting>> =
            BaseRecord::with_opaque_to(record.topic.as_str(), waiting);
        base.key = record.key.as_deref();
        base.payload = record.payload.as_deref();
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            let with = |headers: OwnedHeaders, (key, value): &(&str, Vec<u8>)| {
                headers.insert(Header { key, value: Some(value.as_slice()) })
            };
            base.headers = Some(record.headers.iter().fold(headers, with));
        }
        let begun = Instant::now();
        loop {
            match self.producer.send(base) {
                Ok(()) => return Ok(()),
                Err((error, again)) if is_full(&error) && begun.elapsed() < PATIENCE => base = again,
                Err((error, _)) => return Err(error),
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    /// What has made this client useless for good, if anything has.
    pub(super) fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.producer.client().fatal_error()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // What a thread that panicked had to say has been said.
            let _ = thread.join();
        }
    }
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn those_that_failed_are_told_in_their_order_also_where_the_queue_was_full() {
        // It takes connections and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", silent.local_addr().unwrap().to_string());
        config.set("message.timeout.ms", "50").set("queue.buffering.max.messages", "1");
        let client = Client::start(&config, Listening::default()).unwrap();
        let record = |number: u8| Outgoing::new("topic", Some(vec![1]), vec![number]);
        let failed = client.write(&[record(1), record(2), record(3)]).await;
        let timed_out = |place: usize| (place, Some(RDKafkaErrorCode::MessageTimedOut));
        let told: Vec<_> = failed.iter().map(|(place, error)| (*place, error.rdkafka_error_code())).collect();
        assert_eq!(told, [timed_out(0), timed_out(1), timed_out(2)]);
    }

    #[tokio::test]
    async fn a_record_that_cannot_even_be_queued_has_failed() {
        let client = Client::start(&ClientConfig::new(), Listening::default()).unwrap();
        let failed = client.write(&[Outgoing::new("a\0topic", None, Vec::new())]).await;
        assert!(matches!(failed[..], [(0, KafkaError::Nul(_))]), "{failed:?}");
    }
}

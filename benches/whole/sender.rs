//! An open loop of events: what is due is sent, whether or not what went before came through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use stepup::domain::time::Timestamp;

use crate::events::bet;
use crate::services::block_on;

/// One event in so many asks for a command.
pub const COMMAND_EVERY: u64 = 10;

/// The name of an event that asks, before its number.
const ASKS: &str = "asks-";

/// Everybody else who bets. They are so many that hardly one of them reaches the bound.
const BETTORS: u64 = 1_000_000;

/// When the events that ask were appended and acknowledged.
pub struct Acknowledged {
    began: Instant,
    events: u64,
    /// Microseconds since 1970, and since `began`; 0 for not yet.
    append: Vec<AtomicU64>,
    heard: Vec<AtomicU64>,
}

impl Acknowledged {
    pub fn new(events: u64) -> Self {
        let none = || (0..events / COMMAND_EVERY).map(|_| AtomicU64::new(0)).collect();
        Self { began: Instant::now(), events, append: none(), heard: none() }
    }

    /// How many events ask for a command.
    pub fn wanted(&self) -> u64 {
        self.append.len() as u64
    }

    /// When an event was appended, in microseconds since 1970, and how many microseconds before `now` the sender heard of
    /// that.
    pub fn of(&self, number: u64, now: Instant) -> (u64, u64) {
        let number = usize::try_from(number).expect("a number of ours");
        let now = micros(now - self.began);
        let heard = loop {
            match self.heard[number].load(Ordering::Acquire) {
                // The answer is on its way to another thread.
                0 => std::thread::yield_now(),
                heard => break heard,
            }
        };
        (self.append[number].load(Ordering::Acquire), now.saturating_sub(heard))
    }
}

pub struct Sent {
    /// Events a second.
    pub rate: f64,
    pub commands: u64,
}

/// Hears of acknowledgements.
struct Hearing(Arc<Acknowledged>);

impl ClientContext for Hearing {}

impl ProducerContext for Hearing {
    /// The number of an event that asks, or nothing.
    type DeliveryOpaque = Box<Option<u64>>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, asks: Self::DeliveryOpaque) {
        let message = delivered.as_ref().unwrap_or_else(|(error, _)| panic!("an event is lost: {error}"));
        let Some(number) = asks.map(|number| usize::try_from(number).expect("a number of ours")) else { return };
        let append = message.timestamp().to_millis().and_then(|millis| u64::try_from(millis).ok()).unwrap_or(0);
        self.0.append[number].store(append * 1_000, Ordering::Release);
        self.0.heard[number].store(micros(self.0.began.elapsed()).max(1), Ordering::Release);
    }
}

/// Sends everything when it is due, and waits for the last acknowledgement.
pub fn send(brokers: &str, topic: &str, rate: u64, acknowledged: &Arc<Acknowledged>) -> Sent {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("compression.codec", "lz4").set("acks", "all").set("linger.ms", "5");
    config.set("queue.buffering.max.messages", "1000000");
    let producer: ThreadedProducer<Hearing> =
        config.create_with_context(Hearing(Arc::clone(acknowledged))).expect("a producer");
    let (began, mut number) = (Instant::now(), 0);
    while number < acknowledged.events {
        let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        let at = stepup::edge::clock::now();
        for number in number..due.min(acknowledged.events) {
            let (key, payload, asks) = event(number, at);
            let record = BaseRecord::with_opaque_to(topic, Box::new(asks)).key(&key).payload(&payload);
            producer.send(record).unwrap_or_else(|(error, _)| panic!("{topic} takes no event: {error}"));
        }
        number = due.min(acknowledged.events).max(number);
        std::thread::sleep(Duration::from_micros(500));
    }
    let rate = number as f64 / began.elapsed().as_secs_f64();
    producer.flush(Duration::from_secs(60)).expect("every event is on the topic");
    Sent { rate, commands: acknowledged.wanted() }
}

/// The key and payload of an event, and its number among those that ask.
fn event(number: u64, at: Timestamp) -> (String, String, Option<u64>) {
    if number.is_multiple_of(COMMAND_EVERY) {
        let asks = number / COMMAND_EVERY;
        let payload = format!(
            r#"{{"id":"{ASKS}{asks}","tenant_id":"tenant-0","customer_id":"changer-{asks}","type":"password_change","occurred_at":"{at}","device":{{"id":"device-{asks:08}","country":"GB"}}}}"#
        );
        return (format!("tenant-0/changer-{asks}"), payload, Some(asks));
    }
    let customer = u32::try_from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % BETTORS).expect("a bettor");
    let bet = bet(number, 0, customer, at);
    (bet.key, bet.payload, None)
}

/// The number of the event that a command was made from.
pub fn number_of(command: &[u8]) -> Option<u64> {
    let command: serde_json::Value = serde_json::from_slice(command).expect("a command");
    command["cause"]["event_id"].as_str()?.strip_prefix(ASKS)?.parse().ok()
}

/// Makes the broker write into a topic's records when it appended them.
pub fn keep_append_time(brokers: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("an admin client");
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("message.timestamp.type", "LogAppendTime");
    let answers = block_on(admin.alter_configs([&change], &AdminOptions::new())).expect("the broker answers");
    for answer in answers {
        answer.unwrap_or_else(|(_, code)| panic!("{topic} cannot be changed: {code}"));
    }
}

/// Microseconds since 1970.
pub fn wall_micros() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970"))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("no age of the world")
}

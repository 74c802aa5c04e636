//! Commands, written straight to their topic at a fixed rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use stepup::domain::command::{Cause, Command, Reference};
use stepup::domain::decide::Facts;
use stepup::domain::ids::{CommandId, CustomerId, EventId, Source, TenantId};
use stepup::domain::trigger::{ActivityType, Trigger};
use stepup::edge::clock;
use stepup::wire::command::{encode, key};

use super::timeline::{Stamp, Timeline, now};

const CUSTOMERS: usize = 50_000;
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// So many commands a second for so long. Every plan has ids of its own.
pub struct Plan {
    pub rate: usize,
    pub seconds: usize,
    /// How long the service takes.
    pub own_ms: u64,
    tenants: usize,
    /// Every so many commands are one of the first tenant's, where one tenant is loud.
    loud_every: Option<usize>,
    number: usize,
}

impl Plan {
    pub fn of(tenants: usize, rate: usize, own_ms: u64, seconds: usize) -> Self {
        static PLANS: AtomicUsize = AtomicUsize::new(0);
        let number = PLANS.fetch_add(1, Ordering::Relaxed);
        Self { rate, seconds, own_ms, tenants, loud_every: None, number }
    }

    /// The others together send `rate`, and the first tenant `loud`.
    pub fn with_a_loud_one(tenants: usize, rate: usize, loud: usize, seconds: usize) -> Self {
        Self { loud_every: Some(rate / loud + 1), ..Self::of(tenants, rate + loud, 0, seconds) }
    }

    pub fn len(&self) -> usize {
        self.rate * self.seconds
    }

    /// Whether a command is not the loud tenant's.
    pub fn is_another(&self, place: usize) -> bool {
        self.loud_every.is_none_or(|every| !place.is_multiple_of(every))
    }

    fn tenant(&self, place: usize) -> TenantId {
        let number = match self.loud_every {
            None => place % self.tenants,
            Some(_) if !self.is_another(place) => 0,
            Some(_) => 1 + place % (self.tenants - 1),
        };
        TenantId::new(&format!("tenant-{number}")).expect("a tenant")
    }

    fn event(&self, place: usize) -> EventId {
        EventId::new(&format!("event-{}-{place}", self.number)).expect("an event")
    }

    fn id(&self, place: usize) -> CommandId {
        CommandId::of(&self.tenant(place), Trigger::PasswordChange, &self.event(place))
    }

    pub fn ids(&self) -> impl Iterator<Item = String> {
        (0..self.len()).map(|place| self.id(place).to_string())
    }

    fn command(&self, place: usize) -> Command {
        let at = clock::now();
        Command {
            id: self.id(place),
            tenant: self.tenant(place),
            customer: CustomerId::new(&format!("customer-{}", place % CUSTOMERS)).expect("a customer"),
            trigger: Trigger::PasswordChange,
            reference: Reference::CommandId,
            facts: Facts::Plain,
            cause: Cause {
                event: self.event(place),
                kind: ActivityType::from_name("password_change").expect("a type"),
                occurred_at: at,
                source: Source { topic: "activity".into(), partition: 3, offset: place as i64 },
            },
            preferences_updated_at: Some("2026-03-01T12:00:00Z".to_owned()),
            redrive_of: None,
            issued_at: at,
            expires_at: at.plus(TEN_MINUTES),
        }
    }
}

/// Writes commands, and takes note of each acknowledgement.
pub struct Load {
    topic: String,
    producer: ThreadedProducer<Acknowledged>,
}

struct Acknowledged(Arc<Timeline>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = usize;

    fn delivery(&self, delivered: &DeliveryResult<'_>, place: usize) {
        assert!(delivered.is_ok(), "a command was not written");
        self.0.stamp_place(place, Stamp::Acknowledged, now());
    }
}

impl Load {
    pub fn new(brokers: &str, topic: &str, timeline: Arc<Timeline>) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", "1000000")
            .create_with_context(Acknowledged(timeline))
            .expect("a producer");
        Self { topic: topic.to_owned(), producer }
    }

    /// Writes a plan at its rate, whatever becomes of the commands. `first` is the place of its first in the timeline.
    pub fn write(&self, plan: &Plan, first: usize) {
        let began = Instant::now();
        for place in 0..plan.len() {
            let due = Duration::from_secs_f64(place as f64 / plan.rate as f64);
            if let Some(wait) = due.checked_sub(began.elapsed()) {
                std::thread::sleep(wait);
            }
            self.send(plan, place, first);
        }
        self.producer.flush(Duration::from_secs(60)).expect("acknowledgements");
    }

    /// Writes a plan as fast as it can.
    pub fn write_all(&self, plan: &Plan) {
        for place in 0..plan.len() {
            self.send(plan, place, 0);
        }
        self.producer.flush(Duration::from_secs(60)).expect("acknowledgements");
    }

    fn send(&self, plan: &Plan, place: usize, first: usize) {
        let command = plan.command(place);
        let (key, payload) = (key(&command.tenant, &command.customer), encode(&command));
        let record = BaseRecord::with_opaque_to(&self.topic, first + place).key(&key).payload(&payload);
        self.producer.send(record).map_err(|(error, _)| error).expect("room for a command");
    }
}

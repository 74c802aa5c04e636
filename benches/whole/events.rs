//! The events that fill a topic.

use std::collections::VecDeque;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use stepup::domain::time::Timestamp;
use stepup::edge::clock;
use stepup::roles::synthetic::{Cast, Synthetic};

/// How often a customer bets in the time of the events: half as often as their tenants allow.
const BETWEEN_BETS: Duration = Duration::from_secs(60);

/// So many of the events stand on the topic a second time, under the same id.
const REPEATED: f64 = 0.005;

/// A repeat is of one of so many events before it.
const RECENT: usize = 16;

#[derive(Debug, Clone)]
pub struct Event {
    pub key: String,
    pub payload: String,
    pub is_bet: bool,
}

/// Bets without an end, of customers who are equally busy.
pub struct Bets {
    tenants: u32,
    customers: u32,
    chance: ChaCha8Rng,
    /// When the first one happened; it counts from 1970 in microseconds.
    began: i64,
    between: i64,
    number: u64,
    recent: VecDeque<Event>,
}

impl Bets {
    /// So many that the last one has just happened, and as far apart as so many customers bet.
    pub fn until_now(tenants: u32, customers: u32, events: usize) -> impl Iterator<Item = Event> {
        Self::since(tenants, customers, began(customers, events)).take(events)
    }

    /// The same from a time on, without an end.
    pub fn since(tenants: u32, customers: u32, began: Timestamp) -> Self {
        let (chance, recent) = (ChaCha8Rng::seed_from_u64(1), VecDeque::with_capacity(RECENT));
        Self { tenants, customers, chance, began: began.0 * 1_000, between: between(customers), number: 0, recent }
    }

    fn write(&mut self) -> Event {
        let number = self.number;
        self.number += 1;
        let at = Timestamp((self.began + self.between * i64::try_from(number).expect("fewer events")) / 1_000);
        let customer = self.chance.random_range(0..self.customers);
        bet(number, customer % self.tenants, customer, at)
    }
}

/// When so many events of so many customers began, so that the last one has just happened.
pub fn began(customers: u32, events: usize) -> Timestamp {
    Timestamp(clock::now().0 - 1_000 - between(customers) * i64::try_from(events).expect("fewer events") / 1_000)
}

/// Microseconds between two bets of all customers.
fn between(customers: u32) -> i64 {
    i64::try_from(BETWEEN_BETS.as_micros()).expect("a minute") / i64::from(customers)
}

/// One bet, of a small stake.
pub fn bet(number: u64, tenant: u32, customer: u32, at: Timestamp) -> Event {
    let (whole, cents) = (1 + number % 50, number * 7 % 100);
    let payload = format!(
        r#"{{"id":"bet-{number:012}","tenant_id":"tenant-{tenant}","customer_id":"customer-{customer:08}","type":"bet","occurred_at":"{at}","amount":"{whole}.{cents:02}","currency":"USD","transaction_id":"txn-{number:012}","device":{{"id":"device-{customer:08}","country":"GB"}}}}"#
    );
    Event { key: format!("tenant-{tenant}/customer-{customer:08}"), payload, is_bet: true }
}

impl Iterator for Bets {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.recent.len() == RECENT && self.chance.random_bool(REPEATED) {
            let place = self.chance.random_range(0..RECENT);
            return Some(self.recent[place].clone());
        }
        let event = self.write();
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(event.clone());
        Some(event)
    }
}

/// What customers do on an ordinary day, some far busier than others.
pub struct Mix {
    customers: Synthetic,
    left: usize,
}

impl Mix {
    pub fn new(events: usize) -> Self {
        let cast = Cast { tenants: 2, customers_per_tenant: 50_000, burst_share: 0.002, seed: 1, ..Cast::default() };
        Self { customers: Synthetic::new(cast, "bench").expect("a cast"), left: events }
    }
}

impl Iterator for Mix {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.left = self.left.checked_sub(1)?;
        let deed = self.customers.next(clock::now());
        let is_bet = deed.payload.contains(r#""type":"bet""#);
        Some(Event { key: deed.key, payload: deed.payload, is_bet })
    }
}

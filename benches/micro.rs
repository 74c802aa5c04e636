//! The parts of the hot path one by one: decode, judge, decide, encode; nanoseconds and allocations for one of each.
//!
//! `cargo bench --bench micro` takes some fifteen seconds, `-- --quick` two; a word more, like `-- walk`, picks by name. The
//! counting of allocations adds about a nanosecond to each of them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark is no library"
)]
#![allow(clippy::disallowed_methods, reason = "it measures the real clock, and is told by its arguments")]
#![allow(unreachable_pub, reason = "the stop-watch is a module of a binary")]

mod harness;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use harness::Plan;
use stepup::domain::claim::ClaimAnswer;
use stepup::domain::command::{Command, ReferenceChoice, Terms};
use stepup::domain::decide::{AgeLimit, Decision, Facts, Freshness, Known, Mode, Verdict, conclude, judge};
use stepup::domain::event::Event;
use stepup::domain::ids::Source;
use stepup::domain::money::Rates;
use stepup::domain::outcome::{Ending, Outcome, Session};
use stepup::domain::preferences::Preferences;
use stepup::domain::time::Timestamp;
use stepup::domain::trigger::Trigger;
use stepup::domain::window::{self, Bet, Reach, Timeliness, Window, WindowRule};
use stepup::edge::memory::store::MemoryStore;
use stepup::edge::windows::Compaction;
use stepup::edge::{Scope, Scoped as _};
use stepup::roles::offline::Rules;
use stepup::roles::walk::{self, Arrival, Ledgers};
use stepup::wire::event::Decoded;
use stepup::wire::window::{arrival, bet_id_of, customer_key_of};
use stepup::wire::{command, event, event_plain, outcome, preferences};

const EVENT: &str = r#"{"id":"0198f6a2-7c1e-7a10-9d2b-4f6e8c0a1b2d","tenant_id":"tenant-0","customer_id":"customer-48213","type":"bet","occurred_at":"2026-03-01T12:00:00.250Z","amount":"25.50","transaction_id":"tx-5512093","device":{"id":"d-1f","country":"DE"},"attributes":{"game":"roulette","round":88213}}"#;
const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":10,"window_minutes":5},
    "large_bet_placement":{"enabled":true,"threshold":500},"withdrawal":{"enabled":true,"threshold":2000},
    "password_change":true,"new_device_or_location":true}}"#;
const NOW: Timestamp = Timestamp(1_772_366_400_250);

fn main() {
    let plan = Plan::from_args();
    decoding(&plan);
    hashing(&plan);
    judging(&plan);
    deciding(&plan);
    encoding(&plan);
    walking(&plan);
}

fn rates() -> Rates {
    let mut rates = Rates::default();
    rates.set("EUR", "1.08".parse().unwrap()).unwrap();
    rates
}

fn decoding(plan: &Plan) {
    let rates = rates();
    let with = |old: &str, new: &str| {
        assert!(EVENT.contains(old));
        EVENT.replace(old, new)
    };
    let events = [
        ("plain", EVENT.to_owned()),
        ("with escapes", with("customer-48213", r#"J\u00f6rg \"Joe\" \u00c4"#)),
        ("with a currency", with(r#""25.50""#, r#""25.50","currency":"EUR""#)),
        ("with white space", with(",", ", ").replace("\":", "\": ")),
    ];
    for (name, text) in &events {
        let read = || event::decode(Some(text.as_bytes()), &rates);
        assert!(matches!(read(), Decoded::Event(_)), "{text}");
        plan.time(&format!("decode an event, {name}"), read);
    }
    for (name, text) in &events {
        let read = || event_plain::read(text.as_bytes(), &rates);
        let name = if read().is_some() { (*name).to_owned() } else { format!("{name}: gives up") };
        plan.time(&format!("read a line's event, {name}"), read);
    }
}

fn hashing(plan: &Plan) {
    let source = source();
    plan.time("hash a customer", || customer_key_of("tenant-0", "customer-48213"));
    plan.time("hash an event id", || bet_id_of("0198f6a2-7c1e-7a10-9d2b-4f6e8c0a1b2d"));
    plan.time("hash a place in the input", || arrival(&source));
}

fn source() -> Source {
    Source { topic: "activity".into(), partition: 3, offset: 1_234_567 }
}

/// Bets of one customer, a second apart, all of them within the window.
fn log(bets: u32) -> Vec<Bet> {
    let id = |n: u32| bet_id_of(&format!("bet-{n}"));
    (0..bets).map(|n| Bet { at: Timestamp(NOW.0 + i64::from(n) * 1_000), id: id(n), arrival: n }).collect()
}

fn judging(plan: &Plan) {
    let bound = preferences().frequency().unwrap();
    let rule = WindowRule::new(bound, Duration::from_secs(86_400), Duration::from_secs(300), 256);
    for bets in [5, 50, 256] {
        let log = log(bets);
        let asked = [*log.last().unwrap()];
        plan.time(&format!("judge a bet by a log of {bets}"), || window::judge(&log, &asked, &rule));
    }
    let mut window = Window::default();
    let mut n = 0;
    plan.time("take a bet into a window of 60", || {
        n += 1;
        // One in ten seconds: the window and its lateness together keep ten minutes.
        window.take(Bet { at: Timestamp(i64::from(n) * 10_000), id: u64::from(n) << 20, arrival: n }, &rule)
    });
    for bets in [1, 50] {
        let log = log(bets);
        let mut bytes = Vec::new();
        let mut encode = || {
            bytes.clear();
            log.iter().for_each(|bet| stepup::wire::window::encode(bet, &mut bytes));
        };
        encode();
        plan.time(&format!("encode {bets} of a window's records"), encode);
        assert_eq!(bytes.len(), log.len() * stepup::wire::window::BET_BYTES);
        plan.time(&format!("decode {bets} of a window's records"), || {
            stepup::wire::window::decode_log(&bytes).map(Iterator::collect::<Vec<_>>)
        });
    }
}

fn preferences() -> Preferences {
    preferences::decode(PREFERENCES.as_bytes()).unwrap()
}

fn event() -> Event {
    match event::decode(Some(EVENT.as_bytes()), &rates()) {
        Decoded::Event(event) => event,
        Decoded::UnknownType { .. } | Decoded::Rejected { .. } => panic!("it is an event"),
    }
}

fn reach(count: u32) -> Reach {
    Reach { count, within_minutes: 5, needed: 10, timeliness: Timeliness::InTime }
}

fn deciding(plan: &Plan) {
    let (event, preferences) = (event(), preferences());
    let decide = |reach: Reach| -> Vec<Decision> {
        let decide = |trigger: &Trigger| match judge(&event, *trigger, Known::Preferences(&preferences), Some(reach)) {
            Verdict::Decided(decision) => decision,
            Verdict::Candidate(facts) => {
                let freshness = Freshness::of(&event, NOW, Some(Duration::from_secs(900)));
                conclude(facts, freshness, Some(ClaimAnswer::Free), Duration::from_secs(600), Mode::Live)
            }
        };
        event.activity.kind().tests().iter().map(decide).collect()
    };
    plan.time("decide a bet: nothing follows", || decide(reach(2)));
    plan.time("decide a bet: it is required", || decide(reach(12)));
}

fn a_command() -> Command {
    let terms = Terms { issued_at: NOW, max_age: Duration::from_secs(600), reference: ReferenceChoice::CommandId };
    let version = Some("2026-02-01T08:30:00Z".to_owned());
    Command::new(&event(), Trigger::HighFrequencyBetting, Facts::Frequency(reach(12)), source(), version, terms)
}

fn encoding(plan: &Plan) {
    let (event, source) = (event(), source());
    let terms = Terms { issued_at: NOW, max_age: Duration::from_secs(600), reference: ReferenceChoice::CommandId };
    let facts = Facts::Frequency(reach(12));
    plan.time("make a command", || {
        Command::new(&event, Trigger::HighFrequencyBetting, facts, source.clone(), None, terms)
    });
    let a_command = a_command();
    let bytes = command::encode(&a_command);
    plan.time("encode a command", || command::encode(&a_command));
    plan.time("decode a command", || command::decode(&bytes));
    let session = Session {
        token: "a token ".repeat(12),
        token_expires_at: NOW,
        links: vec![("web".into(), "https://verify.example/s/0198f6a27c1e".into())],
    };
    let reference = a_command.base_reference();
    let an_outcome = Outcome::new(&a_command, reference, Ending::SessionCreated(session), 1, NOW);
    let bytes = outcome::encode(&an_outcome);
    plan.time("encode an outcome", || outcome::encode(&an_outcome));
    plan.time("decode an outcome", || outcome::decode(&bytes));
}

const BATCH: usize = 512;
const CUSTOMERS: u64 = 2_000;

/// A processor without its Kafka: bets of many customers go in, in batches of the usual size, half a minute apart.
struct Processor {
    store: MemoryStore,
    rules: Rules,
    rates: Rates,
    preferences: Arc<Preferences>,
    compactions: Vec<Compaction>,
    chance: u64,
    batches: i64,
}

impl Processor {
    /// One that has seen enough for its windows to hold what they hold from then on.
    fn warm() -> Self {
        let mut warm = Self {
            store: MemoryStore::new(),
            rules: Rules::read(None).unwrap(),
            rates: rates(),
            preferences: Arc::new(preferences()),
            compactions: Vec::new(),
            chance: 1,
            batches: 0,
        };
        for _ in 0..60 {
            let payloads = warm.payloads();
            let arrivals = warm.decode(&payloads);
            let windowed = warm.record(&arrivals);
            assert!(windowed.reaches.iter().all(Option::is_some));
            warm.decide(&arrivals, &windowed);
        }
        warm
    }

    fn chance(&mut self, below: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % below
    }

    fn now(&self) -> Timestamp {
        Timestamp(NOW.0 + self.batches * 30_000)
    }

    fn payloads(&mut self) -> Vec<String> {
        self.batches += 1;
        let at = self.now().to_string();
        let payload = |number| {
            let (id, customer) = (format!("b-{}-{number}", self.batches), self.chance(CUSTOMERS));
            let event = EVENT.replace("0198f6a2-7c1e-7a10-9d2b-4f6e8c0a1b2d", &id);
            event.replace("48213", &customer.to_string()).replace("2026-03-01T12:00:00.250Z", &at)
        };
        (0..BATCH).map(payload).collect()
    }

    fn decode(&self, payloads: &[String]) -> Vec<Arrival> {
        let source = source();
        let arrivals = payloads.iter().enumerate().filter_map(|(place, payload)| {
            let Decoded::Event(event) = event::decode(Some(payload.as_bytes()), &self.rates) else { return None };
            let offset = self.batches * BATCH as i64 + place as i64;
            let place = arrival(&Source { offset, ..source.clone() });
            let preferences = Some(Arc::clone(&self.preferences));
            Some(Arrival { event, place, preferences, age_limit: AgeLimit::Kept })
        });
        arrivals.collect()
    }

    fn record(&mut self, arrivals: &[Arrival]) -> walk::Windowed {
        let (windows, outlive) = (&self.rules.windows, Duration::from_secs(900));
        let due = std::mem::take(&mut self.compactions);
        let mut windowed = block_on(walk::record(&self.store, arrivals, due, windows, outlive)).unwrap();
        self.compactions = std::mem::take(&mut windowed.compactions);
        windowed
    }

    fn decide(&self, arrivals: &[Arrival], windowed: &walk::Windowed) -> walk::Decisions {
        let ledgers = Ledgers { live: self.store.clone(), shadow: self.store.scoped(Scope::Shadow) };
        let (settings, outlive) = (&self.rules.evaluate, Duration::from_secs(900));
        let unsent = walk::Unsent::of([]);
        let under = walk::Conditions { settings, now: Some(self.now()), outlive, unsent: &unsent };
        block_on(walk::decide(&ledgers, arrivals, windowed, under, walk::Wanted::Candidates)).unwrap()
    }
}

fn walking(plan: &Plan) {
    let processor = RefCell::new(Processor::warm());
    let payloads = || processor.borrow_mut().payloads();
    let arrivals = || {
        let payloads = payloads();
        processor.borrow().decode(&payloads)
    };
    let recorded = || {
        let arrivals = arrivals();
        let windowed = processor.borrow_mut().record(&arrivals);
        (arrivals, windowed)
    };
    plan.time_batches("walk with 512 bets: decode one", BATCH, payloads, |texts| processor.borrow().decode(&texts));
    // What was looked at is dropped outside of the measured time.
    plan.time_batches("walk with 512 bets: record one", BATCH, arrivals, |arrivals| {
        (processor.borrow_mut().record(&arrivals), arrivals)
    });
    plan.time_batches("walk with 512 bets: decide one", BATCH, recorded, |(arrivals, windowed)| {
        (processor.borrow().decide(&arrivals, &windowed), arrivals, windowed)
    });
    plan.time_batches("walk with 512 bets: all for one", BATCH, payloads, |payloads| {
        let arrivals = processor.borrow().decode(&payloads);
        let windowed = processor.borrow_mut().record(&arrivals);
        processor.borrow().decide(&arrivals, &windowed)
    });
}

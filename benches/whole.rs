//! The whole of evaluate and dispatch on a real Kafka and a real Redis, next to the limits of the same run.
//!
//! `cargo bench --bench whole` prints events a second and CPU seconds per million events. `STEPUP_BENCH_EVENTS` sets how many
//! events (300,000). It needs Kafka's jars in `STEPUP_KAFKA_LIBS` and redis-server, as `./test` fetches them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark is no library"
)]
#![allow(clippy::disallowed_methods, reason = "it measures the real clock, and is told by its environment")]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "it uses a part of what the tests do")]

#[path = "../tests/it/services/mod.rs"]
mod services;
#[path = "../tests/it/stack.rs"]
mod stack;

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use services::{RedisServer, wait_for};
use stack::{Processor, Stack};
use stepup::domain::money::Rates;
use stepup::edge::clock;
use stepup::roles::synthetic::{Cast, Synthetic};
use stepup::wire::event::{Decoded, decode};

const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":10,"window_minutes":5},
    "large_bet_placement":{"enabled":true,"threshold":500},"withdrawal":{"enabled":true,"threshold":2000},
    "password_change":true,"new_device_or_location":true}}"#;
const PARTITIONS: i32 = 8;
const LONG: Duration = Duration::from_secs(600);

fn main() {
    let events: usize = std::env::var("STEPUP_BENCH_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(300_000);
    let redis = RedisServer::start();
    let stack = Stack::on(
        "bench",
        PARTITIONS,
        &[("tenant-0", PREFERENCES), ("tenant-1", PREFERENCES)],
        services::kafka(),
        &redis.url(),
    );
    let deeds = deeds(events);
    for part in deeds.chunks(50_000) {
        stack.produce(part);
    }
    println!("{events} events of {} bytes on the average, {PARTITIONS} partitions", size(&deeds));

    let consume = rate("librdkafka reads and drops", events, || consume(&stack, events));
    let decoded = rate("decoding alone", events, || decode_all(&deeds));
    let mut connection = redis.connect();
    let before = redis_cpu(&mut connection);
    let evaluate = stack.run("evaluate");
    let (took, cpu) = measure(&evaluate, "stepup_events_total", events);
    let redis_took = redis_cpu(&mut connection) - before;
    let commands = evaluate.metric("stepup_commands_total", &[]);
    show("evaluate", events, took, cpu);
    println!("{:<28} {:>10.2} CPU s per million events", "  and Redis", per_million(redis_took, events));
    println!("{:<28} {commands:>10} commands", "");
    let limit = 1.0 / (1.0 / consume + 1.0 / decoded);
    println!("{:<28} {:>9.0} % of reading and decoding on one core", "", 100.0 * events as f64 / took / limit);
    drop(evaluate);

    let commands = commands as usize;
    let dispatch = stack.run("dispatch");
    let (took, cpu) = measure(&dispatch, "stepup_outcomes_total", commands);
    show("dispatch, with the simulator", commands, took, cpu);
}

fn deeds(events: usize) -> Vec<(String, String)> {
    let cast = Cast { tenants: 2, customers_per_tenant: 50_000, burst_share: 0.002, seed: 1, ..Cast::default() };
    let mut customers = Synthetic::new(cast, "bench").expect("a cast");
    let now = clock::now();
    (0..events).map(|_| customers.next(now)).map(|deed| (deed.key, deed.payload)).collect()
}

fn size(deeds: &[(String, String)]) -> usize {
    deeds.iter().map(|(_, payload)| payload.len()).sum::<usize>() / deeds.len()
}

fn rate(what: &str, events: usize, work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    let rate = events as f64 / began.elapsed().as_secs_f64();
    println!("{what:<28} {rate:>10.0} events/s");
    rate
}

fn consume(stack: &Stack, events: usize) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &stack.brokers)
        .set("group.id", "bench")
        .create()
        .expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(&stack.topic("activity"), partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&partitions).expect("an assignment");
    let (mut seen, mut bytes) = (0, 0);
    while seen < events {
        if let Some(Ok(message)) = consumer.poll(Duration::from_secs(1)) {
            seen += 1;
            bytes += message.payload_len();
        }
    }
    assert!(bytes > 0);
}

fn decode_all(deeds: &[(String, String)]) {
    let rates = Rates::default();
    let read =
        deeds.iter().filter(|(_, payload)| matches!(decode(Some(payload.as_bytes()), &rates), Decoded::Event(_)));
    assert_eq!(read.count(), deeds.len());
}

/// From the first record's end to the last one's: seconds, and CPU seconds of the process.
fn measure(processor: &Processor, metric: &str, records: usize) -> (f64, f64) {
    let count = || processor.page("/metrics").map(|_| processor.metric(metric, &[])).unwrap_or(0.0);
    let first = wait_for(LONG, "it begins", || match count() {
        0.0 => Err("nothing yet".to_owned()),
        count => Ok(count),
    });
    let (began, cpu) = (Instant::now(), process_cpu(processor));
    wait_for(LONG, "it is done", || {
        let count = count();
        if count >= records as f64 { Ok(()) } else { Err(format!("{count} of {records}")) }
    });
    let share = records as f64 / (records as f64 - first).max(1.0);
    (began.elapsed().as_secs_f64() * share, (process_cpu(processor) - cpu) * share)
}

/// User and system CPU seconds of the process so far.
fn process_cpu(processor: &Processor) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", processor.process.pid())).expect("a running process");
    let (_, rest) = stat.rsplit_once(") ").expect("the fields of a process");
    let ticks: f64 = rest.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}

fn redis_cpu(connection: &mut redis::Connection) -> f64 {
    let text: String = redis::cmd("INFO").arg("cpu").query(connection).expect("INFO");
    let of =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap_or(0.0);
    of("used_cpu_user:") + of("used_cpu_sys:")
}

fn per_million(seconds: f64, records: usize) -> f64 {
    seconds * 1e6 / records as f64
}

fn show(what: &str, records: usize, took: f64, cpu: f64) {
    println!(
        "{what:<28} {:>10.0} records/s {:>8.2} CPU s per million",
        records as f64 / took,
        per_million(cpu, records)
    );
}

//! Dispatch on a real Kafka and a real Redis against the simulator of the session API: how fast it catches up, what it adds
//! to the service's own time, and whether a tenant that fails slows the others.
//!
//! `cargo bench --bench dispatch` takes two minutes. `STEPUP_BENCH_COMMANDS` sets how many commands it catches up with
//! (60,000). It needs Kafka's jars in `STEPUP_KAFKA_LIBS` and redis-server, as `./test` fetches them.
//!
//! Times are taken outside of the process, all by this machine's wall clock: when the broker acknowledged a command, when Redis
//! was asked about it, when its call arrived and was answered, when Redis was given its outcome, and when that could be read.
//! What dispatch itself takes is from Redis being asked to the call's arrival, and from the answer to Redis being given the
//! outcome; Kafka's part, with its lingers, is told beside it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark is no library"
)]
#![allow(clippy::disallowed_methods, reason = "it measures the real clock, and is told by its environment")]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "it uses a part of what the tests do")]

#[path = "../../tests/it/services/mod.rs"]
mod services;
#[path = "../../tests/it/stack.rs"]
mod stack;

mod api;
mod commands;
mod timeline;
mod usage;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Api;
use commands::{Load, Plan};
use services::{RedisServer, wait_for};
use stack::{Processor, Stack};
use timeline::{Stamp, Timeline, percentiles};
use usage::Usage;

const PARTITIONS: i32 = 8;
const TENANTS: usize = 10_000;
const LONG: Duration = Duration::from_secs(90);
const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"password_change":true}}"#;

fn main() {
    let number = std::env::var("STEPUP_BENCH_COMMANDS").ok().and_then(|number| number.parse().ok()).unwrap_or(60_000);
    let redis = RedisServer::start();
    let stack = |name| Stack::on(name, PARTITIONS, &[], services::kafka(), &redis.url());
    catching_up(&stack("catching-up"), &redis, number);
    let live = stack("live");
    for tenant in 0..TENANTS {
        std::fs::write(live.preferences().join(format!("tenant-{tenant}.json")), PREFERENCES).expect("a document");
    }
    let overheads = [(500, 0, 8), (500, 20, 8), (1_000, 0, 8), (1_000, 20, 8)]
        .map(|(rate, own, seconds)| Plan::of(100, rate, own, seconds));
    let worlds = ["well", "500", "hang"].map(|_| Plan::with_a_loud_one(TENANTS, 500, 50, 14));
    let timeline = Timeline::of(overheads.iter().chain(&worlds));
    let api = Api::start(&live.preferences(), Arc::clone(&timeline));
    let processor = live.run_with("dispatch", &[("STEPUP__SESSION_API__URL", &api.url())]);
    processor.until_ready();
    let load = Load::new(&live.brokers, &live.topic("commands"), Arc::clone(&timeline));
    let _reader = watch::outcomes(&live.brokers, &live.topic("outcomes"), PARTITIONS, Arc::clone(&timeline));
    let watcher = watch::store(redis.port(), Arc::clone(&timeline));
    println!("\nwhat dispatch adds, in ms: p50 / p99");
    let mut first = 0;
    for plan in &overheads {
        overhead(&api, &load, &timeline, plan, first, redis.port());
        first += plan.len();
    }
    drop(watcher);
    isolation(&api, &load, &timeline, &worlds, first, &processor);
}

fn catching_up(stack: &Stack, redis: &RedisServer, number: usize) {
    for tenant in 0..100 {
        stack.prefer(&format!("tenant-{tenant}"), PREFERENCES);
    }
    let plan = Plan::of(100, number, 0, 1);
    let timeline = Timeline::of([&plan]);
    let api = Api::start(&stack.preferences(), Arc::clone(&timeline));
    let load = Load::new(&stack.brokers, &stack.topic("commands"), Arc::clone(&timeline));
    load.write_all(&plan);
    let processor = stack.run_with("dispatch", &[("STEPUP__SESSION_API__URL", &api.url())]);
    let count = || processor.page("/metrics").map(|_| processor.metric("stepup_outcomes_total", &[])).unwrap_or(0.0);
    let first = wait_for(LONG, "it begins", || match count() {
        begun if begun >= 1_000.0 => Ok(begun),
        begun => Err(format!("{begun}")),
    });
    let (began, before) = (Instant::now(), Usage::of(&processor, redis));
    let last = wait_for(LONG, "it is done", || match count() {
        done if done >= number as f64 * 0.97 => Ok(done),
        done => Err(format!("{done} of {number}")),
    });
    let (took, used) = (began.elapsed().as_secs_f64(), Usage::of(&processor, redis).since(&before));
    let each = |seconds: f64| seconds * 1e6 / (last - first);
    println!("catching up with {number} commands, {PARTITIONS} partitions, on two cores that all share");
    println!("{:<44} {:>9.0} sessions/s", "  all of it on this machine", (last - first) / took);
    println!("{:<44} {:>9.0} sessions/s", "  one core of ours alone", 1e6 / each(used.ours));
    for (what, seconds) in [
        ("stepup", used.ours),
        ("Redis", used.redis),
        ("the broker", used.broker),
        ("the simulator, with what measures", used.own),
    ] {
        println!("{:<44} {:>9.1} CPU s per million sessions", format!("  {what}"), each(seconds));
    }
    println!("{:<44} {:>9.1} MiB", "  peak memory of stepup", usage::memory(&processor, "VmHWM"));
    let parked = processor.metric("stepup_parked_total", &[]);
    println!("{:<44} {parked:>9.0}", "  commands parked");
}

fn overhead(api: &Api, load: &Load, timeline: &Timeline, plan: &Plan, first: usize, redis: u16) {
    api.faults(&format!(r#"[{{"kind":"delay","delay_ms":{}}}]"#, plan.own_ms));
    let control = watch::round_trips(redis);
    load.write(plan, first);
    let places = first + plan.rate..first + plan.len();
    timeline.until_readable(places.clone(), LONG);
    let control = control.stop();
    let span = |from, to| timeline.spans(places.clone(), |stamps| stamps.between(from, to));
    let itself = timeline.spans(places.clone(), |stamps| {
        Some(stamps.between(Stamp::LookedUp, Stamp::Arrived)? + stamps.between(Stamp::Answered, Stamp::Fixed)?)
    });
    let beyond = timeline.spans(places.clone(), |stamps| {
        Some(stamps.between(Stamp::Acknowledged, Stamp::Readable)? - stamps.between(Stamp::Arrived, Stamp::Answered)?)
    });
    println!("{}/s, {} ms in the service", plan.rate, plan.own_ms);
    for (what, spans) in [
        ("dispatch itself", itself),
        ("  taken -> call arrives", span(Stamp::LookedUp, Stamp::Arrived)),
        ("  answered -> outcome to be fixed", span(Stamp::Answered, Stamp::Fixed)),
        ("acknowledged -> taken (Kafka, linger 2)", span(Stamp::Acknowledged, Stamp::LookedUp)),
        ("to be fixed -> readable (Kafka, linger 2)", span(Stamp::Fixed, Stamp::Readable)),
        ("acknowledged -> readable, without the service", beyond),
        ("the service's own time", span(Stamp::Arrived, Stamp::Answered)),
        ("beside it: one round trip to Redis", control),
    ] {
        println!("  {what:<48} {}", percentiles(spans));
    }
}

fn isolation(api: &Api, load: &Load, timeline: &Timeline, worlds: &[Plan], mut first: usize, processor: &Processor) {
    println!(
        "\n{TENANTS} tenants, of which one is loud and fails: the others, acknowledged -> readable in ms, p50 / p99"
    );
    let faults =
        ["[]", r#"[{"tenant":"tenant-0","kind":"status","status":500}]"#, r#"[{"tenant":"tenant-0","kind":"hang"}]"#];
    for ((plan, fault), name) in worlds.iter().zip(faults).zip(["well", "answers 500", "never answers"]) {
        api.faults(fault);
        let parked = processor.metric("stepup_parked_total", &[]);
        load.write(plan, first);
        let places: Vec<usize> =
            (first + 2 * plan.rate..first + plan.len()).filter(|place| plan.is_another(place - first)).collect();
        timeline.until_readable(places.iter().copied(), LONG);
        let spans =
            timeline.spans(places.iter().copied(), |stamps| stamps.between(Stamp::Acknowledged, Stamp::Readable));
        println!(
            "  {name:<16} {} at {:.0}/s; memory {:.1} MiB; {:.0} parked",
            percentiles(spans),
            timeline.rate(&places),
            usage::memory(processor, "VmRSS"),
            processor.metric("stepup_parked_total", &[]) - parked,
        );
        first += plan.len();
    }
    println!("  peak memory {:.1} MiB", usage::memory(processor, "VmHWM"));
}

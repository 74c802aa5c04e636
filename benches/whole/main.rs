//! The whole of evaluate and dispatch on a real Kafka and a real Redis, next to the limits of the same run.
//!
//! ```sh
//! cargo bench --bench whole                                        # limits, evaluate, latency and dispatch
//! cargo bench --bench whole -- limits evaluate --json speed.json   # some of them, and every figure in a file
//! cargo bench --bench whole -- scale --write docs/cost.svg         # the cost of an event over events, tenants, customers
//! STEPUP_BENCH_OTHER=<a build> cargo bench --bench whole -- compare   # this build and another in alternation
//! STEPUP_BENCH_OTHER=<a build> cargo bench --bench whole -- tenants   # the same with 10 and with 100,000 tenants
//! ```
//!
//! `STEPUP_BENCH_EVENTS` sets how many events (1,000,000), `STEPUP_BENCH_WITH` what else stands in the environment of a
//! processor whose rate is measured, as in `STEPUP_BENCH_WITH="STEPUP__EVALUATE__BATCH_SIZE=500"`. It needs Kafka's jars in
//! `STEPUP_KAFKA_LIBS` and redis-server, as `./test` fetches them.

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

mod afresh;
mod arguments;
mod catch_up;
mod compare;
mod customers;
mod dispatch;
mod events;
mod figures;
mod ground;
mod latency;
mod limits;
mod many_tenants;
mod memory;
mod peer;
mod processes;
mod scale;
mod scrape;
mod sender;
mod topic;
mod tries;
mod verdict;
mod window_step;

use afresh::Afresh;
use arguments::{Asked, Part};
use catch_up::CaughtUp;
use compare::Builds;
use events::{Bets, Mix};
use figures::{Figures, Line};
use ground::Ground;
use peer::Peer;
use tries::{TRIES, best, highest};

fn main() {
    let asked = Asked::read();
    let mut figures = Figures::default();
    let ground = Ground::start();
    println!(
        "{} events, {} partitions, lz4; {} cores shared by the broker, Redis, stepup and this; again by: {}\n",
        figures::grouped(asked.events as f64),
        ground::PARTITIONS,
        processes::cores(),
        asked.command()
    );
    if asked.any(&[Part::Limits, Part::Evaluate, Part::Dispatch]) {
        figures::header();
    }
    if asked.any(&[Part::Limits, Part::Evaluate]) {
        bets(&asked, &ground, &mut figures);
    }
    if asked.any(&[Part::Evaluate]) {
        let stack = ground.stack("mixed", 2);
        let mixed = topic::fill(&ground.brokers(), &stack.topic("activity"), Mix::new(asked.events));
        figures.set("mixed.bet_share", mixed.bets as f64 / mixed.events as f64);
        let afresh = Afresh::new(&ground, &stack, mixed.events);
        let tries = (0..TRIES).map(|_| try_evaluate(&afresh)).collect();
        tell_evaluate("stepup evaluate, mixed events", "mixed", tries, &mut figures);
    }
    if asked.any(&[Part::Dispatch]) {
        dispatch::measure(&ground, asked.events / 20, &mut figures);
    }
    if asked.any(&[Part::Latency]) {
        latency::measure(&ground, &mut figures);
    }
    if asked.any(&[Part::Scale]) {
        scale::measure(&ground, asked.events, asked.write.as_deref(), &mut figures);
    }
    if asked.any(&[Part::Compare, Part::Tenants]) {
        let builds = Builds::named();
        if asked.any(&[Part::Compare]) {
            builds.measure(&ground, asked.events);
        }
        if asked.any(&[Part::Tenants]) {
            builds.measure_tenants(&ground, asked.events);
        }
    }
    verdict::print(&figures);
    if let Some(path) = &asked.json {
        figures.write(path);
    }
}

/// What is told of the topic where every event is a bet: the limits, stepup and its peer read the same one.
fn bets(asked: &Asked, ground: &Ground, figures: &mut Figures) {
    let stack = ground.stack("bets", ground::TENANTS);
    let events = Bets::until_now(ground::TENANTS, ground::CUSTOMERS, asked.events);
    let written = topic::fill(&ground.brokers(), &stack.topic("activity"), events);
    figures.set("bytes_per_event", written.bytes as f64 / written.events as f64);
    if asked.any(&[Part::Limits]) {
        limits::measure(ground, &stack.topic("activity"), &written, figures);
    }
    if asked.any(&[Part::Evaluate]) {
        let afresh = Afresh::new(ground, &stack, written.events);
        let topic = stack.topic("activity");
        let (ours, peers) =
            (0..TRIES).map(|_| (try_evaluate(&afresh), try_peer(ground, &topic, written.events))).unzip();
        tell_evaluate("stepup evaluate, every event a bet", "bets", ours, figures);
        tell_peer(peers, figures);
    }
}

fn try_evaluate(afresh: &Afresh<'_>) -> CaughtUp {
    afresh.run(env!("CARGO_BIN_EXE_stepup"))
}

/// The best of the tries, with the most memory of all.
fn tell_evaluate(what: &str, name: &str, tries: Vec<CaughtUp>, figures: &mut Figures) {
    let memory = highest(&tries, |one| one.memory);
    let CaughtUp { rate, cpu, commands, .. } = best(tries, |one| one.rate);
    let line = Line { commands: Some(commands), memory: Some(memory), ..Line::new(what, rate) };
    figures.line(name, &line.ours(cpu.ours).redis(cpu.redis).broker(cpu.broker));
}

/// The job that a platform would write instead, on the same topic.
fn try_peer(ground: &Ground, topic: &str, events: usize) -> Result<Peer, String> {
    peer::run(&ground.brokers(), topic, ground::PARTITIONS, events)
}

fn tell_peer(tries: Vec<Result<Peer, String>>, figures: &mut Figures) {
    let tries: Vec<Peer> = match tries.into_iter().collect() {
        Ok(tries) => tries,
        Err(reason) => return println!("Kafka Streams: {reason}"),
    };
    let memory = highest(&tries, |one| one.peak_rss_mib);
    let peer = best(tries, |one| one.events_per_second);
    let line = Line::new("Kafka Streams, every event a bet", peer.events_per_second).ours(peer.cpu_per_million);
    figures.line("peer", &Line { memory: Some(memory), commands: Some(peer.commands as f64), ..line });
    let line = Line::new("  its second half, all compiled", peer.events_per_second_of_last_half);
    figures.line("peer_warm", &line.ours(peer.cpu_per_million_of_last_half));
}

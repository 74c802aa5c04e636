//! Builds in alternation on the same topics: on a machine that others use too, one run says little of a few per cent.

use crate::afresh::Afresh;
use crate::catch_up::CaughtUp;
use crate::events::{Bets, Mix};
use crate::ground::{CUSTOMERS, Ground, TENANTS};
use crate::topic;

const ROUNDS: usize = 5;

/// Measures this build and those that `STEPUP_BENCH_OTHER` names, parted by spaces.
pub fn measure(ground: &Ground, events: usize) {
    let others = std::env::var("STEPUP_BENCH_OTHER").unwrap_or_default();
    let builds: Vec<&str> = std::iter::once(env!("CARGO_BIN_EXE_stepup")).chain(others.split_whitespace()).collect();
    println!(
        "\n{:<60} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8}",
        "medians", "a second", "at best", "itself", "Redis", "broker", "MiB"
    );
    let stack = ground.stack("bets", TENANTS);
    topic::fill(&ground.brokers(), &stack.topic("activity"), Bets::until_now(TENANTS, CUSTOMERS, events));
    alternate("every event a bet", &builds, &Afresh::new(ground, &stack, events));
    let stack = ground.stack("mixed", 2);
    topic::fill(&ground.brokers(), &stack.topic("activity"), Mix::new(events));
    alternate("mixed events", &builds, &Afresh::new(ground, &stack, events));
}

fn alternate(what: &str, builds: &[&str], afresh: &Afresh<'_>) {
    let mut runs: Vec<Vec<CaughtUp>> = builds.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (program, runs) in builds.iter().zip(&mut runs) {
            runs.push(afresh.run(program));
        }
    }
    for (program, runs) in builds.iter().zip(&runs) {
        let name = format!("{what}: {}", program.rsplit('/').next().unwrap_or_default());
        println!(
            "{name:<60} {:>10.0} {:>10.0} {:>8.2} {:>8.2} {:>8.2} {:>8.0}",
            median(runs, |run| run.rate),
            runs.iter().map(|run| run.rate).fold(0.0, f64::max),
            median(runs, |run| run.cpu.ours),
            median(runs, |run| run.cpu.redis),
            median(runs, |run| run.cpu.broker),
            median(runs, |run| run.memory)
        );
    }
}

fn median(runs: &[CaughtUp], of: impl Fn(&CaughtUp) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! Builds in alternation on the same topics: on a machine that others use too, one run says little of a few per cent.

use crate::catch_up::{self, CaughtUp, Role};
use crate::events::{Bets, Mix};
use crate::ground::{CUSTOMERS, Ground, PARTITIONS, TENANTS};
use crate::services::create_topic;
use crate::stack::Stack;
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
    alternate("every event a bet", &builds, ground, &stack, events);
    let stack = ground.stack("mixed", 2);
    topic::fill(&ground.brokers(), &stack.topic("activity"), Mix::new(events));
    alternate("mixed events", &builds, ground, &stack, events);
}

fn alternate(what: &str, builds: &[&str], ground: &Ground, stack: &Stack, events: usize) {
    let mut runs: Vec<Vec<CaughtUp>> = builds.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for (place, program) in builds.iter().enumerate() {
            ground.forget();
            let group = format!("{round}-{place}");
            // Commands of an earlier run would be read into the emptied Redis first.
            let commands = format!("{}-{group}", stack.topic("commands"));
            create_topic(&ground.brokers(), &commands, PARTITIONS);
            let environment =
                [("STEPUP__KAFKA__GROUP_ID", group.as_str()), ("STEPUP__KAFKA__TOPICS__COMMANDS", commands.as_str())];
            let role =
                Role { program, environment: &environment, ..Role::new("evaluate", "stepup_events_total", events) };
            runs[place].push(catch_up::run(ground, stack, &role));
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

//! Builds in alternation on the same topics: on a machine that others use too, one run says little of a few per cent.

use crate::afresh::Afresh;
use crate::catch_up::CaughtUp;
use crate::events::{Bets, Mix};
use crate::figures::grouped;
use crate::ground::{CUSTOMERS, Ground, TENANTS};
use crate::many_tenants::ManyTenants;
use crate::topic;

const ROUNDS: usize = 5;

/// Of so many tenants is each event of a batch another's.
const MANY: u32 = 100_000;

/// The builds that are measured: this one and those that `STEPUP_BENCH_OTHER` names, parted by spaces.
pub struct Builds(Vec<String>);

impl Builds {
    pub fn named() -> Self {
        let others = std::env::var("STEPUP_BENCH_OTHER").unwrap_or_default();
        let this = std::iter::once(env!("CARGO_BIN_EXE_stepup"));
        let builds = Self(this.chain(others.split_whitespace()).map(str::to_owned).collect());
        println!(
            "\n{:<60} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8}",
            "medians", "a second", "at best", "itself", "Redis", "broker", "MiB"
        );
        builds
    }

    /// Bets, and mixed events.
    pub fn measure(&self, ground: &Ground, events: usize) {
        let stack = ground.stack("bets", TENANTS);
        topic::fill(&ground.brokers(), &stack.topic("activity"), Bets::until_now(TENANTS, CUSTOMERS, events));
        self.alternate("every event a bet", &Afresh::new(ground, &stack, events));
        let stack = ground.stack("mixed", 2);
        topic::fill(&ground.brokers(), &stack.topic("activity"), Mix::new(events));
        self.alternate("mixed events", &Afresh::new(ground, &stack, events));
    }

    /// Bets of few and of many tenants.
    pub fn measure_tenants(&self, ground: &Ground, events: usize) {
        for tenants in [TENANTS, MANY] {
            let many = ManyTenants::fill(ground, "tenants", tenants, CUSTOMERS, events);
            self.alternate(&format!("{} tenants", grouped(f64::from(tenants))), &Afresh::of_tenants(ground, &many));
        }
    }

    fn alternate(&self, what: &str, afresh: &Afresh<'_>) {
        let Self(builds) = self;
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
}

fn median(runs: &[CaughtUp], of: impl Fn(&CaughtUp) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

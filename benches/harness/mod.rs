//! A stop-watch for pure code: the median of many short rounds, and what one run allocates.
//!
//! Rounds are short, so that most of them run through on a machine that others use too; the least is what it takes when
//! nobody disturbs it. Allocations are counted, not estimated: the same code gives the same numbers on every machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long to measure, and what.
pub struct Plan {
    rounds: usize,
    round: Duration,
    /// Only benchmarks whose name holds this.
    filter: Option<String>,
}

/// What one run of a benchmark allocates.
#[derive(Clone, Copy)]
struct Allocated {
    times: f64,
    bytes: f64,
}

impl Plan {
    /// Reads `--quick` and a part of a name; what else cargo passes is not for us.
    pub fn from_args() -> Self {
        let mut plan = Self { rounds: 301, round: Duration::from_millis(1), filter: None };
        for arg in std::env::args().skip(1) {
            match arg.as_str() {
                "--quick" => (plan.rounds, plan.round) = (51, Duration::from_micros(500)),
                option if option.starts_with("--") => {}
                name => plan.filter = Some(name.to_owned()),
            }
        }
        println!("{:<44} {:>9} {:>9} {:>12} {:>8}", "one of each", "ns", "least ns", "allocations", "bytes");
        plan
    }

    /// Measures what does the same whenever it runs.
    pub fn time<T>(&self, name: &str, mut work: impl FnMut() -> T) {
        if !self.wants(name) {
            return;
        }
        let mut runs = 1_u32;
        let took = |runs: u32, work: &mut dyn FnMut() -> T| {
            let began = Instant::now();
            for _ in 0..runs {
                black_box(work());
            }
            began.elapsed()
        };
        while took(runs, &mut work) < self.round {
            runs *= 2;
        }
        let nanos = (0..self.rounds).map(|_| nanos(took(runs, &mut work), runs as usize)).collect();
        let counted = allocation_counter::measure(|| drop(black_box(work())));
        show(name, nanos, vec![allocated(&counted, 1)]);
    }

    /// Measures `work` on `items` things at a time, which `prepare` makes anew for every round, and tells of one
    /// thing. What `work` gives back is dropped outside of the time.
    pub fn time_batches<I, T>(
        &self,
        name: &str,
        items: usize,
        mut prepare: impl FnMut() -> I,
        mut work: impl FnMut(I) -> T,
    ) {
        if !self.wants(name) {
            return;
        }
        let (mut rounds, mut counts) = (Vec::with_capacity(self.rounds), Vec::with_capacity(self.rounds));
        for _ in 0..self.rounds {
            let input = prepare();
            let began = Instant::now();
            let output = black_box(work(input));
            rounds.push(nanos(began.elapsed(), items));
            drop(output);
            let input = prepare();
            let counted = allocation_counter::measure(|| drop(black_box(work(input))));
            counts.push(allocated(&counted, items));
        }
        show(name, rounds, counts);
    }

    fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|part| name.contains(part.as_str()))
    }
}

fn nanos(took: Duration, runs: usize) -> f64 {
    took.as_nanos() as f64 / runs as f64
}

fn allocated(counted: &allocation_counter::AllocationInfo, items: usize) -> Allocated {
    Allocated { times: counted.count_total as f64 / items as f64, bytes: counted.bytes_total as f64 / items as f64 }
}

fn show(name: &str, mut nanos: Vec<f64>, counts: Vec<Allocated>) {
    nanos.sort_by(f64::total_cmp);
    let runs = counts.len() as f64;
    let mean = |of: fn(&Allocated) -> f64| counts.iter().map(of).sum::<f64>() / runs;
    let (median, least) = (nanos[nanos.len() / 2], nanos[0]);
    println!("{name:<44} {median:>9.1} {least:>9.1} {:>12.2} {:>8.0}", mean(|one| one.times), mean(|one| one.bytes));
}

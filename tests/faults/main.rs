//! The fault suite: nothing is lost and nothing is asked twice, whatever breaks.
//!
//! Every case runs the built binary on a real Kafka and a real Redis, with the simulator of the session API, all of them
//! processes of their own. Under load something breaks, again and again; at the end everything is whole, the queue is
//! worked off, and what came out is judged against what went in.
//!
//! ```text
//! cargo test --test faults                                    every case once; the short part, which CI runs
//! cargo test --test faults -- redis killed                    the cases whose names hold one of these words
//! cargo test --test faults -- --list                          what there is, and what each case breaks
//! cargo test --test faults -- --seed 7                        other chances; a failure names the seed that repeats it
//! cargo test --release --test faults -- --soak 30m --seed 7   all faults in mixtures drawn from the seed, so long
//! ```
//!
//! `--keep` keeps the logs of every case, `--test-threads` says how many cases run at the same time (3).
//!
//! It needs what the other tests need: `redis-server`, `redis-cli`, Java, and Kafka's jars in `STEPUP_KAFKA_LIBS`. Failpoints
//! exist in a build with debug assertions only, so a release build leaves the case out that ends processes at them.
//!
//! A violation prints the end of every log of the case and keeps them; the exit status is 1.

#![allow(clippy::disallowed_methods, reason = "servers run on the real clock, and a fault lasts for real time")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a case fails by panicking")]
#![allow(unreachable_pub, reason = "modules of a test binary share by being public")]

mod args;
mod cases;
mod cluster;
mod fleet;
mod http;
mod judge;
mod proxy;
mod report;
mod runner;
#[allow(dead_code, unused_imports, reason = "the kit serves several test binaries")]
#[path = "../it/services/mod.rs"]
mod services;
mod soak;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::read(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(problem) => {
            report::say(&format!("faults: {problem}"));
            return ExitCode::from(2);
        }
    };
    stepup::edge::tls::install_tls_provider();
    if runner::run(&args) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

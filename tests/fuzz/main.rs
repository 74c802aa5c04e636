//! Hostile input for every decoder: the examples of the schemas and handwritten killers as they are, then changed at random.
//!
//! `STEPUP_FUZZ_SEED` repeats a run, whose seed is the first thing that it prints; `STEPUP_FUZZ_CASES` says how many
//! changed inputs each decoder gets.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod corpus;
mod killers;
mod mutate;
mod targets;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use self::mutate::Mutator;
use self::targets::Target;

/// Enough to meet what is common, in a time that nobody minds.
const CASES: u32 = 1_000;

/// How a run is repeated.
struct Plan {
    seed: u64,
    cases: u32,
}

#[allow(clippy::disallowed_methods, reason = "a run is repeated by what its environment says")]
fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
        let seed = number("STEPUP_FUZZ_SEED").unwrap_or_else(rand::random);
        let cases = number("STEPUP_FUZZ_CASES").map_or(CASES, |cases| u32::try_from(cases).expect("fewer cases"));
        // Not through the test's own output, which is lost where a decoder aborts the process.
        let line = format!("to repeat: STEPUP_FUZZ_SEED={seed} STEPUP_FUZZ_CASES={cases}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("stderr takes a line");
        Plan { seed, cases }
    })
}

/// Gives a decoder all that it is to survive.
fn survive(target: &Target) {
    let Plan { seed, cases } = plan();
    let seeds = (target.seeds)();
    assert!(seeds.iter().any(|input| (target.decode)(input)), "{}: no seed is accepted", target.name);
    let mut given = 0_u64;
    let mut give = |input: &[u8]| {
        given += 1;
        let mut decoded = Ok(true);
        let taken = allocation_counter::measure(|| {
            decoded = catch_unwind(AssertUnwindSafe(|| (target.decode)(input)));
        });
        let fits = taken.bytes_max <= bound(input, 256 * 1024, 100) && taken.count_total <= bound(input, 5_000, 4);
        assert!(
            decoded.is_ok() && fits,
            "{}: {taken:?} for {} bytes with STEPUP_FUZZ_SEED={seed}: {:?}",
            target.name,
            input.len(),
            String::from_utf8_lossy(&input[..input.len().min(2_000)])
        );
    };
    for seed in &seeds {
        give(seed);
        for killer in killers::within(seed) {
            give(&killer);
        }
    }
    for killer in killers::alone() {
        give(&killer);
    }
    let mut mutator = Mutator::new(ChaCha8Rng::seed_from_u64(*seed), &seeds);
    for _ in 0..*cases {
        give(&mutator.next());
    }
    assert!(given > u64::from(*cases));
}

/// So much may be taken for an input of so many bytes.
fn bound(input: &[u8], always: u64, for_each_byte: u64) -> u64 {
    always + for_each_byte * u64::try_from(input.len()).expect("a length")
}

macro_rules! every_decoder {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                survive(&targets::$name());
            }
        )*
    };
}

every_decoder! {
    event command outcome preferences session_answer session_request dead_letter retry trace receipt window_log claims
    control columns config pseudonyms faults times amounts
}

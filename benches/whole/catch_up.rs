//! A role that works through a topic that was full before it began.

use std::time::{Duration, Instant};

use crate::ground::Ground;
use crate::processes::{self, Cpu};
use crate::scrape;
use crate::stack::{Processor, Stack};

const LONG: Duration = Duration::from_secs(900);
/// A look costs the role a page of metrics, so long runs are looked at less often.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
const PAUSE_A_RECORD: Duration = Duration::from_nanos(200);

/// What runs, and what it counts when it is done with a record.
#[derive(Clone, Copy)]
pub struct Role<'a> {
    /// The build that is measured.
    pub program: &'a str,
    pub roles: &'static str,
    pub counted: &'static str,
    pub records: usize,
    /// So many of them go by before anything is measured.
    pub warm_up: usize,
    /// Settings beside those of the stack.
    pub environment: &'a [(&'a str, &'a str)],
}

impl Role<'_> {
    /// A role that is measured after a tenth of its records.
    pub fn new(roles: &'static str, counted: &'static str, records: usize) -> Self {
        let program = env!("CARGO_BIN_EXE_stepup");
        Self { program, roles, counted, records, warm_up: records / 10, environment: &[] }
    }
}

pub struct CaughtUp {
    /// Records a second.
    pub rate: f64,
    /// CPU seconds for a million records.
    pub cpu: Cpu,
    /// The most memory of the role's process, in MiB.
    pub memory: f64,
    pub commands: f64,
}

/// One look at all processes.
#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    counted: f64,
    cpu: Cpu,
}

/// Starts the role, waits until it has counted every record, and measures from the look after the warm-up to the last one
/// before the end; so neither its start nor the wait for the end is part of the figures.
pub fn run(ground: &Ground, stack: &Stack, role: &Role<'_>) -> CaughtUp {
    let tried = std::env::var("STEPUP_BENCH_WITH").unwrap_or_default();
    let tried = tried.split_whitespace().filter_map(|setting| setting.split_once('='));
    let environment: Vec<(&str, &str)> = image().chain(role.environment.iter().copied()).chain(tried).collect();
    let mut processor = stack.run_program(role.program, role.roles, &environment);
    let mut redis = ground.redis.connect();
    let began = Instant::now();
    let between_looks = BETWEEN_LOOKS.max(PAUSE_A_RECORD * u32::try_from(role.records).unwrap_or(u32::MAX));
    let (records, mut looks): (f64, Vec<Look>) = (role.records as f64, Vec::new());
    let page = loop {
        let page = scrape::metrics(&processor).unwrap_or_default();
        let counted = scrape::sum(&page, role.counted);
        let cpu = Cpu {
            ours: processes::cpu_of(processor.process.pid()),
            redis: processes::redis_cpu(&mut redis),
            broker: processes::cpu_of(ground.broker.pid()),
        };
        looks.push(Look { at: Instant::now(), counted, cpu });
        if counted >= records {
            break page;
        }
        let ended = processor.process.exited();
        assert!(ended.is_none(), "it ended ({ended:?}): {}", processor.process.stderr());
        assert!(began.elapsed() < LONG, "{counted} of {records} within {LONG:?}; {}", processor.process.stderr());
        std::thread::sleep(between_looks);
    };
    let memory = processes::peak_memory(processor.process.pid());
    let (first, last) = ends(&looks, role.warm_up as f64, records);
    let done = last.counted - first.counted;
    CaughtUp {
        rate: done / (last.at - first.at).as_secs_f64(),
        cpu: last.cpu.since(first.cpu, done),
        memory,
        commands: scrape::sum(&page, "stepup_commands_total"),
    }
}

/// What the image sets in the environment.
fn image<'a>() -> impl Iterator<Item = (&'a str, &'a str)> {
    let lines = include_str!("../../Dockerfile").lines();
    lines.filter_map(|line| line.strip_prefix("ENV ")?.split_once('='))
}

/// The first look after the warm-up, and the last before the end; where it all went by too fast, the looks around.
fn ends(looks: &[Look], warm_up: f64, records: f64) -> (Look, Look) {
    let warm = looks.iter().position(|look| look.counted >= warm_up).unwrap_or(0);
    let open = looks.iter().rposition(|look| look.counted < records).unwrap_or(0);
    if warm < open {
        return (looks[warm], looks[open]);
    }
    let before = looks.iter().rposition(|look| look.counted == 0.0).unwrap_or(0);
    (looks[before], looks[looks.len() - 1])
}

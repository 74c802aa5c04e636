//! The back-test over a generated recording, warm in the page cache: events for each second of the clock and of the CPU, and
//! the most memory it took; alone, packed, compared and swept. The target is a million events for each CPU second.
//!
//! `cargo bench --bench backtest` runs the binary. `STEPUP_BENCH_EVENTS` sets how many events (2,000,000). On a machine that
//! others use too the CPU seconds are what counts; the best of three runs is told.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark is no library"
)]
#![allow(clippy::disallowed_methods, reason = "it measures the real clock, and is told by its environment")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":10,"window_minutes":5},
    "large_bet_placement":{"enabled":true,"threshold":100},"withdrawal":{"enabled":true,"threshold":500},
    "deposit":{"enabled":true,"threshold":300},"password_change":true,"new_device_or_location":true}}"#;
const TENANTS: u64 = 3;
const CUSTOMERS: u64 = 50_000;

fn main() {
    let events: u64 = std::env::var("STEPUP_BENCH_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000_000);
    let directory = tempfile::tempdir().expect("a directory");
    let [plain, zstd, gzip] = ["", ".zst", ".gz"].map(|end| directory.path().join(format!("events.ndjson{end}")));
    generate(&plain, events);
    pack(&plain, &zstd, &gzip);
    for tenant in 0..TENANTS {
        std::fs::write(directory.path().join(format!("tenant-{tenant}.json")), PREFERENCES).expect("a document");
    }
    let size = std::fs::metadata(&plain).expect("it was written").len();
    println!("{events} events of {} bytes on the average, {TENANTS} tenants, {CUSTOMERS} customers", size / events);
    println!("{:<30} {:>10} {:>14} {:>9}  target", "", "events/s", "per CPU second", "peak MiB");
    for (name, recording, more) in [
        ("alone", &plain, &[][..]),
        ("alone, of a .zst", &zstd, &[]),
        ("alone, of a .gz", &gzip, &[]),
        ("with every decision written", &plain, &["--decisions", "/dev/null"]),
        ("with --change of one trigger", &plain, &["--change", r#"{"deposit":{"threshold":250}}"#]),
        ("with --change of a window", &plain, &["--change", r#"{"high_frequency_betting":{"window_minutes":10}}"#]),
        ("--sweep of 20 thresholds", &plain, &["--sweep", "deposit.threshold=100..2000:100"]),
        ("--sweep of 20 counts", &plain, &["--sweep", "high_frequency_betting.count=1..20:1"]),
        ("within 64 MiB", &plain, &["--memory", "64MiB"]),
    ] {
        let mut backtest = Command::new(env!("CARGO_BIN_EXE_stepup"));
        backtest.args(["backtest", "--quiet", "--events"]).arg(recording);
        backtest.arg("--preferences").arg(directory.path()).args(more);
        let runs = [(); RUNS].map(|()| Run::of(&mut backtest));
        let best = |of: fn(&Run) -> f64| runs.iter().map(of).fold(f64::INFINITY, f64::min);
        let (rate, of_cpu) = (events as f64 / best(|run| run.seconds), events as f64 / best(|run| run.cpu_seconds));
        let target = if of_cpu >= TARGET { "met" } else { "missed" };
        let peak = runs.iter().map(|run| run.peak_kib).max().unwrap_or(0) / 1024;
        println!("{name:<30} {rate:>10.0} {of_cpu:>14.0} {peak:>9}  {target}");
    }
}

const RUNS: usize = 3;
/// Events for each CPU second.
const TARGET: f64 = 1e6;

/// What one run of a command took.
struct Run {
    seconds: f64,
    cpu_seconds: f64,
    peak_kib: u64,
}

impl Run {
    fn of(command: &mut Command) -> Self {
        let (before, began) = (cpu_seconds_of_children(), Instant::now());
        let mut child = command.spawn().expect("the binary runs");
        let mut peak_kib = 0;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            peak_kib = peak_of(child.id()).unwrap_or(peak_kib);
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(status.success());
        Self { seconds: began.elapsed().as_secs_f64(), cpu_seconds: cpu_seconds_of_children() - before, peak_kib }
    }
}

/// User and system time of all children that have ended.
fn cpu_seconds_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, rest) = stat.rsplit_once(") ").expect("the fields of a process");
    let ticks: f64 = rest.split(' ').skip(13).take(2).map(|field| field.parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}

/// The most memory that a process had so far, in KiB; nothing once it has ended.
fn peak_of(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().trim_end_matches(" kB").parse().ok()
}

/// Packs a recording as `stepup record` and `gzip` do.
fn pack(plain: &Path, zstd: &Path, gzip: &Path) {
    let open = || std::fs::File::open(plain).expect("it was written");
    let create = |path: &Path| std::fs::File::create(path).expect("a file");
    zstd::stream::copy_encode(open(), create(zstd), zstd::DEFAULT_COMPRESSION_LEVEL).expect("the disk has room");
    let mut packed = flate2::write::GzEncoder::new(create(gzip), flate2::Compression::default());
    std::io::copy(&mut open(), &mut packed).expect("the disk has room");
    packed.finish().expect("the disk has room");
}

/// Writes events in order of time: mostly bets, some customers far busier than others.
fn generate(path: &Path, events: u64) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).expect("a file"));
    let mut state = 1_u64;
    let mut chance = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut line = String::new();
    for number in 0..events {
        let millis = number * 30;
        let (day, second) = (1 + millis / 86_400_000 % 28, millis / 1_000);
        let time = format!(
            "2026-03-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            second / 3_600 % 24,
            second / 60 % 60,
            second % 60,
            millis % 1_000
        );
        // The lesser of three draws: the first customers come up most.
        let customer = chance(CUSTOMERS).min(chance(CUSTOMERS)).min(chance(CUSTOMERS));
        let (kind, most) = match chance(100) {
            0..83 => ("bet", 12_000),
            83..88 => ("deposit", 60_000),
            88..91 => ("withdrawal", 80_000),
            91..97 => ("login", 0),
            97..99 => ("new_device_or_location", 0),
            _ => ("password_change", 0),
        };
        line.clear();
        let tenant = customer % TENANTS;
        write!(
            line,
            r#"{{"id":"e-{number}","tenant_id":"tenant-{tenant}","customer_id":"customer-{customer}","type":"{kind}","occurred_at":"{time}""#
        )
        .expect("a text grows");
        if most > 0 {
            let cents = chance(most);
            write!(line, r#","amount":"{}.{:02}","currency":"USD""#, cents / 100, cents % 100).expect("a text grows");
        }
        line.push_str("}\n");
        out.write_all(line.as_bytes()).expect("the disk has room");
    }
    out.flush().expect("the disk has room");
}

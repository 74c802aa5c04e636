//! The back-test over a generated recording: events a second and peak memory, alone, compared and swept.
//!
//! `cargo bench --bench backtest` runs the binary on a warm file. `STEPUP_BENCH_EVENTS` sets how many events (2,000,000).

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
use std::time::Instant;

const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":10,"window_minutes":5},
    "large_bet_placement":{"enabled":true,"threshold":100},"withdrawal":{"enabled":true,"threshold":500},
    "deposit":{"enabled":true,"threshold":300},"password_change":true,"new_device_or_location":true}}"#;
const TENANTS: u64 = 3;
const CUSTOMERS: u64 = 50_000;

fn main() {
    let events: u64 = std::env::var("STEPUP_BENCH_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000_000);
    let directory = tempfile::tempdir().expect("a directory");
    let recording = directory.path().join("events.ndjson");
    generate(&recording, events);
    for tenant in 0..TENANTS {
        std::fs::write(directory.path().join(format!("tenant-{tenant}.json")), PREFERENCES).expect("a document");
    }
    let size = std::fs::metadata(&recording).expect("it was written").len();
    println!("{events} events of {} bytes on the average, {TENANTS} tenants, {CUSTOMERS} customers", size / events);
    for (name, more) in [
        ("alone", &[][..]),
        ("with every decision written", &["--decisions", "/dev/null"]),
        ("with --change of one trigger", &["--change", r#"{"deposit":{"threshold":250}}"#]),
        ("with --change of a window", &["--change", r#"{"high_frequency_betting":{"window_minutes":10}}"#]),
        ("--sweep of 20 thresholds", &["--sweep", "deposit.threshold=100..2000:100"]),
        ("--sweep of 20 counts", &["--sweep", "high_frequency_betting.count=1..20:1"]),
        ("within 64 MiB", &["--memory", "64MiB"]),
    ] {
        let began = Instant::now();
        let status = Command::new(env!("CARGO_BIN_EXE_stepup"))
            .args(["backtest", "--quiet", "--events"])
            .arg(&recording)
            .arg("--preferences")
            .arg(directory.path())
            .args(more)
            .status();
        assert!(status.expect("the binary runs").success());
        println!("{name:<30} {:>10.0} events/s", events as f64 / began.elapsed().as_secs_f64());
    }
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

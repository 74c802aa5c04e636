//! What an event costs as there are more of them, more tenants and more customers.

use std::path::Path;

use stepup::domain::time::Timestamp;
use stepup::roles::report::{Axis, Chart, ChartKind, Scale, Series, Unit, sheet};

use crate::catch_up::{self, CaughtUp, Role};
use crate::customers::{add, key, record};
use crate::figures::{Figures, grouped};
use crate::ground::{CUSTOMERS, Ground, PARTITIONS, TENANTS};
use crate::many_tenants::ManyTenants;
use crate::memory;
use crate::stack::Stack;

const EVENTS: [usize; 4] = [100_000, 300_000, 1_000_000, 3_000_000];
const TENANTS_OF: [u32; 5] = [10, 100, 1_000, 10_000, 100_000];
const CUSTOMERS_OF: [u32; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// From so many customers on the store is filled before the run, for its events do not touch all of them.
const FILLED_FROM: u32 = 100_000;

/// How long the windows that fill the store live.
const TTL: &[u8] = b"3600000";

/// What one run is about; the other two stay as they are.
#[derive(Clone, Copy)]
struct Case {
    events: usize,
    tenants: u32,
    customers: u32,
}

struct Costs {
    name: &'static str,
    label: &'static str,
    points: Vec<(f64, CaughtUp)>,
}

/// `events` bounds how many a run may take.
pub fn measure(ground: &Ground, events: usize, write: Option<&Path>, figures: &mut Figures) {
    println!(
        "\n{} partitions; preferences over HTTP, kept for fifteen minutes, all of them known before anything is measured",
        grouped(f64::from(PARTITIONS))
    );
    println!(
        "{:<34} {:>12} {:>12} {:>12} {:>12} {:>10}",
        "CPU us an event", "stepup", "Redis", "both", "events/s", "peak MiB"
    );
    let usual = Case { events: events.min(500_000), tenants: TENANTS, customers: CUSTOMERS };
    let by_events = EVENTS.into_iter().filter(|count| *count <= events * 3);
    let all = [
        series(
            ground,
            "events",
            "events on the topic",
            by_events.map(|events| Case { events, ..usual }),
            |case| case.events as f64,
            figures,
        ),
        series(
            ground,
            "tenants",
            "tenants",
            TENANTS_OF.into_iter().map(|tenants| Case { tenants, ..usual }),
            |case| f64::from(case.tenants),
            figures,
        ),
        series(
            ground,
            "customers",
            "active customers",
            CUSTOMERS_OF.into_iter().map(|customers| Case { customers, ..usual }),
            |case| f64::from(case.customers),
            figures,
        ),
    ];
    memory::measure(ground, figures);
    if let Some(path) = write {
        let charts: Vec<Chart> = all.iter().map(chart).collect();
        std::fs::write(path, sheet("What an event costs", &charts))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("\nthe chart: {}", path.display());
    }
}

fn series(
    ground: &Ground,
    name: &'static str,
    label: &'static str,
    cases: impl Iterator<Item = Case>,
    x: impl Fn(&Case) -> f64,
    figures: &mut Figures,
) -> Costs {
    let mut points = Vec::new();
    for case in cases {
        let (x, done) = (x(&case), run(ground, case));
        let (ours, redis) = (done.cpu.ours, done.cpu.redis);
        println!(
            "{:<34} {ours:>12.2} {redis:>12.2} {:>12.2} {:>12} {:>10.0}",
            format!("{} {label}", grouped(x)),
            ours + redis,
            grouped(done.rate),
            done.memory
        );
        figures.set(&format!("scale.{name}.{x}.cpu_ours"), ours);
        figures.set(&format!("scale.{name}.{x}.cpu_redis"), redis);
        points.push((x, done));
    }
    Costs { name, label, points }
}

fn run(ground: &Ground, case: Case) -> CaughtUp {
    ground.forget();
    let many = ManyTenants::fill(ground, "scale", case.tenants, case.customers, case.events);
    if case.customers >= FILLED_FROM {
        fill(ground, &many.stack, case, many.began);
    }
    let environment = many.environment();
    let role = Role {
        warm_up: many.warm_up,
        environment: &environment,
        ..Role::new("evaluate", "stepup_events_total", many.written.events)
    };
    let before = keys(ground);
    let done = catch_up::run(ground, &many.stack, &role);
    // A key of a window that nobody knew would tell that the store was filled under other names than stepup's.
    let more = keys(ground).saturating_sub(before) as f64;
    assert!(case.customers < FILLED_FROM || more <= 1_000.0 + done.commands, "{more} keys more");
    done
}

/// Gives every customer a window with one bet, as of the time when the events begin.
fn fill(ground: &Ground, stack: &Stack, case: Case, at: Timestamp) {
    const AT_ONCE: u32 = 1_000;
    let prefix = format!("s{}", &stack.name[stack.name.len() - 16..]);
    let mut redis = ground.redis.connect();
    for first in (0..case.customers).step_by(AT_ONCE as usize) {
        let customers = first..(first + AT_ONCE).min(case.customers);
        let mut bytes = Vec::with_capacity(200 * AT_ONCE as usize);
        for customer in customers.clone() {
            let key = key(&prefix, &format!("tenant-{}", customer % case.tenants), &format!("customer-{customer:08}"));
            add(&mut bytes, &[b"APPEND", key.as_bytes(), &record(at, u64::from(customer))]);
            add(&mut bytes, &[b"PEXPIRE", key.as_bytes(), TTL]);
        }
        redis.send_packed_command(&bytes).expect("Redis takes a pipeline");
        for _ in 0..2 * customers.len() {
            redis.recv_response().expect("Redis answers");
        }
    }
}

fn keys(ground: &Ground) -> u64 {
    redis::cmd("DBSIZE").query(&mut ground.redis.connect()).expect("DBSIZE")
}

fn chart(series: &Costs) -> Chart {
    let of = |name: &str, value: fn(&CaughtUp) -> f64| Series {
        name: name.to_owned(),
        points: series.points.iter().map(|(x, done)| (*x, value(done))).collect(),
    };
    Chart {
        title: format!("over {}", series.label),
        kind: ChartKind::Lines,
        x: Axis { label: series.label.to_owned(), scale: Scale::Log, unit: Unit::Plain },
        y: Axis { label: "CPU µs an event".to_owned(), scale: Scale::Linear, unit: Unit::Plain },
        series: vec![
            of("stepup and Redis", |done| done.cpu.ours + done.cpu.redis),
            of("stepup", |done| done.cpu.ours),
            of("Redis", |done| done.cpu.redis),
        ],
    }
}

//! What Redis keeps of a customer, and of each bet in the window.

use std::time::Duration;

use stepup::edge::clock;

use crate::catch_up::{self, Role};
use crate::events::{Event, bet};
use crate::figures::{Figures, grouped};
use crate::ground::Ground;
use crate::processes::redis_memory;
use crate::topic;

const CUSTOMERS: u32 = 30_000;
const KEPT: [u32; 4] = [1, 5, 10, 50];

/// All bets stay within the window, and nobody reaches the bound, so that there is nothing but windows.
const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":100,"window_minutes":120}}}"#;

/// What was aimed at: bytes for a customer, and for each bet kept.
const TARGET: (f64, f64) = (250.0, 32.0);

pub fn measure(ground: &Ground, figures: &mut Figures) {
    let head = format!("Redis memory, {} customers", grouped(f64::from(CUSTOMERS)));
    println!("\n{head:<34} {:>16} {:>12}", "bytes a customer", "target");
    let points: Vec<(f64, f64)> =
        KEPT.iter().map(|kept| (f64::from(*kept), bytes_per_customer(ground, *kept))).collect();
    for (kept, bytes) in &points {
        let target = TARGET.0 + TARGET.1 * kept;
        let verdict = if *bytes <= target { "ok" } else { "SHORT" };
        println!(
            "{:<34} {bytes:>16.0} {:>12}   {verdict}",
            format!("  windows of {kept:>2} bets"),
            format!("<= {target:.0}")
        );
        figures.set(&format!("memory.bytes_at_{kept}"), *bytes);
    }
    let (customer, each) = line_through(&points);
    println!("  that is {customer:.0} bytes for a customer and {each:.1} for each bet kept");
    figures.set("memory.bytes_per_customer", customer);
    figures.set("memory.bytes_per_bet", each);
}

/// Lets stepup record so many bets of each customer, and asks Redis how much it has in use afterwards.
fn bytes_per_customer(ground: &Ground, kept: u32) -> f64 {
    ground.forget();
    let stack = ground.stack_of("memory", 1, PREFERENCES);
    let events = topic::fill(&ground.brokers(), &stack.topic("activity"), rounds(kept)).events;
    let mut redis = ground.redis.connect();
    let before = redis_memory(&mut redis);
    catch_up::run(ground, &stack, &Role::new("evaluate", "stepup_events_total", events));
    (redis_memory(&mut redis) - before) / f64::from(CUSTOMERS)
}

/// Every customer bets once a minute.
fn rounds(kept: u32) -> impl Iterator<Item = Event> {
    let began = clock::now().minus(Duration::from_secs(60) * kept);
    (0..kept).flat_map(move |round| {
        let at = began.plus(Duration::from_secs(60) * round);
        (0..CUSTOMERS).map(move |customer| bet(u64::from(round * CUSTOMERS + customer), 0, customer, at))
    })
}

/// The straight line that is nearest to the points: where it begins, and its rise.
fn line_through(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let rise = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>()
        / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
    (y - rise * x, rise)
}

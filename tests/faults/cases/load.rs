//! Too much of everything: memory stays bounded, lag grows instead, and nobody is hurt by somebody else's traffic.

use crate::fleet::PATIENCE;
use crate::report::Figures;
use crate::runner::Readiness::Ready;
use crate::runner::{Case, Trial};
use crate::services::{RedisServer, wait_for};
use crate::world::{Load, Setup, World};

pub const CASES: &[Case] = &[
    Case {
        name: "memory_is_bounded",
        breaks: "the session API hangs and Redis stands still with a full topic behind them",
        readiness: Ready,
        run: memory_is_bounded,
    },
    Case {
        name: "hot_customer_and_hot_tenant",
        breaks: "one customer makes half of the bets, one tenant nine tenths of the events, and a process is killed meanwhile",
        readiness: Ready,
        run: hot,
    },
];

fn memory_is_bounded(trial: &Trial<'_>) -> Figures {
    const EVENTS: u64 = if cfg!(debug_assertions) { 40_000 } else { 200_000 };
    let server = RedisServer::start();
    let redis = Some(format!("url: \"{}\"", server.url()));
    let preferences = "ttl: 3s, timeout: 1s, max_tenants: 100";
    let mut world = World::new(trial, Setup { redis, preferences, batch: 500, ..Setup::default() });
    let member = world.start("evaluate,dispatch");
    let at_rest = world.fleet[member].memory();
    let bound = at_rest + world.fleet[member].memory_bound();
    world.api_faults(r#"[{"kind":"hang"}]"#);
    world.load(Load { customers: 2_000, ..Load::of(EVENTS, Load::ALL_AT_ONCE) });
    world.until_it_flows();
    server.freeze();
    world.fault();
    wait_for(PATIENCE, "the lag has grown", || {
        let lag = world.lag();
        if lag > EVENTS / 5 { Ok(()) } else { Err(format!("{lag}")) }
    });
    let mut peak = 0;
    for _ in 0..10 {
        peak = peak.max(world.fleet[member].memory());
        world.pause(100..400);
    }
    server.thaw();
    world.pause(1_000..2_000);
    peak = peak.max(world.fleet[member].memory());
    world.api_faults("[]");
    world.drained();
    peak = peak.max(world.fleet[member].memory());
    assert!(peak < bound, "{peak} bytes, at rest {at_rest}, at the most {bound}");
    world.finish()
}

fn hot(trial: &Trial<'_>) -> Figures {
    let mut world = World::new(trial, Setup::default());
    let first = world.start("evaluate,dispatch");
    world.start("evaluate,dispatch");
    // Zipf's exponent of 2 gives six tenths to the first customer.
    world.load(Load { tenants: 1, more: &["--skew", "2"], ..Load::of(4_500, 270) });
    world.load(Load::of(500, 30));
    world.until_it_flows();
    for _ in 0..2 {
        world.pause(500..2_000);
        world.fleet[first].kill();
        world.fault();
        world.fleet[first].start(&[]);
    }
    world.finish()
}

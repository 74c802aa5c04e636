//! What happens to Redis.

use stepup::metrics::Role;

use crate::cluster::Cluster;
use crate::fleet::PATIENCE;
use crate::report::Figures;
use crate::runner::Readiness::Ready;
use crate::runner::{Case, Trial};
use crate::services::{RedisServer, wait_for};
use crate::world::{Load, Setup, World};

pub const CASES: &[Case] = &[
    Case {
        name: "redis_slow_and_forgetful",
        breaks: "Redis stands still for longer than a call may take, pauses its clients, cuts them off, forgets its scripts",
        readiness: Ready,
        run: slow_and_forgetful,
    },
    Case {
        name: "redis_out_of_memory",
        breaks: "Redis refuses every write (maxmemory, noeviction) until it has room again",
        readiness: Ready,
        run: out_of_memory,
    },
    Case {
        name: "redis_restarted_with_its_data",
        breaks: "Redis is killed and started again with what it had written to its disk",
        readiness: Ready,
        run: restarted_with_its_data,
    },
    Case {
        name: "redis_restarted_empty",
        breaks: "Redis is killed and started again with nothing in it",
        readiness: Ready,
        run: restarted_empty,
    },
    Case {
        name: "redis_cluster_fails_over",
        breaks: "a primary of a cluster of six is killed, and its replica takes its place",
        readiness: Ready,
        run: fails_over,
    },
    Case {
        name: "redis_cluster_moves_slots",
        breaks: "slots move from one primary to another while they are used (MOVED, ASK)",
        readiness: Ready,
        run: moves_slots,
    },
];

fn on(trial: &Trial<'_>, server: &RedisServer) -> World {
    let redis = Some(format!("url: \"{}\"", server.url()));
    World::new(trial, Setup { redis, ..Setup::default() })
}

fn tell(server: &RedisServer, words: &[&str]) {
    redis::cmd(words[0])
        .arg(&words[1..])
        .exec(&mut server.connect())
        .unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

fn slow_and_forgetful(trial: &Trial<'_>) -> Figures {
    let server = RedisServer::start();
    let mut world = on(trial, &server);
    world.start("evaluate");
    world.start("dispatch");
    world.load(Load::of(4_000, 250));
    world.until_it_flows();
    for round in 0..9 {
        match round % 3 {
            0 => {
                server.freeze();
                world.pause(500..3_500);
                server.thaw();
            }
            1 => tell(&server, &["CLIENT", "PAUSE", "1200", "ALL"]),
            _ => {
                tell(&server, &["SCRIPT", "FLUSH", "SYNC"]);
                tell(&server, &["CLIENT", "KILL", "TYPE", "normal"]);
            }
        }
        world.fault();
        world.pause(100..1_500);
    }
    world.finish()
}

fn out_of_memory(trial: &Trial<'_>) -> Figures {
    let server = RedisServer::start();
    let mut world = on(trial, &server);
    let evaluate = world.start("evaluate");
    world.start("dispatch");
    world.load(Load::of(3_000, 250));
    world.until_it_flows();
    for _ in 0..3 {
        tell(&server, &["CONFIG", "SET", "maxmemory", "1mb"]);
        world.fault();
        wait_for(PATIENCE, "the role holds its place", || {
            match world.fleet[evaluate].metric("stepup_held", &[Role::Evaluate.name()]) {
                Some(held) if held > 0.0 => Ok(()),
                held => Err(format!("{held:?}")),
            }
        });
        world.pause(0..1_500);
        tell(&server, &["CONFIG", "SET", "maxmemory", "0"]);
        world.pause(500..2_000);
    }
    world.finish()
}

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

fn restarted_with_its_data(trial: &Trial<'_>) -> Figures {
    let mut server = RedisServer::start_with(&DURABLE);
    let mut world = on(trial, &server);
    world.start("evaluate");
    world.start("evaluate,dispatch");
    world.load(Load::of(4_000, 250));
    world.until_it_flows();
    for _ in 0..4 {
        server.kill();
        world.fault();
        world.pause(100..2_000);
        server.restart();
        world.pause(300..2_000);
    }
    world.finish()
}

fn restarted_empty(trial: &Trial<'_>) -> Figures {
    let mut server = RedisServer::start();
    let mut world = on(trial, &server);
    world.start("evaluate");
    world.start("evaluate,dispatch");
    world.load(Load::of(6_000, 250));
    world.until_it_flows();
    for _ in 0..2 {
        world.pause(1_000..4_000);
        server.restart_empty();
        world.fault();
    }
    world.finish()
}

fn fails_over(trial: &Trial<'_>) -> Figures {
    let mut cluster = Cluster::start();
    let mut world = World::new(
        trial,
        Setup { redis: Some(format!("{}, wait_replicas: 1", cluster.setting())), ..Setup::default() },
    );
    world.start("evaluate");
    world.start("dispatch");
    world.load(Load::of(4_000, 250));
    world.until_it_flows();
    for _ in 0..2 {
        let primaries = cluster.primaries();
        let lost = primaries[world.one_of(primaries.len())];
        cluster.lose(lost);
        world.fault();
        world.pause(200..1_500);
        cluster.nodes[lost].restart();
        cluster.until_whole();
    }
    world.finish()
}

fn moves_slots(trial: &Trial<'_>) -> Figures {
    let cluster = Cluster::start();
    let mut world = World::new(trial, Setup { redis: Some(cluster.setting()), ..Setup::default() });
    world.start("evaluate");
    world.start("dispatch");
    world.load(Load::of(4_000, 250));
    world.until_it_flows();
    for round in 0..4 {
        let primaries = cluster.primaries();
        cluster.move_slots(primaries[round % 3], primaries[(round + 1) % 3], 400);
        world.fault();
    }
    world.finish()
}

//! What happens to the brokers and the topics.

use crate::fleet::PATIENCE;
use crate::report::Figures;
use crate::runner::Readiness::Ready;
use crate::runner::{Case, Trial};
use crate::services::{Broker, Layout, add_partitions, wait_for};
use crate::world::{Load, Setup, World};

pub const CASES: &[Case] = &[
    Case {
        name: "broker_killed_and_restarted",
        breaks: "the only broker is killed and comes back with its data",
        readiness: Ready,
        run: killed_and_restarted,
    },
    Case {
        name: "one_of_three_brokers_lost",
        breaks: "of three brokers one after the other is killed: leaders and coordinators move",
        readiness: Ready,
        run: one_of_three_lost,
    },
    Case {
        name: "topics_given_more_partitions",
        breaks: "the topics get more partitions while they are used",
        readiness: Ready,
        run: more_partitions,
    },
];

fn killed_and_restarted(trial: &Trial<'_>) -> Figures {
    let mut broker = Broker::start();
    let mut world = World::new(trial, Setup { brokers: Some(broker.brokers()), ..Setup::default() });
    world.start("evaluate");
    world.start("dispatch");
    world.load(Load::of(4_000, 200));
    world.until_it_flows();
    for _ in 0..2 {
        broker.kill();
        world.fault();
        world.pause(200..2_000);
        broker.restart();
        world.pause(1_000..4_000);
    }
    world.finish()
}

fn one_of_three_lost(trial: &Trial<'_>) -> Figures {
    let mut brokers = Broker::start_as(Layout { nodes: 3, ..Layout::default() });
    let all: Vec<String> = brokers.iter().map(Broker::brokers).collect();
    let mut world = World::new(trial, Setup { brokers: Some(all.join(",")), copies: 3, ..Setup::default() });
    world.start("evaluate");
    world.start("dispatch");
    world.load(Load::of(4_000, 150));
    world.until_it_flows();
    let first = world.one_of(3);
    for lost in [first, (first + 1) % 3] {
        brokers[lost].kill();
        world.fault();
        world.pause(2_000..5_000);
        brokers[lost].restart();
        world.pause(3_000..6_000);
    }
    world.finish()
}

fn more_partitions(trial: &Trial<'_>) -> Figures {
    let mut world = World::new(trial, Setup { partitions: 2, ..Setup::default() });
    let member = world.start("evaluate,dispatch");
    world.load(Load::of(2_000, 250));
    world.until_it_flows();
    for topic in ["activity", "commands", "retries", "outcomes"] {
        add_partitions(&world.brokers, &world.topic(topic), 5);
        world.fault();
    }
    // Customers of their own, so that each stays in one partition.
    world.load(Load::of(2_000, 250));
    wait_for(PATIENCE, "the new partitions are taken up", || {
        let assigned = world.fleet[member].metric("stepup_assigned_partitions", &[]);
        if assigned == Some(15.0) { Ok(()) } else { Err(format!("{assigned:?} of 15")) }
    });
    world.finish()
}

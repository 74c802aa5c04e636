//! What the network does to what goes over it.

use std::time::Duration;

use crate::proxy::{Proxy, Weather};
use crate::report::Figures;
use crate::runner::Readiness::Ready;
use crate::runner::{Case, Trial};
use crate::services::{Broker, Layout, RedisServer, free_port};
use crate::world::{Load, Setup, World};

pub const CASES: &[Case] = &[
    Case {
        name: "network_to_redis",
        breaks: "calls of Redis are delayed, cut in the middle of the request or the answer, half closed, swallowed",
        readiness: Ready,
        run: to_redis,
    },
    Case {
        name: "network_to_the_session_api",
        breaks: "the same on the way to the session API and the preferences",
        readiness: Ready,
        run: to_the_session_api,
    },
    Case { name: "network_to_kafka", breaks: "the same on the way to the broker", readiness: Ready, run: to_kafka },
];

const DELAYED: Weather = Weather { delay: Duration::from_millis(60), ..Weather::CLEAR };
const CUT: Weather = Weather { cut: 0.05, ..Weather::CLEAR };
const HALF_CLOSED: Weather = Weather { half_close: 0.05, ..Weather::CLEAR };
const SILENT: Weather = Weather { silent: true, ..Weather::CLEAR };
const STORM: Weather = Weather { delay: Duration::from_millis(30), cut: 0.03, half_close: 0.03, ..Weather::CLEAR };

/// Lets every kind of weather pass under load, with clear sky between.
fn under_load(mut world: World, proxy: &Proxy) -> Figures {
    world.start("evaluate");
    world.start("dispatch");
    world.load(Load::of(5_000, 250));
    world.until_it_flows();
    for weather in [CUT, DELAYED, HALF_CLOSED, SILENT, STORM].into_iter().cycle().take(6) {
        proxy.weather(weather);
        world.fault();
        world.pause(1_000..3_000);
        proxy.weather(Weather::CLEAR);
        world.pause(200..800);
    }
    world.faults += proxy.broken();
    world.finish()
}

fn to_redis(trial: &Trial<'_>) -> Figures {
    let server = RedisServer::start();
    let proxy = Proxy::to(&format!("127.0.0.1:{}", server.port()), trial.seed);
    let redis = Some(format!("url: \"redis://127.0.0.1:{}\"", proxy.port()));
    let world = World::new(trial, Setup { redis, ..Setup::default() });
    under_load(world, &proxy)
}

fn to_the_session_api(trial: &Trial<'_>) -> Figures {
    let mut world = World::new(trial, Setup::default());
    let proxy = Proxy::to(world.api_address.trim_start_matches("http://"), trial.seed);
    world.api_of_roles = Some(format!("http://127.0.0.1:{}", proxy.port()));
    under_load(world, &proxy)
}

fn to_kafka(trial: &Trial<'_>) -> Figures {
    let detour = free_port();
    let proxy = Proxy::to(&format!("127.0.0.1:{detour}"), trial.seed);
    let broker = Broker::start_as(Layout { detour: Some((detour, proxy.port())), nodes: 1 }).remove(0);
    let brokers_of_roles = Some(format!("127.0.0.1:{}", proxy.port()));
    let world = World::new(trial, Setup { brokers: Some(broker.brokers()), brokers_of_roles, ..Setup::default() });
    under_load(world, &proxy)
}

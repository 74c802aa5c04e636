//! All faults in mixtures drawn from the seed, as long as it is asked for: every few seconds one begins, lasts for a while
//! beside those that last already, and ends. At the end everything is whole.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use stepup::failpoint::Step;

use crate::proxy::{Proxy, Weather};
use crate::report::{Figures, say};
use crate::runner::{Case, Readiness, Trial};
use crate::services::{Broker, Layout, RedisServer, free_port, wait_for};
use crate::world::{Load, RECOVERY, Setup, World};

pub const CASE: Case = Case {
    name: "soak",
    breaks: "all of it in mixtures drawn from the seed, with six evaluators, three dispatchers and 64 partitions",
    readiness: Readiness::Ready,
    run: soak,
};

/// Events a second.
const RATE: u64 = if cfg!(debug_assertions) { 150 } else { 600 };

/// What can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    MemberKilled,
    MemberStopped,
    MemberStalled,
    MemberAtFailpoint,
    RedisFrozen,
    RedisPaused,
    RedisForgetsScripts,
    RedisFull,
    RedisRestarted,
    RedisEmptied,
    BrokerRestarted,
    BrokerFrozen,
    ApiFails,
    PreferencesFail,
    WayToRedis,
    WayToApi,
    WayToBroker,
}

const FAULTS: [Fault; 17] = [
    Fault::MemberKilled,
    Fault::MemberStopped,
    Fault::MemberStalled,
    Fault::MemberAtFailpoint,
    Fault::RedisFrozen,
    Fault::RedisPaused,
    Fault::RedisForgetsScripts,
    Fault::RedisFull,
    Fault::RedisRestarted,
    Fault::RedisEmptied,
    Fault::BrokerRestarted,
    Fault::BrokerFrozen,
    Fault::ApiFails,
    Fault::PreferencesFail,
    Fault::WayToRedis,
    Fault::WayToApi,
    Fault::WayToBroker,
];

/// What a fault met. One thing has one fault at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Member(usize),
    Redis,
    Broker,
    Api,
    Way(usize),
}

struct Soak {
    world: World,
    redis: RedisServer,
    broker: Broker,
    /// The ways to Redis, the session API and the broker.
    ways: [Proxy; 3],
    /// Faults that last: until when, what, and whom they met.
    lasting: Vec<(Instant, Fault, Victim)>,
    counts: BTreeMap<Fault, u64>,
}

const TO_REDIS: usize = 0;
const TO_API: usize = 1;
const TO_BROKER: usize = 2;

fn soak(trial: &Trial<'_>) -> Figures {
    let mut soak = Soak::new(trial);
    let until = Instant::now() + trial.lasts;
    while Instant::now() < until {
        soak.keep_loaded();
        soak.begin_one();
        let next = Instant::now() + Duration::from_millis(soak.world.chance.random_range(2_000..10_000));
        soak.pass_until(next.min(until));
    }
    soak.end_all();
    soak.world.fault();
    wait_for(RECOVERY, "the lag is gone after the last fault", || match soak.world.lag() {
        // The load goes on, so something is always under way.
        lag if lag < RATE * 2 => Ok(()),
        lag => Err(format!("{lag}")),
    });
    let counted: Vec<String> = soak.counts.iter().map(|(fault, count)| format!("{fault:?} {count}")).collect();
    say(&format!("faults: {}", counted.join(", ")));
    soak.world.faults += soak.ways.iter().map(Proxy::broken).sum::<u64>();
    soak.world.finish()
}

impl Soak {
    fn new(trial: &Trial<'_>) -> Self {
        let redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
        let to_redis = Proxy::to(&format!("127.0.0.1:{}", redis.port()), trial.seed);
        let detour = free_port();
        let to_broker = Proxy::to(&format!("127.0.0.1:{detour}"), trial.seed ^ 1);
        let broker = Broker::start_as(Layout { detour: Some((detour, to_broker.port())), nodes: 1 }).remove(0);
        let setup = Setup {
            brokers: Some(broker.brokers()),
            brokers_of_roles: Some(format!("127.0.0.1:{}", to_broker.port())),
            redis: Some(format!("url: \"redis://127.0.0.1:{}\"", to_redis.port())),
            partitions: 64,
            ..Setup::default()
        };
        let mut world = World::new(trial, setup);
        let to_api = Proxy::to(world.api_address.trim_start_matches("http://"), trial.seed ^ 2);
        world.api_of_roles = Some(format!("http://127.0.0.1:{}", to_api.port()));
        let (evaluate, dispatch, both) = ("evaluate", "dispatch", "evaluate,dispatch");
        for roles in [evaluate, evaluate, evaluate, evaluate, dispatch, both, both] {
            world.start_early(roles);
        }
        let ways = [to_redis, to_api, to_broker];
        Self { world, redis, broker, ways, lasting: Vec::new(), counts: BTreeMap::new() }
    }

    /// A minute of events after the other.
    fn keep_loaded(&mut self) {
        let broker_is_away = self.lasting.iter().any(|(.., met)| *met == Victim::Broker);
        if !self.world.is_sending() && !broker_is_away {
            self.world.load(Load::of(RATE * 60, RATE));
            self.world.until_the_load_begins();
        }
    }

    /// Lets time pass, and ends what is to end meanwhile.
    fn pass_until(&mut self, next: Instant) {
        while Instant::now() < next {
            std::thread::sleep(Duration::from_millis(50));
            let now = Instant::now();
            let (over, lasting) = std::mem::take(&mut self.lasting).into_iter().partition(|(until, ..)| *until <= now);
            self.lasting = lasting;
            let over: Vec<_> = over;
            over.into_iter().for_each(|(_, fault, victim)| self.end(fault, victim));
            self.restart_the_aborted();
        }
    }

    fn restart_the_aborted(&mut self) {
        for place in 0..self.world.fleet.len() {
            let armed = (Fault::MemberAtFailpoint, Victim::Member(place));
            let position = self.lasting.iter().position(|(_, fault, victim)| (*fault, *victim) == armed);
            if let Some(position) = position
                && self.world.fleet[place].has_aborted()
            {
                self.lasting.remove(position);
                self.world.fault();
                self.world.fleet[place].start(&[]);
            }
        }
    }

    fn victim(&mut self, fault: Fault) -> Victim {
        match fault {
            Fault::MemberKilled | Fault::MemberStopped | Fault::MemberStalled | Fault::MemberAtFailpoint => {
                Victim::Member(self.world.one_of(self.world.fleet.len()))
            }
            Fault::RedisFrozen
            | Fault::RedisPaused
            | Fault::RedisForgetsScripts
            | Fault::RedisFull
            | Fault::RedisRestarted
            | Fault::RedisEmptied => Victim::Redis,
            Fault::BrokerRestarted | Fault::BrokerFrozen => Victim::Broker,
            Fault::ApiFails | Fault::PreferencesFail => Victim::Api,
            Fault::WayToRedis => Victim::Way(TO_REDIS),
            Fault::WayToApi => Victim::Way(TO_API),
            Fault::WayToBroker => Victim::Way(TO_BROKER),
        }
    }

    /// Begins a fault that is drawn, where what it meets has none.
    fn begin_one(&mut self) {
        let fault = *FAULTS.choose(&mut self.world.chance).unwrap();
        let victim = self.victim(fault);
        let lasts = Duration::from_millis(self.world.chance.random_range(300..6_000));
        if self.lasting.iter().any(|(_, _, met)| *met == victim) {
            return;
        }
        self.begin(fault, victim);
        *self.counts.entry(fault).or_default() += 1;
        self.world.fault();
        self.lasting.push((Instant::now() + lasts, fault, victim));
    }

    fn begin(&mut self, fault: Fault, victim: Victim) {
        match (fault, victim) {
            (Fault::MemberKilled, Victim::Member(place)) => self.world.fleet[place].kill(),
            (Fault::MemberStopped, Victim::Member(place)) => self.world.fleet[place].stop(),
            (Fault::MemberStalled, Victim::Member(place)) => self.world.fleet[place].freeze(),
            (Fault::MemberAtFailpoint, Victim::Member(place)) => self.arm(place),
            (Fault::RedisFrozen, _) => self.redis.freeze(),
            (Fault::RedisPaused, _) => self.tell(&["CLIENT", "PAUSE", "1500", "ALL"]),
            (Fault::RedisForgetsScripts, _) => self.tell(&["SCRIPT", "FLUSH", "SYNC"]),
            (Fault::RedisFull, _) => self.tell(&["CONFIG", "SET", "maxmemory", "1mb"]),
            (Fault::RedisRestarted, _) => self.redis.kill(),
            (Fault::RedisEmptied, _) => self.redis.restart_empty(),
            (Fault::BrokerRestarted, _) => self.broker.kill(),
            (Fault::BrokerFrozen, _) => self.broker.freeze(),
            (Fault::ApiFails, _) => self.spoil("session"),
            (Fault::PreferencesFail, _) => self.spoil("preferences"),
            (_, Victim::Way(way)) => {
                let weather = weather(&mut self.world.chance);
                self.ways[way].weather(weather);
            }
            (fault, victim) => unreachable!("{fault:?} does not meet {victim:?}"),
        }
    }

    fn end(&mut self, fault: Fault, victim: Victim) {
        match (fault, victim) {
            (Fault::MemberKilled | Fault::MemberStopped, Victim::Member(place)) => self.world.fleet[place].start(&[]),
            (Fault::MemberStalled, Victim::Member(place)) => self.world.fleet[place].thaw(),
            // It was not met: the process goes on without.
            (Fault::MemberAtFailpoint, Victim::Member(place)) => {
                if !self.world.fleet[place].has_aborted() {
                    self.world.fleet[place].kill();
                }
                self.world.fleet[place].start(&[]);
            }
            (Fault::RedisFrozen, _) => self.redis.thaw(),
            (Fault::RedisFull, _) => self.tell(&["CONFIG", "SET", "maxmemory", "0"]),
            (Fault::RedisRestarted, _) => self.redis.restart(),
            (Fault::BrokerRestarted, _) => self.broker.restart(),
            (Fault::BrokerFrozen, _) => self.broker.thaw(),
            (Fault::ApiFails | Fault::PreferencesFail, _) => self.world.api_faults("[]"),
            (_, Victim::Way(way)) => self.ways[way].weather(Weather::CLEAR),
            (Fault::RedisPaused | Fault::RedisForgetsScripts | Fault::RedisEmptied, _) => {}
            (fault, victim) => unreachable!("{fault:?} does not meet {victim:?}"),
        }
    }

    fn end_all(&mut self) {
        for (_, fault, victim) in std::mem::take(&mut self.lasting) {
            self.end(fault, victim);
        }
    }

    /// Starts a process anew that dies at some step.
    fn arm(&mut self, place: usize) {
        let step = *Step::ALL.choose(&mut self.world.chance).unwrap();
        let failpoint = format!("{}:{}", step.name(), self.world.chance.random_range(1..30));
        self.world.fleet[place].kill();
        self.world.fleet[place].start(&[("STEPUP_FAILPOINT", &failpoint)]);
    }

    fn tell(&self, words: &[&str]) {
        let mut connection = self.redis.connect();
        redis::cmd(words[0])
            .arg(&words[1..])
            .exec(&mut connection)
            .unwrap_or_else(|error| panic!("{words:?}: {error}"));
    }

    fn spoil(&mut self, endpoint: &str) {
        let kinds = [
            r#""kind":"delay","delay_ms":600"#,
            r#""kind":"hang""#,
            r#""kind":"status","status":503"#,
            r#""kind":"status","status":429,"retry_after":1"#,
            r#""kind":"status","status":504,"carried_out":true"#,
            r#""kind":"cut_after""#,
            r#""kind":"cut_before""#,
            r#""kind":"garbage""#,
            r#""kind":"status","status":403,"tenant":"tenant-1""#,
        ];
        let kind = kinds.choose(&mut self.world.chance).unwrap();
        let rate: f64 = self.world.chance.random_range(0.1..1.0);
        self.world.api_faults(&format!(r#"[{{{kind},"on":"{endpoint}","rate":{rate:.2}}}]"#));
    }
}

fn weather(chance: &mut rand_chacha::ChaCha8Rng) -> Weather {
    let share = chance.random_range(0.005..0.08);
    match chance.random_range(0..4) {
        0 => Weather { delay: Duration::from_millis(chance.random_range(5..150)), ..Weather::CLEAR },
        1 => Weather { cut: share, ..Weather::CLEAR },
        2 => Weather { half_close: share, ..Weather::CLEAR },
        _ => Weather { silent: true, ..Weather::CLEAR },
    }
}

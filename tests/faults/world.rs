//! A world of one case's own: topics, keys, preferences, the session API's simulator, the processors, and the load.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::fleet::{Member, PATIENCE, Process};
use crate::report::Figures;
use crate::runner::Trial;
use crate::services::{self, create_topic_with, free_port, unique, wait_for};
use crate::{http, judge};

/// How long a queue may take to be worked off after the last fault.
pub const RECOVERY: Duration = Duration::from_secs(60);
/// How long the load may take in all, from its first event on.
const LOAD: Duration = Duration::from_secs(420);

const EVERYTHING: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-01-01T00:00:00Z","reuse_kyc_triggers":{
    "login":true,"password_change":true,"new_device_or_location":true,"payment_method_change":true,
    "phone_number_change":true,"account_balance_transfer":true,"two_factor_auth_change":true,
    "deposit":{"enabled":true,"threshold":150},"withdrawal":{"enabled":true,"threshold":100},
    "large_bet_placement":{"enabled":true,"threshold":60},
    "high_frequency_betting":{"enabled":true,"count":6,"window_minutes":5}}}"#;
const BETS: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-02-01T00:00:00Z","reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":4,"window_minutes":2},
    "large_bet_placement":{"enabled":true,"threshold":100}}}"#;
const OFF: &str = r#"{"is_reuse_kyc_enabled":false,"reuse_kyc_triggers":{"login":true}}"#;
/// More of what asks somebody than people do.
const MIX: &str = "bet=75,login=6,deposit=6,withdrawal=5,new_device_or_location=2,password_change=2,payment_method_change=2,\
                   phone_number_change=1,account_balance_transfer=1";
/// Of four tenants the last has no preferences.
const TENANTS: u64 = 4;

/// Where a world stands. What is not said is shared with the other cases.
pub struct Setup {
    /// The brokers as this process, the load and the judge reach them.
    pub brokers: Option<String>,
    /// As the processors do.
    pub brokers_of_roles: Option<String>,
    pub copies: i32,
    /// The value of `redis` in the configuration, but for the prefix.
    pub redis: Option<String>,
    pub partitions: i32,
    pub session_timeout: Duration,
    pub batch: u32,
    /// The look-ups' settings in the configuration.
    pub preferences: &'static str,
    /// Further lines of the configuration.
    pub extra: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            brokers: None,
            brokers_of_roles: None,
            copies: 1,
            redis: None,
            partitions: 4,
            session_timeout: Duration::from_secs(3),
            batch: 100,
            preferences: "ttl: 3s, timeout: 1s",
            extra: "",
        }
    }
}

/// The load of a case.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub events: u64,
    pub rate: u64,
    pub customers: u64,
    pub tenants: u64,
    /// Further arguments of `replay`.
    pub more: &'static [&'static str],
}

impl Load {
    /// As fast as the brokers take them.
    pub const ALL_AT_ONCE: u64 = u64::MAX;

    pub fn of(events: u64, rate: u64) -> Self {
        Self { events, rate, customers: 150, tenants: TENANTS, more: &[] }
    }
}

pub struct World {
    pub name: String,
    seed: u64,
    pub chance: ChaCha8Rng,
    pub directory: PathBuf,
    pub setup: Setup,
    pub brokers: String,
    redis: String,
    _api: Process,
    /// Where the simulator listens.
    pub api_address: String,
    /// Where the processors look for it.
    pub api_of_roles: Option<String>,
    pub fleet: Vec<Member>,
    loads: Vec<Process>,
    finished: Vec<Value>,
    pub faults: u64,
    last_fault: Instant,
    /// When the load that was begun last has sent its events.
    sending_until: Option<Instant>,
    /// The endings that a command may have.
    pub statuses: BTreeSet<&'static str>,
}

impl World {
    pub fn new(trial: &Trial<'_>, setup: Setup) -> Self {
        let name = unique(trial.name);
        let brokers = setup.brokers.clone().unwrap_or_else(|| services::kafka().to_owned());
        let redis = setup.redis.clone().unwrap_or_else(|| format!("url: \"{}\"", services::redis_url()));
        for topic in ["activity", "commands", "shadow", "outcomes", "retries", "dead-letters", "receipts"] {
            create_topic_with(&brokers, &format!("{name}-{topic}"), setup.partitions, setup.copies);
        }
        let preferences = trial.directory.join("preferences");
        std::fs::create_dir_all(&preferences).unwrap();
        for (tenant, document) in [EVERYTHING, BETS, OFF].into_iter().enumerate() {
            std::fs::write(preferences.join(format!("tenant-{tenant}.json")), document).unwrap();
        }
        let (api, api_address) = simulator(trial, &preferences.display().to_string());
        Self {
            seed: trial.seed,
            chance: ChaCha8Rng::seed_from_u64(trial.seed),
            directory: trial.directory.to_owned(),
            setup,
            brokers,
            redis,
            _api: api,
            api_address,
            api_of_roles: None,
            fleet: Vec::new(),
            loads: Vec::new(),
            finished: Vec::new(),
            faults: 0,
            last_fault: Instant::now(),
            sending_until: None,
            statuses: BTreeSet::from(["session_created"]),
            name,
        }
    }

    pub fn topic(&self, kind: &str) -> String {
        format!("{}-{kind}", self.name)
    }

    pub fn preferences(&self) -> String {
        self.directory.join("preferences").display().to_string()
    }

    /// Writes a configuration and gives back its path.
    pub fn config(&self, called: &str, brokers: &str, port: u16) -> String {
        let Self { name, setup: Setup { session_timeout, batch, extra, preferences, .. }, redis, .. } = self;
        let api = self.api_of_roles.as_ref().unwrap_or(&self.api_address);
        // The load must not give its own events up while a broker starts again.
        let patient = if called == "watching" { ", message.timeout.ms: 300000" } else { "" };
        let text = format!(
            "kafka:
  brokers: \"{brokers}\"
  group_id: {name}
  topics: {{ activity: [{name}-activity], commands: {name}-commands, shadow_commands: {name}-shadow, outcomes: {name}-outcomes, \
             retries: {name}-retries, dead_letters: {name}-dead-letters, receipts: {name}-receipts }}
  properties: {{ session.timeout.ms: {}, heartbeat.interval.ms: 500, reconnect.backoff.max.ms: 1000{patient} }}
redis: {{ {redis}, key_prefix: f{} }}
preferences: {{ source: http, url: \"{api}/api/v1/kyc/preferences\", {preferences} }}
session_api: {{ url: \"{api}\", timeout: 1s, connect_timeout: 1s }}
evaluate: {{ batch_size: {batch} }}
dispatch: {{ park_after: 300ms, backoff_base: 50ms, backoff_cap: 2s, pause: 2s }}
http: {{ listen: \"127.0.0.1:{port}\" }}
{extra}
",
            session_timeout.as_millis(),
            &name[name.len() - 16..],
        );
        let path = self.directory.join(format!("{called}.yaml"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The configuration of those who watch.
    pub fn watching(&self) -> String {
        self.config("watching", &self.brokers, 1)
    }

    /// A further process with these roles, not started yet.
    pub fn member(&mut self, roles: &str) -> usize {
        let (number, port) = (self.fleet.len(), free_port());
        let called = format!("{}-{number}", roles.replace(',', "-"));
        let brokers = self.setup.brokers_of_roles.clone().unwrap_or_else(|| self.brokers.clone());
        let config = self.config(&called, &brokers, port);
        let process = Process::new(&self.directory, &called, &["run", "--config", &config, "--roles", roles]);
        self.fleet.push(Member::new(process, port));
        number
    }

    /// A further process with these roles, which runs and is ready.
    pub fn start(&mut self, roles: &str) -> usize {
        let number = self.start_early(roles);
        self.fleet[number].until_ready();
        number
    }

    /// The same, but nobody waits until it is ready.
    pub fn start_early(&mut self, roles: &str) -> usize {
        let number = self.member(roles);
        self.fleet[number].start(&[]);
        number
    }

    /// Begins to send events.
    pub fn load(&mut self, load: Load) {
        let number = self.loads.len() + self.finished.len();
        let seed = self.seed.wrapping_add(number as u64);
        let numbers = [load.events, load.rate, load.customers, load.tenants, seed].map(|n| n.to_string());
        let [events, rate, customers, tenants, seed] = &numbers;
        let (config, preferences) = (self.watching(), self.preferences());
        #[rustfmt::skip]
        let args = [
            "replay", "--config", &config, "--synthetic", "--json", "--events", events, "--seed", seed,
            "--run-id", &format!("r{number}"), "--tenants", tenants, "--customers", customers, "--late", "3%",
            "--repeated", "3%", "--out-of-order", "3%", "--malformed", "1%", "--bursts", "1%",
            "--mix", MIX, "--preferences", &preferences,
            "--drain", &format!("{}s", LOAD.as_secs()), "--slo", "lost=0,repeated=0",
        ];
        let rate: &[&str] = if load.rate == Load::ALL_AT_ONCE { &["--rate", "max"] } else { &["--rate", rate] };
        let args = [&args[..], rate, load.more].concat();
        let mut process = Process::new(&self.directory, &format!("load-{number}"), &args);
        process.start(&[]);
        self.sending_until = Some(Instant::now() + Duration::from_secs(load.events / load.rate.max(1)));
        self.loads.push(process);
    }

    /// Waits until the last load has found its brokers, without which it does not begin.
    pub fn until_the_load_begins(&mut self) {
        wait_for(PATIENCE, "the load begins", || {
            self.collect();
            let begun = self.loads.last().is_none_or(|load| load.stderr().contains("run r"));
            if begun { Ok(()) } else { Err("it has not told what it does".to_owned()) }
        });
    }

    /// Whether some events are still to be sent or to come to their end.
    pub fn is_loaded(&mut self) -> bool {
        self.collect();
        !self.loads.is_empty()
    }

    /// Whether events are still to be sent.
    pub fn is_sending(&mut self) -> bool {
        self.collect();
        self.sending_until.is_some_and(|until| Instant::now() < until) && !self.loads.is_empty()
    }

    /// Takes the figures of the loads that have come to their end.
    fn collect(&mut self) {
        let mut running = Vec::new();
        for mut load in self.loads.drain(..) {
            match load.ended() {
                None => running.push(load),
                Some(status) => {
                    let (stdout, stderr) = (load.stdout(), load.stderr());
                    assert!(status.success(), "the load's end: {status}\n{stdout}{stderr}");
                    self.finished.push(serde_json::from_str(stdout.trim()).expect("the load's figures"));
                }
            }
        }
        self.loads = running;
    }

    /// Counts a fault that happened.
    pub fn fault(&mut self) {
        self.faults += 1;
        self.last_fault = Instant::now();
    }

    /// The pause between two faults, in milliseconds. It is a part of the fault's schedule and waits for nothing.
    pub fn pause(&mut self, millis: std::ops::Range<u64>) {
        let pause = self.chance.random_range(millis);
        std::thread::sleep(Duration::from_millis(pause));
    }

    pub fn one_of(&mut self, number: usize) -> usize {
        self.chance.random_range(0..number)
    }

    /// Puts these faults of the session API in force, and counts them.
    pub fn api_faults(&mut self, faults: &str) {
        http::put(&format!("{}/sim/faults", self.api_address), faults)
            .unwrap_or_else(|error| panic!("{faults}: {error}"));
        self.fault();
    }

    /// Records that the processes which run have not worked off.
    pub fn lag(&self) -> u64 {
        let of = |member: &Member| member.metric("stepup_consumer_lag", &[]).unwrap_or_default();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a lag is a count")]
        self.fleet.iter().filter(|member| member.runs()).map(|member| of(member) as u64).sum()
    }

    /// Waits until events are being decided.
    #[track_caller]
    pub fn until_it_flows(&mut self) {
        let topic = self.topic("commands");
        wait_for(PATIENCE, "commands come", || {
            let records = services::read_all(&self.brokers, &topic);
            if records.is_empty() { Err("no command yet".to_owned()) } else { Ok(()) }
        });
    }

    /// Waits until the load is worked off, judges what came out, and stops everything.
    #[track_caller]
    pub fn finish(mut self) -> Figures {
        let healthy = self.sending_until.unwrap_or(self.last_fault).max(self.last_fault);
        self.drained();
        let recovery = Instant::now().saturating_duration_since(healthy);
        for member in self.fleet.iter_mut().filter(|member| member.runs()) {
            member.stays();
        }
        let judged = judge::judge(&self);
        for member in self.fleet.iter_mut().filter(|member| member.runs()) {
            member.stop();
        }
        judge::audit(&self);
        judge::no_secret_is_told(&self);
        let sum = |name: &str| self.finished.iter().filter_map(|load| load[name].as_u64()).sum::<u64>();
        assert_eq!(sum("unexpected"), 0, "commands that no decision offline asks for: {:?}", self.finished);
        Figures {
            events: sum("produced"),
            faults: self.faults,
            commands: judged.commands,
            sessions: judged.sessions,
            orphans: judged.orphans,
            recovery,
        }
    }

    /// Waits until every event and every command has its end.
    #[track_caller]
    pub fn drained(&mut self) {
        wait_for(LOAD, "the load is worked off", || {
            self.collect();
            for member in self.fleet.iter_mut().filter(|member| member.runs()) {
                member.stays();
            }
            if self.loads.is_empty() { Ok(()) } else { Err(format!("{} loads are not", self.loads.len())) }
        });
    }

    /// The session API's sessions, with their tokens.
    pub fn sessions(&self) -> Vec<Value> {
        let (mut sessions, mut after) = (Vec::new(), String::new());
        loop {
            let url = format!("{}/sim/sessions?limit=100000&tokens=1{after}", self.api_address);
            let mut page = http::json(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
            sessions.append(page["sessions"].as_array_mut().unwrap());
            match page["next"].as_u64() {
                Some(next) => after = format!("&after={next}"),
                None => return sessions,
            }
        }
    }

    /// Runs a verb of the binary to its end and gives back its standard output.
    pub fn verb(&self, called: &str, args: &[&str]) -> (std::process::ExitStatus, String, String) {
        let mut process = Process::new(&self.directory, called, args);
        process.start(&[]);
        let status = wait_for(PATIENCE, "the verb ends", || process.ended().ok_or_else(|| called.to_owned()));
        (status, process.stdout(), process.stderr())
    }
}

/// Starts the simulator, and gives back where it listens.
fn simulator(trial: &Trial<'_>, preferences: &str) -> (Process, String) {
    let seed = trial.seed.to_string();
    let args = ["session-api", "--listen", "127.0.0.1:0", "--preferences", preferences, "--seed", &seed];
    let mut process = Process::new(trial.directory, "session-api", &args);
    process.start(&[]);
    let address = wait_for(PATIENCE, "the simulator listens", || {
        let said = process.stderr();
        // A line without its end may still grow.
        let lines = said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let address = lines.filter_map(|line| line.strip_prefix("session-api listens on ")).next();
        address.map(str::to_owned).ok_or_else(|| said.clone())
    });
    (process, address)
}

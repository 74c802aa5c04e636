//! A whole stepup over the real services: topics, preferences, the session API's simulator, and the processor as a process
//! of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use stepup::roles::session_api::{self, Simulator, SimulatorSettings};
use tokio_util::sync::CancellationToken;

pub use crate::services::free_port;
use crate::services::{self, Record, StepupProcess, create_topic, read_all, unique, wait_for};

/// Long enough for anything that is not broken, on a busy machine with two cores.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub struct Stack {
    pub name: String,
    pub brokers: String,
    pub redis: String,
    pub directory: tempfile::TempDir,
    api: Api,
    /// Lines of the configuration beside those that place the services.
    pub extra: Vec<String>,
}

/// The simulator, in this process.
struct Api {
    address: SocketAddr,
    stop: CancellationToken,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Api {
    fn start(preferences: &Path, credentials: Option<&Path>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let credentials = credentials.map(Path::to_owned);
        let simulator = Simulator::new(SimulatorSettings { credentials, ..SimulatorSettings::new(preferences) });
        runtime.spawn(session_api::serve(listener, simulator, stop.clone()));
        Self { address, stop, runtime: Some(runtime) }
    }
}

impl Stack {
    /// Topics, preferences and a simulator of this test's own, on the shared services.
    pub fn new(name: &str, partitions: i32, preferences: &[(&str, &str)]) -> Self {
        Self::on(name, partitions, preferences, services::kafka(), services::redis_url())
    }

    pub fn on(name: &str, partitions: i32, preferences: &[(&str, &str)], brokers: &str, redis: &str) -> Self {
        let name = unique(name);
        let directory = services::directory(&name);
        std::fs::create_dir(directory.path().join("preferences")).unwrap();
        for topic in ["activity", "commands", "shadow", "outcomes", "retries", "dead-letters", "receipts"] {
            create_topic(brokers, &format!("{name}-{topic}"), partitions);
        }
        let api = Api::start(&directory.path().join("preferences"), None);
        let stack =
            Self { name, brokers: brokers.to_owned(), redis: redis.to_owned(), directory, api, extra: Vec::new() };
        for (tenant, document) in preferences {
            stack.prefer(tenant, document);
        }
        stack
    }

    /// Adds lines to the configuration.
    pub fn with(mut self, lines: &str) -> Self {
        self.extra.push(lines.to_owned());
        self
    }

    /// Lets in only who brings the tenant's credential, as it stands in the directory `credentials`.
    pub fn guarded(mut self, credentials: &[(&str, &str)]) -> Self {
        let directory = self.directory.path().join("credentials");
        std::fs::create_dir(&directory).unwrap();
        for (tenant, credential) in credentials {
            std::fs::write(directory.join(tenant), credential).unwrap();
        }
        self.api = Api::start(&self.preferences(), Some(&directory));
        self
    }

    pub fn preferences(&self) -> std::path::PathBuf {
        self.directory.path().join("preferences")
    }

    /// Gives a tenant these preferences, in one step.
    pub fn prefer(&self, tenant: &str, document: &str) {
        let new = self.directory.path().join("new.json");
        std::fs::write(&new, document).unwrap();
        std::fs::rename(new, self.preferences().join(format!("{tenant}.json"))).unwrap();
    }

    pub fn topic(&self, kind: &str) -> String {
        format!("{}-{kind}", self.name)
    }

    pub fn api_address(&self) -> SocketAddr {
        self.api.address
    }

    pub fn api(&self) -> String {
        format!("http://{}", self.api.address)
    }

    /// Writes the configuration and gives back its path. `port` is that of the processor's own pages.
    pub fn config(&self, port: u16) -> String {
        let (name, brokers, redis) = (&self.name, &self.brokers, &self.redis);
        let mut text = format!(
            "kafka:\n  brokers: \"{brokers}\"\n  group_id: {name}\n  topics: {{ activity: [{name}-activity], commands: {name}-commands, shadow_commands: {name}-shadow, \
             outcomes: {name}-outcomes, retries: {name}-retries, dead_letters: {name}-dead-letters, \
             receipts: {name}-receipts }}\n\
             redis: {{ url: \"{redis}\", key_prefix: s{} }}\n\
             preferences: {{ source: directory, directory: \"{}\" }}\n\
             session_api: {{ url: \"{}\" }}\n\
             http: {{ listen: \"127.0.0.1:{port}\" }}\n",
            &name[name.len() - 16..],
            self.preferences().display(),
            self.api(),
        );
        for lines in &self.extra {
            text.push_str(lines);
            text.push('\n');
        }
        let path = self.directory.path().join(format!("stepup-{port}.yaml"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Starts a processor.
    pub fn run(&self, roles: &str) -> Processor {
        self.run_with(roles, &[])
    }

    /// The same with these variables in its environment.
    pub fn run_with(&self, roles: &str, env: &[(&str, &str)]) -> Processor {
        self.run_program(env!("CARGO_BIN_EXE_stepup"), roles, env)
    }

    /// The same of another build.
    pub fn run_program(&self, program: &str, roles: &str, env: &[(&str, &str)]) -> Processor {
        let port = free_port();
        let config = self.config(port);
        let args = ["run", "--config", &config, "--roles", roles];
        let process = StepupProcess::start_program(program, &args, env);
        Processor { process, pages: format!("http://127.0.0.1:{port}") }
    }

    pub fn produce(&self, events: &[(String, String)]) {
        services::produce(&self.brokers, &self.topic("activity"), events);
    }

    pub fn read(&self, kind: &str) -> Vec<Record> {
        read_all(&self.brokers, &self.topic(kind))
    }

    /// What stands on a topic, as JSON.
    pub fn json(&self, kind: &str) -> Vec<Value> {
        self.read(kind).iter().map(|record| serde_json::from_slice(&record.payload).unwrap()).collect()
    }

    /// Waits until so many different commands have an outcome, and gives back every outcome on the topic.
    #[track_caller]
    pub fn outcomes(&self, commands: usize) -> Vec<Value> {
        wait_for(PATIENCE, "every command has an outcome", || {
            let outcomes = self.json("outcomes");
            let ended: BTreeSet<&str> = outcomes.iter().filter_map(|outcome| outcome["command_id"].as_str()).collect();
            if ended.len() >= commands { Ok(outcomes) } else { Err(format!("{} of {commands}", ended.len())) }
        })
    }

    /// What the simulator says, from one of its `/sim` pages.
    pub fn simulator(&self, page: &str) -> Value {
        let url = format!("{}{page}", self.api());
        let text = get(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
        serde_json::from_str(&text).unwrap()
    }

    pub fn faults(&self, faults: &str) {
        let url = format!("{}/sim/faults", self.api());
        let answer = services::block_on(async {
            client().put(url).header("content-type", "application/json").body(faults.to_owned()).send().await
        });
        assert!(answer.unwrap().status().is_success(), "{faults}");
    }
}

/// A running processor and where its pages are.
pub struct Processor {
    pub process: StepupProcess,
    pages: String,
}

impl Processor {
    /// The address of a page.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.pages)
    }

    /// The status of a page and its text; an error where nothing answers.
    pub fn page(&self, path: &str) -> Result<String, String> {
        get(&format!("{}{path}", self.pages))
    }

    /// Waits until `/readyz` says so.
    #[track_caller]
    pub fn until_ready(&self) {
        wait_for(PATIENCE, "the processor is ready", || self.page("/readyz"));
    }

    /// Asks it to stop, which it does well and in time.
    #[track_caller]
    pub fn stop(&mut self) {
        self.process.sigterm();
        assert!(self.process.wait_exit(PATIENCE).success(), "{}", self.process.stderr());
    }

    /// The sum of a metric's series whose labels hold all of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.page("/metrics").unwrap();
        let of = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (own, rest) = series.split_once('{').unwrap_or((series, ""));
            (own == name && labels.iter().all(|label| rest.contains(label))).then(|| value.parse::<f64>().ok())?
        };
        text.lines().filter_map(of).sum()
    }
}

fn client() -> reqwest::Client {
    stepup::edge::tls::install_tls_provider();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap()
}

/// The text of a page that answers with success; else its status and text.
fn get(url: &str) -> Result<String, String> {
    services::block_on(async {
        let answer = client().get(url).send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(text) } else { Err(format!("{status}: {text}")) }
    })
}

/// An event as its sender writes it, keyed by its customer. `more` are further fields, beginning with a comma.
pub fn event(tenant: &str, customer: &str, id: &str, kind: &str, at: &str, more: &str) -> (String, String) {
    let payload = format!(
        r#"{{"id":"{id}","tenant_id":"{tenant}","customer_id":"{customer}","type":"{kind}","occurred_at":"{at}"{more}}}"#
    );
    (format!("{tenant}/{customer}"), payload)
}

/// The time now, as events write it.
pub fn just_now() -> String {
    stepup::edge::clock::now().to_string()
}

/// Outcomes by command: every command must have one, and all its records must be the same.
#[track_caller]
pub fn one_outcome_each(outcomes: &[Value]) -> BTreeMap<String, Value> {
    let mut by_command: BTreeMap<String, Value> = BTreeMap::new();
    for outcome in outcomes {
        let command = outcome["command_id"].as_str().expect("a command_id").to_owned();
        let first = by_command.entry(command).or_insert_with(|| outcome.clone());
        assert_eq!(first, outcome, "a command has two different outcomes");
    }
    by_command
}

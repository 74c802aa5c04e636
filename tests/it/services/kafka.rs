//! Kafka brokers.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use super::child::{Child, directory};
use super::{STARTUP, environment, free_port, nap, now};

/// The brokers that all tests of this process share: topics and groups must be unique.
pub fn kafka() -> &'static str {
    static SHARED: OnceLock<(String, Option<Broker>)> = OnceLock::new();
    let (brokers, _broker) = SHARED.get_or_init(|| match environment("STEPUP_TEST_KAFKA") {
        Some(brokers) => (brokers, None),
        None => {
            let broker = Broker::start();
            (broker.brokers(), Some(broker))
        }
    });
    brokers
}

/// One Kafka node, broker and controller in one. It dies with this value.
pub struct Broker {
    identity: Identity,
    // Goes before the directory that it lives in.
    child: Child,
    directory: TempDir,
}

/// What stays the same across restarts.
struct Identity {
    cluster: String,
    node: usize,
    port: u16,
    controller: u16,
    /// Every node that has a vote, as Kafka's settings name them.
    voters: String,
    layout: Layout,
    secure: Option<Door>,
}

/// How brokers are laid out beyond the usual one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layout {
    /// A further listener: its own port, and the port that it tells clients to come to instead.
    pub detour: Option<(u16, u16)>,
    /// Nodes of the cluster; three keep three copies of what the brokers keep for themselves.
    pub nodes: usize,
}

/// Whom a broker lets in over TLS, and by which certificate it is known.
pub struct Secure {
    /// PEM, key and certificate in one file.
    pub identity: PathBuf,
    pub user: String,
    pub password: String,
}

/// A listener over TLS, with SCRAM.
struct Door {
    port: u16,
    secure: Secure,
}

impl Broker {
    /// Starts a broker on free ports of the loopback.
    pub fn start() -> Self {
        Self::start_as(Layout::default()).remove(0)
    }

    /// The same with a second listener, over TLS, that wants a user and a password.
    pub fn start_secure(secure: impl Fn() -> Secure) -> Self {
        Self::start_with(Layout::default(), || Some(Door { port: free_port(), secure: secure() })).remove(0)
    }

    /// Starts the brokers of a cluster.
    pub fn start_as(layout: Layout) -> Vec<Self> {
        Self::start_with(layout, || None)
    }

    fn start_with(layout: Layout, door: impl Fn() -> Option<Door>) -> Vec<Self> {
        let mut reason = String::new();
        for _ in 0..3 {
            match try_start(layout, &door) {
                Ok(brokers) => return brokers,
                Err(error) => reason = error,
            }
        }
        panic!("Kafka does not start: {reason}");
    }

    /// What `bootstrap.servers` must be.
    pub fn brokers(&self) -> String {
        brokers(self.identity.port)
    }

    /// The process id of the JVM.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The port of the listener over TLS.
    pub fn secure_port(&self) -> u16 {
        self.identity.secure.as_ref().expect("a broker that was started secure").port
    }

    /// Gives a user another password. Connections that stand are not asked again.
    pub fn set_password(&self, user: &str, password: &str) {
        let added = format!("SCRAM-SHA-256=[iterations=4096,password={password}]");
        let brokers = self.brokers();
        let args = ["--bootstrap-server", &brokers, "--alter", "--add-config", &added];
        let whom = ["--entity-type", "users", "--entity-name", user];
        let directory = directory("kafka-configs");
        let all = [&args[..], &whom].concat();
        let mut command = java(directory.path(), &["-Xmx128m"], "kafka.admin.ConfigCommand", &all);
        let status = command.wait_exit(STARTUP);
        assert!(status.success(), "{status}; {}", command.last_words());
    }

    /// SIGKILL; connections are cut and nothing listens on the ports any more.
    pub fn kill(&mut self) {
        self.child.kill9();
    }

    /// Starts again with the same data on the same ports; kills first where it runs.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.directory, &self.identity).unwrap_or_else(|reason| panic!("no restart: {reason}"));
    }

    /// The file that holds the first records of a partition.
    pub fn first_file(&self, topic: &str, partition: i32) -> PathBuf {
        self.directory.path().join("log").join(format!("{topic}-{partition}")).join("00000000000000000000.log")
    }

    /// Stops the process where it stands (SIGSTOP): connections stay and get no answers.
    pub fn freeze(&self) {
        self.child.signal("STOP");
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.child.signal("CONT");
    }
}

fn brokers(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// 128 random bits as Kafka writes them: base64 of 22 digits, of which the last holds two bits.
fn cluster_id() -> String {
    let digit = |digits: &[u8]| char::from(digits[rand::random_range(0..digits.len())]);
    let mut id: String =
        (0..21).map(|_| digit(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")).collect();
    id.push(digit(b"AQgw"));
    id
}

fn try_start(layout: Layout, door: impl Fn() -> Option<Door>) -> Result<Vec<Broker>, String> {
    let nodes = layout.nodes.max(1);
    let cluster = cluster_id();
    let ports: Vec<(u16, u16)> = (0..nodes).map(|_| (free_port(), free_port())).collect();
    let voter = |(place, (_, controller)): (usize, &(u16, u16))| format!("{}@127.0.0.1:{controller}", place + 1);
    let voters = ports.iter().enumerate().map(voter).collect::<Vec<_>>().join(",");
    let mut launched = Vec::new();
    for (place, (port, controller)) in ports.into_iter().enumerate() {
        let (cluster, voters) = (cluster.clone(), voters.clone());
        let identity = Identity { cluster, node: place + 1, port, controller, voters, layout, secure: door() };
        let directory = directory("kafka");
        format(&directory, &identity)?;
        launched.push(Broker { child: launch(&directory), identity, directory });
    }
    for broker in &mut launched {
        until_it_answers(&mut broker.child, &broker.identity)?;
    }
    Ok(launched)
}

/// Writes the settings and formats the log directory for them.
fn format(directory: &TempDir, identity: &Identity) -> Result<(), String> {
    let properties = directory.path().join("server.properties");
    let mut settings = settings(identity, &directory.path().join("log"));
    let mut args: Vec<String> = ["format", "-t", &identity.cluster, "-c", path(&properties)].map(str::to_owned).into();
    if let Some(door) = &identity.secure {
        settings = with_door(&settings, door);
        let Secure { user, password, .. } = &door.secure;
        args.push("--add-scram".to_owned());
        args.push(format!("SCRAM-SHA-256=[name={user},iterations=4096,password={password}]"));
    }
    std::fs::write(&properties, settings).map_err(|error| error.to_string())?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut formatter = java(directory.path(), &["-Xmx128m"], "kafka.tools.StorageTool", &args);
    let status = formatter.wait_exit(STARTUP);
    if status.success() { Ok(()) } else { Err(format!("format: {status}; {}", formatter.last_words())) }
}

/// The same settings with a listener under the name `localhost`.
fn with_door(settings: &str, door: &Door) -> String {
    let Door { port, secure } = door;
    let mut with = String::new();
    for line in settings.lines() {
        with.push_str(line);
        match line.split_once('=') {
            Some(("listeners", _)) => with.push_str(&format!(",SECURE://127.0.0.1:{port}")),
            Some(("advertised.listeners", _)) => with.push_str(&format!(",SECURE://localhost:{port}")),
            Some(("listener.security.protocol.map", _)) => with.push_str(",SECURE:SASL_SSL"),
            _ => {}
        }
        with.push('\n');
    }
    with.push_str(&format!(
        "sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.secure.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={identity}
",
        identity = secure.identity.display()
    ));
    with
}

/// Made for short tests: nobody is waited for in a new group, a session may be short, internal topics are small, and a
/// killed broker is forgotten soon enough to come back under its name.
fn settings(Identity { node, port, controller, voters, layout, .. }: &Identity, log: &Path) -> String {
    let (listener, advertised) = layout.detour.map_or_else(Default::default, |(own, told)| {
        (format!(",DETOUR://127.0.0.1:{own}"), format!(",DETOUR://127.0.0.1:{told}"))
    });
    let copies = layout.nodes.clamp(1, 3);
    let in_sync = copies.div_ceil(2);
    format!(
        "process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listener}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,DETOUR:PLAINTEXT
log.dirs={log}
auto.create.topics.enable=false
num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=4
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=2
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
",
        log = log.display()
    )
}

/// Starts a formatted broker and waits until it, and no other under its port, answers.
fn spawn(directory: &TempDir, identity: &Identity) -> Result<Child, String> {
    let mut child = launch(directory);
    until_it_answers(&mut child, identity)?;
    Ok(child)
}

fn launch(directory: &TempDir) -> Child {
    let properties = directory.path().join("server.properties");
    java(directory.path(), &["-Xmx512m"], "kafka.Kafka", &[path(&properties)])
}

fn until_it_answers(child: &mut Child, identity: &Identity) -> Result<(), String> {
    let brokers = brokers(identity.port);
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("reconnect.backoff.max.ms", "200")
        .set("log_level", "0")
        .create()
        .map_err(|error| error.to_string())?;
    let begun = now();
    loop {
        if let Some(status) = child.exited() {
            return Err(format!("{status}; {}", child.last_words()));
        }
        let answer = client.fetch_metadata(None, Duration::from_secs(1)).map(|metadata| metadata.brokers().len());
        match answer {
            Ok(1..) if client.client().fetch_cluster_id(Duration::ZERO).as_ref() == Some(&identity.cluster) => {
                return Ok(());
            }
            Ok(1..) => return Err(format!("another cluster answers on {brokers}")),
            Ok(0) | Err(_) if begun.elapsed() < STARTUP => nap(),
            Ok(0) => return Err(format!("it has not registered itself; {}", child.last_words())),
            Err(error) => return Err(format!("{error}; {}", child.last_words())),
        }
    }
}

/// Runs a class from Kafka's jars, with a JVM that starts fast.
fn java(directory: &Path, options: &[&str], class: &str, args: &[&str]) -> Child {
    let jars = environment("STEPUP_KAFKA_LIBS").expect(
        "these tests need a broker: run ./test, which fetches one, or name a directory with Kafka's jars in \
         STEPUP_KAFKA_LIBS, or a running broker in STEPUP_TEST_KAFKA",
    );
    assert!(Path::new(&jars).is_dir(), "STEPUP_KAFKA_LIBS is no directory: {jars}");
    let class_path = format!("{jars}/*");
    let fast = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"];
    let all = [&fast[..], options, &["-cp", &class_path, class], args].concat();
    Child::spawn(directory, "java", &all, &[])
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

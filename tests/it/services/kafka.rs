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
    port: u16,
    secure: Option<Door>,
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
        Self::start_with(|| None)
    }

    /// The same with a second listener, over TLS, that wants a user and a password.
    pub fn start_secure(secure: impl Fn() -> Secure) -> Self {
        Self::start_with(|| Some(Door { port: free_port(), secure: secure() }))
    }

    fn start_with(door: impl Fn() -> Option<Door>) -> Self {
        let mut reason = String::new();
        for _ in 0..3 {
            let directory = directory("kafka");
            let identity = Identity { cluster: cluster_id(), port: free_port(), secure: door() };
            let started = format(&directory, &identity).and_then(|()| spawn(&directory, &identity));
            match started {
                Ok(child) => return Self { identity, child, directory },
                Err(error) => reason = error,
            }
        }
        panic!("Kafka does not start: {reason}");
    }

    /// What `bootstrap.servers` must be.
    pub fn brokers(&self) -> String {
        brokers(self.identity.port)
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

/// Writes the settings and formats the log directory for them.
fn format(directory: &TempDir, identity: &Identity) -> Result<(), String> {
    let properties = directory.path().join("server.properties");
    let mut settings = settings(identity.port, free_port(), &directory.path().join("log"));
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
fn settings(port: u16, controller: u16, log: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={log}
auto.create.topics.enable=false
num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
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
    let properties = directory.path().join("server.properties");
    let mut child = java(directory.path(), &["-Xmx512m"], "kafka.Kafka", &[path(&properties)]);
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
                return Ok(child);
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

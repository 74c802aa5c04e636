//! A real Redis for a test: started on a free loopback port, gone with the test.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use stepup::edge::redis::{RedisSettings, RedisStore, Servers};
use tempfile::TempDir;

pub(crate) struct Redis {
    url: String,
    /// None where somebody else's server is used.
    process: Option<Process>,
    prefix: String,
}

pub(crate) struct Process {
    pub(crate) port: u16,
    arguments: Vec<String>,
    directory: TempDir,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let directory = tempfile::tempdir().unwrap();
        // Somebody else may take a free port before the server does.
        for _ in 0..20 {
            let port = free_port();
            if let Some(child) = serve(port, &arguments, &directory) {
                return Self { port, arguments, directory, child };
            }
        }
        panic!("redis-server did not start; is it installed?");
    }

    /// Takes down the server at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = serve(self.port, &self.arguments, &self.directory).expect("its port was free a moment ago");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }
}

/// Starts a server and waits until it says that it is ready. `PORT` in an argument stands for its port. `None`: it ended before.
fn serve(port: u16, arguments: &[String], directory: &TempDir) -> Option<Child> {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(arguments.iter().map(|argument| argument.replace("PORT", &port.to_string())))
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server can be started");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    if lines.any(|line| line.contains("Ready to accept connections")) {
        std::thread::spawn(move || lines.for_each(drop));
        return Some(child);
    }
    let _ = child.wait();
    None
}

/// A port that nobody listens on, below those that outgoing connections are given.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 18_000 + u16::try_from(offset % 14_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Redis {
    /// A server that the test only fills.
    pub(crate) fn shared() -> Self {
        match std::env::var("STEPUP_TEST_REDIS") {
            Ok(url) => Self { url, process: None, prefix: own_prefix() },
            Err(_) => Self::own(&[]),
        }
    }

    /// A server that the test may break.
    pub(crate) fn own(arguments: &[&str]) -> Self {
        let process = Process::start(arguments);
        Self { url: format!("redis://127.0.0.1:{}", process.port), process: Some(process), prefix: own_prefix() }
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a server of our own")
    }

    pub(crate) fn settings(&self, name: &str) -> RedisSettings {
        let mut settings = RedisSettings::new(Servers::Single { url: self.url.clone() });
        settings.key_prefix = self.prefix(name);
        // The machine that runs the tests may be busy.
        settings.response_timeout = Duration::from_secs(30);
        settings.connect_timeout = Duration::from_secs(30);
        settings
    }

    pub(crate) fn store(&self, name: &str) -> RedisStore {
        RedisStore::new(self.settings(name))
    }

    pub(crate) fn prefix(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// A connection of the test's own.
    pub(crate) async fn plain(&self) -> MultiplexedConnection {
        redis::Client::open(self.url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// All keys of one store.
    pub(crate) async fn keys(&self, name: &str) -> Vec<String> {
        let mut plain = self.plain().await;
        let (mut cursor, mut keys) = (0, Vec::new());
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{}:*", self.prefix(name))).arg("COUNT").arg(1_000);
            let (next, found): (u64, Vec<String>) = scan.query_async(&mut plain).await.unwrap();
            keys.extend(found);
            cursor = next;
            if cursor == 0 {
                return keys;
            }
        }
    }

    /// Every key that a case left has a TTL, but for what people have switched; and none tells who the customer is.
    pub(crate) async fn every_key_ends(&self, name: &str) {
        let mut plain = self.plain().await;
        let keys = self.keys(name).await;
        assert!(!keys.is_empty(), "the case left nothing to look at");
        for key in keys {
            let ttl: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut plain).await.unwrap();
            assert!(ttl > 0 || (key.ends_with(":1:controls") && ttl == -1), "{key} has no TTL");
            assert!(!key[self.prefix(name).len()..].contains("customer"), "{key}");
        }
    }
}

fn own_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

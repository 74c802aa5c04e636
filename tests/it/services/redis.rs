//! Redis servers.

use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use super::child::{Child, directory};
use super::{STARTUP, environment, free_port, nap, now};

/// The Redis server that all tests of this process share: keys must be unique, and it is never flushed.
pub fn redis_url() -> &'static str {
    static SHARED: OnceLock<(String, Option<RedisServer>)> = OnceLock::new();
    let (url, _server) = SHARED.get_or_init(|| match environment("STEPUP_TEST_REDIS") {
        Some(url) => (url, None),
        None => {
            let server = RedisServer::start();
            (server.url(), Some(server))
        }
    });
    url
}

/// A Redis server of one test's own, without persistence and without eviction. It dies with this value.
pub struct RedisServer {
    port: u16,
    /// Settings beside the usual ones, which they override.
    settings: Vec<String>,
    // Goes before the directory that it lives in.
    child: Child,
    directory: TempDir,
}

impl RedisServer {
    /// Starts a server on a free port of the loopback.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments of redis-server, like `--appendonly yes`.
    pub fn start_with(settings: &[&str]) -> Self {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut reason = String::new();
        for _ in 0..5 {
            let directory = directory("redis");
            let port = free_port();
            match spawn(&directory, port, &settings) {
                Ok(child) => return Self { port, settings, child, directory },
                Err(error) => reason = error,
            }
        }
        panic!("redis-server does not start: {reason}");
    }

    pub fn url(&self) -> String {
        url(self.port)
    }

    /// A blocking connection of its own.
    pub fn connect(&self) -> redis::Connection {
        connect(self.port).expect("the server answers")
    }

    /// SIGKILL; connections are cut and nothing listens on the port any more.
    pub fn kill(&mut self) {
        self.child.kill9();
    }

    /// Starts again on the same port, with nothing in it; kills first where it runs.
    pub fn restart_empty(&mut self) {
        self.kill();
        drop(std::fs::remove_dir_all(self.directory.path().join("appendonlydir")));
        self.restart();
    }

    /// Starts again on the same port with what it has on its disk; kills first where it runs.
    pub fn restart(&mut self) {
        self.kill();
        let started = spawn(&self.directory, self.port, &self.settings);
        self.child = started.unwrap_or_else(|reason| panic!("no restart: {reason}"));
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.child.pid()
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

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// Starts a server and waits until it, and no other under its port, answers.
fn spawn(directory: &TempDir, port: u16, settings: &[String]) -> Result<Child, String> {
    let port_text = port.to_string();
    let path = directory.path().to_str().expect("a path in UTF-8");
    let args = ["--port", &port_text, "--bind", "127.0.0.1", "--dir", path, "--save", "", "--appendonly", "no"];
    let eviction = ["--maxmemory-policy", "noeviction"];
    let more: Vec<&str> = settings.iter().map(String::as_str).collect();
    let mut child = Child::spawn(directory.path(), "redis-server", &[&args[..], &eviction, &more].concat(), &[]);
    let begun = now();
    loop {
        if let Some(status) = child.exited() {
            return Err(format!("{status}; {}", child.last_words()));
        }
        match process_id(port) {
            Ok(pid) if pid == child.pid() => return Ok(child),
            Ok(_) => return Err(format!("another server answers on port {port}")),
            Err(error) if begun.elapsed() > STARTUP => return Err(format!("{error}; {}", child.last_words())),
            Err(_) => nap(),
        }
    }
}

fn connect(port: u16) -> Result<redis::Connection, redis::RedisError> {
    redis::Client::open(url(port))?.get_connection_with_timeout(Duration::from_secs(5))
}

fn process_id(port: u16) -> Result<u32, redis::RedisError> {
    let mut connection = connect(port)?;
    redis::cmd("PING").exec(&mut connection)?;
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query(&mut connection)?;
    Ok(info.get("process_id").unwrap_or_default())
}

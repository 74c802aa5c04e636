//! A real Redis Cluster of six processes: three primaries, each with a replica.

use std::process::Command;
use std::time::Duration;

use crate::services::{RedisServer, free_port, wait_for};

const NODES: usize = 6;
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    pub nodes: Vec<RedisServer>,
}

impl Cluster {
    pub fn start() -> Self {
        let node = |_| {
            let bus = free_port().to_string();
            RedisServer::start_with(&[
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "2000",
                "--cluster-port",
                &bus,
            ])
        };
        let cluster = Self { nodes: (0..NODES).map(node).collect() };
        let addresses: Vec<String> = cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        redis_cli(&[&["--cluster", "create"], &addresses[..], &["--cluster-replicas", "1", "--cluster-yes"]].concat());
        cluster.until_whole();
        cluster
    }

    /// The value of `redis` in a configuration.
    pub fn setting(&self) -> String {
        let urls: Vec<String> = self.nodes.iter().map(|node| format!("\"{}\"", node.url())).collect();
        format!("cluster: [{}]", urls.join(", "))
    }

    /// Waits until every slot is served and every primary has a replica that is up to date.
    #[track_caller]
    pub fn until_whole(&self) {
        wait_for(PATIENCE, "the cluster is whole", || {
            for node in &self.nodes {
                let info: String = ask(node, &["CLUSTER", "INFO"])?;
                if !info.contains("cluster_state:ok") || !info.contains("cluster_slots_ok:16384") {
                    return Err(format!("node {}: {info}", node.port()));
                }
                let info: String = ask(node, &["INFO", "replication"])?;
                if info.contains("role:slave") && !info.contains("master_link_status:up") {
                    return Err(format!("replica {} is behind", node.port()));
                }
            }
            match self.primaries().len() {
                3 => Ok(()),
                other => Err(format!("{other} primaries")),
            }
        });
    }

    /// The places of the nodes that answer and are primaries.
    pub fn primaries(&self) -> Vec<usize> {
        let is_primary = |node: &RedisServer| {
            ask::<String>(node, &["INFO", "replication"]).is_ok_and(|info| info.contains("role:master"))
        };
        (0..NODES).filter(|place| is_primary(&self.nodes[*place])).collect()
    }

    /// Kills a primary and waits until its replica has taken its place.
    #[track_caller]
    pub fn lose(&mut self, primary: usize) {
        self.nodes[primary].kill();
        wait_for(PATIENCE, "a replica has taken its place", || match self.primaries().len() {
            3 => Ok(()),
            other => Err(format!("{other} primaries answer")),
        });
    }

    /// Moves slots with their keys from one primary to another, while they are used.
    pub fn move_slots(&self, from: usize, to: usize, slots: usize) {
        let id = |node: usize| ask::<String>(&self.nodes[node], &["CLUSTER", "MYID"]).expect("a node has an id");
        let address = format!("127.0.0.1:{}", self.nodes[from].port());
        wait_for(PATIENCE, "the nodes agree who has which slots", || try_redis_cli(&["--cluster", "check", &address]));
        let (from, to, slots) = (id(from), id(to), slots.to_string());
        let whence = ["--cluster", "reshard", &address, "--cluster-from", &from, "--cluster-to", &to];
        redis_cli(&[&whence[..], &["--cluster-slots", &slots, "--cluster-yes"]].concat());
    }
}

fn ask<T: redis::FromRedisValue>(node: &RedisServer, words: &[&str]) -> Result<T, String> {
    let client = redis::Client::open(node.url()).map_err(|error| error.to_string())?;
    let mut connection =
        client.get_connection_with_timeout(Duration::from_secs(2)).map_err(|error| error.to_string())?;
    redis::cmd(words[0]).arg(&words[1..]).query(&mut connection).map_err(|error| error.to_string())
}

#[track_caller]
fn redis_cli(args: &[&str]) {
    try_redis_cli(args).unwrap_or_else(|said| panic!("{said}"));
}

fn try_redis_cli(args: &[&str]) -> Result<(), String> {
    let done = Command::new("redis-cli").args(args).output().expect("redis-cli can be run");
    let said = || format!("redis-cli {}: {}", args[1], String::from_utf8_lossy(&done.stdout));
    if done.status.success() { Ok(()) } else { Err(said()) }
}

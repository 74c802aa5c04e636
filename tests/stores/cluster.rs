//! The Redis form on a real cluster of three nodes.

use std::process::Command;
use std::time::Duration;

use secrecy::SecretString;
use stepup::domain::claim::ClaimAnswer::{Free, Held};
use stepup::domain::claim::Intent::Take;
use stepup::edge::StoreError;
use stepup::edge::claims::Claims as _;
use stepup::edge::redis::{RedisSettings, RedisStore, Servers};

use crate::cases;
use crate::given::{Logged as _, ask, of, once_up};
use crate::server::{Process, free_port};

struct Cluster {
    nodes: Vec<Process>,
}

impl Cluster {
    fn start() -> Self {
        let node = || {
            let port = free_port().to_string();
            Process::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &port])
        };
        let nodes: Vec<_> = (0..3).map(|_| node()).collect();
        let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        Self { nodes }
    }

    fn url(&self, node: usize) -> String {
        format!("redis://127.0.0.1:{}", self.nodes[node].port)
    }

    fn settings(&self, name: &str) -> RedisSettings {
        let mut settings = RedisSettings::new(Servers::Cluster { urls: (0..3).map(|node| self.url(node)).collect() });
        settings.key_prefix = name.to_owned();
        settings.response_timeout = Duration::from_secs(30);
        settings.connect_timeout = Duration::from_secs(30);
        settings
    }

    fn store(&self, name: &str) -> RedisStore {
        RedisStore::new(self.settings(name))
    }

    async fn tell_all(&self, words: &[&str]) {
        for node in 0..3 {
            let client = redis::Client::open(self.url(node)).unwrap();
            let mut plain = client.get_multiplexed_async_connection().await.unwrap();
            let _: redis::Value = redis::cmd(words[0]).arg(&words[1..]).query_async(&mut plain).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_passes_the_same_cases_and_survives_lost_scripts_and_a_lost_node() {
    let mut cluster = Cluster::start();
    let store = cluster.store("x");
    let many: Vec<_> = (0..300).map(|number| of(&format!("customer {number}"), [number])).collect();
    once_up(async || store.logs(&many, &[]).await).await;
    assert_eq!(once_up(async || store.ping().await).await.maxmemory_policy.as_deref(), Some("noeviction"));

    cases::all(|name| cluster.store(name)).await;

    let asks: Vec<_> = (0..300).map(|number| ask(&format!("customer {number}"), number, 0, Take)).collect();
    assert_eq!(store.settle(&asks).await.unwrap(), [Free; 300]);
    cluster.tell_all(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(store.settle(&asks).await.unwrap(), [Held; 300]);
    cluster.tell_all(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    assert_eq!(once_up(async || store.settle(&asks).await).await, [Held; 300]);

    let single = RedisStore::new(RedisSettings::new(Servers::Single { url: cluster.url(0) }));
    let error = single.logs(&many, &[]).await.unwrap_err();
    assert!(error.to_string().contains("is a node of a cluster"), "{error}");

    cluster.nodes[1].kill();
    let error = store.settle(&asks).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    cluster.nodes[1].start_again();
    let answers = once_up(async || store.settle(&asks).await).await;
    assert!(answers.contains(&Free) && answers.contains(&Held), "only one node has forgotten");

    cluster.tell_all(&["CONFIG", "SET", "requirepass", "right"]).await;
    let mut settings = cluster.settings("x");
    for (password, want) in [(None, "wants a user name or a password"), (Some("wrong"), "refuses the user name")] {
        settings.password = password.map(SecretString::from);
        let error = RedisStore::new(settings.clone()).settle(&asks).await.unwrap_err();
        assert!(matches!(error, StoreError::Broken { .. }) && error.to_string().contains(want), "{error:?}");
    }
    settings.password = Some(SecretString::from("right"));
    once_up(async || RedisStore::new(settings.clone()).settle(&asks).await).await;
}

//! What the Redis form does when Redis does not do its part.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::AsyncCommands as _;
use secrecy::SecretString;
use stepup::domain::claim::ClaimAnswer::{Free, Held};
use stepup::domain::claim::Intent::Take;
use stepup::domain::control::{Kind, State};
use stepup::edge::StoreError;
use stepup::edge::claims::Claims as _;
use stepup::edge::controls::{Switchboard as _, Written};
use stepup::edge::outcomes::Outcomes as _;
use stepup::edge::redis::{RedisSettings, RedisStore, Servers};
use tempfile::TempDir;

use crate::given::{Logged as _, ask, bets, command, compaction, control, minute_of, of, once_up, tenant};
use crate::server::{Redis, free_port};

fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable { .. }))
}

/// The sentence of a store that a person has to mend.
fn broken<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    let error = answer.unwrap_err();
    assert!(matches!(error, StoreError::Broken { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn nothing_is_asked_of_a_store_before_its_first_call() {
    let unused = RedisStore::new(RedisSettings::new(Servers::Single { url: "redis://127.0.0.1:1".to_owned() }));
    assert_eq!(unused.logs(&[], &[]).await.unwrap(), Vec::<Vec<_>>::new());
    assert!(is_unavailable(&unused.logs(&[of("a", [1])], &[]).await));
}

#[tokio::test]
async fn a_store_says_what_it_is_and_how_long_its_calls_take() {
    let server = Redis::own(&["--maxmemory-policy", "allkeys-lru"]);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let store = server.store("x").observed(Arc::new(move |name, took| hearing.lock().unwrap().push((name, took))));
    let facts = store.ping().await.unwrap();
    assert!(facts.version.split('.').count() == 3, "{facts:?}");
    assert_eq!(facts.maxmemory_policy.as_deref(), Some("allkeys-lru"));
    store.logs(&[of("a", [1])], &[]).await.unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["ping", "record"]);
    assert!(heard.iter().all(|(_, took)| *took > Duration::ZERO));
}

#[tokio::test]
async fn a_key_of_another_type_is_broken_and_stays_as_it_is() {
    let server = Redis::shared();
    let store = server.store("x");
    let mut plain = server.plain().await;
    store.logs(&[of("a", [1])], &[]).await.unwrap();
    store.settle(&[ask("a", 1, 0, Take)]).await.unwrap();
    store.fix(command(1), b"record").await.unwrap();
    store.doubt(&tenant("a"), minute_of(0)).await.unwrap();
    let keys = server.keys("x").await;
    assert_eq!(keys.len(), 4);
    for key in &keys {
        let _: () = plain.del(key).await.unwrap();
        let _: () = plain.hset(key, "field", "value").await.unwrap();
    }
    for sentence in [
        broken(store.logs(&[of("a", [2])], &[]).await),
        broken(store.logs(&[], &[compaction("a", [1], [])]).await),
        broken(store.settle(&[ask("a", 2, 60, Take)]).await),
        broken(store.fixed(&[command(1)]).await),
        broken(store.fix(command(1), b"other").await),
        broken(store.doubt(&tenant("b"), minute_of(0)).await),
        broken(store.doubts(minute_of(0)).await),
    ] {
        assert!(sentence.contains("another type of value"), "{sentence}");
    }
    for key in &keys {
        let ttl: i64 = plain.pttl(key).await.unwrap();
        let value: String = plain.hget(key, "field").await.unwrap();
        assert_eq!((ttl, value.as_str()), (-1, "value"));
    }
}

#[tokio::test]
async fn a_string_of_another_length_is_broken() {
    let server = Redis::shared();
    let store = server.store("x");
    let mut plain = server.plain().await;
    store.logs(&[of("a", [1])], &[]).await.unwrap();
    store.settle(&[ask("a", 1, 0, Take)]).await.unwrap();
    for key in server.keys("x").await {
        let _: () = plain.append(key, "!").await.unwrap();
    }
    let sentence = broken(store.logs(&[of("a", [])], &[]).await);
    assert!(sentence.starts_with("record bets in their windows") && sentence.contains("19 bytes"), "{sentence}");
    let sentence = broken(store.settle(&[ask("a", 2, 60, Take)]).await);
    assert!(sentence.starts_with("settle claims") && sentence.contains("no whole number"), "{sentence}");
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let server = Redis::own(&[]);
    let store = server.store("x");
    for round in 0..3 {
        let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut server.plain().await).await.unwrap();
        assert_eq!(store.settle(&[ask("a", 1, 0, Take)]).await.unwrap(), [if round == 0 { Free } else { Held }]);
    }
    store.logs(&[of("a", [1, 2, 3])], &[]).await.unwrap();
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut server.plain().await).await.unwrap();
    // The bet went in with the first try, before the script was missed, and again with the second.
    let logs = store.logs(&[of("a", [4]), of("b", [5])], &[compaction("a", [1, 2, 3], [3])]).await.unwrap();
    assert_eq!(logs, [bets([3, 4, 4]), bets([5, 5])]);
}

#[tokio::test]
async fn a_killed_server_is_unavailable_and_a_restarted_one_is_found_again() {
    let mut server = Redis::own(&[]);
    let store = server.store("x");
    assert_eq!(store.settle(&[ask("a", 1, 0, Take)]).await.unwrap(), [Free]);
    for _ in 0..2 {
        server.process().kill();
        for _ in 0..3 {
            assert!(is_unavailable(&store.settle(&[ask("a", 1, 0, Take)]).await));
            assert!(is_unavailable(&store.logs(&[of("a", [1])], &[]).await));
            assert!(is_unavailable(&store.ping().await));
        }
        server.process().start_again();
        assert_eq!(store.settle(&[ask("a", 1, 0, Take)]).await.unwrap(), [Free], "it has forgotten everything");
    }
}

#[tokio::test]
async fn a_frozen_server_is_unavailable_in_time() {
    let mut server = Redis::own(&[]);
    let mut settings = server.settings("x");
    settings.response_timeout = Duration::from_millis(300);
    settings.connect_timeout = Duration::from_millis(300);
    let store = RedisStore::new(settings);
    once_up(async || store.logs(&[of("a", [1])], &[]).await).await;
    server.process().signal("-STOP");
    let started = Instant::now();
    assert!(is_unavailable(&store.logs(&[of("a", [2])], &[]).await));
    let batch = [of("a", [3])];
    let many = (0..50).map(|_| store.logs(&batch, &[]));
    assert!(futures_util::future::join_all(many).await.iter().all(is_unavailable));
    assert!(started.elapsed() < Duration::from_secs(5), "all who wait share one attempt to connect");
    server.process().signal("-CONT");
    once_up(async || store.logs(&[of("a", [])], &[]).await).await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    for servers in [Servers::Single { url: url.clone() }, Servers::Cluster { urls: vec![url] }] {
        let mut settings = RedisSettings::new(servers);
        settings.connect_timeout = Duration::from_millis(200);
        settings.response_timeout = Duration::from_millis(200);
        let store = RedisStore::new(settings);
        let started = Instant::now();
        assert!(is_unavailable(&store.fixed(&[command(1)]).await));
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn a_rotated_password_is_read_again() {
    let server = Redis::own(&["--requirepass", "first"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    let mut settings = server.settings("x");
    let sentence = broken(RedisStore::new(settings.clone()).fixed(&[command(1)]).await);
    assert!(sentence.contains("wants a user name or a password"), "{sentence}");
    settings.password = Some(SecretString::from("wrong"));
    settings.password_file = Some(file.clone());
    let store = RedisStore::new(settings.clone());
    let sentence = broken(store.fixed(&[command(1)]).await);
    assert!(sentence.contains("`redis.password_file` names cannot be read"), "{sentence}");
    std::fs::write(&file, "first\n").unwrap();
    store.fix(command(1), b"record").await.unwrap();

    settings.password_file = None;
    let sentence = broken(RedisStore::new(settings.clone()).fixed(&[command(1)]).await);
    assert!(sentence.contains("refuses the user name or the password") && !sentence.contains("wrong"), "{sentence}");

    let mut rotation = redis::Client::open(redis_url_with(&server, "first")).unwrap().get_connection().unwrap();
    let _: () = redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("second").query(&mut rotation).unwrap();
    store.fixed(&[command(1)]).await.expect("the connection stands");
    std::fs::write(&file, "second\n").unwrap();
    let _: () = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").query(&mut rotation).unwrap();
    assert!(is_unavailable(&store.fixed(&[command(1)]).await));
    assert_eq!(store.fixed(&[command(1)]).await.unwrap(), [Some(b"record".to_vec())]);
}

fn redis_url_with(server: &Redis, password: &str) -> String {
    server.url().replace("redis://", &format!("redis://:{password}@"))
}

#[tokio::test]
async fn a_user_without_permission_is_broken_and_without_config_has_no_policy() {
    let server = Redis::own(&[]);
    let mut plain = server.plain().await;
    let rules = ["limited", "on", ">secret", "~*", "+@all", "-config", "-append"];
    let _: () = redis::cmd("ACL").arg("SETUSER").arg(&rules).query_async(&mut plain).await.unwrap();
    let mut settings = server.settings("x");
    settings.username = Some("limited".to_owned());
    settings.password = Some(SecretString::from("secret"));
    let store = RedisStore::new(settings);
    assert_eq!(store.ping().await.unwrap().maxmemory_policy, None);
    let sentence = broken(store.logs(&[of("a", [1])], &[]).await);
    assert!(sentence.contains("lacks a permission"), "{sentence}");
}

#[tokio::test]
async fn a_server_out_of_memory_is_unavailable_until_it_has_room() {
    let server = Redis::own(&[]);
    let store = server.store("x");
    let mut plain = server.plain().await;
    store.logs(&[of("a", [1])], &[]).await.unwrap();
    let _: () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").query_async(&mut plain).await.unwrap();
    assert!(is_unavailable(&store.logs(&[of("a", [2])], &[]).await));
    assert!(is_unavailable(&store.settle(&[ask("a", 1, 0, Take)]).await));
    assert!(is_unavailable(&store.fix(command(1), b"record").await));
    let _: () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("0").query_async(&mut plain).await.unwrap();
    assert_eq!(store.settle(&[ask("a", 1, 0, Take)]).await.unwrap(), [Free]);
    assert_eq!(store.logs(&[of("a", [3])], &[]).await.unwrap(), [bets([1, 3])]);
}

#[tokio::test]
async fn addresses_that_cannot_be_used_are_broken_and_not_repeated() {
    for servers in [
        Servers::Single { url: "http://user:secret@example.com".to_owned() },
        Servers::Single { url: "redis://user:secret@".to_owned() },
        Servers::Cluster { urls: vec![] },
    ] {
        let settings = RedisSettings::new(servers);
        assert!(!format!("{settings:?}").contains("secret"));
        let sentence = broken(RedisStore::new(settings).fixed(&[command(1)]).await);
        assert!(sentence.contains("cannot be used as they are configured"), "{sentence}");
    }
}

/// A server that speaks TLS on its port and plainly on another, with the certificates of its authority and of a stranger.
struct SecureRedis {
    server: Redis,
    plain_port: String,
    directory: TempDir,
}

impl SecureRedis {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let extensions = "[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\n\
                          [leaf]\nbasicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\n";
        std::fs::write(path("config"), extensions).unwrap();
        let certificate = |name: &str, kind: &str, more: &[&str]| {
            let (key, pem) = (path(&format!("{name}.key")), path(&format!("{name}.pem")));
            let made = std::process::Command::new("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", &path("config")])
                .args(["-subj", &format!("/CN={name}"), "-extensions", kind, "-keyout", &key, "-out", &pem])
                .args(more)
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        };
        certificate("authority", "ca", &[]);
        certificate("stranger", "ca", &[]);
        certificate("redis", "leaf", &["-CA", &path("authority.pem"), "-CAkey", &path("authority.key")]);
        let plain_port = free_port().to_string();
        let server = Redis::own(
            &[
                ["--port", &plain_port],
                ["--tls-port", "PORT"],
                ["--tls-auth-clients", "no"],
                ["--tls-cert-file", &path("redis.pem")],
                ["--tls-key-file", &path("redis.key")],
                ["--tls-ca-cert-file", &path("authority.pem")],
            ]
            .concat(),
        );
        Self { server, plain_port, directory }
    }

    /// A store that goes there and trusts this authority.
    fn store(&self, url: String, authority: Option<&str>) -> RedisStore {
        let mut settings = self.server.settings("x");
        settings.servers = Servers::Single { url };
        settings.ca_file = authority.map(|name| self.directory.path().join(name));
        RedisStore::new(settings)
    }

    fn url(&self) -> String {
        self.server.url().replace("redis://", "rediss://")
    }

    fn plain_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.plain_port)
    }
}

#[tokio::test]
async fn a_server_with_tls_is_believed_only_on_the_word_of_its_authority() {
    let server = SecureRedis::start();
    server.store(server.url(), Some("authority.pem")).fix(command(1), b"record").await.unwrap();
    for authority in [Some("stranger.pem"), None] {
        let answer = server.store(server.url(), authority).fixed(&[command(1)]).await;
        assert!(is_unavailable(&answer), "{answer:?}");
        assert!(format!("{answer:?}").contains("certificate"), "{answer:?}");
    }
    broken(server.store(server.plain_url(), Some("authority.pem")).fixed(&[command(1)]).await);
}

/// Time passes, and nothing else happens.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Servers close connections that are idle, as do those on the way: the first bet after a quiet night is no outage.
#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_is_no_outage() {
    let server = SecureRedis::start();
    let mut other = redis::Client::open(server.plain_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    for store in [server.store(server.plain_url(), None), server.store(server.url(), Some("authority.pem"))] {
        for number in 1..=5 {
            store.ping().await.unwrap();
            let closed: i64 =
                redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").query_async(&mut other).await.unwrap();
            assert_eq!(closed, 1);
            pass(Duration::from_secs(60)).await;
            // All who come at once wait for the same sign of life.
            let (first, others) = (of("a", [number]), of("b", []));
            let first = store.logs(std::slice::from_ref(&first), &[]);
            let others = futures_util::future::join_all((0..3).map(|_| store.logs(std::slice::from_ref(&others), &[])));
            let (first, others) = futures_util::future::join(first, others).await;
            assert_eq!(first.unwrap(), [bets(1..=number)], "and nothing is written twice");
            assert!(others.iter().all(Result::is_ok), "{others:?}");
        }
        store.logs(&[], &[compaction("a", [1, 2, 3, 4, 5], [])]).await.unwrap();
    }
}

#[tokio::test]
async fn controls_of_another_version_are_counted_and_those_of_a_wrong_type_are_broken() {
    let server = Redis::shared();
    let store = server.store("x");
    store.set(&[control(Kind::Pause, "acme", State::On, 5)]).await.unwrap();
    let mut plain = server.plain().await;
    let key = format!("{}:1:controls", server.prefix("x"));
    for (field, value) in
        [("drain|*|*", r#"{"state":"on","at":5}"#), ("pause|b|*", "?"), ("pause|c|*", r#"{"state":"slow","at":7}"#)]
    {
        let _: i64 = plain.hset(&key, field, value).await.unwrap();
    }
    let standing = store.standing().await.unwrap();
    assert_eq!((standing.controls.len(), standing.unreadable), (1, 3));
    let later = [("b", 1, Written::Set), ("c", 6, Written::Outdated), ("c", 7, Written::Set)];
    for (name, at, want) in later {
        assert_eq!(store.set(&[control(Kind::Pause, name, State::On, at)]).await.unwrap(), [want], "{name} at {at}");
    }
    let _: () = plain.set(&key, "a string").await.unwrap();
    broken(store.standing().await);
    broken(store.set(&[control(Kind::Pause, "acme", State::On, 9)]).await);
    let stands: String = plain.get(&key).await.unwrap();
    assert_eq!(stands, "a string");
}

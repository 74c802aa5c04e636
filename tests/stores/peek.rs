//! Looking at the stores leaves them as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use stepup::domain::claim::ClaimAnswer::{Free, Held};
use stepup::domain::claim::Intent::{Look, Take};
use stepup::domain::trigger::Trigger;
use stepup::edge::StoreError;
use stepup::edge::claims::Claims as _;
use stepup::edge::memory::store::MemoryStore;
use stepup::edge::peek::Peek as _;

use crate::given::{HOUR, Logged as _, ask, bets, customer, of, tenant};
use crate::server::Redis;

/// Every key with its value as the server dumps it, and its TTL in milliseconds.
async fn all(server: &Redis) -> BTreeMap<String, (Vec<u8>, i64)> {
    let mut plain = server.plain().await;
    let mut found = BTreeMap::new();
    for key in server.keys("x").await {
        let value = redis::cmd("DUMP").arg(&key).query_async(&mut plain).await.unwrap();
        let ttl = redis::cmd("PTTL").arg(&key).query_async(&mut plain).await.unwrap();
        found.insert(key, (value, ttl));
    }
    found
}

#[tokio::test]
async fn a_look_writes_nothing_and_moves_no_ttl() {
    let server = Redis::own(&[]);
    let store = server.store("x");
    store.logs(&[of("a", [1, 2]), of("b", [3])], &[]).await.unwrap();
    store.settle(&[ask("a", 1, 0, Take), ask("b", 2, 0, Take)]).await.unwrap();
    let mut plain = server.plain().await;
    for (place, key) in server.keys("x").await.iter().enumerate() {
        // Half of them have a TTL that a touch would extend, the others none that a touch would set.
        let mut change = redis::cmd(if place % 2 == 0 { "PEXPIRE" } else { "PERSIST" });
        change.arg(key);
        if place % 2 == 0 {
            change.arg(60_000);
        }
        let _: i64 = change.query_async(&mut plain).await.unwrap();
    }
    let before = all(&server).await;
    assert_eq!(before.len(), 4);

    for name in ["a", "b", "nobody"] {
        let (tenant, customer) = (tenant("acme"), customer(name));
        store.peek_window(&tenant, &customer).await.unwrap();
        store.peek_claims(&tenant, &customer, Trigger::Login).await.unwrap();
    }
    let looks = [ask("a", 1, 0, Look), ask("a", 9, 30, Look), ask("nobody", 1, 0, Look)];
    assert_eq!(store.settle(&looks).await.unwrap(), [Held, Free, Free]);

    let after = all(&server).await;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (key, (value, ttl)) in &after {
        let (value_before, ttl_before) = &before[key];
        assert_eq!(value, value_before, "{key}");
        assert!(*ttl <= *ttl_before && (*ttl < 0) == (*ttl_before < 0), "{key}: {ttl_before} became {ttl}");
    }
    let size: u64 = redis::cmd("DBSIZE").query_async(&mut plain).await.unwrap();
    assert_eq!(size, 4);
}

#[tokio::test(start_paused = true)]
async fn in_memory_nothing_lives_longer_for_having_been_looked_at() {
    let store = MemoryStore::new();
    let (acme, a) = (tenant("acme"), customer("a"));
    store.logs(&[of("a", [1])], &[]).await.unwrap();
    store.settle(&[ask("a", 1, 0, Take)]).await.unwrap();
    tokio::time::advance(HOUR - Duration::from_secs(1)).await;
    assert_eq!(store.peek_window(&acme, &a).await.unwrap(), bets([1]));
    assert_eq!(store.peek_claims(&acme, &a, Trigger::Login).await.unwrap().len(), 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(store.peek_window(&acme, &a).await.unwrap(), []);
    assert_eq!(store.peek_claims(&acme, &a, Trigger::Login).await.unwrap().len(), 1);
    tokio::time::advance(HOUR).await;
    assert_eq!(store.peek_claims(&acme, &a, Trigger::Login).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_not_ours_under_our_keys_is_broken() {
    let server = Redis::own(&[]);
    let store = server.store("x");
    store.logs(&[of("a", [1])], &[]).await.unwrap();
    store.settle(&[ask("a", 1, 0, Take)]).await.unwrap();
    let mut plain = server.plain().await;
    for key in server.keys("x").await {
        let _: i64 = redis::cmd("APPEND").arg(&key).arg("x").query_async(&mut plain).await.unwrap();
    }
    let (acme, a) = (tenant("acme"), customer("a"));
    let errors = [
        store.peek_window(&acme, &a).await.map(drop).unwrap_err(),
        store.peek_claims(&acme, &a, Trigger::Login).await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::Broken { .. }), "{error:?}");
    }
}

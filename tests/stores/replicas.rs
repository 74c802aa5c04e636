//! Replicas that are waited for.

use stepup::domain::claim::ClaimAnswer;
use stepup::domain::claim::Intent::Take;
use stepup::edge::StoreError;
use stepup::edge::claims::Claims as _;
use stepup::edge::outcomes::Outcomes as _;
use stepup::edge::redis::RedisStore;

use crate::given::{Logged as _, ask, command, of, once_up};
use crate::server::{Process, Redis};

fn waits<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> bool {
    let Err(StoreError::Unavailable { source, .. }) = &answer else { return false };
    source.to_string().contains("wait_replicas is 1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_replica_has_does_not_count_where_one_is_waited_for() {
    let mut primary = Redis::own(&[]);
    let port = primary.process().port.to_string();
    let mut settings = primary.settings("replicas");
    settings.wait_replicas = 1;
    let store = RedisStore::new(settings);
    let (batch, asks) = ([of("ann", [1, 2])], [ask("ann", 1, 0, Take)]);
    let many: Vec<_> = (1..=6).map(|event| ask(&format!("bob-{event}"), event, 0, Take)).collect();
    assert!(waits(store.logs(&batch, &[]).await), "there is none yet");

    let replica = Process::start(&["--replicaof", "127.0.0.1", &port]);
    once_up(async || store.logs(&batch, &[]).await).await;
    assert_eq!(once_up(async || store.settle(&asks).await).await, [ClaimAnswer::Free]);

    replica.signal("-STOP");
    assert!(waits(store.logs(&batch, &[]).await));
    assert!(waits(store.settle(&asks).await));
    for one in many.chunks(1) {
        assert!(waits(store.settle(one).await));
    }
    assert!(waits(store.settle(&many).await), "the primary has them all now");
    assert!(waits(store.fix(command(1), b"first").await));
    assert_eq!(store.fixed(&[command(1)]).await.unwrap(), [Some(b"first".to_vec())], "reading waits for nobody");
    replica.signal("-CONT");
    assert_eq!(
        once_up(async || store.settle(&asks).await).await,
        [ClaimAnswer::Held],
        "the same step again does no harm"
    );
    assert_eq!(once_up(async || store.settle(&many).await).await, [ClaimAnswer::Held; 6]);
    assert_eq!(once_up(async || store.fix(command(1), b"second").await).await, b"first");
}

//! How long the windows live in Redis.

use std::time::Duration;

use redis::AsyncCommands as _;
use stepup::edge::windows::CustomerBets;

use crate::given::{HOUR, Logged as _, bets, of};
use crate::server::Redis;

async fn left(server: &Redis) -> Duration {
    let keys = server.keys("x").await;
    let millis: i64 = server.plain().await.pttl(&keys[0]).await.unwrap();
    Duration::from_millis(u64::try_from(millis).expect("the key has a time to live"))
}

#[tokio::test]
async fn a_window_outlives_its_last_bet_by_what_was_asked_for() {
    let server = Redis::shared();
    let store = server.store("x");
    for number in 1..4 {
        store.logs(&[of("a", [number])], &[]).await.unwrap();
        assert!(left(&server).await >= HOUR, "bet {number}");
    }
    let longer = CustomerBets { ttl: HOUR * 3, ..of("a", [4]) };
    store.logs(&[longer], &[]).await.unwrap();
    assert!(left(&server).await >= HOUR * 3);
}

#[tokio::test]
async fn a_window_that_somebody_deleted_does_not_come_back_for_ever() {
    let server = Redis::shared();
    let store = server.store("x");
    store.logs(&[of("a", [1])], &[]).await.unwrap();
    let keys = server.keys("x").await;
    let _: () = server.plain().await.del(&keys).await.unwrap();
    assert_eq!(store.logs(&[of("a", [2])], &[]).await.unwrap(), [bets([2])]);
    assert!(left(&server).await >= HOUR);
    // Read while it was away, it is remembered as lasting; the next bet finds out.
    let _: () = server.plain().await.del(&keys).await.unwrap();
    assert_eq!(store.logs(&[of("a", [])], &[]).await.unwrap(), [vec![]]);
    store.logs(&[of("a", [3, 4])], &[]).await.unwrap();
    assert!(left(&server).await >= HOUR);
}

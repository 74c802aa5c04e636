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
async fn a_window_that_ended_and_was_begun_anew_elsewhere_is_not_taken_for_the_one_that_was_known() {
    let server = Redis::shared();
    let (one, other) = (server.store("x"), server.store("x"));
    let short = |number| CustomerBets { ttl: Duration::from_millis(40), ..of("a", [number]) };
    one.logs(&[short(1)], &[]).await.unwrap();
    while !server.keys("x").await.is_empty() {
        tokio::task::yield_now().await;
    }
    other.logs(&[of("a", [2])], &[]).await.unwrap();
    // It is as long as the one before would be now.
    assert_eq!(one.logs(&[short(3)], &[]).await.unwrap(), [bets([2, 3])]);
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

//! What a process remembers of the windows that it wrote to, and who else writes there.

use redis::AsyncCommands as _;

use crate::given::{Logged as _, bets, compaction, of};
use crate::server::Redis;

/// How many reads of several keys the server was asked for.
async fn reads(server: &Redis) -> u64 {
    let text: String = redis::cmd("INFO").arg("commandstats").query_async(&mut server.plain().await).await.unwrap();
    let calls = text.lines().find_map(|line| line.strip_prefix("cmdstat_mget:calls=")?.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

#[tokio::test]
async fn a_window_is_read_once_as_long_as_nobody_else_writes_there() {
    let server = Redis::own(&[]);
    let store = server.store("x");
    for number in 1..=30 {
        let logs = store.logs(&[of("a", [number]), of("b", [number, number])], &[]).await.unwrap();
        assert_eq!(logs, [bets(1..=number), bets((1..=number).flat_map(|number| [number, number]))]);
    }
    assert_eq!(reads(&server).await, 1);
    store.logs(&[of("a", [31])], &[compaction("a", 1..=20, [20])]).await.unwrap();
    assert_eq!(reads(&server).await, 2, "it was rewritten");
    assert_eq!(store.logs(&[of("a", [32])], &[]).await.unwrap(), [bets(20..=32)]);
    assert_eq!(reads(&server).await, 2);
}

#[tokio::test]
async fn what_another_process_appends_is_seen() {
    let server = Redis::shared();
    let (one, other) = (server.store("x"), server.store("x"));
    for number in (1..20).step_by(3) {
        one.logs(&[of("a", [number])], &[]).await.unwrap();
        assert_eq!(other.logs(&[of("a", [number + 1])], &[]).await.unwrap(), [bets(1..=number + 1)]);
        assert_eq!(one.logs(&[of("a", [number + 2])], &[]).await.unwrap(), [bets(1..=number + 2)]);
    }
}

#[tokio::test]
async fn a_window_that_another_process_brought_back_to_its_length_is_seen_to_be_another() {
    let server = Redis::shared();
    let (one, other) = (server.store("x"), server.store("x"));
    one.logs(&[of("a", 1..=9)], &[]).await.unwrap();
    other.logs(&[], &[compaction("a", 1..=9, [9])]).await.unwrap();
    assert_eq!(other.logs(&[of("a", 10..=17)], &[]).await.unwrap(), [bets(9..=17)]);
    assert_eq!(one.logs(&[of("a", [18])], &[]).await.unwrap(), [bets(9..=18)]);
}

#[tokio::test]
async fn a_window_that_is_rewritten_again_and_again_stays_what_it_is() {
    let server = Redis::shared();
    let (one, other) = (server.store("x"), server.store("x"));
    for number in 1..=60 {
        let last = number - 1;
        let rewrite = (number > 1).then(|| compaction("a", [last], [last]));
        assert_eq!(one.logs(&[of("a", [number])], rewrite.as_slice()).await.unwrap()[0].last(), bets([number]).last());
        let both = if number > 1 { vec![last, number] } else { vec![number] };
        let log = other.logs(&[of("a", [])], &[compaction("a", both, [number])]).await.unwrap();
        assert_eq!(log, [bets([number])]);
    }
}

#[tokio::test]
async fn what_stands_in_a_window_and_is_no_bet_is_refused_whatever_is_remembered() {
    let server = Redis::shared();
    let store = server.store("x");
    store.logs(&[of("a", [1])], &[]).await.unwrap();
    let keys = server.keys("x").await;
    let _: () = server.plain().await.append(&keys[0], "rubbish").await.unwrap();
    let error = store.logs(&[of("a", [2])], &[]).await.unwrap_err();
    assert!(format!("{error:?}").contains("no log of bets"), "{error:?}");
}

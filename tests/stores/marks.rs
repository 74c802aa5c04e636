//! A store that lost what it kept is known by its marks.

use std::num::NonZeroU64;

use stepup::domain::claim::Intent::Take;
use stepup::edge::StoreError;
use stepup::edge::claims::Claims as _;
use stepup::edge::marks::{Era, Marked, Marks as _, Part, Watch};
use stepup::edge::outcomes::Outcomes as _;
use stepup::edge::redis::RedisStore;

use crate::given::{Logged as _, ask, command, of};
use crate::server::Redis;

fn number(number: u64) -> Era {
    Era(NonZeroU64::new(number).unwrap())
}

fn is_lost<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Lost { .. }))
}

/// What a cluster must do as one server does. `flush` empties it, or one of its nodes; `before` is called before.
pub(crate) async fn a_loss_is_noticed_in_the_call_that_meets_it(
    store: &RedisStore,
    before: impl AsyncFn(),
    flush: impl AsyncFn(),
) {
    let watch = Watch::default();
    let watched = store.watched(Part::Decisions, &watch);
    let batch: Vec<_> = (0..300).map(|customer| of(&format!("c{customer}"), [1])).collect();
    assert!(is_lost(&watched.logs(&batch, &[]).await), "nobody has filled it yet");
    assert_eq!(store.marked(Part::Decisions).await.unwrap(), Marked::Lost);

    assert!(store.begin_filling(Part::Decisions, number(7)).await.unwrap());
    assert!(!store.begin_filling(Part::Decisions, number(8)).await.unwrap(), "one fills at a time");
    assert!(store.begin_filling(Part::Outcomes, number(8)).await.unwrap(), "of each part");
    watch.begin(number(7));
    assert!(is_lost(&watched.logs(&batch, &[]).await), "what is being filled is not whole");
    assert!(watch.era().is_none());
    assert!(store.go_on_filling(Part::Decisions, number(7)).await.unwrap());
    assert!(!store.go_on_filling(Part::Decisions, number(9)).await.unwrap(), "that is somebody else's");
    assert!(!store.end_filling(Part::Decisions, number(9)).await.unwrap());
    assert!(store.end_filling(Part::Decisions, number(7)).await.unwrap());
    assert_eq!(store.marked(Part::Decisions).await.unwrap(), Marked::Whole(number(7)));

    watch.begin(number(7));
    store.prolong(Part::Decisions).await.unwrap();
    assert_eq!(watched.logs(&batch, &[]).await.unwrap().len(), 300);
    assert_eq!(watched.settle(&[ask("c1", 1, 0, Take)]).await.unwrap().len(), 1);
    before().await;
    flush().await;
    assert!(is_lost(&watched.logs(&batch, &[]).await));
    assert!(watch.era().is_none(), "and nothing is asked of it until it is filled");
    assert!(is_lost(&watched.settle(&[ask("c1", 1, 0, Take)]).await));

    // Lost again while it is filled: what was told so far is gone.
    assert!(store.begin_filling(Part::Decisions, number(10)).await.unwrap());
    flush().await;
    assert!(!store.go_on_filling(Part::Decisions, number(10)).await.unwrap());
    assert!(!store.end_filling(Part::Decisions, number(10)).await.unwrap());
    assert_eq!(store.marked(Part::Decisions).await.unwrap(), Marked::Lost);
}

#[tokio::test]
async fn one_server_that_was_emptied_is_not_taken_for_whole() {
    let server = Redis::own(&[]);
    let store = server.store("marks");
    let flush = async || {
        let mut plain = server.plain().await;
        redis::cmd("FLUSHALL").query_async::<()>(&mut plain).await.unwrap();
    };
    a_loss_is_noticed_in_the_call_that_meets_it(&store, async || server.every_key_ends("marks").await, flush).await;
}

#[tokio::test]
async fn the_parts_are_lost_and_filled_apart() {
    let server = Redis::own(&[]);
    let store = server.store("parts");
    let watch = Watch::default();
    let outcomes = store.watched(Part::Outcomes, &watch);
    assert!(store.begin_filling(Part::Outcomes, number(3)).await.unwrap());
    assert!(store.end_filling(Part::Outcomes, number(3)).await.unwrap());
    watch.begin(number(3));
    assert_eq!(outcomes.fix(command(1), b"first").await.unwrap(), b"first");
    assert_eq!(store.marked(Part::Decisions).await.unwrap(), Marked::Lost);
    assert!(store.begin_filling(Part::Outcomes, number(4)).await.unwrap(), "whoever filled it last is done");
}

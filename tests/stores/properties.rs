//! Whatever is asked, the pure rule, the memory form and the Redis form answer alike.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use stepup::domain::claim::{Claim, ClaimRequest, Intent, settle};
use stepup::domain::time::Timestamp;
use stepup::domain::trigger::Trigger;
use stepup::domain::window::Bet;
use stepup::edge::claims::{Ask, Claims as _};
use stepup::edge::memory::store::MemoryStore;
use stepup::edge::redis::RedisStore;
use stepup::edge::windows::{Compaction, CustomerBets};

use crate::given::{HOUR, Logged as _, customer, key, tenant};
use crate::server::Redis;

/// Times that are stored exactly, many of them near each other.
fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        8 => 0..200_i64,
        1 => -200..0_i64,
        1 => (-1_i64 << 47)..(1 << 47),
    ]
    .prop_map(Timestamp)
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        8 => (0..100_u64).prop_map(Duration::from_millis),
        1 => (0..1_u64 << 48).prop_map(Duration::from_millis),
        1 => Just(Duration::MAX),
    ]
}

prop_compose! {
    fn request()(
        at in time(),
        event in prop_oneof![0..6_u64, any::<u64>()],
        take in prop::bool::weighted(0.8),
        cooldown in span(),
        longer in span(),
    ) -> ClaimRequest {
        let intent = if take { Intent::Take } else { Intent::Look };
        ClaimRequest { claim: Claim { at, event }, intent, cooldown, retention: cooldown.saturating_add(longer) }
    }
}

prop_compose! {
    fn bet()(at in time(), id in 0..8_u64, arrival in any::<u32>()) -> Bet {
        Bet { at, id, arrival }
    }
}

/// Runs a property with a store of each form, new for every case.
fn check<T: std::fmt::Debug>(
    cases: u32,
    input: impl Strategy<Value = T>,
    property: impl AsyncFn(T, MemoryStore, [RedisStore; 2]),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Redis::shared();
    let case = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&input, |input| {
        case.set(case.get() + 1);
        // Two processes that use one server.
        let stores = [(); 2].map(|()| server.store(&case.get().to_string()));
        runtime.block_on(property(input, MemoryStore::new(), stores));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn claims_are_settled_alike() {
    let requests = prop::collection::vec((0..3_usize, request()), 1..40);
    check(100, requests, async |requests, memory, [redis, _]| {
        let mut kept: HashMap<usize, Vec<Claim>> = HashMap::new();
        let want: Vec<_> =
            requests.iter().map(|(place, request)| settle(kept.entry(*place).or_default(), request)).collect();
        let asks: Vec<_> = requests
            .iter()
            .map(|(place, request)| Ask {
                key: key(["a", "b", "c"][*place]),
                trigger: Trigger::Login,
                request: *request,
                ttl: HOUR,
            })
            .collect();
        assert_eq!(memory.settle(&asks).await.unwrap(), want, "in memory");
        let (first, second) = asks.split_at(asks.len() / 2);
        let mut answers = redis.settle(first).await.unwrap();
        answers.extend(redis.settle(second).await.unwrap());
        assert_eq!(answers, want, "in Redis");
    });
}

#[test]
fn logs_are_kept_alike() {
    // What each customer bets in each batch, and how much of its log is compacted before: read so many, keep every second.
    let of_a_customer = (prop::collection::vec(bet(), 0..4), prop::option::of(0..6_usize));
    let batches = prop::collection::vec((prop::collection::vec(of_a_customer, 3), 0..2_usize), 1..12);
    check(100, batches, async |batches, memory, processes| {
        let mut logs: Vec<Vec<Bet>> = vec![Vec::new(); 3];
        for (batch, process) in batches {
            let bets: Vec<_> = batch
                .iter()
                .enumerate()
                .map(|(place, (bets, _))| {
                    CustomerBets::new(&tenant("acme"), &customer(["a", "b", "c"][place]), bets.clone(), HOUR)
                })
                .collect();
            let compactions: Vec<_> = batch
                .iter()
                .enumerate()
                .filter_map(|(place, (_, length))| {
                    let read = logs[place].get(..(*length)?)?.to_vec();
                    let kept = read.iter().copied().step_by(2).collect();
                    Some(Compaction { key: bets[place].key, read, kept, ttl: HOUR })
                })
                .collect();
            let in_memory = memory.logs(&bets, &compactions).await.unwrap();
            logs = processes[process].logs(&bets, &compactions).await.unwrap();
            assert_eq!(in_memory, logs);
        }
    });
}

//! What every form of the stores does alike.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use stepup::domain::claim::ClaimAnswer::{self, CoolingDown, Free, Held};
use stepup::domain::claim::Intent::{Look, Take};
use stepup::domain::control::{Control, Controls, Kind, State, Target};
use stepup::domain::trigger::Trigger;
use stepup::edge::Scope;
use stepup::edge::claims::Ask;
use stepup::edge::controls::{Standing, Written};
use stepup::edge::forget::Kept;
use stepup::edge::memory::store::MemoryStore;
use stepup::edge::outcomes::EarlierAttempt;
use stepup::edge::quotas::Places;
use stepup::wire::window::customer_key;

use crate::given::{
    Logged as _, Store, ask, bets, command, compaction, control, customer, minute_of, of, of_tenant, tenant,
};
use crate::server::Redis;

/// Every case as a test of the memory form and of the Redis form, and all of them in a row for other forms.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $case() { super::$case(super::MemoryStore::new()).await; })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let server = super::Redis::shared();
                let store = server.store(stringify!($case));
                super::$case(store).await;
                server.every_key_ends(stringify!($case)).await;
            })+
        }
        /// Runs all cases on stores made by `new` from the name of the case.
        pub(crate) async fn all<S: Store>(new: impl Fn(&str) -> S) {
            $($case(new(stringify!($case))).await;)+
        }
    };
}

cases!(
    a_log_is_read_back_in_order_of_arrival,
    the_same_batch_twice_stands_twice,
    customers_of_two_tenants_and_many_buckets_are_kept_apart,
    two_writers_lose_nothing_and_each_finds_its_own_in_order,
    a_compaction_replaces_the_beginning_that_was_read,
    a_claim_is_taken_held_and_cooled_down_from,
    a_look_takes_nothing,
    claims_are_retained_by_their_age,
    asks_of_one_batch_are_settled_in_order,
    of_a_hundred_claimers_one_is_free,
    of_fifty_records_one_is_fixed,
    fixed_outcomes_are_found_by_their_commands,
    an_attempt_is_on_record_until_it_is_forgotten,
    doubts_are_the_latest_of_each_tenant_and_of_the_last_hour,
    doubts_are_at_most_a_thousand,
    a_peek_tells_what_is_kept_of_each_customer,
    a_control_stands_until_a_later_one_is_set,
    of_a_hundred_who_set_a_control_the_latest_stands,
    controls_are_at_most_a_thousand_and_those_long_off_make_room,
    a_customer_is_forgotten_in_every_scope_and_no_other_is,
    places_are_counted_by_tenant_and_minute,
);

async fn a_log_is_read_back_in_order_of_arrival<S: Store>(store: S) {
    assert_eq!(store.logs(&[], &[]).await.unwrap(), Vec::<Vec<_>>::new());
    assert_eq!(store.logs(&[of("a", [])], &[]).await.unwrap(), [vec![]]);
    assert_eq!(store.logs(&[of("a", [5, 3])], &[]).await.unwrap(), [bets([5, 3])]);
    assert_eq!(store.logs(&[of("a", [4])], &[]).await.unwrap(), [bets([5, 3, 4])]);
    assert_eq!(store.logs(&[of("a", [])], &[]).await.unwrap(), [bets([5, 3, 4])]);
}

async fn the_same_batch_twice_stands_twice<S: Store>(store: S) {
    for want in [bets([1, 2]), bets([1, 2, 1, 2])] {
        assert_eq!(store.logs(&[of("a", [1, 2])], &[]).await.unwrap(), [want]);
    }
}

async fn customers_of_two_tenants_and_many_buckets_are_kept_apart<S: Store>(store: S) {
    let mut batch: Vec<_> = (0..300).map(|number| of(&format!("customer {number}"), [number, number + 1])).collect();
    batch.push(of_tenant("other", "customer 0", [1_000]));
    let want: Vec<_> = batch.iter().map(|bets| bets.bets.to_vec()).collect();
    assert_eq!(store.logs(&batch, &[]).await.unwrap(), want);
    for bets in &mut batch {
        bets.bets.clear();
    }
    batch.reverse();
    assert_eq!(store.logs(&batch, &[]).await.unwrap(), want.into_iter().rev().collect::<Vec<_>>());
}

async fn two_writers_lose_nothing_and_each_finds_its_own_in_order<S: Store>(store: S) {
    let writer = |first: u64| {
        let store = store.clone();
        async move {
            for number in first..first + 20 {
                let logs = store.logs(&[of("a", [number])], &[]).await.unwrap();
                let own: Vec<_> = logs[0].iter().copied().filter(|bet| bets(first..first + 20).contains(bet)).collect();
                assert_eq!(own, bets(first..=number));
            }
        }
    };
    tokio::join!(writer(100), writer(200));
    let log: BTreeSet<_> = store.logs(&[of("a", [])], &[]).await.unwrap()[0].iter().map(|bet| bet.arrival).collect();
    assert_eq!(log, (100..120).chain(200..220).collect());
}

async fn a_compaction_replaces_the_beginning_that_was_read<S: Store>(store: S) {
    for (name, stored, compaction, appended, want) in [
        ("unchanged", vec![1, 2, 3], compaction("unchanged", [1, 2, 3], [3]), vec![4], vec![3, 4]),
        ("appended since", vec![1, 2, 3, 4], compaction("appended since", [1, 2], [2]), vec![], vec![2, 3, 4]),
        ("changed", vec![9, 2, 3], compaction("changed", [1, 2, 3], [3]), vec![4], vec![9, 2, 3, 4]),
        ("shorter", vec![1, 2], compaction("shorter", [1, 2, 3], [3]), vec![], vec![1, 2]),
        ("absent", vec![], compaction("absent", [1], [1]), vec![], vec![]),
        ("nothing kept", vec![1, 2], compaction("nothing kept", [1, 2], []), vec![], vec![]),
        ("nothing read", vec![1], compaction("nothing read", [], [2]), vec![3], vec![1, 3]),
        ("reordered", vec![1, 2, 3], compaction("reordered", [1, 2, 3], [3, 1]), vec![], vec![3, 1]),
    ] {
        store.logs(&[of(name, stored)], &[]).await.unwrap();
        let logs = store.logs(&[of(name, appended)], std::slice::from_ref(&compaction)).await.unwrap();
        assert_eq!(logs, [bets(want.clone())], "{name}");
        // Told once more, as after a lost answer, it changes nothing that it did not change before.
        if !want.is_empty() && !compaction.read.is_empty() {
            store.logs(&[], &[compaction]).await.unwrap();
            assert_eq!(store.logs(&[of(name, [])], &[]).await.unwrap(), [bets(want)], "{name} again");
        }
    }
}

async fn settle_each<S: Store>(store: &S, asks: impl IntoIterator<Item = Ask>) -> Vec<ClaimAnswer> {
    let mut answers = Vec::new();
    for ask in asks {
        answers.extend(store.settle(&[ask]).await.unwrap());
    }
    answers
}

async fn a_claim_is_taken_held_and_cooled_down_from<S: Store>(store: S) {
    assert_eq!(store.settle(&[]).await.unwrap(), []);
    let cooling = |minute| CoolingDown { since: minute_of(minute) };
    let asks = [
        (1, 0, Free),
        (1, 0, Held),
        (2, 9, cooling(0)),
        (2, 9, cooling(0)),
        (1, 9, Held), // Known by its id, whatever its time.
        (3, -5, cooling(0)),
        (4, 10, Free),
        (1, 0, Held),
        (5, 5, cooling(10)), // Out of order: the latest claim counts.
        (4, 10, Held),
        (6, 20, Free),
    ];
    for (event, minute, want) in asks {
        assert_eq!(store.settle(&[ask("a", event, minute, Take)]).await.unwrap(), [want], "{event} at {minute}");
    }
    let mut other_trigger = ask("a", 2, 9, Take);
    other_trigger.trigger = Trigger::Deposit;
    let mut other_tenant = ask("a", 2, 9, Take);
    other_tenant.key = customer_key(&tenant("other"), &customer("a"));
    let others = [ask("b", 2, 9, Take), other_trigger, other_tenant];
    assert_eq!(store.settle(&others).await.unwrap(), [Free, Free, Free]);
}

async fn a_look_takes_nothing<S: Store>(store: S) {
    let asks = [
        ask("a", 1, 0, Look),
        ask("a", 1, 0, Look),
        ask("a", 2, 1, Take),
        ask("a", 1, 0, Look),
        ask("a", 2, 1, Look),
        ask("a", 3, 11, Look),
    ];
    let since = CoolingDown { since: minute_of(1) };
    assert_eq!(settle_each(&store, asks).await, [Free, Free, Free, since, Held, Free]);
}

async fn claims_are_retained_by_their_age<S: Store>(store: S) {
    let asks = [
        ask("a", 1, 0, Take),
        ask("a", 2, 59, Take),
        ask("a", 1, 0, Look),   // An hour has not passed at minute 59.
        ask("a", 3, 119, Take), // It drops what is older than minute 59, and that minute itself.
        ask("a", 1, 0, Look),
        ask("a", 2, 59, Look),
        ask("a", 3, 119, Look),
    ];
    let since = CoolingDown { since: minute_of(119) };
    assert_eq!(settle_each(&store, asks).await, [Free, Free, Held, Free, since, since, Held]);
    let mut forever = ask("b", 1, 0, Take);
    (forever.request.cooldown, forever.request.retention) = (Duration::MAX, Duration::MAX);
    let mut later = ask("b", 2, 1_000_000, Take);
    (later.request.cooldown, later.request.retention) = (Duration::MAX, Duration::MAX);
    assert_eq!(settle_each(&store, [forever, later]).await, [Free, CoolingDown { since: minute_of(0) }]);
}

async fn asks_of_one_batch_are_settled_in_order<S: Store>(store: S) {
    let mut asks: Vec<_> = (0..300).map(|number| ask(&format!("customer {number}"), number, 0, Take)).collect();
    asks.extend((0..300).map(|number| ask(&format!("customer {number}"), number + number % 2, 1, Take)));
    let answers = store.settle(&asks).await.unwrap();
    assert_eq!(answers[..300], [Free; 300]);
    for (number, answer) in answers[300..].iter().enumerate() {
        let want = if number % 2 == 0 { Held } else { CoolingDown { since: minute_of(0) } };
        assert_eq!(*answer, want, "{number}");
    }
}

async fn of_a_hundred_claimers_one_is_free<S: Store>(store: S) {
    let claims = (0..100).map(|event| {
        let store = store.clone();
        tokio::spawn(async move { store.settle(&[ask("a", event, 0, Take)]).await.unwrap()[0] })
    });
    let answers: Vec<_> = join_all(claims).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == Free).count(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == CoolingDown { since: minute_of(0) }).count(), 99);
}

async fn of_fifty_records_one_is_fixed<S: Store>(store: S) {
    let fixes = (0..50_u8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move { store.fix(command(7), &[writer, 0, 255]).await.unwrap() })
    });
    let standing: BTreeSet<_> = join_all(fixes).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(standing.len(), 1);
    assert_eq!(store.fixed(&[command(7)]).await.unwrap(), [standing.into_iter().next()]);
}

async fn fixed_outcomes_are_found_by_their_commands<S: Store>(store: S) {
    assert_eq!(store.fixed(&[]).await.unwrap(), []);
    for number in 0..300 {
        assert_eq!(
            store.fix(command(number), number.to_string().as_bytes()).await.unwrap(),
            number.to_string().as_bytes()
        );
    }
    let asked: Vec<_> = (0..301).rev().map(command).collect();
    let want: Vec<_> = (0..301).rev().map(|number| (number < 300).then(|| number.to_string().into_bytes())).collect();
    assert_eq!(store.fixed(&asked).await.unwrap(), want);
    assert_eq!(store.fix(command(1), b"").await.unwrap(), b"1");
    assert_eq!(store.fix(command(301), b"").await.unwrap(), b"");
    assert_eq!(store.fixed(&[command(301)]).await.unwrap(), [Some(vec![])]);
}

async fn an_attempt_is_on_record_until_it_is_forgotten<S: Store>(store: S) {
    use EarlierAttempt::{None, OnRecord};
    // The same mark is the same attempt, whose first note may have been made without an answer.
    let notes = [(1, 1, 7, None), (1, 1, 7, None), (1, 1, 8, OnRecord), (1, 2, 9, None), (2, 1, 10, None)];
    for (number, reference, mark, want) in notes {
        assert_eq!(store.begin_attempt(command(number), reference, mark).await.unwrap(), want, "{number}.{reference}");
    }
    store.forget_attempt(command(1), 1).await.unwrap();
    store.forget_attempt(command(9), 9).await.unwrap();
    for (number, reference, mark, want) in [(1, 2, 11, OnRecord), (1, 1, 12, None), (1, 1, 13, OnRecord)] {
        assert_eq!(store.begin_attempt(command(number), reference, mark).await.unwrap(), want, "{number}.{reference}");
    }
}

async fn doubts_are_the_latest_of_each_tenant_and_of_the_last_hour<S: Store>(store: S) {
    assert_eq!(store.doubts(minute_of(0)).await.unwrap(), []);
    for (name, minute) in [("a", 0), ("b", 5), ("a", 10), ("a", 3), ("c", 1)] {
        store.doubt(&tenant(name), minute_of(minute)).await.unwrap();
    }
    let since = async |minute| {
        let mut doubts = store.doubts(minute_of(minute)).await.unwrap();
        doubts.sort();
        doubts.into_iter().map(|(tenant, at)| (tenant.to_string(), at)).collect::<Vec<_>>()
    };
    let doubt = |name: &str, minute| (name.to_owned(), minute_of(minute));
    assert_eq!(since(0).await, [doubt("a", 10), doubt("b", 5), doubt("c", 1)]);
    assert_eq!(since(5).await, [doubt("a", 10), doubt("b", 5)]);
    assert_eq!(since(11).await, []);
    store.doubt(&tenant("d"), minute_of(65)).await.unwrap();
    assert_eq!(since(0).await, [doubt("a", 10), doubt("b", 5), doubt("d", 65)]);
}

async fn doubts_are_at_most_a_thousand<S: Store>(store: S) {
    for number in 0..1_005_i64 {
        store
            .doubt(&tenant(&format!("tenant-{number}")), minute_of(0).plus(Duration::from_millis(number as u64)))
            .await
            .unwrap();
    }
    let doubts = store.doubts(minute_of(-1_000)).await.unwrap();
    assert_eq!(doubts.len(), 1_000);
    assert!(doubts.iter().all(|(_, at)| *at >= minute_of(0).plus(Duration::from_millis(5))));
}

async fn a_peek_tells_what_is_kept_of_each_customer<S: Store>(store: S) {
    let (acme, a, b) = (tenant("acme"), customer("a"), customer("b"));
    assert_eq!(store.peek_window(&acme, &a).await.unwrap(), []);
    assert_eq!(store.peek_claims(&acme, &a, Trigger::Login).await.unwrap(), []);
    store.logs(&[of("a", [5, 3]), of("b", [9])], &[]).await.unwrap();
    store.logs(&[of("a", [4])], &[]).await.unwrap();
    for ask in [ask("a", 1, 0, Take), ask("a", 2, 5, Take), ask("a", 3, 10, Take), ask("a", 4, 30, Look)] {
        store.settle(&[ask]).await.unwrap();
    }
    let claims = [(1, 0), (3, 10)].map(|(event, minute)| ask("a", event, minute, Take).request.claim);
    for _ in 0..2 {
        assert_eq!(store.peek_window(&acme, &a).await.unwrap(), bets([5, 3, 4]));
        assert_eq!(store.peek_window(&acme, &b).await.unwrap(), bets([9]));
        assert_eq!(store.peek_window(&tenant("other"), &a).await.unwrap(), []);
        assert_eq!(store.peek_claims(&acme, &a, Trigger::Login).await.unwrap(), claims);
        assert_eq!(store.peek_claims(&acme, &a, Trigger::Deposit).await.unwrap(), []);
        assert_eq!(store.peek_claims(&acme, &b, Trigger::Login).await.unwrap(), []);
    }
}

async fn a_control_stands_until_a_later_one_is_set<S: Store>(store: S) {
    use Written::{Outdated, Set};
    assert_eq!(store.standing().await.unwrap(), Standing::default());
    assert_eq!(store.set(&[]).await.unwrap(), []);
    for (state, at, written, stands) in [
        (State::On, 10, Set, (State::On, 10)),
        (State::On, 10, Set, (State::On, 10)), // Told once more, as after a lost answer.
        (State::Off, 9, Outdated, (State::On, 10)),
        (State::Off, 10, Outdated, (State::On, 10)),
        (State::Kept, 10, Set, (State::Kept, 10)),
        (State::Off, 11, Set, (State::Off, 11)),
        (State::On, 10, Outdated, (State::Off, 11)),
        (State::On, 1_772_366_400_250, Set, (State::On, 1_772_366_400_250)),
    ] {
        let asked = control(Kind::Pause, "acme", state, at);
        assert_eq!(store.set(std::slice::from_ref(&asked)).await.unwrap(), [written], "{state:?} at {at}");
        let standing = store.standing().await.unwrap();
        assert_eq!(standing.controls, [control(Kind::Pause, "acme", stands.0, stands.1)]);
        assert_eq!(standing.unreadable, 0);
    }
    let everything = Control { target: Target::EVERYTHING, ..control(Kind::Pause, "acme", State::On, 5) };
    let others = [control(Kind::Shadow, "acme", State::On, 5), control(Kind::Pause, "b", State::On, 5), everything];
    assert_eq!(store.set(&others).await.unwrap(), [Set, Set, Set]);
    // A scope has no controls of its own.
    assert_eq!(store.scoped(Scope::Shadow).standing().await.unwrap().controls.len(), 4);
}

async fn of_a_hundred_who_set_a_control_the_latest_stands<S: Store>(store: S) {
    let setters = (0..100_i64).map(|at| {
        let store = store.clone();
        let state = if at % 2 == 0 { State::On } else { State::Off };
        tokio::spawn(async move { store.set(&[control(Kind::Pause, "acme", state, at)]).await.unwrap()[0] })
    });
    let written: Vec<_> = join_all(setters).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(written[99], Written::Set);
    assert_eq!(store.standing().await.unwrap().controls, [control(Kind::Pause, "acme", State::Off, 99)]);
}

async fn controls_are_at_most_a_thousand_and_those_long_off_make_room<S: Store>(store: S) {
    use Written::{NoRoom, Set};
    let many = |kind: Kind, from: usize, to: usize, state: State| -> Vec<_> {
        (from..to).map(|number| control(kind, &format!("t{number}"), state, 5)).collect()
    };
    assert!(store.set(&many(Kind::Shadow, 0, 900, State::On)).await.unwrap().iter().all(|written| *written == Set));
    let shadow = control(Kind::Shadow, "late", State::On, 5);
    assert_eq!(store.set(std::slice::from_ref(&shadow)).await.unwrap(), [NoRoom], "people's pauses find room yet");
    assert!(store.set(&many(Kind::Pause, 0, 100, State::On)).await.unwrap().iter().all(|written| *written == Set));
    let pause = control(Kind::Pause, "late", State::On, 5);
    assert_eq!(store.set(std::slice::from_ref(&pause)).await.unwrap(), [NoRoom]);
    let known = control(Kind::Pause, "t7", State::Off, 6);
    assert_eq!(store.set(std::slice::from_ref(&known)).await.unwrap(), [Set], "what is there can be switched off");
    assert_eq!(store.set(&[pause]).await.unwrap(), [Set], "and as that is long ago it makes room");
    let standing = Controls::of(store.standing().await.unwrap().controls);
    assert_eq!((standing.len(), standing.active().count()), (1_000, 1_000));
    assert_eq!(standing.get(Kind::Pause, &known.target), None);
}

async fn a_customer_is_forgotten_in_every_scope_and_no_other_is<S: Store>(store: S) {
    let (acme, a) = (tenant("acme"), customer("a"));
    assert_eq!(store.forget(&acme, &a).await.unwrap(), Kept::default());
    for scope in Scope::ALL {
        let scoped = store.scoped(scope);
        let elsewhere = of_tenant("other", "a", [3]);
        scoped.logs(&[of("a", [1, 2]), of("b", [1]), elsewhere], &[]).await.unwrap();
        let mut deposit = ask("a", 1, 0, Take);
        deposit.trigger = Trigger::Deposit;
        scoped.settle(&[ask("a", 1, 0, Take), deposit, ask("b", 1, 0, Take)]).await.unwrap();
    }
    // Whichever scope is asked, all are meant.
    let asked = store.scoped(Scope::Candidate);
    let all = Kept { windows: 3, claims: 6 };
    for _ in 0..2 {
        assert_eq!(asked.kept_of(&acme, &a).await.unwrap(), all);
    }
    assert_eq!(asked.forget(&acme, &a).await.unwrap(), all);
    assert_eq!(asked.forget(&acme, &a).await.unwrap(), Kept::default());
    for scope in Scope::ALL {
        let scoped = store.scoped(scope);
        assert_eq!(scoped.logs(&[of("a", [])], &[]).await.unwrap(), [vec![]]);
        assert_eq!(scoped.settle(&[ask("a", 2, 1, Look)]).await.unwrap(), [Free]);
        assert_eq!(scoped.settle(&[ask("b", 1, 0, Look)]).await.unwrap(), [Held]);
        assert_eq!(scoped.peek_window(&tenant("other"), &a).await.unwrap(), bets([3]));
    }
}

async fn places_are_counted_by_tenant_and_minute<S: Store>(store: S) {
    let places = |name: &str, minute, number| Places { tenant: tenant(name), minute, number };
    assert!(store.count(&[]).await.unwrap().is_empty());
    let first = [places("a", 1, 5), places("b", 1, 2), places("a", 2, 1)];
    assert_eq!(store.count(&first).await.unwrap(), [5, 2, 1]);
    assert_eq!(store.count(&[places("a", 1, -2), places("a", 1, 0), places("c", 1, 0)]).await.unwrap(), [3, 3, 0]);
    let counters = (0..100).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.count(&[places("a", 7, 3)]).await.unwrap()[0] })
    });
    let counts: BTreeSet<i64> = join_all(counters).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(counts, (1..=100).map(|number| 3 * number).collect(), "nobody sees another's count as his own");
}

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Evaluate};
use crate::domain::decide::AgeLimit;
use crate::domain::event::{Activity, Event};
use crate::domain::ids::{CustomerId, EventId, TenantId};
use crate::domain::money::Usd;
use crate::domain::preferences::{AmountBound, Preferences};
use crate::domain::time::Timestamp;
use crate::domain::trigger::{ActivityType, Trigger};
use crate::edge::memory::store::MemoryStore;
use crate::edge::quotas::{Places, Quotas as _};
use crate::edge::{Scope, Scoped as _};
use crate::roles::walk::{Arrival, Conditions, Decisions, Ledgers, Made, Tested, Unsent, Wanted, Windowed, decide};

const NOON: Timestamp = Timestamp(1_772_366_400_000);
const SECOND: Duration = Duration::from_secs(1);

fn settings(evaluate: &str) -> Evaluate {
    let yaml = format!(
        "roles: [evaluate]\nkafka: {{brokers: none}}\npreferences: {{source: directory, directory: none}}\n\
         evaluate: {{{evaluate}}}"
    );
    Config::from_yaml(&yaml, std::iter::empty()).unwrap().evaluate
}

fn ledgers(store: &MemoryStore) -> Ledgers<MemoryStore> {
    Ledgers { live: store.clone(), shadow: store.scoped(Scope::Shadow) }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// `tenant/customer/event`, a login; an event that begins with `d` is a deposit. Each occurs the given time after noon.
fn arrivals(words: &str, after: Duration) -> Vec<Arrival> {
    let preferences = Arc::new(Preferences {
        enabled: true,
        plain: vec![Trigger::Login],
        deposit: Some(AmountBound { threshold: None }),
        ..Preferences::OFF
    });
    let arrival = |word: &str| {
        let [name, customer, id] = word.split('/').collect::<Vec<_>>()[..] else { panic!("{word}") };
        let activity =
            if id.starts_with('d') { Activity::Deposit(Usd::ZERO) } else { Activity::Plain(ActivityType::Login) };
        Arrival {
            event: Event {
                id: EventId::new(id).unwrap(),
                tenant: tenant(name),
                customer: CustomerId::new(customer).unwrap(),
                activity,
                occurred_at: NOON.plus(after),
                transaction: None,
            },
            place: 0,
            preferences: Some(Arc::clone(&preferences)),
            age_limit: AgeLimit::Kept,
        }
    };
    words.split_whitespace().map(arrival).collect()
}

async fn decisions(
    store: &MemoryStore,
    settings: &Evaluate,
    arrivals: &[Arrival],
    now: Option<Timestamp>,
    wanted: Wanted,
) -> Decisions {
    let windowed = Windowed::none_of(arrivals.len());
    let under = Conditions { settings, now, outlive: SECOND, unsent: &Unsent::of_no_account() };
    decide(&ledgers(store), arrivals, &windowed, under, wanted).await.unwrap()
}

/// The decisions of a batch, with a `+` those that fired before.
async fn decided(store: &MemoryStore, settings: &Evaluate, words: &str, after: Duration) -> String {
    let (arrivals, now) = (arrivals(words, after), Some(NOON.plus(after)));
    let Decisions { tested, .. } = decisions(store, settings, &arrivals, now, Wanted::Every).await;
    let name = |again: bool, name: &'static str| if again { format!("{name}+") } else { name.to_owned() };
    tested.iter().map(|one| name(one.decision.is_repeated(), one.decision.name())).collect::<Vec<_>>().join(" ")
}

/// How many places of the tenant are taken in the minute after noon.
async fn taken(store: &MemoryStore, name: &str, minute: i64) -> i64 {
    let minute = NOON.0 / 60_000 + minute;
    store.count(&[Places { tenant: tenant(name), minute, number: 0 }]).await.unwrap()[0]
}

#[tokio::test]
async fn what_is_beyond_the_cap_is_capped_and_what_fired_before_fires_again() {
    let store = MemoryStore::new();
    let settings = settings("max_sessions_per_minute: 2, shadow: {tenants: [quiet]}");
    let minute = SECOND * 60;
    for (words, after, want, count) in [
        ("a/1/e1 a/2/e2 a/3/e3 b/1/e1", SECOND, "required required capped required", 2),
        // Delivered again, it comes to the same, and nothing is counted twice.
        ("a/1/e1 a/2/e2 a/3/e3 b/1/e1", SECOND, "required+ required+ capped required+", 2),
        ("a/3/e3 a/1/e9 a/4/d4", SECOND * 2, "capped in_cooldown capped", 2),
        ("quiet/1/q1 quiet/2/q2 quiet/3/q3", SECOND, "shadowed shadowed shadowed", 2),
    ] {
        assert_eq!(decided(&store, &settings, words, after).await, want, "{words}");
        assert_eq!(taken(&store, "a", 0).await, count, "{words}");
    }
    assert_eq!(taken(&store, "quiet", 0).await, 0);
    // The next minute brings new places; whoever cools down, or comes twice in a batch, takes none.
    let words = "a/1/e10 a/2/e11 a/3/e12 a/3/e13 a/4/d5";
    let want = "in_cooldown in_cooldown required in_cooldown required";
    let got = decided(&store, &settings, words, minute).await;
    assert_eq!(got, want);
    assert_eq!(taken(&store, "a", 1).await, 2, "the second login of the third customer takes none");
}

#[tokio::test]
async fn one_customer_who_is_busy_takes_the_place_of_nobody_else() {
    let store = MemoryStore::new();
    let settings = settings("max_sessions_per_minute: 3");
    let busy = "a/1/e1 a/1/e2 a/1/e1 a/1/e3 a/2/e4 a/3/d5 a/4/e6 a/1/e7";
    let want = "required in_cooldown required+ in_cooldown required required capped in_cooldown";
    assert_eq!(decided(&store, &settings, busy, SECOND).await, want);
    assert_eq!(taken(&store, "a", 0).await, 3);
    // Of those who find no place each event is capped.
    assert_eq!(decided(&store, &settings, "a/5/e8 a/5/e9", SECOND).await, "capped capped");
}

#[tokio::test]
async fn without_a_cap_or_without_a_clock_nothing_is_counted() {
    let store = MemoryStore::new();
    assert_eq!(decided(&store, &settings(""), "a/1/e1 a/2/e2", SECOND).await, "required required");
    let arrivals = arrivals("a/3/e3 a/4/e4", SECOND);
    let capped = settings("max_sessions_per_minute: 1");
    let Decisions { tested, .. } = decisions(&store, &capped, &arrivals, None, Wanted::Every).await;
    assert!(tested.iter().all(|one| one.decision.name() == "required"));
    assert_eq!(taken(&store, "a", 0).await, 0);
}

#[tokio::test]
async fn the_same_is_decided_whether_or_not_every_decision_is_wanted_with_its_numbers() {
    let settings = settings("max_sessions_per_minute: 2, shadow: {tenants: [quiet]}");
    let (every, some) = (MemoryStore::new(), MemoryStore::new());
    let nothing_speaks_for = |arrivals: &mut [Arrival]| {
        for one in arrivals.iter_mut().filter(|one| one.event.id.as_str().ends_with('x')) {
            one.preferences = None;
        }
    };
    let mut seen = BTreeSet::new();
    for words in ["a/1/ex a/1/e1 a/2/dx quiet/1/e1 a/2/e2 a/3/e3 b/1/ex b/1/e1", "a/2/e2 a/1/e9 quiet/1/e4 a/4/ex"] {
        let (mut arrivals, now) = (arrivals(words, SECOND), Some(NOON.plus(SECOND)));
        nothing_speaks_for(&mut arrivals);
        let all = decisions(&every, &settings, &arrivals, now, Wanted::Every).await;
        let few = decisions(&some, &settings, &arrivals, now, Wanted::Candidates).await;
        let made = |one: &Tested| Made { event: one.event, trigger: one.trigger, decision: one.decision.called() };
        assert_eq!(all.made, all.tested.iter().map(made).collect::<Vec<_>>());
        assert_eq!(few.made, all.made);
        let told = all.tested.iter().filter(|one| one.decision.facts().is_some());
        assert_eq!(format!("{:?}", few.tested), format!("{:?}", told.collect::<Vec<_>>()));
        seen.extend(all.made.iter().map(|one| one.decision.name()));
    }
    let want = ["capped", "in_cooldown", "required", "shadowed", "tenant_unknown"];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_race_never_exceed_the_cap() {
    for round in 0..50 {
        let store = MemoryStore::new();
        let settings = Arc::new(settings("max_sessions_per_minute: 10"));
        let replicas = (0..8).map(|replica| {
            let (store, settings) = (store.clone(), Arc::clone(&settings));
            tokio::spawn(async move {
                let words: String = (0..6).map(|event| format!("a/{replica}-{event}/d{event} ")).collect();
                decided(&store, &settings, &words, SECOND).await
            })
        });
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for replica in futures_util::future::join_all(replicas).await {
            for decision in replica.unwrap().split(' ') {
                *counts.entry(decision.to_owned()).or_default() += 1;
            }
        }
        assert!(counts.get("required").is_some_and(|fired| (1..=10).contains(fired)), "round {round}: {counts:?}");
        assert_eq!(counts.values().sum::<usize>(), 48);
    }
}

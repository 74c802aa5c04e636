use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::domain::decide::AgeLimit;
use crate::domain::event::Event;
use crate::domain::ids::{CustomerId, EventId};
use crate::domain::money::{Amount, Usd};
use crate::domain::trigger::ActivityType;
use crate::roles::offline::Offline;
use crate::roles::walk::Arrival;
use crate::wire::event_plain::PlainEvent;
use crate::wire::preferences as document;

const DOCUMENTS: [&str; 5] = [
    r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,"deposit":{"enabled":true,"threshold":50},
        "large_bet_placement":{"enabled":true,"threshold":60},"high_frequency_betting":{"enabled":true,"count":3,"window_minutes":2}}}"#,
    r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"deposit":{"enabled":true,"threshold":20},
        "high_frequency_betting":{"enabled":true,"count":5,"window_minutes":2}}}"#,
    r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,"large_bet_placement":{"enabled":true},
        "high_frequency_betting":{"enabled":true,"count":2}}}"#,
    r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,"high_frequency_betting":{"enabled":true,"count":7,"window_minutes":1}}}"#,
    r#"{"is_reuse_kyc_enabled":false,"reuse_kyc_triggers":{"login":true}}"#,
];

const CONFIG: &str = "roles: [evaluate]\nkafka: {brokers: none}\npreferences: {source: directory, directory: none}
windows: {allowed_lateness: 1m, max_entries: 6, max_lookback: 3m}
evaluate: {claim_retention: 6m, cooldown: {default: 2m}SHADOW}\n";

/// What is tried out live matters where nothing is compared.
const SHADOW: &str = ", shadow: {triggers: [login], tenants: [b]}";

/// Directories whose documents of the tenants `a` and `b` are those; the tenant `c` has none.
fn worlds(root: &Path, documents: &[[usize; 2]]) -> Vec<World> {
    let world = |(place, [a, b]): (usize, &[usize; 2])| {
        let directory = root.join(place.to_string());
        std::fs::create_dir_all(&directory).unwrap();
        for (tenant, document) in [("a", a), ("b", b)] {
            std::fs::write(directory.join(format!("{tenant}.json")), DOCUMENTS[*document]).unwrap();
        }
        World { directory, changes: Vec::new() }
    };
    documents.iter().enumerate().map(world).collect()
}

fn rules(root: &Path, worlds: usize) -> (Rules, PathBuf) {
    let path = root.join("config.yaml");
    std::fs::write(&path, CONFIG.replace("SHADOW", if worlds == 1 { SHADOW } else { "" })).unwrap();
    (Rules::read(Some(&path)).unwrap(), path)
}

/// A line: tenant, customer, kind, second, amount, and the id.
type Line = (usize, u8, usize, i64, u64, u16);

fn event(line: &Line) -> Event {
    let (tenant, customer, kind, second, amount, id) = line;
    let dollars: Usd = amount.to_string().parse::<Amount>().unwrap().as_usd();
    Event {
        id: EventId::new(&format!("e{id}")).unwrap(),
        tenant: TenantId::new(["a", "b", "c"][*tenant]).unwrap(),
        customer: CustomerId::new(&format!("c{customer}")).unwrap(),
        activity: match kind {
            0 => Activity::Plain(ActivityType::Login),
            1 => Activity::Deposit(dollars),
            _ => Activity::Bet(dollars),
        },
        occurred_at: Timestamp(second * 1_000),
        transaction: None,
    }
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (0..3_usize, 0..3_u8, 0..6_usize, -90..0_i64, 0..100_u64, 0..60_u16);
    // Time goes on, and each event comes up to a minute and a half late; ids come again.
    prop::collection::vec(line, 1..80).prop_map(|mut lines| {
        for (place, line) in (0..).zip(&mut lines) {
            line.3 += place * 12;
        }
        lines
    })
}

/// What the walk of the live role decides of the lines.
fn walked(world: &World, config: &Path, lines: &[Line]) -> Vec<(Trigger, Decision)> {
    let mut offline = Offline::new(Rules::read(Some(config)).unwrap(), &world.directory).unwrap();
    let known = |tenant: &TenantId| {
        let bytes = std::fs::read(world.directory.join(format!("{tenant}.json"))).ok()?;
        document::decode(&bytes).ok().map(std::sync::Arc::new)
    };
    let arrival = |(place, line): (u32, &Line)| {
        let event = event(line);
        Arrival { preferences: known(&event.tenant), event, place, age_limit: AgeLimit::Kept }
    };
    let arrivals: Vec<Arrival> = (0..).zip(lines).map(arrival).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut decided = Vec::new();
    for batch in arrivals.chunks(7) {
        let (_, tested) = runtime.block_on(offline.decide(batch)).unwrap();
        decided.extend(tested.into_iter().map(|one| (one.trigger, one.decision)));
    }
    decided
}

fn told(engine: &mut Engine, lines: &[Line]) -> Vec<(Trigger, Decision)> {
    let mut told = Vec::new();
    for (number, line) in (0..).zip(lines) {
        let event = event(line);
        let coming = engine.coming(PlainEvent::from(&event));
        engine.take(&coming, number, |trigger, decision| told.push((trigger, decision.clone())));
    }
    told
}

fn counted(decisions: &[(Trigger, Decision)]) -> BTreeMap<(Trigger, &'static str), u64> {
    let mut counts = BTreeMap::new();
    for (trigger, decision) in decisions {
        *counts.entry((*trigger, decision.name())).or_default() += 1;
    }
    counts
}

fn counted_of(engine: &Engine, world: usize) -> BTreeMap<(Trigger, &'static str), u64> {
    let mut counts = BTreeMap::new();
    for (_, slot) in engine.counts.slots.of(world, None) {
        for (name, count) in Decision::NAMES.iter().zip(slot.decisions).filter(|(_, count)| *count > 0) {
            *counts.entry((slot.trigger, *name)).or_default() += count;
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_world_is_decided_as_the_walk_of_the_live_role_decides_it(
        lines in lines(),
        documents in prop::collection::vec([0..DOCUMENTS.len(), 0..DOCUMENTS.len()], 1..5),
    ) {
        let root = tempfile::tempdir().unwrap();
        let (rules, config) = rules(root.path(), documents.len());
        let worlds = worlds(root.path(), &documents);
        let mut engine = Engine::new(worlds.clone(), worlds.len() == 2, &rules);
        let told = told(&mut engine, &lines);
        let walked: Vec<_> = worlds.iter().map(|world| walked(world, &config, &lines)).collect();
        prop_assert_eq!(&told, &walked[0]);
        for (world, decided) in walked.iter().enumerate() {
            prop_assert_eq!(counted_of(&engine, world), counted(decided), "world {}", world);
        }
        if let [base, other] = &walked[..] {
            let is_required = |one: &(Trigger, Decision)| one.1.name() == "required";
            let pairs = || base.iter().map(is_required).zip(other.iter().map(is_required));
            let sum = |of: fn(&Changes) -> u64| engine.counts.changes.iter().map(of).sum::<u64>();
            prop_assert_eq!(sum(|c| c.newly), pairs().filter(|pair| *pair == (false, true)).count() as u64);
            prop_assert_eq!(sum(|c| c.no_longer), pairs().filter(|pair| *pair == (true, false)).count() as u64);
        }
    }

    #[test]
    fn memory_that_is_full_of_the_dead_changes_nothing(lines in lines(), documents in [0..4_usize, 0..4_usize]) {
        let root = tempfile::tempdir().unwrap();
        let (rules, _) = rules(root.path(), 2);
        let worlds = worlds(root.path(), &[documents]);
        // Three days after every fourth line, and no id of before comes again: whatever was before is dead.
        let mut lines = lines;
        lines.sort_by_key(|line| line.3);
        for (stretch, lines) in (0..).zip(lines.chunks_mut(4)) {
            lines.iter_mut().for_each(|line| {
                line.3 += i64::from(stretch) * 3 * 86_400;
                line.5 += stretch * 100;
            });
        }
        let mut roomy = Engine::new(worlds.clone(), false, &rules);
        let want = told(&mut roomy, &lines);
        let mut tight = Engine::new(worlds, false, &rules);
        let mut got = Vec::new();
        for (stretch, place) in lines.chunks(4).zip(0..) {
            got.extend(told(&mut tight, stretch));
            let next = stretch[0].3 + 86_400;
            tight.forget_dead(Timestamp(next * 1_000));
            // Nobody's window is left, and of claims none.
            prop_assert_eq!(tight.tenants.iter().filter(|tenant| !tenant.customers.is_stateless()).count(), 0, "{}", place);
        }
        prop_assert_eq!(got, want);
        roomy.finish();
        tight.finish();
        prop_assert_eq!(&roomy.counts.people, &tight.counts.people);
        prop_assert!(tight.counts.given_up.is_nothing());
    }
}

#[test]
fn memory_is_kept_to_and_what_is_given_up_is_counted() {
    let root = tempfile::tempdir().unwrap();
    let (rules, _) = rules(root.path(), 2);
    let mut engine = Engine::new(worlds(root.path(), &[[0, 0]]), false, &rules);
    let limit = 200_000;
    for stretch in 0..20_u16 {
        for number in 0..500_u16 {
            // Everybody at once: nobody is dead, and a login of each prompts.
            let mut event = event(&(0, 0, usize::from(number % 2) * 2, i64::from(stretch), 1, number));
            event.customer = CustomerId::new(&format!("c{stretch}-{number}")).unwrap();
            let coming = engine.coming(PlainEvent::from(&event));
            engine.take(&coming, u32::from(number), |_, _| {});
        }
        engine.keep_within(limit, Timestamp(i64::from(stretch) * 1_000));
        assert!(engine.held <= limit, "{} bytes", engine.held);
        let counted: usize = engine.tenants.iter().map(|tenant| tenant.customers.held_bytes()).sum();
        assert!(counted <= limit && counted.abs_diff(engine.held) <= limit / 50, "{counted} and {}", engine.held);
    }
    engine.finish();
    let given_up = engine.counts.given_up;
    assert!(given_up.states > 1_000 && given_up.customers > 1_000, "{given_up:?}");
    // Those given up were counted before they went.
    assert_eq!(engine.counts.people[0].customers, 20 * 250);
}

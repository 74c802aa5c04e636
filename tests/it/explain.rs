//! `stepup explain` of a running deployment: what it finds, what it says, and that it leaves no trace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, TopicPartitionList};
use serde_json::Value;

use crate::services::{RedisServer, StepupProcess, kafka, wait_until};
use crate::stack::{PATIENCE, Stack, event, free_port, just_now};

const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-01-01T00:00:00Z","reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":10,"window_minutes":10},
    "large_bet_placement":{"enabled":true,"threshold":1000},
    "login":true}}"#;

/// Explains an event; gives back the exit status and what was said on both outputs.
fn explain(config: &str, event: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let mut process = StepupProcess::start(&[&["explain", "--config", config, "--event", event], more].concat(), &[]);
    let status = process.wait_exit(PATIENCE);
    (status.code(), process.stdout(), process.stderr())
}

#[track_caller]
fn explained(config: &str, event: &str, more: &[&str]) -> Value {
    let (status, said, errors) = explain(config, event, &[more, &["--json"]].concat());
    assert_eq!((status, errors.as_str()), (Some(0), ""), "{said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// The part of one trigger.
fn of<'a>(explanation: &'a Value, trigger: &str) -> &'a Value {
    let found = explanation["triggers"].as_array().unwrap().iter().find(|tested| tested["trigger"] == trigger);
    found.unwrap_or_else(|| panic!("{trigger}: {explanation:#}"))
}

fn why<'a>(tested: &'a Value, rule: &str) -> &'a str {
    let rules = tested["rules"].as_array().unwrap();
    let found = rules.iter().find(|one| one["rule"] == rule);
    found.unwrap_or_else(|| panic!("{rule}: {tested:#}"))["why"].as_str().unwrap()
}

/// Every key of a server, its value as it is dumped, and its TTL.
fn all_keys(server: &RedisServer) -> BTreeMap<String, (Vec<u8>, i64)> {
    let mut connection = server.connect();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    let mut all = BTreeMap::new();
    for key in keys {
        let value = redis::cmd("DUMP").arg(&key).query(&mut connection).unwrap();
        let ttl = redis::cmd("PTTL").arg(&key).query(&mut connection).unwrap();
        all.insert(key, (value, ttl));
    }
    all
}

/// What the evaluating group has committed, over the two partitions.
fn committed(stack: &Stack) -> i64 {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &stack.brokers)
        .set("group.id", format!("{}-evaluate", stack.name))
        .create()
        .unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(&stack.topic("activity"), 0, 1);
    let answer = client.committed_offsets(asked, Duration::from_secs(30)).unwrap();
    answer.elements().iter().filter_map(|element| element.offset().to_raw()).filter(|offset| *offset > 0).sum()
}

/// The groups that the brokers know of one stack.
fn groups(stack: &Stack) -> BTreeSet<String> {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &stack.brokers).create().unwrap();
    let list = client.fetch_group_list(None, Duration::from_secs(30)).unwrap();
    list.groups().iter().map(|group| group.name().to_owned()).filter(|name| name.contains(&stack.name)).collect()
}

#[test]
fn a_running_deployment_is_explained_and_not_changed() {
    let mut redis = RedisServer::start();
    let stack = Stack::on("explained", 2, &[("acme", PREFERENCES)], kafka(), &redis.url());
    let now = just_now();
    let mut events: Vec<_> =
        (0..10).map(|bet| event("acme", "ann", &format!("bet-{bet}"), "bet", &now, r#","amount":5"#)).collect();
    events.extend(["login-1", "login-2"].map(|id| event("acme", "bob", id, "login", &now, "")));
    events.push(event("acme", "bob", "broken", "deposit", &now, ""));
    let _processor = stack.run("evaluate,dispatch");
    stack.produce(&events);
    let outcomes = stack.outcomes(2);
    wait_until(PATIENCE, "every event has come to its end", || committed(&stack) == 13);
    let (keys, groups_before) = (all_keys(&redis), groups(&stack));
    assert!(keys.len() >= 3, "{:?}", keys.keys());
    let config = stack.config(free_port());

    it_tells_of_bets(&config, &outcomes);
    it_tells_of_a_cooldown_from_wherever_it_is_pointed_to(&config);
    let broken = explained(&config, "broken", &[]);
    assert_eq!((&broken["event"]["result"], &broken["event"]["code"]), (&"rejected".into(), &"missing_field".into()));

    let after = all_keys(&redis);
    assert_eq!(after.keys().collect::<Vec<_>>(), keys.keys().collect::<Vec<_>>());
    for (key, (value, ttl)) in &after {
        assert!(value == &keys[key].0 && *ttl <= keys[key].1 && *ttl > 0, "{key} is changed");
    }
    assert_eq!((groups(&stack), committed(&stack)), (groups_before, 13));

    redis.kill();
    it_tells_the_rest_where_something_is_away(&config, &stack);
}

fn it_tells_of_bets(config: &str, outcomes: &[Value]) {
    let fired = explained(config, "bet-9", &["--tenant", "acme"]);
    assert_eq!(fired["event"]["evaluated"], true, "{fired:#}");
    let often = of(&fired, "high_frequency_betting");
    assert_eq!(often["decision"], "required", "{often:#}");
    assert_eq!((&often["window"]["count"], &often["window"]["needed"]), (&10.into(), &10.into()));
    assert_eq!(often["window"]["bets"].as_array().unwrap().len(), 10);
    assert_eq!((&often["command"]["status"], &often["cooldown"]["held_by"]), (&"known".into(), &"bet-9".into()));
    let outcome = outcomes.iter().find(|outcome| outcome["customer_id"] == "ann").unwrap();
    assert_eq!(often["command_id"], outcome["command_id"]);
    assert_eq!(often["outcome"]["status"], "session_created", "{often:#}");
    assert_eq!(of(&fired, "large_bet_placement")["decision"], "below_threshold");

    let below = explained(config, "bet-8", &["--customer", "ann"]);
    let often = of(&below, "high_frequency_betting");
    assert_eq!(often["decision"], "below_frequency", "{often:#}");
    let counted = "9 bets within 10 min, 10 needed; the next one in time would have reached it";
    assert_eq!(why(often, "below_frequency"), counted);
    let ids: Vec<_> = often["window"]["bets"].as_array().unwrap().iter().map(|bet| bet["id"].as_str()).collect();
    let want: Vec<String> = (0..9).map(|bet| format!("bet-{bet}")).collect();
    assert_eq!(ids, want.iter().map(|id| Some(id.as_str())).collect::<Vec<_>>());

    let (status, text, _) = explain(config, "bet-9", &[]);
    assert_eq!(status, Some(0));
    assert!(text.contains("high_frequency_betting: required") && !text.contains('\x1b'), "{text}");
    for outcome in outcomes {
        let token = outcome["token"].as_str().unwrap();
        assert!(!text.contains(token) && !fired.to_string().contains(token));
    }
}

fn it_tells_of_a_cooldown_from_wherever_it_is_pointed_to(config: &str) {
    let cooled = explained(config, "login-2", &[]);
    let login = of(&cooled, "login");
    assert_eq!(login["decision"], "in_cooldown", "{login:#}");
    assert_eq!(login["cooldown"]["held_by"], "login-1", "{login:#}");
    assert!(why(login, "event_too_old").contains("the limit is 900 s"));
    let place =
        ["topic", "partition", "offset"].map(|part| cooled["event"][part].to_string().replace('"', "")).join("/");
    let again = explained(config, "login-2", &["--at", &place]);
    assert_eq!(again["triggers"], cooled["triggers"]);
    let (status, _, errors) = explain(config, "login-1", &["--at", &place]);
    assert_eq!(status, Some(1));
    assert!(errors.contains("another event than login-1"), "{errors}");
}

fn it_tells_the_rest_where_something_is_away(config: &str, stack: &Stack) {
    let partial = explained(config, "bet-8", &[]);
    let often = of(&partial, "high_frequency_betting");
    assert_eq!(often["decision"], "unknown", "{often:#}");
    assert!(why(often, "below_frequency").contains("Redis"), "{often:#}");
    assert_eq!(of(&partial, "large_bet_placement")["decision"], "below_threshold");
    let login = explained(config, "login-1", &[]);
    assert_eq!(of(&login, "login")["decision"], "required", "its command tells: {login:#}");
    std::fs::remove_dir_all(stack.preferences()).unwrap();
    let less = explained(config, "bet-8", &[]);
    assert_eq!(less["preferences"]["status"], "unknown", "{less:#}");
    assert_eq!(of(&less, "large_bet_placement")["decision"], "unknown", "{less:#}");
}

#[test]
fn what_nobody_has_evaluated_yet_is_told_as_it_would_come_out_and_no_group_is_made() {
    let stack = Stack::new("unevaluated", 2, &[("acme", PREFERENCES), ("umbra", PREFERENCES)]);
    let config = stack.config(free_port());
    stack.produce(&[
        event("umbra", "eve", "shared", "login", &just_now(), ""),
        event("acme", "ann", "early", "login", &just_now(), ""),
        event("acme", "ann", "future", "login", "2099-01-01T00:00:00Z", ""),
    ]);
    let early = explained(&config, "early", &[]);
    assert_eq!(early["event"]["evaluated"], false, "{early:#}");
    assert_eq!(of(&early, "login")["decision"], "required", "{early:#}");
    assert!(early["notes"][0].as_str().unwrap().contains("not evaluated yet"), "{early:#}");
    let future = explained(&config, "future", &[]);
    assert_eq!(future["event"]["code"], "timestamp_in_future", "{future:#}");

    for (event, more, words) in [
        ("absent", &[][..], vec!["3 records from", "--since 24h"]),
        ("shared", &["--tenant", "acme"][..], vec!["--tenant with one that has such an event: umbra"]),
        ("early", &["--since", "2099-01-01T00:00:00Z"][..], vec!["0 records from 2099-01-01T00:00:00.000Z"]),
        ("early", &["--at", "no-such-topic/0/0"][..], vec!["no-such-topic"]),
        ("early", &["--at", &format!("{}/0/99", stack.topic("activity"))][..], vec!["holds no record at offset 99"]),
        ("early", &["--at", &format!("{}/9/0", stack.topic("activity"))][..], vec!["no partition 9"]),
    ] {
        let (status, said, errors) = explain(&config, event, more);
        assert_eq!((status, said.as_str()), (Some(1), ""), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(words.iter().all(|words| errors.contains(words)), "{errors}");
    }
    assert_eq!(groups(&stack), BTreeSet::new());
}

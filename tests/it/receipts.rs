//! Decision receipts: the golden set that guards every release, and receipts of the whole over real services.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stepup::config::Config;
use stepup::domain::decide::{AgeLimit, Decision};
use stepup::domain::ids::Source;
use stepup::domain::time::Timestamp;
use stepup::domain::trigger::Trigger;
use stepup::edge::memory::store::MemoryStore;
use stepup::edge::{Scope, Scoped as _};
use stepup::roles::receipt::{Grounds, Maker, Rerun, rerun, rerun_one};
use stepup::roles::walk::{self, Arrival, Conditions, Keep, Ledgers, Wanted};
use stepup::wire::event::Decoded;
use stepup::wire::{event, preferences, receipt, window};

use crate::services::{self, StepupProcess, wait_for, wait_until};
use crate::stack::{PATIENCE, Stack, event, just_now};

fn golden() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/receipts/golden.ndjson"))
}

fn lines() -> Vec<Vec<u8>> {
    let text = std::fs::read(golden()).unwrap();
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// One step of the story that the golden set is made from: what a sender wrote, when it was decided, and the offset it
/// stands at. A step at an offset that was there before is a redelivery.
struct Step {
    offset: i64,
    tenant: &'static str,
    id: &'static str,
    kind: &'static str,
    /// Seconds after the beginning at which it occurred, and at which it is decided.
    at: (i64, i64),
    more: &'static str,
}

const fn step(
    offset: i64,
    tenant: &'static str,
    id: &'static str,
    kind: &'static str,
    at: (i64, i64),
    more: &'static str,
) -> Step {
    Step { offset, tenant, id, kind, at, more }
}

/// Every decision, every trigger, and every way in which a bet can stand in its window.
const STORY: &[Step] = &[
    step(0, "nobody", "unknown", "deposit", (0, 1), r#","amount":"5""#),
    step(1, "off", "off", "login", (0, 1), ""),
    step(2, "off", "off-bet", "bet", (0, 1), r#","amount":5"#),
    step(3, "some", "some-login", "login", (0, 1), ""),
    step(4, "some", "some-deposit", "deposit", (0, 1), r#","amount":1"#),
    step(5, "some", "some-bet", "bet", (0, 1), r#","amount":1"#),
    // Amounts with a threshold, exactly on it, without one, and converted.
    step(10, "all", "below", "deposit", (0, 1), r#","amount":"249.99""#),
    step(11, "all", "exact", "deposit", (0, 1), r#","amount":"250.00""#),
    step(12, "all", "any", "withdrawal", (0, 1), r#","amount":0"#),
    step(13, "all", "euro", "deposit", (0, 1), r#","amount":"12345678901234567.89","currency":"EUR""#),
    // The plain ones.
    step(20, "all", "login", "login", (0, 1), ""),
    step(21, "all", "password", "password_change", (0, 1), ""),
    step(22, "all", "name", "name_change", (0, 1), ""),
    step(23, "all", "phone", "phone_number_change", (0, 1), ""),
    step(24, "all", "factor", "two_factor_auth_change", (0, 1), ""),
    step(25, "all", "device", "new_device_or_location", (0, 1), ""),
    step(26, "all", "fingerprint", "device_fingerprint_change", (0, 1), ""),
    step(27, "all", "payment", "payment_method_change", (0, 1), ""),
    step(28, "all", "transfer", "account_balance_transfer", (0, 1), ""),
    // A redelivery, a repeat sent anew, one within the cool-down, and one after it.
    step(20, "all", "login", "login", (0, 2), ""),
    step(29, "all", "login", "login", (0, 3), ""),
    step(30, "all", "login-2", "login", (599, 600), ""),
    step(31, "all", "login-3", "login", (600, 601), ""),
    // Too old: to be decided at all, with a claim of its own, and to be remembered.
    step(32, "all", "old", "name_change", (1_200, 2_101), ""),
    step(31, "all", "login-3", "login", (600, 2_000), ""),
    step(33, "all", "older", "name_change", (0, 9_000), ""),
    step(34, "all", "old-transfer", "account_balance_transfer", (0, 9_000), ""),
    // Bets in order, out of order, repeated, delivered again, and late. Five may be kept, in five minutes and one.
    step(40, "all", "b1", "bet", (3_000, 3_001), r#","amount":10"#),
    step(41, "all", "b2", "bet", (3_290, 3_291), r#","amount":500"#),
    step(42, "all", "b0", "bet", (2_995, 3_292), r#","amount":10"#),
    step(43, "all", "b3", "bet", (3_295, 3_296), r#","amount":10"#),
    step(44, "all", "b2", "bet", (3_290, 3_297), r#","amount":500"#),
    step(40, "all", "b1", "bet", (3_000, 3_298), r#","amount":10"#),
    step(45, "all", "b4", "bet", (3_900, 3_901), r#","amount":10"#),
    step(46, "all", "late", "bet", (3_200, 3_902), r#","amount":10"#),
    step(47, "all", "c1", "bet", (3_901, 3_902), r#","amount":10"#),
    step(48, "all", "c2", "bet", (3_902, 3_903), r#","amount":10"#),
    step(49, "all", "c3", "bet", (3_903, 3_904), r#","amount":10"#),
    step(50, "all", "c4", "bet", (3_904, 3_905), r#","amount":10"#),
    step(51, "all", "c5", "bet", (3_905, 3_906), r#","amount":10"#),
    step(52, "all", "full", "bet", (3_899, 3_907), r#","amount":10"#),
    step(53, "all", "much-later", "bet", (4_500, 6_000), r#","amount":10"#),
    step(54, "all", "again", "bet", (6_000, 6_001), r#","amount":10"#),
    step(55, "wide", "w1", "bet", (0, 1), r#","amount":10"#),
    step(56, "wide", "w2", "bet", (7_260, 7_261), r#","amount":10"#),
    // In shadow: first, again, and within a cool-down of its own.
    step(60, "trial", "t1", "login", (0, 1), ""),
    step(60, "trial", "t1", "login", (0, 2), ""),
    step(61, "trial", "t2", "login", (1, 2), ""),
    step(62, "trial", "t3", "bet", (1, 2), r#","amount":1000"#),
    // Two sessions a minute: the third is capped, with a claim and without one; what holds a claim is not.
    step(70, "busy", "f1", "login", (0, 1), ""),
    step(71, "busy", "f2", "deposit", (0, 1), r#","amount":300"#),
    step(72, "busy", "f3", "deposit", (0, 2), r#","amount":300"#),
    step(73, "busy", "f4", "bet", (1, 2), r#","amount":1"#),
    step(70, "busy", "f1", "login", (0, 3), ""),
    step(74, "busy", "f5", "deposit", (60, 61), r#","amount":300"#),
];

const PREFERENCES: &[(&str, &str)] = &[
    ("off", r#"{"updated_at":"2026-01-01T00:00:00Z","reuse_kyc_triggers":{"login":true}}"#),
    ("some", r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"withdrawal":{"enabled":true}}}"#),
    (
        "all",
        r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-01-02T00:00:00Z","reuse_kyc_triggers":{"login":true,
        "password_change":true,"name_change":true,"phone_number_change":true,"two_factor_auth_change":true,
        "new_device_or_location":true,"device_fingerprint_change":true,"payment_method_change":true,
        "account_balance_transfer":true,"deposit":{"enabled":true,"threshold":250},"withdrawal":{"enabled":true},
        "large_bet_placement":{"enabled":true,"threshold":"400"},
        "high_frequency_betting":{"enabled":true,"count":3,"window_minutes":5}}}"#,
    ),
    (
        "wide",
        r#"{"is_reuse_kyc_enabled":true,"updated_at":"of no date","reuse_kyc_triggers":{"high_frequency_betting":
        {"enabled":true,"count":2}}}"#,
    ),
    (
        "trial",
        r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,"large_bet_placement":{"enabled":true},
        "high_frequency_betting":{"enabled":true}}}"#,
    ),
    (
        "busy",
        r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,"deposit":{"enabled":true},
        "high_frequency_betting":{"enabled":true,"count":1}}}"#,
    ),
];

const CONFIG: &str = "roles: [evaluate]\nkafka: {brokers: none}\npreferences: {source: directory, directory: none}\n\
    windows: {allowed_lateness: 1m, max_entries: 5}\nevaluate: {rates: {EUR: '1.08'}, shadow: {tenants: [trial]}}";

/// The receipts of the story, decided one by one by the walk that decides live.
async fn told() -> Vec<u8> {
    let config = Config::from_yaml(CONFIG, std::iter::empty()).unwrap();
    let mut capped = config.evaluate.clone();
    capped.max_sessions_per_minute = Some(2);
    let known: BTreeMap<&str, _> = PREFERENCES
        .iter()
        .map(|(tenant, document)| (*tenant, Arc::new(preferences::decode(document.as_bytes()).unwrap())))
        .collect();
    let store = MemoryStore::new();
    let ledgers = Ledgers { live: store.clone(), shadow: store.scoped(Scope::Shadow) };
    let outlive = Duration::from_secs(1_000_000_000);
    let begin = Timestamp::parse("2026-03-01T12:00:00.250Z").unwrap();
    let after = |seconds: i64| Timestamp(begin.0 + seconds * 1_000);
    let mut told = Vec::new();
    for step in STORY {
        let (_, payload) = event(step.tenant, "player-7", step.id, step.kind, &after(step.at.0).to_string(), step.more);
        let source = Source { topic: "activity".into(), partition: 3, offset: step.offset };
        let Decoded::Event(event) = event::decode(Some(payload.as_bytes()), &config.evaluate.rates) else {
            panic!("{payload}")
        };
        let preferences = known.get(step.tenant).cloned();
        let arrivals = [Arrival { event, place: window::arrival(&source), preferences, age_limit: AgeLimit::Kept }];
        let windowed =
            walk::record_keeping(&store, &arrivals, Vec::new(), &config.windows, outlive, Keep::Logs).await.unwrap();
        let now = Some(after(step.at.1));
        let evaluate = if step.tenant == "busy" { &capped } else { &config.evaluate };
        let unsent = walk::Unsent::of_no_account();
        let under = Conditions { settings: evaluate, now, outlive, unsent: &unsent };
        let decisions = walk::decide(&ledgers, &arrivals, &windowed, under, Wanted::Every).await.unwrap();
        let windows = &config.windows;
        let grounds = Grounds { arrivals: &arrivals, windowed: &windowed, evaluate, windows, decided_at: now };
        let mut maker = Maker::new(grounds);
        for one in &decisions.tested {
            let mut receipt = maker.receipt(one, source.clone(), payload.as_bytes());
            // What is golden is the decision, whichever version wrote it down.
            receipt.software = "golden".to_owned();
            told.extend(receipt::encode(&receipt.again().unwrap()));
            told.push(b'\n');
        }
    }
    told
}

/// What the golden set guards: receipts that were given out stay true.
///
/// Where this fails, a change has given another decision, or other bytes, to what was decided before. If that was not
/// meant, mend the change. If it was, the rules are new rules: raise `wire::receipt::VERSION`, so that receipts of the old
/// ones are told apart instead of called false, say so in the changelog, and write the set anew with
/// `STEPUP_WRITE_GOLDEN=1 cargo test --test it golden`. Steps may be added to the story at any time in the same way: the
/// lines that stand must not change by it.
#[test]
fn every_golden_receipt_comes_to_the_same_bytes() {
    let mut out = Vec::new();
    let again = rerun(&golden(), &mut out);
    assert!(again.is_ok(), "{}", String::from_utf8(out).unwrap());
    assert_eq!(again.unwrap(), lines().len() as u64);
}

#[test]
fn the_golden_set_is_the_story_as_the_live_walk_decides_it() {
    let told = services::block_on(told());
    #[allow(clippy::disallowed_methods, reason = "how a person asks for the set to be written")]
    if std::env::var("STEPUP_WRITE_GOLDEN").is_ok() {
        std::fs::write(golden(), &told).unwrap();
    }
    let stands = std::fs::read(golden()).unwrap();
    for (number, (told, stands)) in told.split(|b| *b == b'\n').zip(stands.split(|b| *b == b'\n')).enumerate() {
        assert_eq!(String::from_utf8_lossy(told), String::from_utf8_lossy(stands), "line {}", number + 1);
    }
    assert_eq!(told.len(), stands.len());
}

#[test]
fn the_golden_set_leaves_no_decision_and_no_trigger_out() {
    let receipts: Vec<Value> = lines().iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
    let every = |pointer: &str| -> BTreeSet<String> {
        receipts.iter().filter_map(|receipt| Some(receipt.pointer(pointer)?.as_str()?.to_owned())).collect()
    };
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(every("/decision/name"), set(&Decision::NAMES));
    assert_eq!(every("/event"), set(Trigger::NAMES));
    assert_eq!(every("/decision/timeliness"), set(&["in_time", "late"]));
    assert_eq!(every("/decision/standing"), set(&["first", "again"]));
    assert_eq!(every("/claims/answer"), set(&["held", "free", "cooling_down"]));
    assert_eq!(every("/claims/mode"), set(&["live", "shadow"]));
    let required: BTreeSet<&str> = receipts
        .iter()
        .filter(|receipt| receipt["decision"]["name"] == "required")
        .map(|receipt| receipt["event"].as_str().unwrap())
        .collect();
    assert_eq!(required, Trigger::NAMES.iter().copied().collect());
}

#[test]
fn golden_receipts_keep_to_their_schema() {
    let mut schema = Vec::new();
    stepup::roles::schema::print(Some("decision-receipt"), &mut schema).unwrap();
    let validator = jsonschema::draft202012::new(&serde_json::from_slice(&schema).unwrap()).unwrap();
    for line in lines() {
        let receipt: Value = serde_json::from_slice(&line).unwrap();
        let errors: Vec<_> = validator.iter_errors(&receipt).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {receipt}");
    }
}

/// The paths of all values that hold no others.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| leaves(member, &format!("{path}/{name}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            found.push(path.to_owned());
        }
    }
}

/// The record with one of its values made another of the same kind; everything else stands as it did.
fn tampered(line: &str, value: &Value, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap();
    let (old, new) = match value.pointer(path).unwrap() {
        Value::Bool(truth) => (truth.to_string(), (!truth).to_string()),
        Value::Number(number) => (number.to_string(), (number.as_i64().unwrap() + 1).to_string()),
        Value::String(text) => {
            let last = text.chars().last().unwrap();
            let other = match last {
                '=' => "x".to_owned(),
                'Z' => "1Z".to_owned(),
                '0' => "1".to_owned(),
                _ => "0".to_owned(),
            };
            (format!("\"{text}\""), format!("\"{}{other}\"", text.strip_suffix(last).unwrap()))
        }
        other @ (Value::Null | Value::Array(_) | Value::Object(_)) => panic!("{path}: {other}"),
    };
    // The same name may stand in several objects; the one that is meant is found by trying each.
    let field = format!("\"{name}\":{old}");
    for (at, _) in line.match_indices(&field) {
        let changed = format!("{}\"{name}\":{new}{}", &line[..at], &line[at + field.len()..]);
        let read: Value = serde_json::from_str(&changed).unwrap();
        if read.pointer(path) != value.pointer(path) {
            return changed;
        }
    }
    panic!("{path} is not in {line}")
}

#[test]
fn a_golden_receipt_with_any_field_changed_is_found_out() {
    let mut changed = 0;
    for line in lines() {
        let line = String::from_utf8(line).unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        let mut paths = Vec::new();
        leaves(&value, "", &mut paths);
        for path in paths {
            let bad = tampered(&line, &value, &path);
            let field = path.trim_start_matches('/').replace('/', ".");
            let told = match rerun_one(bad.as_bytes()) {
                Rerun::Same(_) => panic!("{field} is not guarded: {bad}"),
                // The digest stands for all inputs, and so says that one of them was changed.
                Rerun::Differs(_, differences) => differences
                    .iter()
                    .any(|difference| difference.field == field || difference.field == "inputs_sha256"),
                Rerun::Contradicted(_, contradiction) => !contradiction.field().is_empty(),
                Rerun::Unreadable(rejection) => {
                    let named = field.split('.').any(|name| rejection.error.contains(name));
                    named || ["canonical form", "the event itself"].iter().any(|what| rejection.error.contains(what))
                }
            };
            assert!(told, "{field}: {bad}");
            changed += 1;
        }
    }
    assert!(changed > 500, "{changed}");
}

const BETTING: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-01-01T00:00:00Z","reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":3,"window_minutes":5},
    "large_bet_placement":{"enabled":true,"threshold":400},"login":true,"deposit":{"enabled":true,"threshold":100}}}"#;

/// Five events of each of some customers: three bets in a row, the last a large one, a deposit and a login.
fn traffic(customers: u32) -> Vec<(String, String)> {
    let now = just_now();
    let of = |customer: u32| {
        let one = |id: &str, kind: &str, more: &str| {
            event("acme", &format!("player-{customer}"), &format!("{id}-{customer}"), kind, &now, more)
        };
        [
            one("first", "bet", r#","amount":5"#),
            one("second", "bet", r#","amount":5,"device":{"id":"secret-device"},"attributes":{"note":"secret"}"#),
            one("third", "bet", r#","amount":500"#),
            one("deposit", "deposit", r#","amount":"99.99","transaction_id":"secret-transaction""#),
            one("login", "login", ""),
        ]
    };
    (0..customers).flat_map(of).collect()
}

/// The file of what is on the receipts topic, and what the binary's own rules say of it.
#[track_caller]
fn rerun_all(stack: &Stack) -> String {
    let file = stack.directory.path().join("receipts.ndjson");
    let lines: Vec<Vec<u8>> = stack.read("receipts").into_iter().map(|record| record.payload).collect();
    std::fs::write(&file, lines.join(&b'\n')).unwrap();
    let mut out = Vec::new();
    let outcome = rerun(&file, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(outcome.is_ok(), "{outcome:?}\n{text}");
    text.lines().last().unwrap().to_owned()
}

#[test]
fn every_decision_of_the_live_role_has_a_receipt_that_comes_to_the_same_bytes() {
    let stack = Stack::new("receipts", 3, &[("acme", BETTING)]).with("evaluate: { receipts: all }");
    let processor = stack.run("evaluate");
    let mut events = traffic(20);
    events.push(event("nobody", "c", "e", "login", &just_now(), ""));
    events.push(events[0].clone());
    stack.produce(&events);
    // A bet is tested against two triggers.
    let decisions = 20.0 * 8.0 + 1.0 + 2.0;
    wait_until(PATIENCE, "all is decided", || processor.metric("stepup_decisions_total", &[]) == decisions);
    assert_eq!(processor.metric("stepup_receipts_total", &[]), decisions);
    for name in ["required", "below_threshold", "below_frequency", "tenant_unknown"] {
        let label = format!("decision=\"{name}\"");
        let decided = processor.metric("stepup_decisions_total", &[&label]);
        assert_eq!(processor.metric("stepup_receipts_total", &[&label]), decided, "{name}");
        assert!(decided >= 1.0, "{name}");
    }
    assert_eq!(rerun_all(&stack), "163 receipts: 163 same, 0 different, 0 unreadable");

    let records = stack.read("receipts");
    assert!(records.iter().all(|record| !record.text().contains("secret")), "a receipt holds what no decision reads");
    let receipts = stack.json("receipts");
    for (record, receipt) in records.iter().zip(&receipts) {
        let key = format!("{}/{}", receipt["tenant_id"].as_str().unwrap(), receipt["customer_id"].as_str().unwrap());
        assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
        assert_eq!(receipt["cause"]["topic"], stack.topic("activity"));
    }
    let commands: BTreeSet<String> =
        stack.json("commands").iter().map(|command| command["id"].as_str().unwrap().to_owned()).collect();
    let promised: BTreeSet<String> =
        receipts.iter().filter_map(|receipt| Some(receipt["decision"]["command_id"].as_str()?.to_owned())).collect();
    assert_eq!(promised, commands);
    assert_eq!(commands.len(), 60, "a large bet, a third bet and a login each");
}

#[test]
fn with_receipts_for_what_is_required_nothing_else_has_one_and_a_crash_repeats_them_under_their_ids() {
    let stack = Stack::new("receipts-of", 3, &[("acme", BETTING)])
        .with("evaluate: { receipts: required, batch_size: 10, shadow: { triggers: [login] } }");
    let mut first = stack.run("evaluate");
    first.until_ready();
    stack.produce(&traffic(100));
    wait_for(PATIENCE, "it is in the middle of its work", || {
        let receipts = stack.read("receipts").len();
        if receipts > 20 { Ok(()) } else { Err(format!("{receipts} receipts")) }
    });
    first.process.kill9();
    let _second = stack.run("evaluate");
    let by_id = wait_for(PATIENCE, "everything that fires has a receipt", || {
        let mut by_id: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for receipt in stack.json("receipts") {
            by_id.entry(receipt["id"].as_str().unwrap().to_owned()).or_default().push(receipt);
        }
        if by_id.len() >= 300 { Ok(by_id) } else { Err(format!("{} of 300", by_id.len())) }
    });
    assert_eq!(by_id.len(), 300);
    for receipts in by_id.values() {
        let shadowed = receipts[0]["event"] == "login";
        for receipt in receipts {
            assert_eq!(receipt["decision"]["name"], if shadowed { "shadowed" } else { "required" });
            assert_eq!(receipt["decision"]["command_id"], receipts[0]["decision"]["command_id"]);
            assert_eq!(receipt["window"], receipts[0]["window"], "a window is judged as of its first arrival");
        }
    }
    assert!(rerun_all(&stack).ends_with(" 0 different, 0 unreadable"));
}

#[test]
fn the_topic_of_receipts_is_asked_for_only_where_there_are_any() {
    let stack = Stack::new("no-receipts", 1, &[("acme", BETTING)]);
    let missing = format!("{}-not-there", stack.name);
    for (receipts, fits) in [("off", true), ("required", false), ("all", false)] {
        let config = stack.config(1);
        let env = [
            ("STEPUP__EVALUATE__RECEIPTS", receipts),
            ("STEPUP__KAFKA__TOPICS__RECEIPTS", missing.as_str()),
            ("STEPUP__ROLES", "[evaluate]"),
        ];
        let mut check = StepupProcess::start(&["check", "--config", &config], &env);
        assert_eq!(check.wait_exit(PATIENCE).success(), fits, "{receipts}: {}", check.stdout());
        assert_eq!(check.stdout().contains(&format!("topic {missing} does not exist")), !fits, "{receipts}");
    }
    let processor = stack.run_with("evaluate", &[("STEPUP__EVALUATE__RECEIPTS", "off")]);
    stack.produce(&traffic(1));
    wait_until(PATIENCE, "all is decided", || processor.metric("stepup_decisions_total", &[]) == 8.0);
    assert_eq!(stack.read("receipts").len(), 0);
    assert_eq!(processor.metric("stepup_receipts_total", &[]), 0.0);
}

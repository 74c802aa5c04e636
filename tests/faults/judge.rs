//! The judgment: what went in, against what came out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use serde_json::Value;

use crate::services::{Record, read_all};
use crate::world::World;

/// What came out.
pub struct Judged {
    pub commands: u64,
    pub sessions: u64,
    pub orphans: u64,
}

/// What the auditor says: that every promise is kept, and every one was looked at.
#[track_caller]
pub fn audit(world: &World) {
    let (config, preferences) = (world.watching(), world.preferences());
    #[rustfmt::skip]
    let args = ["audit", "--config", &config, "--preferences", &preferences, "--sessions", &world.api_address, "--windows",
        "--expect-drained", "--json"];
    let (status, report, stderr) = world.verb("audit", &args);
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|error| panic!("the audit: {error}: {stderr}"));
    assert!(status.success() && report["ok"] == true, "the auditor: {stderr}\n{}", violations(&report));
    for check in report["checks"].as_array().expect("checks") {
        assert_eq!(check["skipped"], Value::Null, "the auditor did not check {}", check["name"]);
    }
    let decided_again = |name: &str| report["counted"][name].as_u64();
    assert_eq!(decided_again("undecided"), Some(0), "decisions that the auditor cannot make again: {report}");
}

/// The checks of an audit that found something, with the first of it.
fn violations(report: &Value) -> String {
    let checks = report["checks"].as_array().into_iter().flatten();
    let broken = checks.filter(|check| check["violations"] != 0);
    broken
        .map(|check| format!("{} {}: {}", check["name"], check["violations"], check["first"]))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The cause of a command: tenant, event, trigger.
type Cause = (String, String, String);

/// Judges a world whose queue is worked off, and panics with the first violation.
#[track_caller]
pub fn judge(world: &World) -> Judged {
    let read = |kind: &str| read_all(&world.brokers, &world.topic(kind));
    let (activity, commands) = (read("activity"), by_command(&read("commands"), "id"));
    let causes = causes(&commands);
    let (required, rejected) = required(world, &activity);
    let missing: Vec<_> = required.difference(&causes).take(5).collect();
    assert!(missing.is_empty(), "required and never commanded: {missing:?}");
    let surplus: Vec<_> = causes.difference(&required).take(5).collect();
    assert!(surplus.is_empty(), "commanded and not required: {surplus:?}");
    let letters: BTreeSet<(String, String)> = read("dead-letters").iter().map(source).collect();
    let of_events = letters.iter().filter(|(partition, _)| partition.starts_with(&world.topic("activity"))).count();
    assert_eq!(of_events, rejected, "dead letters of events, by their place");
    let (sessions, orphans) = endings(world, &commands, &by_command(&read("outcomes"), "command_id"));
    Judged { commands: commands.len() as u64, sessions, orphans }
}

/// A topic's records by their command. The same record may come again; another one under the same id must not.
fn by_command(records: &[Record], id: &str) -> BTreeMap<String, Value> {
    let mut by_command: BTreeMap<String, (Value, &Record)> = BTreeMap::new();
    for record in records {
        let value: Value = serde_json::from_slice(&record.payload).expect("JSON on a topic of ours");
        let id = value[id].as_str().expect("an id").to_owned();
        let (first, place) = by_command.entry(id.clone()).or_insert_with(|| (value.clone(), record));
        let (one, other) = (timeless(first), timeless(&value));
        assert_eq!(
            one, other,
            "{id} stands twice and not alike: partition {} offset {} and partition {} offset {}",
            place.partition, place.offset, record.partition, record.offset
        );
    }
    by_command.into_iter().map(|(id, (value, _))| (id, value)).collect()
}

/// A record without what may differ when it is written again: a command that is issued again has another time, and one
/// whose event was sent twice another place.
fn timeless(record: &Value) -> Value {
    let mut record = record.clone();
    let without = |part: Option<&mut Value>, names: &[&str]| {
        if let Some(fields) = part.and_then(Value::as_object_mut) {
            fields.retain(|name, _| !names.contains(&name.as_str()));
        }
    };
    without(record.get_mut("cause"), &["partition", "offset"]);
    without(Some(&mut record), &["issued_at", "expires_at"]);
    record
}

/// What caused the commands; each cause has one command, under the id that is made from it.
fn causes(commands: &BTreeMap<String, Value>) -> BTreeSet<Cause> {
    let mut causes = BTreeMap::new();
    for (id, command) in commands {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let cause = (text(&command["tenant_id"]), text(&command["cause"]["event_id"]), text(&command["event"]));
        if let Some(other) = causes.insert(cause.clone(), id) {
            panic!("{cause:?} has two commands: {other} and {id}");
        }
    }
    causes.into_keys().collect()
}

/// What a back-test requires over the recorded activity, and how many records cannot be processed.
fn required(world: &World, activity: &[Record]) -> (BTreeSet<Cause>, usize) {
    let file = world.directory.join("activity.ndjson");
    let lines: Vec<&[u8]> = activity.iter().map(|record| record.payload.as_slice()).collect();
    std::fs::write(&file, lines.join(&b'\n')).unwrap();
    let (events, config, preferences) = (file.display().to_string(), world.watching(), world.preferences());
    #[rustfmt::skip]
    let args = ["backtest", "--events", &events, "--preferences", &preferences, "--config", &config, "--quiet", "--decisions", "-"];
    let (status, decisions, stderr) = world.verb("backtest", &args);
    assert!(status.success(), "the back-test: {status}: {stderr}");
    let (mut required, mut rejected) = (BTreeSet::new(), 0);
    for line in decisions.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        match line["decision"].as_str() {
            Some("required") => drop(required.insert((text("tenant_id"), text("event_id"), text("event")))),
            Some("rejected") => rejected += 1,
            Some(_) | None => {}
        }
    }
    (required, rejected)
}

/// The place that a dead letter came from.
fn source(letter: &Record) -> (String, String) {
    let header = |name: &str| letter.header(name).unwrap_or_default().to_owned();
    (format!("{}[{}]", header("source-topic"), header("source-partition")), header("source-offset"))
}

/// Every command has one ending, and no ending is without its command; a token in an outcome is that of a session, and no
/// session's token stands in two. Gives back how many sessions there are, and how many of them nobody was told of.
fn endings(world: &World, commands: &BTreeMap<String, Value>, outcomes: &BTreeMap<String, Value>) -> (u64, u64) {
    let without: Vec<_> = commands.keys().filter(|id| !outcomes.contains_key(*id)).take(5).collect();
    assert!(without.is_empty(), "commands without an outcome: {without:?}");
    let stray: Vec<_> = outcomes.keys().filter(|id| !commands.contains_key(*id)).take(5).collect();
    assert!(stray.is_empty(), "outcomes without a command: {stray:?}");
    let sessions = world.sessions();
    let token = |session: &Value| session["token"].as_str().expect("a token").to_owned();
    let by_token: HashMap<String, &Value> = sessions.iter().map(|session| (token(session), session)).collect();
    let mut told = HashSet::new();
    for (command, outcome) in outcomes {
        let status = outcome["status"].as_str().unwrap_or_default();
        assert!(world.statuses.contains(status), "a command ended as {status:?}: {command}");
        if status == "session_created" {
            let session = by_token.get(&token(outcome)).unwrap_or_else(|| panic!("no session has {command}'s token"));
            assert_eq!(session["reference"], outcome["reference"], "{command}");
            let reference = outcome["reference"].as_str().unwrap_or_default();
            assert!(reference == command || reference.starts_with(&format!("{command}.")), "{command}: {reference}");
            assert!(told.insert(token(outcome)), "two commands have one session: {command}");
        }
    }
    (sessions.len() as u64, (sessions.len() - told.len()) as u64)
}

/// No token stands in anything that a process printed.
#[track_caller]
pub fn no_secret_is_told(world: &World) {
    let sessions = world.sessions();
    let tokens: HashSet<&str> = sessions.iter().filter_map(|session| session["token"].as_str()).collect();
    for entry in std::fs::read_dir(&world.directory).unwrap() {
        let folder = entry.unwrap().path();
        for output in ["stdout", "stderr"].map(|name| folder.join(name)) {
            told_in(&output, &tokens);
        }
    }
}

#[track_caller]
fn told_in(path: &Path, tokens: &HashSet<&str>) {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let no_part = |character: char| !(character.is_ascii_alphanumeric() || "-_.".contains(character));
    let told = text.split(no_part).any(|word| tokens.contains(word));
    assert!(!told, "a session's token stands in {}", path.display());
}

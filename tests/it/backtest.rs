//! The back-test as an operator runs it: recordings in, answers out.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::services::{StepupProcess, directory};
use crate::stack::PATIENCE;

/// A recording, and directories of preferences.
struct Given {
    root: TempDir,
}

impl Given {
    fn new(recording: &str) -> Self {
        let root = directory("backtest");
        std::fs::write(root.path().join("events.ndjson"), recording).unwrap();
        Self { root }
    }

    fn prefer(&self, directory: &str, tenant: &str, triggers: &str) {
        let directory = self.root.path().join(directory);
        std::fs::create_dir_all(&directory).unwrap();
        let document = format!(r#"{{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{{{triggers}}}}}"#);
        std::fs::write(directory.join(format!("{tenant}.json")), document).unwrap();
    }

    fn run(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_stepup"))
            .args(["backtest", "--events", "events.ndjson", "--preferences", "base"])
            .args(more)
            .current_dir(self.root.path())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn text(&self, more: &[&str]) -> String {
        let output = self.run(more);
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, more: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[more, &["--json"]].concat())).unwrap()
    }
}

/// `id customer type hh:mm:ss amount` words of one day, each a line of the tenant acme.
fn line(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let [id, customer, kind, time, rest @ ..] = &words[..] else { panic!("{words:?}") };
    let amount = rest.first().map(|amount| format!(r#","amount":"{amount}""#)).unwrap_or_default();
    format!(
        r#"{{"id":"{id}","tenant_id":"acme","customer_id":"{customer}","type":"{kind}","occurred_at":"2026-03-01T{time}Z"{amount}}}"#
    )
}

const LINES: [&str; 12] = [
    "d1 ann deposit 12:00:10 300",
    "d2 ann deposit 12:00:20 150",
    "d2 ann deposit 12:00:20 150", // Its producer repeats itself: required again, but no other session.
    "d3 bob deposit 12:00:30 99.99",
    "d4 cid deposit 12:01:00 250",
    "l1 bob login 12:01:10",
    "l2 bob login 12:05:00", // The cool-down holds it off.
    "l3 bob login 12:12:00",
    "b1 dan bet 12:02:00 1",
    "b2 dan bet 12:03:00 1", // Two within five minutes reach one bound,
    "b3 dan bet 12:04:00 1", // three the other, whose prompt the first one's cool-down holds off.
    "b4 dan bet 12:14:30 1",
];

fn small() -> Given {
    let mut recording: Vec<String> = LINES.iter().map(|words| line(words)).collect();
    recording.push(line("b5 eve bet 12:15:00 1").replace("acme", "nobody"));
    recording.push(r#"{"id":"half","amount":"#.to_owned());
    recording.push(line("u1 ann unheard_of 12:15:01"));
    let given = Given::new(&recording.join("\n"));
    given.prefer(
        "base",
        "acme",
        r#""login":true,"deposit":{"enabled":true,"threshold":100},"high_frequency_betting":{"enabled":true,"count":3,"window_minutes":5}"#,
    );
    given.prefer(
        "other",
        "acme",
        r#""login":false,"deposit":{"enabled":true,"threshold":250},"high_frequency_betting":{"enabled":true,"count":2,"window_minutes":5}"#,
    );
    given
}

const NUMBERS: [&str; 10] = [
    "required",
    "required_against",
    "newly",
    "no_longer",
    "customers",
    "customers_against",
    "prompts",
    "prompts_against",
    "repeat_prompts",
    "customers_no_longer",
];

#[test]
fn a_comparison_tells_events_and_people_by_trigger_and_in_all() {
    let given = small();
    let answer = given.json(&["--against", "other", "--cost-per-session", "0.35"]);
    assert_eq!(answer["events"], 13);
    assert_eq!(answer["unknown_types"], 1);
    assert_eq!(answer["rejected"], serde_json::json!({"invalid_json": 1}));
    assert_eq!(answer["bad_lines"][0]["line"], 14);
    assert_eq!(answer["partial"], false);
    assert_eq!(answer["from"], "2026-03-01T12:00:10.000Z");
    assert_eq!(answer["to"], "2026-03-01T12:15:00.000Z");
    let numbers = |of: &Value| NUMBERS.map(|name| of[name].as_u64().unwrap_or_else(|| panic!("{name} of {of}")));
    for (name, want) in [
        ("deposit", [4, 2, 0, 2, 2, 2, 3, 2, 1, 0]),
        ("login", [2, 0, 0, 2, 1, 0, 2, 0, 1, 1]),
        ("high_frequency_betting", [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]),
        ("large_bet_placement", [0; 10]),
        ("withdrawal", [0; 10]),
    ] {
        assert_eq!(numbers(&answer["triggers"][name]), want, "{name}");
    }
    let total = &answer["total"];
    assert_eq!(numbers(total), [7, 3, 1, 5, 4, 3, 6, 3, 2, 1]);
    assert_eq!((&total["cost"], &total["cost_against"]), (&"2.1".into(), &"1.05".into()));
    let spread =
        |one: [u64; 5]| serde_json::json!({"1": one[0], "2": one[1], "3-5": one[2], "6-10": one[3], ">10": one[4]});
    assert_eq!(total["prompts_per_customer"], spread([2, 2, 0, 0, 0]));
    assert_eq!(total["prompts_per_customer_against"], spread([3, 0, 0, 0, 0]));
    // Two minutes hold two sessions each: the earlier is told.
    assert_eq!(total["peak_minute"], serde_json::json!({"at": "2026-03-01T12:00:00.000Z", "sessions": 2}));
    assert_eq!(total["peak_minute_against"]["sessions"], 1);
    assert_eq!(
        answer["triggers"]["large_bet_placement"]["decisions"],
        serde_json::json!({"tenant_unknown": 1, "trigger_disabled": 4})
    );
    let affected: Vec<String> = answer["most_affected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}>{}", one["customer_id"].as_str().unwrap(), one["prompts"], one["prompts_against"]))
        .collect();
    assert_eq!(affected, ["bob 2>0", "ann 2>1"]);
    assert_eq!(answer["given_up"], serde_json::json!({"states": 0, "customers": 0, "minutes": 0}));
}

#[test]
fn without_a_comparison_it_tells_of_the_people_and_decides_as_the_comparison_does() {
    let given = small();
    let (alone, both) = (given.json(&[]), given.json(&["--against", "other"]));
    assert!(alone["total"].get("newly").is_none() && alone["total"].get("required_against").is_none());
    for trigger in alone["triggers"].as_object().unwrap().keys().chain([&"total".to_owned()]) {
        let of = |answer: &Value| {
            if trigger == "total" { answer["total"].clone() } else { answer["triggers"][trigger].clone() }
        };
        for (name, value) in of(&alone).as_object().unwrap() {
            assert_eq!(&of(&both)[name], value, "{trigger}.{name}");
        }
    }
    let text = given.text(&[]);
    for part in ["events decided", "lines that cannot be processed", "Whom it interrupts", "ann"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(given.text(&["--quiet"]), "");
}

#[test]
fn a_change_answers_as_the_edited_documents_do() {
    let given = small();
    let change =
        r#"{"login":false,"deposit":{"threshold":250},"reuse_kyc_triggers":{"high_frequency_betting":{"count":2}}}"#;
    let (against, changed) = (given.json(&["--against", "other"]), given.json(&["--change", change]));
    assert_eq!(changed, against);
    let one = given.json(&["--change", change, "--change-tenant", "acme"]);
    assert_eq!(one, against);
    let nothing = given.json(&["--change", r#"{"deposit":{"threshold":100.00}}"#]);
    assert_eq!((&nothing["total"]["newly"], &nothing["total"]["no_longer"]), (&0.into(), &0.into()));
    assert!(nothing["notes"][0].as_str().unwrap().contains("changes nothing"), "{}", nothing["notes"]);
    for (more, part) in [
        (vec!["--change", r#"{"deposit":{"treshold":1}}"#], "names deposit.treshold"),
        (vec!["--change", "{}", "--change-tenant", "nobody"], "has no document of that tenant"),
        (vec!["--change", "{}", "--against", "other"], "cannot be used with"),
        (vec!["--change-tenant", "acme"], "--change"),
        (vec!["--against", "nowhere"], "--against nowhere"),
        (vec!["--decisions", "-", "--json"], "both go to the standard output"),
        (vec!["--sweep", "deposit.limit=1..2:1"], "allowed are deposit.threshold"),
        (vec!["--memory", "7"], "must be a whole number"),
        (vec!["--cost-per-session", "cheap"], "must be a number"),
    ] {
        let output = given.run(&more);
        let told = String::from_utf8(output.stderr).unwrap();
        // What is found out by looking is no misuse.
        let status = if ["has no document of that tenant", "--against nowhere"].contains(&part) { 1 } else { 2 };
        assert_eq!(output.status.code(), Some(status), "{more:?}: {told}");
        assert!(told.contains(part), "{more:?}: {told}");
    }
}

#[test]
fn a_shadow_shows_among_decisions_and_matters_to_no_comparison() {
    let given = small();
    std::fs::write(
        given.root.path().join("config.yaml"),
        "roles: [evaluate]\nkafka: {brokers: none}\npreferences: {source: directory, directory: none}\n\
         evaluate: {shadow: {triggers: [login], tenants: []}}\n",
    )
    .unwrap();
    let (with, without) = (["--against", "other", "--config", "config.yaml"], ["--against", "other"]);
    assert_eq!(given.json(&with), given.json(&without));
    let alone = given.json(&["--config", "config.yaml"]);
    let login = &alone["triggers"]["login"];
    assert_eq!(login["decisions"], serde_json::json!({"in_cooldown": 1, "shadowed": 2}));
    assert_eq!((&login["required"], &login["prompts"], &login["customers"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!(given.text(&["--config", "config.yaml", "--decisions", "-"]).matches("\"shadowed\"").count(), 2);
}

#[test]
fn a_table_is_a_recording_too() {
    let given = small();
    let table = "bet,who,kind,when,sum\nd1,ann,deposit,2026-03-01T12:00:10Z,300\nl1,bob,login,2026-03-01T12:01:10Z,\n";
    std::fs::write(given.root.path().join("events.ndjson"), table).unwrap();
    let columns = "id=bet,tenant_id='acme',customer_id=who,type=kind,occurred_at=when,amount=sum";
    let answer = given.json(&["--columns", columns]);
    assert_eq!((&answer["events"], &answer["total"]["required"]), (&2.into(), &2.into()), "{answer}");
}

/// A day of deposits and bets of some customers, in order.
fn day(customers: u32, lines: u32) -> String {
    let mut state = 7_u32;
    let mut chance = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut recording = String::new();
    for number in 0..lines {
        let second = u64::from(number) * 86_000 / u64::from(lines);
        let time = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
        let kind = ["deposit", "bet", "bet", "bet"][chance(4) as usize];
        let words = format!("e{number} c{} {kind} {time} {}.50", chance(customers), chance(1_000));
        recording.push_str(&line(&words));
        recording.push('\n');
    }
    recording
}

#[test]
fn every_step_of_a_sweep_is_what_a_change_by_itself_gives() {
    let given = Given::new(&day(40, 3_000));
    given.prefer(
        "base",
        "acme",
        r#""deposit":{"enabled":true,"threshold":500},"large_bet_placement":{"enabled":true,"threshold":900},
           "high_frequency_betting":{"enabled":true,"count":6,"window_minutes":60}"#,
    );
    for (sweep, term, steps) in [
        ("deposit.threshold=0..900:300", ("deposit", "threshold"), 4),
        ("high_frequency_betting.count=1..9:4", ("high_frequency_betting", "count"), 3),
        ("high_frequency_betting.window_minutes=10..130:60", ("high_frequency_betting", "window_minutes"), 3),
    ] {
        let answer = given.json(&["--sweep", sweep, "--cost-per-session", "1"]);
        let swept = answer["sweep"]["steps"].as_array().unwrap();
        assert_eq!(swept.len(), steps, "{sweep}");
        for step in swept {
            let (trigger, field) = term;
            let change = format!(r#"{{"{trigger}":{{"{field}":{}}}}}"#, step["value"].as_str().unwrap());
            let alone = given.json(&["--change", &change, "--cost-per-session", "1"]);
            for (figures, want) in [(step, &alone["triggers"][trigger]), (&step["total"], &alone["total"])] {
                for name in [
                    "required",
                    "prompts",
                    "customers",
                    "repeat_prompts",
                    "peak_minute",
                    "prompts_per_customer",
                    "cost",
                    "decisions",
                ] {
                    assert_eq!(figures[name], want[format!("{name}_against")], "{sweep} {change} {name}");
                }
            }
        }
        // A greater threshold or count asks fewer, a wider window more.
        let counts: Vec<u64> = swept.iter().map(|step| step["required"].as_u64().unwrap()).collect();
        let falls = counts.windows(2).all(|pair| pair[0] >= pair[1]) && counts[0] > counts[steps - 1];
        assert!(falls || term.1 == "window_minutes", "{sweep}: {counts:?}");
        let text = given.text(&["--sweep", sweep]);
        assert!(text.contains("customers prompted") || text.contains("repeat"), "{text}");
        let csv = given.text(&["--sweep", sweep, "--csv"]);
        assert_eq!(csv.lines().count(), 1 + steps, "{csv}");
    }
    let off = given.json(&["--sweep", "withdrawal.threshold=1..2:1"]);
    assert!(off["notes"][0].as_str().unwrap().contains("withdrawal is off for every tenant"), "{}", off["notes"]);
    let on = given.json(&["--sweep", "withdrawal.threshold=1..2:1", "--change", r#"{"withdrawal":{"enabled":true}}"#]);
    assert_eq!(on["notes"], serde_json::json!([]));
}

#[test]
fn csv_has_a_row_for_each_trigger_tested_and_one_for_all() {
    let csv = small().text(&["--against", "other", "--csv"]);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<BTreeMap<String, String>> = reader
        .records()
        .map(|row| names.iter().cloned().zip(row.unwrap().iter().map(str::to_owned)).collect())
        .collect();
    let triggers: Vec<&str> = rows.iter().map(|row| row["trigger"].as_str()).collect();
    assert_eq!(triggers, ["login", "deposit", "large_bet_placement", "high_frequency_betting", "total"]);
    let total = &rows[4];
    let cells = ["required", "required_against", "newly", "no_longer", "customers", "customers_against"]
        .map(|name| total[name].as_str());
    assert_eq!(cells, ["7", "3", "1", "5", "4", "3"]);
}

#[test]
fn a_report_is_written_beside_the_answer() {
    let given = small();
    given.json(&["--against", "other", "--report", "out.html"]);
    let page = std::fs::read_to_string(given.root.path().join("out.html")).unwrap();
    for part in
        ["Whom a change would interrupt", "Whom it interrupts", "Sessions begun every minute", "events.ndjson", "bob"]
    {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn bad_lines_are_counted_and_the_first_named_and_strict_stops_at_the_first() {
    let mut recording: Vec<String> = LINES.iter().map(|words| line(words)).collect();
    recording.extend((0..25).map(|number| format!("nonsense {number}")));
    recording.insert(3, String::new());
    let given = Given::new(&recording.join("\n"));
    given.prefer("base", "acme", r#""login":true"#);
    let output = given.run(&["--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["rejected"]["invalid_json"], 25);
    let lines: Vec<u64> =
        answer["bad_lines"].as_array().unwrap().iter().map(|bad| bad["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (14..24).collect::<Vec<u64>>());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.matches("invalid_json").count(), 10, "{told}");
    let output = given.run(&["--strict"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), told.as_str()),
        (Some(1), "stepup: line 14: invalid_json: the record is not JSON\n")
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn a_document_that_cannot_be_read_is_told_of_on_either_side() {
    let given = small();
    std::fs::write(given.root.path().join("other/acme.json"), "{").unwrap();
    let answer = given.json(&["--against", "other"]);
    assert_eq!((&answer["total"]["required"], &answer["total"]["required_against"]), (&7.into(), &0.into()));
    assert!(
        answer["notes"][0].as_str().unwrap().starts_with("--against: a document is not readable"),
        "{}",
        answer["notes"]
    );
    std::fs::rename(given.root.path().join("other"), given.root.path().join("third")).unwrap();
    std::fs::rename(given.root.path().join("base"), given.root.path().join("other")).unwrap();
    std::fs::rename(given.root.path().join("third"), given.root.path().join("base")).unwrap();
    let answer = given.json(&["--against", "other"]);
    assert_eq!((&answer["total"]["required"], &answer["total"]["required_against"]), (&0.into(), &7.into()));
    assert_eq!(answer["rejected"]["preferences_unavailable"], 12);
    assert_eq!(answer["events"], 1);
}

/// Two hours of bets, each of another customer but for three in a row of one.
fn crowd(lines: u32) -> String {
    let bet = |number: u32| {
        let second = number * 7_200 / lines;
        let time = format!("{:02}:{:02}:{:02}", 12 + second / 3_600, second / 60 % 60, second % 60);
        line(&format!("e{number} customer-of-a-rather-long-name-{} bet {time} 1", number - number % 100 / 97)) + "\n"
    };
    (0..lines).map(bet).collect()
}

#[test]
fn memory_is_bounded_and_only_what_still_matters_is_ever_missed() {
    let given = Given::new(&crowd(60_000));
    given.prefer("base", "acme", r#""high_frequency_betting":{"enabled":true,"count":2,"window_minutes":1}"#);
    std::fs::write(
        given.root.path().join("config.yaml"),
        "roles: [evaluate]\nkafka: {brokers: none}\npreferences: {source: directory, directory: none}\n\
         windows: {allowed_lateness: 1s}\nevaluate: {claim_retention: 1m, cooldown: {default: 1m}}\n",
    )
    .unwrap();
    let config = ["--config", "config.yaml"];
    let roomy = given.json(&config);
    assert!(roomy["total"]["required"].as_u64().unwrap() > 500, "{}", roomy["total"]);
    // Sixty thousand customers need some 20 MB; those of the last minutes far less.
    let tight = given.json(&[&config[..], &["--memory", "2MiB"]].concat());
    assert_eq!(tight, roomy);
    // Looking back for a day, nobody is ever dead.
    given.prefer("base", "acme", r#""high_frequency_betting":{"enabled":true,"count":2,"window_minutes":1440}"#);
    let over = given.run(&[&config[..], &["--memory", "2MiB"]].concat());
    assert!(over.status.success());
    let text = String::from_utf8(over.stdout).unwrap();
    assert!(text.contains("GIVEN UP"), "{text}");
    let over = given.json(&[&config[..], &["--memory", "2MiB"]].concat());
    assert!(over["given_up"]["states"].as_u64().unwrap() > 10_000, "{}", over["given_up"]);
}

#[test]
fn a_stop_in_the_middle_ends_with_what_was_done_so_far() {
    let given = small();
    let pipe = given.root.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let path = |name: &str| given.root.path().join(name).display().to_string();
    let mut process =
        StepupProcess::start(&["backtest", "--events", &path("pipe"), "--preferences", &path("base"), "--json"], &[]);
    let written = endless(&pipe, &process);
    let status = process.wait_exit(PATIENCE);
    assert_eq!(status.code(), Some(1), "{}", process.stderr());
    assert!(process.stderr().contains("stopped before the end of the recording"), "{}", process.stderr());
    let answer: Value = serde_json::from_str(&process.stdout()).unwrap();
    assert_eq!(answer["partial"], true);
    let events = answer["events"].as_u64().unwrap();
    assert!(events > 0 && events <= written, "{events} of {written}");
    assert!(answer["notes"][0].as_str().unwrap().starts_with("Stopped before the end"), "{}", answer["notes"]);
}

/// Writes events until nobody reads them any more, and tells the reader to stop after some; says how many were written.
fn endless(pipe: &Path, process: &StepupProcess) -> u64 {
    let mut pipe = std::fs::File::options().write(true).open(pipe).unwrap();
    let mut written = 0;
    loop {
        written += 1;
        let bet = line(&format!("e{written} c{} bet 12:00:00 1", written % 100)) + "\n";
        if pipe.write_all(bet.as_bytes()).is_err() {
            return written;
        }
        // More than a pipe holds: some of it was read.
        if written == 20_000 {
            process.signal("INT");
        }
    }
}

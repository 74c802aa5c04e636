//! A small run in which everything is as it should be, and what is said of it once one thing in it is not.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::auditor::{Auditor, Documents, Drained, Terms};
use super::course::Stretch;
use super::windows::Sample;
use crate::config::Config;
use crate::domain::command::{Command, ReferenceChoice, Terms as Issuing};
use crate::domain::decide::Facts;
use crate::domain::event::Event;
use crate::domain::ids::{CommandId, Source};
use crate::domain::outcome::{Ending, Outcome, RejectCode, Session};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::{Bet, Reach, Timeliness};
use crate::edge::kafka::range::RangeRecord;
use crate::edge::memory::store::MemoryStore;
use crate::edge::windows::{CustomerBets, Windows as _};
use crate::wire::audit::{ListedSession, Report, fingerprint};
use crate::wire::dead_letter::{self, Stage};
use crate::wire::event::{self, Decoded};
use crate::wire::window::{arrival, bet_id};
use crate::wire::{command, outcome};

const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2020-01-01T00:00:00Z","reuse_kyc_triggers":{
    "login":true,"deposit":{"enabled":true,"threshold":50},
    "high_frequency_betting":{"enabled":true,"count":3,"window_minutes":5}}}"#;

/// When the first event occurred; each of the next ones a second later.
const BEGIN: i64 = 1_772_366_400_000;

/// One record, and the partition that it stands in.
#[derive(Debug, Clone, Default)]
struct Rec {
    partition: i32,
    key: Vec<u8>,
    payload: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    at: i64,
}

/// Everything that stands on the topics.
#[derive(Debug, Clone)]
struct Run {
    activity: Vec<Rec>,
    commands: Vec<Rec>,
    shadow: Vec<Rec>,
    outcomes: Vec<Rec>,
    retries: Vec<Rec>,
    letters: Vec<Rec>,
    sessions: Option<Vec<ListedSession>>,
    config: String,
    /// The document of the tenant; nothing where it has none.
    preferences: Option<String>,
    /// When it was written, or the last one was removed; and where.
    preferences_at: Timestamp,
    documents: Documents,
    drained: Drained,
    /// One past the last offset that is finished, in every partition.
    committed: Option<i64>,
    /// The first offset of the range of the activity.
    begins: i64,
    now: Timestamp,
}

/// `tenant customer id type second rest`.
fn event_text(words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let [customer, id, kind, second, rest @ ..] = &words[..] else { panic!("{words:?}") };
    let at = Timestamp(BEGIN + second.parse::<i64>().unwrap() * 1_000);
    let amount = rest.first().map(|amount| format!(r#","amount":{amount}"#)).unwrap_or_default();
    format!(
        r#"{{"id":"{id}","tenant_id":"acme","customer_id":"{customer}","type":"{kind}","occurred_at":"{at}"{amount}}}"#
    )
}

const EVENTS: [&str; 11] = [
    "c1 e1 login 0",
    "c2 b1 bet 1 5",
    "c2 b2 bet 2 5",
    "c2 b3 bet 3 5",
    "garbage",
    "c2 d1 deposit 5 10",
    "c1 e1 login 0",
    "c1 e2 login 7",
    "c3 e3 login 8",
    "c4 e4 login 9",
    "c2 b1 bet 1 5",
];

impl Run {
    fn clean() -> Self {
        let mut run = Self {
            activity: Vec::new(),
            commands: Vec::new(),
            shadow: Vec::new(),
            outcomes: Vec::new(),
            retries: Vec::new(),
            letters: Vec::new(),
            sessions: None,
            config: String::new(),
            preferences: Some(PREFERENCES.to_owned()),
            preferences_at: Timestamp(BEGIN - 86_400_000),
            documents: Documents::Written,
            drained: Drained::Expected,
            committed: None,
            begins: 0,
            now: Timestamp(BEGIN + 60_000),
        };
        for (second, words) in (0..).zip(EVENTS) {
            let payload = if words == "garbage" { words.to_owned() } else { event_text(words) };
            run.activity.push(rec(payload.into_bytes(), second));
        }
        run.letter(4, RejectCode::InvalidJson);
        run.required(0, Trigger::Login, created("t1"));
        run.required(3, Trigger::HighFrequencyBetting, created("t2"));
        run.required(8, Trigger::Login, Ending::Rejected { http_status: 422, reason: "no".into() });
        run.required(9, Trigger::Login, Ending::Expired { http_status: None, reason: "late".into() });
        run.retries.push(run.commands[3].clone());
        run.ended_letter(2, RejectCode::Rejected, "commands");
        run.ended_letter(3, RejectCode::Expired, "commands");
        let sessions = [("t1", 0), ("t2", 1)].map(|(token, place)| run.session(token, place));
        run.sessions = Some(sessions.into());
        run
    }

    fn event(&self, place: usize) -> Event {
        match event::decode(Some(&self.activity[place].payload), &crate::domain::money::Rates::default()) {
            Decoded::Event(event) => event,
            other => panic!("{other:?}"),
        }
    }

    /// The command for the event at this place of the activity.
    fn made(&self, place: usize, trigger: Trigger) -> Command {
        let facts = match trigger {
            Trigger::HighFrequencyBetting => Facts::Frequency(reach(3)),
            Trigger::Deposit => Facts::Amount(self.event(place).activity.amount().unwrap()),
            _ => Facts::Plain,
        };
        let rec = &self.activity[place];
        let before = self.activity[..place].iter().filter(|other| other.partition == rec.partition).count();
        let offset = i64::try_from(before).unwrap();
        let source = Source { topic: "activity".into(), partition: rec.partition, offset };
        let terms = Issuing {
            issued_at: Timestamp(rec.at + 100),
            max_age: Duration::from_secs(600),
            reference: ReferenceChoice::CommandId,
        };
        Command::new(&self.event(place), trigger, facts, source, Some("2020-01-01T00:00:00Z".into()), terms)
    }

    fn push(&mut self, command: &Command) {
        self.commands.push(rec(command::encode(command), (command.issued_at.0 - BEGIN) / 1_000));
    }

    fn required(&mut self, place: usize, trigger: Trigger, ending: Ending) {
        let command = self.made(place, trigger);
        self.push(&command);
        self.end(&command, ending);
    }

    fn end(&mut self, command: &Command, ending: Ending) {
        let done =
            Outcome::new(command, command.base_reference(), ending, 1, command.issued_at.plus(Duration::from_secs(1)));
        self.outcomes.push(rec(outcome::encode(&done), 20));
    }

    fn command(&self, place: usize) -> Command {
        command::decode(&self.commands[place].payload).unwrap()
    }

    /// Writes the command at this place anew.
    fn change(&mut self, place: usize, change: impl FnOnce(&mut Command)) {
        let mut command = self.command(place);
        change(&mut command);
        self.commands[place].payload = command::encode(&command);
    }

    fn letter(&mut self, offset: i64, code: RejectCode) {
        let held = self.activity[usize::try_from(offset).unwrap()].clone();
        self.letters.push(given_up(held, code, Stage::Evaluate, "activity", offset));
    }

    fn ended_letter(&mut self, place: usize, code: RejectCode, topic: &str) {
        let offset = i64::try_from(place).unwrap();
        self.letters.push(given_up(self.commands[place].clone(), code, Stage::Dispatch, topic, offset));
    }

    fn session(&self, token: &str, place: usize) -> ListedSession {
        let reference = self.command(place).base_reference();
        ListedSession { tenant: "acme".into(), reference, token_fingerprint: fingerprint(token) }
    }

    fn audit(&self) -> Report {
        let mut auditor = self.audited(None);
        auditor.skip_windows();
        auditor.report(false)
    }

    /// The auditor once everything but the windows is checked.
    fn audited(&self, sample: Option<usize>) -> Auditor {
        let directory = tempfile::tempdir().unwrap();
        let modified = SystemTime::UNIX_EPOCH + self.preferences_at.since(Timestamp(0));
        let date = |path: &Path| std::fs::File::open(path).unwrap().set_modified(modified).unwrap();
        if let Some(document) = &self.preferences {
            let file = directory.path().join("acme.json");
            std::fs::write(&file, document).unwrap();
            date(&file);
        }
        date(directory.path());
        let config = Config::from_yaml(
            &format!(
                "roles: [evaluate]\nkafka: {{ brokers: none, topics: {{ activity: [activity], commands: commands, shadow_commands: shadow, \
                 outcomes: outcomes, retries: retries, dead_letters: letters }} }}\n\
                 preferences: {{ source: directory, directory: none, ttl: 1s }}\n{}",
                self.config
            ),
            std::iter::empty(),
        );
        let config = config.unwrap();
        let mut auditor = Auditor::new(Terms {
            evaluate: config.evaluate,
            windows: config.windows,
            topics: config.kafka.topics,
            start: config.kafka.start,
            preferences_ttl: config.preferences.ttl,
            max_command_age: config.dispatch.max_command_age,
            preferences: Some(directory.path().to_owned()),
            documents: self.documents,
            drained: self.drained,
            now: self.now,
        });
        auditor.sample = sample.map(Sample::of);
        for (topic, records, begins) in [
            ("activity", &self.activity, self.begins),
            ("letters", &self.letters, 0),
            ("outcomes", &self.outcomes, 0),
            ("retries", &self.retries, 0),
            ("commands", &self.commands, 0),
        ] {
            for partition in 0..3 {
                let end = records.iter().filter(|rec| rec.partition == partition).count();
                let range = begins..i64::try_from(end).unwrap().max(begins);
                let stretch = Stretch { range, lost: Vec::new(), committed: self.committed };
                auditor.range(&topic.into(), partition, stretch);
            }
        }
        each("letters", &self.letters, 0, |record| auditor.letter(record));
        each("outcomes", &self.outcomes, 0, |record| auditor.outcome(record));
        each("retries", &self.retries, 0, |record| auditor.retry(record));
        each("commands", &self.commands, 0, |record| auditor.command(record));
        each("shadow", &self.shadow, 0, |record| auditor.shadow(record));
        auditor.begin();
        each("activity", &self.activity, self.begins, |record| auditor.activity(record));
        auditor.finish();
        auditor.compare_sessions(self.sessions.as_deref());
        auditor
    }
}

fn each(topic: &str, records: &[Rec], begins: i64, mut take: impl FnMut(&RangeRecord<'_>)) {
    let topic: Arc<str> = topic.into();
    let mut next = [0_i64; 3];
    for rec in records {
        let next = &mut next[usize::try_from(rec.partition).unwrap()];
        let offset = *next;
        *next += 1;
        if offset < begins {
            continue;
        }
        take(&RangeRecord {
            topic: &topic,
            partition: rec.partition,
            offset,
            timestamp: Some(rec.at),
            key: Some(&rec.key),
            payload: Some(&rec.payload),
            headers: &rec.headers,
        });
    }
}

fn rec(payload: Vec<u8>, second: i64) -> Rec {
    Rec { key: b"key".to_vec(), payload, at: BEGIN + second * 1_000, ..Rec::default() }
}

fn given_up(held: Rec, code: RejectCode, stage: Stage, topic: &str, offset: i64) -> Rec {
    let source = Source { topic: topic.into(), partition: held.partition, offset };
    let headers = dead_letter::headers(code, "no good", stage, &source);
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Rec { headers, partition: 0, at: held.at + 200, ..held }
}

fn created(token: &str) -> Ending {
    let token_expires_at = Timestamp(BEGIN + 600_000);
    Ending::SessionCreated(Session { token: token.to_owned(), token_expires_at, links: Vec::new() })
}

fn reach(count: u32) -> Reach {
    Reach { count, within_minutes: 5, needed: count, timeliness: Timeliness::InTime }
}

/// Every violation as `check at` with what it is, in order.
fn said(report: &Report) -> Vec<(String, String)> {
    let of = |check: &crate::wire::audit::Checked| {
        let name = check.name;
        let said = check
            .first
            .iter()
            .map(move |one| (format!("{name} {}", one.at.as_deref().unwrap_or("nowhere")), one.what.clone()));
        said.collect::<Vec<_>>()
    };
    report.checks.iter().flat_map(of).collect()
}

/// What is changed, and the reason for which what is missing is excused.
type Excuse = (&'static str, fn(&mut Run), Option<&'static str>);
type Change = (&'static str, fn(&mut Run), &'static [(&'static str, &'static str)]);

#[track_caller]
fn check(changes: &[Change]) {
    for (name, change, want) in changes {
        let mut run = Run::clean();
        change(&mut run);
        let report = run.audit();
        let said = said(&report);
        let said: Vec<(&str, &str)> = said.iter().map(|(at, what)| (at.as_str(), what.as_str())).collect();
        assert_eq!(said, *want, "{name}");
        assert_eq!(report.ok, want.is_empty(), "{name}");
    }
}

fn counted(report: &Report, name: &str) -> u64 {
    report.counted[name]
}

#[test]
fn a_run_as_it_should_be_has_no_violation() {
    let report = Run::clean().audit();
    assert_eq!((said(&report), report.ok), (vec![], true));
    assert_eq!(
        (report.events, report.commands, report.outcomes, report.dead_letters, report.sessions),
        (11, 4, 4, 3, 2)
    );
    let checked: Vec<u64> = report.checks.iter().map(|check| check.checked).collect();
    assert_eq!(checked, [11, 5, 4, 4, 4, 4, 1, 2, 2, 0]);
    assert!(report.undecided.is_empty() && report.counted.values().all(|number| *number == 0), "{:?}", report.counted);
}

const EVENTS_AND_COMMANDS: &[Change] = &[
    (
        "a lost command",
        |run| {
            run.commands.remove(0);
            run.outcomes.remove(0);
            run.sessions = None;
            run.letters.truncate(1);
            run.ended_letter(1, RejectCode::Rejected, "commands");
            run.ended_letter(2, RejectCode::Expired, "commands");
        },
        &[("required_commands activity[0]@0", "a required command is missing")],
    ),
    (
        "a command in the cool-down",
        |run| run.required(7, Trigger::Login, Ending::AlreadyExists),
        &[("no_other_commands commands[0]@4", "a command that is not required: in_cooldown")],
    ),
    (
        "a command below the threshold",
        |run| run.required(5, Trigger::Deposit, Ending::AlreadyExists),
        &[("no_other_commands commands[0]@4", "a command that is not required: below_threshold")],
    ),
    (
        "a command below the frequency",
        |run| run.required(2, Trigger::HighFrequencyBetting, Ending::AlreadyExists),
        &[("no_other_commands commands[0]@4", "a command that is not required: below_frequency")],
    ),
    (
        "a command without an event",
        |run| {
            let mut command = run.made(8, Trigger::Login);
            command.cause.event = crate::domain::ids::EventId::new("ghost").unwrap();
            command.id = CommandId::of(&command.tenant, Trigger::Login, &command.cause.event);
            run.push(&command);
            run.end(&command, Ending::AlreadyExists);
        },
        &[("no_other_commands commands[0]@4", "a command without an event: its cause is not the event that it names")],
    ),
    (
        "another reference",
        |run| {
            run.change(0, |command| {
                command.reference = crate::domain::command::Reference::Transaction("tx".into());
            });
        },
        &[
            ("command_fields commands[0]@0", "reference of a command is not what its event says"),
            ("one_outcome outcomes[0]@0", "reference of an outcome is not its command's"),
        ],
    ),
    (
        "another count",
        |run| run.change(1, |command| command.facts = Facts::Frequency(reach(4))),
        &[("command_fields commands[0]@1", "event_count is 4 on a command whose window held 3")],
    ),
    (
        "a missing dead letter",
        |run| drop(run.letters.remove(0)),
        &[("one_ending activity[0]@4", "an event that cannot be processed (invalid_json) is not in the dead letters")],
    ),
    (
        "another code",
        |run| run.letters[0] = given_up(run.activity[4].clone(), RejectCode::TooLarge, Stage::Evaluate, "activity", 4),
        &[("one_ending activity[0]@4", "an event that is invalid_json stands in the dead letters as too_large")],
    ),
    (
        "other bytes",
        |run| run.letters[0].payload = b"other".to_vec(),
        &[("one_ending activity[0]@4", "a dead letter is not the record as it came")],
    ),
    (
        "a dead letter of an event in order",
        |run| run.letter(5, RejectCode::MissingField),
        &[("one_ending activity[0]@5", "an event that can be processed stands in the dead letters as missing_field")],
    ),
    (
        "a dead letter of nothing",
        |run| {
            let held = run.activity[4].clone();
            run.letters.push(given_up(held, RejectCode::InvalidJson, Stage::Evaluate, "elsewhere", 4));
        },
        &[("one_ending letters[0]@3", "a dead letter of a record that is not there")],
    ),
];

#[test]
fn what_is_wrong_with_events_and_their_commands_is_named() {
    check(EVENTS_AND_COMMANDS);
}

const COMMANDS_AND_ENDINGS: &[Change] = &[
    (
        "a lost outcome",
        |run| drop(run.outcomes.remove(1)),
        &[("one_outcome commands[0]@1", "a command without an outcome")],
    ),
    (
        "two outcomes",
        |run| {
            let command = run.command(2);
            run.end(&command, Ending::Rejected { http_status: 400, reason: "no".into() });
        },
        &[("one_outcome outcomes[0]@4", "a second outcome that differs: rejected, and rejected")],
    ),
    (
        "two sessions",
        |run| {
            let command = run.command(0);
            run.end(&command, created("t9"));
            let session = run.session("t9", 0);
            run.sessions.as_mut().unwrap().push(session);
        },
        &[
            ("one_outcome outcomes[0]@4", "a second outcome that differs: session_created, and session_created"),
            ("sessions outcomes[0]@4", "two sessions of one command whose tokens reached an outcome"),
        ],
    ),
    (
        "a session that nobody made",
        |run| drop(run.sessions.as_mut().unwrap().remove(1)),
        &[("sessions outcomes[0]@1", "an outcome of a session that was not made")],
    ),
    (
        "another's session",
        |run| run.sessions.as_mut().unwrap()[1].reference = "x".into(),
        &[("sessions outcomes[0]@1", "an outcome with a session of another reference")],
    ),
    (
        "an outcome of nobody",
        |run| {
            let command = run.made(7, Trigger::Login);
            run.end(&command, Ending::AlreadyExists);
        },
        &[("outcomes_of_commands outcomes[0]@4", "an outcome of no command")],
    ),
    (
        "a retry of nobody",
        |run| run.retries.push(rec(command::encode(&run.made(7, Trigger::Login)), 30)),
        &[("retries_of_commands retries[0]@1", "a further try of a command that is not there")],
    ),
    (
        "a rejected command without a dead letter",
        |run| drop(run.letters.remove(1)),
        &[("dead_letters_of_commands outcomes[0]@2", "a command that ended as rejected is not in the dead letters")],
    ),
    (
        "a dead letter of a command that did not end so",
        |run| run.ended_letter(0, RejectCode::Expired, "commands"),
        &[(
            "dead_letters_of_commands letters[0]@3",
            "a command in the dead letters as expired ended as session_created",
        )],
    ),
    (
        "a dead letter with another place",
        |run| run.letters[1] = given_up(run.commands[2].clone(), RejectCode::Rejected, Stage::Dispatch, "commands", 1),
        &[("dead_letters_of_commands letters[0]@1", "a dead letter of a command that says another place than its own")],
    ),
    (
        "a record that is no command",
        |run| run.commands.push(rec(b"{}".to_vec(), 30)),
        &[(
            "dead_letters_of_commands commands[0]@4",
            "a record that is no command (missing_field) is not in the dead letters",
        )],
    ),
];

#[test]
fn what_is_wrong_with_commands_and_their_endings_is_named() {
    check(COMMANDS_AND_ENDINGS);
}

#[test]
fn what_a_crash_repeats_is_counted_and_is_no_violation() {
    let mut run = Run::clean();
    for records in [&mut run.commands, &mut run.outcomes, &mut run.letters] {
        let first = records[0].clone();
        records.push(first);
    }
    // The event that came again holds its claim, and so its command may come again with the place of the repeat.
    let repeat = run.made(6, Trigger::Login);
    run.push(&repeat);
    let report = run.audit();
    assert_eq!(said(&report), vec![]);
    assert_eq!(counted(&report, "repeated_records"), 4);
}

#[test]
fn what_may_still_come_is_pending_until_it_is_expected() {
    let mut run = Run::clean();
    run.commands.truncate(2);
    run.outcomes.truncate(1);
    run.letters.clear();
    run.retries.clear();
    run.sessions = None;
    run.drained = Drained::NotYet;
    for (committed, pending, violations) in [
        (None, 4, vec![]),
        (Some(5), 3, vec!["one_ending activity[0]@4"]),
        (Some(9), 2, vec!["one_ending activity[0]@4", "required_commands activity[0]@8"]),
    ] {
        run.committed = committed;
        let report = run.audit();
        let places: Vec<String> = said(&report).into_iter().map(|(at, _)| at).collect();
        assert_eq!(
            (counted(&report, "pending"), places),
            (pending, violations.into_iter().map(str::to_owned).collect())
        );
    }
    // Ten minutes and the grace later the command has expired, and must have been ended.
    run.committed = None;
    run.now = Timestamp(BEGIN + 700_000);
    assert_eq!(said(&run.audit())[0].0, "one_outcome commands[0]@1");
}

#[test]
fn what_live_may_have_decided_otherwise_is_counted_by_its_reason() {
    let lose = |run: &mut Run| {
        run.commands.remove(0);
        run.outcomes.remove(0);
        run.letters.truncate(1);
        run.ended_letter(1, RejectCode::Rejected, "commands");
        run.ended_letter(2, RejectCode::Expired, "commands");
        run.sessions = None;
    };
    let table: [Excuse; 6] = [
        ("nothing excuses it", |_| {}, None),
        // The first command behind it was issued three seconds after the event.
        ("it was too old", |run| run.config = "evaluate: { max_event_age: 2s }".into(), Some("event_too_old")),
        ("it was not too old", |run| run.config = "evaluate: { max_event_age: 10s }".into(), None),
        ("a cap", |run| run.config = "evaluate: { max_sessions_per_minute: 5 }".into(), Some("capped")),
        (
            "other preferences were in force",
            |run| run.change(0, |command| command.preferences_updated_at = Some("2019-01-01T00:00:00Z".into())),
            Some("preferences_changed"),
        ),
        (
            "the trigger was in shadow",
            |run| {
                let shadow = run.made(9, Trigger::Login);
                run.shadow.push(rec(command::encode(&shadow), 10));
            },
            Some("shadow_switched"),
        ),
    ];
    for (name, change, want) in table {
        let mut run = Run::clean();
        lose(&mut run);
        change(&mut run);
        let report = run.audit();
        let excused: Vec<&str> = report.undecided.keys().copied().collect();
        let missing = said(&report).iter().any(|(at, _)| at == "required_commands activity[0]@0");
        assert_eq!((excused.first().copied(), missing), (want, want.is_none()), "{name}: {:?}", said(&report));
    }
}

impl Run {
    /// The same with commands, and a document, that have no version.
    fn undated(mut self, document: Option<&str>) -> Self {
        self.preferences = document.map(|text| text.replace(r#""updated_at":"2020-01-01T00:00:00Z","#, ""));
        for place in 0..self.commands.len() {
            self.change(place, |command| command.preferences_updated_at = None);
        }
        self
    }
}

#[test]
fn preferences_without_a_version_were_changed_when_their_file_was() {
    let more = PREFERENCES.replace(r#""threshold":50"#, r#""threshold":5"#);
    let less = PREFERENCES.replace(r#""login":true,"#, "");
    assert!(more != less && more != PREFERENCES && less != PREFERENCES);
    let (missing, extra) = ("a required command is missing", "a command that is not required");
    for (name, document, want) in [
        ("a trigger is on that was off", Some(more.as_str()), missing),
        ("a trigger is off that was on", Some(less.as_str()), extra),
        ("the tenant is gone", None, extra),
    ] {
        let mut run = Run::clean().undated(document);
        for (documents, seconds, is_told) in [
            (Documents::Written, -86_400, true),
            // Before the file was written, and as long after it as others may be in force.
            (Documents::Written, 20, false),
            (Documents::Written, 8, false),
            (Documents::Written, -10, true),
            (Documents::Copied, 20, true),
        ] {
            run.documents = documents;
            run.preferences_at = Timestamp(BEGIN + seconds * 1_000);
            let report = run.audit();
            let told = said(&report).iter().any(|(_, what)| what.starts_with(want));
            assert_eq!(told, is_told, "{name}, {documents:?} at {seconds}: {:?}", said(&report));
            assert_eq!(report.undecided.contains_key("preferences_changed"), !is_told, "{name}, {seconds}");
            let noted = report.notes.iter().any(|note| note.contains("cannot be told from a lost command"));
            assert_eq!(noted, documents == Documents::Copied && document.is_some(), "{name}: {:?}", report.notes);
        }
    }
}

#[test]
fn a_range_that_begins_in_the_middle_excuses_what_came_before_it() {
    let mut run = Run::clean();
    run.begins = 2;
    let report = run.audit();
    // The first bet is missing in the window until it comes again, and is the one that reaches it then.
    assert_eq!(said(&report), vec![]);
    assert_eq!((counted(&report, "out_of_range"), report.undecided.get("range_begins")), (1, Some(&2)));
}

#[test]
fn customers_of_several_partitions_are_compared_by_trigger() {
    let mut run = Run::clean();
    // Live saw the later login first.
    run.activity[7].partition = 1;
    let command = run.made(7, Trigger::Login);
    run.commands[0] = rec(command::encode(&command), 0);
    run.outcomes.remove(0);
    run.end(&command, Ending::AlreadyExists);
    for (offset, rec) in [(7_i64, 8_usize), (8, 9)] {
        run.change(rec - 6, |command| command.cause.source.offset = offset);
    }
    run.letters.truncate(1);
    run.ended_letter(2, RejectCode::Rejected, "commands");
    run.ended_letter(3, RejectCode::Expired, "commands");
    run.sessions = None;
    let report = run.audit();
    assert_eq!(said(&report), vec![]);
    assert_eq!(counted(&report, "several_partitions"), 1);
    // Where the trigger has no command at all, it is missing.
    run.commands.remove(0);
    run.outcomes.pop();
    run.letters.truncate(1);
    run.ended_letter(1, RejectCode::Rejected, "commands");
    run.ended_letter(2, RejectCode::Expired, "commands");
    let places: Vec<String> = said(&run.audit()).into_iter().map(|(at, _)| at).collect();
    assert!(places.contains(&"required_commands activity[0]@0".to_owned()), "{places:?}");
}

#[test]
fn what_the_clock_gave_up_is_counted_where_the_clock_may_have() {
    let future = |second: &str| rec(event_text(&format!("c5 f1 login {second}")).into_bytes(), 11);
    for (second, letter, want, counts) in [
        ("9999", true, vec![], [1, 0]),
        ("9999", false, vec!["one_ending activity[0]@11"], [0, 0]),
        ("11", true, vec!["one_ending activity[0]@11"], [0, 0]),
    ] {
        let mut run = Run::clean();
        run.activity.push(future(second));
        if letter {
            run.letter(11, RejectCode::TimestampInFuture);
        }
        let report = run.audit();
        let places: Vec<String> = said(&report).into_iter().map(|(at, _)| at).collect();
        assert_eq!(places, want, "{second} {letter}");
        assert_eq!([counted(&report, "by_the_clock"), counted(&report, "decided_after_all")], counts);
    }
    let mut run = Run::clean();
    run.letter(0, RejectCode::PreferencesUnavailable);
    let report = run.audit();
    assert_eq!(said(&report), vec![]);
    assert_eq!([counted(&report, "by_the_clock"), counted(&report, "decided_after_all")], [1, 1]);
}

#[test]
fn a_command_that_was_given_up_for_want_of_the_store_has_no_outcome_and_is_counted() {
    let mut run = Run::clean();
    run.ended_letter(0, RejectCode::StoreUnavailable, "commands");
    run.outcomes.remove(0);
    run.sessions = None;
    let report = run.audit();
    assert_eq!((said(&report), counted(&report, "given_up")), (vec![], 1));
}

#[test]
fn a_command_in_shadow_asks_nobody_and_a_further_try_belongs_to_its_first() {
    let mut run = Run::clean();
    run.config = "evaluate: { shadow: { triggers: [login] } }".into();
    run.shadow = vec![run.commands.remove(0)];
    run.outcomes.remove(0);
    run.sessions = None;
    run.letters.truncate(1);
    run.ended_letter(1, RejectCode::Rejected, "commands");
    run.ended_letter(2, RejectCode::Expired, "commands");
    let report = run.audit();
    assert_eq!((said(&report), report.shadow_commands), (vec![], 1));
    run.end(&command::decode(&run.shadow[0].payload).unwrap(), Ending::AlreadyExists);
    assert_eq!(said(&run.audit())[0].1, "an outcome of no command: it is in shadow and asks nobody");

    let mut run = Run::clean();
    let mut again = run.command(3);
    let first = again.id;
    again.id = CommandId(uuid::Uuid::from_u128(7));
    run.end(&again, Ending::AlreadyExists);
    let text = String::from_utf8(command::encode(&again)).unwrap();
    let payload = text.replacen('{', &format!(r#"{{"redrive_of":"{first}","#), 1);
    run.commands.push(rec(payload.into_bytes(), 40));
    let report = run.audit();
    assert_eq!((said(&report), counted(&report, "redriven")), (vec![], 1));
    run.commands.remove(3);
    assert!(said(&run.audit()).iter().any(|(_, what)| what == "a further try of a command that is not there"));
}

#[tokio::test]
async fn windows_hold_what_the_events_say_and_no_more() {
    let run = Run::clean();
    let bet = |place: usize| {
        let event = run.event(place);
        let offset = i64::try_from(place).unwrap();
        let source = Source { topic: "activity".into(), partition: 0, offset };
        Bet { at: event.occurred_at, id: bet_id(&event.id), arrival: arrival(&source) }
    };
    let strange = Bet { id: 7, ..bet(3) };
    let late = Run { now: Timestamp(BEGIN + 90 * 86_400_000), ..run.clone() };
    let open = Run { drained: Drained::NotYet, committed: Some(11), ..run.clone() };
    let lacking = "a window in the store lacks 1 of 3 bets";
    for (name, run, bets, want) in [
        ("as they are", &run, vec![bet(1), bet(2), bet(3)], None),
        ("delivered twice, out of order", &run, vec![bet(3), bet(1), bet(1), bet(2), bet(3)], None),
        ("one lost", &run, vec![bet(1), bet(3)], Some(lacking)),
        ("one lost, work going on", &open, vec![bet(1), bet(3)], Some(lacking)),
        (
            "one of nobody",
            &run,
            vec![bet(1), bet(2), bet(3), strange],
            Some("a window in the store holds 1 bets that no event says, beside 3"),
        ),
        ("one more, work going on", &open, vec![bet(1), bet(2), bet(3), strange], None),
        ("all lost", &run, vec![], Some("a window in the store lacks 3 of 3 bets")),
        ("all past their time", &late, vec![], None),
    ] {
        let store = MemoryStore::new();
        let (tenant, customer) = (run.event(1).tenant, run.event(1).customer);
        let batch = [CustomerBets::new(&tenant, &customer, bets, Duration::from_secs(3_600))];
        store.record(&batch, &[]).await.unwrap();
        let mut auditor = run.audited(Some(10));
        auditor.compare_windows(&store).await.unwrap();
        let report = auditor.report(false);
        let said: Vec<String> =
            said(&report).into_iter().filter(|(at, _)| at.starts_with("windows")).map(|(_, what)| what).collect();
        assert_eq!(said, want.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn people_read_the_first_violation_with_its_place_and_no_token() {
    let mut run = Run::clean();
    run.outcomes.remove(1);
    let report = run.audit();
    let id = run.command(1).id;
    let first = "violated: one_outcome: a command without an outcome; at commands[0]@1; tenant acme; \
                 trigger high_frequency_betting; command ";
    assert_eq!(super::tell::first(&report), Some(format!("{first}{id}")));
    let terminal = super::Terminal { width: 80, colour: crate::telemetry::Colour::Off };
    let text = super::tell::text(&report, terminal);
    assert!(text.contains("\none_outcome                          4           1\n"), "{text}");
    assert!(text.ends_with("\nviolated\n") && !text.contains("t1"), "{text}");
    assert_eq!(super::tell::first(&Run::clean().audit()), None);
}

//! The explanations of each rule, from a recording and from the traces that an event leaves.

use std::collections::HashMap;

use clap::Parser as _;
use serde_json::Value;

use super::live::Traces;
use super::trail::{Issued, Trail};
use super::{ExplainArgs, explain, offline, tell};
use crate::config::Config;
use crate::domain::claim::Claim;
use crate::domain::command::{Command, ReferenceChoice, Terms};
use crate::domain::decide::Facts;
use crate::domain::event::Event;
use crate::domain::ids::{CommandId, EventId, Source, TenantId};
use crate::domain::money::Rates;
use crate::domain::outcome::{Ending, Outcome, Session};
use crate::domain::preferences::Preferences;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::Bet;
use crate::telemetry::Colour;
use crate::wire::event::{self, Decoded};
use crate::wire::explanation::{Explanation, encode};
use crate::wire::preferences;
use crate::wire::window::{arrival, bet_id};

const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-01-01T00:00:00Z","reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":10,"window_minutes":10},
    "large_bet_placement":{"enabled":true,"threshold":100},
    "deposit":{"enabled":true,"threshold":0},
    "login":true}}"#;

/// An event at `12:<minute>:00`.
fn line(tenant: &str, customer: &str, id: &str, kind: &str, minute: u32, more: &str) -> String {
    format!(
        r#"{{"id":"{id}","tenant_id":"{tenant}","customer_id":"{customer}","type":"{kind}","occurred_at":"2026-03-01T12:{minute:02}:00Z"{more}}}"#
    )
}

/// A customer's day: logins, then bets in a burst, some lines that are no events, and a repeat.
fn recording() -> String {
    let mut lines = vec![
        line("acme", "ann", "login-1", "login", 0, ""),
        line("acme", "ann", "login-2", "login", 9, ""),
        line("acme", "ann", "login-3", "login", 10, ""),
        line("acme", "ann", "password-1", "password_change", 10, ""),
        line("acme", "ann", "deposit-1", "deposit", 11, r#","amount":5"#),
        line("acme", "bob", "shared", "login", 12, ""),
        line("umbra", "eve", "shared", "login", 12, ""),
        line("acme", "ann", "odd", "jackpot", 13, ""),
        line("acme", "ann", "broken", "bet", 13, r#","amount":"much""#),
        line("none", "ann", "stranger", "login", 13, ""),
        line("off", "ann", "switched-off", "login", 13, ""),
    ];
    lines
        .extend((0..10).map(|bet| line("acme", "ann", &format!("bet-{bet}"), "bet", 20 + bet, r#","amount":"12.50""#)));
    lines.push(line("acme", "ann", "bet-large", "bet", 45, r#","amount":"250""#));
    lines.push(line("acme", "ann", "login-1", "login", 0, ""));
    lines.join("\n")
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        std::fs::write(files.path("recording.ndjson"), recording()).unwrap();
        std::fs::create_dir(files.path("preferences")).unwrap();
        for (tenant, document) in [("acme", PREFERENCES), ("umbra", PREFERENCES), ("off", "{}")] {
            std::fs::write(files.path(&format!("preferences/{tenant}.json")), document).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    async fn explain(&self, event: &str, tenant: Option<&str>) -> anyhow::Result<Explanation> {
        let asked = offline::Asked {
            events: self.path("recording.ndjson"),
            preferences: self.path("preferences"),
            config: None,
            event: event.to_owned(),
            tenant: tenant.map(|tenant| TenantId::new(tenant).unwrap()),
            quiet: true,
        };
        offline::explain(&asked).await
    }
}

/// The text, without the breaks of its lines.
fn told(explanation: &Explanation) -> String {
    let text = tell::text(explanation, Colour::Off);
    let long = text.lines().find(|line| line.chars().count() > 80);
    assert_eq!(long, None, "a line is too long");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn decisions(explanation: &Explanation) -> Vec<(&'static str, &'static str)> {
    explanation.triggers.iter().map(|tested| (tested.trigger.name(), tested.decision)).collect()
}

#[tokio::test]
async fn each_rule_of_a_recording_is_told_with_its_numbers() {
    let files = Files::new();
    let (large, often) = ("large_bet_placement", "high_frequency_betting");
    for (event, want, words) in [
        ("stranger", vec![("login", "tenant_unknown")], vec!["preferences none", "yes: the tenant has no preferences"]),
        ("switched-off", vec![("login", "feature_disabled")], vec!["yes: is_reuse_kyc_enabled is off or absent"]),
        (
            "password-1",
            vec![("password_change", "trigger_disabled")],
            vec!["yes: password_change is absent or not enabled"],
        ),
        (
            "bet-8",
            vec![(large, "below_threshold"), (often, "below_frequency")],
            vec![
                "what bet of 12.5 USD by ann of tenant acme",
                "stands line 20",
                "below_threshold yes: 12.5 USD is less than 100 USD",
                "yes: 9 bets within 10 min, 10 needed; the next one in time would have reached it",
                "bets 9 around it",
                "→ 2026-03-01T12:28:00.000Z bet-8",
            ],
        ),
        (
            "bet-7",
            vec![(large, "below_threshold"), (often, "below_frequency")],
            vec!["8 bets within 10 min, 10 needed; 2 more in time would have reached it"],
        ),
        (
            "bet-9",
            vec![(large, "below_threshold"), (often, "required")],
            vec![
                "below_frequency no: 10 bets within 10 min, 10 needed",
                "in_cooldown no: nothing fired in the 600 s before",
                "cool-down from 2026-03-01T12:29:00.000Z until 2026-03-01T12:39:00.000Z, held by bet-9",
            ],
        ),
        (
            "bet-large",
            vec![(large, "required"), (often, "below_frequency")],
            vec!["below_threshold no: 250 USD reaches the threshold of 100 USD", "1 bet within 10 min"],
        ),
        (
            "login-2",
            vec![("login", "in_cooldown")],
            vec![
                "holds_claim no: it was not decided before",
                "yes: event login-1 fired at 2026-03-01T12:00:00.000Z; the next may fire from 2026-03-01T12:10:00.000Z on",
            ],
        ),
        (
            "login-3",
            vec![("login", "required")],
            vec!["no: the last one fired at 2026-03-01T12:00:00.000Z; its cool-down ended at 2026-03-01T12:10:00.000Z"],
        ),
        (
            "deposit-1",
            vec![("deposit", "required")],
            vec!["no: 5 USD; any amount does", "in_cooldown no: this trigger has no cool-down"],
        ),
        (
            "login-1",
            vec![("login", "required")],
            vec!["again on line 23 login: required it was decided before, on line 1"],
        ),
    ] {
        let explanation = files.explain(event, None).await.unwrap();
        assert_eq!(decisions(&explanation), want, "{event}");
        let text = told(&explanation);
        for words in words {
            assert!(text.contains(words), "{event}: {words:?} is not in\n{}", tell::text(&explanation, Colour::Off));
        }
        let required = want.iter().any(|(_, decision)| *decision == "required");
        assert_eq!(text.contains(" command "), required, "{event}: {text}");
    }
}

#[tokio::test]
async fn what_cannot_be_decided_is_explained_as_well() {
    let files = Files::new();
    for (event, tenant, words) in [
        ("broken", None, "rejected invalid_field: amount"),
        ("odd", None, "jackpot by ann of tenant acme"),
        ("odd", None, "skipped its type is none that is known"),
        ("shared", Some("umbra"), "login by eve of tenant umbra"),
    ] {
        let explanation = files.explain(event, tenant).await.unwrap();
        assert!(told(&explanation).contains(words), "{event}: {}", told(&explanation));
    }
    for (event, tenant, error) in [
        ("shared", None, "2 tenants have an event of this id: acme, umbra; say which with --tenant"),
        ("shared", Some("none"), "no such event of tenant none; it is there of acme, umbra"),
        ("absent", None, "the recording holds no such event"),
    ] {
        let refused = files.explain(event, tenant).await.unwrap_err().to_string();
        assert!(refused.contains(error), "{refused}");
    }
}

#[tokio::test]
async fn the_json_has_stable_keys() {
    let files = Files::new();
    let json = |explanation: &Explanation| serde_json::from_slice::<Value>(&encode(explanation).unwrap()).unwrap();
    let bet = json(&files.explain("bet-8", None).await.unwrap());
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&bet), "event notes preferences triggers version");
    assert_eq!(keys(&bet["event"]), "amount customer_id id line occurred_at result tenant_id type");
    assert_eq!(bet["preferences"], serde_json::json!({"status": "known", "updated_at": "2026-01-01T00:00:00Z"}));
    let tested = &bet["triggers"][1];
    assert_eq!(keys(tested), "command_id cooldown decision notes rules trigger window");
    assert_eq!(
        (&tested["trigger"], &tested["decision"]),
        (&"high_frequency_betting".into(), &"below_frequency".into())
    );
    let rules: Vec<(&str, Option<bool>)> = tested["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| (rule["rule"].as_str().unwrap(), rule["applies"].as_bool()))
        .collect();
    let (no, yes) = (Some(false), Some(true));
    let want = [("tenant_unknown", no), ("feature_disabled", no), ("trigger_disabled", no), ("below_frequency", yes)];
    assert_eq!(rules, want);
    assert_eq!((&tested["window"]["needed"], &tested["window"]["count"]), (&10.into(), &9.into()));
    assert_eq!(tested["window"]["within_minutes"], 10);
    let last = serde_json::json!({"at": "2026-03-01T12:28:00.000Z", "id": "bet-8", "this": true});
    assert_eq!(tested["window"]["bets"].as_array().unwrap().last(), Some(&last));
    let cooled = json(&files.explain("login-2", None).await.unwrap());
    let cooldown = serde_json::json!({"seconds": 600, "since": "2026-03-01T12:00:00.000Z",
        "until": "2026-03-01T12:10:00.000Z", "held_by": "login-1"});
    assert_eq!(cooled["triggers"][0]["cooldown"], cooldown);
    let rejected = json(&files.explain("broken", None).await.unwrap());
    assert_eq!(
        (&rejected["event"]["result"], &rejected["event"]["code"]),
        (&"rejected".into(), &"invalid_field".into())
    );
}

#[test]
fn flags_that_contradict_say_what_goes_together() {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: ExplainArgs,
    }
    let parse = |words: &str| Cli::try_parse_from(std::iter::once("explain").chain(words.split_whitespace()));
    for words in [
        "--config c --event e",
        "--config c --event e --tenant t --customer c --since 24h",
        "--config c --event e --since 2026-03-01T12:00:00Z",
        "--config c --event e --at a/b/3/77 --json",
        "--events f --preferences d --event e --config c --tenant t",
        "--receipt f",
    ] {
        assert!(parse(words).is_ok(), "{words}");
    }
    for words in [
        "--event e",
        "--config c",
        "--events f --event e",
        "--preferences d --event e --config c",
        "--events f --preferences d --event e --since 1h",
        "--events f --preferences d --event e --at a/0/0",
        "--config c --event e --at a/0/0 --since 1h",
        "--config c --event e --at a/0",
        "--config c --event e --at a/0/-1",
        "--config c --event e --since yesterday",
        "--receipt f --event e",
        "--receipt f --config c",
        "--config c --event e --tenant a/b",
    ] {
        let error = parse(words).map(|cli| cli.args).unwrap_err().render().to_string();
        let value = error.contains("invalid value");
        assert!(value || error.contains("stepup explain --config FILE --event ID"), "{words}: {error}");
        assert!(value || error.contains("--receipt FILE"), "{words}: {error}");
    }
    let at = parse("--config c --event e --at a/b/3/77").unwrap_or_else(|_| panic!("it parses")).args.at;
    assert_eq!(at, Some(Source { topic: "a/b".into(), partition: 3, offset: 77 }));
}

/// What a running deployment holds of one event that was written to `activity` a second after it occurred.
struct World {
    config: Config,
    event: Event,
    written_after: u64,
    evaluated: Option<bool>,
    preferences: Result<Option<Preferences>, String>,
    log: Result<Vec<Bet>, String>,
    claims: Result<Vec<Claim>, String>,
    /// The trigger of a command of the event's, and the version of its preferences.
    command: Option<(Trigger, Facts, &'static str)>,
}

const MINUTE: i64 = 60_000;

fn place(offset: i64) -> Source {
    Source { topic: "activity".into(), partition: 3, offset }
}

impl World {
    fn new(kind: &str, more: &str) -> Self {
        let yaml = "roles: [evaluate]\nkafka: {brokers: none}\npreferences: {source: directory, directory: none}";
        let text = line("acme", "ann", "this", kind, 30, more);
        let Decoded::Event(event) = event::decode(Some(text.as_bytes()), &Rates::default()) else { panic!("{text}") };
        Self {
            config: Config::from_yaml(yaml, std::iter::empty()).unwrap(),
            event,
            written_after: 1,
            evaluated: Some(true),
            preferences: Ok(Some(preferences::decode(PREFERENCES.as_bytes()).unwrap())),
            log: Ok(Vec::new()),
            claims: Ok(Vec::new()),
            command: None,
        }
    }

    fn bet() -> Self {
        Self::new("bet", r#","amount":1"#)
    }

    fn own(&self) -> Bet {
        Bet { at: self.event.occurred_at, id: bet_id(&self.event.id), arrival: arrival(&place(7)) }
    }

    /// A bet so many minutes from the event's time.
    fn bet_at(&self, minutes: i64) -> Bet {
        let number = 1_000 + minutes;
        Bet { at: Timestamp(self.event.occurred_at.0 + minutes * MINUTE), id: number as u64, arrival: number as u32 }
    }

    /// So many bets before the event, a minute apart, and the event itself.
    fn logged(mut self, before: i64) -> Self {
        let own = self.own();
        self.log = Ok((1..=before).rev().map(|minutes| self.bet_at(-minutes)).chain([own]).collect());
        self
    }

    fn claimed(mut self, claims: &[(&str, i64)]) -> Self {
        let claim = |(event, minutes): &(&str, i64)| Claim {
            at: Timestamp(self.event.occurred_at.0 + minutes * MINUTE),
            event: bet_id(&EventId::new(event).unwrap()),
        };
        self.claims = Ok(claims.iter().map(claim).collect());
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn trail(&self, written_at: Timestamp) -> Trail {
        let mut trail = Trail {
            commands: Ok(HashMap::new()),
            outcomes: Ok(HashMap::new()),
            names: HashMap::new(),
            since: written_at,
        };
        if let (Some((trigger, facts, version)), Ok(commands), Ok(outcomes)) =
            (self.command, &mut trail.commands, &mut trail.outcomes)
        {
            let terms = Terms {
                issued_at: written_at.plus(std::time::Duration::from_millis(250)),
                max_age: std::time::Duration::from_secs(600),
                reference: ReferenceChoice::CommandId,
            };
            let command = Command::new(&self.event, trigger, facts, place(7), Some(version.to_owned()), terms);
            let session = Session {
                token: "very-secret".into(),
                token_expires_at: written_at,
                links: vec![("l".into(), "secret-link".into())],
            };
            let outcome = Outcome::new(&command, "r".to_owned(), Ending::SessionCreated(session), 2, terms.issued_at);
            outcomes.insert(command.id, outcome);
            commands.insert(command.id, Issued { command, source: place(99), written_at: None });
        }
        trail
    }

    fn explanation(self) -> Explanation {
        let written_at = self.event.occurred_at.plus(std::time::Duration::from_secs(self.written_after));
        let trail = self.trail(written_at);
        let tested = self.event.activity.kind().tests();
        let names = [("this", bet_id(&self.event.id)), ("before", bet_id(&EventId::new("before").unwrap()))];
        let is_bet = tested.contains(&Trigger::HighFrequencyBetting);
        let traces = Traces {
            config: &self.config,
            source: place(7),
            written_at: Some(written_at),
            now: written_at.plus(std::time::Duration::from_secs(5)),
            preferences: self.preferences,
            log: is_bet.then_some(self.log),
            claims: tested.iter().map(|trigger| (*trigger, self.claims.clone())).collect(),
            trail,
            evaluated: self.evaluated,
            names: names.map(|(name, hash)| (hash, name.to_owned())).into(),
            event: self.event,
        };
        traces.explanation()
    }
}

#[test]
fn the_traces_of_a_live_event_are_told_with_the_rules() {
    let often = |world: World| (world, "high_frequency_betting");
    let login = |change: fn(World) -> World| (change(World::new("login", "")), "login");
    let frequency = |count| {
        Facts::Frequency(crate::domain::window::Reach {
            count,
            within_minutes: 10,
            needed: count,
            timeliness: crate::domain::window::Timeliness::InTime,
        })
    };
    let away = || "Redis: away".to_owned();
    for ((world, trigger), decision, words) in [
        (
            often(World::bet().logged(8)),
            "below_frequency",
            vec!["9 bets within 10 min, 10 needed; the next one in time would have reached it", "bets 9 around it"],
        ),
        // It fired, and says so whatever the clock and the cool-down say now.
        (
            often(World::bet().logged(9).claimed(&[("this", 0)]).with(|world| {
                world.command = Some((Trigger::HighFrequencyBetting, frequency(10), "2026-01-01T00:00:00Z"));
            })),
            "required",
            vec![
                "holds_claim yes: it fired",
                "issued at",
                "activity/3/99",
                "session_created",
                "after 2 calls",
                "held by this",
            ],
        ),
        // What others appended later changes nothing.
        (
            often(World::bet().logged(8).with(|world| {
                let later = world.bet_at(1);
                world.log.as_mut().unwrap().push(later);
            })),
            "below_frequency",
            vec!["9 bets within 10 min", "bets 9 around it"],
        ),
        (
            often(World::bet().logged(8).with(|world| {
                let later = world.bet_at(60);
                world.log.as_mut().unwrap().push(later);
            })),
            "below_frequency",
            vec!["9 bets within 10 min", "the count may have been greater then"],
        ),
        (
            often(World::bet().with(|world| world.log = Ok(vec![world.bet_at(60)]))),
            "unknown",
            vec!["the window does not hold this bet: it aged out; its 1 records are from"],
        ),
        (often(World::bet()), "unknown", vec!["the customer's window is empty"]),
        (
            often(World::bet().with(|world| {
                world.command = Some((Trigger::HighFrequencyBetting, frequency(12), "2025-12-31T00:00:00Z"));
            })),
            "required",
            vec![
                "its command says 12 bets within 10 min",
                "decided by preferences 2025-12-31T00:00:00Z; the rules above are told by those of today, 2026-01-01T00:00:00Z",
            ],
        ),
        (
            often(World::bet().with(|world| (world.log, world.claims) = (Err(away()), Err(away())))),
            "unknown",
            vec!["below_frequency unknown: Redis: away"],
        ),
        (
            often(World::bet().logged(9).with(|world| world.preferences = Err("no answer".to_owned()))),
            "unknown",
            vec!["preferences unknown: no answer", "tenant_unknown unknown: no answer", "bets 10 around it"],
        ),
        (
            often(World::bet().with(|world| {
                world.log = Ok((1..=9).map(|minutes| world.bet_at(-minutes)).collect());
                world.evaluated = Some(false);
            })),
            "required",
            vec!["it is not evaluated yet", "10 bets within 10 min", "bets 10 around it"],
        ),
        (
            login(|world| world.with(|world| world.written_after = 901)),
            "event_too_old",
            vec!["yes: 901 s old when it was written to its topic, which estimates", "the limit is 900 s"],
        ),
        (
            login(|world| world.claimed(&[("this", 0)]).with(|world| world.written_after = 901)),
            "required",
            vec!["holds_claim yes: it fired", "its command is not on the topic"],
        ),
        (
            login(|world| world.claimed(&[("before", -9), ("later", 5)])),
            "in_cooldown",
            vec![
                "yes: event before fired at 2026-03-01T12:21:00.000Z; the next may fire from 2026-03-01T12:31:00.000Z on",
            ],
        ),
        (
            login(|world| world.claimed(&[("later", 5)])),
            "in_cooldown",
            vec!["it fired at 2026-03-01T12:35:00.000Z", "that is a later event"],
        ),
        (
            login(|world| world.claimed(&[("later", 120)])),
            "unknown",
            vec!["in_cooldown unknown: its claims are no longer kept; they are for 3600 s"],
        ),
        (
            login(|world| world.with(|world| world.claims = Err("Redis: away".to_owned()))),
            "unknown",
            vec!["holds_claim unknown: Redis: away", "event_too_old no: 1 s old"],
        ),
        (
            login(|world| world.claimed(&[("before", -10)])),
            "unknown",
            vec!["no: the last one fired at 2026-03-01T12:20:00.000Z", "none was issued, nor does it hold a claim"],
        ),
        (
            login(|world| {
                world.with(|world| {
                    world.preferences = Ok(Some(Preferences::OFF));
                    world.command = Some((Trigger::Login, Facts::Plain, "2026-01-01T00:00:00Z"));
                })
            }),
            "required",
            vec!["yes: a command was issued; by what is in force now it would be feature_disabled"],
        ),
        (
            login(|world| {
                world.with(|world| {
                    world.claims = Err("Redis: away".to_owned());
                    world.command = Some((Trigger::Login, Facts::Plain, "2026-01-01T00:00:00Z"));
                })
            }),
            "required",
            vec!["required yes: a command was issued", "issued at 2026-03-01T12:30:01.250Z"],
        ),
    ] {
        let explanation = world.explanation();
        let told_of = told(&explanation);
        let tested = explanation.triggers.iter().find(|tested| tested.trigger.name() == trigger).unwrap();
        assert_eq!(tested.decision, decision, "{}", tell::text(&explanation, Colour::Off));
        for words in words {
            assert!(told_of.contains(words), "{words:?} is not in\n{}", tell::text(&explanation, Colour::Off));
        }
        let json = String::from_utf8(encode(&explanation).unwrap()).unwrap();
        assert!(!json.contains("secret") && !told_of.contains("secret"), "{json}");
        let id = CommandId::of(&TenantId::new("acme").unwrap(), tested.trigger, &EventId::new("this").unwrap());
        let want = (decision == "required").then(|| id.to_string());
        assert_eq!(tested.command_id, want);
    }
}

#[test]
fn a_preference_that_asks_no_window_shows_none() {
    let explanation = World::bet().logged(3).with(|world| world.preferences = Ok(None)).explanation();
    assert_eq!(
        decisions(&explanation),
        [("large_bet_placement", "tenant_unknown"), ("high_frequency_betting", "tenant_unknown")]
    );
    assert!(explanation.triggers.iter().all(|tested| tested.window.is_none()));
}

#[tokio::test]
async fn a_recording_is_read_twice_and_so_must_be_a_file() {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: ExplainArgs,
    }
    let args = Cli::parse_from(["explain", "--events", "-", "--preferences", "d", "--event", "e"]).args;
    assert!(explain(args, None).await.unwrap_err().to_string().contains("give it a file"));
}

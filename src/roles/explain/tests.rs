//! The explanations of each rule from a recording, and what is asked for on the command line.

use clap::Parser as _;
use serde_json::Value;

use super::{ExplainArgs, Since, offline, tell};
use crate::domain::ids::{Source, TenantId};
use crate::roles::recording_args::RecordingArgs;
use crate::telemetry::Colour;
use crate::wire::explanation::{Explanation, encode};

pub(super) const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-01-01T00:00:00Z","reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":10,"window_minutes":10},
    "large_bet_placement":{"enabled":true,"threshold":100},
    "deposit":{"enabled":true,"threshold":0},
    "login":true}}"#;

/// An event at `12:<minute>:00`.
pub(super) fn line(tenant: &str, customer: &str, id: &str, kind: &str, minute: u32, more: &str) -> String {
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
            format: RecordingArgs::default(),
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
pub(super) fn told(explanation: &Explanation) -> String {
    let text = tell::text(explanation, Colour::Off);
    let long = text.lines().find(|line| line.chars().count() > 80);
    assert_eq!(long, None, "a line is too long");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn decisions(explanation: &Explanation) -> Vec<(&'static str, &'static str)> {
    explanation.triggers.iter().map(|tested| (tested.trigger.name(), tested.decision)).collect()
}

const LARGE: &str = "large_bet_placement";
const OFTEN: &str = "high_frequency_betting";

/// An event of the recording, its decisions, and what is told of them.
type Told = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const RECORDED: &[Told] = &[
    ("stranger", &[("login", "tenant_unknown")], &["preferences none", "yes: the tenant has no preferences"]),
    ("switched-off", &[("login", "feature_disabled")], &["yes: is_reuse_kyc_enabled is off or absent"]),
    ("password-1", &[("password_change", "trigger_disabled")], &["yes: password_change is absent or not enabled"]),
    (
        "bet-8",
        &[(LARGE, "below_threshold"), (OFTEN, "below_frequency")],
        &[
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
        &[(LARGE, "below_threshold"), (OFTEN, "below_frequency")],
        &["8 bets within 10 min, 10 needed; 2 more in time would have reached it"],
    ),
    (
        "bet-9",
        &[(LARGE, "below_threshold"), (OFTEN, "required")],
        &[
            "below_frequency no: 10 bets within 10 min, 10 needed",
            "in_cooldown no: nothing fired in the 600 s before",
            "cool-down from 2026-03-01T12:29:00.000Z until 2026-03-01T12:39:00.000Z, held by bet-9",
        ],
    ),
    (
        "bet-large",
        &[(LARGE, "required"), (OFTEN, "below_frequency")],
        &["below_threshold no: 250 USD reaches the threshold of 100 USD", "1 bet within 10 min"],
    ),
    (
        "login-2",
        &[("login", "in_cooldown")],
        &[
            "holds_claim no: it was not decided before",
            "yes: event login-1 fired at 2026-03-01T12:00:00.000Z; the next may fire from 2026-03-01T12:10:00.000Z on",
        ],
    ),
    (
        "login-3",
        &[("login", "required")],
        &["no: the last one fired at 2026-03-01T12:00:00.000Z; its cool-down ended at 2026-03-01T12:10:00.000Z"],
    ),
    (
        "deposit-1",
        &[("deposit", "required")],
        &["no: 5 USD; any amount does", "in_cooldown no: this trigger has no cool-down"],
    ),
    ("login-1", &[("login", "required")], &["again on line 23 login: required it was decided before, on line 1"]),
];

#[tokio::test]
async fn each_rule_of_a_recording_is_told_with_its_numbers() {
    let files = Files::new();
    for (event, want, words) in RECORDED {
        let explanation = files.explain(event, None).await.unwrap();
        assert_eq!(decisions(&explanation), *want, "{event}");
        let text = told(&explanation);
        for words in *words {
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
        "--config c --event e --since -yesterday",
        "--config c --event e --since --1h",
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
    for since in ["2h", "-2h"] {
        let args = parse(&format!("--config c --event e --since {since}")).unwrap_or_else(|_| panic!("{since}")).args;
        assert_eq!(args.since, Since::Ago(std::time::Duration::from_secs(7_200)), "{since}");
    }
}

#[test]
fn a_recording_is_read_twice_and_so_must_be_a_file() {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: ExplainArgs,
    }
    let args = Cli::parse_from(["explain", "--events", "-", "--preferences", "d", "--event", "e"]).args;
    assert!(args.check().unwrap_err().contains("give it a file"));
}

use std::io::Write as _;

use super::*;
use crate::domain::claim::ClaimAnswer;
use crate::domain::decide::{Decision, Mode};
use crate::domain::event::{Activity, Event};
use crate::domain::evidence::{Evidence, LastRules, WindowEvidence};
use crate::domain::ids::{CustomerId, EventId, Source, TenantId};
use crate::domain::money::Usd;
use crate::domain::preferences::{FrequencyBound, Setting};
use crate::domain::time::Timestamp;
use crate::domain::trigger::{ActivityType, Trigger};
use crate::domain::window::{Bet, Reach, Timeliness};
use crate::wire::receipt::{Origin, PreferencesVersion, Sha256};
use crate::wire::window;

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);
const AT: Timestamp = Timestamp(1_772_366_400_250);

fn source() -> Source {
    Source { topic: "activity".into(), partition: 3, offset: 42 }
}

fn evidence(trigger: Trigger, activity: Activity, setting: Setting) -> Evidence {
    Evidence {
        event: Event {
            id: EventId::new("e-1").unwrap(),
            tenant: TenantId::new("acme").unwrap(),
            customer: CustomerId::new("player-7").unwrap(),
            activity,
            occurred_at: AT,
            transaction: None,
        },
        trigger,
        setting: Some(setting),
        window: None,
        decided_at: Some(AT.plus(MINUTE)),
        last: None,
    }
}

fn login() -> Evidence {
    let answer = Some(ClaimAnswer::CoolingDown { since: AT });
    let last =
        LastRules { mode: Mode::Live, max_event_age: None, cooldown: MINUTE, retention: MINUTE, answer, cap: None };
    Evidence { last: Some(last), ..evidence(Trigger::Login, Activity::Plain(ActivityType::Login), Setting::Plain) }
}

fn betting(bets: Bets) -> Evidence {
    let bound = FrequencyBound { needed: 9, window_minutes: Some(5) };
    let window = WindowEvidence { max_lookback: MINUTE, lateness: MINUTE, max_entries: 9, bets };
    Evidence {
        window: Some(window),
        ..evidence(Trigger::HighFrequencyBetting, Activity::Bet(Usd::ZERO), Setting::Frequency(bound))
    }
}

fn log() -> Bets {
    let id = window::bet_id(&EventId::new("e-1").unwrap());
    let own = Bet { at: AT, id, arrival: window::arrival(&source()) };
    Bets::Log(vec![Bet { at: AT.minus(MINUTE), id: 1, arrival: 1 }, own])
}

fn sealed(evidence: Evidence, decision: Decision) -> Vec<u8> {
    let origin = Origin {
        software: "0.0.1".to_owned(),
        source: source(),
        event_sha256: Sha256([1; 32]),
        preferences: Some(PreferencesVersion { updated_at: Some("v7".to_owned()), sha256: Sha256([2; 32]) }),
    };
    receipt::encode(&Receipt::new(origin, evidence, decision))
}

fn honest(evidence: Evidence) -> Vec<u8> {
    let decision = evidence.decide().unwrap();
    sealed(evidence, decision)
}

/// What is written for a file of these lines, and the error where there is one.
fn run(lines: &[Vec<u8>]) -> (String, Result<u64, String>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&lines.join(&b'\n')).unwrap();
    let mut out = Vec::new();
    let result = rerun(file.path(), &mut out)
        .map_err(|error| format!("{error:#}").replace(&format!("--receipt {}: ", file.path().display()), ""));
    (String::from_utf8(out).unwrap(), result)
}

#[test]
fn receipts_that_come_to_the_same_bytes_are_counted() {
    let reach = Reach { count: 2, within_minutes: 5, needed: 9, timeliness: Timeliness::InTime };
    let (text, result) = run(&[honest(login()), honest(betting(Bets::Summed { number: 2, reach }))]);
    assert_eq!(result, Ok(2));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("line 1: same  "), "{text}");
    assert!(lines[0].ends_with(" login in_cooldown"), "{text}");
    assert!(lines[1].starts_with("line 2: same, but for its window, which is too large"), "{text}");
    assert_eq!(lines[2..], ["2 receipts: 2 same, 0 different, 0 unreadable"]);
}

#[test]
fn a_receipt_that_is_alone_is_told_in_words() {
    let (text, result) = run(&[honest(betting(log()))]);
    assert_eq!(result, Ok(1));
    let told: Vec<&str> = text.lines().skip(1).collect();
    let own = window::bet_id(&EventId::new("e-1").unwrap());
    let want = [
        "  event        e-1 of type bet at activity[3]@42".to_owned(),
        "  customer     player-7 of tenant acme".to_owned(),
        "  occurred at  2026-03-01T12:00:00.250Z".to_owned(),
        "  trigger      high_frequency_betting".to_owned(),
        "  decided      at 2026-03-01T12:01:00.250Z by version 0.0.1".to_owned(),
        "  preferences  the trigger is on for 9 bets within 5 min; v7".to_owned(),
        "  window       2 bets with this one, in order of arrival:".to_owned(),
        "                 2026-03-01T11:59:00.250Z  0000000000000001".to_owned(),
        format!("                 2026-03-01T12:00:00.250Z  {own:016x}"),
        "  decision     below_frequency: 2 bets within 5 min, 9 needed".to_owned(),
        "1 receipt: 1 same, 0 different, 0 unreadable".to_owned(),
    ];
    assert_eq!(told, want);
}

#[test]
fn what_differs_is_named_and_is_an_error_when_all_were_gone_through() {
    let wrong = sealed(login(), Decision::TriggerDisabled);
    let text = String::from_utf8(honest(login())).unwrap();
    let moved = text.replace("player-7", "player-8").into_bytes();
    let no_claims = sealed(Evidence { last: None, ..login() }, Decision::FeatureDisabled);
    let (text, result) = run(&[wrong, moved, no_claims, b"{}".to_vec(), honest(login())]);
    assert_eq!(result, Err("4 of 5 receipts do not come to the same bytes".to_owned()));
    for want in [
        "line 1: DIFFERS",
        "    decision.name: the receipt says \"trigger_disabled\", this version says \"in_cooldown\"\n",
        "    decision.since: the receipt says nothing, this version says \"2026-03-01T12:00:00.250Z\"\n",
        "line 2: DIFFERS",
        "    inputs_sha256: the receipt says \"",
        "; something before it is not as it was written\n",
        "line 3: DIFFERS",
        "    claims: this version finds that no earlier rule decides, and there is nothing for the last rules to go by\n",
        "line 4: UNREADABLE  version is missing\n",
        "line 5: same",
        "5 receipts: 1 same, 3 different, 1 unreadable\n",
    ] {
        assert!(text.contains(want), "{want}\n{text}");
    }
}

#[test]
fn a_file_without_a_receipt_or_without_a_file_is_an_error() {
    assert_eq!(run(&[]).1, Err("holds no receipt".to_owned()));
    let error = rerun(Path::new("/nowhere/at/all"), &mut Vec::new()).unwrap_err();
    assert!(format!("{error:#}").starts_with("--receipt /nowhere/at/all: "), "{error:#}");
}

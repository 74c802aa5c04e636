//! What is told of an event from the traces that it left in a running deployment.

use std::collections::HashMap;
use std::time::Duration;

use super::super::tell;
use super::super::tests::{PREFERENCES, decisions, line, told};
use super::super::trail::Issued;
use super::*;
use crate::domain::command::{Command, ReferenceChoice, Terms};
use crate::domain::decide::Facts;
use crate::domain::ids::{CommandId, EventId, TenantId};
use crate::domain::money::Rates;
use crate::domain::outcome::{Ending, Outcome, Session};
use crate::domain::window::Timeliness;
use crate::telemetry::Colour;
use crate::wire::event::{self, Decoded};
use crate::wire::explanation::encode;
use crate::wire::preferences;

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

    fn login() -> Self {
        Self::new("login", "")
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
                issued_at: written_at.plus(Duration::from_millis(250)),
                max_age: Duration::from_secs(600),
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
        let written_at = self.event.occurred_at.plus(Duration::from_secs(self.written_after));
        let trail = self.trail(written_at);
        let tested = self.event.activity.kind().tests();
        let names = [("this", bet_id(&self.event.id)), ("before", bet_id(&EventId::new("before").unwrap()))];
        let is_bet = tested.contains(&Trigger::HighFrequencyBetting);
        let traces = Traces {
            config: &self.config,
            source: place(7),
            written_at: Some(written_at),
            now: written_at.plus(Duration::from_secs(5)),
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

/// The facts of a command for so many bets.
fn counted(count: u32) -> Facts {
    Facts::Frequency(Reach { count, within_minutes: 10, needed: count, timeliness: Timeliness::InTime })
}

/// What is told of one trigger of an event, and nothing of it a secret.
#[track_caller]
fn check(cases: Vec<(World, Trigger, &str, &[&str])>) {
    for (world, trigger, decision, words) in cases {
        let explanation = world.explanation();
        let text = told(&explanation);
        let tested = explanation.triggers.iter().find(|tested| tested.trigger == trigger).unwrap();
        assert_eq!(tested.decision, decision, "{}", tell::text(&explanation, Colour::Off));
        for words in words {
            assert!(text.contains(words), "{words:?} is not in\n{}", tell::text(&explanation, Colour::Off));
        }
        let json = String::from_utf8(encode(&explanation).unwrap()).unwrap();
        assert!(!json.contains("secret") && !text.contains("secret"), "{json}");
        let id = CommandId::of(&TenantId::new("acme").unwrap(), trigger, &EventId::new("this").unwrap());
        assert_eq!(tested.command_id, (decision == "required").then(|| id.to_string()));
    }
}

#[test]
fn a_window_is_judged_as_of_the_event_s_place_in_it() {
    check(vec![
        (
            World::bet().logged(8),
            Trigger::HighFrequencyBetting,
            "below_frequency",
            &["9 bets within 10 min, 10 needed; the next one in time would have reached it", "bets 9 around it"],
        ),
        // What others appended later changes nothing.
        (
            World::bet().logged(8).with(|world| {
                let later = world.bet_at(1);
                world.log.as_mut().unwrap().push(later);
            }),
            Trigger::HighFrequencyBetting,
            "below_frequency",
            &["9 bets within 10 min", "bets 9 around it"],
        ),
        (
            World::bet().logged(8).with(|world| {
                let later = world.bet_at(60);
                world.log.as_mut().unwrap().push(later);
            }),
            Trigger::HighFrequencyBetting,
            "below_frequency",
            &["9 bets within 10 min", "the count may have been greater then"],
        ),
        (
            World::bet().with(|world| world.log = Ok(vec![world.bet_at(60)])),
            Trigger::HighFrequencyBetting,
            "unknown",
            &["the window does not hold this bet: it aged out; its 1 records are from"],
        ),
        (World::bet(), Trigger::HighFrequencyBetting, "unknown", &["the customer's window is empty"]),
    ]);
}

#[test]
fn a_command_and_a_position_tell_what_the_window_does_not() {
    check(vec![
        // It fired, and says so whatever the clock and the cool-down say now.
        (
            World::bet().logged(9).claimed(&[("this", 0)]).with(|world| {
                world.command = Some((Trigger::HighFrequencyBetting, counted(10), "2026-01-01T00:00:00Z"));
            }),
            Trigger::HighFrequencyBetting,
            "required",
            &[
                "holds_claim yes: it fired",
                "issued at",
                "activity/3/99",
                "session_created",
                "after 2 calls",
                "held by this",
            ],
        ),
        (
            World::bet().with(|world| {
                world.command = Some((Trigger::HighFrequencyBetting, counted(12), "2025-12-31T00:00:00Z"));
            }),
            Trigger::HighFrequencyBetting,
            "required",
            &[
                "its command says 12 bets within 10 min",
                "decided by preferences 2025-12-31T00:00:00Z; the rules above are told by those of today, 2026-01-01T00:00:00Z",
            ],
        ),
        (
            World::bet().with(|world| {
                world.log = Ok((1..=9).map(|minutes| world.bet_at(-minutes)).collect());
                world.evaluated = Some(false);
            }),
            Trigger::HighFrequencyBetting,
            "required",
            &["it is not evaluated yet", "10 bets within 10 min", "bets 10 around it"],
        ),
    ]);
}

#[test]
fn claims_and_the_clock_are_told_as_the_event_met_them() {
    check(vec![
        (
            World::login().with(|world| world.written_after = 901),
            Trigger::Login,
            "event_too_old",
            &["yes: 901 s old when it was written to its topic, which estimates", "the limit is 900 s"],
        ),
        (
            World::login().claimed(&[("this", 0)]).with(|world| world.written_after = 901),
            Trigger::Login,
            "required",
            &["holds_claim yes: it fired", "its command is not on the topic"],
        ),
        (
            World::login().claimed(&[("before", -9), ("later", 5)]),
            Trigger::Login,
            "in_cooldown",
            &[
                "yes: event before fired at 2026-03-01T12:21:00.000Z; the next may fire from 2026-03-01T12:31:00.000Z on",
            ],
        ),
        (
            World::login().claimed(&[("later", 5)]),
            Trigger::Login,
            "in_cooldown",
            &["it fired at 2026-03-01T12:35:00.000Z", "that is a later event"],
        ),
        (
            World::login().claimed(&[("later", 120)]),
            Trigger::Login,
            "unknown",
            &["in_cooldown unknown: its claims are no longer kept; they are for 3600 s"],
        ),
        (
            World::login().claimed(&[("before", -10)]),
            Trigger::Login,
            "unknown",
            &["no: the last one fired at 2026-03-01T12:20:00.000Z", "none was issued, nor does it hold a claim"],
        ),
        (
            World::login().with(|world| {
                world.preferences = Ok(Some(Preferences::OFF));
                world.command = Some((Trigger::Login, Facts::Plain, "2026-01-01T00:00:00Z"));
            }),
            Trigger::Login,
            "required",
            &["yes: a command was issued; by what is in force now it would be feature_disabled"],
        ),
    ]);
}

#[test]
fn what_could_not_be_looked_at_is_unknown_and_the_rest_is_told() {
    check(vec![
        (
            World::bet().with(|world| {
                (world.log, world.claims) = (Err("Redis: away".to_owned()), Err("Redis: away".to_owned()))
            }),
            Trigger::HighFrequencyBetting,
            "unknown",
            &["below_frequency unknown: Redis: away"],
        ),
        (
            World::bet().logged(9).with(|world| world.preferences = Err("no answer".to_owned())),
            Trigger::HighFrequencyBetting,
            "unknown",
            &["preferences unknown: no answer", "tenant_unknown unknown: no answer", "bets 10 around it"],
        ),
        (
            World::login().with(|world| world.claims = Err("Redis: away".to_owned())),
            Trigger::Login,
            "unknown",
            &["holds_claim unknown: Redis: away", "event_too_old no: 1 s old"],
        ),
        (
            World::login().with(|world| {
                world.claims = Err("Redis: away".to_owned());
                world.command = Some((Trigger::Login, Facts::Plain, "2026-01-01T00:00:00Z"));
            }),
            Trigger::Login,
            "required",
            &["required yes: a command was issued", "issued at 2026-03-01T12:30:01.250Z"],
        ),
    ]);
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

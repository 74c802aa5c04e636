use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::domain::command::{Cause, Reference};
use crate::domain::decide::Facts;
use crate::domain::ids::{CustomerId, EventId, Source, TenantId};
use crate::domain::outcome::{RejectCode, Session};
use crate::domain::time::Timestamp;
use crate::domain::trigger::ActivityType;
use crate::wire::outcome;

const MS: u64 = 1_000;

fn measure(bounds: Bounds) -> Measure {
    Measure::new("run", bounds).unwrap()
}

fn command(event: &str) -> Command {
    let (tenant, event) = (TenantId::new("t").unwrap(), EventId::new(event).unwrap());
    Command {
        id: CommandId::of(&tenant, Trigger::Login, &event),
        tenant,
        customer: CustomerId::new("c").unwrap(),
        trigger: Trigger::Login,
        reference: Reference::CommandId,
        facts: Facts::Plain,
        cause: Cause {
            event,
            kind: ActivityType::Login,
            occurred_at: Timestamp(0),
            source: Source { topic: "activity".into(), partition: 0, offset: 0 },
        },
        preferences_updated_at: None,
        redrive_of: None,
        issued_at: Timestamp(0),
        expires_at: Timestamp(0).plus(Duration::from_secs(600)),
    }
}

fn end(measure: &mut Measure, event: &str, token: &str, now: u64) {
    let session = Session { token: token.to_owned(), token_expires_at: Timestamp(1), links: Vec::new() };
    let outcome = Outcome::new(&command(event), "r".to_owned(), Ending::SessionCreated(session), 1, Timestamp(0));
    measure.outcome(&outcome, &outcome::encode(&outcome), now);
}

fn send(measure: &mut Measure, event: &str, intended: u64) {
    measure.sending(Some(Name::of("t", event)), intended, intended);
}

fn near(value: Option<f64>, want: f64) -> bool {
    value.is_some_and(|value| (value / want - 1.0).abs() < 0.002)
}

#[test]
fn latency_is_counted_from_the_time_it_was_meant_to_be_sent() {
    let mut measure = measure(Bounds::default());
    measure.sending(Some(Name::of("t", "run-1")), 100 * MS, 300 * MS);
    measure.command(&command("run-1"), 350 * MS);
    end(&mut measure, "run-1", "a", 500 * MS);
    assert!(near(measure.commanded.overall.max(), 250.0));
    assert!(near(measure.ended.overall.max(), 400.0));
    assert!(near(measure.sent_late.max(), 200.0));
    assert_eq!((measure.counts.commands, measure.counts.outcomes, measure.counts.sessions()), (1, 1, 1));
    assert_eq!(measure.counts.by_trigger[&Trigger::Login], (1, 1));
    assert_eq!(measure.without_outcome(), 0);
}

#[test]
fn records_that_come_again_are_told_from_outcomes_that_differ() {
    let mut measure = measure(Bounds::default());
    send(&mut measure, "run-1", 0);
    send(&mut measure, "run-1", 9 * MS);
    for now in [10, 20, 30] {
        measure.command(&command("run-1"), now * MS);
    }
    assert_eq!((measure.counts.commands, measure.counts.commands_repeated), (1, 2));
    assert!(near(measure.commanded.overall.max(), 10.0), "only the first record counts, from the first sending");
    assert_eq!(measure.without_outcome(), 1);
    for token in ["a", "a", "b", "a"] {
        end(&mut measure, "run-1", token, 40 * MS);
    }
    let counts = &measure.counts;
    assert_eq!((counts.outcomes, counts.outcomes_repeated, counts.repeated), (1, 2, 1));
    assert_eq!(counts.repeats_sent, 1);
}

#[test]
fn an_outcome_may_be_read_before_its_command_and_strangers_do_not_count() {
    let mut measure = measure(Bounds::default());
    send(&mut measure, "run-1", 0);
    end(&mut measure, "run-1", "a", 7 * MS);
    end(&mut measure, "foreign", "x", 7 * MS);
    assert_eq!(measure.counts.outcomes, 0);
    measure.command(&command("run-1"), 8 * MS);
    measure.command(&command("foreign"), 8 * MS);
    assert_eq!((measure.counts.commands, measure.counts.outcomes), (1, 1));
    assert!(near(measure.ended.overall.max(), 7.0));
}

#[test]
fn ids_that_were_kept_are_known_by_what_was_sent() {
    let mut measure = measure(Bounds::default());
    send(&mut measure, "bet-7", 0);
    measure.command(&command("bet-7"), MS);
    assert_eq!((measure.counts.commands, measure.counts.untimed), (1, 0));
}

#[test]
fn memory_is_bounded_and_what_is_forgotten_is_counted() {
    let mut measure = measure(Bounds { events: 2, commands: 2, early: 1 });
    for event in ["run-1", "run-2", "run-3"] {
        send(&mut measure, event, 0);
    }
    end(&mut measure, "run-2", "a", MS);
    end(&mut measure, "run-3", "a", MS);
    for event in ["run-1", "run-2", "run-3"] {
        measure.command(&command(event), MS);
    }
    let counts = &measure.counts;
    assert_eq!((counts.commands, counts.untimed, counts.unfollowed), (3, 1, 1));
    assert_eq!(counts.outcomes, 0, "the early outcome of run-2 made place, and run-3 is not followed");
    assert_eq!(measure.without_outcome(), 2);
}

#[test]
fn dead_letters_that_were_asked_for_are_explained() {
    let mut measure = measure(Bounds::default());
    measure.counts.malformed = 2;
    let source = Source { topic: "activity".into(), partition: 0, offset: 0 };
    for (code, stage) in [
        (RejectCode::InvalidJson, Stage::Evaluate),
        (RejectCode::MissingField, Stage::Evaluate),
        (RejectCode::UnknownCurrency, Stage::Evaluate),
        (RejectCode::Expired, Stage::Dispatch),
    ] {
        measure.dead_letter(&DeadLetter { code, error: String::new(), stage, source: source.clone() });
    }
    assert_eq!(measure.counts.dead_letters_unexplained(), 2);
    assert_eq!(measure.counts.dead_letters().len(), 4);
}

#[test]
fn what_came_is_held_against_what_was_expected() {
    let mut measure = measure(Bounds::default());
    for event in ["run-1", "run-2"] {
        send(&mut measure, event, 0);
        measure.command(&command(event), MS);
    }
    let expected: HashSet<_> = ["run-2", "run-3", "run-4"].map(|event| command(event).id).into();
    assert_eq!(measure.compare(&expected), Some((2, 1)));
    measure.counts.failed = 1;
    assert_eq!(measure.compare(&expected), None, "who knows what the brokers have");
}

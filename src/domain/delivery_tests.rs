use proptest::prelude::*;

use super::*;
use crate::domain::command::{ReferenceChoice, Terms};
use crate::domain::decide::Facts;
use crate::domain::event::{Activity, Event};
use crate::domain::ids::{CustomerId, EventId, Source, TenantId, TransactionId};
use crate::domain::trigger::{ActivityType, Trigger};

const POLICY: RetryPolicy = RetryPolicy {
    on_lost_answer: OnLostAnswer::Retry,
    base: Duration::from_millis(100),
    cap: Duration::from_secs(10),
    max_retry_after: Duration::from_secs(60),
    margin: Duration::from_secs(1),
};

const REPORT: RetryPolicy = RetryPolicy { on_lost_answer: OnLostAnswer::Report, ..POLICY };

/// When the commands of these tests expire; they are issued at 0.
const EXPIRES_AT: i64 = 600_000;

const START: Timestamp = Timestamp(0);

/// A command whose reference is its own id.
fn own() -> Command {
    command(ReferenceChoice::CommandId)
}

/// A command whose reference is the tenant's transaction `tx-1`.
fn transaction() -> Command {
    command(ReferenceChoice::TransactionId)
}

fn command(reference: ReferenceChoice) -> Command {
    let event = Event {
        id: EventId::new("e-1").unwrap(),
        tenant: TenantId::new("acme").unwrap(),
        customer: CustomerId::new("c-1").unwrap(),
        activity: Activity::Plain(ActivityType::Login),
        occurred_at: START,
        transaction: Some(TransactionId::new("tx-1").unwrap()),
    };
    let source = Source { topic: "activity".into(), partition: 0, offset: 0 };
    let terms = Terms { issued_at: START, max_age: Duration::from_millis(EXPIRES_AT.unsigned_abs()), reference };
    Command::new(&event, Trigger::Login, Facts::Plain, source, None, terms)
}

fn status(code: u16) -> Answer {
    Answer::Status { code, reason: format!("says {code}"), retry_after: None }
}

fn session() -> Session {
    Session { token: "t".to_owned(), token_expires_at: Timestamp(EXPIRES_AT), links: Vec::new() }
}

/// `lost`, `unsent`, `created`, `needless` or a status.
fn answer(word: &str) -> Answer {
    match word {
        "lost" => Answer::Lost { reason: "timed out".to_owned() },
        "unsent" => Answer::NotSent { reason: "refused".to_owned() },
        "unreadable" => Answer::NoCredential { reason: "unreadable".to_owned() },
        "created" => Answer::Created(session()),
        "needless" => Answer::NotRequired { reason: "no prior KYC".to_owned() },
        code => status(code.parse().unwrap()),
    }
}

/// `.2 in 100ms` is a call under the second reference, `pause 401` a paused tenant, anything else an ending.
fn written(step: &Step, attempts: &Attempts) -> String {
    match step {
        Step::Retry { wait } => format!(".{} in {wait:?}", attempts.number()),
        Step::PauseTenant { http_status: Some(http_status) } => format!("pause {http_status}"),
        Step::PauseTenant { http_status: None } => "pause".to_owned(),
        Step::Done(ending) => ending.status().to_owned(),
    }
}

/// What follows on each of a row of answers, every wait at its longest.
fn walk(command: &Command, policy: &RetryPolicy, answers: &str) -> (String, Attempts) {
    let mut attempts = Attempts::default();
    let mut steps = Vec::new();
    for word in answers.split_whitespace() {
        let step = next_step(command, &mut attempts, answer(word), policy, START, 1.0);
        steps.push(written(&step, &attempts));
    }
    (steps.join(", "), attempts)
}

fn check(command: &Command, policy: &RetryPolicy, rows: &[(&str, &str)]) {
    for (answers, want) in rows {
        assert_eq!(walk(command, policy, answers).0, *want, "{answers}");
    }
}

#[test]
fn every_status_leads_to_its_step() {
    // Whether the call may have made a session: if so, a conflict that follows is ours.
    const SENT: bool = true;
    const NOTHING: bool = false;
    let table = [
        (100..=199, ".1 in 100ms", NOTHING),
        (200..=299, ".1 in 100ms", SENT),
        (300..=399, ".1 in 100ms", NOTHING),
        (400..=400, "rejected", NOTHING),
        (401..=401, "pause 401", NOTHING),
        (402..=402, "rejected", NOTHING),
        (403..=403, "pause 403", NOTHING),
        (404..=407, "rejected", NOTHING),
        (408..=408, ".1 in 100ms", SENT),
        (409..=409, "already_exists", NOTHING),
        (410..=424, "rejected", NOTHING),
        (425..=425, ".1 in 100ms", NOTHING),
        (426..=428, "rejected", NOTHING),
        (429..=429, ".1 in 100ms", NOTHING),
        (430..=499, "rejected", NOTHING),
        (500..=599, ".1 in 100ms", SENT),
    ];
    assert!(table.iter().flat_map(|(codes, _, _)| codes.clone()).eq(100..=599));
    for (codes, want, may_have_made_one) in table {
        for code in codes {
            let mut attempts = Attempts::default();
            let step = next_step(&transaction(), &mut attempts, status(code), &POLICY, START, 1.0);
            assert_eq!(written(&step, &attempts), want, "{code}");
            assert_eq!(attempts.unanswered, may_have_made_one, "{code}");
            assert_eq!(attempts.last_status, Some(code));
            if let Step::Done(Ending::Rejected { http_status, reason }) = step {
                assert_eq!((http_status, reason), (code, format!("says {code}")));
            }
        }
    }
    check(&own(), &POLICY, &[("409", ".2 in 0ns")]);
}

#[test]
fn answers_without_a_status_end_the_command_or_are_tried_again() {
    check(
        &own(),
        &POLICY,
        &[
            ("created", "session_created"),
            ("needless", "not_required"),
            ("unsent", ".1 in 100ms"),
            ("lost", ".1 in 100ms"),
            ("unsent lost 503 created", ".1 in 100ms, .1 in 200ms, .1 in 400ms, session_created"),
        ],
    );
    let mut attempts = Attempts::default();
    let step = next_step(&own(), &mut attempts, answer("created"), &POLICY, START, 1.0);
    assert_eq!(step, Step::Done(Ending::SessionCreated(session())));
    let step = next_step(&own(), &mut attempts, answer("needless"), &POLICY, START, 1.0);
    assert_eq!(step, Step::Done(Ending::NotRequired { reason: "no prior KYC".to_owned() }));
}

#[test]
fn a_conflict_over_our_own_id_is_a_lost_answer_and_goes_on_under_the_next_reference() {
    check(
        &own(),
        &POLICY,
        &[
            ("409 created", ".2 in 0ns, session_created"),
            ("429 409", ".1 in 100ms, .2 in 0ns"),
            ("lost 409 lost 409", ".1 in 100ms, .2 in 0ns, .2 in 400ms, .3 in 800ms"),
            ("409 409 409", ".2 in 0ns, .3 in 200ms, .4 in 400ms"),
        ],
    );
    check(&own(), &REPORT, &[("409", "already_exists"), ("lost 409", ".1 in 100ms, already_exists")]);
}

#[test]
fn a_conflict_over_a_transaction_is_ours_only_where_an_attempt_of_ours_went_unanswered() {
    check(
        &transaction(),
        &POLICY,
        &[
            ("409", "already_exists"),
            ("429 409", ".1 in 100ms, already_exists"),
            ("425 409", ".1 in 100ms, already_exists"),
            ("unsent 409", ".1 in 100ms, already_exists"),
            ("302 409", ".1 in 100ms, already_exists"),
            ("401 409", "pause 401, already_exists"),
            ("unreadable 409", "pause, already_exists"),
            ("lost unreadable 409", ".1 in 100ms, pause, .2 in 0ns"),
            ("lost 409", ".1 in 100ms, .2 in 0ns"),
            ("408 409", ".1 in 100ms, .2 in 0ns"),
            ("500 409", ".1 in 100ms, .2 in 0ns"),
            ("599 409", ".1 in 100ms, .2 in 0ns"),
            ("200 409", ".1 in 100ms, .2 in 0ns"),
            // What was lost stays lost, whatever was answered since.
            ("lost 429 unsent 403 409", ".1 in 100ms, .1 in 200ms, .1 in 400ms, pause 403, .2 in 0ns"),
            // Nobody but us adds a number to the tenant's transaction.
            ("lost 409 429 409", ".1 in 100ms, .2 in 0ns, .2 in 400ms, .3 in 800ms"),
            ("lost 409 409 created", ".1 in 100ms, .2 in 0ns, .3 in 400ms, session_created"),
        ],
    );
    check(&transaction(), &REPORT, &[("409", "already_exists"), ("lost 409", ".1 in 100ms, already_exists")]);
}

#[test]
fn an_attempt_on_record_from_before_a_crash_explains_a_conflict_as_well() {
    let mut attempts = Attempts { made: 1, reference_number: 1, unanswered: true, ..Attempts::default() };
    let step = next_step(&transaction(), &mut attempts, status(409), &POLICY, START, 1.0);
    assert_eq!(written(&step, &attempts), ".2 in 0ns");
    assert!(!attempts.unanswered, "nothing was sent under the new reference yet");
}

#[test]
fn references_are_numbered_from_the_second_on() {
    let id = own().id.to_string();
    for (number, own_text, transaction_text) in [
        (0, id.clone(), "tx-1"),
        (1, id.clone(), "tx-1"),
        (2, format!("{id}.2"), "tx-1.2"),
        (3, format!("{id}.3"), "tx-1.3"),
        (12, format!("{id}.12"), "tx-1.12"),
    ] {
        assert_eq!(own().numbered_reference(number), own_text);
        assert_eq!(transaction().numbered_reference(number), transaction_text);
    }
    assert_eq!(Attempts::default().number(), 1);
    let (_, attempts) = walk(&transaction(), &POLICY, "lost 409");
    assert_eq!(transaction().numbered_reference(attempts.number()), "tx-1.2");
}

#[test]
fn every_call_counts_and_leaves_its_status_and_reason() {
    for (answers, made, last_status, last_reason) in [
        ("", 0, None, None),
        ("created", 1, None, None),
        ("429", 1, Some(429), Some("says 429")),
        ("429 409 created", 3, Some(409), Some("says 409")),
        ("503 lost", 2, None, Some("timed out")),
        ("503 lost unsent", 3, None, Some("refused")),
        ("401 403 503", 3, Some(503), Some("says 503")),
        ("503 unreadable", 1, None, Some("unreadable")),
    ] {
        let (_, attempts) = walk(&own(), &POLICY, answers);
        assert_eq!(attempts.made, made, "{answers}");
        assert_eq!(attempts.last_status, last_status, "{answers}");
        assert_eq!(attempts.last_reason.as_deref(), last_reason, "{answers}");
    }
    let mut endless = Attempts { made: u32::MAX, ..Attempts::default() };
    let step = next_step(&own(), &mut endless, status(503), &POLICY, START, 1.0);
    assert_eq!((written(&step, &endless), endless.made), (".1 in 10s".to_owned(), u32::MAX));
}

#[test]
fn what_the_service_asks_for_is_the_least_wait_up_to_a_limit() {
    for (code, asked, chance, want) in [
        (429, 0, 0.0, 0),
        (429, 0, 1.0, 100),
        (429, 30_000, 0.0, 30_000),
        (429, 30_000, 0.5, 30_050),
        (503, 30_000, 1.0, 30_100),
        (503, 60_000, 0.0, 60_000),
        (503, 60_001, 0.0, 60_000),
        (408, 3_600_000, 1.0, 60_100),
        (301, 5_000, 0.0, 5_000),
        (429, u64::MAX, 0.0, 60_000),
    ] {
        let retry_after = Some(Duration::from_millis(asked));
        let answer = Answer::Status { code, reason: String::new(), retry_after };
        let step = next_step(&own(), &mut Attempts::default(), answer, &POLICY, START, chance);
        assert_eq!(step, Step::Retry { wait: Duration::from_millis(want) }, "{code} after {asked} at {chance}");
    }
}

#[test]
fn a_last_call_is_made_just_in_time_whatever_wait_was_due() {
    for (left, asked, want) in [
        (60_000, 0, Some(10_000)),
        (8_000, 0, Some(6_999)), // A second is the margin.
        (8_000, 6_999, Some(6_999)),
        (8_000, 7_000, None), // The service wants to be left alone for longer.
        (1_101, 0, Some(100)),
        (1_100, 0, None), // Hardly any time is left.
    ] {
        let answer =
            Answer::Status { code: 503, reason: String::new(), retry_after: Some(Duration::from_millis(asked)) };
        let mut attempts = Attempts { made: 20, ..Attempts::default() };
        let step = next_step(&own(), &mut attempts, answer, &POLICY, Timestamp(EXPIRES_AT - left), 1.0);
        let wait = if let Step::Retry { wait } = step { Some(wait.as_millis()) } else { None };
        assert_eq!(wait, want, "{left} ms left, asked for {asked}");
    }
}

#[test]
fn the_longest_wait_doubles_up_to_the_cap_and_stays_there() {
    let longest: Vec<Duration> = (0..=200).map(|made| backoff(made, &POLICY)).collect();
    let first: Vec<u128> = longest.iter().take(10).map(Duration::as_millis).collect();
    assert_eq!(first, [100, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    assert!(longest.is_sorted());
    assert!(longest[8..].iter().all(|wait| *wait == POLICY.cap));
    let huge = RetryPolicy { base: Duration::MAX, ..POLICY };
    assert_eq!((backoff(1, &huge), backoff(200, &huge)), (POLICY.cap, POLICY.cap));
}

proptest! {
    #[test]
    fn a_wait_is_any_part_of_the_longest_and_never_more(made in 0_u32..200, chance in 0.0..1.0) {
        let longest = backoff(made + 1, &POLICY);
        let wait = |chance| {
            let mut attempts = Attempts { made, ..Attempts::default() };
            match next_step(&own(), &mut attempts, status(503), &POLICY, START, chance) {
                Step::Retry { wait } => wait,
                step => panic!("{step:?}"),
            }
        };
        prop_assert_eq!(wait(0.0), Duration::ZERO);
        prop_assert_eq!(wait(1.0), longest);
        // Full jitter: the whole range is used, in proportion.
        prop_assert!(wait(chance) <= longest);
        prop_assert!(wait(chance).abs_diff(longest.mul_f64(chance)) < Duration::from_micros(1));
        prop_assert_eq!((wait(-0.5), wait(1.5)), (Duration::ZERO, longest));
    }

    #[test]
    fn no_call_is_begun_with_less_than_the_margin_left(
        now in EXPIRES_AT - 90_000..EXPIRES_AT + 1_000, made in 0_u32..12, asked in 0_u64..100_000,
        code in prop_oneof![Just(409_u16), Just(429), Just(503)], number in 1_u32..4, chance in 0.0..=1.0,
    ) {
        let mut attempts = Attempts { made, reference_number: number, ..Attempts::default() };
        let retry_after = Some(Duration::from_millis(asked));
        let answer = Answer::Status { code, reason: "busy".to_owned(), retry_after };
        match next_step(&own(), &mut attempts, answer, &POLICY, Timestamp(now), chance) {
            Step::Retry { wait } => {
                prop_assert_eq!(still_time(&own(), &attempts, &POLICY, Timestamp(now).plus(wait)), None);
            }
            step => {
                let expired = Ending::Expired { http_status: Some(code), reason: "busy".to_owned() };
                prop_assert_eq!(step, Step::Done(expired));
                prop_assert_eq!(attempts.number(), number, "the reference tried last");
            }
        }
    }
}

#[test]
fn there_is_time_for_a_call_until_the_margin_before_the_expiry() {
    let left = |left| Timestamp(EXPIRES_AT - left);
    let asked = |now| still_time(&own(), &Attempts::default(), &POLICY, now);
    let untried = Ending::Expired { http_status: None, reason: "no call was made in time".to_owned() };
    for (now, want) in [
        (START, None),
        (left(1_001), None),
        (left(1_000), Some(untried.clone())),
        (left(0), Some(untried.clone())),
        (left(-90_000), Some(untried.clone())),
        (Timestamp(i64::MAX), Some(untried.clone())),
    ] {
        assert_eq!(asked(now), want, "{now}");
    }
    let (_, attempts) = walk(&own(), &POLICY, "503");
    let tried = Ending::Expired { http_status: Some(503), reason: "says 503".to_owned() };
    assert_eq!(still_time(&own(), &attempts, &POLICY, left(1_000)), Some(tried));
}

#[test]
fn a_retry_that_would_begin_too_late_is_the_end_with_the_last_status_and_reason() {
    for (word, left, want) in [
        ("503", 1_101, ".1 in 100ms"),
        ("503", 1_100, "expired Some(503) says 503"), // Hardly any time is left.
        ("lost", 1_101, ".1 in 100ms"),
        ("lost", 1_100, "expired None timed out"),
        ("unsent", 1_100, "expired None refused"),
        ("409", 1_001, ".2 in 0ns"),
        ("409", 1_000, "expired Some(409) says 409"),
        // An answer is an answer however late it comes.
        ("created", 0, "session_created"),
        ("needless", 0, "not_required"),
        ("404", 0, "rejected"),
        ("401", 0, "pause 401"),
    ] {
        let mut attempts = Attempts::default();
        let now = Timestamp(EXPIRES_AT - left);
        let step = next_step(&own(), &mut attempts, answer(word), &POLICY, now, 1.0);
        let text = match &step {
            Step::Done(Ending::Expired { http_status, reason }) => format!("expired {http_status:?} {reason}"),
            step => written(step, &attempts),
        };
        assert_eq!(text, want, "{word} with {left} ms left");
    }
}

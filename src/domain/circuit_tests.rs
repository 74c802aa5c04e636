use proptest::prelude::*;

use super::*;

const TERMS: Terms = Terms { failures: 3, pause: Duration::from_secs(1), longest: Duration::from_secs(8), most: 5 };

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn signal(sign: char) -> Signal {
    match sign {
        '+' => Signal::Well,
        '-' => Signal::Failing,
        '?' => Signal::Unclear,
        _ => Signal::NotMade,
    }
}

/// Calls that end one after the other as the signs say; where there is no leave it is waited for. Gives back the seconds
/// that were waited and where the breaker stands in the end, every pause at its longest.
fn story(signs: &str) -> (Vec<u64>, Standing) {
    let mut circuit = Circuit::new(TERMS);
    let (mut now, mut waits) = (seconds(100), Vec::new());
    for sign in signs.chars() {
        if let Some(until) = circuit.open_until(now) {
            assert_eq!(circuit.admit(now), None, "{signs}");
            waits.push((until - now).as_secs());
            now = until;
        }
        let pass = circuit.admit(now).unwrap();
        circuit.ended(pass, signal(sign), now, 1.0);
    }
    (waits, circuit.standing())
}

#[test]
fn it_opens_after_failures_in_a_row_and_probes_at_growing_intervals() {
    use Standing::{Closed, HalfOpen, Open, Recovering};
    for (signs, waits, want) in [
        ("", vec![], Closed),
        ("--", vec![], Closed),
        ("--+--", vec![], Closed),
        ("---", vec![], Open),
        // What says nothing of the service neither adds to the row nor ends it.
        ("-?-.-", vec![], Open),
        ("----", vec![1], Open),
        ("--------", vec![1, 2, 4, 8, 8], Open),
        // Patience that is asked for keeps it open, and no longer than before.
        ("---??-", vec![1, 1, 1], Open),
        ("---.", vec![1], HalfOpen),
        ("---..+", vec![1], Recovering),
        // One after the other: two at once, three, four, five, which is the most.
        ("---+++", vec![1], Recovering),
        ("---++++", vec![1], Closed),
        ("---+-", vec![1], Recovering),
        // Recovery that fails at once waits longer than the time before.
        ("---+---", vec![1, 2], Open),
        ("---++++---", vec![1], Open),
        ("---++++----", vec![1, 1], Open),
    ] {
        assert_eq!(story(signs), (waits, want), "{signs}");
    }
}

#[test]
fn little_traffic_ends_the_recovery_without_the_most_at_once() {
    let mut circuit = Circuit::new(Terms { most: 1_000, ..TERMS });
    for _ in 0..3 {
        let pass = circuit.admit(Duration::ZERO).unwrap();
        circuit.ended(pass, Signal::Failing, Duration::ZERO, 1.0);
    }
    let wells = (0..).take_while(|_| {
        let pass = circuit.admit(seconds(1)).unwrap();
        circuit.ended(pass, Signal::Well, seconds(1), 1.0);
        circuit.standing() != Standing::Closed
    });
    assert_eq!(wells.count(), 3, "the probe, and two more than the failures that open it, less the last");
}

#[test]
fn a_breaker_that_is_off_never_opens() {
    let mut circuit = Circuit::new(Terms { failures: 0, ..TERMS });
    for _ in 0..1_000 {
        let pass = circuit.admit(Duration::ZERO).unwrap();
        circuit.ended(pass, Signal::Failing, Duration::ZERO, 0.0);
    }
    assert_eq!(circuit.standing(), Standing::Closed);
}

#[test]
fn calls_that_began_before_it_opened_say_nothing_of_the_service_after() {
    let mut circuit = Circuit::new(TERMS);
    let passes: Vec<Pass> = (0..10).map(|_| circuit.admit(Duration::ZERO).unwrap()).collect();
    for pass in &passes[..5] {
        circuit.ended(*pass, Signal::Failing, Duration::ZERO, 1.0);
    }
    assert_eq!(circuit.standing(), Standing::Open);
    let probe = circuit.admit(seconds(1)).unwrap();
    assert!(probe.is_probe);
    assert_eq!(circuit.admit(seconds(1)), None, "one at a time");
    for pass in &passes[5..] {
        circuit.ended(*pass, Signal::Well, seconds(1), 1.0);
    }
    assert_eq!((circuit.standing(), circuit.admit(seconds(1))), (Standing::HalfOpen, None));
    circuit.ended(probe, Signal::Well, seconds(1), 1.0);
    let at_once = std::iter::from_fn(|| circuit.admit(seconds(1))).count();
    assert_eq!(at_once, 2, "no herd");
}

proptest! {
    /// Whatever happens, a service that never answers is called at most so often.
    #[test]
    fn a_service_that_is_down_sees_the_calls_under_way_and_then_probes(chances in prop::collection::vec(0.0..1.0_f64, 1..200)) {
        let mut circuit = Circuit::new(TERMS);
        let (mut now, mut calls) = (Duration::ZERO, 0_u64);
        for chance in &chances {
            let passes: Vec<Pass> = std::iter::from_fn(|| circuit.admit(now)).take(5).collect();
            for pass in passes {
                calls += 1;
                circuit.ended(pass, Signal::Failing, now, *chance);
            }
            now += Duration::from_millis(250);
        }
        // Five at once, and then one in half a second at the most.
        prop_assert!(calls <= 5 + now.as_millis() as u64 / 500 + 1, "{calls} calls in {now:?}");
    }
}

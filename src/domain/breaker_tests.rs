use super::*;
use crate::domain::money::Amount;
use crate::domain::preferences::AmountBound;

const MINUTE: Duration = Duration::from_secs(60);
const TERMS: Terms = Terms { factor: 3, least: 20, window: Duration::from_secs(600) };
const NOON: Timestamp = Timestamp(1_772_366_400_000);

fn from(threshold: u32) -> Setting {
    let threshold = threshold.to_string().parse::<Amount>().unwrap().as_usd();
    Setting::Amount(AmountBound { threshold: Some(threshold) })
}

/// Traffic of one trigger, minute by minute: its setting, events tested and events that fire.
type Minutes<'a> = &'a [(Setting, u32, u32, u32)];

/// Feeds so many minutes of each line and gives back the minute of the first trip, and what fired in it since the change.
fn first_trip(breaker: &mut Breaker, lines: Minutes<'_>, accepted: Option<u32>) -> Option<(u32, u64)> {
    let tenant = TenantId::new("acme").unwrap();
    let accepted = accepted.map(|minute| NOON.plus(MINUTE * minute));
    let mut minute = 0;
    for (setting, minutes, tested, fired) in lines {
        for _ in 0..*minutes {
            for event in 0..*tested {
                let at = NOON.plus(MINUTE * minute + MINUTE * event / *tested);
                // Those that fire are spread over the minute.
                let heard = if (event * fired) % tested < *fired { Heard::Fired } else { Heard::Tested };
                let known = accepted.filter(|accepted| *accepted <= at);
                if let Some(trip) = breaker.hear((&tenant, Trigger::Deposit), *setting, heard, known, at) {
                    return Some((minute, trip.after.fired));
                }
            }
            minute += 1;
        }
    }
    None
}

#[test]
fn a_change_trips_where_it_lifts_the_trigger_beyond_the_factor_and_nothing_else_does() {
    let (old, new, newer) = (from(500), from(50), from(5));
    let none: Option<(u32, u64)> = None;
    for (name, lines, want) in [
        ("nothing changes", &[(old, 30, 100, 10)][..], none),
        ("more traffic alone", &[(old, 10, 100, 5), (old, 10, 2_000, 100)], none),
        ("a lift without a change", &[(old, 10, 100, 5), (old, 10, 100, 100)], none),
        ("a change that lowers", &[(old, 10, 100, 50), (new, 10, 100, 1)], none),
        ("a change that doubles", &[(old, 10, 100, 10), (new, 10, 100, 20)], none),
        ("nearly the factor", &[(old, 10, 100, 10), (new, 10, 100, 28)], none),
        ("beyond the factor", &[(old, 10, 100, 10), (new, 10, 100, 40)], Some((10, 31))),
        ("a change and as much more traffic", &[(old, 10, 100, 10), (new, 10, 1_000, 100)], none),
        ("too few to judge", &[(old, 10, 10, 0), (new, 9, 10, 2)], none),
        ("switched on, and rare", &[(Setting::Off, 10, 100, 0), (new, 10, 100, 5)], none),
        ("switched on, and often", &[(Setting::Off, 10, 100, 0), (new, 10, 100, 100)], Some((10, 20))),
        ("switched on after silence", &[(Setting::Off, 1, 1, 0), (new, 10, 100, 100)], Some((1, 20))),
        ("it rises only later", &[(old, 10, 100, 10), (new, 10, 100, 10), (new, 10, 100, 90)], none),
        ("it rises within the window", &[(old, 10, 100, 10), (new, 5, 100, 10), (new, 5, 100, 100)], Some((16, 193))),
        ("first sight", &[(new, 10, 1_000, 1_000)], none),
        ("step by step", &[(old, 10, 100, 10), (new, 2, 100, 25), (newer, 10, 100, 50)], Some((12, 31))),
        ("back again", &[(old, 10, 100, 10), (new, 1, 100, 25), (old, 10, 100, 10)], none),
    ] {
        assert_eq!(first_trip(&mut Breaker::new(TERMS), lines, None), want, "{name}");
    }
}

#[test]
fn what_was_accepted_since_the_change_is_not_judged() {
    let lines = [(from(500), 10, 100, 10), (from(50), 2, 100, 10), (from(50), 10, 100, 100)];
    for (accepted, trips) in [(None, true), (Some(5), true), (Some(11), false), (Some(12), false)] {
        let found = first_trip(&mut Breaker::new(TERMS), &lines, accepted);
        assert_eq!(found.is_some(), trips, "accepted in minute {accepted:?}");
    }
}

#[test]
fn after_a_trip_only_another_change_is_judged() {
    let mut breaker = Breaker::new(TERMS);
    let lines = [(from(500), 10, 100, 10), (from(50), 10, 100, 100)];
    assert!(first_trip(&mut breaker, &lines, None).is_some());
    let tenant = TenantId::new("acme").unwrap();
    let mut trips = 0;
    for (minute, setting) in (11..60).map(|minute| (minute, from(50))).chain((60..70).map(|minute| (minute, from(5)))) {
        let events = if minute < 60 { 100 } else { 1_000 };
        for event in 0..events {
            let at = NOON.plus(MINUTE * minute + MINUTE * event / events);
            trips += u32::from(breaker.hear((&tenant, Trigger::Deposit), setting, Heard::Fired, None, at).is_some());
        }
    }
    assert_eq!(trips, 0, "every event fired before, so none can fire more often");
}

#[test]
fn a_trigger_that_asks_nobody_is_not_judged() {
    let mut breaker = Breaker::new(TERMS);
    let tenant = TenantId::new("acme").unwrap();
    let what = (&tenant, Trigger::Deposit);
    breaker.hear(what, from(500), Heard::Tested, None, NOON);
    for second in 0..120 {
        breaker.rest(what, from(50), NOON.plus(Duration::from_secs(second)));
    }
    // Out of shadow with the setting that it had there.
    for event in 0..500 {
        let at = NOON.plus(MINUTE * 3 + Duration::from_millis(event));
        assert_eq!(breaker.hear(what, from(50), Heard::Fired, None, at), None);
    }
}

#[test]
fn tenants_and_triggers_are_told_apart_and_their_number_is_bounded() {
    let mut breaker = Breaker::new(TERMS);
    let (acme, other) = (TenantId::new("acme").unwrap(), TenantId::new("other").unwrap());
    for event in 0..100 {
        let at = NOON.plus(Duration::from_millis(event));
        for (what, setting) in [
            ((&acme, Trigger::Deposit), from(500)),
            ((&acme, Trigger::Withdrawal), from(50)),
            ((&other, Trigger::Deposit), from(5)),
        ] {
            assert_eq!(breaker.hear(what, setting, Heard::Fired, None, at), None, "none of them has changed");
        }
    }
    for number in 0..MOST_TENANTS + 10 {
        let tenant = TenantId::new(&format!("t{number}")).unwrap();
        breaker.hear((&tenant, Trigger::Login), Setting::Plain, Heard::Tested, None, NOON);
    }
    assert_eq!(breaker.tenants.len(), MOST_TENANTS);
    breaker.hear(
        (&TenantId::new("late").unwrap(), Trigger::Login),
        Setting::Plain,
        Heard::Tested,
        None,
        NOON.plus(MINUTE * 11),
    );
    assert_eq!(breaker.tenants.len(), 1, "those that were not heard of for a window made room");
}

#[test]
fn a_rate_is_told_by_the_minute() {
    for (fired, seconds, want) in [(30, 60, 30.0), (30, 600, 3.0), (0, 60, 0.0), (1, 0, 0.0)] {
        let rate = Rate { fired, tested: 100, within: Duration::from_secs(seconds) };
        assert!((rate.per_minute() - want).abs() < 1e-9, "{fired} in {seconds} s");
    }
}

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::domain::time::millis;

// The language of the tables. A log is a line of words, one record each: `10s` or `10ms` is a bet at that time, `a@10s`
// one with a name, `10s*1000` a thousand bets at once. `a` alone is a redelivery of the bet of that name (same id, same
// arrival), and `a'` a repeat that its producer sent anew (same id and time, another arrival). A rule is
// `3 in 1m late 5s keep 4`; without `in` the tenant states no minutes and the operator looks back ten.
// An answer is the count of each record asked about: `!` where it reaches, `~` where the bet was late.

fn span(text: &str) -> Duration {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let number: u64 = digits.parse().unwrap();
    match &text[digits.len()..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        unit => panic!("no unit of time: {unit}"),
    }
}

fn time(text: &str) -> Timestamp {
    text.strip_prefix('-').map_or_else(|| Timestamp(millis(span(text))), |text| Timestamp(-millis(span(text))))
}

fn rule(text: &str) -> WindowRule {
    let mut words = text.split_whitespace();
    let needed = words.next().unwrap().parse().unwrap();
    let mut bound = FrequencyBound { needed, window_minutes: None };
    let (mut lateness, mut max_entries) = (Duration::ZERO, 256);
    while let (Some(word), Some(value)) = (words.next(), words.next()) {
        match word {
            "in" => bound.window_minutes = Some(u32::try_from(span(value).as_secs() / 60).unwrap()),
            "late" => lateness = span(value),
            "keep" => max_entries = value.parse().unwrap(),
            word => panic!("no word of a rule: {word}"),
        }
    }
    WindowRule::new(bound, span("10m"), lateness, max_entries)
}

fn log(text: &str) -> Vec<Bet> {
    let mut named: BTreeMap<&str, Bet> = BTreeMap::new();
    let mut log: Vec<Bet> = Vec::new();
    for word in text.split_whitespace() {
        let arrival = u32::try_from(log.len()).unwrap();
        if let Some(bet) = named.get(word) {
            log.push(*bet);
            continue;
        }
        if let Some(bet) = word.strip_suffix('\'').and_then(|name| named.get(name)) {
            log.push(Bet { arrival, ..*bet });
            continue;
        }
        let (name, word) = word.split_once('@').map_or((None, word), |(name, word)| (Some(name), word));
        let (at, times) = word.split_once('*').map_or((word, 1), |(at, times)| (at, times.parse().unwrap()));
        for arrival in arrival..arrival + times {
            log.push(bet(time(at).0, arrival));
        }
        if let Some(name) = name {
            named.insert(name, *log.last().unwrap());
        }
    }
    log
}

/// A bet at `at` whose id is that of its place in the log.
fn bet(at: i64, arrival: u32) -> Bet {
    Bet { at: Timestamp(at), id: 0x0123_4567_89ab_cdef_u64.wrapping_mul(u64::from(arrival) + 1), arrival }
}

fn reaches(log: &[Bet], asked: &[Bet], rule: &WindowRule) -> Vec<Reach> {
    judge(log, asked, rule).reaches.into_iter().map(Option::unwrap).collect()
}

fn written(reaches: &[Reach]) -> String {
    let words: Vec<String> = reaches
        .iter()
        .map(|reach| {
            let late = if reach.timeliness == Timeliness::Late { "~" } else { "" };
            format!("{}{late}{}", reach.count, if reach.is_reached() { "!" } else { "" })
        })
        .collect();
    words.join(" ")
}

/// Asks about every record of each log.
fn check(rows: &[(&str, &str, &str)]) {
    for (bound, bets, want) in rows {
        let log = log(bets);
        assert_eq!(written(&reaches(&log, &log, &rule(bound))), *want, "{bound}: {bets}");
    }
}

#[test]
fn bets_in_order_count_what_stands_in_the_window_that_ends_with_them() {
    check(&[
        ("3 in 1m", "0s 10s 20s", "1 2 3!"),
        ("3 in 1m", "0s 10s 20s 30s 65s 95s", "1 2 3! 4! 4! 2"),
        ("3", "0s 5m 9m", "1 2 3!"),
        ("3", "0s 5m 10m", "1 2 2"), // Without minutes the operator's ten are the window.
        ("1 in 1m", "0s", "1!"),
        ("3 in 1m", "-20s -10s 0s", "1 2 3!"),
    ]);
}

#[test]
fn a_window_excludes_its_beginning_and_includes_its_end() {
    check(&[
        ("2 in 1m", "0ms 59999ms", "1 2!"),
        ("2 in 1m", "0ms 60000ms", "1 1"),
        ("3 in 1m", "0s 59999ms 59999ms", "1 2 3!"),
        ("2 in 1m", "-1ms 59998ms", "1 2!"),
        ("2 in 1m", "-1ms 59999ms", "1 1"),
        // The same at the other end: a window may end before the bet's time + W, not at it.
        ("2 in 1m late 5m", "59999ms 0ms", "1 2!"),
        ("2 in 1m late 5m", "60000ms 0ms", "1 1"),
    ]);
}

#[test]
fn a_bet_that_comes_out_of_order_still_fills_the_burst() {
    check(&[
        ("3 in 1m late 5m", "0s 20s 10s", "1 2 3!"),
        ("3 in 1m late 5m", "20s 10s 0s", "1 2 3!"),
        ("3 in 1m late 5m", "10s 70s 69s 9s", "1 1 2 2"), // No window holds 9s and 69s, nor 10s and 70s.
        ("3 in 1m late 5m", "0s 59s 118s 60s", "1 2 2 3!"),
        ("3 in 1m late 5m", "0s 100s 50s", "1 1 2"), // A count is of one window, not of both sides.
    ]);
}

#[test]
fn a_repeat_counts_once_and_is_judged_as_of_its_first_arrival() {
    check(&[
        ("2 in 1m", "a@0s a' a", "1 1 1"),
        ("2 in 1m", "a@0s b@10s a", "1 2! 1"),
        ("2 in 1m", "a@0s b@10s a'", "1 2! 1"),
        ("3 in 1m", "a@0s b@10s b' c@20s a' c'", "1 2 2 3! 1 3!"),
        ("3 in 1m late 5m", "a@0s b@20s c@10s d@15s c'", "1 2 3! 4! 3!"),
    ]);
}

#[test]
fn a_redelivery_is_judged_as_the_first_time_even_where_later_bets_dropped_it() {
    check(&[
        // All three left the window when the next bet came; the third is still the one that reached.
        ("3 in 1m", "0s 10s c@20s 10m c", "1 2 3! 1 3!"),
        ("3 in 1m", "0s 10s c@20s 25s 30s 10m 11m c", "1 2 3! 4! 5! 1 1 3!"),
        ("2 in 1m keep 2", "a@0s b@10s c@20s d@30s b", "1 2! 2! 2! 2!"),
        // A producer's repeat stands at another place, where the dropped bet is as good as new, only late.
        ("3 in 1m", "0s 10s c@20s 10m c'", "1 2 3! 1 1~"),
    ]);
}

#[test]
fn a_producers_repeat_is_judged_by_those_kept_that_had_arrived_before_it() {
    check(&[
        ("3 in 1m late 1m", "0s 30s c@59s 70s c'", "1 2 3! 3! 3!"),
        ("3 in 1m late 1m", "0s 30s c@59s 140s c'", "1 2 3! 1 2"), // 140s dropped 0s, and 70s would not count.
        ("3 in 1m late 1m", "0s 30s c@59s 149s 58s c'", "1 2 3! 1 3! 2"), // 30s is kept, 0s is not, 58s came after.
    ]);
}

#[test]
fn a_repeat_that_brings_another_time_counts_at_the_first_arrivals_time() {
    let first = bet(0, 0);
    let moved = Bet { at: time("70s"), arrival: 2, ..first };
    let log = [first, bet(40_000, 1), moved];
    assert_eq!(written(&reaches(&log, &[moved], &rule("2 in 1m"))), "1");
    assert_eq!(judge(&log, &[], &rule("2 in 1m")).kept(&log), &log[..2]);
}

#[test]
fn bets_of_one_millisecond_count_each() {
    let all = log("0ms*1000");
    let counts: Vec<u32> = reaches(&all, &all, &rule("1000 in 1m keep 1000")).iter().map(|reach| reach.count).collect();
    assert_eq!(counts, (1..=1000).collect::<Vec<u32>>());
    let last = &all[999..];
    assert_eq!(written(&reaches(&all, last, &rule("1000 in 1m keep 256"))), "1000!"); // Raised to N.
    assert_eq!(written(&reaches(&all, last, &rule("300 in 1m keep 400"))), "400!");
}

#[test]
fn of_too_many_bets_the_newest_by_time_are_kept() {
    for (bound, bets, kept) in [
        ("2 in 1m keep 3", "0s 1s 2s 3s 4s", "2s 3s 4s"),
        ("2 in 1m keep 3", "4s 3s 2s 1s 0s", "4s 3s 2s"),
        ("2 in 1m keep 3", "0s 4s 1s 3s 2s", "4s 3s 2s"),
        ("4 in 1m keep 3", "0s 1s 2s 3s 4s", "1s 2s 3s 4s"),
        ("2 in 1m", "0s 1s 59s 60s", "1s 59s 60s"),
        ("2 in 1m late 1s", "0s 1s 59s 60s", "0s 1s 59s 60s"),
        ("2 in 1m late 1s", "0s 1s 59s 61s", "1s 59s 61s"),
        ("2 in 1m late 1s", "61s 0s 1s", "61s 1s"),
        ("2 in 1m", "a@0s b@1s a' b a", "0s 1s"),
    ] {
        let times = |log: &[Bet]| log.iter().map(|bet| bet.at.0).collect::<Vec<_>>();
        let whole = log(bets);
        assert_eq!(times(&judge(&whole, &[], &rule(bound)).kept(&whole)), times(&log(kept)), "{bound}: {bets}");
    }
}

#[test]
fn a_late_bet_is_judged_by_what_is_kept_and_itself_and_leaves_no_trace() {
    check(&[
        ("2 in 1m late 1m", "0s 120s 1ms", "1 1 1"), // A millisecond in time.
        ("2 in 1m late 1m", "0s 120s 0s", "1 1 1~"), // Exactly too late, and the first of 0s is dropped.
        ("3 in 1m late 1m", "61s 90s 180s 60s", "1 2 1 3~!"),
        ("3 in 1m late 1m", "61s 90s 180s 60s 59s", "1 2 1 3~! 3~!"),
        ("4 in 1m late 1m", "61s 90s 180s a@60s a", "1 2 1 3~ 3~"),
        // Pushed out by number: it counts, and the count stays within what may be kept.
        ("2 in 1m keep 2", "10s 20s 0s", "1 2! 2~!"),
        ("2 in 1m keep 3", "10s 20s 65s 0s", "1 2! 3! 3~!"),
    ]);
}

#[test]
fn minutes_are_the_tenants_or_else_the_span_of_the_bets_counted() {
    for (bound, bets, minutes) in [
        ("2 in 7m", "0s 10s", 7),
        ("9 in 7m", "0s", 7),
        ("1", "0s", 1),
        ("2", "0s 0s", 1),
        ("2", "0s 1ms", 1),
        ("2", "0ms 60000ms", 1),
        ("2", "0ms 60001ms", 2),
        ("3", "0s 1m 5m", 5),
        ("3", "0s 1m 301s", 6),
        ("2", "0s 599999ms", 10),
        ("2", "0s 10m", 1),
        ("3", "-5m 0s 61s", 7),
        ("2 late 10m", "0s 90s 12m 0s", 2), // 12m stands in no window with 0s.
        ("2 late 10m", "0s 9m 11m 5m", 9),  // 0s to 9m and 5m to 11m hold three each: the earlier is told.
    ] {
        let log = log(bets);
        let reach = reaches(&log, &log[log.len() - 1..], &rule(bound))[0];
        assert_eq!(reach.within_minutes, minutes, "{bound}: {bets}");
    }
}

#[test]
fn a_rule_follows_the_tenants_bound_under_the_operators_limits() {
    let of = |needed, window_minutes| {
        let bound = FrequencyBound { needed, window_minutes };
        WindowRule::new(bound, span("90m"), span("5m"), 10)
    };
    let plain =
        WindowRule { needed: 3, width: span("2m"), stated_minutes: Some(2), lateness: span("5m"), max_entries: 10 };
    assert_eq!(of(3, Some(2)), plain);
    assert_eq!(of(3, None), WindowRule { width: span("90m"), stated_minutes: None, ..plain });
    assert_eq!(of(11, Some(2)), WindowRule { needed: 11, max_entries: 11, ..plain });
    assert_eq!(plain.kept_for(), span("7m"));
    // The widest window there is overflows nothing.
    let widest = WindowRule { width: Duration::MAX, ..of(1, None) };
    assert_eq!(written(&reaches(&log("0s 1s"), &log("0s 1s"), &widest)), "1! 2!");
    assert_eq!(of(1, Some(u32::MAX)).width, Duration::from_secs(60 * u64::from(u32::MAX)));
}

#[test]
fn answers_come_in_the_order_of_the_question() {
    let log = log("a@0s b@10s c@20s");
    let reaches = judge(&log, &[log[2], bet(0, 77), log[0], log[2]], &rule("3 in 1m")).reaches;
    let counts: Vec<Option<u32>> = reaches.iter().map(|reach| reach.map(|reach| reach.count)).collect();
    assert_eq!(counts, [Some(3), None, Some(1), Some(3)]);
    let unknown_arrival = Bet { arrival: 9, ..log[0] };
    assert_eq!(judge(&log, &[unknown_arrival], &rule("3 in 1m")).reaches, [None]);
    assert_eq!(parts(&judge(&log, &[], &rule("3 in 1m")), &log), (vec![], log.clone()));
    assert_eq!(parts(&judge(&[], &[bet(0, 0)], &rule("3 in 1m")), &[]), (vec![None], vec![]));
}

#[test]
fn a_great_log_is_judged_in_reasonable_time_in_any_order() {
    let great = rule("20000 in 1m late 5m");
    let half = rule("10000 in 1m late 5m keep 10000");
    let forward: Vec<Bet> = (0..20_000).map(|n| bet(i64::from(n), n)).collect();
    let backward: Vec<Bet> = (0..20_000).map(|n| bet(-i64::from(n), n)).collect();
    // 7,919 is prime: every residue comes once.
    let mixed: Vec<Bet> = (0..20_000_u32).map(|n| bet(i64::from(n * 7_919 % 20_000), n)).collect();
    for log in [forward, backward, mixed] {
        let last = log[19_999];
        assert_eq!(written(&reaches(&log, &[last], &great)), "20000!");
        assert_eq!(judge(&log, &[last], &half).kept_len(), 10_000);
    }
    let forward: Vec<Bet> = (0..20_000).map(|n| bet(i64::from(n), n)).collect();
    assert_eq!(reaches(&forward, &forward, &great).iter().filter(|reach| reach.is_reached()).count(), 1);
}

// The oracle: the rule's own words over sets, every end of a window tried. Spans are a few milliseconds, so it can.

/// B: the bets seen, distinct by id, each at its first arrival's time.
fn distinct(seen: &[Bet]) -> Vec<Bet> {
    let mut b: Vec<Bet> = Vec::new();
    for bet in seen {
        if b.iter().all(|other| other.id != bet.id) {
            b.push(*bet);
        }
    }
    b
}

/// The largest |{b in B : e − W < b.t ≤ e}| over every e with t ≤ e < t + W.
fn most_in_a_window_with(t: Timestamp, b: &[Bet], rule: &WindowRule) -> u32 {
    let w = millis(rule.width);
    let held = |e: i64| b.iter().filter(|b| e - w < b.at.0 && b.at.0 <= e).count();
    (t.0..t.0 + w).map(held).max().unwrap().try_into().unwrap()
}

/// What is kept of distinct bets: those newer than the newest minus (W + lateness), and of these the newest
/// `max_entries`; of bets at one time the later arrivals.
fn kept_of(b: &[Bet], rule: &WindowRule) -> Vec<Bet> {
    let newest = b.iter().map(|bet| bet.at.0).max().unwrap_or(0);
    let bound = newest - millis(rule.width) - millis(rule.lateness);
    let stays = |(place, bet): &(usize, &Bet)| {
        let newer = b.iter().enumerate().filter(|(other, o)| (o.at, *other) > (bet.at, *place)).count();
        bet.at.0 > bound && newer < rule.max_entries
    };
    b.iter().enumerate().filter(stays).map(|(_, bet)| *bet).collect()
}

fn rules(max_entries: impl Strategy<Value = usize>) -> impl Strategy<Value = WindowRule> {
    (1_u32..6, 1_u64..20, 0_u64..20, max_entries).prop_map(|(needed, width, lateness, max_entries)| WindowRule {
        needed,
        width: Duration::from_millis(width),
        stated_minutes: None,
        lateness: Duration::from_millis(lateness),
        max_entries: max_entries.max(needed as usize),
    })
}

const UNBOUNDED: Duration = Duration::from_secs(1);

/// Distinct bets within twice the widest window, in any order.
fn bets() -> impl Strategy<Value = Vec<Bet>> {
    prop::collection::vec(0_i64..40, 1..24).prop_map(|times| numbered(times, 0))
}

fn numbered(times: Vec<i64>, first: u32) -> Vec<Bet> {
    times.into_iter().zip(first..).map(|(at, arrival)| bet(at, arrival)).collect()
}

#[derive(Debug, Clone)]
enum Again {
    Redelivery(Index),
    Repeat(Index),
}

fn again() -> impl Strategy<Value = (Index, Again)> {
    let whose = any::<Index>;
    (whose(), prop_oneof![whose().prop_map(Again::Redelivery), whose().prop_map(Again::Repeat)])
}

/// Puts redeliveries and repeats of earlier records into a log, anywhere after them.
fn with_repeats(mut log: Vec<Bet>, agains: &[(Index, Again)]) -> Vec<Bet> {
    for (arrival, (place, again)) in (1_000..).zip(agains) {
        let place = 1 + place.index(log.len());
        let bet = match again {
            Again::Redelivery(whose) => log[whose.index(place)],
            Again::Repeat(whose) => Bet { arrival, ..log[whose.index(place)] },
        };
        log.insert(place, bet);
    }
    log
}

proptest! {
    #[test]
    fn with_nothing_dropped_a_count_is_the_oracles(
        rule in rules(Just(100)), bets in bets(), agains in prop::collection::vec(again(), 0..8),
    ) {
        let rule = WindowRule { lateness: UNBOUNDED, ..rule };
        let log = with_repeats(bets, &agains);
        for (asked, reach) in log.iter().zip(reaches(&log, &log, &rule)) {
            // Whether a redelivery or a repeat: B is what had arrived up to the first record with that id.
            let first = log.iter().position(|bet| bet.id == asked.id).unwrap();
            let want = most_in_a_window_with(asked.at, &distinct(&log[..=first]), &rule);
            prop_assert_eq!(reach.count, want);
            prop_assert_eq!(reach.timeliness, Timeliness::InTime);
        }
    }

    #[test]
    fn within_its_bounds_a_count_is_the_oracles_over_what_is_kept(rule in rules(1_usize..12), bets in bets()) {
        let judged = judge(&bets, &bets, &rule);
        for (place, (asked, reach)) in bets.iter().zip(&judged.reaches).enumerate() {
            let reach = reach.unwrap();
            let mut b = kept_of(&bets[..=place], &rule);
            let late = !b.contains(asked);
            if late {
                b.push(*asked);
            }
            let most = most_in_a_window_with(asked.at, &b, &rule);
            prop_assert_eq!(reach.count, most.min(u32::try_from(rule.max_entries).unwrap()));
            prop_assert_eq!(reach.timeliness == Timeliness::Late, late);
        }
        prop_assert_eq!(judged.kept(&bets), kept_of(&bets, &rule));
    }

    #[test]
    fn any_order_within_the_lateness_fires_for_the_same_customers(
        rule in rules(Just(100)),
        bets in prop::collection::vec((0_i64..120, 0.0..1.0, 0.0..1.0), 1..24),
    ) {
        let lateness = millis(rule.lateness);
        // Every order in which a bet comes at most the lateness after a newer one is one by time plus a part of it.
        let order = |delay: fn(&(i64, f64, f64)) -> f64| {
            let mut delayed = bets.clone();
            delayed.sort_by(|a, b| {
                let due = |bet: &(i64, f64, f64)| bet.0 as f64 + delay(bet) * lateness as f64;
                due(a).total_cmp(&due(b))
            });
            numbered(delayed.into_iter().map(|bet| bet.0).collect(), 0)
        };
        let fires = |log: &[Bet]| reaches(log, log, &rule).iter().any(Reach::is_reached);
        let (one, other) = (order(|bet| bet.1), order(|bet| bet.2));
        let want = one.iter().any(|bet| most_in_a_window_with(bet.at, &one, &rule) >= rule.needed);
        prop_assert_eq!(fires(&one), want);
        prop_assert_eq!(fires(&other), want);
    }

    #[test]
    fn repeats_change_no_first_answer_and_redeliveries_get_it_again(
        rule in rules(1_usize..12), bets in bets(), agains in prop::collection::vec(again(), 1..12),
    ) {
        let log = with_repeats(bets.clone(), &agains);
        let first = reaches(&bets, &bets, &rule);
        prop_assert_eq!(reaches(&log, &bets, &rule), first.clone());
        // Asked after each record, as they come: what follows later changes nothing either.
        for (place, record) in log.iter().enumerate() {
            let live = reaches(&log[..=place], &[*record], &rule)[0];
            prop_assert_eq!(reaches(&log, &[*record], &rule)[0], live);
            if let Some(original) = bets.iter().position(|bet| bet == record) {
                prop_assert_eq!(live, first[original]);
            }
        }
    }

    #[test]
    fn a_compacted_log_answers_what_comes_later_as_the_whole_one_does(
        rule in rules(1_usize..12),
        bets in prop::collection::vec(0_i64..80, 2..40),
        agains in prop::collection::vec(again(), 0..12),
        cut in any::<Index>(),
    ) {
        let whole = with_repeats(numbered(bets, 0), &agains);
        let (read, further) = whole.split_at(cut.index(whole.len()));
        // A redelivery of what was read already has its answer; what comes later is new, or a repeat sent anew.
        let later: Vec<Bet> = further.iter().filter(|bet| !read.contains(bet)).copied().collect();
        let whole: Vec<Bet> = read.iter().chain(&later).copied().collect();
        let kept = judge(read, &[], &rule).kept(read);
        prop_assert_eq!(&judge(&kept, &[], &rule).kept(&kept), &kept);
        let compacted: Vec<Bet> = kept.into_iter().chain(later.iter().copied()).collect();
        let (by_less, by_all) = (judge(&compacted, &later, &rule), judge(&whole, &later, &rule));
        prop_assert_eq!(parts(&by_less, &compacted), parts(&by_all, &whole));
    }
}

proptest! {
    #[test]
    fn what_a_bet_was_judged_by_answers_as_the_whole_log_does(
        rule in rules(1_usize..12),
        bets in bets(),
        agains in prop::collection::vec(again(), 0..12),
    ) {
        let log = with_repeats(bets, &agains);
        for asked in &log {
            let judged_by = as_of(&log, asked, &rule).unwrap();
            prop_assert!(judged_by.len() <= rule.max_entries + 1);
            prop_assert_eq!(reaches(&judged_by, &[*asked], &rule), reaches(&log, &[*asked], &rule));
            prop_assert_eq!(judged_by.last().map(|bet| (bet.id, bet.arrival)), Some((asked.id, asked.arrival)));
        }
        prop_assert_eq!(as_of(&log, &bet(0, 5_000), &rule), None);
    }
}

proptest! {
    #[test]
    fn a_log_in_the_order_of_its_times_is_judged_as_its_replay_is(
        rule in rules(1_usize..12),
        // The time since the bet before, the id of an earlier or a new bet, and whether it is a redelivery of that.
        steps in prop::collection::vec((0_i64..40, 0_u64..24, any::<bool>()), 1..24),
        asked in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let mut log: Vec<Bet> = Vec::new();
        for (place, (after, id, again)) in steps.into_iter().enumerate() {
            let at = Timestamp(log.last().map_or(0, |last| last.at.0) + after * 1_000);
            let earlier = log.iter().find(|bet| again && bet.id == id).map(|bet| bet.arrival);
            log.push(Bet { at, id, arrival: earlier.unwrap_or(place as u32) });
        }
        let asked: Vec<Bet> = asked.iter().map(|place| *place.get(&log)).collect();
        // And as most are: those are asked about that came last.
        let last = (1..=log.len()).flat_map(|end| (0..end).map(move |first| (first, end)));
        let last: Vec<_> = last.map(|(first, end)| (&log[..end], &log[first..end])).collect();
        let mut judged = Judged::default();
        for (log, asked) in last.into_iter().chain([(&log[..], &asked[..])]) {
            let (mut window, mut reaches) = (Window::default(), vec![None; asked.len()]);
            replay(&mut window, log, &mut Open::of(asked), &mut reaches, &rule);
            judged.reaches.clear();
            judge_into(&mut judged, log, asked, &rule);
            prop_assert_eq!(parts(&judged, log), (reaches, window.kept()));
        }
    }
}

fn parts(judged: &Judged, log: &[Bet]) -> (Vec<Option<Reach>>, Vec<Bet>) {
    (judged.reaches.clone(), judged.kept(log))
}

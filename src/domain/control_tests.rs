use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// `acme/deposit`, with `*` for any.
fn target(text: &str) -> Target {
    let (tenant, trigger) = text.split_once('/').unwrap();
    Target {
        tenant: (tenant != "*").then(|| TenantId::new(tenant).unwrap()),
        trigger: (trigger != "*").then(|| Trigger::from_name(trigger).unwrap()),
    }
}

/// `pause acme/deposit on 5`, several separated by commas.
fn controls(text: &str) -> Vec<Control> {
    text.split(',')
        .filter(|word| !word.trim().is_empty())
        .map(|control| {
            let [kind, on, state, at] = control.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{control}") };
            Control {
                kind: Kind::from_name(kind).unwrap(),
                target: target(on),
                state: State::from_name(state).unwrap(),
                at: Timestamp(at.parse().unwrap()),
                reason: Reason::default(),
            }
        })
        .collect()
}

fn known(text: &str) -> Controls {
    Controls::of(controls(text))
}

#[test]
fn a_pause_reaches_what_it_names_and_nothing_else() {
    for (set, reached) in [
        ("", "----"),
        ("pause */* on 1", "PPPP"),
        ("pause acme/* on 1", "PP--"),
        ("pause */deposit on 1", "P-P-"),
        ("pause acme/deposit on 1", "P---"),
        ("pause acme/deposit kept 1", "P---"),
        ("pause acme/deposit off 1", "----"),
        ("pause */* on 1, pause acme/* off 2", "PPPP"), // What is wider still holds.
        ("pause acme/* on 1, pause acme/* off 2", "----"),
        ("shadow */* on 1", "----"),
    ] {
        let controls = known(set);
        let pairs =
            [("acme", Trigger::Deposit), ("acme", Trigger::Login), ("b", Trigger::Deposit), ("b", Trigger::Login)];
        let found: String = pairs
            .iter()
            .map(|(name, trigger)| if controls.is_paused(&tenant(name), *trigger) { 'P' } else { '-' })
            .collect();
        assert_eq!(found, reached, "{set}");
        let shadowed = controls.is_shadowed(&tenant("b"), Trigger::Login);
        assert_eq!(shadowed, set.starts_with("shadow"), "{set}");
    }
}

#[test]
fn the_latest_counts_in_whatever_order_it_is_learnt() {
    for (first, second, want) in [
        ("pause a/* on 1", "pause a/* off 2", "off"),
        ("pause a/* off 2", "pause a/* on 1", "off"),
        ("pause a/* on 5", "pause a/* off 5", "on"), // At the same time what is on counts.
        ("pause a/* on 5", "pause a/* kept 5", "kept"),
        ("pause a/* kept 5", "pause a/* off 6", "off"),
        ("pause a/* on 1", "shadow a/* off 2", "on"), // Another kind is another control.
        ("pause a/* on 1", "pause a/login off 2", "on"),
    ] {
        for (one, other) in [(first, second), (second, first)] {
            let both = known(&format!("{one}, {other}"));
            assert_eq!(both.get(Kind::Pause, &target("a/*")).unwrap().state.name(), want, "{one}, then {other}");
        }
    }
    let mut all = known("pause a/* on 1");
    let again = controls("pause a/* on 1, pause a/* on 2");
    assert_eq!(again.into_iter().map(|control| all.learn(control)).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn what_a_store_lost_or_has_older_is_told_from_what_was_switched_off_there() {
    for (own, theirs, want) in [
        ("pause a/* on 1", "", "a/* on"),
        ("pause a/* off 2", "", "a/* off"), // It was off before the store was emptied, and another may know it as on.
        ("pause a/* on 1", "pause a/* on 1", ""),
        ("pause a/* on 1", "pause a/* off 2", ""),
        ("pause a/* off 2", "pause a/* on 1", "a/* off"),
        ("pause a/* on 1, pause b/* on 1", "pause b/* on 1", "a/* on"),
    ] {
        let (own, theirs) = (known(own), known(theirs));
        let found: Vec<String> = own
            .unknown_to(&theirs)
            .map(|control| format!("{}/* {}", control.target.tenant.as_ref().unwrap(), control.state.name()))
            .collect();
        assert_eq!(found.join(", "), want, "{own:?} beside {theirs:?}");
    }
}

#[test]
fn what_is_off_is_forgotten_in_time_and_what_is_on_never() {
    let mut all = known("pause a/* off 9, pause b/* off 10, pause c/* on 1, shadow d/login kept 1");
    all.forget(Timestamp(10));
    assert_eq!(all, known("pause b/* off 10, pause c/* on 1, shadow d/login kept 1"));
    assert_eq!(all.active().count(), 2);
    assert_eq!((all.len(), all.is_empty()), (3, false));
}

#[test]
fn what_is_set_now_counts_also_where_another_clock_was_ahead() {
    let all = known("pause a/* on 100");
    for (on, now, want) in [("a/*", 50, 101), ("a/*", 100, 101), ("a/*", 200, 200), ("b/*", 50, 50)] {
        assert_eq!(all.time_for(Kind::Pause, &target(on), Timestamp(now)), Timestamp(want), "{on} at {now}");
    }
}

#[test]
fn controls_are_told_in_words() {
    for (set, want) in [
        ("pause */* on 0", "pause: everything, since 1970-01-01T00:00:00.000Z"),
        ("pause acme/* on 0", "pause: tenant acme, since 1970-01-01T00:00:00.000Z"),
        ("pause */login on 0", "pause: trigger login of every tenant, since 1970-01-01T00:00:00.000Z"),
        ("shadow a/login kept 0", "shadow: trigger login of tenant a, since 1970-01-01T00:00:00.000Z, kept"),
    ] {
        assert_eq!(controls(set)[0].to_string(), want);
    }
    let mut why = controls("pause a/* on 0").remove(0);
    why.reason = Reason::of(" api is\n down ");
    assert!(why.to_string().ends_with("000Z (api is  down)"), "{why}");
    assert_eq!(Reason::of(&"é".repeat(1_000)).as_str().chars().count(), LONGEST_REASON);
}

#[test]
fn a_wider_target_holds_the_narrower_ones() {
    for (wide, narrow, want) in [
        ("*/*", "a/login", true),
        ("*/*", "*/*", true),
        ("a/*", "a/login", true),
        ("a/*", "*/*", false),
        ("a/*", "b/login", false),
        ("*/login", "a/login", true),
        ("*/login", "a/*", false),
        ("a/login", "a/login", true),
    ] {
        assert_eq!(target(wide).holds(&target(narrow)), want, "{wide} {narrow}");
        assert!(target(wide).covers(&tenant("a"), Trigger::Login), "{wide}");
    }
    assert!(!target("b/*").covers(&tenant("a"), Trigger::Login));
    assert!(!target("a/deposit").covers(&tenant("a"), Trigger::Login));
}

use super::*;
use crate::domain::event::Activity;
use crate::domain::ids::{CustomerId, EventId, TenantId};
use crate::domain::money::Amount;
use crate::domain::preferences::{AmountBound, FrequencyBound};
use crate::domain::trigger::ActivityType;
use crate::domain::window::Timeliness;

const COOLDOWN: Duration = Duration::from_secs(600);
const LIMIT: Duration = Duration::from_secs(900);
const OCCURRED: Timestamp = Timestamp(1_000_000);

fn usd(text: &str) -> Usd {
    text.parse::<Amount>().unwrap().as_usd()
}

fn event(activity: Activity) -> Event {
    Event {
        id: EventId::new("e-1").unwrap(),
        tenant: TenantId::new("acme").unwrap(),
        customer: CustomerId::new("c-1").unwrap(),
        activity,
        occurred_at: OCCURRED,
        transaction: None,
    }
}

/// An activity of the type that tests this trigger, of 100 dollars where it has an amount.
fn activity(trigger: Trigger) -> Activity {
    let kind = *ActivityType::ALL.iter().find(|kind| kind.tests().contains(&trigger)).unwrap();
    match kind {
        ActivityType::Bet => Activity::Bet(usd("100")),
        ActivityType::Deposit => Activity::Deposit(usd("100")),
        ActivityType::Withdrawal => Activity::Withdrawal(usd("100")),
        plain => Activity::Plain(plain),
    }
}

fn reach(count: u32, needed: u32) -> Reach {
    Reach { count, within_minutes: 5, needed, timeliness: Timeliness::InTime }
}

/// Preferences that switch every trigger on: amounts from 100 dollars, three bets in five minutes.
fn all_on() -> Preferences {
    let amount = Some(AmountBound { threshold: Some(usd("100")) });
    Preferences {
        enabled: true,
        plain: Trigger::ALL.to_vec(),
        deposit: amount,
        withdrawal: amount,
        large_bet_placement: amount,
        high_frequency_betting: Some(FrequencyBound { needed: 3, window_minutes: Some(5) }),
        updated_at: None,
    }
}

/// All that one decision depends on. As it stands here, nothing speaks against asking the customer.
#[derive(Clone)]
struct World {
    trigger: Trigger,
    tenant_known: bool,
    preferences: Preferences,
    activity: Activity,
    bets: u32,
    age: Duration,
    limit: Option<Duration>,
    answer: Option<ClaimAnswer>,
    mode: Mode,
}

impl World {
    fn of(trigger: Trigger) -> Self {
        Self {
            trigger,
            tenant_known: true,
            preferences: all_on(),
            activity: activity(trigger),
            bets: 3,
            age: Duration::ZERO,
            limit: Some(LIMIT),
            answer: Some(ClaimAnswer::Free),
            mode: Mode::Live,
        }
    }

    fn decide(&self) -> Decision {
        let event = event(self.activity);
        let known = if self.tenant_known { Known::Preferences(&self.preferences) } else { Known::NoTenant };
        match judge(&event, self.trigger, known, Some(reach(self.bets, 3))) {
            Verdict::Decided(decision) => decision,
            Verdict::Candidate(facts) => {
                let freshness = Freshness::of(&event, OCCURRED.plus(self.age), self.limit);
                conclude(facts, freshness, self.answer, COOLDOWN, self.mode)
            }
        }
    }
}

fn switch_off(trigger: Trigger, preferences: &mut Preferences) {
    match trigger {
        Trigger::Deposit => preferences.deposit = None,
        Trigger::Withdrawal => preferences.withdrawal = None,
        Trigger::LargeBetPlacement => preferences.large_bet_placement = None,
        Trigger::HighFrequencyBetting => preferences.high_frequency_betting = None,
        plain => preferences.plain.retain(|on| *on != plain),
    }
}

type Rule = (&'static str, fn(&mut World));

/// The rules in their order, each with a change of the world that makes it apply.
const RULES: [Rule; 8] = [
    ("tenant_unknown", |world| world.tenant_known = false),
    ("feature_disabled", |world| world.preferences.enabled = false),
    ("trigger_disabled", |world| switch_off(world.trigger, &mut world.preferences)),
    ("below_threshold", |world| {
        world.activity = match world.activity {
            Activity::Bet(_) => Activity::Bet(usd("99.99")),
            Activity::Deposit(_) => Activity::Deposit(usd("99.99")),
            Activity::Withdrawal(_) => Activity::Withdrawal(usd("99.99")),
            Activity::Plain(kind) => Activity::Plain(kind),
        }
    }),
    ("below_frequency", |world| world.bets = 2),
    ("required", |world| world.answer = Some(ClaimAnswer::Held)),
    ("event_too_old", |world| world.age = LIMIT + Duration::from_millis(1)),
    ("in_cooldown", |world| {
        // Nobody can hold a claim and cool down: the earlier rule stays.
        if world.answer != Some(ClaimAnswer::Held) {
            world.answer = Some(ClaimAnswer::CoolingDown { since: OCCURRED });
        }
    }),
];

/// Whether a rule says anything about a trigger.
fn concerns(rule: &str, trigger: Trigger) -> bool {
    match rule {
        "below_threshold" => matches!(trigger, Trigger::Deposit | Trigger::Withdrawal | Trigger::LargeBetPlacement),
        "below_frequency" => trigger == Trigger::HighFrequencyBetting,
        _ => true,
    }
}

#[test]
fn for_every_trigger_the_first_rule_that_applies_names_the_decision() {
    for trigger in Trigger::ALL {
        // Every set of rules that apply at once.
        for set in 0..1_u32 << RULES.len() {
            let applying = || RULES.iter().enumerate().filter(|(n, _)| set & (1 << n) != 0).map(|(_, rule)| rule);
            let mut world = World::of(*trigger);
            applying().for_each(|(_, apply)| apply(&mut world));
            let first = applying().map(|(name, _)| *name).find(|name| concerns(name, *trigger));
            let decision = world.decide();
            assert_eq!(decision.name(), first.unwrap_or("required"), "{trigger}, rules {set:08b}");
            let held = first == Some("required");
            let standing = if held { Standing::Again } else { Standing::First };
            if let Decision::Required { standing: actual, .. } = decision {
                assert_eq!(actual, standing, "{trigger}, rules {set:08b}");
            }
            // In shadow every rule is the same, but nobody is asked.
            let shadow = World { mode: Mode::Shadow, ..world }.decide();
            match decision {
                Decision::Required { facts, standing } => assert_eq!(shadow, Decision::Shadowed { facts, standing }),
                ref other => assert_eq!(shadow, *other, "{trigger}, rules {set:08b}"),
            }
            // Where no session is left, nobody is asked for the first time, and nothing else is another.
            let capped = decision.clone().capped(7);
            match decision {
                Decision::Required { facts, standing: Standing::First } => {
                    assert_eq!(capped, Decision::Capped { facts, limit: 7 });
                    assert_eq!((capped.facts(), capped.fires(), capped.is_repeated()), (Some(&facts), false, false));
                }
                other => assert_eq!(capped, other, "{trigger}, rules {set:08b}"),
            }
            assert_eq!(shadow.clone().capped(7), shadow, "a shadow uses up nothing");
        }
    }
}

#[test]
fn a_decision_says_its_numbers() {
    let frequent = Facts::Frequency(reach(3, 3));
    let amount = Facts::Amount(usd("100"));
    let age = LIMIT + Duration::from_millis(1);
    let until = OCCURRED.plus(COOLDOWN);
    let below = Decision::BelowThreshold { amount: usd("99.99"), threshold: usd("100") };
    let required = |facts, standing| Decision::Required { facts, standing };
    use Trigger::{Deposit, HighFrequencyBetting, LargeBetPlacement, Login, Withdrawal};
    for (trigger, rule, want) in [
        (Login, "tenant_unknown", Decision::TenantUnknown),
        (Login, "feature_disabled", Decision::FeatureDisabled),
        (Login, "trigger_disabled", Decision::TriggerDisabled),
        (Deposit, "below_threshold", below.clone()),
        (Withdrawal, "below_threshold", below.clone()),
        (LargeBetPlacement, "below_threshold", below),
        (HighFrequencyBetting, "below_frequency", Decision::BelowFrequency(reach(2, 3))),
        (Login, "required", required(Facts::Plain, Standing::Again)),
        (HighFrequencyBetting, "required", required(frequent, Standing::Again)),
        (Login, "event_too_old", Decision::EventTooOld { facts: Facts::Plain, age, limit: LIMIT }),
        (HighFrequencyBetting, "event_too_old", Decision::EventTooOld { facts: frequent, age, limit: LIMIT }),
        (Deposit, "in_cooldown", Decision::InCooldown { facts: amount, since: OCCURRED, until }),
        (HighFrequencyBetting, "in_cooldown", Decision::InCooldown { facts: frequent, since: OCCURRED, until }),
        (Login, "", required(Facts::Plain, Standing::First)),
        (Deposit, "", required(amount, Standing::First)),
        (Withdrawal, "", required(amount, Standing::First)),
        (LargeBetPlacement, "", required(amount, Standing::First)),
        (HighFrequencyBetting, "", required(frequent, Standing::First)),
    ] {
        let mut world = World::of(trigger);
        RULES.iter().filter(|(name, _)| *name == rule).for_each(|(_, apply)| apply(&mut world));
        let decision = world.decide();
        // The window's answer is told exactly where the window was asked.
        let asked = trigger == HighFrequencyBetting;
        assert_eq!(decision.reach().is_some(), asked, "{trigger} {rule}");
        assert_eq!(decision, want, "{trigger} {rule}");
        assert!(Decision::NAMES.contains(&decision.name()), "{trigger} {rule}");
    }
}

#[test]
fn every_name_is_reached_and_listed_once() {
    let mut names: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
    names.push(World { mode: Mode::Shadow, ..World::of(Trigger::Login) }.decide().name());
    names.push(World::of(Trigger::Login).decide().capped(1).name());
    let mut listed = Decision::NAMES.to_vec();
    names.sort_unstable();
    listed.sort_unstable();
    assert_eq!(names, listed);
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_disabled_trigger_tells_no_reach_although_there_is_one() {
    for (name, apply) in &RULES[..3] {
        let mut world = World::of(Trigger::HighFrequencyBetting);
        apply(&mut world);
        assert_eq!((world.decide().name(), world.decide().reach()), (*name, None));
    }
}

#[test]
fn preferences_that_switch_nothing_on_trigger_nothing() {
    let nothing_on = Preferences { enabled: true, ..Preferences::OFF };
    for trigger in Trigger::ALL {
        for (preferences, want) in [(&Preferences::OFF, "feature_disabled"), (&nothing_on, "trigger_disabled")] {
            let world = World { preferences: preferences.clone(), ..World::of(*trigger) };
            assert_eq!(world.decide().name(), want, "{trigger}");
        }
    }
}

#[test]
fn an_amount_triggers_from_its_threshold_on() {
    for (amount, threshold, want) in [
        ("99.99", Some("100"), "below_threshold"),
        ("100", Some("100"), "required"),
        ("100.00", Some("100"), "required"),
        ("100.01", Some("100"), "required"),
        ("0", Some("0.01"), "below_threshold"),
        ("99.99999999999999999999999999", Some("100"), "below_threshold"),
        ("0", Some("0"), "required"),
        ("0", None, "required"),
        ("0.01", None, "required"),
    ] {
        let bound = Some(AmountBound { threshold: threshold.map(usd) });
        for (trigger, activity) in [
            (Trigger::Deposit, Activity::Deposit(usd(amount))),
            (Trigger::Withdrawal, Activity::Withdrawal(usd(amount))),
            (Trigger::LargeBetPlacement, Activity::Bet(usd(amount))),
        ] {
            let mut world = World { activity, ..World::of(trigger) };
            world.preferences.deposit = bound;
            world.preferences.withdrawal = bound;
            world.preferences.large_bet_placement = bound;
            assert_eq!(world.decide().name(), want, "{trigger}: {amount} from {threshold:?}");
        }
    }
}

#[test]
fn an_event_is_too_old_only_beyond_the_limit() {
    let second = Duration::from_secs(1);
    for (age, limit, want) in [
        (LIMIT - Duration::from_millis(1), Some(LIMIT), "required"),
        (LIMIT, Some(LIMIT), "required"),
        (LIMIT + Duration::from_millis(1), Some(LIMIT), "event_too_old"),
        (Duration::ZERO, Some(second), "required"),
        (1_000_000 * second, Some(second), "event_too_old"),
        (1_000_000 * second, None, "required"),
    ] {
        let world = World { age, limit, ..World::of(Trigger::Login) };
        assert_eq!(world.decide().name(), want, "{age:?} of {limit:?}");
    }
    // A sender's clock that is ahead makes nothing old.
    let early = Freshness::of(&event(activity(Trigger::Login)), OCCURRED.minus(second), Some(Duration::ZERO));
    assert_eq!(early, Freshness::Fresh);
}

#[test]
fn without_a_cooldown_there_is_no_claim_and_age_still_matters() {
    for trigger in Trigger::ALL {
        for (age, want) in [(LIMIT, "required"), (LIMIT + Duration::from_millis(1), "event_too_old")] {
            let world = World { answer: None, age, ..World::of(*trigger) };
            let decision = world.decide();
            assert_eq!(decision.name(), want, "{trigger}");
            assert!(!matches!(decision, Decision::Required { standing: Standing::Again, .. }), "{trigger}");
        }
    }
}

#[test]
fn a_bet_that_no_window_was_asked_about_is_a_window_of_one() {
    for (needed, window_minutes, want) in [
        (1, Some(5), Verdict::Candidate(Facts::Frequency(Reach { within_minutes: 5, ..reach(1, 1) }))),
        (1, None, Verdict::Candidate(Facts::Frequency(Reach { within_minutes: 1, ..reach(1, 1) }))),
        (2, Some(7), Verdict::Decided(Decision::BelowFrequency(Reach { within_minutes: 7, ..reach(1, 2) }))),
    ] {
        let bound = FrequencyBound { needed, window_minutes };
        let preferences = Preferences { high_frequency_betting: Some(bound), ..all_on() };
        let bet = event(Activity::Bet(usd("1")));
        assert_eq!(judge(&bet, Trigger::HighFrequencyBetting, Known::Preferences(&preferences), None), want);
    }
}

#[test]
fn a_bet_is_decided_twice_each_trigger_by_its_own_facts() {
    let bet = event(Activity::Bet(usd("99.99")));
    let verdicts: Vec<Verdict> = bet
        .activity
        .kind()
        .tests()
        .iter()
        .map(|trigger| judge(&bet, *trigger, Known::Preferences(&all_on()), Some(reach(4, 3))))
        .collect();
    let below = Decision::BelowThreshold { amount: usd("99.99"), threshold: usd("100") };
    assert_eq!(verdicts, [Verdict::Decided(below), Verdict::Candidate(Facts::Frequency(reach(4, 3)))]);
}

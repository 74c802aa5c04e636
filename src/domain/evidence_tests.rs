use super::*;
use crate::domain::decide::Standing;
use crate::domain::event::Activity;
use crate::domain::ids::{CustomerId, EventId, TenantId};
use crate::domain::money::{Amount, Usd};
use crate::domain::preferences::AmountBound;
use crate::domain::trigger::ActivityType;
use crate::domain::window::Timeliness;

const MINUTE: Duration = Duration::from_secs(60);
const AT: Timestamp = Timestamp(1_000_000);

fn usd(text: &str) -> Usd {
    text.parse::<Amount>().unwrap().as_usd()
}

fn evidence(trigger: Trigger, activity: Activity, setting: Option<Setting>) -> Evidence {
    Evidence {
        event: Event {
            id: EventId::new("e-1").unwrap(),
            tenant: TenantId::new("acme").unwrap(),
            customer: CustomerId::new("c-1").unwrap(),
            activity,
            occurred_at: AT,
            transaction: None,
        },
        trigger,
        setting,
        window: None,
        decided_at: Some(AT.plus(MINUTE)),
        last: None,
    }
}

fn login(last: Option<LastRules>) -> Evidence {
    Evidence { last, ..evidence(Trigger::Login, Activity::Plain(ActivityType::Login), Some(Setting::Plain)) }
}

fn last(answer: Option<ClaimAnswer>) -> LastRules {
    LastRules { mode: Mode::Live, max_event_age: None, cooldown: MINUTE, retention: MINUTE, answer, cap: None }
}

fn bet(at: Timestamp, id: u64) -> Bet {
    Bet { at, id, arrival: 7 }
}

fn betting(needed: u32, bets: Option<Bets>, last: Option<LastRules>) -> Evidence {
    let bound = FrequencyBound { needed, window_minutes: Some(1) };
    let window = |bets| WindowEvidence { max_lookback: MINUTE, lateness: MINUTE, max_entries: 5, bets };
    let setting = Some(Setting::Frequency(bound));
    Evidence {
        window: bets.map(window),
        last,
        ..evidence(Trigger::HighFrequencyBetting, Activity::Bet(Usd::ZERO), setting)
    }
}

#[test]
fn every_rule_decides_from_its_evidence() {
    let deposit = |amount, setting| evidence(Trigger::Deposit, Activity::Deposit(usd(amount)), setting);
    let threshold = Some(Setting::Amount(AmountBound { threshold: Some(usd("10")) }));
    let (held, free) = (Some(ClaimAnswer::Held), Some(ClaimAnswer::Free));
    let cooling = Some(ClaimAnswer::CoolingDown { since: AT });
    let short = |answer, age| Some(LastRules { max_event_age: Some(Duration::from_secs(age)), ..last(answer) });
    let log = || Some(Bets::Log(vec![bet(AT.minus(MINUTE / 2), 1), bet(AT, 2)]));
    let summed = || {
        let reach = Reach { count: 9, within_minutes: 1, needed: 0, timeliness: Timeliness::InTime };
        Some(Bets::Summed { number: 9, reach })
    };
    for (evidence, want) in [
        (deposit("5", None), "tenant_unknown"),
        (deposit("5", Some(Setting::FeatureOff)), "feature_disabled"),
        (deposit("5", Some(Setting::Off)), "trigger_disabled"),
        (deposit("9.99", threshold), "below_threshold"),
        (Evidence { last: Some(last(free)), ..deposit("10", threshold) }, "required first"),
        (login(Some(last(held))), "required again"),
        (login(Some(last(cooling))), "in_cooldown"),
        (login(Some(LastRules { mode: Mode::Shadow, ..last(cooling) })), "in_cooldown"),
        (login(Some(LastRules { mode: Mode::Shadow, ..last(free) })), "shadowed first"),
        (login(Some(LastRules { mode: Mode::Shadow, ..last(held) })), "shadowed again"),
        (login(Some(LastRules { cooldown: Duration::ZERO, ..last(None) })), "required first"),
        (login(Some(LastRules { cap: Some(9), ..last(free) })), "capped"),
        (login(Some(LastRules { cap: Some(9), ..last(held) })), "required again"),
        (login(Some(LastRules { cap: Some(9), ..last(cooling) })), "in_cooldown"),
        (login(short(free, 59)), "event_too_old"),
        (login(short(held, 59)), "required again"),
        (login(short(free, 60)), "required first"),
        (Evidence { decided_at: None, ..login(short(free, 0)) }, "required first"),
        (betting(3, log(), None), "below_frequency"),
        (betting(2, log(), Some(last(free))), "required first"),
        (betting(9, summed(), Some(last(free))), "required first"),
        (betting(10, summed(), None), "below_frequency"),
    ] {
        let decision = evidence.decide().unwrap();
        let standing = match decision {
            Decision::Required { standing, .. } | Decision::Shadowed { standing, .. } => match standing {
                Standing::First => " first",
                Standing::Again => " again",
            },
            _ => "",
        };
        assert_eq!(format!("{}{standing}", decision.name()), want, "{evidence:?}");
    }
}

#[test]
fn evidence_that_holds_less_or_more_than_the_rules_read_is_told() {
    use Contradiction::*;
    let free = Some(ClaimAnswer::Free);
    let since = Some(ClaimAnswer::CoolingDown { since: AT.minus(MINUTE) });
    let old =
        LastRules { max_event_age: Some(Duration::from_secs(1)), retention: Duration::from_secs(59), ..last(free) };
    let window = || betting(2, Some(Bets::Log(Vec::new())), None).window;
    for (evidence, want, field) in [
        (betting(2, None, None), NoWindow, "window"),
        (Evidence { window: window(), ..login(Some(last(free))) }, IdleWindow, "window"),
        (betting(2, Some(Bets::Log(Vec::new())), None), NoBet, "window.log"),
        (login(None), NoLastRules, "claims"),
        (Evidence { setting: None, ..login(Some(last(free))) }, IdleLastRules, "claims"),
        (login(Some(last(None))), NoAnswer, "claims.answer"),
        (login(Some(LastRules { cooldown: Duration::ZERO, ..last(free) })), IdleAnswer, "claims.answer"),
        (login(Some(old)), IdleAnswer, "claims.answer"),
        (login(Some(last(since))), NotInCooldown, "claims.since"),
    ] {
        let contradiction = evidence.decide().unwrap_err();
        assert_eq!((contradiction, contradiction.field()), (want, field), "{evidence:?}");
    }
}

#[test]
fn the_window_is_judged_by_the_rule_made_of_the_bound_and_the_operators_limits() {
    let bets: Vec<Bet> = (0..7).map(|n| bet(AT, n)).collect();
    let evidence = betting(9, Some(Bets::Log(bets)), None);
    let reach = evidence.decide().unwrap().reach();
    // Room is made for nine, although the operator keeps five.
    assert_eq!(reach.map(|reach| (reach.count, reach.needed, reach.within_minutes)), Some((7, 9, 1)));
}

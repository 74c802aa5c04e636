use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::decide::Freshness;
use crate::domain::event::{Activity, Event};
use crate::domain::evidence::asking;
use crate::domain::ids::CustomerId;
use crate::domain::money::{Amount, Usd};
use crate::domain::outcome::RejectCode;
use crate::domain::preferences::{AmountBound, FrequencyBound, Setting};
use crate::domain::time::Timestamp;
use crate::domain::trigger::{ActivityType, Bound};

const MINUTE: Duration = Duration::from_secs(60);

fn usd(text: &str) -> Usd {
    text.parse::<Amount>().unwrap().as_usd()
}

fn event(id: &str, trigger: Trigger, amount: Usd) -> Event {
    let kind = *ActivityType::ALL.iter().find(|kind| kind.tests().contains(&trigger)).unwrap();
    Event {
        id: EventId::new(id).unwrap(),
        tenant: TenantId::new("acme").unwrap(),
        customer: CustomerId::new("player \"7\"").unwrap(),
        activity: match kind {
            ActivityType::Bet => Activity::Bet(amount),
            ActivityType::Deposit => Activity::Deposit(amount),
            ActivityType::Withdrawal => Activity::Withdrawal(amount),
            plain => Activity::Plain(plain),
        },
        occurred_at: Timestamp::parse("2026-03-01T12:00:00.250Z").unwrap(),
        transaction: None,
    }
}

fn source() -> Source {
    Source { topic: "activity".into(), partition: 3, offset: 42 }
}

fn origin(evidence: &Evidence, updated_at: Option<String>) -> Origin {
    Origin {
        software: "0.1.0".to_owned(),
        source: source(),
        event_sha256: Sha256([0xab; 32]),
        preferences: evidence.setting.map(|_| PreferencesVersion { updated_at, sha256: Sha256([0xcd; 32]) }),
    }
}

fn receipt(evidence: Evidence) -> Receipt {
    let decision = evidence.decide().unwrap();
    Receipt::new(origin(&evidence, Some("2026-01-01T00:00:00Z".to_owned())), evidence, decision)
}

fn own_bet(event: &Event) -> Bet {
    Bet { at: event.occurred_at, id: window::bet_id(&event.id), arrival: window::arrival(&source()) }
}

fn betting(bets: usize) -> Evidence {
    let event = event("bet-1", Trigger::HighFrequencyBetting, Usd::ZERO);
    let mut log: Vec<Bet> = (1..bets as u64).map(|id| Bet { at: event.occurred_at, id, arrival: 9 }).collect();
    log.push(own_bet(&event));
    Evidence {
        decided_at: Some(event.occurred_at.plus(MINUTE)),
        event,
        trigger: Trigger::HighFrequencyBetting,
        setting: Some(Setting::Frequency(FrequencyBound { needed: 3, window_minutes: Some(5) })),
        window: Some(WindowEvidence {
            max_lookback: MINUTE * 1_440,
            lateness: MINUTE * 5,
            max_entries: 256,
            bets: Bets::Log(log),
        }),
        last: None,
    }
}

fn depositing() -> Evidence {
    let event = event("d-1", Trigger::Deposit, usd("1234.50"));
    Evidence {
        decided_at: Some(event.occurred_at.plus(MINUTE)),
        event,
        trigger: Trigger::Deposit,
        setting: Some(Setting::Amount(AmountBound { threshold: Some(usd("250")) })),
        window: None,
        last: Some(LastRules {
            mode: Mode::Live,
            max_event_age: Some(MINUTE * 15),
            cooldown: MINUTE,
            retention: MINUTE * 60,
            answer: Some(ClaimAnswer::Free),
            cap: None,
        }),
    }
}

#[test]
fn a_receipt_stands_there_as_the_format_says() {
    let sha = |pair: &str| pair.repeat(32);
    let betting = receipt(betting(2));
    let log = STANDARD.encode(log_bytes(match &betting.evidence.window.as_ref().unwrap().bets {
        Bets::Log(log) => log,
        Bets::Summed { .. } => unreachable!(),
    }));
    let who = r#""software":"0.1.0","tenant_id":"acme","customer_id":"player \"7\"","event":"#;
    let place = format!(r#""topic":"activity","partition":3,"offset":42,"sha256":"{}"}},"#, sha("ab"));
    let known = format!(r#""preferences":{{"updated_at":"2026-01-01T00:00:00Z","sha256":"{}","#, sha("cd"));
    let frequency = format!(r#"{{"version":1,"id":"{}",{who}"high_frequency_betting","#, betting.id.0)
        + r#""cause":{"event_id":"bet-1","type":"bet","occurred_at":"2026-03-01T12:00:00.250Z","#
        + &place
        + &known
        + r#""is_reuse_kyc_enabled":true,"reuse_kyc_triggers":"#
        + r#"{"high_frequency_betting":{"enabled":true,"count":3,"window_minutes":5}}},"#
        + r#""window":{"max_lookback_ms":86400000,"allowed_lateness_ms":300000,"max_entries":256,"#
        + &format!(r#""log":"{log}"}},"decided_at":"2026-03-01T12:01:00.250Z""#);
    let decided = r#""decision":{"name":"below_frequency","needed":3,"event_count":2,"event_window_minutes":5,"timeliness":"in_time"}}"#;
    let deposit = receipt(depositing());
    let command = CommandId::of(&deposit.evidence.event.tenant, Trigger::Deposit, &deposit.evidence.event.id);
    let amount = format!(r#"{{"version":1,"id":"{}",{who}"deposit","#, deposit.id.0)
        + r#""cause":{"event_id":"d-1","type":"deposit","occurred_at":"2026-03-01T12:00:00.250Z","amount":"1234.5","#
        + &place
        + &known
        + r#""is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"deposit":{"enabled":true,"threshold":"250"}}},"#
        + r#""decided_at":"2026-03-01T12:01:00.250Z","max_event_age_ms":900000,"#
        + r#""claims":{"mode":"live","cooldown_ms":60000,"retention_ms":3600000,"answer":"free"}"#;
    let required = r#""decision":{"name":"required","amount":"1234.5","standing":"first","#;
    for (receipt, inputs, decision) in [
        (betting, frequency, decided.to_owned()),
        (deposit, amount, format!(r#"{required}"command_id":"{command}"}}}}"#)),
    ] {
        let want = format!(r#"{inputs},"inputs_sha256":"{}",{decision}"#, Sha256::of(inputs.as_bytes()));
        assert_eq!(String::from_utf8(encode(&receipt)).unwrap(), want);
        assert_eq!(decode(want.as_bytes()), Ok(receipt));
    }
}

#[test]
fn the_id_is_that_of_what_was_decided_and_what_it_was() {
    let id =
        |tenant, trigger, event| ReceiptId::of(&TenantId::new(tenant).unwrap(), trigger, &EventId::new(event).unwrap());
    // Ids stand on topics and in archives. They must never change.
    assert_eq!(id("acme", Trigger::Deposit, "d-1").0.to_string(), "3f0db0d8-9ac5-5155-9868-db26e2cd356d");
    assert_ne!(id("acme", Trigger::Deposit, "d-1"), id("acme", Trigger::Deposit, "d-2"));
    assert_ne!(id("acme", Trigger::Deposit, "d-1"), id("acme", Trigger::Withdrawal, "d-1"));
    assert_ne!(id("acme", Trigger::Deposit, "d-1"), id("b", Trigger::Deposit, "d-1"));
}

#[test]
fn a_broken_receipt_is_refused_by_its_field() {
    let text = |evidence| String::from_utf8(encode(&receipt(evidence))).unwrap();
    let (deposit, bet, ab) = (text(depositing()), text(betting(2)), "ab".repeat(32));
    let short = STANDARD.encode([0; 17]);
    let foreign = STANDARD.encode([0; 18]);
    let log = bet.split(r#""log":""#).nth(1).unwrap().split('"').next().unwrap();
    for (good, from, to, error) in [
        (&deposit, r#""version":1"#, r#""version":2"#, "version is not one that is known here"),
        (&deposit, r#""version":1,"#, "", "version is missing"),
        (&deposit, r#""id":""#, r#""id":"x"#, "id must be a UUID in lower case with hyphens"),
        (&deposit, "0.1.0", "", "software must be 1 to 64 visible characters of ASCII"),
        (&deposit, r#""event":"deposit""#, r#""event":"bet""#, "event must be the name of a trigger"),
        (
            &deposit,
            r#""type":"deposit""#,
            r#""type":"withdrawal""#,
            "cause.type must be a type of activity that tests the trigger",
        ),
        (&deposit, r#""amount":"1234.5","topic""#, r#""topic""#, "cause.amount is missing"),
        (&deposit, &ab, &ab.to_uppercase(), "cause.sha256 must be 64 hexadecimal digits in lower case"),
        (
            &deposit,
            r#"{"deposit":{"enabled""#,
            r#"{"withdrawal":{"enabled""#,
            "preferences.reuse_kyc_triggers must hold deposit, without white space",
        ),
        (
            &deposit,
            r#""threshold":"250""#,
            r#""threshold":250"#,
            "preferences.reuse_kyc_triggers.<trigger>.threshold must be a string of Unicode characters",
        ),
        (&bet, r#""count":3"#, r#""count":0"#, "preferences.reuse_kyc_triggers.<trigger>.count must be at least 1"),
        (&bet, log, "a", "window.log must be Base64 with its padding"),
        (&bet, log, &short, "window.log must hold whole records of 18 bytes"),
        (&bet, log, &foreign, "window.log must end with the event itself"),
        (&bet, &format!(r#","log":"{log}""#), "", "window.bets is missing"),
        (&deposit, r#""answer":"free""#, r#""answer":"taken""#, "claims.answer must be held, free or cooling_down"),
        (&deposit, r#""answer":"free""#, r#""answer":"cooling_down""#, "claims.since is missing"),
        (&deposit, r#""mode":"live""#, r#""mode":"test""#, "claims.mode must be live or shadow"),
        (&deposit, r#""cooldown_ms":60000,"#, "", "claims.cooldown_ms is missing"),
        (&deposit, r#""name":"required""#, r#""name":"refused""#, "decision.name must be the name of a decision"),
        (&deposit, r#""standing":"first""#, r#""standing":"1st""#, "decision.standing must be first or again"),
        (&bet, r#""timeliness":"in_time""#, r#""timeliness":"early""#, "decision.timeliness must be in_time or late"),
        (&deposit, "{", r#"{"id":"","#, "id stands there twice"),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        assert_eq!(decode(bad.as_bytes()).unwrap_err().error, error, "{from} → {to}");
    }
    let large = deposit.clone() + &" ".repeat(MAX_BYTES);
    assert_eq!(decode(large.as_bytes()).unwrap_err().code, RejectCode::TooLarge);
}

#[test]
fn what_says_the_same_in_another_form_is_no_receipt() {
    let good = String::from_utf8(encode(&receipt(depositing()))).unwrap();
    for (from, to) in [
        (r#","software""#, r#", "software""#),
        (r#""tenant_id":"acme","customer_id":"player \"7\"""#, r#""customer_id":"player \"7\"","tenant_id":"acme""#),
        ("acme", r"acm\u0065"),
        ("1234.5", "1234.50"),
        ("12:00:00.250Z", "12:00:00.25Z"),
        ("12:00:00.250Z", "13:00:00.250+01:00"),
        (r#""partition":3"#, r#""partition":3,"note":null"#),
        (r#","claims""#, r#","window":null,"claims""#),
        (r#""decided_at""#, r#""updated":1,"decided_at""#),
    ] {
        assert!(good.contains(from), "{from}");
        let rejection = decode(good.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(
            rejection.error.starts_with("the record is not in its canonical form from byte "),
            "{to}: {rejection:?}"
        );
        assert_eq!(rejection.code, RejectCode::InvalidJson);
    }
    assert!(decode(format!("{good}\n").as_bytes()).is_err());
}

#[test]
fn the_largest_receipt_is_within_its_bound_and_a_greater_window_is_summed() {
    let long = "\u{1}".repeat(128);
    let mut evidence = betting(MAX_BETS);
    evidence.event.id = EventId::new(&long).unwrap();
    evidence.event.tenant = TenantId::new(&"a".repeat(64)).unwrap();
    evidence.event.customer = CustomerId::new(&"\u{10000}".repeat(128)).unwrap();
    let Some(WindowEvidence { bets: Bets::Log(log), .. }) = &mut evidence.window else { unreachable!() };
    log.pop();
    log.push(own_bet(&evidence.event));
    evidence.last = depositing().last;
    let decision = evidence.decide().unwrap();
    let mut origin = origin(&evidence, Some(long));
    origin.software = "9".repeat(64);
    let bytes = encode(&Receipt::new(origin, evidence, decision));
    assert!((50_000..MAX_BYTES).contains(&bytes.len()), "{}", bytes.len());
    assert!(decode(&bytes).is_ok());

    let mut summed = betting(1);
    let reach = Reach { count: 5_000, within_minutes: 5, needed: 3, timeliness: Timeliness::InTime };
    summed.window.as_mut().unwrap().bets = Bets::Summed { number: 5_001, reach };
    summed.last = depositing().last;
    let receipt = receipt(summed);
    let bytes = encode(&receipt);
    assert_eq!(decode(&bytes).as_ref(), Ok(&receipt));
    assert_eq!(receipt.again(), Ok(receipt));
}

#[test]
fn a_version_of_preferences_that_is_no_date_is_left_out() {
    let evidence = depositing();
    let decision = evidence.decide().unwrap();
    let receipt = Receipt::new(origin(&evidence, Some("x".repeat(60_000))), evidence, decision);
    assert_eq!(receipt.preferences.as_ref().unwrap().updated_at, None);
    assert_eq!(decode(&encode(&receipt)), Ok(receipt));
}

fn dollars() -> impl Strategy<Value = Usd> {
    let amounts = || (any::<u64>(), -40..40_i32).prop_map(|(n, e)| format!("{n}e{e}").parse::<Amount>().unwrap());
    (amounts(), amounts()).prop_map(|(amount, rate)| amount.at_rate(rate))
}

fn spans() -> impl Strategy<Value = Duration> {
    (0_u64..10_000_000).prop_map(Duration::from_millis)
}

prop_compose! {
    fn settings()(which in 0..5, threshold in proptest::option::of(dollars()), needed in 1_u32..6, minutes in proptest::option::of(1_u32..20))
        -> (i32, AmountBound, FrequencyBound)
    {
        let threshold = threshold.filter(|threshold| !threshold.is_zero());
        (which, AmountBound { threshold }, FrequencyBound { needed, window_minutes: minutes })
    }
}

fn setting(trigger: Trigger, (which, amount, frequency): (i32, AmountBound, FrequencyBound)) -> Option<Setting> {
    match (which, trigger.bounded_by()) {
        (0, _) => None,
        (1, _) => Some(Setting::FeatureOff),
        (2, _) => Some(Setting::Off),
        (_, Bound::Nothing) => Some(Setting::Plain),
        (_, Bound::Amount) => Some(Setting::Amount(amount)),
        (_, Bound::Frequency) => Some(Setting::Frequency(frequency)),
    }
}

prop_compose! {
    /// Evidence that holds what the rules read and nothing else.
    fn evidences()(
        (id, customer) in ("(?s).{1,128}", "[^\\p{Cc}]{1,128}"),
        trigger in proptest::sample::select(Trigger::ALL),
        amount in dollars(),
        settings in settings(),
        (max_lookback, lateness, max_entries) in (spans(), spans(), 1_usize..8),
        earlier in proptest::collection::vec((0_i64..900_000, any::<u64>(), any::<u32>()), 0..9),
        decided_at in proptest::option::of(0_i64..2_000_000),
        (max_event_age, cooldown, retention) in (proptest::option::of(spans()), spans(), spans()),
        (answer, since, shadow, cap) in (0..3, 0_i64..10_000_000, any::<bool>(), proptest::option::of(1_u32..9)),
    ) -> Evidence {
        let mut event = event(&id, trigger, amount);
        event.customer = CustomerId::new(&customer).unwrap();
        if trigger.bounded_by() == Bound::Frequency {
            event.activity = Activity::Bet(Usd::ZERO);
        }
        let at = event.occurred_at;
        let setting = setting(trigger, settings);
        let mut log: Vec<Bet> =
            earlier.into_iter().map(|(ago, id, arrival)| Bet { at: Timestamp(at.0 - ago), id, arrival }).collect();
        log.push(own_bet(&event));
        let window = matches!(setting, Some(Setting::Frequency(_)))
            .then_some(WindowEvidence { max_lookback, lateness, max_entries, bets: Bets::Log(log) });
        let decided_at = decided_at.map(|after| Timestamp(at.0 + after));
        let mut evidence = Evidence { event, trigger, setting, window, decided_at, last: None };
        if evidence.decide() == Err(Contradiction::NoLastRules) {
            let now = evidence.decided_at;
            let freshness = now.map_or(Freshness::Fresh, |now| Freshness::of(&evidence.event, now, max_event_age));
            let since = Timestamp(at.0 + 1 + since).minus(cooldown);
            let answer = match answer {
                0 => ClaimAnswer::Held,
                1 => ClaimAnswer::Free,
                _ => ClaimAnswer::CoolingDown { since },
            };
            let mode = if shadow { Mode::Shadow } else { Mode::Live };
            let answer = asking(freshness, cooldown, retention).map(|_| answer);
            evidence.last = Some(LastRules { mode, max_event_age, cooldown, retention, answer, cap });
        }
        evidence
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_and_is_decided_again_to_the_same_bytes(
        evidence in evidences(),
        updated_at in proptest::option::of("(?s).{0,32}"),
    ) {
        let decision = evidence.decide().map_err(|error| TestCaseError::fail(error.to_string()))?;
        let receipt = Receipt::new(origin(&evidence, updated_at), evidence, decision);
        let bytes = encode(&receipt);
        prop_assert!(bytes.len() <= MAX_BYTES);
        let read = decode(&bytes);
        prop_assert_eq!(read.as_ref(), Ok(&receipt));
        let again = receipt.again().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(encode(&again), bytes);
    }

    #[test]
    fn a_byte_changed_anywhere_is_noticed(evidence in evidences(), place: proptest::sample::Index, byte: u8) {
        let receipt = receipt(evidence);
        let good = encode(&receipt);
        let mut bad = good.clone();
        bad[place.index(good.len())] = byte;
        if bad != good && let Ok(read) = decode(&bad) {
            prop_assert_ne!(read.again().map(|again| encode(&again)), Ok(bad));
        }
    }
}

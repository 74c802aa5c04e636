use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::circuit;
use crate::domain::control::{self, Reason, State, Target};
use crate::domain::decide::{Facts, Standing};
use crate::domain::money::Usd;
use crate::domain::outcome::Session;
use crate::domain::time::Timestamp;
use crate::domain::trigger::ActivityType;
use crate::domain::window::{Reach, Timeliness};

const SECOND: Duration = Duration::from_secs(1);

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn usd(text: &str) -> Usd {
    text.parse::<crate::domain::money::Amount>().unwrap().as_usd()
}

fn every_decision() -> Vec<Decision> {
    let (facts, at) = (Facts::Plain, Timestamp(0));
    vec![
        Decision::TenantUnknown,
        Decision::FeatureDisabled,
        Decision::TriggerDisabled,
        Decision::BelowThreshold { amount: usd("1"), threshold: usd("2") },
        Decision::BelowFrequency(Reach { count: 1, within_minutes: 1, needed: 2, timeliness: Timeliness::InTime }),
        Decision::EventTooOld { facts, age: SECOND, limit: SECOND },
        Decision::InCooldown { facts, since: at, until: at },
        Decision::Required { facts, standing: Standing::First },
        Decision::Shadowed { facts, standing: Standing::First },
        Decision::Capped { facts, limit: 1 },
    ]
}

fn every_ending() -> Vec<Ending> {
    let reason = String::new;
    vec![
        Ending::SessionCreated(Session { token: reason(), token_expires_at: Timestamp(0), links: Vec::new() }),
        Ending::NotRequired { reason: reason() },
        Ending::AlreadyExists,
        Ending::Rejected { http_status: 400, reason: reason() },
        Ending::Expired { http_status: None, reason: reason() },
    ]
}

fn control(name: Option<&str>, trigger: Option<Trigger>) -> Control {
    Control {
        kind: control::Kind::Pause,
        target: Target { tenant: name.map(tenant), trigger },
        state: State::On,
        at: Timestamp(0),
        reason: Reason::default(),
    }
}

/// Everything that one tenant can leave behind.
fn touch_tenant(metrics: &Metrics, tenant: &TenantId) {
    for result in EventResult::ALL {
        for activity in ActivityType::ALL.iter().map(|activity| Some(*activity)).chain([None]) {
            metrics.events(Some(tenant), activity, *result, 1);
        }
    }
    for trigger in Trigger::ALL {
        for decision in every_decision() {
            metrics.of(Some(tenant)).decisions(*trigger, decision.called(), 1);
            metrics.shadow_decision(tenant, *trigger, decision.called());
            metrics.candidate_decision(tenant, *trigger, decision.called());
        }
        for change in CandidateChange::ALL {
            metrics.candidate_change(tenant, *trigger, *change);
        }
        for ending in every_ending() {
            metrics.outcome(tenant, *trigger, &ending);
        }
        metrics.commands(tenant, *trigger, 1);
        metrics.contradiction(tenant, *trigger);
        metrics.breaker_tripped(tenant, *trigger);
    }
    metrics.tenant_paused(tenant);
}

fn touch_the_rest(metrics: &Metrics) {
    let shadow = Control { kind: control::Kind::Shadow, ..control(None, Some(Trigger::Login)) };
    metrics.set_controls([control(None, None), shadow].iter());
    for decision in every_decision() {
        metrics.receipt(decision.called());
    }
    for role in Role::ALL {
        metrics.start_role(*role);
        metrics.set_lag(*role, "activity", 0, 7);
    }
    metrics.set_session_breaker(circuit::Standing::Open);
    metrics.set_floods([("activity", 3)].into_iter());
}

/// The samples of a family, its own name of each and its labels without `le`.
fn samples(text: &str) -> Vec<(String, BTreeSet<String>, f64)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
            let labels = labels.filter(|label| !label.starts_with("le=")).map(str::to_owned).collect();
            (name.to_owned(), labels, value.parse().unwrap())
        })
        .collect()
}

/// The value of the one series of this name with these labels, if there is one.
fn value(metrics: &Metrics, name: &str, labels: &[&str]) -> Option<f64> {
    let labels: BTreeSet<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    samples(&metrics.render()).into_iter().find(|sample| sample.0 == name && sample.1 == labels).map(|sample| sample.2)
}

#[test]
fn what_is_rendered_is_what_the_catalogue_says() {
    let metrics = Metrics::new(16).unwrap();
    touch_tenant(&metrics, &tenant("acme"));
    touch_the_rest(&metrics);
    let text = metrics.render();
    let heads = |mark: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(mark)?.split_once(' '));
        lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let (help, kinds) = (heads("# HELP "), heads("# TYPE "));
    for entry in catalogue() {
        assert!(entry.name.starts_with("stepup_"), "{}", entry.name);
        assert_eq!(entry.name.ends_with("_total"), entry.kind == Kind::Counter, "{}", entry.name);
        assert_eq!(help.get(entry.name).map(String::as_str), Some(entry.help), "{}", entry.name);
        assert_eq!(kinds.get(entry.name).map(String::as_str), Some(entry.kind.name()), "{}", entry.name);
    }
    let known: BTreeMap<&str, &Entry> = catalogue().iter().map(|entry| (entry.name, entry)).collect();
    assert_eq!(known.len(), catalogue().len(), "a name stands twice");
    for (name, labels, _) in samples(&text).iter().filter(|sample| !sample.0.starts_with("process_")) {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| known.get(name.strip_suffix(end)?));
        let entry = known.get(name.as_str()).or(family).unwrap_or_else(|| panic!("{name} is not declared"));
        let names: BTreeSet<&str> = labels.iter().filter_map(|label| Some(label.split_once('=')?.0)).collect();
        assert_eq!(names, entry.labels.iter().copied().collect(), "{name}");
    }
    assert!(text.contains("\nprocess_resident_memory_bytes "), "the process is not measured");
}

/// The registry hashes label values joined together, so two combinations could share a series.
#[test]
fn every_combination_of_labels_has_a_series_of_its_own() {
    let metrics = Metrics::new(16).unwrap();
    for name in ["a", "a-", "bet", "unknown"] {
        touch_tenant(&metrics, &tenant(name));
    }
    touch_the_rest(&metrics);
    let mut distinct = BTreeSet::new();
    let of_tenants: Vec<_> = samples(&metrics.render())
        .into_iter()
        .filter(|(_, labels, _)| labels.iter().any(|label| label.starts_with("tenant=")))
        .inspect(|(name, labels, value)| {
            assert_eq!(*value, 1.0, "{name} {labels:?}");
            assert!(distinct.insert((name.clone(), labels.clone())), "{name} {labels:?} stands twice");
        })
        .collect();
    let of_any = 3;
    assert_eq!(of_tenants.len(), 4 * (13 * 3 + 3 * 13 * 10 + 13 * 2 + 13 * 5 + 13 + 13 + 13 + 1) + of_any);
    for (topic, partition) in [("bets-1", 11), ("bets-11", 1)] {
        metrics.set_lag(Role::Evaluate, topic, partition, partition as u64);
    }
    for (topic, partition) in [("bets-1", 11), ("bets-11", 1)] {
        let labels = ["role=\"evaluate\"", &format!("topic=\"{topic}\""), &format!("partition=\"{partition}\"")];
        assert_eq!(value(&metrics, "stepup_consumer_lag", &labels), Some(f64::from(partition)));
    }
}

#[test]
fn a_hundred_thousand_tenants_leave_fewer_than_ten_thousand_series() {
    let metrics = Metrics::new(16).unwrap();
    touch_the_rest(&metrics);
    for partition in 0..64 {
        metrics.set_lag(Role::Evaluate, "activity", partition, 1);
    }
    metrics.events(None, None, EventResult::Rejected, 1);
    for number in 0..100_000 {
        let tenant = tenant(&format!("tenant-{number}"));
        for activity in ActivityType::ALL {
            metrics.events(Some(&tenant), Some(*activity), EventResult::Decided, 1);
        }
        if number < 20 {
            touch_tenant(&metrics, &tenant);
        }
    }
    let samples = samples(&metrics.render());
    assert!(samples.len() < 10_000, "{} series", samples.len());
    let events: f64 = samples.iter().filter(|sample| sample.0 == "stepup_events_total").map(|sample| sample.2).sum();
    assert_eq!(events, 1.0 + 100_000.0 * 12.0 + 20.0 * 39.0);
}

#[test]
fn a_role_is_held_until_the_last_holder_lets_go() {
    let metrics = Metrics::new(1).unwrap();
    let held = || value(&metrics, "stepup_held", &["role=\"dispatch\"", "reason=\"outcomes\""]);
    assert_eq!(held(), None);
    metrics.start_role(Role::Dispatch);
    assert_eq!(held(), Some(0.0));
    let first = metrics.hold(Role::Dispatch, HeldReason::Outcomes);
    let second = metrics.hold(Role::Dispatch, HeldReason::Outcomes);
    drop(first);
    assert_eq!(held(), Some(1.0));
    drop(second);
    assert_eq!(held(), Some(0.0));
}

type Call = fn(&Metrics);

/// A call, and the one series that it moves: name, labels, value.
const CALLS: &[(Call, &str, &[&str], f64)] = &[
    (|m| m.late_bets(3), "stepup_late_bets_total", &[], 3.0),
    (|m| m.candidate_skipped(2), "stepup_candidate_skipped_total", &[], 2.0),
    (|m| m.folded_command(), "stepup_folded_commands_total", &[], 1.0),
    (|m| m.parked(), "stepup_parked_total", &[], 1.0),
    (|m| m.trace_spans_dropped(3), "stepup_trace_spans_dropped_total", &[], 3.0),
    (|m| m.lost_answer(), "stepup_lost_answers_total", &[], 1.0),
    (|m| m.orphan_session(), "stepup_orphan_sessions_total", &[], 1.0),
    (|m| m.set_paused_tenants(2), "stepup_paused_tenants", &[], 2.0),
    (|m| m.set_preferences_cached(5), "stepup_preferences_cached", &[], 5.0),
    (|m| m.set_preferences_oldest_age(SECOND / 2), "stepup_preferences_oldest_age_seconds", &[], 0.5),
    (|m| m.dead_letters(RejectCode::TooLarge, 2), "stepup_dead_letters_total", &["code=\"too_large\""], 2.0),
    (|m| m.dead_letters(RejectCode::Expired, 1), "stepup_dead_letters_total", &["code=\"expired\""], 1.0),
    (|m| m.retried(RetryReason::LostAnswer), "stepup_retries_total", &["reason=\"lost_answer\""], 1.0),
    (|m| m.preferences_lookups(LookupResult::Stale, 4), "stepup_preferences_lookups_total", &["result=\"stale\""], 4.0),
    (|m| m.set_inflight(Role::Dispatch, 9), "stepup_inflight", &["role=\"dispatch\""], 9.0),
    (|m| m.set_assigned_partitions(Role::Evaluate, 3), "stepup_assigned_partitions", &["role=\"evaluate\""], 3.0),
    (
        |m| m.rebalanced(Role::Evaluate, RebalanceKind::Lost),
        "stepup_rebalances_total",
        &["role=\"evaluate\"", "kind=\"lost\""],
        1.0,
    ),
    (|m| m.refilled(Role::Evaluate), "stepup_refills_total", &["role=\"evaluate\""], 1.0),
    (|m| m.refilled_records(Role::Evaluate, 7), "stepup_refilled_records_total", &["role=\"evaluate\""], 7.0),
    (
        |m| m.committed(Role::Dispatch, CommitResult::Failed),
        "stepup_commits_total",
        &["role=\"dispatch\"", "result=\"failed\""],
        1.0,
    ),
    (
        |m| m.events(Some(&tenant("a")), None, EventResult::UnknownType, 6),
        "stepup_events_total",
        &["tenant=\"a\"", "type=\"unknown\"", "result=\"skipped\""],
        6.0,
    ),
    (
        |m| m.events(None, None, EventResult::Rejected, 1),
        "stepup_events_total",
        &["tenant=\"unknown\"", "type=\"unknown\"", "result=\"rejected\""],
        1.0,
    ),
    (
        |m| m.outcome(&tenant("a"), Trigger::Deposit, &Ending::AlreadyExists),
        "stepup_outcomes_total",
        &["tenant=\"a\"", "trigger=\"deposit\"", "status=\"already_exists\""],
        1.0,
    ),
    (
        |m| m.set_lag(Role::Dispatch, "commands", 4, 12),
        "stepup_consumer_lag",
        &["role=\"dispatch\"", "topic=\"commands\"", "partition=\"4\""],
        12.0,
    ),
];

#[test]
fn every_call_moves_its_own_series_and_no_other() {
    for (call, name, labels, want) in CALLS {
        let metrics = Metrics::new(4).unwrap();
        let before = samples(&metrics.render());
        call(&metrics);
        let after = samples(&metrics.render());
        let moved: Vec<_> =
            after.into_iter().filter(|sample| !sample.0.starts_with("process_") && !before.contains(sample)).collect();
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(moved, [((*name).to_owned(), labels, *want)]);
    }
}

#[test]
fn controls_are_shown_while_they_are_on_and_their_tenants_are_bounded() {
    let metrics = Metrics::new(1).unwrap();
    let shown = || samples(&metrics.render()).into_iter().filter(|sample| sample.0 == "stepup_controls");
    let labels = |tenant: &str, trigger: &str| -> BTreeSet<String> {
        let (tenant, trigger) = (format!("tenant=\"{tenant}\""), format!("trigger=\"{trigger}\""));
        ["kind=\"pause\"".to_owned(), tenant, trigger].into()
    };
    for (on, want) in [
        (vec![(Some("a"), Some(Trigger::Login)), (None, None)], vec![labels("a", "login"), labels("any", "any")]),
        (vec![(None, None), (Some("b"), None), (Some("c"), None)], vec![labels("any", "any"), labels("other", "any")]),
        (vec![], vec![]),
    ] {
        let on: Vec<Control> = on.into_iter().map(|(tenant, trigger)| control(tenant, trigger)).collect();
        metrics.set_controls(on.iter());
        let found: BTreeSet<_> = shown().map(|(_, labels, value)| (labels, value.to_string())).collect();
        assert_eq!(found, want.into_iter().map(|labels| (labels, "1".to_owned())).collect());
    }
}

#[test]
fn a_breaker_is_open_until_its_shadow_is_kept_or_ended() {
    let metrics = Metrics::new(1).unwrap();
    let labels = ["tenant=\"a\"", "trigger=\"login\""];
    for (state, open) in [(State::On, Some(1.0)), (State::Kept, None), (State::On, Some(1.0))] {
        let shadow = Control { kind: control::Kind::Shadow, state, ..control(Some("a"), Some(Trigger::Login)) };
        metrics.set_controls([shadow, control(Some("a"), Some(Trigger::Login))].iter());
        assert_eq!(value(&metrics, "stepup_breaker_open", &labels), open, "{state:?}");
        assert_eq!(value(&metrics, "stepup_controls", &[labels[0], labels[1], "kind=\"shadow\""]), Some(1.0));
    }
    metrics.set_controls([].iter());
    assert_eq!(value(&metrics, "stepup_breaker_open", &labels), None);
}

#[test]
fn the_breaker_of_the_session_api_stands_in_one_state() {
    use circuit::Standing;
    let metrics = Metrics::new(1).unwrap();
    for now in [Standing::Closed, Standing::Open, Standing::HalfOpen, Standing::Open, Standing::Recovering] {
        metrics.set_session_breaker(now);
        for standing in Standing::ALL {
            let state = format!("state=\"{}\"", standing.name());
            let want = Some(f64::from(u8::from(standing == now)));
            assert_eq!(value(&metrics, "stepup_session_api_breaker", &[&state]), want, "{now:?}");
        }
    }
    assert_eq!(value(&metrics, "stepup_session_api_breaker_opened_total", &[]), Some(2.0));
}

#[test]
fn a_call_of_a_service_is_timed_and_classed() {
    for (status, class) in [
        (Some(200), "2xx"),
        (Some(302), "3xx"),
        (Some(429), "4xx"),
        (Some(503), "5xx"),
        (Some(101), "transport"),
        (Some(999), "transport"),
        (None, "transport"),
    ] {
        let metrics = Metrics::new(1).unwrap();
        metrics.http_call(HttpTarget::Preferences, status, SECOND * 2);
        let class = format!("class=\"{class}\"");
        let responses = value(&metrics, "stepup_http_responses_total", &["target=\"preferences\"", &class]);
        assert_eq!(responses, Some(1.0), "{status:?}");
        assert_eq!(value(&metrics, "stepup_http_seconds_sum", &["target=\"preferences\""]), Some(2.0));
        assert_eq!(value(&metrics, "stepup_http_seconds_sum", &["target=\"session\""]), Some(0.0));
    }
    let metrics = Metrics::new(1).unwrap();
    metrics.redis_call(RedisOperation::Settle, SECOND);
    metrics.command_latency(SECOND * 3);
    metrics.session_latency(SECOND * 4);
    assert_eq!(value(&metrics, "stepup_redis_seconds_sum", &["operation=\"settle\""]), Some(1.0));
    assert_eq!(value(&metrics, "stepup_command_latency_seconds_sum", &[]), Some(3.0));
    assert_eq!(value(&metrics, "stepup_session_latency_seconds_sum", &[]), Some(4.0));
}

#[test]
fn the_help_of_a_metric_lists_every_operation_of_redis() {
    let entry = catalogue().iter().find(|entry| entry.name == "stepup_redis_seconds").unwrap();
    let listed: Vec<&str> = entry.help.split([' ', ',', '.']).collect();
    for operation in RedisOperation::ALL {
        assert!(listed.contains(&operation.name()), "{operation}");
    }
}

#[test]
fn a_forgotten_partition_is_gone_and_its_neighbour_stays() {
    let metrics = Metrics::new(1).unwrap();
    metrics.set_lag(Role::Evaluate, "activity", 0, 5);
    metrics.set_lag(Role::Evaluate, "activity", 1, 6);
    metrics.forget_partition(Role::Evaluate, "activity", 0);
    metrics.forget_partition(Role::Evaluate, "activity", 9);
    let lag = |partition: i32| {
        let partition = format!("partition=\"{partition}\"");
        value(&metrics, "stepup_consumer_lag", &["role=\"evaluate\"", "topic=\"activity\"", &partition])
    };
    assert_eq!((lag(0), lag(1)), (None, Some(6.0)));
}

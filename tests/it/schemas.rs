//! The schemas, their examples and the code say the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;
use stepup::domain::command::{Cause, Command, Reference};
use stepup::domain::decide::{Decision, Facts, Standing};
use stepup::domain::event::{Activity, Event};
use stepup::domain::ids::{CommandId, CustomerId, EventId, Source, TenantId};
use stepup::domain::money::{Amount, Rates, Usd};
use stepup::domain::outcome::{Ending, Outcome, RejectCode, Rejection, Session};
use stepup::domain::time::Timestamp;
use stepup::domain::trigger::{ActivityType, Trigger};
use stepup::domain::window::{Reach, Timeliness};
use stepup::roles::schema;
use stepup::wire;

const WITH_EXAMPLES: [&str; 7] = [
    "activity-event",
    "verification-command",
    "verification-outcome",
    "dead-letter",
    "preferences",
    "decision",
    "decision-receipt",
];

fn schema_of(name: &str) -> Value {
    let mut text = Vec::new();
    schema::print(Some(name), &mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn validator_of(name: &str) -> Validator {
    jsonschema::draft202012::new(&schema_of(name)).unwrap()
}

/// Whether the code takes the document, and if not under which code it refuses it; `None` is a format that it only
/// writes.
fn judged_by_code(name: &str, document: &[u8]) -> Option<Result<(), Option<RejectCode>>> {
    let code = |rejection: Rejection| Some(rejection.code);
    match name {
        "activity-event" => Some(match wire::event::decode(Some(document), &Rates::default()) {
            wire::event::Decoded::Event(_) | wire::event::Decoded::UnknownType { .. } => Ok(()),
            wire::event::Decoded::Rejected { rejection, .. } => Err(code(rejection)),
        }),
        "verification-command" => Some(wire::command::decode(document).map(drop).map_err(code)),
        "verification-outcome" => Some(wire::outcome::decode(document).map(drop).map_err(code)),
        "dead-letter" => {
            let parts: Value = serde_json::from_slice(document).unwrap();
            let headers = parts["headers"].as_object().unwrap();
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap().as_bytes()));
            Some(wire::dead_letter::decode(headers).map(drop).map_err(code))
        }
        "decision-receipt" => Some(wire::receipt::decode(document.trim_ascii_end()).map(drop).map_err(code)),
        "preferences" => Some(wire::preferences::decode(document).map(drop).map_err(|_| None)),
        _ => None,
    }
}

/// The example files of a folder, none of its subfolders', with their contents.
fn examples(name: &str, folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples").join(name).join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn every_good_example_is_taken_by_schema_and_code() {
    for name in WITH_EXAMPLES {
        let (validator, files) = (validator_of(name), examples(name, "good"));
        assert!(files.len() >= 3, "{name}");
        for (path, bytes) in files {
            let document = serde_json::from_slice(&bytes).unwrap();
            let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
            if let Some(judgment) = judged_by_code(name, &bytes) {
                assert_eq!(judgment, Ok(()), "{}", path.display());
            }
        }
    }
}

#[test]
fn every_bad_example_is_refused_by_schema_and_code() {
    for name in WITH_EXAMPLES {
        let (validator, files) = (validator_of(name), examples(name, "bad"));
        assert!(files.len() >= 5, "{name}");
        for (path, bytes) in files {
            let valid = serde_json::from_slice(&bytes).is_ok_and(|document: Value| validator.is_valid(&document));
            assert!(!valid, "{} is valid", path.display());
            assert_refused_by_code(name, &path, &bytes);
        }
    }
}

#[test]
fn what_a_schema_cannot_say_is_refused_by_the_code_alone() {
    for name in WITH_EXAMPLES {
        let (validator, files) = (validator_of(name), examples(name, "bad/beyond-schema"));
        assert_eq!(files.is_empty(), name == "decision", "{name}");
        for (path, bytes) in files {
            let document: Value = serde_json::from_slice(&bytes).unwrap();
            assert!(validator.is_valid(&document), "{} is not beyond its schema", path.display());
            assert_refused_by_code(name, &path, &bytes);
        }
    }
}

/// A bad example's file is named `<code>.<what is wrong>.json` where the format's refusals have codes.
fn assert_refused_by_code(name: &str, path: &Path, bytes: &[u8]) {
    let Some(judgment) = judged_by_code(name, bytes) else { return };
    let code = judgment.expect_err(&path.display().to_string());
    if let Some(code) = code {
        let file = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(file.split('.').next(), Some(code.name()), "{}", path.display());
    }
}

#[test]
fn every_schema_is_a_schema_and_its_own_examples_keep_to_it() {
    for (name, _) in schema::list().iter().filter(|(name, _)| *name != "session-api.v1") {
        let schema = schema_of(name);
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        for example in schema["examples"].as_array().unwrap() {
            jsonschema::validate(&schema, example).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn the_files_of_the_folder_are_the_schemas_of_the_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let files: BTreeSet<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "examples")
        .collect();
    assert_eq!(files, schema::list().iter().map(|(name, _)| format!("{name}.json")).collect());
    for (name, _) in schema::list() {
        let file: Value = serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
        assert_eq!(file, schema_of(name));
    }
}

#[test]
fn the_session_api_s_examples_keep_to_its_schemas() {
    let api = schema_of("session-api");
    let post = &api["paths"]["/api/v1/kyc/face/session"]["post"];
    for (content, component) in [(&post["requestBody"], "CreateSession"), (&post["responses"]["200"], "Session")] {
        let content = &content["content"]["application/json"];
        assert_eq!(content["schema"]["$ref"], format!("#/components/schemas/{component}"));
        let schema = &api["components"]["schemas"][component];
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{component}: {error}"));
        let examples = content["examples"].as_object().unwrap();
        assert!(examples.len() >= 2);
        for (name, example) in examples {
            jsonschema::validate(schema, &example["value"]).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    let request = &api["components"]["schemas"]["CreateSession"];
    for bad in [
        serde_json::json!({"reference": "r", "customer_id": "c", "event": ""}),
        serde_json::json!({"reference": "r", "customer_id": "c", "event": "deposit"}),
        serde_json::json!({"reference": "r", "customer_id": "c", "event": "high_frequency_betting", "event_count": 1}),
        serde_json::json!({"reference": "r", "customer_id": "c", "event": "login", "token": "t"}),
    ] {
        assert!(!jsonschema::is_valid(request, &bad), "{bad}");
    }
}

#[test]
fn closed_lists_are_the_same_in_schemas_and_code() {
    let triggers: Vec<_> = Trigger::ALL.iter().map(|trigger| trigger.name()).collect();
    let activities: Vec<_> = ActivityType::ALL.iter().map(|activity| activity.name()).collect();
    let codes: Vec<_> = RejectCode::ALL.iter().map(|code| code.name()).collect();
    // A back-test has no commands, and its store is never away.
    let only_live = [RejectCode::StoreUnavailable, RejectCode::Rejected, RejectCode::Expired].map(RejectCode::name);
    let of_events: Vec<_> = codes.iter().copied().filter(|code| !only_live.contains(code)).collect();
    let stages: Vec<_> = wire::dead_letter::Stage::ALL.iter().map(|stage| stage.name()).collect();
    for (schema, pointer, want) in [
        ("activity-event", "/$defs/activity/enum", &activities[..]),
        ("verification-command", "/$defs/activity/enum", &activities),
        ("verification-command", "/$defs/trigger/enum", &triggers),
        ("verification-outcome", "/$defs/trigger/enum", &triggers),
        ("verification-outcome", "/properties/status/enum", &Ending::STATUSES),
        ("dead-letter", "/properties/headers/properties/error-code/enum", &codes),
        ("dead-letter", "/properties/headers/properties/stage/enum", &stages),
        ("dead-letter", "/properties/headers/required", &wire::dead_letter::HEADERS),
        ("decision", "/$defs/trigger/enum", &triggers),
        ("decision-receipt", "/$defs/trigger/enum", &triggers),
        ("decision-receipt", "/$defs/activity/enum", &activities),
        ("decision-receipt", "/properties/decision/properties/name/enum", &Decision::NAMES),
        ("decision", "/oneOf/0/properties/decision/enum", &Decision::NAMES),
        ("decision", "/oneOf/1/properties/code/enum", &of_events),
        ("session-api", "/components/schemas/CreateSession/properties/event/enum", &triggers),
    ] {
        assert_eq!(sorted(strings(&schema_of(schema), pointer)), sorted(want.to_vec()), "{schema} {pointer}");
    }
    let preferences = schema_of("preferences");
    let named = preferences["properties"]["reuse_kyc_triggers"]["properties"].as_object().unwrap();
    assert_eq!(sorted(named.keys().map(String::as_str).collect()), sorted(triggers));
}

fn strings<'a>(schema: &'a Value, pointer: &str) -> Vec<&'a str> {
    schema.pointer(pointer).unwrap().as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

prop_compose! {
    fn timestamps()(millis in -62_167_219_200_000_i64..253_402_300_800_000) -> Timestamp { Timestamp(millis) }
}

fn tenants() -> impl Strategy<Value = TenantId> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,63}".prop_map(|text| TenantId::new(&text).unwrap())
}

fn customers() -> impl Strategy<Value = CustomerId> {
    "[^\\p{Cc}]{1,128}".prop_map(|text| CustomerId::new(&text).unwrap())
}

fn event_ids() -> impl Strategy<Value = EventId> {
    "(?s).{1,128}".prop_map(|text| EventId::new(&text).unwrap())
}

fn triggers() -> impl Strategy<Value = Trigger> {
    proptest::sample::select(Trigger::ALL)
}

fn dollars() -> impl Strategy<Value = Usd> {
    let amounts = || (any::<u64>(), -40..40_i32).prop_map(|(n, e)| format!("{n}e{e}").parse::<Amount>().unwrap());
    (amounts(), amounts()).prop_map(|(amount, rate)| amount.at_rate(rate))
}

fn reaches() -> impl Strategy<Value = Reach> {
    (any::<u32>(), any::<u32>()).prop_map(|(count, within_minutes)| Reach {
        count,
        within_minutes,
        needed: count,
        timeliness: Timeliness::InTime,
    })
}

/// The facts that a trigger of this kind has.
fn facts(trigger: Trigger, amount: Usd, reach: Reach) -> Facts {
    match trigger.name() {
        "deposit" | "withdrawal" | "large_bet_placement" => Facts::Amount(amount),
        "high_frequency_betting" => Facts::Frequency(reach),
        _ => Facts::Plain,
    }
}

prop_compose! {
    fn commands()(
        (tenant, customer, event, trigger) in (tenants(), customers(), event_ids(), triggers()),
        (amount, reach) in (dollars(), reaches()),
        transaction in proptest::option::of("(?s).{1,128}"),
        kind in proptest::sample::select(ActivityType::ALL),
        (topic, partition, offset) in ("[a-zA-Z0-9._-]{1,249}", 0..i32::MAX, 0..i64::MAX),
        updated_at in proptest::option::of(timestamps()),
        redrive_of in proptest::option::of(any::<u128>()),
        (occurred_at, issued_at, expires_at) in (timestamps(), timestamps(), timestamps()),
    ) -> Command {
        Command {
            id: CommandId::of(&tenant, trigger, &event),
            tenant,
            customer,
            trigger,
            reference: transaction.map_or(Reference::CommandId, Reference::Transaction),
            facts: facts(trigger, amount, reach),
            cause: Cause { event, kind, occurred_at, source: Source { topic: topic.into(), partition, offset } },
            preferences_updated_at: updated_at.map(|at| at.to_string()),
            redrive_of: redrive_of.map(|id| CommandId(uuid::Uuid::from_u128(id))),
            issued_at,
            expires_at,
        }
    }
}

fn endings() -> impl Strategy<Value = Ending> {
    let links = proptest::collection::btree_map("(?s).{0,20}", "(?s).{0,40}", 0..4);
    prop_oneof![
        ("(?s).{0,80}", timestamps(), links).prop_map(|(token, token_expires_at, links)| {
            Ending::SessionCreated(Session { token, token_expires_at, links: links.into_iter().collect() })
        }),
        "(?s).{0,80}".prop_map(|reason| Ending::NotRequired { reason }),
        Just(Ending::AlreadyExists),
        (any::<u16>(), "(?s).{0,80}").prop_map(|(http_status, reason)| Ending::Rejected { http_status, reason }),
        (any::<Option<u16>>(), "(?s).{0,80}").prop_map(|(http_status, reason)| Ending::Expired { http_status, reason }),
    ]
}

prop_compose! {
    fn outcomes()(
        command in commands(), ending in endings(), attempts: u32, number in 1_u32..4, completed_at in timestamps(),
    ) -> Outcome {
        Outcome::new(&command, command.numbered_reference(number), ending, attempts, completed_at)
    }
}

fn decisions() -> impl Strategy<Value = Decision> {
    let facts = || (triggers(), dollars(), reaches()).prop_map(|(trigger, usd, reach)| facts(trigger, usd, reach));
    let span = std::time::Duration::from_secs(1);
    prop_oneof![
        Just(Decision::TenantUnknown),
        Just(Decision::FeatureDisabled),
        Just(Decision::TriggerDisabled),
        (dollars(), dollars()).prop_map(|(amount, threshold)| Decision::BelowThreshold { amount, threshold }),
        reaches().prop_map(Decision::BelowFrequency),
        facts().prop_map(move |facts| Decision::EventTooOld { facts, age: span, limit: span }),
        facts().prop_map(|facts| Decision::InCooldown { facts, since: Timestamp(0), until: Timestamp(1) }),
        facts().prop_map(|facts| Decision::Required { facts, standing: Standing::First }),
        facts().prop_map(|facts| Decision::Shadowed { facts, standing: Standing::First }),
        (facts(), 1..=u32::MAX).prop_map(|(facts, limit)| Decision::Capped { facts, limit }),
    ]
}

fn check(validator: &Validator, bytes: &[u8]) -> Result<Value, TestCaseError> {
    let document: Value = serde_json::from_slice(bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
    validator.validate(&document).map_err(|error| TestCaseError::fail(format!("{error} in {document}")))?;
    Ok(document)
}

/// Runs a property against a validator that is built once.
fn for_all<S: Strategy>(name: &str, strategy: S, property: impl Fn(&Validator, S::Value) -> Result<(), TestCaseError>) {
    let validator = validator_of(name);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(128));
    runner.run(&strategy, |value| property(&validator, value)).unwrap();
}

#[test]
fn a_command_that_is_written_keeps_to_the_schema_and_reads_back() {
    for_all("verification-command", commands(), |validator, command| {
        let bytes = wire::command::encode(&command);
        prop_assert!(bytes.len() <= wire::command::MAX_BYTES);
        check(validator, &bytes)?;
        prop_assert_eq!(wire::command::decode(&bytes), Ok(command));
        Ok(())
    });
}

#[test]
fn an_outcome_that_is_written_keeps_to_the_schema_and_reads_back() {
    for_all("verification-outcome", outcomes(), |validator, outcome| {
        let bytes = wire::outcome::encode(&outcome);
        check(validator, &bytes)?;
        prop_assert_eq!(wire::outcome::decode(&bytes), Ok(outcome));
        Ok(())
    });
}

#[test]
fn a_decision_that_is_written_keeps_to_the_schema_and_says_what_was_decided() {
    let events = (event_ids(), tenants(), customers()).prop_map(|(id, tenant, customer)| Event {
        id,
        tenant,
        customer,
        activity: Activity::Bet(Usd::ZERO),
        occurred_at: Timestamp(0),
        transaction: None,
    });
    for_all("decision", (events, triggers(), decisions()), |validator, (event, trigger, decision)| {
        let mut out = Vec::new();
        wire::decision::write(&mut out, &event, trigger, &decision);
        prop_assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        let line = check(validator, &out)?;
        prop_assert_eq!(line["event_id"].as_str(), Some(event.id.as_str()));
        prop_assert_eq!(line["tenant_id"].as_str(), Some(event.tenant.as_str()));
        prop_assert_eq!(line["customer_id"].as_str(), Some(event.customer.as_str()));
        prop_assert_eq!(line["event"].as_str(), Some(trigger.name()));
        prop_assert_eq!(line["decision"].as_str(), Some(decision.name()));
        let counts = decision.reach().map(|reach| (u64::from(reach.count), u64::from(reach.within_minutes)));
        prop_assert_eq!(line["event_count"].as_u64().zip(line["event_window_minutes"].as_u64()), counts);
        Ok(())
    });
}

#[test]
fn a_rejection_that_is_written_keeps_to_the_schema() {
    let validator = validator_of("decision");
    for code in RejectCode::ALL {
        for id in [None, Some(EventId::new("e-1").unwrap())] {
            let mut out = Vec::new();
            wire::decision::write_rejected(&mut out, id.as_ref(), *code);
            let line: Value = serde_json::from_slice(&out).unwrap();
            let only_live = matches!(code, RejectCode::StoreUnavailable | RejectCode::Rejected | RejectCode::Expired);
            assert_eq!(validator.is_valid(&line), !only_live, "{line}");
        }
    }
}

#[test]
fn dead_letters_that_are_written_keep_to_the_schema_and_read_back() {
    let sources = ("[a-zA-Z0-9_-]{1,249}", 0..i32::MAX, 0..i64::MAX).prop_map(|(topic, partition, offset)| Source {
        topic: topic.into(),
        partition,
        offset,
    });
    let parts = (
        proptest::sample::select(RejectCode::ALL),
        "(?s).{0,600}",
        proptest::sample::select(wire::dead_letter::Stage::ALL),
        sources,
    );
    for_all("dead-letter", parts, |validator, (code, error, stage, source)| {
        let headers = wire::dead_letter::headers(code, &error, stage, &source);
        let told: serde_json::Map<_, _> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), String::from_utf8(value.clone()).unwrap().into()))
            .collect();
        check(validator, serde_json::json!({"headers": told}).to_string().as_bytes())?;
        let read = wire::dead_letter::decode(headers.iter().map(|(name, value)| (*name, value.as_slice()))).unwrap();
        prop_assert_eq!((read.code, read.stage, read.source), (code, stage, source));
        let clean: String = error.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        prop_assert!(clean.starts_with(&read.error));
        prop_assert!(read.error == clean || (509..=512).contains(&read.error.len()));
        Ok(())
    });
}

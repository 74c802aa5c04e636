//! A partial update of a preferences document: only the keys that are present change.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::session_api::{InvalidRequest, decode_reactions};
use crate::domain::time::Timestamp;
use crate::domain::trigger::{Bound, Trigger};

/// How deep objects are merged: the document, its groups, and each trigger. What lies deeper is replaced.
const DEPTH: u32 = 3;

// Values stay as they were written, so that a threshold keeps its digits.
type Fields = BTreeMap<String, Box<RawValue>>;

/// The document with the update's keys in it, and `updated_at` set. An update of nothing begins a document.
pub fn merge_document(current: Option<&[u8]>, update: &[u8], now: Timestamp) -> Result<Vec<u8>, InvalidRequest> {
    let invalid = |problem: &str| InvalidRequest { field: "the document", problem: problem.to_owned() };
    let update: Fields = serde_json::from_slice(update).map_err(|_| invalid("must be a JSON object"))?;
    let mut document: Fields = match current {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|_| invalid("in place is not a JSON object"))?,
        None => Fields::new(),
    };
    merge(&mut document, update, DEPTH);
    let stamp = to_raw_value(&Value::from(now.to_string())).map_err(|_| invalid("cannot be dated"))?;
    document.entry("created_at".to_owned()).or_insert_with(|| stamp.clone());
    document.insert("updated_at".to_owned(), stamp);
    let bytes = serde_json::to_vec(&document).map_err(|_| invalid("cannot be written"))?;
    super::preferences::decode(&bytes).map_err(|error| invalid(&error.0))?;
    decode_reactions(&bytes)?;
    Ok(bytes)
}

fn merge(into: &mut Fields, update: Fields, depth: u32) {
    for (name, value) in update {
        let merged = into.get(&name).and_then(|old| merged(old, &value, depth - 1));
        into.insert(name, merged.unwrap_or(value));
    }
}

/// Both values in one, where both are objects and not too deep.
fn merged(old: &RawValue, new: &RawValue, depth: u32) -> Option<Box<RawValue>> {
    if depth == 0 {
        return None;
    }
    let mut fields: Fields = serde_json::from_str(old.get()).ok()?;
    merge(&mut fields, serde_json::from_str(new.get()).ok()?, depth);
    to_raw_value(&fields).ok()
}

/// The fields of a document that an update may name, beside the triggers.
const OWN: [&str; 2] = ["is_reuse_kyc_enabled", "reuse_kyc_reactions"];
const TRIGGERS: &str = "reuse_kyc_triggers";

/// Every trigger with a bound switched on, so that a bound is read even where the update alone would leave it unused.
const BOUNDED: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"deposit":{"enabled":true},
    "withdrawal":{"enabled":true},"large_bet_placement":{"enabled":true},"high_frequency_betting":{"enabled":true}}}"#;

/// An update as people write it, checked and in the document's form: a trigger may stand beside the document's own fields,
/// as in `{"deposit":{"threshold":250}}`. A name that no document has is refused, for it would silently change nothing.
pub fn spell_out(update: &[u8]) -> Result<Vec<u8>, InvalidRequest> {
    let fields: Fields = serde_json::from_slice(update).map_err(|_| change("must be a JSON object".to_owned()))?;
    let mut document = Fields::new();
    let mut triggers = Fields::new();
    for (name, value) in fields {
        if name == TRIGGERS {
            let inner: Fields =
                serde_json::from_str(value.get()).map_err(|_| change(format!("{TRIGGERS} must be an object")))?;
            triggers.extend(inner);
        } else if OWN.contains(&name.as_str()) {
            document.insert(name, value);
        } else {
            triggers.insert(name, value);
        }
    }
    for (name, value) in &triggers {
        check_trigger(name, value)?;
    }
    let unwritable = |_| change("cannot be written".to_owned());
    if !triggers.is_empty() {
        document.insert(TRIGGERS.to_owned(), to_raw_value(&triggers).map_err(unwritable)?);
    }
    let bytes = serde_json::to_vec(&document).map_err(unwritable)?;
    merge_document(Some(BOUNDED.as_bytes()), &bytes, Timestamp(0)).map_err(|error| change(error.problem))?;
    Ok(bytes)
}

fn change(problem: String) -> InvalidRequest {
    InvalidRequest { field: "the change", problem }
}

fn check_trigger(name: &str, value: &RawValue) -> Result<(), InvalidRequest> {
    let Some(trigger) = Trigger::from_name(name) else {
        let names: Vec<&str> = OWN.into_iter().chain([TRIGGERS]).chain(Trigger::ALL.iter().map(|t| t.name())).collect();
        return Err(change(format!("names {name:?}, which is none of {}", names.join(", "))));
    };
    let known: &[&str] = match trigger.bounded_by() {
        Bound::Nothing => return Ok(()),
        Bound::Amount => &["enabled", "threshold"],
        Bound::Frequency => &["enabled", "count", "window_minutes"],
    };
    // What is no object is named by the reader of documents.
    let fields: Fields = serde_json::from_str(value.get()).unwrap_or_default();
    match fields.keys().find(|field| !known.contains(&field.as_str())) {
        Some(field) => Err(change(format!("names {name}.{field}, but {name} has only {}", known.join(", ")))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_spelled_out_in_the_documents_form() {
        for (update, want) in [
            ("{}", "{}"),
            (r#"{"deposit":{"threshold":250.50}}"#, r#"{"reuse_kyc_triggers":{"deposit":{"threshold":250.50}}}"#),
            (
                r#"{"is_reuse_kyc_enabled":false,"login":true,"reuse_kyc_triggers":{"high_frequency_betting":{"count":3}}}"#,
                r#"{"is_reuse_kyc_enabled":false,"reuse_kyc_triggers":{"high_frequency_betting":{"count":3},"login":true}}"#,
            ),
            (r#"{"deposit":null}"#, r#"{"reuse_kyc_triggers":{"deposit":null}}"#),
        ] {
            assert_eq!(String::from_utf8(spell_out(update.as_bytes()).unwrap()).unwrap(), want, "{update}");
        }
    }

    #[test]
    fn a_change_that_would_change_nothing_or_cannot_be_read_is_refused() {
        for (update, part) in [
            ("7", "must be a JSON object"),
            (r#"{"deposits":{"threshold":1}}"#, "names \"deposits\", which is none of is_reuse_kyc_enabled"),
            (r#"{"reuse_kyc_triggers":{"logon":true}}"#, "names \"logon\""),
            (r#"{"reuse_kyc_triggers":[]}"#, "reuse_kyc_triggers must be an object"),
            (r#"{"deposit":{"treshold":1}}"#, "names deposit.treshold, but deposit has only enabled, threshold"),
            (r#"{"high_frequency_betting":{"threshold":1}}"#, "has only enabled, count, window_minutes"),
            (r#"{"deposit":true}"#, "reuse_kyc_triggers.deposit has a wrong type"),
            (r#"{"deposit":{"threshold":"much"}}"#, "reuse_kyc_triggers.deposit.threshold must be a number"),
            (r#"{"high_frequency_betting":{"count":1.5}}"#, "high_frequency_betting.count must be a whole number"),
            (r#"{"login":{"enabled":true}}"#, "reuse_kyc_triggers.login has a wrong type"),
        ] {
            let error = spell_out(update.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("the change ") && error.contains(part), "{update}: {error}");
        }
    }

    #[test]
    fn only_the_keys_that_are_present_change() {
        let now = Timestamp(0);
        let dates = r#""created_at":"1970-01-01T00:00:00.000Z","#;
        let updated = r#","updated_at":"1970-01-01T00:00:00.000Z"}"#;
        for (current, update, want) in [
            (None, r#"{"is_reuse_kyc_enabled":true}"#, r#""is_reuse_kyc_enabled":true"#),
            (Some(r#"{"is_reuse_kyc_enabled":true}"#), "{}", r#""is_reuse_kyc_enabled":true"#),
            (
                Some(r#"{"reuse_kyc_triggers":{"login":true,"deposit":{"enabled":true,"threshold":5}}}"#),
                r#"{"reuse_kyc_triggers":{"deposit":{"threshold":12345678901234567.89}}}"#,
                r#""reuse_kyc_triggers":{"deposit":{"enabled":true,"threshold":12345678901234567.89},"login":true}"#,
            ),
            (
                Some(r#"{"reuse_kyc_triggers":{"login":true}}"#),
                r#"{"reuse_kyc_triggers":null}"#,
                r#""reuse_kyc_triggers":null"#,
            ),
        ] {
            let merged = merge_document(current.map(str::as_bytes), update.as_bytes(), now).unwrap();
            assert_eq!(String::from_utf8(merged).unwrap(), format!("{{{dates}{want}{updated}"), "{update}");
        }
    }

    #[test]
    fn an_update_that_makes_the_document_unreadable_is_refused() {
        for (update, problem) in [
            ("[]", "must be a JSON object"),
            (r#"{"reuse_kyc_triggers":{"login":7}}"#, "reuse_kyc_triggers.login has a wrong type: must be a boolean"),
            (r#"{"reuse_kyc_reactions":{"max_retry_attempts":-1}}"#, "holds a field of a wrong type"),
        ] {
            assert_eq!(merge_document(None, update.as_bytes(), Timestamp(0)).unwrap_err().problem, problem, "{update}");
        }
    }
}

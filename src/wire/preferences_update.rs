//! A partial update of a preferences document: only the keys that are present change.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::session_api::{InvalidRequest, decode_reactions};
use crate::domain::time::Timestamp;

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

#[cfg(test)]
mod tests {
    use super::*;

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

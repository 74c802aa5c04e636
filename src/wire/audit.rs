//! What `stepup audit` answers, version 1; the hashes by which it compares records, and the lists of sessions that it reads.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use siphasher::sip128::SipHasher24;
use uuid::Uuid;

use super::command::{MAX_BYTES, command_id};
use super::json;
use crate::domain::ids::CommandId;

/// The whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records on the activity topics.
    pub events: u64,
    /// Distinct commands.
    pub commands: u64,
    pub shadow_commands: u64,
    /// Commands that have an outcome.
    pub outcomes: u64,
    /// Records on the dead-letter topic.
    pub dead_letters: u64,
    /// Records on the retries topic.
    pub retries: u64,
    pub sessions: u64,
    pub checks: Vec<Checked>,
    pub counted: BTreeMap<&'static str, u64>,
    /// Why decisions that cannot be made again cannot: how many for each reason. Their sum is `undecided`.
    pub undecided: BTreeMap<&'static str, u64>,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
    /// It was stopped before everything was read.
    pub incomplete: bool,
    /// Complete, and without a violation.
    pub ok: bool,
}

/// One promise, held against what stands there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub name: &'static str,
    pub promise: &'static str,
    pub checked: u64,
    pub violations: u64,
    /// The first of them.
    pub first: Vec<Violation>,
    /// Why it was not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<&'static str>,
}

/// One broken promise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub what: String,
    /// The record that shows it, as `topic[partition]@offset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The other record, where two contradict each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<&'static str>,
}

/// Writes the answer as one line.
pub fn encode(report: &Report) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    Ok(line)
}

const DIGESTS: (u64, u64) = (0x41c6_7a05_f39e_b218, 0x9d20_5be7_68c4_13fa);

/// A hash by which byte strings are told apart, within one audit.
pub fn digest(bytes: &[u8]) -> u128 {
    let hash = SipHasher24::new_with_keys(DIGESTS.0, DIGESTS.1).hash(bytes);
    u128::from(hash.h2) << 64 | u128::from(hash.h1)
}

/// Of which command a command is another try, where it says so.
pub fn redrive_of(payload: &[u8]) -> Option<CommandId> {
    let [of] = json::record(payload, MAX_BYTES, &["redrive_of"]).ok()?;
    command_id(of).ok()
}

/// A session that was made, as the simulator of the session API lists it. Its token is known by its fingerprint only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ListedSession {
    pub tenant: String,
    pub reference: String,
    #[serde(deserialize_with = "uuid")]
    pub token_fingerprint: Uuid,
}

fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let text = String::deserialize(deserializer)?;
    Uuid::try_parse(&text).map_err(|_| D::Error::custom("must be a UUID"))
}

/// One page of such a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SessionsPage {
    pub sessions: Vec<ListedSession>,
    /// What asks for the next page, where there may be one.
    #[serde(default)]
    pub next: Option<u64>,
}

/// Reads a page of the list.
pub fn decode_page(bytes: &[u8]) -> Result<SessionsPage, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// Reads a list out of a file: a page, or one session a line.
pub fn decode_sessions(text: &str) -> Result<Vec<ListedSession>, serde_json::Error> {
    if let Ok(page) = serde_json::from_str::<SessionsPage>(text) {
        return Ok(page.sessions);
    }
    text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect()
}

/// The fingerprint that the list knows a token by: what the simulator gives as a token is 24 bytes in base64url.
pub fn fingerprint(token: &str) -> Uuid {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_else(|_| token.as_bytes().to_vec());
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_sessions_are_read_as_pages_and_as_lines() {
        let session = |reference: &str| {
            format!(
                r#"{{"tenant":"a","reference":"{reference}","status":"pending","token_fingerprint":"de5104d8-398a-55de-954f-e274b53286a3"}}"#
            )
        };
        let references = |text: &str| {
            decode_sessions(text).map(|list| list.into_iter().map(|one| one.reference).collect::<Vec<_>>()).ok()
        };
        let both = Some(vec!["r1".to_owned(), "r2".to_owned()]);
        assert_eq!(references(&format!("{}\n\n{}\n", session("r1"), session("r2"))), both);
        assert_eq!(references(&format!(r#"{{"sessions":[{},{}],"next":null}}"#, session("r1"), session("r2"))), both);
        assert_eq!(references(""), Some(vec![]));
        assert_eq!(references("{}"), None);
    }

    #[test]
    fn a_redriven_command_says_of_which() {
        let id = "de5104d8-398a-55de-954f-e274b53286a3";
        assert_eq!(
            redrive_of(format!(r#"{{"redrive_of":"{id}"}}"#).as_bytes()).map(|id| id.to_string()),
            Some(id.into())
        );
        for none in [r#"{"id":"x"}"#, r#"{"redrive_of":5}"#, r#"{"redrive_of":"x"}"#, "nonsense"] {
            assert_eq!(redrive_of(none.as_bytes()), None, "{none}");
        }
    }
}

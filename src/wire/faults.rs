//! Faults that the simulator of the session API is asked for, and what it tells of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One fault on demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only this tenant's calls; all where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Which calls it meets.
    #[serde(default)]
    pub on: Endpoint,
    pub kind: FaultKind,
    /// For `status`; 503 where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Seconds, sent along with a status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// For `delay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The part of the calls that it meets, 0 to 1.
    #[serde(default = "every_call")]
    pub rate: f64,
    /// How many calls it meets at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Whether the call is carried out before its answer is spoilt; `cut_after` always does, `cut_before` never.
    #[serde(default)]
    pub carried_out: bool,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// An error status instead of the answer.
    Status,
    /// The call takes longer; further faults may meet it too.
    Delay,
    /// The connection is cut and nothing was done.
    CutBefore,
    /// The call is carried out, then the connection is cut without an answer.
    CutAfter,
    /// No answer ever comes.
    Hang,
    /// A success that is not JSON.
    Garbage,
}

/// The calls that a fault may meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    #[default]
    Session,
    /// Reading the preferences.
    Preferences,
}

/// Why a fault cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidFault(String);

fn every_call() -> f64 {
    1.0
}

/// Reads a JSON list of faults.
pub fn decode_faults(bytes: &[u8]) -> Result<Vec<Fault>, InvalidFault> {
    let faults: Vec<Fault> = serde_json::from_slice(bytes).map_err(|error| InvalidFault(error.to_string()))?;
    faults.into_iter().map(checked).collect()
}

/// Reads a fault as a flag has it: `kind=status,status=503,rate=0.1`.
pub fn fault_of_flag(text: &str) -> Result<Fault, InvalidFault> {
    let mut fields = Map::new();
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(|| InvalidFault(format!("{part:?} must be name=value")))?;
        // A tenant may be called 7, and the rest reads as JSON does where it can.
        let value = match name {
            "tenant" => Value::from(value),
            _ => serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)),
        };
        fields.insert(name.to_owned(), value);
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| InvalidFault(error.to_string())).and_then(checked)
}

fn checked(fault: Fault) -> Result<Fault, InvalidFault> {
    let wrong = |problem: &str| Err(InvalidFault(problem.to_owned()));
    if !(0.0..=1.0).contains(&fault.rate) {
        return wrong("rate must be between 0 and 1");
    }
    if fault.status.is_some_and(|status| !(200..=599).contains(&status)) {
        return wrong("status must be between 200 and 599");
    }
    if fault.delay_ms.is_some_and(|delay| delay > 600_000) {
        return wrong("delay_ms must be at most 600000");
    }
    if fault.kind == FaultKind::Delay && fault.delay_ms.is_none() {
        return wrong("delay_ms is required for a delay");
    }
    Ok(fault)
}

/// Which sessions are asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SessionsQuery {
    pub tenant: Option<String>,
    pub reference: Option<String>,
    /// `1` shows the tokens.
    pub tokens: Option<String>,
    /// Goes on after the page that ended with this `next`.
    pub after: Option<u64>,
    pub limit: Option<usize>,
}

/// One page of sessions, oldest first.
#[derive(Debug, Clone, Serialize)]
pub struct SessionsPage {
    pub sessions: Vec<SessionLine>,
    /// What `after` must be for the next page, where there may be one.
    pub next: Option<u64>,
}

/// A session as the simulator shows it. Its token is shown as a fingerprint unless it is asked for.
#[derive(Debug, Clone, Serialize)]
pub struct SessionLine {
    pub tenant: String,
    pub reference: String,
    pub customer: String,
    pub event: &'static str,
    /// The digits as they were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_window_minutes: Option<u32>,
    pub created_at: String,
    pub status: &'static str,
    pub token_fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What the calls to make a session came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub calls: u64,
    pub created: u64,
    pub not_required: u64,
    pub conflicts: u64,
    /// Calls with a missing or wrong field, tenant or credential.
    pub refused: u64,
    pub faults: u64,
}

/// Counts in all and by tenant, and what became of the callbacks.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stats {
    #[serde(flatten)]
    pub total: Counts,
    pub callbacks_sent: u64,
    pub callbacks_failed: u64,
    pub tenants: BTreeMap<String, Counts>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_and_json_say_the_same() {
        for (flag, json) in [
            ("kind=status,status=503,rate=0.1", r#"{"kind":"status","status":503,"rate":0.1}"#),
            ("kind=delay,delay_ms=20,tenant=7", r#"{"kind":"delay","delay_ms":20,"tenant":"7"}"#),
            ("kind=cut_after,count=3", r#"{"kind":"cut_after","count":3}"#),
            (
                "kind=status,status=504,retry_after=2,carried_out=true,on=preferences",
                r#"{"kind":"status","status":504,"retry_after":2,"carried_out":true,"on":"preferences"}"#,
            ),
        ] {
            let want = decode_faults(format!("[{json}]").as_bytes()).unwrap();
            assert_eq!(vec![fault_of_flag(flag).unwrap()], want, "{flag}");
        }
    }

    #[test]
    fn a_fault_that_cannot_be_is_refused() {
        for flag in [
            "",
            "status=503",
            "kind=explode",
            "kind=hang,rate=1.5",
            "kind=hang,rat=1",
            "kind=status,status=99",
            "kind=delay",
            "kind=delay,delay_ms=600001",
            "kind",
        ] {
            assert!(fault_of_flag(flag).is_err(), "{flag}");
        }
    }
}

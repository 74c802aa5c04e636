//! Controls as they are stored: a name by kind and target, and a JSON object. Persistent, and read by a script as well.

use serde::{Deserialize, Serialize};

use super::json::Object;
use crate::domain::control::{Control, Kind, Reason, State, Target};
use crate::domain::ids::TenantId;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;

/// No stored control is longer, in bytes.
const MAX_BYTES: usize = 4_096;
/// Stands for any tenant or trigger; no name holds it.
const ANY: &str = "*";

/// What is stored is no control, or one that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is stored is no control that is known here")]
pub struct NoControl;

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    state: &'a str,
    /// Milliseconds since 1970.
    at: i64,
    #[serde(default)]
    reason: String,
}

/// The name of a control, as in `pause|acme|deposit`, with `*` for any.
pub fn name(kind: Kind, target: &Target) -> String {
    let tenant = target.tenant.as_ref().map_or(ANY, TenantId::as_str);
    let trigger = target.trigger.map_or(ANY, Trigger::name);
    format!("{kind}|{tenant}|{trigger}")
}

/// The JSON object of a control.
pub fn encode(control: &Control) -> Vec<u8> {
    let Control { state, at, reason, .. } = control;
    let stored = Stored { state: state.name(), at: at.0, reason: reason.as_str().to_owned() };
    // Strings and numbers are always written.
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// Reads a control from its name and its JSON object. Members that are not known are skipped.
pub fn decode(name: &[u8], value: &[u8]) -> Result<Control, NoControl> {
    read(name, value).ok_or(NoControl)
}

fn read(name: &[u8], value: &[u8]) -> Option<Control> {
    let mut parts = std::str::from_utf8(name).ok()?.split('|');
    let (kind, tenant, trigger) = (Kind::from_name(parts.next()?)?, parts.next()?, parts.next()?);
    if parts.next().is_some() || value.len() > MAX_BYTES {
        return None;
    }
    let tenant = match tenant {
        ANY => None,
        tenant => Some(TenantId::new(tenant).ok()?),
    };
    let trigger = match trigger {
        ANY => None,
        trigger => Some(Trigger::from_name(trigger)?),
    };
    // The reader would not look into the strings of members that are not known.
    let Object(Stored { state, at, reason }) = serde_json::from_str(std::str::from_utf8(value).ok()?).ok()?;
    Some(Control {
        kind,
        target: Target { tenant, trigger },
        state: State::from_name(state)?,
        at: Timestamp(at),
        reason: Reason::of(&reason),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_is_named_by_what_it_is_for() {
        for (tenant, trigger, want) in [
            (None, None, "pause|*|*"),
            (Some("acme"), None, "pause|acme|*"),
            (None, Some(Trigger::Deposit), "pause|*|deposit"),
            (Some("a.b"), Some(Trigger::Login), "pause|a.b|login"),
        ] {
            let target = Target { tenant: tenant.map(|name| TenantId::new(name).unwrap()), trigger };
            assert_eq!(name(Kind::Pause, &target), want);
            for state in State::ALL {
                let control = Control {
                    kind: Kind::Pause,
                    target: target.clone(),
                    state,
                    at: Timestamp(1_772_366_400_250),
                    reason: Reason::of("the \"API\" is down"),
                };
                assert_eq!(decode(want.as_bytes(), &encode(&control)), Ok(control));
            }
        }
    }

    #[test]
    fn it_is_stored_as_it_was() {
        let target = Target::EVERYTHING;
        let control =
            Control { kind: Kind::Shadow, target, state: State::On, at: Timestamp(5), reason: Reason::of("x\ny") };
        assert_eq!(String::from_utf8(encode(&control)).unwrap(), r#"{"state":"on","at":5,"reason":"x y"}"#);
    }

    #[test]
    fn what_is_not_known_is_no_control() {
        let good = br#"{"state":"on","at":5}"#;
        for (name, value, ok) in [
            ("pause|*|*", &good[..], true),
            ("shadow|a|login", br#"{"at":5,"state":"off","by":{"x":1},"reason":"r"}"#, true),
            ("drain|*|*", good, false),
            ("pause|*", good, false),
            ("pause|*|*|*", good, false),
            ("pause|a b|*", good, false),
            ("pause|*|logins", good, false),
            ("pause||", good, false),
            ("", good, false),
            ("pause|*|*", br#"{"state":"frozen","at":5}"#, false),
            ("pause|*|*", br#"{"state":"on"}"#, false),
            ("pause|*|*", br#"["on",5]"#, false),
            ("pause|*|*", b"", false),
            ("pause|*|*", b"{\"state\":\"on\",\"at\":5,\"by\":\"\xff\"}", false),
        ] {
            let read = decode(name.as_bytes(), value);
            assert_eq!(read.is_ok(), ok, "{name} {}", String::from_utf8_lossy(value));
        }
        let long = format!(r#"{{"state":"on","at":5,"reason":"{}"}}"#, "r".repeat(MAX_BYTES));
        assert_eq!(decode(b"pause|*|*", long.as_bytes()), Err(NoControl));
        assert_eq!(decode(&[0xff], good), Err(NoControl));
    }
}

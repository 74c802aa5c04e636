//! A verification outcome, version 1. An outcome of a session holds its token: it is a secret on the wire.

use super::command::{VERSION, check_version, command_id, trigger};
use super::json::{self, Field};
use super::json_writer::{self, Object};
use crate::domain::ids::{CustomerId, TenantId};
use crate::domain::outcome::{Ending, Outcome, Rejection, Session};

/// The largest outcome that is read, in bytes: it repeats much of the service's answer, which has 64 KiB at most.
pub const MAX_BYTES: usize = 131_072;

const FIELDS: [&str; 14] = [
    "version",
    "command_id",
    "tenant_id",
    "customer_id",
    "event",
    "reference",
    "status",
    "token",
    "token_expires_at",
    "links",
    "http_status",
    "reason",
    "attempts",
    "completed_at",
];

/// Writes an outcome. The same outcome is always the same bytes.
pub fn encode(outcome: &Outcome) -> Vec<u8> {
    let mut out = Vec::with_capacity(768);
    json_writer::object(&mut out, |object| {
        object.integer("version", VERSION);
        object.string("command_id", &outcome.command.to_string());
        object.string("tenant_id", outcome.tenant.as_str());
        object.string("customer_id", outcome.customer.as_str());
        object.string("event", outcome.trigger.name());
        object.string("reference", &outcome.reference);
        object.string("status", outcome.ending.status());
        write_ending(object, &outcome.ending);
        object.integer("attempts", outcome.attempts);
        object.time("completed_at", outcome.completed_at);
    });
    out
}

fn write_ending(object: &mut Object<'_>, ending: &Ending) {
    match ending {
        Ending::SessionCreated(session) => {
            object.string("token", &session.token);
            object.time("token_expires_at", session.token_expires_at);
            object.object("links", |links| {
                for (place, (name, url)) in session.links.iter().enumerate() {
                    // A name that comes again would make the object ambiguous.
                    if session.links[..place].iter().all(|(earlier, _)| earlier != name) {
                        links.string(name, url);
                    }
                }
            });
        }
        Ending::NotRequired { reason } => object.string("reason", reason),
        Ending::AlreadyExists => {}
        Ending::Rejected { http_status, reason } => {
            object.integer("http_status", *http_status);
            object.string("reason", reason);
        }
        Ending::Expired { http_status, reason } => {
            if let Some(http_status) = http_status {
                object.integer("http_status", *http_status);
            }
            object.string("reason", reason);
        }
    }
}

/// Reads an outcome.
pub fn decode(payload: &[u8]) -> Result<Outcome, Rejection> {
    let [
        version,
        id,
        tenant,
        customer,
        event,
        reference,
        status,
        token,
        token_expires_at,
        links_object,
        http_status,
        reason,
        attempts,
        completed_at,
    ] = json::record(payload, MAX_BYTES, &FIELDS)?;
    check_version(version)?;
    let reason_text = || reason.required_text().map(std::borrow::Cow::into_owned);
    let status_text = status.required_text()?;
    let ending = match status_text.as_ref() {
        "session_created" => Ending::SessionCreated(Session {
            token: token.required_text()?.into_owned(),
            token_expires_at: token_expires_at.time()?,
            links: links(links_object)?,
        }),
        "not_required" => Ending::NotRequired { reason: reason_text()? },
        "already_exists" => Ending::AlreadyExists,
        "rejected" => Ending::Rejected { http_status: http_status.required_whole()?, reason: reason_text()? },
        "expired" => Ending::Expired { http_status: http_status.whole()?, reason: reason_text()? },
        _ => return Err(status.invalid("must be a status of an outcome")),
    };
    Ok(Outcome {
        command: command_id(id)?,
        tenant: tenant.named(TenantId::new)?,
        customer: customer.named(CustomerId::new)?,
        trigger: trigger(event)?,
        reference: reference.required_text()?.into_owned(),
        ending,
        attempts: attempts.required_whole()?,
        completed_at: completed_at.time()?,
    })
}

/// The links in their order; none where the field is absent.
fn links(field: Field<'_>) -> Result<Vec<(String, String)>, Rejection> {
    let Some(raw) = field.raw() else { return Ok(Vec::new()) };
    let links = json::strings(raw).ok_or_else(|| field.invalid("must be an object of strings"))?;
    let mut names: Vec<&str> = links.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(json::invalid_json("links holds a name twice"));
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::ids::{CommandId, EventId};
    use crate::domain::outcome::RejectCode;
    use crate::domain::time::Timestamp;
    use crate::domain::trigger::Trigger;

    fn outcome(ending: Ending) -> Outcome {
        let tenant = TenantId::new("acme").unwrap();
        Outcome {
            command: CommandId::of(&tenant, Trigger::Login, &EventId::new("e-1").unwrap()),
            tenant,
            customer: CustomerId::new("c").unwrap(),
            trigger: Trigger::Login,
            reference: "tx-9.2".to_owned(),
            ending,
            attempts: 3,
            completed_at: Timestamp(1_000),
        }
    }

    fn session(links: &[(&str, &str)]) -> Ending {
        Ending::SessionCreated(Session {
            token: "secret".to_owned(),
            token_expires_at: Timestamp(600_000),
            links: links.iter().map(|(name, url)| ((*name).to_owned(), (*url).to_owned())).collect(),
        })
    }

    fn endings() -> Vec<(Ending, Value)> {
        let reason = || "no prior KYC".to_owned();
        vec![
            (
                session(&[("web", "https://kyc.example/w"), ("app", "kyc://a")]),
                json!({"token": "secret", "token_expires_at": "1970-01-01T00:10:00.000Z",
                       "links": {"web": "https://kyc.example/w", "app": "kyc://a"}}),
            ),
            (session(&[]), json!({"token": "secret", "token_expires_at": "1970-01-01T00:10:00.000Z", "links": {}})),
            (Ending::NotRequired { reason: reason() }, json!({"reason": "no prior KYC"})),
            (Ending::AlreadyExists, json!({})),
            (
                Ending::Rejected { http_status: 422, reason: reason() },
                json!({"http_status": 422, "reason": "no prior KYC"}),
            ),
            (
                Ending::Expired { http_status: Some(503), reason: reason() },
                json!({"http_status": 503, "reason": "no prior KYC"}),
            ),
            (Ending::Expired { http_status: None, reason: reason() }, json!({"reason": "no prior KYC"})),
        ]
    }

    #[test]
    fn every_ending_has_its_own_fields_and_comes_back() {
        for (ending, own) in endings() {
            let outcome = outcome(ending);
            let bytes = encode(&outcome);
            let mut want = json!({
                "version": 1, "command_id": outcome.command.to_string(), "tenant_id": "acme", "customer_id": "c",
                "event": "login", "reference": "tx-9.2", "status": outcome.ending.status(), "attempts": 3,
                "completed_at": "1970-01-01T00:00:01.000Z",
            });
            want.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
            assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), want);
            assert_eq!(decode(&bytes), Ok(outcome));
        }
    }

    #[test]
    fn what_an_ending_needs_must_be_there() {
        use RejectCode::{InvalidField, InvalidJson, MissingField};
        for (status, own, want) in [
            ("done", "", (InvalidField, "status must be a status of an outcome")),
            ("session_created", "", (MissingField, "token is missing")),
            ("session_created", r#","token":"t""#, (MissingField, "token_expires_at is missing")),
            (
                "session_created",
                r#","token":"t","token_expires_at":"1970-01-01T00:00:01Z","links":["x"]"#,
                (InvalidField, "links must be an object of strings"),
            ),
            (
                "session_created",
                r#","token":"t","token_expires_at":"1970-01-01T00:00:01Z","links":{"a":1}"#,
                (InvalidField, "links must be an object of strings"),
            ),
            (
                "session_created",
                r#","token":"t","token_expires_at":"1970-01-01T00:00:01Z","links":{"a":"1","\u0061":"2"}"#,
                (InvalidJson, "links holds a name twice"),
            ),
            ("not_required", "", (MissingField, "reason is missing")),
            ("rejected", r#","reason":"r""#, (MissingField, "http_status is missing")),
            (
                "rejected",
                r#","reason":"r","http_status":70000"#,
                (InvalidField, "http_status must be a whole number of at least 0 that is not too great"),
            ),
            ("expired", "", (MissingField, "reason is missing")),
        ] {
            let text = format!(
                r#"{{"command_id":"de5104d8-398a-55de-954f-e274b53286a3","tenant_id":"a","customer_id":"c","event":"login","reference":"r","status":"{status}","attempts":1,"completed_at":"1970-01-01T00:00:01Z"{own}}}"#
            );
            let rejection = decode(text.as_bytes()).unwrap_err();
            assert_eq!((rejection.code, rejection.error.as_str()), want, "{text}");
        }
    }

    #[test]
    fn of_two_links_of_one_name_the_first_is_written() {
        let bytes = encode(&outcome(session(&[("a", "1"), ("b", "2"), ("a", "3")])));
        assert_eq!(decode(&bytes), Ok(outcome(session(&[("a", "1"), ("b", "2")]))));
    }
}

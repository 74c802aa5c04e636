//! A verification command, version 1, and the key of everything that belongs to one customer.

use std::sync::Arc;

use super::json::{self, Field};
use super::json_writer;
use crate::domain::command::{Cause, Command, Reference};
use crate::domain::decide::Facts;
use crate::domain::ids::{CommandId, CustomerId, EventId, Source, TenantId, TransactionId};
use crate::domain::money::Usd;
use crate::domain::outcome::Rejection;
use crate::domain::trigger::{ActivityType, Bound, Trigger};
use crate::domain::window::{Reach, Timeliness};

/// The largest command that is read, in bytes.
pub const MAX_BYTES: usize = 65_536;
/// The version that is written, and the only one that is read; a command without one is of this version.
pub const VERSION: u32 = 1;
/// A longer version of preferences is no date-time and is left out, so that a command cannot grow beyond its bound.
const MAX_PREFERENCES_VERSION: usize = 128;

const FIELDS: [&str; 14] = [
    "version",
    "id",
    "tenant_id",
    "customer_id",
    "event",
    "reference",
    "amount",
    "event_count",
    "event_window_minutes",
    "cause",
    "preferences_updated_at",
    "redrive_of",
    "issued_at",
    "expires_at",
];
const CAUSE: [&str; 6] = ["event_id", "type", "occurred_at", "topic", "partition", "offset"];

/// The Kafka key of a customer's records: `<tenant>/<customer>`. A tenant holds no slash, so no two customers share one.
pub fn key(tenant: &TenantId, customer: &CustomerId) -> Vec<u8> {
    [tenant.as_str(), "/", customer.as_str()].concat().into_bytes()
}

/// Writes a command.
pub fn encode(command: &Command) -> Vec<u8> {
    let mut out = Vec::with_capacity(768);
    json_writer::object(&mut out, |object| {
        object.integer("version", VERSION);
        object.string("id", &command.id.to_string());
        object.string("tenant_id", command.tenant.as_str());
        object.string("customer_id", command.customer.as_str());
        object.string("event", command.trigger.name());
        object.string("reference", &command.base_reference());
        match command.facts {
            Facts::Plain => {}
            Facts::Amount(amount) => object.string("amount", &amount.to_string()),
            Facts::Frequency(reach) => {
                object.integer("event_count", reach.count);
                object.integer("event_window_minutes", reach.within_minutes);
            }
        }
        object.object("cause", |object| {
            object.string("event_id", command.cause.event.as_str());
            object.string("type", command.cause.kind.name());
            object.time("occurred_at", command.cause.occurred_at);
            object.string("topic", &command.cause.source.topic);
            object.integer("partition", command.cause.source.partition);
            object.integer("offset", command.cause.source.offset);
        });
        if let Some(version) = &command.preferences_updated_at
            && version.len() <= MAX_PREFERENCES_VERSION
        {
            object.string("preferences_updated_at", version);
        }
        if let Some(old) = command.redrive_of {
            object.string("redrive_of", &old.to_string());
        }
        object.time("issued_at", command.issued_at);
        object.time("expires_at", command.expires_at);
    });
    out
}

/// Reads a command. Of a window only what a command tells comes back: that its count was reached, in time.
pub fn decode(payload: &[u8]) -> Result<Command, Rejection> {
    let [
        version,
        id,
        tenant,
        customer,
        event,
        reference,
        amount,
        event_count,
        event_window_minutes,
        cause_object,
        preferences_updated_at,
        redrive_of,
        issued_at,
        expires_at,
    ] = json::record(payload, MAX_BYTES, &FIELDS)?;
    check_version(version)?;
    let command_id = command_id(id)?;
    let trigger = trigger(event)?;
    Ok(Command {
        id: command_id,
        tenant: tenant.named(TenantId::new)?,
        customer: customer.named(CustomerId::new)?,
        trigger,
        reference: self::reference(reference, command_id)?,
        facts: facts(trigger, amount, event_count, event_window_minutes)?,
        cause: cause(cause_object)?,
        preferences_updated_at: preferences_updated_at.text()?.map(std::borrow::Cow::into_owned),
        redrive_of: redrive_of.raw().map(|_| self::command_id(redrive_of)).transpose()?,
        issued_at: issued_at.time()?,
        expires_at: expires_at.time()?,
    })
}

/// Refuses what a later version of this program wrote in another form.
pub(super) fn check_version(field: Field<'_>) -> Result<(), Rejection> {
    match field.whole::<u32>()? {
        None | Some(VERSION) => Ok(()),
        Some(_) => Err(field.invalid("is not one that is known here")),
    }
}

/// A command's id: a UUID in lower case with hyphens.
pub(super) fn command_id(field: Field<'_>) -> Result<CommandId, Rejection> {
    let text = field.required_text()?;
    let id = uuid::Uuid::try_parse(&text).ok().map(CommandId).filter(|id| id.to_string() == *text);
    id.ok_or_else(|| field.invalid("must be a UUID in lower case with hyphens"))
}

pub(super) fn trigger(field: Field<'_>) -> Result<Trigger, Rejection> {
    Trigger::from_name(&field.required_text()?).ok_or_else(|| field.invalid("must be the name of a trigger"))
}

fn reference(field: Field<'_>, id: CommandId) -> Result<Reference, Rejection> {
    let transaction = field.named(TransactionId::new)?;
    if transaction.as_str() == id.to_string() {
        return Ok(Reference::CommandId);
    }
    Ok(Reference::Transaction(transaction.as_str().to_owned()))
}

/// What the trigger's kind needs; what it does not need is not read.
fn facts(trigger: Trigger, amount: Field<'_>, count: Field<'_>, minutes: Field<'_>) -> Result<Facts, Rejection> {
    match trigger.bounded_by() {
        Bound::Amount => Ok(Facts::Amount(amount.named(str::parse::<Usd>)?)),
        Bound::Frequency => {
            let count = count.required_whole()?;
            Ok(Facts::Frequency(Reach {
                count,
                within_minutes: minutes.required_whole()?,
                needed: count,
                timeliness: Timeliness::InTime,
            }))
        }
        Bound::Nothing => Ok(Facts::Plain),
    }
}

fn cause(field: Field<'_>) -> Result<Cause, Rejection> {
    let raw = field.present()?.get();
    if !raw.starts_with('{') {
        return Err(field.invalid("must be an object"));
    }
    let [event_id, kind, occurred_at, topic, partition, offset] = json::object(raw, "cause.", &CAUSE)?;
    let known = |name: &str| ActivityType::from_name(name).ok_or("must be the type of an activity");
    Ok(Cause {
        event: event_id.named(EventId::new)?,
        kind: kind.named(known)?,
        occurred_at: occurred_at.time()?,
        source: Source {
            topic: Arc::from(topic.required_text()?.as_ref()),
            partition: partition.required_whole()?,
            offset: offset.required_whole()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::outcome::RejectCode;
    use crate::domain::time::Timestamp;

    fn command(trigger: Trigger, facts: Facts) -> Command {
        let tenant = TenantId::new("acme").unwrap();
        let event = EventId::new("bet-1").unwrap();
        let issued_at = Timestamp::parse("2026-03-01T12:00:01.005Z").unwrap();
        Command {
            id: CommandId::of(&tenant, trigger, &event),
            tenant,
            customer: CustomerId::new("player \"7\"").unwrap(),
            trigger,
            reference: Reference::CommandId,
            facts,
            cause: Cause {
                event,
                kind: ActivityType::Bet,
                occurred_at: Timestamp::parse("2026-03-01T12:00:00Z").unwrap(),
                source: Source { topic: "activity".into(), partition: 3, offset: 42 },
            },
            preferences_updated_at: Some("2026-01-01T00:00:00Z".to_owned()),
            redrive_of: None,
            issued_at,
            expires_at: issued_at.plus(Duration::from_secs(600)),
        }
    }

    fn frequent(count: u32) -> Facts {
        Facts::Frequency(Reach { count, within_minutes: 5, needed: count, timeliness: Timeliness::InTime })
    }

    #[test]
    fn a_command_stands_there_as_the_format_says() {
        let id = "4a35d3a1-3b0b-5a06-8b90-a5e3c4a2ed0f";
        let mut command = command(Trigger::HighFrequencyBetting, frequent(12));
        command.id = CommandId(id.parse().unwrap());
        let want = format!(r#"{{"version":1,"id":"{id}","tenant_id":"acme","customer_id":"player \"7\"","#,)
            + r#""event":"high_frequency_betting","#
            + &format!(r#""reference":"{id}","#)
            + r#""event_count":12,"event_window_minutes":5,"#
            + r#""cause":{"event_id":"bet-1","type":"bet","occurred_at":"2026-03-01T12:00:00.000Z","#
            + r#""topic":"activity","partition":3,"offset":42},"preferences_updated_at":"2026-01-01T00:00:00Z","#
            + r#""issued_at":"2026-03-01T12:00:01.005Z","expires_at":"2026-03-01T12:10:01.005Z"}"#;
        assert_eq!(String::from_utf8(encode(&command)).unwrap(), want);
        assert_eq!(decode(want.as_bytes()), Ok(command));
    }

    #[test]
    fn every_trigger_comes_back_with_its_facts() {
        for trigger in Trigger::ALL {
            let mut command = command(*trigger, Facts::Plain);
            let setting = facts_of(*trigger);
            command.facts = setting;
            assert_eq!(decode(&encode(&command)), Ok(command), "{trigger}");
        }
    }

    fn facts_of(trigger: Trigger) -> Facts {
        match trigger.name() {
            "deposit" | "withdrawal" | "large_bet_placement" => Facts::Amount("1234.5".parse().unwrap()),
            "high_frequency_betting" => frequent(3),
            _ => Facts::Plain,
        }
    }

    #[test]
    fn a_transaction_is_a_reference_and_the_own_id_is_not_one() {
        let mut command = command(Trigger::Login, Facts::Plain);
        command.reference = Reference::Transaction("tx-9".to_owned());
        command.preferences_updated_at = None;
        assert_eq!(decode(&encode(&command)).unwrap(), command);
        command.reference = Reference::Transaction(command.id.to_string());
        assert_eq!(decode(&encode(&command)).unwrap().reference, Reference::CommandId);
    }

    #[test]
    fn a_command_tells_which_one_it_takes_up_again() {
        let redriven = command(Trigger::Login, Facts::Plain).redriven(Timestamp(0), Duration::from_secs(1));
        let bytes = encode(&redriven);
        let old = redriven.redrive_of.unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains(&format!(r#","redrive_of":"{old}","issued_at":"#)));
        assert_eq!(decode(&bytes), Ok(redriven));
    }

    #[test]
    fn a_version_of_preferences_that_is_no_date_is_left_out() {
        let mut command = command(Trigger::Login, Facts::Plain);
        command.preferences_updated_at = Some("x".repeat(60_000));
        assert_eq!(decode(&encode(&command)).unwrap().preferences_updated_at, None);
    }

    #[test]
    fn a_broken_command_is_refused_by_its_field() {
        let redriven =
            command(Trigger::Deposit, facts_of(Trigger::Deposit)).redriven(Timestamp(0), Duration::from_secs(1));
        let good: Value = serde_json::from_slice(&encode(&redriven)).unwrap();
        for (path, value, error) in [
            ("/version", json!(2), "version is not one that is known here"),
            ("/version", json!("1"), "version must be a whole number of at least 0 that is not too great"),
            ("/id", json!("E5104D8-"), "id must be a UUID in lower case with hyphens"),
            ("/id", json!("DE5104D8-398A-55DE-954F-E274B53286A3"), "id must be a UUID in lower case with hyphens"),
            ("/id", json!(null), "id is missing"),
            (
                "/tenant_id",
                json!("a/b"),
                "tenant_id must start with a letter or digit and hold only letters, digits, '.', '_' and '-'",
            ),
            ("/customer_id", json!(7), "customer_id must be a string of Unicode characters"),
            ("/event", json!("bet"), "event must be the name of a trigger"),
            ("/reference", json!(""), "reference must be 1 to 128 characters long"),
            ("/amount", json!(null), "amount is missing"),
            ("/amount", json!("1e3"), "amount must be a number as JSON writes it, like 12.50"),
            ("/amount", json!(12.5), "amount must be a string of Unicode characters"),
            ("/cause", json!([]), "cause must be an object"),
            ("/cause", json!(null), "cause is missing"),
            ("/cause/event_id", json!(null), "cause.event_id is missing"),
            ("/cause/type", json!("large_bet_placement"), "cause.type must be the type of an activity"),
            (
                "/cause/partition",
                json!(-1),
                "cause.partition must be a whole number of at least 0 that is not too great",
            ),
            ("/cause/offset", json!(1.5), "cause.offset must be a whole number of at least 0 that is not too great"),
            ("/preferences_updated_at", json!(5), "preferences_updated_at must be a string of Unicode characters"),
            ("/redrive_of", json!("x"), "redrive_of must be a UUID in lower case with hyphens"),
            ("/issued_at", json!(1), "issued_at must be a string of Unicode characters"),
            (
                "/expires_at",
                json!("soon"),
                "expires_at must be an RFC 3339 date-time with 'T' and an offset or 'Z', like 2026-03-01T12:00:00.250Z",
            ),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(path).unwrap() = value;
            assert_eq!(decode(bad.to_string().as_bytes()).unwrap_err().error, error, "{path}");
        }
    }

    #[test]
    fn a_frequency_needs_both_its_numbers() {
        let good: Value =
            serde_json::from_slice(&encode(&command(Trigger::HighFrequencyBetting, frequent(2)))).unwrap();
        for field in ["event_count", "event_window_minutes"] {
            let mut bad = good.clone();
            bad[field] = Value::Null;
            assert_eq!(decode(bad.to_string().as_bytes()).unwrap_err().code, RejectCode::MissingField, "{field}");
        }
    }

    #[test]
    fn size_and_repeated_fields_are_refused() {
        let text = String::from_utf8(encode(&command(Trigger::Login, Facts::Plain))).unwrap();
        let twice = text.replacen('{', r#"{"version":null,"#, 1);
        assert_eq!(decode(twice.as_bytes()).unwrap_err().error, "version stands there twice");
        let twice = text.replace(r#""offset":"#, r#""offset":1,"offset":"#);
        assert_eq!(decode(twice.as_bytes()).unwrap_err().error, "cause.offset stands there twice");
        let unknown = text.replacen('{', r#"{"redrive_of":null,"new":[1],"#, 1);
        assert!(decode(unknown.as_bytes()).is_ok());
        let large = text + &" ".repeat(MAX_BYTES);
        assert_eq!(decode(large.as_bytes()).unwrap_err().code, RejectCode::TooLarge);
    }

    #[test]
    fn a_key_names_tenant_and_customer() {
        let (tenant, customer) = (TenantId::new("acme").unwrap(), CustomerId::new("a/b").unwrap());
        assert_eq!(key(&tenant, &customer), b"acme/a/b");
    }
}

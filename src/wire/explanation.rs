//! The explanation of one event's decision, version 1: what `stepup explain --json` writes, and what is told to people.
//!
//! What is not known is `null` and says so beside it; nothing in here is a secret but the customer's name.

use serde::{Serialize, Serializer};

use crate::domain::ids::{EventId, Source};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;

/// Everything that can be told of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub version: u32,
    pub event: Subject,
    pub preferences: Preferences,
    /// In the order in which they are tested; none of an event that cannot be decided.
    pub triggers: Vec<Tested>,
    /// The event's further arrivals in a recording.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Repeat>,
    /// Sentences about the event as a whole.
    pub notes: Vec<String>,
}

pub const VERSION: u32 = 1;

/// The event that is explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    pub id: String,
    pub tenant_id: Option<String>,
    pub customer_id: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    #[serde(serialize_with = "optional_time")]
    pub occurred_at: Option<Timestamp>,
    /// In dollars.
    pub amount: Option<String>,
    #[serde(flatten)]
    pub place: Place,
    pub result: Ending,
    #[serde(flatten)]
    pub rejection: Option<Rejection>,
}

/// Where the event stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// Of a recording, counted from 1.
    Line { line: u64 },
    Record {
        topic: String,
        partition: i32,
        offset: i64,
        /// The record's time at the brokers.
        #[serde(serialize_with = "optional_time")]
        written_at: Option<Timestamp>,
        /// Whether the group is past it, where that can be told.
        evaluated: Option<bool>,
    },
}

/// What the event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Decided,
    Rejected,
    UnknownType,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    pub code: &'static str,
    pub error: String,
}

/// The tenant's preferences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preferences {
    pub status: Knowledge,
    /// Their version; `null` also where they have none.
    pub updated_at: Option<String>,
    /// Why they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether something could be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    Known,
    /// It is certain that there is none.
    None,
    Unknown,
}

/// The event tested against one trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tested {
    #[serde(serialize_with = "trigger")]
    pub trigger: Trigger,
    /// The decision's name; `unknown` where something that it depends on could not be looked at.
    pub decision: &'static str,
    /// In the order in which they are gone through; the last one that applies decided.
    pub rules: Vec<Rule>,
    /// `null` where the trigger asks no window.
    pub window: Option<Window>,
    pub cooldown: Cooldown,
    /// There where the trigger required a command.
    pub command_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    pub notes: Vec<String>,
}

/// One rule, and whether it applies: `null` where that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    pub rule: &'static str,
    pub applies: Option<bool>,
    pub why: String,
}

/// The customer's window as of the event's arrival. Its numbers are `null` where they are not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Window {
    pub needed: Option<u32>,
    pub count: Option<u32>,
    pub within_minutes: Option<u32>,
    /// Those within one width of the event, by time.
    pub bets: Vec<Bet>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bet {
    #[serde(serialize_with = "time")]
    pub at: Timestamp,
    /// A live window knows bets by hashes; an id is there only where it came along otherwise.
    pub id: Option<String>,
    /// Whether it is the event itself.
    pub this: bool,
}

/// The cool-down that the event met: its own claim's where it fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cooldown {
    /// 0: the trigger has none.
    pub seconds: u64,
    #[serde(serialize_with = "optional_time")]
    pub since: Option<Timestamp>,
    #[serde(serialize_with = "optional_time")]
    pub until: Option<Timestamp>,
    /// The event that holds the claim, where its id is known.
    pub held_by: Option<String>,
}

/// The command that the event caused for one trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    pub status: Knowledge,
    #[serde(serialize_with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The version of the preferences that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferences_updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How the command ended. The session's token is never read into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// An outcome's status; `null` where there is none yet or it is not known.
    pub status: Option<&'static str>,
    #[serde(serialize_with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A further arrival of the event in a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repeat {
    pub line: u64,
    pub triggers: Vec<Tested>,
}

impl Place {
    pub fn record(source: &Source, written_at: Option<Timestamp>, evaluated: Option<bool>) -> Self {
        Self::Record {
            topic: source.topic.to_string(),
            partition: source.partition,
            offset: source.offset,
            written_at,
            evaluated,
        }
    }
}

impl Cooldown {
    /// The cool-down from a claim on.
    pub fn after(seconds: u64, since: Timestamp, until: Timestamp, held_by: Option<&EventId>) -> Self {
        let held_by = held_by.map(|event| event.as_str().to_owned());
        Self { seconds, since: Some(since), until: Some(until), held_by }
    }

    pub fn none(seconds: u64) -> Self {
        Self { seconds, since: None, until: None, held_by: None }
    }
}

/// Writes an explanation as one JSON object with a line feed.
pub fn encode(explanation: &Explanation) -> serde_json::Result<Vec<u8>> {
    let mut out = serde_json::to_vec_pretty(explanation)?;
    out.push(b'\n');
    Ok(out)
}

fn trigger<S: Serializer>(trigger: &Trigger, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(trigger.name())
}

fn time<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

#[allow(clippy::ref_option, reason = "the shape that serde calls")]
fn optional_time<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, serializer),
        None => serializer.serialize_none(),
    }
}

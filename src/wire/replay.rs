//! What a replay measured, as one JSON object.

use std::collections::BTreeMap;

use serde::Serialize;

/// The object that `replay --json` ends with. Latencies are milliseconds from the moment an event was meant to be sent;
/// `null` where nothing was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Events that the brokers acknowledged.
    pub produced: u64,
    /// Of these, how many the group that evaluates has finished.
    pub decided: u64,
    /// Different commands.
    pub commands: u64,
    /// Different commands with an outcome.
    pub outcomes: u64,
    /// Outcomes that brought a session.
    pub sessions: u64,
    pub lost: u64,
    pub lost_of: LostOf,
    pub repeated: u64,
    /// Events produced a second while it was sending.
    pub rate: f64,
    /// The best rate of decided events over at least five seconds.
    pub plateau: Option<f64>,
    pub latency_ms: Latencies,
    pub by_trigger: BTreeMap<&'static str, OfTrigger>,
    /// How long after its time an event was handed to the client.
    pub sent_late_ms: Percentiles,
    pub statuses: BTreeMap<&'static str, u64>,
    pub dead_letters: BTreeMap<&'static str, u64>,
    pub dead_letters_unexplained: u64,
    /// Events that no broker acknowledged.
    pub failed: u64,
    /// Records that were sent and are no events, on purpose.
    pub malformed: u64,
    /// Events that were sent again under the same id, on purpose.
    pub repeats_sent: u64,
    /// Lines of the recording that could not be sent.
    pub bad_lines: u64,
    /// Command records beyond the first of a command.
    pub commands_repeated: u64,
    /// Outcome records beyond the first of a command that say the same.
    pub outcomes_repeated: u64,
    /// Commands whose event was sent too long ago to tell its latency.
    pub untimed: u64,
    /// Commands beyond those that are followed one by one.
    pub unfollowed: u64,
    /// Commands that no decision offline asks for, where there was one.
    pub unexpected: Option<u64>,
    pub interrupted: bool,
    pub run: String,
    pub seconds: f64,
}

/// What `lost` is made of.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LostOf {
    /// Events that the group did not finish.
    pub events: u64,
    /// Commands without an outcome.
    pub commands: u64,
    /// Commands that the decision offline asks for and that did not come, where there was one.
    pub missing: Option<u64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latencies {
    pub command: Percentiles,
    pub outcome: Percentiles,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct OfTrigger {
    pub commands: u64,
    pub outcomes: u64,
    pub latency_ms: Latencies,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
    pub p999: Option<f64>,
    pub max: Option<f64>,
}

/// One line of JSON, without a line break.
///
/// # Errors
/// None that these fields can cause.
pub fn encode(summary: &Summary) -> Result<String, serde_json::Error> {
    serde_json::to_string(summary)
}

//! A decision receipt, version 1: what one decision was made from and what it was, in one canonical form of bytes.
//!
//! A record is one line of JSON without white space, its fields in the order of the schema, numbers as integers or decimal
//! strings. There is one way to write a receipt, and only that is read: what decodes encodes to the same bytes.
//!
//! The version covers the format and the rules: while it stays, evidence of old makes the decisions of old.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::json_writer::{self, Object};
use super::window;
use crate::domain::claim::ClaimAnswer;
use crate::domain::decide::{Decision, Facts, Mode, Standing};
use crate::domain::evidence::{Bets, Contradiction, Evidence, LastRules, WindowEvidence};
use crate::domain::ids::{CommandId, EventId, Source, TenantId};
use crate::domain::time::millis;
use crate::domain::trigger::Trigger;
use crate::domain::window::{Bet, Reach, Timeliness};

mod differences;
mod digest;
mod preferences;
mod read;
mod read_decision;

pub use differences::{Difference, differences};
pub use digest::Sha256;
pub use preferences::preferences_sha256;
pub use read::decode;

/// The largest receipt that is read, in bytes.
pub const MAX_BYTES: usize = 65_536;
/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// The most bets that stand in a receipt one by one; so many leave room for all else within [`MAX_BYTES`].
pub const MAX_BETS: usize = 2_048;
/// A longer version of preferences is no date-time and is left out; their digest tells them apart all the same.
const MAX_PREFERENCES_VERSION: usize = 128;

/// The namespace of receipt ids (itself a random UUID, fixed for ever).
const RECEIPTS: Uuid = Uuid::from_u128(0x1f8e_5a37_c2d4_4b90_9e61_7a05_38d2_b6fc);

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub id: ReceiptId,
    /// The version of the program that decided.
    pub software: String,
    pub source: Source,
    /// Over the event's record as it came.
    pub event_sha256: Sha256,
    /// There where the tenant has preferences.
    pub preferences: Option<PreferencesVersion>,
    pub evidence: Evidence,
    /// Over the bytes of the receipt before it.
    pub inputs_sha256: Sha256,
    pub decision: Decision,
    /// Of the command that follows from the decision, in shadow or not.
    pub command: Option<CommandId>,
}

/// Names a receipt by what was decided: each further receipt for the same event and trigger has the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptId(pub Uuid);

/// Which preferences decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferencesVersion {
    /// The document's `updated_at` as it stands there.
    pub updated_at: Option<String>,
    /// Over the whole preferences: [`preferences_sha256`].
    pub sha256: Sha256,
}

/// Where the inputs of a decision come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub software: String,
    pub source: Source,
    pub event_sha256: Sha256,
    pub preferences: Option<PreferencesVersion>,
}

impl ReceiptId {
    /// UUID v5 over tenant, trigger and event id, parted by NUL, which the first two cannot hold.
    pub fn of(tenant: &TenantId, trigger: Trigger, event: &EventId) -> Self {
        let name = [tenant.as_str(), trigger.name(), event.as_str()].join("\0");
        Self(Uuid::new_v5(&RECEIPTS, name.as_bytes()))
    }
}

impl Receipt {
    /// The receipt for a decision.
    pub fn new(origin: Origin, evidence: Evidence, decision: Decision) -> Self {
        let event = &evidence.event;
        let mut receipt = Self {
            id: ReceiptId::of(&event.tenant, evidence.trigger, &event.id),
            command: decision.fires().then(|| CommandId::of(&event.tenant, evidence.trigger, &event.id)),
            software: origin.software,
            source: origin.source,
            event_sha256: origin.event_sha256,
            preferences: origin.preferences.map(|mut known| {
                known.updated_at.take_if(|version| version.len() > MAX_PREFERENCES_VERSION);
                known
            }),
            evidence,
            inputs_sha256: Sha256([0; 32]),
            decision,
        };
        receipt.inputs_sha256 = Sha256::of(&inputs(&receipt));
        receipt
    }

    /// The receipt that these rules write for the same evidence.
    pub fn again(&self) -> Result<Self, Contradiction> {
        let origin = Origin {
            software: self.software.clone(),
            source: self.source.clone(),
            event_sha256: self.event_sha256,
            preferences: self.preferences.clone(),
        };
        Ok(Self::new(origin, self.evidence.clone(), self.evidence.decide()?))
    }
}

/// Writes a receipt, without a line feed.
pub fn encode(receipt: &Receipt) -> Vec<u8> {
    let mut out = inputs(receipt);
    let rest = out.len();
    json_writer::object(&mut out, |object| {
        object.string("inputs_sha256", &receipt.inputs_sha256.to_string());
        object.object("decision", |object| decision(object, receipt));
    });
    // The second half goes on in the object that the first one began.
    out[rest] = b',';
    out
}

/// The bytes of a receipt up to the digest over them.
fn inputs(receipt: &Receipt) -> Vec<u8> {
    let Receipt { evidence, source, .. } = receipt;
    let event = &evidence.event;
    let mut out = Vec::with_capacity(2_048);
    json_writer::object(&mut out, |object| {
        object.integer("version", VERSION);
        object.string("id", &receipt.id.0.to_string());
        object.string("software", &receipt.software);
        object.string("tenant_id", event.tenant.as_str());
        object.string("customer_id", event.customer.as_str());
        object.string("event", evidence.trigger.name());
        object.object("cause", |object| {
            object.string("event_id", event.id.as_str());
            object.string("type", event.activity.kind().name());
            object.time("occurred_at", event.occurred_at);
            if let Some(amount) = read::amount_read(evidence.trigger, event.activity) {
                object.string("amount", &amount.to_string());
            }
            object.string("topic", &source.topic);
            object.integer("partition", source.partition);
            object.integer("offset", source.offset);
            object.string("sha256", &receipt.event_sha256.to_string());
        });
        if let (Some(setting), Some(version)) = (evidence.setting, &receipt.preferences) {
            object.object("preferences", |object| {
                if let Some(updated_at) = &version.updated_at {
                    object.string("updated_at", updated_at);
                }
                object.string("sha256", &version.sha256.to_string());
                preferences::partial(object, evidence.trigger, setting);
            });
        }
        if let Some(window) = &evidence.window {
            object.object("window", |object| window_evidence(object, window));
        }
        if let Some(now) = evidence.decided_at {
            object.time("decided_at", now);
        }
        if let Some(last) = &evidence.last {
            last_rules(object, last);
        }
    });
    out.pop();
    out
}

fn window_evidence(object: &mut Object<'_>, window: &WindowEvidence) {
    object.integer("max_lookback_ms", millis(window.max_lookback));
    object.integer("allowed_lateness_ms", millis(window.lateness));
    object.integer("max_entries", whole(window.max_entries));
    match &window.bets {
        Bets::Log(log) => object.string("log", &STANDARD.encode(log_bytes(log))),
        Bets::Summed { number, reach } => {
            object.integer("bets", whole(*number));
            counted(object, *reach);
        }
    }
}

/// A log as windows keep it: 18 bytes a bet.
fn log_bytes(log: &[Bet]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(log.len() * window::BET_BYTES);
    log.iter().for_each(|bet| window::encode(bet, &mut bytes));
    bytes
}

fn last_rules(object: &mut Object<'_>, last: &LastRules) {
    if let Some(limit) = last.max_event_age {
        object.integer("max_event_age_ms", millis(limit));
    }
    object.object("claims", |object| {
        let mode = match last.mode {
            Mode::Live => "live",
            Mode::Shadow => "shadow",
        };
        object.string("mode", mode);
        object.integer("cooldown_ms", millis(last.cooldown));
        object.integer("retention_ms", millis(last.retention));
        match last.answer {
            None => {}
            Some(ClaimAnswer::Held) => object.string("answer", "held"),
            Some(ClaimAnswer::Free) => object.string("answer", "free"),
            Some(ClaimAnswer::CoolingDown { since }) => {
                object.string("answer", "cooling_down");
                object.time("since", since);
            }
        }
        if let Some(limit) = last.cap {
            object.integer("cap", limit);
        }
    });
}

/// What the window said, but for what was needed.
fn counted(object: &mut Object<'_>, reach: Reach) {
    object.integer("event_count", reach.count);
    object.integer("event_window_minutes", reach.within_minutes);
    let timeliness = match reach.timeliness {
        Timeliness::InTime => "in_time",
        Timeliness::Late => "late",
    };
    object.string("timeliness", timeliness);
}

fn reached(object: &mut Object<'_>, reach: Reach) {
    object.integer("needed", reach.needed);
    counted(object, reach);
}

fn facts(object: &mut Object<'_>, facts: Facts) {
    match facts {
        Facts::Plain => {}
        Facts::Amount(amount) => object.string("amount", &amount.to_string()),
        Facts::Frequency(reach) => reached(object, reach),
    }
}

fn decision(object: &mut Object<'_>, receipt: &Receipt) {
    object.string("name", receipt.decision.name());
    match &receipt.decision {
        Decision::TenantUnknown | Decision::FeatureDisabled | Decision::TriggerDisabled => {}
        Decision::BelowThreshold { amount, threshold } => {
            object.string("amount", &amount.to_string());
            object.string("threshold", &threshold.to_string());
        }
        Decision::BelowFrequency(reach) => reached(object, *reach),
        Decision::EventTooOld { facts: fired, age, limit } => {
            facts(object, *fired);
            object.integer("age_ms", millis(*age));
            object.integer("limit_ms", millis(*limit));
        }
        Decision::InCooldown { facts: fired, since, until } => {
            facts(object, *fired);
            object.time("since", *since);
            object.time("until", *until);
        }
        Decision::Required { facts: fired, standing } | Decision::Shadowed { facts: fired, standing } => {
            facts(object, *fired);
            let standing = match standing {
                Standing::First => "first",
                Standing::Again => "again",
            };
            object.string("standing", standing);
        }
        Decision::Capped { facts: fired, limit } => {
            facts(object, *fired);
            object.integer("cap", *limit);
        }
    }
    if let Some(command) = receipt.command {
        object.string("command_id", &command.to_string());
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "receipt/receipt_tests.rs"]
mod tests;

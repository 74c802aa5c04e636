//! The session API from its own side: the requests that its simulator reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{amount, null_as_default};
use crate::domain::ids::CustomerId;
use crate::domain::money::{Amount, InvalidAmount, Usd};
use crate::domain::trigger::{Bound, Trigger};

const MAX_REFERENCE_CHARACTERS: usize = 256;
const MAX_URL_CHARACTERS: usize = 2_048;
const MAX_TOKEN_CHARACTERS: usize = 256;

/// Why a request is refused: the field, and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct InvalidRequest {
    pub field: &'static str,
    pub problem: String,
}

fn invalid(field: &'static str, problem: &str) -> InvalidRequest {
    InvalidRequest { field, problem: problem.to_owned() }
}

/// A request to make a session, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRequest {
    pub reference: String,
    pub customer: CustomerId,
    pub event: RequestedEvent,
    pub redirect_url: Option<String>,
    pub callback_url: Option<String>,
}

/// What the customer is said to have done, with the numbers that its trigger reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedEvent {
    /// An empty or unknown name. The service lets it pass silently.
    Unknown,
    Plain(Trigger),
    Amount {
        trigger: Trigger,
        amount: Usd,
        /// The digits as they were sent.
        text: String,
    },
    Frequency {
        trigger: Trigger,
        count: u32,
        window_minutes: u32,
    },
}

#[derive(Deserialize)]
struct RequestBody<'a> {
    #[serde(borrow, default)]
    reference: Option<&'a RawValue>,
    #[serde(borrow, default)]
    customer_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    amount: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event_count: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event_window_minutes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    redirect_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    callback_url: Option<&'a RawValue>,
}

/// Reads a request to make a session.
pub fn decode_request(bytes: &[u8]) -> Result<SessionRequest, InvalidRequest> {
    let body: RequestBody<'_> = json_object(bytes)?;
    let reference = required_text("reference", body.reference, MAX_REFERENCE_CHARACTERS)?;
    let customer = required_text("customer_id", body.customer_id, 128)?;
    let customer = CustomerId::new(&customer).map_err(|error| invalid("customer_id", &error.to_string()))?;
    let event = text("event", body.event, 256)?.ok_or_else(|| invalid("event", "is required"))?;
    Ok(SessionRequest {
        reference,
        customer,
        event: requested_event(&event, &body)?,
        redirect_url: text("redirect_url", body.redirect_url, MAX_URL_CHARACTERS)?,
        callback_url: text("callback_url", body.callback_url, MAX_URL_CHARACTERS)?,
    })
}

fn requested_event(name: &str, body: &RequestBody<'_>) -> Result<RequestedEvent, InvalidRequest> {
    let Some(trigger) = Trigger::from_name(name) else { return Ok(RequestedEvent::Unknown) };
    Ok(match trigger.bounded_by() {
        Bound::Amount => {
            let raw = body.amount.ok_or_else(|| invalid("amount", "is required"))?;
            if raw.get().starts_with('"') {
                return Err(invalid("amount", "must be a JSON number"));
            }
            RequestedEvent::Amount { trigger, amount: dollars(raw)?, text: raw.get().to_owned() }
        }
        Bound::Frequency => RequestedEvent::Frequency {
            trigger,
            count: whole("event_count", body.event_count)?,
            window_minutes: whole("event_window_minutes", body.event_window_minutes)?,
        },
        Bound::Nothing => RequestedEvent::Plain(trigger),
    })
}

/// Reads an amount of any length. A converted one has more digits than a threshold can have; those beyond the 28th cannot
/// make it reach or miss one, so they are dropped.
fn dollars(raw: &RawValue) -> Result<Usd, InvalidRequest> {
    let amount = match amount(raw) {
        Err(InvalidAmount::TooManyDigits) => first_digits(raw.get()).parse(),
        other => other,
    };
    amount.map(Amount::as_usd).map_err(|error| invalid("amount", &error.to_string()))
}

/// A JSON number without its significant digits after the 28th.
fn first_digits(number: &str) -> String {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let mut exponent: i64 = exponent.parse().unwrap_or(0);
    let (mut kept, mut significant, mut in_fraction) = (String::new(), 0, false);
    for character in mantissa.chars() {
        if character.is_ascii_digit() && (significant > 0 || character != '0') {
            significant += 1;
        }
        match character {
            '0'..='9' if significant > 28 => exponent += i64::from(!in_fraction),
            '.' => in_fraction = true,
            _ => {}
        }
        // A point after the last kept digit would lack its fraction.
        if significant <= 28 && (character != '.' || significant < 28) {
            kept.push(character);
        }
    }
    format!("{}e{exponent}", kept.trim_end_matches('.'))
}

fn json_object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, InvalidRequest> {
    // A derived reader would take an array for an object.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(invalid("the body", "must be a JSON object"));
    }
    // The reader would not look into the strings of fields that are not known.
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("the body", "is not UTF-8"))?;
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => invalid("the body", "holds a field twice or of a wrong type"),
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            invalid("the body", "is not JSON")
        }
    })
}

fn required_text(field: &'static str, raw: Option<&RawValue>, max: usize) -> Result<String, InvalidRequest> {
    text(field, raw, max)?.filter(|text| !text.is_empty()).ok_or_else(|| invalid(field, "is required"))
}

fn text(field: &'static str, raw: Option<&RawValue>, max: usize) -> Result<Option<String>, InvalidRequest> {
    let Some(raw) = raw else { return Ok(None) };
    let text: String = serde_json::from_str(raw.get()).map_err(|_| invalid(field, "must be a string"))?;
    if text.chars().count() > max || text.chars().any(char::is_control) {
        return Err(invalid(field, &format!("must have at most {max} characters, none of them a control character")));
    }
    Ok(Some(text))
}

fn whole(field: &'static str, raw: Option<&RawValue>) -> Result<u32, InvalidRequest> {
    let raw = raw.ok_or_else(|| invalid(field, "is required"))?;
    raw.get().parse().map_err(|_| invalid(field, "must be a whole number of at least 0"))
}

/// A customer's selfie, decoded from base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    pub token: String,
    pub proof: Vec<u8>,
}

#[derive(Deserialize)]
struct SubmissionBody<'a> {
    #[serde(borrow, default)]
    token: Option<&'a RawValue>,
    #[serde(default)]
    proof: Option<String>,
}

/// Reads a submission whose decoded proof has at most `max_proof` bytes.
pub fn decode_submission(bytes: &[u8], max_proof: usize) -> Result<Submission, InvalidRequest> {
    let body: SubmissionBody<'_> = json_object(bytes)?;
    let token = required_text("token", body.token, MAX_TOKEN_CHARACTERS)?;
    let proof = body.proof.filter(|proof| !proof.is_empty()).ok_or_else(|| invalid("proof", "is required"))?;
    let proof = STANDARD_PAD_INDIFFERENT.decode(proof).map_err(|_| invalid("proof", "must be base64"))?;
    if proof.len() > max_proof {
        return Err(invalid("proof", &format!("must have at most {max_proof} bytes")));
    }
    Ok(Submission { token, proof })
}

/// Reads the token of a phone that attaches.
pub fn decode_connect(bytes: &[u8]) -> Result<String, InvalidRequest> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default)]
        token: Option<&'a RawValue>,
    }
    let body: Body<'_> = json_object(bytes)?;
    required_text("token", body.token, MAX_TOKEN_CHARACTERS)
}

/// `reuse_kyc_reactions` of a preferences document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Reactions {
    /// Retries after the first attempt.
    #[serde(default, deserialize_with = "null_as_default")]
    pub max_retry_attempts: u32,
    #[serde(default, deserialize_with = "null_as_default")]
    pub trigger_alert: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    pub enforce_logout: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    pub freeze_account: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    pub freeze_duration_minutes: u32,
}

/// Reads the reactions of a document; absent ones are those that do nothing.
pub fn decode_reactions(document: &[u8]) -> Result<Reactions, InvalidRequest> {
    #[derive(Deserialize)]
    struct Document {
        #[serde(default, deserialize_with = "null_as_default")]
        reuse_kyc_reactions: Reactions,
    }
    serde_json::from_slice::<Document>(document)
        .map(|document| document.reuse_kyc_reactions)
        .map_err(|_| invalid("reuse_kyc_reactions", "holds a field of a wrong type"))
}

#[cfg(test)]
#[path = "session_api_tests.rs"]
mod tests;

//! The session API as we call it: the request to make a verification session, and what the service answers.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::command::Command;
use crate::domain::decide::Facts;
use crate::domain::delivery::Answer;
use crate::domain::outcome::Session;
use crate::domain::time::Timestamp;

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 65_536;
/// How long a session's token lives where the answer does not say.
pub const TOKEN_LIFETIME: Duration = Duration::from_mins(10);
/// No `Retry-After` is taken for longer than this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

const MAX_REASON_CHARACTERS: usize = 512;
const MAX_TOKEN_BYTES: usize = 4_096;
const MAX_LINKS: usize = 16;
const MAX_LINK_BYTES: usize = 2_048;

/// The JSON body that asks for a session called `reference`.
///
/// The amount is a JSON number with exactly the digits that the command holds. Both URLs come from the configuration.
pub fn encode_request(
    command: &Command,
    reference: &str,
    redirect_url: Option<&str>,
    callback_url: Option<&str>,
) -> Vec<u8> {
    let mut body = String::with_capacity(256);
    text(&mut body, "{", "reference", reference);
    text(&mut body, ",", "customer_id", command.customer.as_str());
    text(&mut body, ",", "event", command.trigger.name());
    // Writing to a String cannot fail.
    let _ = match command.facts {
        Facts::Plain => Ok(()),
        Facts::Amount(amount) => write!(body, r#","amount":{amount}"#),
        Facts::Frequency(reach) => {
            write!(body, r#","event_count":{},"event_window_minutes":{}"#, reach.count, reach.within_minutes)
        }
    };
    if let Some(url) = redirect_url {
        text(&mut body, ",", "redirect_url", url);
    }
    if let Some(url) = callback_url {
        text(&mut body, ",", "callback_url", url);
    }
    body.push('}');
    body.into_bytes()
}

fn text(body: &mut String, before: &str, name: &str, value: &str) {
    let _ = write!(body, r#"{before}"{name}":{}"#, Value::from(value));
}

/// Reads what the service answered. Every answer is a value: a success that cannot be read is a lost one, because the
/// session may exist.
pub fn decode_answer(status: u16, body: &[u8], retry_after: Option<Duration>, now: Timestamp) -> Answer {
    let object = if body.len() > MAX_ANSWER_BYTES { None } else { object(body) };
    if !(200..300).contains(&status) {
        let reason = object.as_ref().map(message).unwrap_or_default();
        return Answer::Status { code: status, reason, retry_after };
    }
    let lost = |reason: &str| Answer::Lost { reason: reason.to_owned() };
    let Some(answer) = object else {
        return lost(match body.len() {
            0..=MAX_ANSWER_BYTES => "the answer is not a JSON object",
            _ => "the answer is larger than 64 KiB",
        });
    };
    match answer.get("is_required") {
        Some(Value::Bool(false)) => {
            Answer::NotRequired { reason: for_people(answer.get("reason").and_then(Value::as_str).unwrap_or_default()) }
        }
        Some(Value::Bool(true)) => match answer.get("token").and_then(Value::as_str).filter(|token| usable(token)) {
            Some(token) => Answer::Created(Session {
                token: token.to_owned(),
                token_expires_at: expiry(&answer).unwrap_or_else(|| now.plus(TOKEN_LIFETIME)),
                links: links(&answer),
            }),
            None => lost("the answer asks for verification but holds no usable token"),
        },
        _ => lost("the answer does not say whether verification is required"),
    }
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Some(object),
        Ok(_) | Err(_) => None,
    }
}

fn usable(token: &str) -> bool {
    !token.is_empty() && token.len() <= MAX_TOKEN_BYTES && !token.chars().any(char::is_control)
}

fn expiry(answer: &Map<String, Value>) -> Option<Timestamp> {
    ["token_expires_at", "expires_at"].into_iter().find_map(|name| Timestamp::parse(answer.get(name)?.as_str()?).ok())
}

/// The message of an error: `message`, `error` (a text, or an object with a message) or `reason`.
fn message(error: &Map<String, Value>) -> String {
    ["message", "error", "reason"]
        .into_iter()
        .filter_map(|name| match error.get(name)? {
            Value::String(text) => Some(text.as_str()),
            Value::Object(inner) => inner.get("message")?.as_str(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        })
        .find(|text| !text.is_empty())
        .map(for_people)
        .unwrap_or_default()
}

/// A foreign text made safe to show: one line, bounded.
pub fn for_people(text: &str) -> String {
    text.chars().take(MAX_REASON_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The links for the hand-off to a phone: the texts of a `links` object, and what is named like a link beside it.
fn links(answer: &Map<String, Value>) -> Vec<(String, String)> {
    let grouped = answer.get("links").and_then(Value::as_object).into_iter().flatten();
    let beside = answer.iter().filter(|(name, _)| is_link_name(name));
    grouped
        .chain(beside)
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .filter(|(name, link)| name.len() <= 64 && !link.is_empty() && link.len() <= MAX_LINK_BYTES)
        .take(MAX_LINKS)
        .collect()
}

fn is_link_name(name: &str) -> bool {
    // An echo of what we sent is no hand-off link.
    let echo = matches!(name, "redirect_url" | "callback_url");
    !echo && (name.ends_with("_url") || name.ends_with("_link") || name.starts_with("qr"))
}

/// Reads a `Retry-After` header: whole seconds or an HTTP-date, at most [`MAX_RETRY_AFTER`]. A date that has passed is no
/// wait; what is neither is nothing.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if value.len() > 64 || value.is_empty() {
        return None;
    }
    let wait = if value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Twenty digits or more do not fit, and mean the bound all the same.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = jiff::fmt::rfc2822::parse(value).ok()?;
        Timestamp(date.timestamp().as_millisecond()).since(now)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

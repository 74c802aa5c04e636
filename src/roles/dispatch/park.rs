//! The record of a command that waits on the retries topic.

use std::time::Duration;

use super::Job;
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::kafka::producer::{Outgoing, Size};
use crate::wire::retry;

pub(super) fn record(job: &Job, wait: Duration, topic: &str) -> Outgoing {
    let not_before: Timestamp = clock::now().plus(wait).min(job.command.expires_at);
    let mut headers = retry::headers(not_before, &job.attempts);
    headers.extend(job.span.iter().flat_map(|span| span.origin()));
    Outgoing {
        topic: topic.to_owned(),
        key: job.key.clone(),
        payload: Some(job.payload.clone()),
        headers,
        size: Size::Fixed,
    }
}

//! Parking: a command that has to wait stands on the retries topic until its time comes.

use std::time::Duration;

use super::spans::{self, Open};
use super::{Dispatch, Job};
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::kafka::producer::{Outgoing, Sink, Size};
use crate::failpoint::{self, Step};
use crate::roles::hold::Stopped;
use crate::wire::retry;

/// A command on its way to the retries topic.
pub(super) struct Parking {
    record: Outgoing,
    span: Option<Box<Open>>,
}

impl Parking {
    pub(super) fn of(job: &Job, wait: Duration, topic: &str) -> Self {
        Self { record: record(job, wait, topic), span: job.span.clone() }
    }
}

/// Writes the record and waits until it is acknowledged.
pub(super) async fn park<O: Send + Sync, X: Send + Sync, K: Sink>(
    role: &Dispatch<O, X, K>,
    Parking { record, span }: Parking,
) -> Result<(), Stopped> {
    role.holder.send(&role.sink, vec![record]).await?;
    failpoint::pass(Step::DispatchParked);
    role.metrics.parked();
    if let Some(span) = span {
        span.end(&role.traces, "parked", spans::Ended::Well);
    }
    Ok(())
}

fn record(job: &Job, wait: Duration, topic: &str) -> Outgoing {
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

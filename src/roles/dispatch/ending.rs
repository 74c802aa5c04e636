//! Ending a command: its outcome is fixed first, so that whoever comes second publishes the same, and published then.

use super::spans::{self, Open};
use super::{Dispatch, Job};
use crate::domain::command::Command;
use crate::domain::outcome::{Ending, Outcome, Rejection};
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::kafka::producer::{Outgoing, Sink, Size};
use crate::edge::outcomes::Outcomes;
use crate::edge::sessions::Sessions;
use crate::failpoint::{self, Step};
use crate::health::Dependency;
use crate::metrics::HeldReason;
use crate::roles::hold::Stopped;
use crate::wire::dead_letter::{self, Stage};
use crate::wire::{command, outcome};

/// A command that has come to its end, and the record it came in.
pub(super) struct Ended {
    outcome: Outcome,
    issued_at: Timestamp,
    letter: Letter,
}

/// The command's record as it came, for the dead letters, and its span.
struct Letter {
    key: Option<Vec<u8>>,
    payload: Vec<u8>,
    source: crate::domain::ids::Source,
    span: Option<Box<Open>>,
}

impl Ended {
    pub(super) fn of(job: &Job, ending: Ending) -> Self {
        let Job { command, attempts, .. } = job;
        let reference = command.numbered_reference(attempts.number());
        Self {
            outcome: Outcome::new(command, reference, ending, attempts.made, clock::now()),
            issued_at: command.issued_at,
            letter: letter(job),
        }
    }
}

fn letter(job: &Job) -> Letter {
    let Job { key, payload, position, span, .. } = job;
    Letter { key: key.clone(), payload: payload.clone(), source: position.source(), span: span.clone() }
}

/// Fixes the outcome and publishes the one that stands.
pub(super) async fn end<O: Outcomes, X: Sessions, K: Sink>(
    role: &Dispatch<O, X, K>,
    ended: Ended,
) -> Result<(), Stopped> {
    let record = outcome::encode(&ended.outcome);
    let fix = || role.outcomes.fix(ended.outcome.command, &record);
    let standing = role.holder.until_ok(HeldReason::Outcomes, Dependency::Redis, fix).await?;
    failpoint::pass(Step::DispatchFixed);
    let outcome = if standing == record { Some(ended.outcome) } else { outcome::decode(&standing).ok() };
    if let Some(Outcome { ending: Ending::NotRequired { .. }, tenant, trigger, .. }) = &outcome {
        role.metrics.contradiction(tenant, *trigger);
        (role.on_contradiction)(tenant);
        // A hint: where it is lost, the preferences' own time to live has the same effect later.
        let _ = role.outcomes.doubt(tenant, clock::now()).await;
    }
    send(role, standing, outcome, ended.letter, ended.issued_at).await
}

/// Publishes the outcome that was fixed before for this command.
pub(super) async fn publish<O: Outcomes, X: Sessions, K: Sink>(
    role: &Dispatch<O, X, K>,
    job: &Job,
    record: &[u8],
) -> Result<(), Stopped> {
    let Command { issued_at, .. } = job.command;
    send(role, record.to_vec(), outcome::decode(record).ok(), letter(job), issued_at).await
}

async fn send<O: Outcomes, X: Sessions, K: Sink>(
    role: &Dispatch<O, X, K>,
    record: Vec<u8>,
    outcome: Option<Outcome>,
    letter: Letter,
    issued_at: Timestamp,
) -> Result<(), Stopped> {
    let headers = letter.span.as_ref().map(|span| span.headers()).unwrap_or_default();
    let Some(outcome) = outcome else {
        // Somebody else's bytes stand under our key. The command cannot be ended twice, so this is only said.
        tracing::error!("the outcome that is fixed for a command is not readable; it is published as it stands");
        let outgoing = Outgoing { headers, ..Outgoing::new(&role.topics.outcomes, letter.key, record) };
        return role.holder.send(&role.sink, vec![outgoing]).await;
    };
    let key = command::key(&outcome.tenant, &outcome.customer);
    let mut outgoing = vec![Outgoing { headers, ..Outgoing::new(&role.topics.outcomes, Some(key), record) }];
    let rejection = rejection(&outcome.ending);
    if let Some(rejection) = &rejection {
        outgoing.push(Outgoing {
            topic: role.topics.dead_letters.clone(),
            key: letter.key,
            payload: Some(letter.payload),
            headers: dead_letter::headers(rejection.code, &rejection.error, Stage::Dispatch, &letter.source),
            size: Size::Fixed,
        });
    }
    role.holder.send(&role.sink, outgoing).await?;
    failpoint::pass(Step::DispatchPublished);
    if let Some(span) = &letter.span {
        let ended = if rejection.is_some() { spans::Ended::Failed } else { spans::Ended::Well };
        span.end(&role.traces, outcome.ending.status(), ended);
    }
    role.metrics.outcome(&outcome.tenant, outcome.trigger, &outcome.ending);
    role.metrics.session_latency(clock::now().since(issued_at));
    if let Some(rejection) = rejection {
        role.metrics.dead_letters(rejection.code, 1);
    }
    Ok(())
}

fn rejection(ending: &Ending) -> Option<Rejection> {
    let code = ending.dead_letter()?;
    let error = match ending {
        Ending::Rejected { http_status, .. } => format!("the session API answered {http_status}"),
        Ending::Expired { http_status: Some(status), .. } => {
            format!("not delivered in time; the last answer was {status}")
        }
        Ending::Expired { http_status: None, .. } => "not delivered in time".to_owned(),
        Ending::SessionCreated(_) | Ending::NotRequired { .. } | Ending::AlreadyExists => return None,
    };
    Some(Rejection { code, error })
}

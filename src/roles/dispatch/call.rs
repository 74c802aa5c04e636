//! One call of the session API for one command, and what it leads to.

use std::time::Duration;

use tokio::time::Instant;

use super::Dispatch;
use super::host::signal;
use super::spans::Calling;
use crate::domain::circuit::Signal;
use crate::domain::command::{Command, Reference};
use crate::domain::delivery::{Answer, Attempts, Step, next_step, still_time};
use crate::domain::outcome::Ending;
use crate::edge::clock;
use crate::edge::kafka::producer::Sink;
use crate::edge::outcomes::{EarlierAttempt, Outcomes};
use crate::edge::sessions::Sessions;
use crate::failpoint;
use crate::health::Dependency;
use crate::metrics::{HeldReason, HttpTarget, RetryReason};
use crate::roles::hold::{GivenUp, Stopped};
use crate::traces::Place;
use crate::wire::session;

/// What a call led to.
pub(super) struct Called {
    pub(super) attempts: Attempts,
    pub(super) heard: Heard,
    /// What it tells of the host.
    pub(super) signal: Signal,
    pub(super) next: Next,
}

impl Called {
    /// No call was made after all.
    fn off(attempts: Attempts, next: Next) -> Self {
        Self { attempts, heard: Heard::Nothing, signal: Signal::NotMade, next }
    }
}

pub(super) enum Next {
    Again {
        wait: Duration,
    },
    /// The tenant's credential is refused, or cannot be had.
    Refused {
        http_status: Option<u16>,
    },
    End {
        ending: Ending,
    },
    /// The store was away for too long to be waited for.
    GiveUp,
}

/// What a call tells of the tenant's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// The service answered, and it was no refusal of the credential.
    Accepted,
    Refused,
    Nothing,
}

pub(super) async fn call<O: Outcomes, X: Sessions, K: Sink>(
    role: &Dispatch<O, X, K>,
    command: &Command,
    mut attempts: Attempts,
    trace: Option<Place>,
) -> Result<Called, Stopped> {
    if let Some(ending) = still_time(command, &attempts, &role.policy, clock::now()) {
        return Ok(Called::off(attempts, Next::End { ending }));
    }
    if let Err(GivenUp) = note(role, command, &mut attempts).await? {
        return Ok(Called::off(attempts, Next::GiveUp));
    }
    failpoint::pass(failpoint::Step::DispatchNoted);
    let number = attempts.number();
    // The note may have had to wait for the store.
    if let Some(ending) = still_time(command, &attempts, &role.policy, clock::now()) {
        return Ok(Called::off(attempts, Next::End { ending }));
    }
    let reference = command.numbered_reference(number);
    let body = session::encode_request(command, &reference, role.redirect_url.as_deref(), role.callback_url.as_deref());
    let limit = command.expires_at.since(clock::now());
    let (began, resent) = (Instant::now(), attempts.made);
    let calling = trace.as_ref().map(Calling::of);
    let context = calling.as_ref().map(|calling| &calling.place.context);
    let answer = role.sessions.create(&command.tenant, body, context, limit).await;
    failpoint::pass(failpoint::Step::DispatchCalled);
    let status = status_of(&answer);
    if let Some(calling) = calling {
        calling.end(role, &answer, status, resent);
    }
    if !matches!(answer, Answer::NoCredential { .. }) {
        role.metrics.http_call(HttpTarget::Session, status, began.elapsed());
    }
    let (reason, heard, signal) = (retry_reason(&answer), heard(status), signal(&answer));
    let kept_out = made_no_session(&answer);
    tell_health(role, &answer);
    let step = next_step(command, &mut attempts, answer, &role.policy, clock::now(), rand::random());
    if attempts.number() > number {
        tracing::warn!(command = %command.id, tenant = %command.tenant, "an answer was lost: its session is left unused");
        role.metrics.lost_answer();
        role.metrics.orphan_session();
    }
    let next = match step {
        Step::Retry { wait } => {
            role.metrics.retried(reason);
            Next::Again { wait }
        }
        Step::PauseTenant { http_status } => Next::Refused { http_status },
        Step::Done(ending) => Next::End { ending },
    };
    // With the attempt on record a later conflict would be taken for a session of ours, also by a command of the same
    // transaction that comes later.
    let kept_out = kept_out && attempts.number() == number;
    if forget(role, command, number, &attempts, kept_out).await?.is_err() {
        return Ok(Called { attempts, heard, signal, next: Next::GiveUp });
    }
    Ok(Called { attempts, heard, signal, next })
}

/// Puts the attempt on record where a conflict could otherwise not be told from another's session.
async fn note<O: Outcomes, X: Sessions, K: Sink>(
    role: &Dispatch<O, X, K>,
    command: &Command,
    attempts: &mut Attempts,
) -> Result<Result<(), GivenUp>, Stopped> {
    if command.reference == Reference::CommandId {
        return Ok(Ok(()));
    }
    let (number, mark) = (attempts.number(), rand::random());
    // What a redriven command takes up was called by the same transaction.
    for id in command.attempted_as() {
        let begin = || role.outcomes.begin_attempt(id, number, mark);
        let begun = role.holder.until_ok_or_given_up(HeldReason::Outcomes, Dependency::Redis, begin, || true).await?;
        match begun {
            // On record and not taken back: its answer never came.
            Ok(earlier) => attempts.unanswered |= earlier == EarlierAttempt::OnRecord,
            Err(given_up) => return Ok(Err(given_up)),
        }
    }
    Ok(Ok(()))
}

/// Takes an attempt back that certainly made no session, unless an earlier one under the same reference may have.
async fn forget<O: Outcomes, X: Sessions, K: Sink>(
    role: &Dispatch<O, X, K>,
    command: &Command,
    number: u32,
    attempts: &Attempts,
    made_no_session: bool,
) -> Result<Result<(), GivenUp>, Stopped> {
    if command.reference == Reference::CommandId || !made_no_session || attempts.unanswered {
        return Ok(Ok(()));
    }
    for id in command.attempted_as() {
        let forget = || role.outcomes.forget_attempt(id, number);
        let forgotten =
            role.holder.until_ok_or_given_up(HeldReason::Outcomes, Dependency::Redis, forget, || true).await?;
        if forgotten.is_err() {
            return Ok(forgotten);
        }
    }
    Ok(Ok(()))
}

fn heard(status: Option<u16>) -> Heard {
    match status {
        Some(401 | 403) => Heard::Refused,
        // These may come from somebody who did not look at the credential.
        Some(408 | 425 | 429 | 500..) | None => Heard::Nothing,
        Some(status) if status < 200 || (300..400).contains(&status) => Heard::Nothing,
        Some(_) => Heard::Accepted,
    }
}

/// Whether an answer rules out that the call made a session.
fn made_no_session(answer: &Answer) -> bool {
    match answer {
        Answer::NotSent { .. } | Answer::NoCredential { .. } => true,
        Answer::Status { code, .. } => matches!(code, 300..=407 | 409..=499),
        Answer::Created(_) | Answer::NotRequired { .. } | Answer::Lost { .. } => false,
    }
}

/// A service that cannot be connected to is missing; one that answers, whatever it says, is there.
fn tell_health<O, X, K>(role: &Dispatch<O, X, K>, answer: &Answer) {
    match answer {
        Answer::NotSent { reason } => role.holder.health.missing(role.holder.role, Dependency::SessionApi, reason),
        Answer::Created(_) | Answer::NotRequired { .. } | Answer::Status { .. } => {
            role.holder.health.ready(role.holder.role, Dependency::SessionApi);
        }
        Answer::Lost { .. } | Answer::NoCredential { .. } => {}
    }
}

fn status_of(answer: &Answer) -> Option<u16> {
    match answer {
        Answer::Created(_) | Answer::NotRequired { .. } => Some(200),
        Answer::Status { code, .. } => Some(*code),
        Answer::NotSent { .. } | Answer::NoCredential { .. } | Answer::Lost { .. } => None,
    }
}

fn retry_reason(answer: &Answer) -> RetryReason {
    match answer {
        Answer::Status { code: 429, .. } => RetryReason::Status429,
        Answer::Status { code: 409, .. } | Answer::Lost { .. } => RetryReason::LostAnswer,
        Answer::Status { code: 500..=599, .. } => RetryReason::Status5xx,
        Answer::NotSent { .. } => RetryReason::Transport,
        Answer::Status { .. } | Answer::NoCredential { .. } | Answer::Created(_) | Answer::NotRequired { .. } => {
            RetryReason::StatusOther
        }
    }
}

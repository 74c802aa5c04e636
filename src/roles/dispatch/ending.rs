//! Ending commands: an outcome is fixed first, so that whoever comes second publishes the same, and published then.

use std::time::Duration;

use super::spans::{self, Open};
use super::{Dispatch, Job};
use crate::domain::command::Command;
use crate::domain::ids::CommandId;
use crate::domain::outcome::{Ending, Outcome, RejectCode, Rejection};
use crate::domain::patience::OnUnavailable;
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::kafka::producer::{Outgoing, Sink, Size};
use crate::edge::outcomes::Outcomes;
use crate::edge::sessions::Sessions;
use crate::failpoint::{self, Step};
use crate::health::Dependency;
use crate::metrics::{HeldReason, Role};
use crate::roles::hold::{GivenUp, Stopped};
use crate::wire::dead_letter::{self, Stage};
use crate::wire::{command, outcome};

/// A command that has come to its end, and the record it came in.
pub(super) struct Ended {
    outcome: Outcome,
    issued_at: Timestamp,
    letter: Letter,
}

/// The command's record as it came, for the dead letters, and its span.
pub(super) struct Letter {
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

pub(super) fn letter(job: &Job) -> Letter {
    let Job { key, payload, position, span, .. } = job;
    Letter { key: key.clone(), payload: payload.clone(), source: position.source(), span: span.clone() }
}

impl Letter {
    fn outgoing<O, X, K>(self, rejection: &Rejection, role: &Dispatch<O, X, K>) -> Outgoing {
        Outgoing {
            topic: role.topics.dead_letters.clone(),
            key: self.key,
            payload: Some(self.payload),
            headers: dead_letter::headers(rejection.code, &rejection.error, Stage::Dispatch, &self.source),
            size: Size::Fixed,
        }
    }
}

/// A command that has come to its end, and the outcome of it that stands.
pub(super) struct Fixed {
    ended: Ended,
    standing: Result<Standing, GivenUp>,
}

enum Standing {
    Ours(Vec<u8>),
    Anothers(Vec<u8>),
}

/// Fixes the outcomes of commands, all in one call.
pub(super) async fn fix<O: Outcomes, X: Sessions, K: Sink>(
    role: &Dispatch<O, X, K>,
    ended: Vec<Ended>,
) -> Result<Vec<Fixed>, Stopped> {
    let record = |Ended { outcome, .. }: &Ended| (outcome.command, outcome::encode(outcome));
    let records: Vec<(CommandId, Vec<u8>)> = ended.iter().map(record).collect();
    let fix = || role.outcomes.fix_all(&records);
    let fixed = role.holder.until_ok_or_given_up(HeldReason::Outcomes, Dependency::Redis, fix, || true).await?;
    failpoint::pass(Step::DispatchFixed);
    let Ok(standing) = fixed else {
        return Ok(ended.into_iter().map(|ended| Fixed { ended, standing: Err(GivenUp) }).collect());
    };
    let compare = |((ended, standing), (_, ours)): ((Ended, Vec<u8>), (CommandId, Vec<u8>))| {
        let standing = if standing == ours { Standing::Ours(ours) } else { Standing::Anothers(standing) };
        Fixed { ended, standing: Ok(standing) }
    };
    Ok(ended.into_iter().zip(standing).zip(records).map(compare).collect())
}

/// Publishes the outcome of a command that stands.
pub(super) async fn end<O: Outcomes, X: Sessions, K: Sink>(
    role: &Dispatch<O, X, K>,
    Fixed { ended, standing }: Fixed,
) -> Result<(), Stopped> {
    let (standing, outcome) = match standing {
        Ok(Standing::Ours(record)) => (record, Some(ended.outcome)),
        Ok(Standing::Anothers(record)) => {
            let outcome = outcome::decode(&record).ok();
            (record, outcome)
        }
        Err(GivenUp) => {
            if let Ending::SessionCreated(_) = ended.outcome.ending {
                role.metrics.orphan_session();
            }
            return give_up(role, ended.letter).await;
        }
    };
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

/// Puts a command to the dead letters whose outcome cannot be fixed. It gets none: another dispatcher may have fixed it
/// before the store went away.
pub(super) async fn give_up<O, X, K: Sink>(role: &Dispatch<O, X, K>, letter: Letter) -> Result<(), Stopped> {
    let waited = match role.holder.terms() {
        OnUnavailable::Hold => Duration::ZERO,
        OnUnavailable::DeadLetter { after } => after,
    };
    let rejection = Rejection {
        code: RejectCode::StoreUnavailable,
        error: format!("the store was away for dispatch.hold_for ({waited:?}); the command has no outcome"),
    };
    let span = letter.span.clone();
    role.holder.send(&role.sink, vec![letter.outgoing(&rejection, role)]).await?;
    if let Some(span) = span {
        span.end(&role.traces, "given_up", spans::Ended::Failed);
    }
    role.metrics.dead_letters(rejection.code, 1);
    role.metrics.given_up(Role::Dispatch, HeldReason::Outcomes, 1);
    Ok(())
}

async fn send<O: Outcomes, X: Sessions, K: Sink>(
    role: &Dispatch<O, X, K>,
    record: Vec<u8>,
    outcome: Option<Outcome>,
    letter: Letter,
    issued_at: Timestamp,
) -> Result<(), Stopped> {
    let span = letter.span.clone();
    let headers = span.as_ref().map(|span| span.headers()).unwrap_or_default();
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
        outgoing.push(letter.outgoing(rejection, role));
    }
    role.holder.send(&role.sink, outgoing).await?;
    failpoint::pass(Step::DispatchPublished);
    if let Some(span) = &span {
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

//! Taking records in: decoded, and looked up in the outcomes that are fixed already.

use super::{Dispatch, Job, spans};
use crate::domain::ids::CommandId;
use crate::domain::outcome::{RejectCode, Rejection};
use crate::edge::clock;
use crate::edge::kafka::producer::{Outgoing, Sink};
use crate::edge::kafka::records::{Batch, Position, Record};
use crate::edge::outcomes::Outcomes;
use crate::edge::sessions::Sessions;
use crate::failpoint::{self, Step};
use crate::health::Dependency;
use crate::metrics::HeldReason;
use crate::roles::evaluate::dead_letter;
use crate::roles::hold::{GivenUp, Stopped};
use crate::wire::dead_letter::Stage;
use crate::wire::{command, retry};

/// A record that was taken in.
pub(super) enum Admitted {
    /// It is no command. It goes to the dead letters.
    Unreadable(Box<Unreadable>),
    /// Its outcome is fixed: it is published again, and no call is made.
    Fixed { job: Box<Job>, record: Vec<u8> },
    /// It is to be delivered, once it is due.
    Open { job: Box<Job> },
    /// Nobody knows whether its outcome is fixed, and the store was away for too long to be waited for.
    GivenUp { job: Box<Job> },
}

/// A record that is no command, on its way to the dead letters.
pub(super) struct Unreadable {
    pub(super) letter: Outgoing,
    pub(super) code: RejectCode,
    pub(super) position: Position,
}

pub(super) async fn admit<O: Outcomes, X: Sessions, K: Sink>(
    role: &Dispatch<O, X, K>,
    batch: &Batch,
) -> Result<Vec<Admitted>, Stopped> {
    failpoint::pass(Step::DispatchTaken);
    let taken = clock::precisely();
    let read: Vec<Result<Job, Box<Unreadable>>> = batch
        .iter()
        .map(|record| {
            let mut job = decode(&record, &role.topics.dead_letters)?;
            job.span = spans::Open::of(&role.traces, &record, &job.command, taken);
            Ok(job)
        })
        .collect();
    let ids: Vec<CommandId> = read.iter().flatten().map(|job| job.command.id).collect();
    let (look, asked) = (|| role.outcomes.fixed(&ids), || !ids.is_empty());
    let fixed = role.holder.until_ok_or_given_up(HeldReason::Outcomes, Dependency::Redis, look, asked).await?;
    failpoint::pass(Step::DispatchAdmitted);
    let mut fixed = fixed.map(Vec::into_iter);
    let admit_one = |read: Result<Job, Box<Unreadable>>| match (read, &mut fixed) {
        (Err(unreadable), _) => Admitted::Unreadable(unreadable),
        (Ok(job), Err(GivenUp)) => Admitted::GivenUp { job: Box::new(job) },
        (Ok(job), Ok(fixed)) => match fixed.next().flatten() {
            Some(record) => Admitted::Fixed { job: Box::new(job), record },
            None => Admitted::Open { job: Box::new(job) },
        },
    };
    Ok(read.into_iter().map(admit_one).collect())
}

fn decode(record: &Record<'_>, dead_letters: &str) -> Result<Job, Box<Unreadable>> {
    let unreadable = |rejection: Rejection| {
        let letter = dead_letter(record, &rejection, Stage::Dispatch, dead_letters);
        Box::new(Unreadable { letter, code: rejection.code, position: record.position.position() })
    };
    let payload = record.payload.unwrap_or_default();
    let command = command::decode(payload).map_err(unreadable)?;
    let parked = retry::decode(record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
        .map_err(unreadable)?;
    Ok(Job {
        due: parked.not_before.map(|at| at.min(command.expires_at)),
        command,
        key: record.key.map(<[u8]>::to_vec),
        payload: payload.to_vec(),
        position: record.position.position(),
        attempts: parked.attempts,
        folded: Vec::new(),
        span: None,
    })
}

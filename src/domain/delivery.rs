//! What to do with a command next: call, wait, pause its tenant, or end it. Pure: chance and time come in as arguments.

use std::time::Duration;

use super::command::{Command, Reference};
use super::outcome::{Ending, Session};
use super::time::Timestamp;

/// What came back from one call of the session API, whatever it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The service wants verification and made a session.
    Created(Session),
    NotRequired {
        reason: String,
    },
    /// Any answer that is not a success, with the service's message for people.
    Status {
        code: u16,
        reason: String,
        retry_after: Option<Duration>,
    },
    /// The request was never sent: no connection.
    NotSent {
        reason: String,
    },
    /// No call was made, for the tenant's own credential cannot be had.
    NoCredential {
        reason: String,
    },
    /// The request may have been carried out, but its answer did not arrive or made no sense.
    Lost {
        reason: String,
    },
}

/// What was tried for one command so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Calls made.
    pub made: u32,
    /// Which reference is being tried: 1 is the plain one, 2 is `<reference>.2` …; 0 before the first call.
    pub reference_number: u32,
    /// Whether a call under the current reference may have made a session nobody holds the token of.
    pub unanswered: bool,
    pub last_status: Option<u16>,
    pub last_reason: Option<String>,
}

impl Attempts {
    /// Takes in what another record of the same command knows: what one of them lost was lost.
    pub fn learn(&mut self, other: &Self) {
        if other.number() > self.number() {
            self.unanswered = other.unanswered;
            self.reference_number = other.reference_number;
        } else if other.number() == self.number() {
            self.unanswered |= other.unanswered;
        }
        if other.made > self.made {
            self.made = other.made;
            self.last_status = other.last_status;
            self.last_reason.clone_from(&other.last_reason);
        }
    }

    /// The number of the reference to be tried.
    pub fn number(&self) -> u32 {
        self.reference_number.max(1)
    }
}

/// What a conflict that a lost answer explains leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLostAnswer {
    /// Try again under the next reference.
    Retry,
    /// End as `already_exists`.
    Report,
}

/// How deliveries are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    pub on_lost_answer: OnLostAnswer,
    /// Upper bound of the wait after the first failure; it doubles with every further one.
    pub base: Duration,
    /// No wait that we choose is longer.
    pub cap: Duration,
    /// No wait that the service asks for is honoured beyond this.
    pub max_retry_after: Duration,
    /// A call is not begun with less time than this left.
    pub margin: Duration,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Call again after `wait`.
    Retry {
        wait: Duration,
    },
    /// The tenant's credential is refused, with this status, or cannot be had. The command waits with its tenant.
    PauseTenant {
        http_status: Option<u16>,
    },
    Done(Ending),
}

/// Whether there is time for a call now; otherwise the command's ending.
pub fn still_time(command: &Command, attempts: &Attempts, policy: &RetryPolicy, now: Timestamp) -> Option<Ending> {
    (now.plus(policy.margin) >= command.expires_at).then(|| expired(attempts))
}

/// Takes the answer to a call into account and says what is next. `chance` is uniform in 0..1.
pub fn next_step(
    command: &Command,
    attempts: &mut Attempts,
    answer: Answer,
    policy: &RetryPolicy,
    now: Timestamp,
    chance: f64,
) -> Step {
    if !matches!(answer, Answer::NoCredential { .. }) {
        attempts.reference_number = attempts.number();
        attempts.made = attempts.made.saturating_add(1);
    }
    let (code, reason, retry_after) = match answer {
        Answer::Created(session) => return Step::Done(Ending::SessionCreated(session)),
        Answer::NotRequired { reason } => return Step::Done(Ending::NotRequired { reason }),
        Answer::NoCredential { reason } => {
            (attempts.last_status, attempts.last_reason) = (None, Some(reason));
            return Step::PauseTenant { http_status: None };
        }
        Answer::NotSent { reason } => (None, reason, None),
        Answer::Lost { reason } => {
            attempts.unanswered = true;
            (None, reason, None)
        }
        Answer::Status { code, reason, retry_after } => (Some(code), reason, retry_after),
    };
    attempts.last_status = code;
    attempts.last_reason = Some(reason.clone());
    match code {
        Some(409) => conflict(command, attempts, policy, now, chance),
        Some(401 | 403) => Step::PauseTenant { http_status: code },
        // A time-out may have been somebody's between us and the service, and so may any 5xx; a success that was not
        // understood is one all the same.
        Some(408 | 200..=299 | 500..=599) => {
            attempts.unanswered = true;
            retry(command, attempts, retry_after, policy, now, chance)
        }
        Some(425 | 429) | None => retry(command, attempts, retry_after, policy, now, chance),
        Some(http_status @ 400..=499) => Step::Done(Ending::Rejected { http_status, reason }),
        // A redirect or an interim answer is no verdict on the command: something between us is set up wrongly.
        Some(_) => retry(command, attempts, retry_after, policy, now, chance),
    }
}

/// A session exists under this reference. Whose is it?
fn conflict(command: &Command, attempts: &mut Attempts, policy: &RetryPolicy, now: Timestamp, chance: f64) -> Step {
    let ours = match command.reference {
        Reference::CommandId => true,
        Reference::Transaction(_) => attempts.unanswered || attempts.number() > 1,
    };
    if !ours || policy.on_lost_answer == OnLostAnswer::Report {
        return Step::Done(Ending::AlreadyExists);
    }
    // The next reference is free unless a second answer was lost, so the first of them is tried at once.
    let step = match attempts.number() {
        1 => call_after(Duration::ZERO, command, attempts, policy, now),
        _ => retry(command, attempts, None, policy, now, chance),
    };
    // Where there is no time for it, the reference that was tried last stays the one on record.
    if let Step::Retry { .. } = step {
        attempts.reference_number = attempts.number() + 1;
        attempts.unanswered = false;
    }
    step
}

fn retry(
    command: &Command,
    attempts: &Attempts,
    retry_after: Option<Duration>,
    policy: &RetryPolicy,
    now: Timestamp,
    chance: f64,
) -> Step {
    let asked = retry_after.unwrap_or(Duration::ZERO).min(policy.max_retry_after);
    // What the service asks for is a lower bound; the jitter on top keeps a herd from coming back as one.
    let wait = asked.saturating_add(backoff(attempts.made, policy).mul_f64(chance.clamp(0.0, 1.0)));
    // A wait of our own choice leaves room for a last call, unless hardly any time is left.
    let last = command.expires_at.minus(policy.margin).since(now).saturating_sub(Duration::from_millis(1));
    let wait = if last >= policy.base.max(asked) { wait.min(last) } else { wait };
    call_after(wait, command, attempts, policy, now)
}

/// A call after `wait`, or the command's ending where that would be too late.
fn call_after(wait: Duration, command: &Command, attempts: &Attempts, policy: &RetryPolicy, now: Timestamp) -> Step {
    still_time(command, attempts, policy, now.plus(wait)).map_or(Step::Retry { wait }, Step::Done)
}

/// The longest wait after so many calls, of which the actual one is a random part (full jitter).
pub fn backoff(made: u32, policy: &RetryPolicy) -> Duration {
    let doublings = made.saturating_sub(1).min(31);
    policy.base.saturating_mul(1 << doublings).min(policy.cap)
}

fn expired(attempts: &Attempts) -> Ending {
    Ending::Expired {
        http_status: attempts.last_status,
        reason: attempts.last_reason.clone().unwrap_or_else(|| "no call was made in time".to_owned()),
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;

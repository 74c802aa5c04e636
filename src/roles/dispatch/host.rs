//! Whether the session API is called now: the breaker of its host, and the budget for calling again.

use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;

use crate::config::Dispatch as Settings;
use crate::domain::budget::RetryBudget;
use crate::domain::circuit::{Circuit, Pass, Signal, Standing};
use crate::domain::delivery::{Answer, Attempts};
use crate::domain::ids::TenantId;
use crate::domain::witnesses::Witnesses;
use crate::metrics::Metrics;

/// A command that has to wait is looked at again after so long at the most, and so goes on soon after it may.
const LONGEST_LOOK: Duration = Duration::from_secs(4);

/// The one host that all commands are sent to.
pub(super) struct Host {
    circuit: Circuit,
    witnesses: Witnesses,
    budget: RetryBudget,
    began: Instant,
    metrics: Metrics,
}

/// The leave to make one call, and whether the command was called for before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    pass: Pass,
    /// Whether it was paid for from the budget.
    paid: bool,
}

impl Host {
    pub(super) fn new(settings: &Settings, metrics: Metrics) -> Self {
        metrics.set_session_breaker(Standing::Closed);
        Self {
            circuit: Circuit::new(settings.circuit()),
            witnesses: Witnesses::default(),
            budget: RetryBudget::new(settings.budget(), Duration::ZERO),
            began: Instant::now(),
            metrics,
        }
    }

    /// Leave for one more call, if there is any now; for which command is to be said by [`spend`](Self::spend).
    pub(super) fn admit(&mut self) -> Option<Leave> {
        let now = self.began.elapsed();
        let pass = self.watched(|circuit| circuit.admit(now))?;
        Some(Leave { pass, paid: false })
    }

    /// Pays for the call. `None`: it would be one of too many that are made again, and has to wait.
    pub(super) fn spend(&mut self, mut leave: Leave, attempts: &Attempts) -> Option<Leave> {
        if attempts.made == 0 {
            self.budget.first();
            return Some(leave);
        }
        // A probe must not wait for the budget, or a service that nobody calls would never be found to be well.
        if !leave.pass.is_probe {
            if !self.budget.take(self.began.elapsed()) {
                self.metrics.retry_delayed();
                self.unused(leave);
                return None;
            }
            leave.paid = true;
        }
        Some(leave)
    }

    /// No call was made.
    pub(super) fn unused(&mut self, leave: Leave) {
        self.take_back(leave, Signal::NotMade);
    }

    /// A call for this tenant has ended.
    pub(super) fn ended(&mut self, leave: Leave, tenant: &TenantId, signal: Signal) {
        let signal = self.witnesses.hear(tenant, signal, self.began.elapsed());
        self.take_back(leave, signal);
    }

    fn take_back(&mut self, leave: Leave, signal: Signal) {
        match signal {
            Signal::Well if leave.paid => self.budget.worked(),
            Signal::NotMade if leave.paid => self.budget.give_back(),
            Signal::Well | Signal::NotMade | Signal::Failing | Signal::Unclear => {}
        }
        let (now, chance) = (self.began.elapsed(), rand::random());
        self.watched(|circuit| circuit.ended(leave.pass, signal, now, chance));
    }

    /// How long a command waits that cannot be called now: for the breaker, or a while; not all of them for as long.
    pub(super) fn wait(&self) -> Duration {
        let now = self.began.elapsed();
        let open = self.circuit.open_until(now).map_or(Duration::ZERO, |until| until.saturating_sub(now));
        open + LONGEST_LOOK.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// How long nobody is called at all.
    pub(super) fn open_for(&self) -> Option<Duration> {
        let now = self.began.elapsed();
        self.circuit.open_until(now).map(|until| until.saturating_sub(now))
    }

    fn watched<T>(&mut self, change: impl FnOnce(&mut Circuit) -> T) -> T {
        let before = self.circuit.standing();
        let changed = change(&mut self.circuit);
        let after = self.circuit.standing();
        if before != after {
            self.metrics.set_session_breaker(after);
            match (before, after) {
                (Standing::Closed, Standing::Open) => {
                    tracing::error!("the session API fails call after call: it is only probed, and commands wait");
                }
                (_, Standing::Recovering) => tracing::warn!("the session API answers again; more and more is called"),
                (_, Standing::Closed) => tracing::info!("the session API is called as always again"),
                (_, Standing::Open | Standing::HalfOpen) => {}
            }
        }
        changed
    }
}

/// What an answer tells of the host.
pub(super) fn signal(answer: &Answer) -> Signal {
    match answer {
        Answer::Created(_) | Answer::NotRequired { .. } => Signal::Well,
        Answer::NotSent { .. } | Answer::Lost { .. } => Signal::Failing,
        Answer::NoCredential { .. } => Signal::NotMade,
        Answer::Status { code, .. } => match code {
            408 | 500..=599 => Signal::Failing,
            425 | 429 => Signal::Unclear,
            400..=499 => Signal::Well,
            _ => Signal::Unclear,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_well_that_answers_for_itself() {
        let status = |code| Answer::Status { code, reason: String::new(), retry_after: None };
        for (code, want) in [
            (302, Signal::Unclear),
            (400, Signal::Well),
            (401, Signal::Well),
            (408, Signal::Failing),
            (409, Signal::Well),
            (422, Signal::Well),
            (425, Signal::Unclear),
            (429, Signal::Unclear),
            (500, Signal::Failing),
            (503, Signal::Failing),
            (504, Signal::Failing),
        ] {
            assert_eq!(signal(&status(code)), want, "{code}");
        }
        assert_eq!(signal(&Answer::Lost { reason: String::new() }), Signal::Failing);
        assert_eq!(signal(&Answer::NotSent { reason: String::new() }), Signal::Failing);
        assert_eq!(signal(&Answer::NoCredential { reason: String::new() }), Signal::NotMade);
    }
}

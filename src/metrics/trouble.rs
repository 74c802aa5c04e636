//! What is told of a world that is broken, beside `stepup_held`.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Registry};

use super::series::{Shown, counter, counters, gauges};
use super::{HeldReason, Metrics, Role, catalogue};
use crate::domain::circuit::Standing;

/// The series of what goes wrong outside.
pub(super) struct Trouble {
    given_up: IntCounterVec,
    flood: Shown,
    stalls: IntCounterVec,
    retries_delayed: IntCounter,
    session_breaker: IntGaugeVec,
    session_breaker_opened: IntCounter,
}

impl Trouble {
    pub(super) fn new(to: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            given_up: counters(to, &catalogue::GIVEN_UP)?,
            flood: Shown::of(gauges(to, &catalogue::FLOOD)?),
            stalls: counters(to, &catalogue::STALLS)?,
            retries_delayed: counter(to, &catalogue::RETRIES_DELAYED)?,
            session_breaker: gauges(to, &catalogue::SESSION_BREAKER)?,
            session_breaker_opened: counter(to, &catalogue::SESSION_BREAKER_OPENED)?,
        })
    }
}

impl Metrics {
    /// `n` records were acknowledged on the dead-letter topic that the role gave up for this reason.
    pub fn given_up(&self, role: Role, reason: HeldReason, n: u64) {
        self.0.trouble.given_up.with_label_values(&[role.name(), reason.name()]).inc_by(n);
    }

    pub(super) fn start_trouble(&self, role: Role) {
        let reasons: &[HeldReason] = match role {
            Role::Evaluate => &[HeldReason::Windows, HeldReason::Claims, HeldReason::Preferences],
            Role::Dispatch => &[HeldReason::Outcomes],
        };
        for reason in reasons {
            self.given_up(role, *reason, 0);
        }
        self.0.trouble.stalls.with_label_values(&[role.name()]);
    }

    /// Where the breaker of the session API stands from now on.
    pub fn set_session_breaker(&self, now: Standing) {
        for standing in Standing::ALL {
            self.0.trouble.session_breaker.with_label_values(&[standing.name()]).set(i64::from(standing == now));
        }
        if now == Standing::Open {
            self.0.trouble.session_breaker_opened.inc();
        }
    }

    /// A command waits because too many are called again.
    pub fn retry_delayed(&self) {
        self.0.trouble.retries_delayed.inc();
    }

    /// These partitions stand for what is written to them, in place of those before.
    pub fn set_floods<'a>(&self, partitions: impl Iterator<Item = (&'a str, i32)>) {
        self.0
            .trouble
            .flood
            .show(partitions.map(|(topic, partition)| vec![topic.to_owned(), partition.to_string()]).collect());
    }

    /// A role's Kafka client is made anew, for it does not read a partition.
    pub fn stalled(&self, role: Role) {
        self.0.trouble.stalls.with_label_values(&[role.name()]).inc();
    }
}

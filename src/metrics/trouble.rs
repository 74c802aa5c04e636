//! What is told of a world that is broken, beside `stepup_held`.

use super::{HeldReason, Metrics, Role};
use crate::domain::circuit::Standing;

impl Metrics {
    /// `n` records were acknowledged on the dead-letter topic that the role gave up for this reason.
    pub fn given_up(&self, role: Role, reason: HeldReason, n: u64) {
        self.0.given_up.with_label_values(&[role.name(), reason.name()]).inc_by(n);
    }

    pub(super) fn start_giving_up(&self, role: Role) {
        let reasons: &[HeldReason] = match role {
            Role::Evaluate => &[HeldReason::Windows, HeldReason::Claims, HeldReason::Preferences],
            Role::Dispatch => &[HeldReason::Outcomes],
        };
        for reason in reasons {
            self.given_up(role, *reason, 0);
        }
    }

    /// Where the breaker of the session API stands from now on.
    pub fn set_session_breaker(&self, now: Standing) {
        for standing in Standing::ALL {
            self.0.session_breaker.with_label_values(&[standing.name()]).set(i64::from(standing == now));
        }
        if now == Standing::Open {
            self.0.session_breaker_opened.inc();
        }
    }

    /// A command waits because too many are called again.
    pub fn retry_delayed(&self) {
        self.0.retries_delayed.inc();
    }
}

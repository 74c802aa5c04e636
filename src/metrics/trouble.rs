//! What is told of a world that is broken, beside `stepup_held`.

use super::{HeldReason, Metrics, Role};

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
}

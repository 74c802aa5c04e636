//! What the roles do while the world is broken.

use std::time::Duration;

use super::ConfigError;
use super::effective::Shown;
use super::settings::Settings;
use crate::domain::patience;

/// What a role does while something that it cannot do without is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable {
    pub choice: OnUnavailable,
    /// Counts where something is given up.
    pub hold_for: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnavailable {
    Hold,
    DeadLetter,
}

impl Unavailable {
    /// What the role goes by.
    pub fn terms(&self) -> patience::OnUnavailable {
        match self.choice {
            OnUnavailable::Hold => patience::OnUnavailable::Hold,
            OnUnavailable::DeadLetter => patience::OnUnavailable::DeadLetter { after: self.hold_for },
        }
    }

    /// The values as a file would hold them, in the order of the table.
    pub(super) fn shown(&self) -> [Shown; 2] {
        let choice = match self.choice {
            OnUnavailable::Hold => "hold",
            OnUnavailable::DeadLetter => "dead_letter",
        };
        [choice.into(), self.hold_for.into()]
    }
}

pub(super) fn unavailable(settings: &Settings, choice: &str, hold_for: &str) -> Result<Unavailable, ConfigError> {
    let choices = [("hold", OnUnavailable::Hold), ("dead_letter", OnUnavailable::DeadLetter)];
    Ok(Unavailable { choice: settings.one_of(choice, choices)?, hold_for: settings.duration(hold_for)? })
}

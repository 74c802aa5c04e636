//! What the roles do while the world is broken.

use std::time::Duration;

use super::effective::Shown;
use super::settings::Settings;
use super::{ConfigError, Dispatch};
use crate::domain::{budget, circuit, flood, patience};

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

/// What keeps a session API that fails from being called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionBreaker {
    /// In a row; 0 is off.
    pub failures: u32,
    pub pause: Duration,
    /// At least `pause`.
    pub longest_pause: Duration,
}

/// How many calls are made again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudget {
    /// Of those made for the first time.
    pub share: f64,
    /// A second, whatever the traffic.
    pub least: u32,
}

/// What stops a partition that brings nearly nothing but dead letters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloodStop {
    /// 0 is off.
    pub records: u64,
    pub share: f64,
}

impl FloodStop {
    /// What is a flood, where any is.
    pub fn terms(&self) -> Option<flood::Terms> {
        let Self { records, share } = *self;
        (records > 0).then_some(flood::Terms { records, share })
    }
}

pub(super) fn flood_stop(settings: &Settings) -> Result<FloodStop, ConfigError> {
    let share = settings.required("evaluate.flood.share", share)?;
    Ok(FloodStop { records: settings.whole("evaluate.flood.records")?, share })
}

impl Dispatch {
    /// What the breaker of the session API goes by.
    pub fn circuit(&self) -> circuit::Terms {
        let SessionBreaker { failures, pause, longest_pause } = self.breaker;
        // A command should live to see several probes.
        let longest = longest_pause.min(self.max_command_age / 4);
        circuit::Terms { failures, pause: pause.min(longest), longest, most: self.concurrency }
    }

    #[allow(clippy::cast_precision_loss, reason = "at most 65,536")]
    pub fn budget(&self) -> budget::Terms {
        let RetryBudget { share, least } = self.retry_budget;
        budget::Terms { share, least: f64::from(least), most: (self.concurrency as f64).max(f64::from(least)).max(1.0) }
    }
}

pub(super) fn breaker(settings: &Settings) -> Result<SessionBreaker, ConfigError> {
    Ok(SessionBreaker {
        failures: settings.whole("dispatch.breaker.failures")?,
        pause: settings.duration("dispatch.breaker.pause")?,
        longest_pause: settings.duration("dispatch.breaker.longest_pause")?,
    })
}

pub(super) fn retry_budget(settings: &Settings) -> Result<RetryBudget, ConfigError> {
    let share = settings.required("dispatch.retry_budget.share", share)?;
    Ok(RetryBudget { share, least: settings.whole("dispatch.retry_budget.least")? })
}

/// A number from 0 to 1, written plainly.
pub(super) fn share(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|share| plain && (0.0..=1.0).contains(share))
}

pub(super) fn unavailable(settings: &Settings, choice: &str, hold_for: &str) -> Result<Unavailable, ConfigError> {
    let choices = [("hold", OnUnavailable::Hold), ("dead_letter", OnUnavailable::DeadLetter)];
    Ok(Unavailable { choice: settings.one_of(choice, choices)?, hold_for: settings.duration(hold_for)? })
}

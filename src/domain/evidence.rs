//! Everything that one decision was made from, so that it can be made again: same evidence, same decision.

use std::time::Duration;

use super::claim::{ClaimAnswer, Intent};
use super::decide::{Decision, Facts, Freshness, Known, Mode, Verdict, conclude, judge};
use super::event::Event;
use super::preferences::{FrequencyBound, Preferences, Setting};
use super::time::Timestamp;
use super::trigger::Trigger;
use super::window::{self, Bet, Reach, WindowRule};

/// What the decision for one event and one trigger read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Of its amount only what an amount trigger reads, and never its transaction.
    pub event: Event,
    pub trigger: Trigger,
    /// What the tenant's preferences say of the trigger; `None`: the tenant has none.
    pub setting: Option<Setting>,
    /// The customer's window, where the trigger is a frequency that is enabled.
    pub window: Option<WindowEvidence>,
    /// The clock by which an event is too old; without one none is.
    pub decided_at: Option<Timestamp>,
    /// What the last rules read, where none before them decided.
    pub last: Option<LastRules>,
}

/// A customer's window at one bet's place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowEvidence {
    pub max_lookback: Duration,
    pub lateness: Duration,
    /// As the operator sets it; the rule itself makes room for a greater N.
    pub max_entries: usize,
    pub bets: Bets,
}

/// The bets by which a bet was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bets {
    /// Those that the rule kept before the bet came, in order of arrival, and the bet itself as the last.
    Log(Vec<Bet>),
    /// Too many to be told one by one: their number, and what the window answered, which is believed.
    Summed { number: usize, reach: Reach },
}

/// What rules 6 to 9 and the cap read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRules {
    pub mode: Mode,
    pub max_event_age: Option<Duration>,
    pub cooldown: Duration,
    pub retention: Duration,
    /// `None`: the claims were not asked.
    pub answer: Option<ClaimAnswer>,
    /// The tenant's sessions a minute, where none was left.
    pub cap: Option<u32>,
}

/// Why evidence gives no decision by the rules as they are: it holds less or more than they read, or what cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    #[error("the window is to be judged, and there is none")]
    NoWindow,
    #[error("there is a window that nothing judges")]
    IdleWindow,
    #[error("its last bet is none that can be judged")]
    NoBet,
    #[error("no earlier rule decides, and there is nothing for the last rules to go by")]
    NoLastRules,
    #[error("an earlier rule decides, and there is something for the last rules to go by")]
    IdleLastRules,
    #[error("the claims are to be asked, and there is no answer")]
    NoAnswer,
    #[error("there is an answer of claims that nothing asks")]
    IdleAnswer,
    #[error("the event is not within the cool-down of the claim that the answer names")]
    NotInCooldown,
}

impl Contradiction {
    /// What of the evidence it is about, as receipts name it.
    pub fn field(self) -> &'static str {
        match self {
            Self::NoWindow | Self::IdleWindow => "window",
            Self::NoBet => "window.log",
            Self::NoLastRules | Self::IdleLastRules => "claims",
            Self::NoAnswer | Self::IdleAnswer => "claims.answer",
            Self::NotInCooldown => "claims.since",
        }
    }
}

impl Evidence {
    /// Goes through all the rules again.
    pub fn decide(&self) -> Result<Decision, Contradiction> {
        let preferences = self.setting.map(|setting| only(self.trigger, setting));
        let known = preferences.as_ref().map_or(Known::NoTenant, Known::Preferences);
        match (judge(&self.event, self.trigger, known, self.reach()?), self.last) {
            (Verdict::Decided(decision), None) => Ok(decision),
            (Verdict::Decided(_), Some(_)) => Err(Contradiction::IdleLastRules),
            (Verdict::Candidate(_), None) => Err(Contradiction::NoLastRules),
            (Verdict::Candidate(facts), Some(last)) => self.conclude(facts, last),
        }
    }

    /// What the window answers.
    fn reach(&self) -> Result<Option<Reach>, Contradiction> {
        match (self.setting, &self.window) {
            (Some(Setting::Frequency(bound)), Some(window)) => window.judge(bound).map(Some),
            (Some(Setting::Frequency(_)), None) => Err(Contradiction::NoWindow),
            (_, Some(_)) => Err(Contradiction::IdleWindow),
            (_, None) => Ok(None),
        }
    }

    fn conclude(&self, facts: Facts, last: LastRules) -> Result<Decision, Contradiction> {
        let limit = last.max_event_age;
        let freshness = self.decided_at.map_or(Freshness::Fresh, |now| Freshness::of(&self.event, now, limit));
        match (asking(freshness, last.cooldown, last.retention), last.answer) {
            (None, Some(_)) => return Err(Contradiction::IdleAnswer),
            (Some(_), None) => return Err(Contradiction::NoAnswer),
            (Some(_), Some(ClaimAnswer::CoolingDown { since }))
                if self.event.occurred_at >= since.plus(last.cooldown) =>
            {
                return Err(Contradiction::NotInCooldown);
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        let decision = conclude(facts, freshness, last.answer, last.cooldown, last.mode);
        Ok(match last.cap {
            Some(limit) => decision.capped(limit),
            None => decision,
        })
    }
}

impl WindowEvidence {
    pub fn rule(&self, bound: FrequencyBound) -> WindowRule {
        WindowRule::new(bound, self.max_lookback, self.lateness, self.max_entries)
    }

    fn judge(&self, bound: FrequencyBound) -> Result<Reach, Contradiction> {
        match &self.bets {
            Bets::Log(log) => {
                let asked = log.last().ok_or(Contradiction::NoBet)?;
                let judged = window::judge(log, &[*asked], &self.rule(bound));
                judged.reaches.first().copied().flatten().ok_or(Contradiction::NoBet)
            }
            Bets::Summed { reach, .. } => Ok(Reach { needed: bound.needed, ..*reach }),
        }
    }
}

/// What an event that nothing spoke against asks of the claims; `None`: it does not ask them.
pub fn asking(freshness: Freshness, cooldown: Duration, retention: Duration) -> Option<Intent> {
    if cooldown.is_zero() {
        return None;
    }
    match freshness {
        Freshness::Fresh => Some(Intent::Take),
        // It could only hold a claim that is past its retention, and whose outcome may be forgotten.
        Freshness::TooOld { age, .. } if age > retention => None,
        Freshness::TooOld { .. } => Some(Intent::Look),
    }
}

/// Preferences that say this of the trigger and nothing of any other.
fn only(trigger: Trigger, setting: Setting) -> Preferences {
    let mut preferences = Preferences { enabled: true, ..Preferences::OFF };
    match setting {
        Setting::FeatureOff => preferences.enabled = false,
        Setting::Off => {}
        Setting::Plain => preferences.plain.push(trigger),
        Setting::Frequency(bound) => preferences.high_frequency_betting = Some(bound),
        Setting::Amount(bound) => match trigger {
            Trigger::Deposit => preferences.deposit = Some(bound),
            Trigger::Withdrawal => preferences.withdrawal = Some(bound),
            Trigger::LargeBetPlacement => preferences.large_bet_placement = Some(bound),
            // No other trigger is bounded by an amount.
            Trigger::Login
            | Trigger::PasswordChange
            | Trigger::NameChange
            | Trigger::PhoneNumberChange
            | Trigger::TwoFactorAuthChange
            | Trigger::NewDeviceOrLocation
            | Trigger::DeviceFingerprintChange
            | Trigger::PaymentMethodChange
            | Trigger::AccountBalanceTransfer
            | Trigger::HighFrequencyBetting => {}
        },
    }
    preferences
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;

//! A tenant's switches and bounds, already valid: what an absent, null or zero bound means is settled here.

use super::money::Usd;
use super::trigger::Trigger;

/// The preferences of one tenant, as far as a decision reads them. What bets read comes first, and lies together in memory:
/// with many tenants, it is memory that their decisions wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct Preferences {
    /// The master switch of event-based verification.
    pub enabled: bool,
    pub high_frequency_betting: Option<FrequencyBound>,
    pub large_bet_placement: Option<AmountBound>,
    pub deposit: Option<AmountBound>,
    pub withdrawal: Option<AmountBound>,
    /// The yes/no triggers that are switched on; an absent trigger is off.
    pub plain: Vec<Trigger>,
    /// The document's `updated_at` as it stands there: its version.
    pub updated_at: Option<String>,
}

/// From which amount on a trigger fires. `None` is any amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmountBound {
    pub threshold: Option<Usd>,
}

/// How many bets within how many minutes. A bound that is 0, null or absent in the document is not enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrequencyBound {
    /// N = max(1, `count`).
    pub needed: u32,
    /// `None`: the window is as wide as `windows.max_lookback`.
    pub window_minutes: Option<u32>,
}

/// What a tenant's preferences say of one trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    FeatureOff,
    Off,
    Plain,
    Amount(AmountBound),
    Frequency(FrequencyBound),
}

impl Preferences {
    /// Preferences that trigger nothing.
    pub const OFF: Self = Self {
        enabled: false,
        plain: Vec::new(),
        deposit: None,
        withdrawal: None,
        large_bet_placement: None,
        high_frequency_betting: None,
        updated_at: None,
    };

    pub fn setting(&self, trigger: Trigger) -> Setting {
        if !self.enabled {
            return Setting::FeatureOff;
        }
        let amount = |bound: Option<AmountBound>| bound.map_or(Setting::Off, Setting::Amount);
        match trigger {
            Trigger::Deposit => amount(self.deposit),
            Trigger::Withdrawal => amount(self.withdrawal),
            Trigger::LargeBetPlacement => amount(self.large_bet_placement),
            Trigger::HighFrequencyBetting => self.high_frequency_betting.map_or(Setting::Off, Setting::Frequency),
            Trigger::Login
            | Trigger::PasswordChange
            | Trigger::NameChange
            | Trigger::PhoneNumberChange
            | Trigger::TwoFactorAuthChange
            | Trigger::NewDeviceOrLocation
            | Trigger::DeviceFingerprintChange
            | Trigger::PaymentMethodChange
            | Trigger::AccountBalanceTransfer => {
                if self.plain.contains(&trigger) {
                    Setting::Plain
                } else {
                    Setting::Off
                }
            }
        }
    }

    /// The bound by which bets are judged, where bets must be recorded at all.
    pub fn frequency(&self) -> Option<FrequencyBound> {
        self.high_frequency_betting.filter(|_| self.enabled)
    }
}

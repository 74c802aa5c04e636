//! The 13 triggers by their wire names, the activities, and which triggers an activity tests.

use std::fmt;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $wire:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Every name, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($wire),+];

            /// The name on the wire, in metrics and in configuration.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $wire),+ }
            }

            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($wire => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named! {
    /// A reason to verify a customer, which a tenant switches and bounds.
    Trigger {
        Login => "login",
        PasswordChange => "password_change",
        NameChange => "name_change",
        PhoneNumberChange => "phone_number_change",
        TwoFactorAuthChange => "two_factor_auth_change",
        NewDeviceOrLocation => "new_device_or_location",
        DeviceFingerprintChange => "device_fingerprint_change",
        PaymentMethodChange => "payment_method_change",
        AccountBalanceTransfer => "account_balance_transfer",
        Deposit => "deposit",
        Withdrawal => "withdrawal",
        LargeBetPlacement => "large_bet_placement",
        HighFrequencyBetting => "high_frequency_betting",
    }
}

named! {
    /// What a customer did: `bet`, or any trigger's name but the two that only bets test.
    ActivityType {
        Bet => "bet",
        Login => "login",
        PasswordChange => "password_change",
        NameChange => "name_change",
        PhoneNumberChange => "phone_number_change",
        TwoFactorAuthChange => "two_factor_auth_change",
        NewDeviceOrLocation => "new_device_or_location",
        DeviceFingerprintChange => "device_fingerprint_change",
        PaymentMethodChange => "payment_method_change",
        AccountBalanceTransfer => "account_balance_transfer",
        Deposit => "deposit",
        Withdrawal => "withdrawal",
    }
}

/// What a trigger is bounded by, and so what a request for a session tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A plain yes or no.
    Nothing,
    Amount,
    Frequency,
}

impl Trigger {
    pub fn bounded_by(self) -> Bound {
        match self {
            Self::Deposit | Self::Withdrawal | Self::LargeBetPlacement => Bound::Amount,
            Self::HighFrequencyBetting => Bound::Frequency,
            Self::Login
            | Self::PasswordChange
            | Self::NameChange
            | Self::PhoneNumberChange
            | Self::TwoFactorAuthChange
            | Self::NewDeviceOrLocation
            | Self::DeviceFingerprintChange
            | Self::PaymentMethodChange
            | Self::AccountBalanceTransfer => Bound::Nothing,
        }
    }
}

impl ActivityType {
    /// The triggers that such an activity tests, in the order in which they are tested.
    pub fn tests(self) -> &'static [Trigger] {
        match self {
            Self::Bet => &[Trigger::LargeBetPlacement, Trigger::HighFrequencyBetting],
            Self::Login => &[Trigger::Login],
            Self::PasswordChange => &[Trigger::PasswordChange],
            Self::NameChange => &[Trigger::NameChange],
            Self::PhoneNumberChange => &[Trigger::PhoneNumberChange],
            Self::TwoFactorAuthChange => &[Trigger::TwoFactorAuthChange],
            Self::NewDeviceOrLocation => &[Trigger::NewDeviceOrLocation],
            Self::DeviceFingerprintChange => &[Trigger::DeviceFingerprintChange],
            Self::PaymentMethodChange => &[Trigger::PaymentMethodChange],
            Self::AccountBalanceTransfer => &[Trigger::AccountBalanceTransfer],
            Self::Deposit => &[Trigger::Deposit],
            Self::Withdrawal => &[Trigger::Withdrawal],
        }
    }

    /// Whether an event of this type must bring an amount.
    pub fn needs_amount(self) -> bool {
        matches!(self, Self::Bet | Self::Deposit | Self::Withdrawal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_thirteen_triggers_and_every_one_is_tested_by_exactly_one_activity() {
        assert_eq!(Trigger::ALL.len(), 13);
        for trigger in Trigger::ALL {
            let testing = ActivityType::ALL.iter().filter(|activity| activity.tests().contains(trigger)).count();
            assert_eq!(testing, 1, "{trigger}");
            assert_eq!(Trigger::from_name(trigger.name()), Some(*trigger));
        }
    }

    #[test]
    fn an_activity_tests_the_trigger_of_its_name_and_only_a_bet_tests_two() {
        for activity in ActivityType::ALL {
            match activity {
                ActivityType::Bet => assert_eq!(activity.tests().len(), 2),
                other => assert_eq!(other.tests(), [Trigger::from_name(other.name()).unwrap()]),
            }
        }
        assert_eq!(ActivityType::from_name("large_bet_placement"), None);
        assert_eq!(ActivityType::from_name("high_frequency_betting"), None);
    }
}

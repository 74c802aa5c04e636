//! A tenant's preferences document, version 1.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Object, amount, null_as_default};
use crate::domain::preferences::{AmountBound, FrequencyBound, Preferences};
use crate::domain::trigger::Trigger;

/// The largest document that is read, in bytes.
pub const MAX_BYTES: usize = 65_536;

/// Why a document cannot be read. It names the field, and never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the preferences document is not readable: {0}")]
pub struct Unreadable(pub String);

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(default, deserialize_with = "null_as_default")]
    is_reuse_kyc_enabled: bool,
    #[serde(default, borrow)]
    reuse_kyc_triggers: Option<Object<Triggers<'a>>>,
    #[serde(default)]
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Triggers<'a> {
    #[serde(default, deserialize_with = "null_as_default")]
    login: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    password_change: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    name_change: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    phone_number_change: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    two_factor_auth_change: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    new_device_or_location: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    device_fingerprint_change: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    payment_method_change: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    account_balance_transfer: bool,
    #[serde(default, borrow)]
    deposit: Option<Object<AmountTrigger<'a>>>,
    #[serde(default, borrow)]
    withdrawal: Option<Object<AmountTrigger<'a>>>,
    #[serde(default, borrow)]
    large_bet_placement: Option<Object<AmountTrigger<'a>>>,
    #[serde(default, borrow)]
    high_frequency_betting: Option<Object<FrequencyTrigger<'a>>>,
}

#[derive(Deserialize)]
struct AmountTrigger<'a> {
    #[serde(default, deserialize_with = "null_as_default")]
    enabled: bool,
    #[serde(default, borrow)]
    threshold: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct FrequencyTrigger<'a> {
    #[serde(default, deserialize_with = "null_as_default")]
    enabled: bool,
    #[serde(default, borrow)]
    count: Option<&'a RawValue>,
    #[serde(default, borrow)]
    window_minutes: Option<&'a RawValue>,
}

/// Reads a document. Fields that are not known are ignored; a known one of a wrong type makes the document unreadable,
/// for nobody can tell what its tenant meant.
pub fn decode(bytes: &[u8]) -> Result<Preferences, Unreadable> {
    if bytes.len() > MAX_BYTES {
        return Err(Unreadable(format!("it is larger than {MAX_BYTES} bytes")));
    }
    // The reader would not look into the strings of fields that are not known.
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable("it is not UTF-8".to_owned()))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let Object(document): Object<Document<'_>> = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        Unreadable(match error.inner().classify() {
            serde_json::error::Category::Data if path != "." => format!("{path} {}", kind_of(error.inner())),
            serde_json::error::Category::Data => kind_of(error.inner()),
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => "it is not JSON".to_owned(),
        })
    })?;
    reader.end().map_err(|_| Unreadable("something follows the JSON object".to_owned()))?;
    let Some(Object(triggers)) = document.reuse_kyc_triggers else {
        return Ok(Preferences {
            enabled: document.is_reuse_kyc_enabled,
            updated_at: document.updated_at,
            ..Preferences::OFF
        });
    };
    Ok(Preferences {
        enabled: document.is_reuse_kyc_enabled,
        plain: plain(&triggers),
        deposit: bound("deposit", triggers.deposit)?,
        withdrawal: bound("withdrawal", triggers.withdrawal)?,
        large_bet_placement: bound("large_bet_placement", triggers.large_bet_placement)?,
        high_frequency_betting: frequency(triggers.high_frequency_betting)?,
        updated_at: document.updated_at,
    })
}

/// What a data error says without the value it met.
fn kind_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once("expected ") {
        Some((_, expected)) => {
            let expected = expected.split(" at line ").next().unwrap_or(expected);
            format!("has a wrong type: must be {expected}")
        }
        None if text.starts_with("duplicate field") => "holds a field twice".to_owned(),
        None => "is invalid".to_owned(),
    }
}

fn plain(triggers: &Triggers<'_>) -> Vec<Trigger> {
    [
        (triggers.login, Trigger::Login),
        (triggers.password_change, Trigger::PasswordChange),
        (triggers.name_change, Trigger::NameChange),
        (triggers.phone_number_change, Trigger::PhoneNumberChange),
        (triggers.two_factor_auth_change, Trigger::TwoFactorAuthChange),
        (triggers.new_device_or_location, Trigger::NewDeviceOrLocation),
        (triggers.device_fingerprint_change, Trigger::DeviceFingerprintChange),
        (triggers.payment_method_change, Trigger::PaymentMethodChange),
        (triggers.account_balance_transfer, Trigger::AccountBalanceTransfer),
    ]
    .into_iter()
    .filter_map(|(enabled, trigger)| enabled.then_some(trigger))
    .collect()
}

/// A threshold of 0 or less is any amount.
fn bound(trigger: &str, setting: Option<Object<AmountTrigger<'_>>>) -> Result<Option<AmountBound>, Unreadable> {
    let Some(Object(setting)) = setting.filter(|Object(setting)| setting.enabled) else {
        return Ok(None);
    };
    let threshold = match setting.threshold {
        None => None,
        Some(raw) if raw.get().starts_with('-') => negative(raw)
            .map(|()| None)
            .ok_or_else(|| Unreadable(format!("reuse_kyc_triggers.{trigger}.threshold must be a number")))?,
        Some(raw) => {
            Some(amount(raw).map_err(|error| Unreadable(format!("reuse_kyc_triggers.{trigger}.threshold {error}")))?)
        }
    };
    let threshold = threshold.map(crate::domain::money::Amount::as_usd).filter(|threshold| !threshold.is_zero());
    Ok(Some(AmountBound { threshold }))
}

fn frequency(setting: Option<Object<FrequencyTrigger<'_>>>) -> Result<Option<FrequencyBound>, Unreadable> {
    let Some(Object(setting)) = setting.filter(|Object(setting)| setting.enabled) else {
        return Ok(None);
    };
    let count = whole("count", setting.count)?;
    let window_minutes = whole("window_minutes", setting.window_minutes)?;
    Ok(Some(FrequencyBound { needed: count.max(1), window_minutes: Some(window_minutes).filter(|m| *m > 0) }))
}

/// A whole number of at least 0; what is absent or below that counts as 0, which enforces nothing.
fn whole(field: &str, raw: Option<&RawValue>) -> Result<u32, Unreadable> {
    let Some(raw) = raw else { return Ok(0) };
    if raw.get().starts_with('-') && negative(raw).is_some() {
        return Ok(0);
    }
    let wrong = || {
        Unreadable(format!(
            "reuse_kyc_triggers.high_frequency_betting.{field} must be a whole number up to {}",
            u32::MAX
        ))
    };
    // An encoder may write a whole number as 10.0 or 1e1: its exact decimal form tells.
    let exact = raw.get().parse::<crate::domain::money::Amount>().map_err(|_| wrong())?;
    exact.to_string().parse().map_err(|_| wrong())
}

fn negative(raw: &RawValue) -> Option<()> {
    use crate::domain::money::InvalidAmount;
    match raw.get().parse::<crate::domain::money::Amount>() {
        Ok(_) | Err(InvalidAmount::Negative) => Some(()),
        Err(InvalidAmount::Grammar | InvalidAmount::TooManyDigits | InvalidAmount::OutOfRange) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str) -> Result<Preferences, String> {
        decode(document.as_bytes()).map_err(|error| error.0)
    }

    #[test]
    fn bounds_that_are_absent_null_or_zero_are_not_enforced() {
        for bound in ["", r#","threshold":null"#, r#","threshold":0"#, r#","threshold":0.00"#, r#","threshold":-5"#] {
            let text = format!(
                r#"{{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{{"deposit":{{"enabled":true{bound}}}}}}}"#
            );
            assert_eq!(read(&text).unwrap().deposit, Some(AmountBound { threshold: None }), "{text}");
        }
        for (bounds, needed, minutes) in [
            ("", 1, None),
            (r#","count":0,"window_minutes":0"#, 1, None),
            (r#","count":null,"window_minutes":null"#, 1, None),
            (r#","count":-3,"window_minutes":-1"#, 1, None),
            (r#","count":10,"window_minutes":5"#, 10, Some(5)),
            (r#","count":10.0,"window_minutes":5e0"#, 10, Some(5)),
        ] {
            let text = format!(
                r#"{{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{{"high_frequency_betting":{{"enabled":true{bounds}}}}}}}"#
            );
            let want = Some(FrequencyBound { needed, window_minutes: minutes });
            assert_eq!(read(&text).unwrap().high_frequency_betting, want, "{text}");
        }
    }

    #[test]
    fn what_is_absent_null_or_unknown_triggers_nothing() {
        for text in [
            "{}",
            r#"{"is_reuse_kyc_enabled":null,"reuse_kyc_triggers":null}"#,
            r#"{"reuse_kyc_triggers":{"login":null,"deposit":null,"something_new":{"enabled":true}},"other":[1]}"#,
            r#"{"reuse_kyc_triggers":{"deposit":{"threshold":5},"high_frequency_betting":{"enabled":null}}}"#,
        ] {
            assert_eq!(read(text), Ok(Preferences::OFF), "{text}");
        }
    }

    #[test]
    fn an_unreadable_document_names_the_field() {
        for (text, want) in [
            ("{", "it is not JSON"),
            ("[]", "has a wrong type: must be an object"),
            (
                r#"{"reuse_kyc_triggers":{"deposit":[true,100]}}"#,
                "reuse_kyc_triggers.deposit has a wrong type: must be an object",
            ),
            (r#"{"reuse_kyc_triggers":[true,true]}"#, "reuse_kyc_triggers has a wrong type: must be an object"),
            ("7", "has a wrong type: must be an object"),
            ("{} {}", "something follows the JSON object"),
            (r#"{"is_reuse_kyc_enabled":"yes"}"#, "is_reuse_kyc_enabled has a wrong type: must be a boolean"),
            (
                r#"{"reuse_kyc_triggers":{"deposit":true}}"#,
                "reuse_kyc_triggers.deposit has a wrong type: must be an object",
            ),
            (
                r#"{"reuse_kyc_triggers":{"deposit":{"enabled":true,"threshold":"much"}}}"#,
                "reuse_kyc_triggers.deposit.threshold must be a number as JSON writes it, like 12.50",
            ),
            (
                r#"{"reuse_kyc_triggers":{"high_frequency_betting":{"enabled":true,"count":1.5}}}"#,
                "reuse_kyc_triggers.high_frequency_betting.count must be a whole number up to 4294967295",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), want, "{text}");
        }
    }
}

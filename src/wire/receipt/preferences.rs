//! A tenant's preferences as receipts hold them: what one trigger reads, and a digest over all of them.

use super::Sha256;
use crate::domain::money::Usd;
use crate::domain::outcome::Rejection;
use crate::domain::preferences::{AmountBound, FrequencyBound, Preferences, Setting};
use crate::domain::trigger::{Bound, Trigger};
use crate::wire::json::{self, Field};
use crate::wire::json_writer::{self, Object};

/// The digest of preferences: SHA-256 over the document that says the same in canonical form, every trigger in its place
/// and nothing that no decision reads. Documents that differ in spelling or order alone have one digest.
pub fn preferences_sha256(preferences: &Preferences) -> Sha256 {
    Sha256::of(&canonical(preferences))
}

fn canonical(preferences: &Preferences) -> Vec<u8> {
    // A trigger's own setting, whatever the master switch says.
    let switched_on = Preferences { enabled: true, ..preferences.clone() };
    let mut out = Vec::with_capacity(1_024);
    json_writer::object(&mut out, |object| {
        object.boolean("is_reuse_kyc_enabled", preferences.enabled);
        object.object("reuse_kyc_triggers", |object| {
            for trigger in Trigger::ALL {
                setting(object, *trigger, switched_on.setting(*trigger));
            }
        });
        if let Some(updated_at) = &preferences.updated_at {
            object.string("updated_at", updated_at);
        }
    });
    out
}

/// The part of the document that says this of the trigger.
pub(super) fn partial(object: &mut Object<'_>, trigger: Trigger, said: Setting) {
    object.boolean("is_reuse_kyc_enabled", said != Setting::FeatureOff);
    if said != Setting::FeatureOff {
        object.object("reuse_kyc_triggers", |object| setting(object, trigger, said));
    }
}

fn setting(object: &mut Object<'_>, trigger: Trigger, setting: Setting) {
    match (trigger.bounded_by(), setting) {
        (Bound::Nothing, Setting::Plain) => object.boolean(trigger.name(), true),
        (Bound::Nothing, _) => object.boolean(trigger.name(), false),
        (_, Setting::Amount(bound)) => object.object(trigger.name(), |object| {
            object.boolean("enabled", true);
            if let Some(threshold) = bound.threshold {
                object.string("threshold", &threshold.to_string());
            }
        }),
        (_, Setting::Frequency(bound)) => object.object(trigger.name(), |object| {
            object.boolean("enabled", true);
            object.integer("count", bound.needed);
            if let Some(minutes) = bound.window_minutes {
                object.integer("window_minutes", minutes);
            }
        }),
        (_, Setting::FeatureOff | Setting::Off | Setting::Plain) => {
            object.object(trigger.name(), |object| object.boolean("enabled", false));
        }
    }
}

const AMOUNT: [&str; 2] = ["enabled", "threshold"];
const FREQUENCY: [&str; 3] = ["enabled", "count", "window_minutes"];

/// Reads what [`partial`] writes.
pub(super) fn read(switch: Field<'_>, triggers: Field<'_>, trigger: Trigger) -> Result<Setting, Rejection> {
    if !boolean(switch)? {
        return Ok(Setting::FeatureOff);
    }
    let text = triggers.present()?.get();
    let name = trigger.name();
    let said = text.strip_prefix(&format!("{{\"{name}\":")).and_then(|rest| rest.strip_suffix('}'));
    let said = said.ok_or_else(|| triggers.invalid(format!("must hold {name}, without white space")))?;
    match trigger.bounded_by() {
        Bound::Nothing => match said {
            "true" => Ok(Setting::Plain),
            "false" => Ok(Setting::Off),
            _ => Err(triggers.invalid(format!("must hold {name} as true or false"))),
        },
        Bound::Amount => {
            let [enabled, threshold] = json::object(said, WITHIN, &AMOUNT)?;
            let threshold = threshold.raw().map(|_| threshold.named(str::parse::<Usd>)).transpose()?;
            Ok(if boolean(enabled)? { Setting::Amount(AmountBound { threshold }) } else { Setting::Off })
        }
        Bound::Frequency => {
            let [enabled, count, minutes] = json::object(said, WITHIN, &FREQUENCY)?;
            if !boolean(enabled)? {
                return Ok(Setting::Off);
            }
            let bound = FrequencyBound { needed: count.required_whole()?, window_minutes: minutes.whole()? };
            if bound.needed == 0 {
                return Err(count.invalid("must be at least 1"));
            }
            if bound.window_minutes == Some(0) {
                return Err(minutes.invalid("must be at least 1"));
            }
            Ok(Setting::Frequency(bound))
        }
    }
}

const WITHIN: &str = "preferences.reuse_kyc_triggers.<trigger>.";

fn boolean(field: Field<'_>) -> Result<bool, Rejection> {
    match field.present()?.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(field.invalid("must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::preferences::decode;

    fn read(document: &str) -> Preferences {
        decode(document.as_bytes()).unwrap()
    }

    #[test]
    fn the_canonical_document_says_what_was_read_whatever_the_spelling() {
        let document = r#"{"updated_at":"v1","other":1,"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
            "withdrawal":{"threshold":5,"enabled":false},"deposit":{"threshold":1e2,"enabled":true},"login":true,
            "large_bet_placement":{"enabled":true},"high_frequency_betting":{"enabled":true,"count":0,"window_minutes":5}}}"#;
        let want = concat!(
            r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,"password_change":false,"name_change":false,"#,
            r#""phone_number_change":false,"two_factor_auth_change":false,"new_device_or_location":false,"#,
            r#""device_fingerprint_change":false,"payment_method_change":false,"account_balance_transfer":false,"#,
            r#""deposit":{"enabled":true,"threshold":"100"},"withdrawal":{"enabled":false},"#,
            r#""large_bet_placement":{"enabled":true},"#,
            r#""high_frequency_betting":{"enabled":true,"count":1,"window_minutes":5}},"updated_at":"v1"}"#,
        );
        let preferences = read(document);
        assert_eq!(String::from_utf8(canonical(&preferences)).unwrap(), want);
        assert_eq!(read(want), preferences);
        assert_eq!(preferences_sha256(&preferences), Sha256::of(want.as_bytes()));
    }

    #[test]
    fn whatever_a_decision_reads_changes_the_digest() {
        let documents = [
            "{}",
            r#"{"updated_at":"v1"}"#,
            r#"{"is_reuse_kyc_enabled":true}"#,
            r#"{"reuse_kyc_triggers":{"login":true}}"#,
            r#"{"reuse_kyc_triggers":{"name_change":true}}"#,
            r#"{"reuse_kyc_triggers":{"deposit":{"enabled":true}}}"#,
            r#"{"reuse_kyc_triggers":{"deposit":{"enabled":true,"threshold":"0.01"}}}"#,
            r#"{"reuse_kyc_triggers":{"withdrawal":{"enabled":true,"threshold":"0.01"}}}"#,
            r#"{"reuse_kyc_triggers":{"high_frequency_betting":{"enabled":true}}}"#,
            r#"{"reuse_kyc_triggers":{"high_frequency_betting":{"enabled":true,"count":2}}}"#,
            r#"{"reuse_kyc_triggers":{"high_frequency_betting":{"enabled":true,"window_minutes":2}}}"#,
        ];
        let digests: Vec<String> =
            documents.iter().map(|document| preferences_sha256(&read(document)).to_string()).collect();
        for (place, digest) in digests.iter().enumerate() {
            assert!(!digests[..place].contains(digest), "{}", documents[place]);
        }
    }
}

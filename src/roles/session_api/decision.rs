//! The service's last word: whether a tenant's triggers ask for verification.

use crate::domain::preferences::{Preferences, Setting};
use crate::domain::trigger::Trigger;
use crate::wire::session_api::{RequestedEvent, SessionRequest};

/// Whether verification is required, or why not, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Required(Trigger),
    NotRequired(&'static str),
}

/// Evaluates the triggers as the service does. Customers whose id begins with `no_prior_kyc` were never verified before.
pub(super) fn decide(request: &SessionRequest, preferences: &Preferences, no_prior_kyc: Option<&str>) -> Verdict {
    let (trigger, unmet) = match &request.event {
        RequestedEvent::Unknown => return Verdict::NotRequired("unknown event"),
        RequestedEvent::Plain(trigger)
        | RequestedEvent::Amount { trigger, .. }
        | RequestedEvent::Frequency { trigger, .. } => (*trigger, unmet(&request.event, preferences.setting(*trigger))),
    };
    match unmet {
        Some(reason) => Verdict::NotRequired(reason),
        None if no_prior_kyc.is_some_and(|prefix| request.customer.as_str().starts_with(prefix)) => {
            Verdict::NotRequired("no prior KYC")
        }
        None => Verdict::Required(trigger),
    }
}

/// Which rule the event does not meet, if any.
fn unmet(event: &RequestedEvent, setting: Setting) -> Option<&'static str> {
    match (setting, event) {
        (Setting::FeatureOff, _) => Some("feature disabled"),
        (Setting::Off, _) => Some("trigger disabled"),
        (Setting::Amount(bound), RequestedEvent::Amount { amount, .. }) => {
            bound.threshold.is_some_and(|threshold| *amount < threshold).then_some("threshold not met")
        }
        (Setting::Frequency(bound), RequestedEvent::Frequency { count, window_minutes, .. }) => {
            if bound.needed > 1 && *count < bound.needed {
                Some("event count not met")
            } else if bound.window_minutes.is_some_and(|width| *window_minutes > width) {
                Some("events are not within the window")
            } else {
                None
            }
        }
        (Setting::Plain | Setting::Amount(_) | Setting::Frequency(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::*;
    use super::*;
    use crate::wire::session_api::decode_request;

    #[test]
    fn the_triggers_are_evaluated_as_the_service_does() {
        let on = |triggers: &str| format!(r#"{{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{{{triggers}}}}}"#);
        let frequency = |count: u32, minutes: u32| {
            format!(r#""event":"high_frequency_betting","event_count":{count},"event_window_minutes":{minutes}"#)
        };
        let deposit = |amount: &str| format!(r#""event":"deposit","amount":{amount}"#);
        let five_hundred = on(r#""deposit":{"enabled":true,"threshold":500.01}"#);
        let ten_in_five = on(r#""high_frequency_betting":{"enabled":true,"count":10,"window_minutes":5}"#);
        let unbounded = on(r#""high_frequency_betting":{"enabled":true,"count":0,"window_minutes":null}"#);
        let login = r#""event":"login""#.to_owned();
        for (document, event, want) in [
            ("{}".to_owned(), login.clone(), NotRequired("feature disabled")),
            (on(""), login.clone(), NotRequired("trigger disabled")),
            (on(r#""login":true"#), login.clone(), Required(Trigger::Login)),
            (on(r#""login":true"#), r#""event":"""#.to_owned(), NotRequired("unknown event")),
            (on(r#""login":true"#), r#""event":"jump""#.to_owned(), NotRequired("unknown event")),
            (on(r#""deposit":{"enabled":true}"#), deposit("0"), Required(Trigger::Deposit)),
            (on(r#""deposit":{"enabled":false,"threshold":1}"#), deposit("5"), NotRequired("trigger disabled")),
            (five_hundred.clone(), deposit("500.0099999999999999"), NotRequired("threshold not met")),
            (five_hundred, deposit("500.010"), Required(Trigger::Deposit)),
            (ten_in_five.clone(), frequency(9, 5), NotRequired("event count not met")),
            (ten_in_five.clone(), frequency(10, 6), NotRequired("events are not within the window")),
            (ten_in_five, frequency(10, 5), Required(Trigger::HighFrequencyBetting)),
            (unbounded, frequency(0, 9_999), Required(Trigger::HighFrequencyBetting)),
        ] {
            let preferences = crate::wire::preferences::decode(document.as_bytes()).unwrap();
            let body = format!(r#"{{"reference":"r","customer_id":"new-1",{event}}}"#);
            let request = decode_request(body.as_bytes()).unwrap();
            assert_eq!(decide(&request, &preferences, None), want, "{document} {event}");
            assert_eq!(decide(&request, &preferences, Some("old-")), want, "{document} {event}");
            let unverified = if matches!(want, Required(_)) { NotRequired("no prior KYC") } else { want };
            assert_eq!(decide(&request, &preferences, Some("new-")), unverified, "{document} {event}");
        }
    }
}

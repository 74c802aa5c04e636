//! A line of `backtest --decisions`, version 1: what was decided for one event and one trigger, or why nothing could be.

use super::json_writer;
use crate::domain::decide::Decision;
use crate::domain::event::Event;
use crate::domain::ids::EventId;
use crate::domain::outcome::RejectCode;
use crate::domain::trigger::Trigger;

/// Writes the line of one decision, with its line feed. The window's numbers stand there whenever it was asked.
pub fn write(out: &mut Vec<u8>, event: &Event, trigger: Trigger, decision: &Decision) {
    let whose = Whose { event: event.id.as_str(), tenant: event.tenant.as_str(), customer: event.customer.as_str() };
    write_named(out, whose, trigger, decision);
}

/// Whose decision a line tells, by names that were checked.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    pub event: &'a str,
    pub tenant: &'a str,
    pub customer: &'a str,
}

/// The same for an event of which only the names are at hand.
pub fn write_named(out: &mut Vec<u8>, whose: Whose<'_>, trigger: Trigger, decision: &Decision) {
    json_writer::object(out, |object| {
        object.string("event_id", whose.event);
        object.string("tenant_id", whose.tenant);
        object.string("customer_id", whose.customer);
        object.string("event", trigger.name());
        object.string("decision", decision.name());
        if let Some(reach) = decision.reach() {
            object.integer("event_count", reach.count);
            object.integer("event_window_minutes", reach.within_minutes);
        }
    });
    out.push(b'\n');
}

/// Writes the line of a record that cannot be processed, with its line feed.
pub fn write_rejected(out: &mut Vec<u8>, id: Option<&EventId>, code: RejectCode) {
    json_writer::object(out, |object| {
        if let Some(id) = id {
            object.string("event_id", id.as_str());
        }
        object.string("decision", "rejected");
        object.string("code", code.name());
    });
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::{Facts, Standing};
    use crate::domain::event::Activity;
    use crate::domain::ids::{CustomerId, TenantId};
    use crate::domain::money::Usd;
    use crate::domain::time::Timestamp;
    use crate::domain::window::{Reach, Timeliness};

    #[test]
    fn lines_stand_there_as_the_format_says() {
        let event = Event {
            id: EventId::new("bet \"1\"\u{1}").unwrap(),
            tenant: TenantId::new("acme").unwrap(),
            customer: CustomerId::new("é").unwrap(),
            activity: Activity::Bet(Usd::ZERO),
            occurred_at: Timestamp(0),
            transaction: None,
        };
        let reach = Reach { count: 2, within_minutes: 5, needed: 3, timeliness: Timeliness::InTime };
        let required = |facts| Decision::Required { facts, standing: Standing::First };
        let mut out = Vec::new();
        write(&mut out, &event, Trigger::HighFrequencyBetting, &Decision::BelowFrequency(reach));
        write(&mut out, &event, Trigger::HighFrequencyBetting, &required(Facts::Frequency(reach)));
        write(&mut out, &event, Trigger::LargeBetPlacement, &required(Facts::Amount(Usd::ZERO)));
        write_rejected(&mut out, Some(&event.id), RejectCode::UnknownCurrency);
        write_rejected(&mut out, None, RejectCode::InvalidJson);
        let start = r#"{"event_id":"bet \"1\"\u0001","#;
        let who = r#""tenant_id":"acme","customer_id":"é","event":"#;
        let counts = r#""event_count":2,"event_window_minutes":5}"#;
        let want = [
            format!(r#"{start}{who}"high_frequency_betting","decision":"below_frequency",{counts}"#),
            format!(r#"{start}{who}"high_frequency_betting","decision":"required",{counts}"#),
            format!(r#"{start}{who}"large_bet_placement","decision":"required"}}"#),
            format!(r#"{start}"decision":"rejected","code":"unknown_currency"}}"#),
            r#"{"decision":"rejected","code":"invalid_json"}"#.to_owned(),
        ];
        assert_eq!(String::from_utf8(out).unwrap(), want.map(|line| line + "\n").concat());
    }
}

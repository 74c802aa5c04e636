//! The answer of a back-test, version 1: what was decided, whom it interrupts, and what other preferences would change.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// The whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// It was stopped before the end of the recording.
    pub partial: bool,
    /// Events decided.
    pub events: u64,
    pub unknown_types: u64,
    /// Lines that cannot be processed, by code.
    pub rejected: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub bad_lines: Vec<BadLine>,
    /// Bets that came after their place in the window was dropped.
    pub late_bets: u64,
    /// The oldest and the newest event, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What of the memory's contents was given up for want of room. Not nothing means: figures may be wrong.
    pub given_up: GivenUp,
    /// The cost of one session, where it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_per_session: Option<String>,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
    /// By name; all triggers, tested or not.
    pub triggers: BTreeMap<&'static str, Compared>,
    pub total: Compared,
    /// Those with the most prompts, or with the most changed where two are compared.
    pub most_affected: Vec<Affected>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
}

/// A line that cannot be processed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Counted from 1.
    pub line: u64,
    pub code: &'static str,
    pub error: String,
}

/// What was given up before its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GivenUp {
    /// Customers whose windows and claims were dropped while they could still matter.
    pub states: u64,
    /// Customers whose figures were closed early; one who came again is counted twice.
    pub customers: u64,
    /// Prompts that are missing in the count of their minute.
    pub minutes: u64,
}

impl GivenUp {
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// The figures of one trigger, or of all, under one set of preferences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Events, each for one trigger, that are to be verified: a repeat that is `required` again counts.
    pub required: u64,
    /// Sessions that these make: a repeat makes none of its own.
    pub prompts: u64,
    /// Prompts of a customer beyond the first.
    pub repeat_prompts: u64,
    /// Distinct customers prompted.
    pub customers: u64,
    /// How many customers are prompted so often.
    pub prompts_per_customer: Spread,
    /// The fullest minute of event time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_minute: Option<Peak>,
    /// Of all prompts, exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// Every decision that came up, by name.
    pub decisions: BTreeMap<&'static str, u64>,
}

/// Customers by the number of their prompts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spread(pub [u64; 5]);

impl Spread {
    pub const NAMES: [&'static str; 5] = ["1", "2", "3-5", "6-10", ">10"];

    /// Counts a customer of so many prompts.
    pub fn add(&mut self, prompts: u64) {
        match prompts {
            0 => {}
            1 => self.0[0] += 1,
            2 => self.0[1] += 1,
            3..=5 => self.0[2] += 1,
            6..=10 => self.0[3] += 1,
            _ => self.0[4] += 1,
        }
    }
}

impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Self::NAMES.iter().zip(self.0))
    }
}

/// A minute of event time and the sessions that begin in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peak {
    /// Its beginning, in RFC 3339.
    pub at: String,
    pub sessions: u64,
}

/// Figures, and where two sets of preferences are compared those of the other under the same names with `_against`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    pub figures: Figures,
    pub against: Option<Against>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Against {
    pub figures: Figures,
    pub changes: Changes,
}

/// What the other preferences change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Pairs of event and trigger required only under the other.
    pub newly: u64,
    /// Pairs of event and trigger no longer required under the other.
    pub no_longer: u64,
    /// Customers prompted only under the other.
    pub customers_newly: u64,
    /// Customers no longer prompted under the other.
    pub customers_no_longer: u64,
}

impl Serialize for Compared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        each(&mut map, &self.figures, Side::Base)?;
        if let Some(against) = &self.against {
            each(&mut map, &against.figures, Side::Against)?;
            map.serialize_entry("newly", &against.changes.newly)?;
            map.serialize_entry("no_longer", &against.changes.no_longer)?;
            map.serialize_entry("customers_newly", &against.changes.customers_newly)?;
            map.serialize_entry("customers_no_longer", &against.changes.customers_no_longer)?;
        }
        map.end()
    }
}

#[derive(Clone, Copy)]
enum Side {
    Base,
    Against,
}

fn each<M: serde::ser::SerializeMap>(map: &mut M, figures: &Figures, side: Side) -> Result<(), M::Error> {
    let of = |base, against| match side {
        Side::Base => base,
        Side::Against => against,
    };
    map.serialize_entry(of("required", "required_against"), &figures.required)?;
    map.serialize_entry(of("prompts", "prompts_against"), &figures.prompts)?;
    map.serialize_entry(of("repeat_prompts", "repeat_prompts_against"), &figures.repeat_prompts)?;
    map.serialize_entry(of("customers", "customers_against"), &figures.customers)?;
    let name = of("prompts_per_customer", "prompts_per_customer_against");
    map.serialize_entry(name, &figures.prompts_per_customer)?;
    map.serialize_entry(of("peak_minute", "peak_minute_against"), &figures.peak_minute)?;
    if let Some(cost) = &figures.cost {
        map.serialize_entry(of("cost", "cost_against"), cost)?;
    }
    map.serialize_entry(of("decisions", "decisions_against"), &figures.decisions)
}

/// A customer and how often it is prompted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Affected {
    pub tenant_id: String,
    pub customer_id: String,
    pub prompts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts_against: Option<u64>,
}

/// The figures of every step of one bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sweep {
    /// Like `deposit.threshold`.
    pub term: String,
    pub trigger: &'static str,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// A plain decimal.
    pub value: String,
    /// Of the trigger that is swept.
    #[serde(flatten)]
    pub figures: Figures,
    /// Of all triggers.
    pub total: Figures,
}

/// One JSON object and a line feed.
pub fn encode(answer: &Answer) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(answer)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_a_place_for_every_number() {
        let mut spread = Spread::default();
        [0, 1, 1, 2, 3, 5, 6, 10, 11, u64::MAX].into_iter().for_each(|prompts| spread.add(prompts));
        assert_eq!(serde_json::to_string(&spread).unwrap(), r#"{"1":2,"2":1,"3-5":2,"6-10":2,">10":2}"#);
    }

    #[test]
    fn what_is_compared_stands_under_the_names_of_the_base_and_with_against() {
        let figures = |required| Figures { required, cost: Some("0.7".to_owned()), ..Figures::default() };
        let alone = Compared { figures: figures(1), against: None };
        let names = |compared: &Compared| match serde_json::to_value(compared).unwrap() {
            serde_json::Value::Object(map) => map.keys().cloned().collect::<Vec<String>>(),
            other => panic!("no object: {other}"),
        };
        let base = names(&alone);
        assert!(base.contains(&"required".to_owned()) && base.contains(&"customers".to_owned()), "{base:?}");
        let changes = Changes { newly: 3, ..Changes::default() };
        let both = Compared { against: Some(Against { figures: figures(2), changes }), ..alone };
        let value = serde_json::to_value(&both).unwrap();
        assert_eq!(
            (&value["required"], &value["required_against"], &value["newly"]),
            (&1.into(), &2.into(), &3.into())
        );
        for name in base {
            assert!(value.get(format!("{name}_against")).is_some(), "{name}");
        }
    }
}

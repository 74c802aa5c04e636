//! One bound of one trigger, taken through a range: `deposit.threshold=100..2000:100`.

use std::fmt;
use std::str::FromStr;

use crate::domain::trigger::{Bound, Trigger};

/// More steps than this make a picture no better.
pub(super) const MOST_STEPS: usize = 200;

/// A bound and the values that it is to take, from the least to the greatest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sweep {
    pub(super) term: Term,
    /// Plain decimals.
    pub(super) values: Vec<String>,
}

/// A bound that a tenant sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) trigger: Trigger,
    pub(super) field: &'static str,
}

/// Why a text is no sweep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidSweep {
    #[error("must be TERM=FROM..TO:STEP, like deposit.threshold=100..2000:100")]
    Form,
    #[error("{0:?} cannot be swept: allowed are {terms}", terms = names())]
    Term(String),
    #[error("{0:?} must be a plain decimal like 100 or 12.50, at most 15 digits before the point and 6 behind it")]
    Number(String),
    #[error("{term} takes whole numbers from 1 to {max}", max = u32::MAX)]
    Whole { term: Term },
    #[error("the step of {term} must be greater than 0")]
    NoStep { term: Term },
    #[error("{term} runs from {from} down to {to}: give the lesser value first")]
    Backwards { term: Term, from: String, to: String },
    #[error("{term} would take {steps} steps, at most {MOST_STEPS} are allowed: take a greater step")]
    TooMany { term: Term, steps: i128 },
}

impl Term {
    const ALL: [Self; 5] = [
        Self { trigger: Trigger::Deposit, field: "threshold" },
        Self { trigger: Trigger::Withdrawal, field: "threshold" },
        Self { trigger: Trigger::LargeBetPlacement, field: "threshold" },
        Self { trigger: Trigger::HighFrequencyBetting, field: "count" },
        Self { trigger: Trigger::HighFrequencyBetting, field: "window_minutes" },
    ];
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.trigger, self.field)
    }
}

fn names() -> String {
    Term::ALL.map(|term| term.to_string()).join(", ")
}

impl Sweep {
    /// The partial update of a document that makes the term take a value.
    pub(super) fn update(&self, value: &str) -> String {
        format!(r#"{{"reuse_kyc_triggers":{{"{}":{{"{}":{value}}}}}}}"#, self.term.trigger, self.term.field)
    }
}

impl FromStr for Sweep {
    type Err = InvalidSweep;

    fn from_str(text: &str) -> Result<Self, InvalidSweep> {
        let (name, range) = text.split_once('=').ok_or(InvalidSweep::Form)?;
        let found = Term::ALL.into_iter().find(|term| term.to_string() == name);
        let term = found.ok_or_else(|| InvalidSweep::Term(name.to_owned()))?;
        let (ends, step) = range.rsplit_once(':').ok_or(InvalidSweep::Form)?;
        let (from, to) = ends.split_once("..").ok_or(InvalidSweep::Form)?;
        let (begin, end, by) = (decimal(from)?, decimal(to)?, decimal(step)?);
        let least = if term.trigger.bounded_by() == Bound::Frequency { MILLION } else { 0 };
        if least > 0 {
            let most = i128::from(u32::MAX) * MILLION;
            if [begin, end, by].iter().any(|number| number % MILLION != 0) || begin < least || end > most {
                return Err(InvalidSweep::Whole { term });
            }
        }
        if by == 0 {
            return Err(InvalidSweep::NoStep { term });
        }
        if end < begin {
            return Err(InvalidSweep::Backwards { term, from: from.to_owned(), to: to.to_owned() });
        }
        let steps = (end - begin) / by + 1;
        let within = usize::try_from(steps).ok().filter(|steps| *steps <= MOST_STEPS);
        within.ok_or(InvalidSweep::TooMany { term, steps })?;
        Ok(Self { term, values: (0..steps).map(|step| written(begin + step * by)).collect() })
    }
}

/// Numbers here are whole millionths.
const MILLION: i128 = 1_000_000;

fn decimal(text: &str) -> Result<i128, InvalidSweep> {
    let wrong = || InvalidSweep::Number(text.to_owned());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let plain = |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole, 15) || !plain(fraction, 6) {
        return Err(wrong());
    }
    format!("{whole}{fraction:0<6}").parse().map_err(|_| wrong())
}

fn written(millionths: i128) -> String {
    let text = format!("{}.{:06}", millionths / MILLION, millionths % MILLION);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_both_ends_where_the_steps_meet_them() {
        for (text, want) in [
            ("deposit.threshold=100..400:100", "100 200 300 400"),
            ("deposit.threshold=0..1:0.25", "0 0.25 0.5 0.75 1"),
            ("withdrawal.threshold=0.1..0.35:0.1", "0.1 0.2 0.3"),
            ("large_bet_placement.threshold=5..5:1", "5"),
            ("high_frequency_betting.count=2..10:4", "2 6 10"),
            ("high_frequency_betting.window_minutes=1..3.0:1", "1 2 3"),
            (
                "deposit.threshold=999999999999999..999999999999999.000002:0.000001",
                "999999999999999 999999999999999.000001 999999999999999.000002",
            ),
        ] {
            assert_eq!(text.parse::<Sweep>().unwrap().values.join(" "), want, "{text}");
        }
        assert_eq!("deposit.threshold=1..200:1".parse::<Sweep>().unwrap().values.len(), MOST_STEPS);
    }

    #[test]
    fn a_bad_sweep_says_what_is_allowed() {
        for (text, want) in [
            ("", "must be TERM=FROM..TO:STEP"),
            ("deposit.threshold", "must be TERM=FROM..TO:STEP"),
            ("deposit.threshold=100..200", "must be TERM=FROM..TO:STEP"),
            ("deposit.threshold=100:5", "must be TERM=FROM..TO:STEP"),
            (
                "deposit=1..2:1",
                "\"deposit\" cannot be swept: allowed are deposit.threshold, withdrawal.threshold, large_bet_placement.threshold, high_frequency_betting.count, high_frequency_betting.window_minutes",
            ),
            ("login.threshold=1..2:1", "cannot be swept"),
            ("deposit.threshold=-1..2:1", "\"-1\" must be a plain decimal"),
            ("deposit.threshold=1..2:1e3", "\"1e3\" must be a plain decimal"),
            ("deposit.threshold=1..2:", "\"\" must be a plain decimal"),
            ("deposit.threshold=1..2.0000001:1", "6 behind it"),
            ("deposit.threshold=1..2:0", "the step of deposit.threshold must be greater than 0"),
            ("deposit.threshold=2..1:1", "deposit.threshold runs from 2 down to 1"),
            ("deposit.threshold=0..200:1", "deposit.threshold would take 201 steps, at most 200 are allowed"),
            ("high_frequency_betting.count=0..5:1", "high_frequency_betting.count takes whole numbers from 1"),
            ("high_frequency_betting.count=1..2:0.5", "takes whole numbers"),
            (
                "high_frequency_betting.window_minutes=1..5000000000:4000000000",
                "takes whole numbers from 1 to 4294967295",
            ),
        ] {
            let error = text.parse::<Sweep>().unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}

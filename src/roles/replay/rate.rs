//! How many events a second are wanted, as people write it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::span;

/// The rate of a run, in events a second.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rate {
    Constant(f64),
    /// From the first to the second over the whole run.
    Ramp {
        from: f64,
        to: f64,
    },
    /// One after the other, each for its time; the last one ends the run.
    Steps(Vec<(f64, Duration)>),
    /// As the events' own times say, so many times as fast.
    Recorded {
        factor: f64,
    },
    /// As fast as possible.
    Max,
}

const ALLOWED: &str = "must be a number of events a second, like 500; a ramp, like 100..5000; steps, like \
                       1000:30s,2000:30s; recorded or recorded*10; or max";
/// No rate is higher.
const HIGHEST: f64 = 1e7;

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = || ALLOWED.to_owned();
        let number = |text: &str| {
            let number: f64 = text.trim().parse().ok()?;
            (0.0..=HIGHEST).contains(&number).then_some(number)
        };
        let rate = if text == "max" {
            Some(Self::Max)
        } else if let Some(factor) = text.strip_prefix("recorded") {
            let factor = if factor.is_empty() { "1" } else { factor.trim_start_matches(['*', 'x', '×']) };
            number(factor).filter(|factor| *factor > 0.0).map(|factor| Self::Recorded { factor })
        } else if text.contains(':') {
            let step = |step: &str| {
                let (rate, time) = step.split_once(':')?;
                Some((number(rate)?, span(time).ok().filter(|time| !time.is_zero())?))
            };
            text.split(',').map(step).collect::<Option<_>>().map(Self::Steps)
        } else if let Some((from, to)) = text.split_once("..") {
            number(from).zip(number(to)).map(|(from, to)| Self::Ramp { from, to })
        } else {
            number(text).map(Self::Constant)
        };
        rate.filter(Self::sends_anything).ok_or_else(allowed)
    }
}

impl Rate {
    fn sends_anything(&self) -> bool {
        match self {
            Self::Constant(rate) => *rate > 0.0,
            Self::Ramp { from, to } => *from > 0.0 || *to > 0.0,
            Self::Steps(steps) => steps.iter().any(|(rate, _)| *rate > 0.0),
            Self::Recorded { .. } | Self::Max => true,
        }
    }

    /// How long a run at this rate is, where the rate itself says so.
    pub(super) fn length(&self) -> Option<Duration> {
        match self {
            Self::Steps(steps) => Some(steps.iter().map(|(_, time)| *time).sum()),
            Self::Constant(_) | Self::Ramp { .. } | Self::Recorded { .. } | Self::Max => None,
        }
    }

    /// The rate `at` so many seconds of a run that ends at `ends`.
    pub(super) fn at(&self, at: f64, ends: f64) -> f64 {
        match self {
            Self::Constant(rate) => *rate,
            Self::Ramp { from, to } => from + (to - from) * (at / ends).clamp(0.0, 1.0),
            Self::Steps(steps) => {
                let mut left = at;
                for (rate, time) in steps {
                    if left < time.as_secs_f64() {
                        return *rate;
                    }
                    left -= time.as_secs_f64();
                }
                0.0
            }
            Self::Recorded { .. } | Self::Max => 0.0,
        }
    }

    /// Whether nothing comes any more in a run without an end.
    pub(super) fn is_silent_after(&self, at: f64) -> bool {
        self.at(at, f64::INFINITY) <= 0.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(rate) => write!(f, "{rate} events/s"),
            Self::Ramp { from, to } => write!(f, "{from} to {to} events/s"),
            Self::Steps(steps) => {
                for (place, (rate, time)) in steps.iter().enumerate() {
                    let then = if place > 0 { ", then " } else { "" };
                    write!(f, "{then}{rate} events/s for {} s", time.as_secs_f64())?;
                }
                Ok(())
            }
            Self::Recorded { factor } => write!(f, "{factor} × as recorded"),
            Self::Max => f.write_str("as fast as possible"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, want) in [
            ("500", "500 events/s"),
            ("0.5", "0.5 events/s"),
            ("100..5000", "100 to 5000 events/s"),
            ("5000..0", "5000 to 0 events/s"),
            ("1000:30s,2000:1m", "1000 events/s for 30 s, then 2000 events/s for 60 s"),
            ("recorded", "1 × as recorded"),
            ("recorded*10", "10 × as recorded"),
            ("recorded×0.5", "0.5 × as recorded"),
            ("max", "as fast as possible"),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), want, "{text}");
        }
        for text in
            ["", "0", "-1", "fast", "1..", "0..0", "1000:", "1000:0s", "recorded*0", "NaN", "inf", "1e9", "0:5s"]
        {
            assert_eq!(text.parse::<Rate>(), Err(ALLOWED.to_owned()), "{text}");
        }
    }
}

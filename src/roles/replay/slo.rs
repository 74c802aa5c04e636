//! What a run must keep, as terms like `p99<250ms,lost=0`, and whether it did.

use std::fmt;
use std::str::FromStr;

/// The terms of `--slo`, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slo(Vec<Term>);

#[derive(Debug, Clone, PartialEq)]
struct Term {
    text: String,
    name: Name,
    relation: Relation,
    /// Milliseconds, events a second or a count.
    bound: f64,
}

/// What a term is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Command(Quantile),
    Outcome(Quantile),
    Lost,
    Repeated,
    DeadLetters,
    Rate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantile {
    P50,
    P90,
    P99,
    P999,
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

const NAMES: &str = "p50, p90, p99, p999, max (event to command), outcome.p99 and so on (event to outcome), lost, \
                     repeated, dead_letters, rate";

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(term).collect::<Result<_, _>>().map(Self)
    }
}

fn term(text: &str) -> Result<Term, String> {
    let text = text.trim();
    let wrong = |problem: &str| format!("{text:?} {problem}");
    let relations = [
        ("<=", Relation::AtMost),
        (">=", Relation::AtLeast),
        ("<", Relation::Less),
        (">", Relation::More),
        ("=", Relation::Equal),
    ];
    let found = relations.iter().find_map(|(sign, relation)| Some((text.split_once(sign)?, *relation)));
    let Some(((name, value), relation)) = found else {
        return Err(wrong("has no relation; a term is a name, one of < <= = >= > and a value, like p99<250ms"));
    };
    let (name, value) = (name.trim(), value.trim());
    let name = self::name(name).ok_or_else(|| wrong(&format!("names {name:?}; allowed are {NAMES}")))?;
    let bound = match name {
        Name::Command(_) | Name::Outcome(_) => {
            milliseconds(value).ok_or_else(|| wrong("needs a time with its unit, ms or s, like 250ms"))?
        }
        Name::Lost | Name::Repeated | Name::DeadLetters | Name::Rate => {
            number(value).ok_or_else(|| wrong("needs a number of at least 0 without a unit"))?
        }
    };
    Ok(Term { text: text.to_owned(), name, relation, bound })
}

fn name(text: &str) -> Option<Name> {
    let quantile = |text: &str| {
        Some(match text {
            "p50" => Quantile::P50,
            "p90" => Quantile::P90,
            "p99" => Quantile::P99,
            "p999" => Quantile::P999,
            "max" => Quantile::Max,
            _ => return None,
        })
    };
    Some(match text {
        "lost" => Name::Lost,
        "repeated" => Name::Repeated,
        "dead_letters" => Name::DeadLetters,
        "rate" => Name::Rate,
        _ => match text.split_once('.') {
            Some(("command", rest)) => Name::Command(quantile(rest)?),
            Some(("outcome", rest)) => Name::Outcome(quantile(rest)?),
            _ => Name::Command(quantile(text)?),
        },
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    match text.strip_suffix("ms") {
        Some(millis) => number(millis),
        None => number(text.strip_suffix('s')?).map(|seconds| seconds * 1_000.0),
    }
}

fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

impl Slo {
    /// The terms that are not met, each as a line for people. `measured` gives what a name came to, or why it was not
    /// measured: what nobody saw is not met.
    pub(super) fn broken(&self, measured: impl Fn(Name) -> Result<f64, String>) -> Vec<String> {
        let broken = |term: &Term| match measured(term.name) {
            Err(why) => Some(format!("{} is not met: {why}", term.text)),
            Ok(value) if term.relation.holds(value, term.bound) => None,
            Ok(value) => Some(format!("{} is not met: it was {}", term.text, Written(term.name, value))),
        };
        self.0.iter().filter_map(broken).collect()
    }
}

impl Relation {
    #[allow(clippy::float_cmp, reason = "whoever asks for equality asks for a count")]
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Less => value < bound,
            Self::AtMost => value <= bound,
            Self::Equal => value == bound,
            Self::AtLeast => value >= bound,
            Self::More => value > bound,
        }
    }
}

struct Written(Name, f64);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Name::Command(_) | Name::Outcome(_) => write!(f, "{:.3} ms", self.1),
            Name::Rate => write!(f, "{:.1}", self.1),
            Name::Lost | Name::Repeated | Name::DeadLetters => write!(f, "{}", self.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_held_against_what_was_measured() {
        let measured = |name| {
            Ok(match name {
                Name::Command(Quantile::P99) => 250.0,
                Name::Outcome(Quantile::P50) => 1_500.0,
                Name::Lost => 3.0,
                Name::Rate => 999.5,
                Name::Repeated | Name::DeadLetters => 0.0,
                Name::Command(_) | Name::Outcome(_) => return Err("nothing was sent".to_owned()),
            })
        };
        for (slo, want) in [
            ("p99<=250ms,repeated=0,dead_letters=0", vec![]),
            ("p99 < 250ms", vec!["p99 < 250ms is not met: it was 250.000 ms"]),
            (
                "command.p99>0.25s, lost=0",
                vec!["command.p99>0.25s is not met: it was 250.000 ms", "lost=0 is not met: it was 3"],
            ),
            ("outcome.p50<2s,rate>=1000", vec!["rate>=1000 is not met: it was 999.5"]),
            ("max<1s", vec!["max<1s is not met: nothing was sent"]),
        ] {
            assert_eq!(slo.parse::<Slo>().unwrap().broken(measured), want, "{slo}");
        }
    }

    #[test]
    fn a_term_that_is_wrong_is_named_with_what_is_allowed() {
        for (slo, want) in [
            ("p99", r#""p99" has no relation; a term is a name, one of < <= = >= > and a value, like p99<250ms"#),
            ("", r#""" has no relation; a term is a name, one of < <= = >= > and a value, like p99<250ms"#),
            ("lost=0,p95<1s", &format!(r#""p95<1s" names "p95"; allowed are {NAMES}"#)),
            ("p99<250", r#""p99<250" needs a time with its unit, ms or s, like 250ms"#),
            ("p99<-1ms", r#""p99<-1ms" needs a time with its unit, ms or s, like 250ms"#),
            ("lost=0ms", r#""lost=0ms" needs a number of at least 0 without a unit"#),
            ("rate>NaN", r#""rate>NaN" needs a number of at least 0 without a unit"#),
        ] {
            assert_eq!(slo.parse::<Slo>(), Err(want.to_owned()), "{slo}");
        }
    }
}

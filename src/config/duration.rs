//! Durations as people write them: `250ms`, `60s`, `15m`, `1h30m`.

use std::time::Duration;

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is no duration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoDuration {
    /// A number without a unit, and not 0.
    NoUnit,
    Negative,
    Other,
}

/// Reads whole numbers with their units, the greater unit first and each at most once; and a bare 0.
pub(super) fn parse(text: &str) -> Result<Duration, NoDuration> {
    if text.starts_with('-') {
        return Err(NoDuration::Negative);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let zero = text.bytes().all(|byte| byte == b'0');
        return if zero { Ok(Duration::ZERO) } else { Err(NoDuration::NoUnit) };
    }
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, unit) = part(&mut rest).ok_or(NoDuration::Other)?;
        let (_, millis) = units.find(|(name, _)| *name == unit).ok_or(NoDuration::Other)?;
        total = number.checked_mul(*millis).and_then(|part| total.checked_add(part)).ok_or(NoDuration::Other)?;
    }
    if text.is_empty() { Err(NoDuration::Other) } else { Ok(Duration::from_millis(total)) }
}

/// Takes one number and its unit off the front.
fn part<'t>(rest: &mut &'t str) -> Option<(u64, &'t str)> {
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let (number, after) = rest.split_at(digits);
    let letters = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
    let (unit, after) = after.split_at(letters);
    *rest = after;
    Some((number.parse().ok()?, unit))
}

/// The shortest way to write a duration of whole milliseconds that `parse` reads.
pub(super) fn written(duration: Duration) -> String {
    let mut left = duration.as_millis();
    let mut text = String::new();
    for (unit, millis) in UNITS {
        let count = left / u128::from(millis);
        left %= u128::from(millis);
        if count > 0 {
            text += &format!("{count}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units_and_written_the_shortest_way() {
        use NoDuration::*;
        for (text, want) in [
            ("60s", Ok("1m")),
            ("15m", Ok("15m")),
            ("1h30m", Ok("1h30m")),
            ("250ms", Ok("250ms")),
            ("1m1ms", Ok("1m1ms")),
            ("90m", Ok("1h30m")),
            ("0", Ok("0s")),
            ("0s", Ok("0s")),
            ("000", Ok("0s")),
            ("60", Err(NoUnit)),
            ("-5s", Err(Negative)),
            ("-0", Err(Negative)),
            ("", Err(Other)),
            ("s", Err(Other)),
            ("1.5s", Err(Other)),
            ("5 s", Err(Other)),
            ("30m1h", Err(Other)),
            ("1m1m", Err(Other)),
            ("1d", Err(Other)),
            ("1S", Err(Other)),
            ("1h30", Err(Other)),
            ("99999999999999999999h", Err(Other)),
            ("9999999999999999999h", Err(Other)),
        ] {
            let got = parse(text).map(written);
            assert_eq!(got, want.map(String::from), "{text:?}");
        }
    }
}

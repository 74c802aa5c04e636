//! How the numbers of an axis are written.

use jiff::Timestamp;

use super::super::Unit;

pub(super) const MINUTE: f64 = 60.0;
pub(super) const HOUR: f64 = 3_600.0;
pub(super) const DAY: f64 = 86_400.0;

impl Unit {
    /// A tick's label, as precise as ticks that are `step` apart need it. A percent is 1, not 0.01.
    pub(super) fn tick(self, value: f64, step: f64) -> String {
        match self {
            Self::Plain => plain(value, step),
            Self::Seconds => clock(value, decimals(step)),
            Self::Milliseconds if value.abs() >= 1_000.0 => {
                format!("{} s", number(value / 1_000.0, decimals(step / 1_000.0)))
            }
            Self::Milliseconds => format!("{} ms", number(value, decimals(step))),
            Self::Percent => format!("{} %", number(value, decimals(step))),
            Self::UtcTime => moment(value, step),
        }
    }

    /// One value for itself, to about four digits.
    pub(in crate::roles::report) fn exact(self, value: f64) -> String {
        match self {
            Self::Plain => brief(value, 6),
            Self::Seconds => clock(value, usize::from(value.fract() != 0.0)),
            Self::Milliseconds if value.abs() >= 1_000.0 => format!("{} s", brief(value / 1_000.0, 2)),
            Self::Milliseconds => format!("{} ms", brief(value, 2)),
            Self::Percent => format!("{} %", brief(value, 2)),
            Self::UtcTime => match timestamp(value) {
                Some(at) if at.subsec_millisecond() == 0 => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
                Some(at) => at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string(),
                None => number(value, 0),
            },
        }
    }

    /// The width of an axis with a single value.
    pub(super) fn least_width(self) -> f64 {
        match self {
            Self::Plain | Self::Seconds | Self::Milliseconds | Self::Percent => 1.0,
            Self::UtcTime => MINUTE * 1_000.0,
        }
    }
}

/// The date or dates that labels with nothing but a time of day leave open.
pub(super) fn dates(low: f64, high: f64, step: f64) -> Option<String> {
    if step >= DAY * 1_000.0 {
        return None;
    }
    let day = |value| timestamp(value).map(|at| at.strftime("%-d %b %Y").to_string());
    let (first, last) = (day(low)?, day(high)?);
    Some(if first == last { first } else { format!("{first} – {last}") })
}

/// Milliseconds since 1970 as a time that the calendar knows.
pub(super) fn timestamp(value: f64) -> Option<Timestamp> {
    #[allow(clippy::cast_possible_truncation, reason = "what lies outside the calendar is refused by it")]
    Timestamp::from_millisecond(value.round() as i64).ok()
}

fn moment(value: f64, step: f64) -> String {
    let Some(at) = timestamp(value) else { return number(value, 0) };
    let step = step / 1_000.0;
    let format = if step < 1.0 {
        "%H:%M:%S%.3f"
    } else if step < MINUTE {
        "%H:%M:%S"
    } else if step < DAY {
        "%H:%M"
    } else if step < 28.0 * DAY {
        "%-d %b"
    } else if step < 360.0 * DAY {
        "%b %Y"
    } else {
        "%Y"
    };
    at.strftime(format).to_string()
}

/// `m:ss` or `h:mm:ss`.
fn clock(seconds: f64, decimals: usize) -> String {
    let decimals = decimals.min(3);
    let scale = 10_f64.powi(i32::try_from(decimals).unwrap_or(0));
    let parts = (seconds.abs() * scale).round();
    let (whole, fraction) = ((parts / scale).floor(), parts % scale);
    let sign = if seconds < 0.0 && parts > 0.0 { "−" } else { "" };
    let (hours, minutes, seconds) = ((whole / HOUR).floor(), (whole % HOUR / MINUTE).floor(), whole % MINUTE);
    let fraction = if decimals == 0 { String::new() } else { format!(".{fraction:0decimals$}") };
    if hours > 0.0 {
        format!("{sign}{hours}:{minutes:02}:{seconds:02}{fraction}")
    } else {
        format!("{sign}{minutes}:{seconds:02}{fraction}")
    }
}

/// A number with k, M, G or T from ten thousand on, where that leaves no digit out.
fn plain(value: f64, step: f64) -> String {
    let size = value.abs();
    let units = [(1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")];
    let unit = units.into_iter().find(|(from, _, _)| size >= *from && size < 1e15);
    if let Some((_, unit, suffix)) = unit.filter(|(_, unit, _)| decimals(step / unit) <= 2) {
        return format!("{}{suffix}", number(value / unit, decimals(step / unit)));
    }
    if size > 0.0 && step < 1e-6 { format!("{value:.1e}") } else { number(value, decimals(step)) }
}

/// The decimals that tell multiples of a step apart.
fn decimals(step: f64) -> usize {
    (0..7).find(|decimals| is_whole(step * 10_f64.powi(*decimals))).and_then(|n| usize::try_from(n).ok()).unwrap_or(7)
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6 && value.abs() > 0.5
}

/// A number to about four digits, and at most so many decimals, without zeros at its end.
fn brief(value: f64, most_decimals: usize) -> String {
    let size = value.abs();
    if size > 0.0 && size < 1e-6 && most_decimals >= 6 {
        return format!("{value:.1e}");
    }
    let decimals = match size {
        _ if size >= 1_000.0 => 0,
        _ if size >= 100.0 => 1,
        _ if size >= 10.0 => 2,
        _ if size >= 0.1 => 3,
        _ => 6,
    };
    let text = number(value, decimals.min(most_decimals));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number with its thousands set apart; one that is too long to read that way as a power of ten.
fn number(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e15 {
        return format!("{value:.1e}");
    }
    let text = format!("{:.decimals$}", value.abs());
    let sign = if value < 0.0 && text.bytes().any(|b| matches!(b, b'1'..=b'9')) { "−" } else { "" };
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut grouped = String::from(sign);
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::Unit::{Milliseconds, Percent, Plain, Seconds, UtcTime};
    use super::*;

    /// 2026-03-01T12:00:00Z.
    const NOON: f64 = 1_772_366_400_000.0;

    #[test]
    fn a_label_is_as_precise_as_the_step() {
        for (unit, value, step, want) in [
            (Plain, 0.0, 500.0, "0"),
            (Plain, 2_500.0, 500.0, "2,500"),
            (Plain, -2_500.0, 500.0, "−2,500"),
            (Plain, 12_500.0, 500.0, "12.5k"),
            (Plain, 1_000_000.0, 500_000.0, "1.0M"),
            (Plain, 1_000_200.0, 200.0, "1,000,200"),
            (Plain, 3e9, 1e9, "3G"),
            (Plain, 0.3, 0.1, "0.3"),
            (Plain, 0.25, 0.05, "0.25"),
            (Plain, -0.0, 0.1, "0.0"),
            (Plain, 2e-9, 1e-9, "2.0e-9"),
            (Plain, 2e30, 1e30, "2.0e30"),
            (Seconds, 0.0, 60.0, "0:00"),
            (Seconds, 90.0, 30.0, "1:30"),
            (Seconds, 3_725.0, 5.0, "1:02:05"),
            (Seconds, 0.5, 0.5, "0:00.5"),
            (Seconds, 59.96, 0.1, "1:00.0"),
            (Seconds, -5.0, 5.0, "−0:05"),
            (Milliseconds, 0.0, 250.0, "0 ms"),
            (Milliseconds, 0.5, 0.5, "0.5 ms"),
            (Milliseconds, 1_500.0, 500.0, "1.5 s"),
            (Milliseconds, 10_000.0, 10_000.0, "10 s"),
            (Percent, 12.5, 2.5, "12.5 %"),
            (UtcTime, NOON, 3_600_000.0, "12:00"),
            (UtcTime, NOON + 1_500.0, 1_000.0, "12:00:01"),
            (UtcTime, NOON + 250.0, 250.0, "12:00:00.250"),
            (UtcTime, NOON, 86_400_000.0, "1 Mar"),
            (UtcTime, NOON, 28.0 * 86_400_000.0, "Mar 2026"),
            (UtcTime, NOON, 365.0 * 86_400_000.0, "2026"),
            (UtcTime, 1e300, 1e299, "1.0e300"),
        ] {
            assert_eq!(unit.tick(value, step), want, "{unit:?} {value} by {step}");
        }
    }

    #[test]
    fn a_value_for_itself_has_about_four_digits() {
        for (unit, value, want) in [
            (Plain, 1_234_567.0, "1,234,567"),
            (Plain, 1_234.56, "1,235"),
            (Plain, 2.345_67, "2.346"),
            (Plain, 3.5, "3.5"),
            (Plain, 0.000_123_4, "0.000123"),
            (Plain, 1e-9, "1.0e-9"),
            (Plain, 0.0, "0"),
            (Seconds, 75.25, "1:15.3"),
            (Milliseconds, 0.1234, "0.12 ms"),
            (Milliseconds, 123.456, "123.5 ms"),
            (Milliseconds, 12_345.0, "12.35 s"),
            (Percent, 99.987, "99.99 %"),
            (UtcTime, NOON + 30_000.0, "2026-03-01 12:00:30 UTC"),
            (UtcTime, NOON + 250.0, "2026-03-01 12:00:00.250 UTC"),
        ] {
            assert_eq!(unit.exact(value), want, "{unit:?} {value}");
        }
    }

    #[test]
    fn the_date_stands_beside_times_of_day() {
        let day = 86_400_000.0;
        for (low, high, step, want) in [
            (NOON, NOON + 60_000.0, 1_000.0, Some("1 Mar 2026")),
            (NOON, NOON + day, 3_600_000.0, Some("1 Mar 2026 – 2 Mar 2026")),
            (NOON, NOON + 30.0 * day, day, None),
        ] {
            assert_eq!(dates(low, high, step).as_deref(), want);
        }
    }
}

//! Where an axis has its ticks: at numbers and times that people would choose.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::super::{Scale, Unit};
use super::scale::Span;
use super::unit::{self, DAY, HOUR, MINUTE};

/// More than these no axis has, however odd its numbers are.
const MOST: usize = 24;

/// A place on an axis and what stands there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: String,
}

/// The ticks of an axis, from its low end to its high one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticks {
    pub(super) ticks: Vec<Tick>,
    /// How far they are apart; on a logarithmic axis, the lowest of them.
    pub(super) step: f64,
}

/// Whether an axis counts things, so that a tick between two whole numbers would mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    Whole,
    Any,
}

/// About `wish` ticks inside of `span`.
pub(super) fn ticks(span: &Span, unit: Unit, wish: usize, counts: Counts) -> Ticks {
    let step = step(span, unit, wish, counts);
    let values = match (span.scale, unit) {
        (Scale::Log, _) => powers(span, wish),
        (Scale::Linear, Unit::UtcTime) if step >= 28.0 * DAY * 1_000.0 => months(span, step),
        (Scale::Linear, Unit::Plain | Unit::Seconds | Unit::Milliseconds | Unit::Percent | Unit::UtcTime) => {
            multiples(span, step)
        }
    };
    let few = values.len() < 2 && span.scale == Scale::Log;
    let values = if few { multiples(span, step) } else { values };
    let own_step = |value: f64| if span.scale == Scale::Log && !few { power_of_ten(value) } else { step };
    let ticks = values.into_iter().map(|value| Tick { value, label: unit.tick(value, own_step(value)) });
    Ticks { ticks: ticks.collect(), step }
}

/// The span, widened so that a tick stands at either end.
pub(super) fn widened(span: &Span, unit: Unit, wish: usize, counts: Counts) -> Span {
    match span.scale {
        Scale::Linear => {
            let step = step(span, unit, wish, counts);
            // What is a hair above a tick does not need the next one.
            let (low, high) = ((span.low / step + 1e-9).floor() * step, (span.high / step - 1e-9).ceil() * step);
            if low < high && low.is_finite() && high.is_finite() { Span { low, high, ..*span } } else { *span }
        }
        Scale::Log => {
            let (low, high) = (power_of_ten(span.low), power_of_ten(span.high));
            let at_least = |power: f64, value: f64| {
                [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|n| *n >= value * (1.0 - 1e-9))
            };
            let at_most = |power: f64, value: f64| {
                [5.0, 2.0, 1.0].map(|n| n * power).into_iter().find(|n| *n <= value * (1.0 + 1e-9))
            };
            let low = at_most(low, span.low).unwrap_or(span.low);
            let high = at_least(high, span.high).filter(|high| high.is_finite()).unwrap_or(span.high);
            Span { low, high, ..*span }
        }
    }
}

/// How far about `wish` ticks are apart on a linear axis.
fn step(span: &Span, unit: Unit, wish: usize, counts: Counts) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a handful of ticks")]
    let rough = (span.high / 2.0 - span.low / 2.0) / wish.max(1) as f64 * 2.0;
    let step = match unit {
        Unit::Seconds => time_step(rough),
        Unit::UtcTime => time_step(rough / 1_000.0) * 1_000.0,
        Unit::Plain | Unit::Milliseconds | Unit::Percent => nice(rough),
    };
    match counts {
        Counts::Whole => step.max(1.0),
        Counts::Any => step,
    }
}

/// The nearest of 1, 2 and 5 times a power of ten.
fn nice(rough: f64) -> f64 {
    let power = power_of_ten(rough);
    match rough / power {
        n if n < 1.5 => power,
        n if n < 3.5 => 2.0 * power,
        n if n < 7.5 => 5.0 * power,
        _ => 10.0 * power,
    }
}

/// The step of a clock or a calendar nearest to so many seconds.
fn time_step(rough: f64) -> f64 {
    const STEPS: [f64; 22] = [
        1.0,
        2.0,
        5.0,
        10.0,
        15.0,
        30.0,
        MINUTE,
        2.0 * MINUTE,
        5.0 * MINUTE,
        10.0 * MINUTE,
        15.0 * MINUTE,
        30.0 * MINUTE,
        HOUR,
        2.0 * HOUR,
        3.0 * HOUR,
        6.0 * HOUR,
        12.0 * HOUR,
        DAY,
        2.0 * DAY,
        7.0 * DAY,
        14.0 * DAY,
        28.0 * DAY,
    ];
    if rough < 0.75 {
        return nice(rough);
    }
    let months = rough / (30.0 * DAY);
    let above = STEPS.iter().position(|step| *step >= rough);
    match above {
        Some(0) => STEPS[0],
        // Between two steps the geometric middle decides.
        Some(at) if STEPS[at - 1] * STEPS[at] > rough * rough => STEPS[at - 1],
        Some(at) => STEPS[at],
        None if months < 2.0 => 28.0 * DAY,
        None if months < 4.5 => 90.0 * DAY,
        None if months < 9.0 => 180.0 * DAY,
        None => nice(months / 12.0).max(1.0) * 360.0 * DAY,
    }
}

fn multiples(span: &Span, step: f64) -> Vec<f64> {
    // Weeks begin on Mondays, and 1970 did not.
    let offset = if step == 7.0 * DAY * 1_000.0 || step == 14.0 * DAY * 1_000.0 { 4.0 * DAY * 1_000.0 } else { 0.0 };
    let first = ((span.low - offset) / step - 1e-9).ceil();
    let value = |n: usize| {
        #[allow(clippy::cast_precision_loss, reason = "a handful of ticks")]
        let value = (first + n as f64) * step + offset;
        if value == 0.0 { 0.0 } else { value }
    };
    let mut values: Vec<f64> =
        (0..MOST).map(value).take_while(|value| *value <= span.high + step * 1e-9 && value.is_finite()).collect();
    values.dedup();
    values
}

/// The first days of months, every `step` in milliseconds of months of 28 to 30 days.
fn months(span: &Span, step: f64) -> Vec<f64> {
    #[allow(clippy::cast_possible_truncation, reason = "months of a calendar are few")]
    let every = ((step / 1_000.0 / DAY / 30.0).round() as i64).max(1);
    let Some(first) = unit::timestamp(span.low) else { return Vec::new() };
    let first = first.to_zoned(TimeZone::UTC).date();
    let before = (i64::from(first.year()) * 12 + i64::from(first.month()) - 1).div_euclid(every) * every;
    let starts = (0_i64..).map_while(|n| month_start(before + n * every)).take(MOST + 1);
    starts.filter(|at| *at >= span.low).take_while(|at| *at <= span.high).collect()
}

/// The beginning of a month, counted from the year 0, in milliseconds since 1970.
fn month_start(month: i64) -> Option<f64> {
    let (year, month) = (i16::try_from(month.div_euclid(12)).ok()?, i8::try_from(month.rem_euclid(12)).ok()?);
    let start = Date::new(year, month + 1, 1).ok()?.to_zoned(TimeZone::UTC).ok()?;
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a calendar are below 2^53")]
    Some(start.timestamp().as_millisecond() as f64)
}

/// Powers of ten, all or every so many; with 2 and 5 times them where there are few.
fn powers(span: &Span, wish: usize) -> Vec<f64> {
    #[allow(clippy::cast_possible_truncation, reason = "exponents of a number are few")]
    let (first, last) = (span.low.log10().floor() as i32, span.high.log10().ceil() as i32);
    let inside = |value: &f64| *value >= span.low * (1.0 - 1e-9) && *value <= span.high * (1.0 + 1e-9);
    let decades: Vec<f64> = (first..=last).map(|n| 10_f64.powi(n)).filter(inside).collect();
    if decades.len() > 2 {
        return decades.iter().step_by(decades.len().div_ceil(wish + 1)).copied().collect();
    }
    (first..=last).flat_map(|n| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(n))).filter(inside).collect()
}

/// The greatest power of ten that is no more than a positive number.
fn power_of_ten(value: f64) -> f64 {
    // A number that is a power of ten but for the rounding is one.
    let power = 10_f64.powf((value.log10() + 1e-9).floor());
    if power.is_normal() { power } else { f64::MIN_POSITIVE }
}

#[cfg(test)]
mod tests {
    use super::super::super::Scale::{Linear, Log};
    use super::super::super::Unit::{Milliseconds, Percent, Plain, Seconds, UtcTime};
    use super::*;

    /// 2026-03-01T12:00:00Z, a Sunday.
    const NOON: f64 = 1_772_366_400_000.0;
    const HOUR_MS: f64 = 3_600_000.0;

    fn labels(low: f64, high: f64, scale: Scale, unit: Unit) -> String {
        let ticks = ticks(&Span { low, high, scale }, unit, 5, Counts::Any);
        ticks.ticks.iter().map(|tick| tick.label.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_where_people_would_put_them() {
        for (low, high, scale, unit, want) in [
            (0.0, 100.0, Linear, Plain, "0 20 40 60 80 100"),
            (0.0, 1.0, Linear, Plain, "0.0 0.2 0.4 0.6 0.8 1.0"),
            (3.0, 17.0, Linear, Plain, "4 6 8 10 12 14 16"),
            (-7.0, 7.0, Linear, Plain, "−6 −4 −2 0 2 4 6"),
            (0.0, 43_000.0, Linear, Plain, "0 10k 20k 30k 40k"),
            (99.2, 99.9, Linear, Percent, "99.2 % 99.3 % 99.4 % 99.5 % 99.6 % 99.7 % 99.8 % 99.9 %"),
            (0.0, 600.0, Linear, Seconds, "0:00 2:00 4:00 6:00 8:00 10:00"),
            (0.0, 75.0, Linear, Seconds, "0:00 0:15 0:30 0:45 1:00 1:15"),
            (0.0, 7_200.0, Linear, Seconds, "0:00 30:00 1:00:00 1:30:00 2:00:00"),
            (0.0, 2.0, Linear, Seconds, "0:00.0 0:00.5 0:01.0 0:01.5 0:02.0"),
            (0.0, 1_500.0, Linear, Milliseconds, "0 ms 200 ms 400 ms 600 ms 800 ms 1.0 s 1.2 s 1.4 s"),
            (1.0, 10_000.0, Log, Milliseconds, "1 ms 10 ms 100 ms 1 s 10 s"),
            (1.0, 60.0, Log, Plain, "1 2 5 10 20 50"),
            (30.0, 48.0, Log, Plain, "30 35 40 45"),
            (1e-3, 1e12, Log, Plain, "0.001 1 1,000 1M 1G 1T"),
            (NOON, NOON + HOUR_MS, Linear, UtcTime, "12:00 12:10 12:20 12:30 12:40 12:50 13:00"),
            (NOON, NOON + 24.0 * HOUR_MS, Linear, UtcTime, "12:00 18:00 00:00 06:00 12:00"),
            (NOON, NOON + 96.0 * HOUR_MS, Linear, UtcTime, "2 Mar 3 Mar 4 Mar 5 Mar"),
            (NOON, NOON + 35.0 * 24.0 * HOUR_MS, Linear, UtcTime, "2 Mar 9 Mar 16 Mar 23 Mar 30 Mar"),
            (NOON, NOON + 150.0 * 24.0 * HOUR_MS, Linear, UtcTime, "Apr 2026 May 2026 Jun 2026 Jul 2026"),
            (NOON, NOON + 2_000.0 * 24.0 * HOUR_MS, Linear, UtcTime, "2027 2028 2029 2030 2031"),
        ] {
            let found = labels(low, high, scale, unit);
            assert_eq!(found, want, "{low} to {high}, {scale:?} {unit:?}");
        }
    }

    #[test]
    fn things_that_are_counted_have_no_halves() {
        let span = Span { low: 0.0, high: 2.0, scale: Linear };
        let values: Vec<f64> = ticks(&span, Plain, 5, Counts::Whole).ticks.iter().map(|tick| tick.value).collect();
        assert_eq!(values, [0.0, 1.0, 2.0]);
    }

    #[test]
    fn a_widened_axis_ends_at_ticks() {
        for (low, high, scale, want) in [
            (0.0, 43.0, Linear, (0.0, 50.0)),
            (0.0, 50.0, Linear, (0.0, 50.0)),
            (-3.0, 12.0, Linear, (-4.0, 12.0)),
            (3.0, 700.0, Log, (2.0, 1_000.0)),
            (10.0, 100.0, Log, (10.0, 100.0)),
        ] {
            let span = widened(&Span { low, high, scale }, Plain, 5, Counts::Any);
            assert_eq!((span.low, span.high), want, "{low} to {high}");
        }
    }

    #[test]
    fn odd_numbers_never_give_many_ticks() {
        let ends = [0.0, 1e-300, 5e-324, 1e-9, 1.0, 1.0 + f64::EPSILON, 1e15, 1e15 + 0.25, 1e300, f64::MAX];
        for unit in [Plain, Seconds, Milliseconds, Percent, UtcTime] {
            for (low, high) in ends.iter().flat_map(|low| ends.iter().map(move |high| (*low, *high))) {
                for scale in [Linear, Log].into_iter().filter(|scale| low < high && (*scale == Linear || low > 0.0)) {
                    let span = Span { low, high, scale };
                    for span in [span, widened(&span, unit, 5, Counts::Any)] {
                        let ticks = ticks(&span, unit, 5, Counts::Any).ticks;
                        assert!(ticks.len() <= MOST, "{span:?} {unit:?}: {}", ticks.len());
                        assert!(ticks.iter().all(|tick| span.place(tick.value).is_some()), "{span:?} {unit:?}");
                    }
                }
            }
        }
    }
}

//! Points in time, to the millisecond, and how RFC 3339 writes them.

use std::fmt;
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z; negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

/// The beginning of the year 0 and the end of the year 9999, in UTC.
const FIRST: i64 = -62_167_219_200_000;
const LAST: i64 = 253_402_300_799_999;

/// Why a text is no RFC 3339 date-time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 date-time with 'T' and an offset or 'Z', like 2026-03-01T12:00:00.250Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// Reads an RFC 3339 date-time: `T` and an offset or `Z` are required, digits finer than milliseconds are dropped,
    /// and a leap second (`:60` at 23:59 UTC) counts as the second before it.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text.as_bytes()).ok_or(InvalidTimestamp)
    }

    /// This point moved by `span` into the future, without ever wrapping.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// This point moved by `span` into the past, without ever wrapping.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// How long after `earlier` this is; nothing where it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Whole milliseconds of a span.
pub fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, as in `2026-03-01T12:00:00.250Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, in_day) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
        let (second, milli) = (in_day / 1_000 % 60, in_day % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

fn parse(text: &[u8]) -> Option<Timestamp> {
    // `YYYY-MM-DDTHH:MM:SS` is 19 bytes; what follows is a fraction, if any, and the offset.
    if text.len() < 20 || text.len() > 64 || text[4] != b'-' || text[7] != b'-' || text[10] != b'T' {
        return None;
    }
    if text[13] != b':' || text[16] != b':' {
        return None;
    }
    let (year, month, day) = (digits(&text[0..4])?, digits(&text[5..7])?, digits(&text[8..10])?);
    let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let (milli, offset) = fraction(&text[19..])?;
    let shift = offset_minutes(offset)?;
    let minutes = days_from_civil(year, month, day) * 1_440 + hour * 60 + minute - shift;
    if second == 60 && minutes.rem_euclid(1_440) != 1_439 {
        return None;
    }
    let millis = minutes * 60_000 + second.min(59) * 1_000 + milli;
    // An offset may lead out of the years that have four digits, and then nobody could read what we write of it.
    (FIRST..=LAST).contains(&millis).then_some(Timestamp(millis))
}

/// Reads `.ddd…` where it stands, as milliseconds, and gives back what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let kept = length.min(3);
    let milli = digits(&rest[..kept])? * [1, 100, 10, 1][kept];
    Some((milli, &rest[length..]))
}

fn offset_minutes(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
            let (hours, minutes) = (digits(hours)?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let shift = hours * 60 + minutes;
            Some(if *sign == b'-' { -shift } else { shift })
        }
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, counting years from March so that the leap day
/// comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_is_read_exactly() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00.001Z", Some(1)),
            ("1970-01-01T00:00:00.0019999Z", Some(1)),
            ("1970-01-01T00:00:01.5Z", Some(1_500)),
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1969-12-31T19:00:00-05:00", Some(0)),
            ("1970-01-01T00:00:00-00:00", Some(0)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("2021-10-31T15:38:43Z", Some(1_635_694_723_000)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_799_000)),
            ("2016-12-31T22:59:60Z", None),
            ("1900-02-29T00:00:00Z", None),
            ("2021-13-01T00:00:00Z", None),
            ("2021-00-01T00:00:00Z", None),
            ("2021-04-31T00:00:00Z", None),
            ("2021-01-01T24:00:00Z", None),
            ("2021-01-01T00:60:00Z", None),
            ("2021-01-01 00:00:00Z", None),
            ("2021-01-01t00:00:00z", None),
            ("2021-01-01T00:00:00", None),
            ("2021-01-01T00:00:00.Z", None),
            ("2021-01-01T00:00:00+0100", None),
            ("2021-01-01T00:00:00+24:00", None),
            ("2021-01-01", None),
            ("0000-01-01T00:00:00Z", Some(FIRST)),
            ("0000-01-01T00:59:59.999+01:00", None),
            ("9999-12-31T23:59:59.9999Z", Some(LAST)),
            ("9999-12-31T23:00:00-01:00", None),
            ("1635694723", None),
            ("", None),
        ] {
            assert_eq!(Timestamp::parse(text).ok().map(|t| t.0), millis, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(millis in -62_167_219_200_000_i64..253_402_300_800_000) {
            let at = Timestamp(millis);
            proptest::prop_assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
        }
    }
}

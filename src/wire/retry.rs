//! The headers of a command that is parked on the retries topic: when it is due and what was tried. Its key and value are
//! the command's own.

use super::header;
use crate::domain::delivery::Attempts;
use crate::domain::outcome::Rejection;
use crate::domain::time::Timestamp;

const HEADERS: [&str; 6] = ["not-before", "attempts", "reference-number", "unanswered", "last-status", "last-reason"];

/// A parked command's headers, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// When it is due; `None` is at once. No rule bounds it but the command's own `expires_at`.
    pub not_before: Option<Timestamp>,
    pub attempts: Attempts,
}

/// The headers under which a command is parked. A reason is cut to what a header may carry.
pub fn headers(not_before: Timestamp, attempts: &Attempts) -> Vec<(&'static str, Vec<u8>)> {
    let Attempts { made, reference_number, unanswered, last_status, last_reason } = attempts;
    let values = [
        Some(not_before.0.to_string()),
        Some(made.to_string()),
        Some(reference_number.to_string()),
        Some(unanswered.to_string()),
        last_status.map(|status| status.to_string()),
        last_reason.as_deref().map(header::sentence),
    ];
    HEADERS.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?.into_bytes()))).collect()
}

/// Reads the headers of a parked command. What is absent is as before the first call.
pub fn decode<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Parked, Rejection> {
    let [not_before, made, reference_number, unanswered, last_status, last_reason] = header::pick(headers, HEADERS);
    Ok(Parked {
        not_before: not_before.whole()?.map(Timestamp),
        attempts: Attempts {
            made: made.whole()?.unwrap_or_default(),
            reference_number: reference_number.whole()?.unwrap_or_default(),
            unanswered: match unanswered.text()? {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return Err(unanswered.invalid("must be true or false")),
            },
            last_status: last_status.whole()?,
            last_reason: last_reason.text()?.map(header::sentence),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, Vec<u8>)]) -> Result<Parked, String> {
        decode(headers.iter().map(|(name, value)| (*name, value.as_slice()))).map_err(|rejection| rejection.error)
    }

    #[test]
    fn attempts_come_back() {
        let tried = Attempts {
            made: 4,
            reference_number: 2,
            unanswered: true,
            last_status: Some(503),
            last_reason: Some("upstream is away".to_owned()),
        };
        for attempts in [Attempts::default(), tried] {
            let parked = Parked { not_before: Some(Timestamp(1_772_366_400_250)), attempts: attempts.clone() };
            assert_eq!(read(&headers(Timestamp(1_772_366_400_250), &attempts)), Ok(parked));
        }
    }

    #[test]
    fn nothing_tried_is_what_no_headers_say() {
        assert_eq!(read(&[]), Ok(Parked { not_before: None, attempts: Attempts::default() }));
    }

    #[test]
    fn a_reason_is_cut_and_cleaned() {
        let attempts = Attempts { last_reason: Some("a\nb".repeat(1_000)), ..Attempts::default() };
        let parked = read(&headers(Timestamp(0), &attempts)).unwrap();
        assert_eq!(parked.attempts.last_reason.unwrap(), "a b".repeat(171)[..512]);
    }

    #[test]
    fn a_wrong_header_is_named() {
        for (name, value, want) in [
            ("not-before", "soon", "the header not-before must be a whole number that is not too great"),
            ("attempts", "-1", "the header attempts must be a whole number that is not too great"),
            ("attempts", "99999999999", "the header attempts must be a whole number that is not too great"),
            ("reference-number", "2.0", "the header reference-number must be a whole number that is not too great"),
            ("unanswered", "yes", "the header unanswered must be true or false"),
            ("last-status", "", "the header last-status must be a whole number that is not too great"),
        ] {
            assert_eq!(read(&[(name, value.as_bytes().to_vec())]), Err(want.to_owned()), "{value}");
        }
        assert_eq!(read(&[("last-reason", vec![0xff])]), Err("the header last-reason must be UTF-8".to_owned()));
    }
}

//! A size of memory as people write it.

use std::str::FromStr;

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of at least 1MiB with KiB, MiB, GiB, KB, MB or GB behind it, like 2GiB")]
pub(super) struct InvalidSize;

const LEAST: usize = 1 << 20;

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit: usize = match unit.trim_start() {
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return Err(InvalidSize),
        };
        let bytes = number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
        bytes.filter(|bytes| *bytes >= LEAST).map(Self).ok_or(InvalidSize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_number_and_a_unit() {
        for (text, want) in [
            ("2GiB", Some(2 << 30)),
            ("64 MB", Some(64_000_000)),
            ("1MiB", Some(1 << 20)),
            ("1048KB", None),
            ("1024KiB", Some(1 << 20)),
            ("2", None),
            ("GiB", None),
            ("2gib", None),
            ("-2GiB", None),
            ("99999999999999999999GiB", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(text.parse::<Size>().ok().map(|size| size.0), want, "{text}");
        }
    }
}

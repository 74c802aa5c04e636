//! What the headers of records share: UTF-8 text, numbers in decimal, and of a name that comes twice the last.

use std::fmt;
use std::str::FromStr;

use crate::domain::outcome::{RejectCode, Rejection};

/// The longest sentence that a header carries, in bytes.
pub const MAX_SENTENCE: usize = 512;

/// A header of ours, with its value where it is there.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    name: &'static str,
    value: Option<&'a [u8]>,
}

/// Picks the headers of these names.
pub fn pick<'a, const N: usize>(
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    names: [&'static str; N],
) -> [Header<'a>; N] {
    let mut picked = names.map(|name| Header { name, value: None });
    for (name, value) in headers {
        if let Some(header) = picked.iter_mut().find(|header| header.name == name) {
            header.value = Some(value);
        }
    }
    picked
}

impl<'a> Header<'a> {
    /// The rejection of a value that breaks `rule`.
    pub fn invalid(self, rule: impl fmt::Display) -> Rejection {
        Rejection { code: RejectCode::InvalidField, error: format!("the header {} {rule}", self.name) }
    }

    fn missing(self) -> Rejection {
        Rejection { code: RejectCode::MissingField, error: format!("the header {} is missing", self.name) }
    }

    pub fn text(self) -> Result<Option<&'a str>, Rejection> {
        self.value.map(|value| std::str::from_utf8(value).map_err(|_| self.invalid("must be UTF-8"))).transpose()
    }

    pub fn required_text(self) -> Result<&'a str, Rejection> {
        self.text()?.ok_or_else(|| self.missing())
    }

    /// A whole number in the range of its type, in decimal.
    pub fn whole<T: FromStr>(self) -> Result<Option<T>, Rejection> {
        let Some(text) = self.text()? else { return Ok(None) };
        let number = Some(text).filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| self.invalid("must be a whole number that is not too great"))
    }

    pub fn required_whole<T: FromStr>(self) -> Result<T, Rejection> {
        self.whole()?.ok_or_else(|| self.missing())
    }
}

/// A sentence fit for a header: at most [`MAX_SENTENCE`] bytes, with spaces for control characters.
pub fn sentence(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(MAX_SENTENCE));
    for character in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if kept.len() + character.len_utf8() > MAX_SENTENCE {
            break;
        }
        kept.push(character);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_bounded_at_a_character_and_holds_no_control_characters() {
        for (text, want) in [
            ("plain", "plain".to_owned()),
            ("a\r\nb\u{0}\u{85}", "a  b  ".to_owned()),
            (&"é".repeat(300), "é".repeat(256)),
            (&("x".to_owned() + &"é".repeat(300)), "x".to_owned() + &"é".repeat(255)),
        ] {
            assert_eq!(sentence(text), want);
        }
    }

    #[test]
    fn of_a_name_that_comes_twice_the_last_counts() {
        let headers: [(&str, &[u8]); 4] = [("a", b"1"), ("b", b"\xff"), ("a", b"2"), ("c", b"+3")];
        let [a, b, c, d] = pick(headers, ["a", "b", "c", "d"]);
        assert_eq!(a.required_whole::<u8>(), Ok(2));
        assert_eq!(b.text().unwrap_err().error, "the header b must be UTF-8");
        assert_eq!(c.whole::<u8>().unwrap_err().error, "the header c must be a whole number that is not too great");
        assert_eq!(d.whole::<u8>(), Ok(None));
        assert_eq!(d.required_text().unwrap_err().code, RejectCode::MissingField);
    }
}

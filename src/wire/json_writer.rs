//! Writing JSON objects, field by field, straight into a buffer. Nothing here can fail.

use crate::domain::time::Timestamp;

/// The years 0000 to 9999 in milliseconds: what RFC 3339 can write.
const FIRST: Timestamp = Timestamp(-62_167_219_200_000);
const LAST: Timestamp = Timestamp(253_402_300_799_999);

/// An object being written.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    separator: &'static [u8],
}

/// Writes one object with what `fill` puts into it.
pub fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, separator: b"" });
    out.push(b'}');
}

impl Object<'_> {
    pub fn string(&mut self, name: &str, text: &str) {
        self.name(name);
        string(self.out, text);
    }

    pub fn integer(&mut self, name: &str, number: impl Into<i64>) {
        self.name(name);
        integer(self.out, number.into());
    }

    pub fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A point in time in RFC 3339, UTC, with milliseconds. One outside the years that can be written stands as the
    /// nearest that can.
    pub fn time(&mut self, name: &str, at: Timestamp) {
        self.string(name, &at.clamp(FIRST, LAST).to_string());
    }

    pub fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        object(self.out, fill);
    }

    /// A value that is JSON already and stands there as it is.
    pub fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
    }

    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(self.separator);
        self.separator = b",";
        string(self.out, name);
        self.out.push(b':');
    }
}

/// A JSON string by itself.
pub fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    string(&mut out, text);
    out
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(length) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        out.extend_from_slice(&rest[..length]);
        escaped(out, rest[length]);
        rest = &rest[length + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
        }
    }
}

fn integer(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fill: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = Vec::new();
        object(&mut out, fill);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_stand_in_their_order() {
        assert_eq!(written(|_| {}), "{}");
        let nested = written(|o| {
            o.integer("n", i64::MIN);
            o.object("o", |inner| inner.string("s", "\u{1f}\"\\\n"));
            o.integer("z", 0);
            o.raw("r", "[1.50]");
            o.boolean("t", true);
            o.boolean("f", false);
        });
        let want = r#"{"n":-9223372036854775808,"o":{"s":"\u001f\"\\\n"},"z":0,"r":[1.50],"t":true,"f":false}"#;
        assert_eq!(nested, want);
    }

    #[test]
    fn a_time_that_cannot_be_written_stands_as_the_nearest_that_can() {
        for (at, want) in [
            (Timestamp(0), "1970-01-01T00:00:00.000Z"),
            (Timestamp(i64::MAX), "9999-12-31T23:59:59.999Z"),
            (Timestamp(i64::MIN), "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(written(|o| o.time("t", at)), format!(r#"{{"t":"{want}"}}"#));
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back_by_others(name in ".*", text in "(?s).*", number: i64) {
            let line = written(|o| {
                o.string(&name, &text);
                o.object("inner", |inner| inner.integer("number", number));
            });
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            if name != "inner" {
                proptest::prop_assert_eq!(value[&name].as_str(), Some(text.as_str()));
            }
            proptest::prop_assert_eq!(value["inner"]["number"].as_i64(), Some(number));
        }
    }
}

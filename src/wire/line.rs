//! The payload of a record as one line of a recording.

use serde_json::value::RawValue;

use super::event::MAX_BYTES;
use super::json;
use crate::domain::outcome::Rejection;

/// Writes a payload that is JSON as one line, without its end.
///
/// A payload that is one line already stands there byte by byte. Of another one the white space between its values goes,
/// and nothing else: names, texts and numbers keep every sign. One that is too large to be processed keeps its length,
/// so that it stays too large.
pub fn write(out: &mut Vec<u8>, payload: &[u8]) -> Result<(), Rejection> {
    if serde_json::from_slice::<&RawValue>(payload).is_err() {
        return Err(json::invalid_json("the record is not JSON"));
    }
    write_json(out, payload);
    Ok(())
}

/// The same for what is known to be JSON.
pub(super) fn write_json(out: &mut Vec<u8>, json: &[u8]) {
    let breaks = |byte: &u8| matches!(byte, b'\n' | b'\r');
    match json {
        _ if !json.iter().any(breaks) => out.extend_from_slice(json),
        // A text in JSON holds no line break as such, so each of them is white space.
        _ if json.len() > MAX_BYTES => out.extend(json.iter().map(|byte| if breaks(byte) { b' ' } else { *byte })),
        _ => strip(out, json),
    }
}

/// Leaves out the white space that stands outside of texts.
fn strip(out: &mut Vec<u8>, json: &[u8]) {
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_text = *byte == b'"';
        }
        out.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(payload: &str) -> Result<String, String> {
        let mut out = Vec::new();
        write(&mut out, payload.as_bytes()).map_err(|rejection| rejection.error)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn only_white_space_between_values_goes_and_only_where_there_is_a_line_break() {
        for (payload, want) in [
            (r#"{ "a" :  1 }"#, r#"{ "a" :  1 }"#),
            ("\t{\"a\":1} ", "\t{\"a\":1} "),
            ("{\"a\":1}\n", r#"{"a":1}"#),
            ("{\r\n  \"a\" : [ 1 ,\t2 ]\r\n}", r#"{"a":[1,2]}"#),
            ("{\"a\":1e400,\n\"b\":-0.0,\"c\":1E+05}", r#"{"a":1e400,"b":-0.0,"c":1E+05}"#),
            (
                "[1234567890123456789012345678,\n0.1000000000000000000000000001]",
                "[1234567890123456789012345678,0.1000000000000000000000000001]",
            ),
            (
                "{\n\"a \\\" b\" : \"c \\\\\" , \"d\\\\\\\"  e\" : \"\\n  \\t\" }",
                r#"{"a \" b":"c \\","d\\\"  e":"\n  \t"}"#,
            ),
            ("{\"a\":\"\\ud800  x\",\n\"a\":2}", r#"{"a":"\ud800  x","a":2}"#),
            ("{\"é\u{2028} x\":\n\"\u{85}\"}", "{\"é\u{2028} x\":\"\u{85}\"}"),
            ("\n null \n", "null"),
        ] {
            assert_eq!(line(payload).as_deref(), Ok(want), "{payload:?}");
        }
    }

    #[test]
    fn what_is_no_json_is_no_line() {
        for payload in ["", " ", "{", "{}{}", "{\"a\":01}", "{\"a\":\"\n\"}", "\u{feff}{}", "nul", "a b", "[1 2]"] {
            assert_eq!(line(payload), Err("the record is not JSON".to_owned()), "{payload:?}");
        }
        let mut out = Vec::new();
        assert!(write(&mut out, b"{\"a\":\"\xff\"}").is_err());
        assert!(out.is_empty());
    }

    #[test]
    fn what_is_too_large_keeps_its_length() {
        let blank = " ".repeat(MAX_BYTES);
        let large = format!("{{\"a\":\r\n\"b  c\"{blank}}}");
        let kept = line(&large).unwrap();
        assert_eq!(kept, format!("{{\"a\":  \"b  c\"{blank}}}"));
        let fits = format!("{{\"a\":\n\"b  c\"{}}}", &blank[20..]);
        assert_eq!(line(&fits).as_deref(), Ok(r#"{"a":"b  c"}"#));
    }

    proptest::proptest! {
        #[test]
        fn a_pretty_text_means_the_same_on_one_line(texts in proptest::collection::vec("(?s).*", 0..5)) {
            let value = serde_json::json!({ "texts": texts, "more": { "a": [1, null, true] } });
            let stripped = line(&serde_json::to_string_pretty(&value).unwrap()).unwrap();
            proptest::prop_assert_eq!(stripped, serde_json::to_string(&value).unwrap());
        }
    }
}

//! The headers of a dead letter, version 1. Its key and value are those of the record that could not be processed,
//! byte for byte, or their beginnings where brokers refused the whole.

use std::sync::Arc;

use super::header;
use crate::domain::ids::Source;
use crate::domain::outcome::{RejectCode, Rejection};

/// Which half of the work gave the record up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    Evaluate,
    Dispatch,
}

impl Stage {
    pub const ALL: &'static [Self] = &[Self::Evaluate, Self::Dispatch];

    pub fn name(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::Dispatch => "dispatch",
        }
    }
}

/// What the headers of a dead letter say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub code: RejectCode,
    /// A sentence that names the field and the rule, and never a value.
    pub error: String,
    pub stage: Stage,
    /// Where the record stood.
    pub source: Source,
}

/// The names of the headers, in the order in which they are written.
pub const HEADERS: [&str; 6] = ["error-code", "error", "stage", "source-topic", "source-partition", "source-offset"];

/// The headers of a dead letter.
pub fn headers(code: RejectCode, error: &str, stage: Stage, source: &Source) -> Vec<(&'static str, Vec<u8>)> {
    let values = [
        code.name().to_owned(),
        header::sentence(error),
        stage.name().to_owned(),
        source.topic.as_ref().to_owned(),
        source.partition.to_string(),
        source.offset.to_string(),
    ];
    HEADERS.into_iter().zip(values.map(String::into_bytes)).collect()
}

/// Where brokers refused the record for its size, only the first bytes of its payload stand here, and this header tells
/// how many they were.
pub const PAYLOAD_BYTES: &str = "payload-bytes";

/// The same of its key.
pub const KEY_BYTES: &str = "key-bytes";

/// So many bytes of a key that is cut stand here.
pub const MAX_CUT_KEY: usize = 1024;

/// Whether only the beginning of the record's key or payload stands here.
pub fn is_cut<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> bool {
    headers.into_iter().any(|(name, _)| name == PAYLOAD_BYTES || name == KEY_BYTES)
}

/// Reads the headers of a dead letter; others are ignored.
pub fn decode<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<DeadLetter, Rejection> {
    let [code, error, stage, topic, partition, offset] = header::pick(headers, HEADERS);
    let code_name = code.required_text()?;
    let stage_name = stage.required_text()?;
    let topic_name = topic.required_text()?;
    if !is_topic(topic_name) {
        return Err(topic.invalid("must be the name of a topic"));
    }
    Ok(DeadLetter {
        code: *RejectCode::ALL
            .iter()
            .find(|known| known.name() == code_name)
            .ok_or_else(|| code.invalid("must be a known code"))?,
        error: header::sentence(error.required_text()?),
        stage: *Stage::ALL
            .iter()
            .find(|known| known.name() == stage_name)
            .ok_or_else(|| stage.invalid("must be evaluate or dispatch"))?,
        source: Source {
            topic: Arc::from(topic_name),
            partition: partition.required_whole().and_then(|n: i32| not_negative(partition, n))?,
            offset: offset.required_whole().and_then(|n: i64| not_negative(offset, n))?,
        },
    })
}

fn not_negative<T: PartialOrd + Default>(header: header::Header<'_>, number: T) -> Result<T, Rejection> {
    if number < T::default() { Err(header.invalid("must not be negative")) } else { Ok(number) }
}

/// Kafka's rule for the name of a topic.
fn is_topic(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, Vec<u8>)]) -> Result<DeadLetter, String> {
        decode(headers.iter().map(|(name, value)| (*name, value.as_slice()))).map_err(|rejection| rejection.error)
    }

    fn source() -> Source {
        Source { topic: "activity".into(), partition: 7, offset: 9_000_000_000 }
    }

    #[test]
    fn every_code_and_stage_comes_back() {
        for code in RejectCode::ALL {
            for stage in Stage::ALL {
                let want =
                    DeadLetter { code: *code, error: "id is missing".to_owned(), stage: *stage, source: source() };
                assert_eq!(read(&headers(*code, "id is missing", *stage, &source())), Ok(want));
            }
        }
    }

    #[test]
    fn headers_stand_there_as_the_format_says() {
        let written = headers(RejectCode::TooLarge, "too\nlarge", Stage::Evaluate, &source());
        let text: Vec<_> = written.iter().map(|(name, v)| format!("{name}: {}", String::from_utf8_lossy(v))).collect();
        let want = [
            "error-code: too_large",
            "error: too large",
            "stage: evaluate",
            "source-topic: activity",
            "source-partition: 7",
            "source-offset: 9000000000",
        ];
        assert_eq!(text, want);
    }

    #[test]
    fn a_letter_that_was_cut_says_so() {
        let whole = headers(RejectCode::TooLarge, "too large", Stage::Evaluate, &source());
        let with = |name| whole.iter().cloned().chain([(name, b"20000000".to_vec())]).collect::<Vec<_>>();
        for (headers, want) in [(&whole, false), (&with(PAYLOAD_BYTES), true), (&with(KEY_BYTES), true)] {
            assert_eq!(is_cut(headers.iter().map(|(name, value)| (*name, value.as_slice()))), want);
            assert!(read(headers).is_ok());
        }
    }

    #[test]
    fn a_header_that_is_missing_or_wrong_is_named() {
        let good = headers(RejectCode::Expired, "too late", Stage::Dispatch, &source());
        for (name, value, want) in [
            ("error-code", "late", "the header error-code must be a known code"),
            ("stage", "replay", "the header stage must be evaluate or dispatch"),
            ("source-topic", "a/b", "the header source-topic must be the name of a topic"),
            ("source-topic", "..", "the header source-topic must be the name of a topic"),
            ("source-partition", "-1", "the header source-partition must not be negative"),
            (
                "source-partition",
                "3000000000",
                "the header source-partition must be a whole number that is not too great",
            ),
            ("source-offset", "", "the header source-offset must be a whole number that is not too great"),
        ] {
            let mut bad = good.clone();
            bad.push((name, value.as_bytes().to_vec()));
            assert_eq!(read(&bad), Err(want.to_owned()), "{value}");
        }
        for missing in HEADERS {
            let bad: Vec<_> = good.iter().filter(|(name, _)| *name != missing).cloned().collect();
            assert_eq!(read(&bad), Err(format!("the header {missing} is missing")));
        }
    }
}

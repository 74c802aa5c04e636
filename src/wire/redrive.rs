//! The header of an event that an operator redrives however old it is, and what a redrive tells of itself as JSON.

use serde::Serialize;

use super::{header, trace};
use crate::domain::decide::AgeLimit;

/// Stands at an event that is never too old, with the value `1`.
pub const IGNORE_AGE: &str = "redrive-ignore-age";
/// The headers that say how an event is redriven.
pub const HEADERS: &[&str] = &[IGNORE_AGE];
/// The same, with those that carry a trace's context.
pub const HEADERS_AND_TRACE: &[&str] = &[IGNORE_AGE, trace::PARENT, trace::STATE];

/// The headers under which an event is sent.
pub fn headers(age_limit: AgeLimit) -> Vec<(&'static str, Vec<u8>)> {
    match age_limit {
        AgeLimit::Kept => Vec::new(),
        AgeLimit::Waived => vec![(IGNORE_AGE, b"1".to_vec())],
    }
}

/// Reads the headers of an event. Any other value than ours waives nothing.
pub fn age_limit<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> AgeLimit {
    let [ignore] = header::pick(headers, [IGNORE_AGE]);
    match ignore.text() {
        Ok(Some("1")) => AgeLimit::Waived,
        Ok(_) | Err(_) => AgeLimit::Kept,
    }
}

/// The object that `redrive --json` ends with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Whether nothing was sent, and `redriven` counts what would have been.
    pub dry_run: bool,
    /// `complete`, `enough`, `stopped` or `failed`.
    pub ending: &'static str,
    /// Dead letters that were gone through.
    pub read: u64,
    /// Of these, how many went back and were acknowledged.
    pub redriven: u64,
    /// Whose new command stands on the commands topic already.
    pub redriven_before: u64,
    /// Of a record that has another letter in the range, and goes once.
    pub repeated: u64,
    pub refused: u64,
    /// That no filter chose.
    pub not_asked_for: u64,
    /// Offsets of the range that the brokers do not have any more.
    pub lost: u64,
    pub by: Vec<Redriven>,
    pub refusals: Vec<Refused>,
    /// Where what is left begins, as `--from` takes it, where it did not come to the end.
    pub rest: Option<String>,
}

/// What went back, by what it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Group {
    pub code: &'static str,
    pub stage: &'static str,
    /// `null` where it names none, and where there are too many to be told apart.
    pub tenant: Option<String>,
    pub source_topic: String,
    /// Where it went.
    pub topic: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redriven {
    #[serde(flatten)]
    pub group: Group,
    pub count: u64,
}

/// What did not go back, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// `null` where its headers cannot be read.
    pub code: Option<&'static str>,
    pub refusal: &'static str,
    /// For people.
    pub reason: String,
    /// Whether `--force` sends it all the same.
    pub can_be_forced: bool,
    pub count: u64,
}

/// One line of JSON, without a line break.
///
/// # Errors
/// None that these fields can cause.
pub fn encode(summary: &Summary) -> Result<String, serde_json::Error> {
    serde_json::to_string(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_value_waives_the_age_and_the_last_one_counts() {
        for (headers, want) in [
            (vec![], AgeLimit::Kept),
            (vec![(IGNORE_AGE, &b"1"[..])], AgeLimit::Waived),
            (vec![(IGNORE_AGE, &b"1"[..]), (IGNORE_AGE, &b"0"[..])], AgeLimit::Kept),
            (vec![("other", &b"1"[..])], AgeLimit::Kept),
            (vec![(IGNORE_AGE, &b"true"[..])], AgeLimit::Kept),
            (vec![(IGNORE_AGE, &b""[..])], AgeLimit::Kept),
            (vec![(IGNORE_AGE, &b"\xff"[..])], AgeLimit::Kept),
        ] {
            assert_eq!(age_limit(headers.clone()), want, "{headers:?}");
        }
        for limit in [AgeLimit::Kept, AgeLimit::Waived] {
            let headers = headers(limit);
            assert_eq!(age_limit(headers.iter().map(|(name, value)| (*name, value.as_slice()))), limit);
        }
    }

    #[test]
    fn what_is_asked_for_with_traces_is_asked_for_without() {
        let all: Vec<&str> = HEADERS.iter().chain(trace::HEADERS).copied().collect();
        assert_eq!(HEADERS_AND_TRACE, all);
    }

    #[test]
    fn a_summary_is_one_flat_object() {
        let group = Group {
            code: "expired",
            stage: "dispatch",
            tenant: None,
            source_topic: "retries".to_owned(),
            topic: "commands".to_owned(),
        };
        let refused = Refused {
            code: Some("too_large"),
            refusal: "cut",
            reason: "its end is lost".to_owned(),
            can_be_forced: false,
            count: 1,
        };
        let summary = Summary {
            dry_run: true,
            ending: "enough",
            read: 4,
            redriven: 1,
            redriven_before: 1,
            repeated: 0,
            refused: 1,
            not_asked_for: 1,
            lost: 0,
            by: vec![Redriven { group, count: 1 }],
            refusals: vec![refused],
            rest: Some("0:7".to_owned()),
        };
        let want =
            r#"{"dry_run":true,"ending":"enough","read":4,"redriven":1,"redriven_before":1,"repeated":0,"refused":1,"#
                .to_owned()
                + r#""not_asked_for":1,"lost":0,"by":[{"code":"expired","stage":"dispatch","tenant":null,"#
                + r#""source_topic":"retries","topic":"commands","count":1}],"#
                + r#""refusals":[{"code":"too_large","refusal":"cut","reason":"its end is lost","can_be_forced":false,"count":1}],"#
                + r#""rest":"0:7"}"#;
        assert_eq!(encode(&summary).unwrap(), want);
    }
}

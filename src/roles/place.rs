//! Where a range of a topic begins and ends, as an operator writes it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::edge::kafka::range::Bound;

/// A place in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Earliest,
    Latest,
    At(Timestamp),
    /// So long before now.
    Ago(Duration),
    Offsets(BTreeMap<i32, i64>),
}

impl Place {
    /// Where a recording may begin.
    pub fn from(text: &str) -> Result<Self, String> {
        match Self::read(text) {
            Some(Self::Latest) | None => Err(format!("must be earliest, {OTHERS}")),
            Some(place) => Ok(place),
        }
    }

    /// Where a recording may end.
    pub fn to(text: &str) -> Result<Self, String> {
        match Self::read(text) {
            Some(Self::Earliest) | None => Err(format!("must be latest, {OTHERS}")),
            Some(place) => Ok(place),
        }
    }

    fn read(text: &str) -> Option<Self> {
        match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            _ if text.starts_with('-') => span(&text[1..]).map(Self::Ago),
            _ => Timestamp::parse(text).map(Self::At).ok().or_else(|| offsets(text).map(Self::Offsets)),
        }
    }

    /// The place in terms of Kafka.
    pub fn bound(&self, now: Timestamp) -> Bound {
        match self {
            Self::Earliest | Self::Latest => Bound::Edge,
            Self::At(at) => Bound::At(*at),
            Self::Ago(span) => Bound::At(now.minus(*span)),
            Self::Offsets(offsets) => Bound::Offsets(offsets.clone()),
        }
    }
}

const OTHERS: &str =
    "a time like 2026-03-01T12:00:00Z, a time before now like -1h, or offsets by partition like 0:1500,1:320";

/// A span like 90s, 1h30m or 2d.
fn span(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    let span = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(span).ok()
}

fn offsets(text: &str) -> Option<BTreeMap<i32, i64>> {
    let mut offsets = BTreeMap::new();
    for pair in text.split(',') {
        let (partition, offset) = pair.trim().split_once(':')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !(digits(partition) && digits(offset)) {
            return None;
        }
        // A partition that is given twice could begin at either.
        if offsets.insert(partition.parse().ok()?, offset.parse().ok()?).is_some() {
            return None;
        }
    }
    Some(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        let offsets = |pairs: &[(i32, i64)]| Place::Offsets(pairs.iter().copied().collect());
        let ago = |seconds| Place::Ago(Duration::from_secs(seconds));
        for (text, from, to) in [
            ("earliest", Some(Place::Earliest), None),
            ("latest", None, Some(Place::Latest)),
            ("0:5", Some(offsets(&[(0, 5)])), Some(offsets(&[(0, 5)]))),
            (
                "3:0, 11:9223372036854775807",
                Some(offsets(&[(3, 0), (11, i64::MAX)])),
                Some(offsets(&[(3, 0), (11, i64::MAX)])),
            ),
            ("-1h", Some(ago(3_600)), Some(ago(3_600))),
            ("-1h30m", Some(ago(5_400)), Some(ago(5_400))),
            ("-2d", Some(ago(172_800)), Some(ago(172_800))),
            ("-90s", Some(ago(90)), Some(ago(90))),
            ("1970-01-01T00:00:01+00:00", Some(Place::At(Timestamp(1_000))), Some(Place::At(Timestamp(1_000)))),
            ("", None, None),
            ("1h", None, None),
            ("--1h", None, None),
            ("-1", None, None),
            ("-1y", None, None),
            ("2026-03-01", None, None),
            ("5", None, None),
            ("0:-5", None, None),
            ("0:5,0:6", None, None),
            ("0:5,", None, None),
            (":5", None, None),
            ("0:9223372036854775808", None, None),
        ] {
            assert_eq!(Place::from(text).ok(), from, "{text:?}");
            assert_eq!(Place::to(text).ok(), to, "{text:?}");
        }
        assert!(Place::from("latest").unwrap_err().starts_with("must be earliest, a time like"));
        assert!(Place::to("earliest").unwrap_err().starts_with("must be latest, a time like"));
        assert_eq!(ago(1).bound(Timestamp(1_500)), Bound::At(Timestamp(500)));
    }
}

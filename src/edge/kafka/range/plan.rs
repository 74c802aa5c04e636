//! From what was asked for to the offsets of each partition.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;

use super::super::ask;
use super::super::heard::{Listening, NoAnswer};
use super::RangeError;
use crate::domain::time::Timestamp;
use crate::wire::names::first_few;

/// How long one question to the brokers may take.
pub(super) const QUESTION: Duration = Duration::from_secs(15);

/// Where a range begins or ends in each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// The first record that there is, or the end as it is when the range is opened.
    Edge,
    /// The first record whose time is not before this one.
    At(Timestamp),
    /// These offsets by partition. A beginning leaves out the partitions that are not named; an end does not concern
    /// them.
    Offsets(BTreeMap<i32, i64>),
}

/// The range of one partition, and how far it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub topic: Arc<str>,
    pub partition: i32,
    /// The first offset of the range.
    pub start: i64,
    /// One past the last offset of the range.
    pub end: i64,
    /// Everything before this offset was read or is not there. From `start` to `end`.
    pub next: i64,
    /// The records that were read: fewer than the offsets, where some were compacted or are control records.
    pub records: u64,
    /// Offsets of the range that the brokers do not have any more.
    pub lost: Vec<Range<i64>>,
}

/// The range of every partition, with those that hold nothing.
pub(super) fn spans(
    consumer: &BaseConsumer<Listening>,
    topics: &[String],
    from: &Bound,
    to: &Bound,
) -> Result<Vec<Span>, RangeError> {
    let mut spans = Vec::new();
    for topic in topics {
        let mut partitions = partitions(consumer, topic)?;
        for bound in [from, to] {
            check_partitions(topic, &partitions, bound)?;
        }
        if let Bound::Offsets(offsets) = from {
            partitions.retain(|partition| offsets.contains_key(partition));
        }
        let begins = at_time(consumer, topic, &partitions, from)?;
        let ends = at_time(consumer, topic, &partitions, to)?;
        let topic: Arc<str> = topic.as_str().into();
        for partition in partitions {
            let held = watermarks(consumer, &topic, partition)?;
            let begin = wanted(from, &begins, partition, &held, held.start);
            let end = wanted(to, &ends, partition, &held, held.end);
            spans.push(span(Arc::clone(&topic), partition, begin..end, &held)?);
        }
    }
    Ok(spans)
}

fn wanted(bound: &Bound, at_time: &HashMap<i32, i64>, partition: i32, held: &Range<i64>, edge: i64) -> i64 {
    match bound {
        Bound::Edge => edge,
        // No record is that late, so everything is before it.
        Bound::At(_) => at_time.get(&partition).copied().unwrap_or(held.end).min(held.end),
        Bound::Offsets(offsets) => offsets.get(&partition).copied().unwrap_or(edge),
    }
}

/// Cuts what is wanted to what is there. What is gone already is taken note of, and what is yet to come is refused.
fn span(topic: Arc<str>, partition: i32, wanted: Range<i64>, held: &Range<i64>) -> Result<Span, RangeError> {
    if wanted.start > held.end || wanted.end > held.end {
        let offset = wanted.start.max(wanted.end);
        return Err(RangeError::Beyond { topic: topic.to_string(), partition, offset, end: held.end });
    }
    let end = wanted.end.max(wanted.start);
    let start = wanted.start.max(held.start).min(end);
    let gone = wanted.start..start;
    let lost = (!gone.is_empty()).then_some(gone).into_iter().collect();
    Ok(Span { topic, partition, start, end, next: start, records: 0, lost })
}

fn partitions(consumer: &BaseConsumer<Listening>, topic: &str) -> Result<Vec<i32>, RangeError> {
    let failed = |error| no_answer(consumer, format!("looking up topic {topic}"), error);
    let ids = ask::partitions(consumer, topic, QUESTION).map_err(failed)?;
    if ids.is_empty() {
        return Err(RangeError::NoTopic { topic: topic.to_owned(), there_are: topics(consumer) });
    }
    Ok(ids)
}

/// The names of the first topics that there are, and of how many more there are.
fn topics(consumer: &BaseConsumer<Listening>) -> String {
    let Ok(metadata) = consumer.fetch_metadata(None, QUESTION) else { return "topics that could not be listed".into() };
    let mut names: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
    names.retain(|name| !name.starts_with("__"));
    names.sort_unstable();
    if names.is_empty() { "no topics that we may see".to_owned() } else { first_few(&names) }
}

fn check_partitions(topic: &str, there: &[i32], bound: &Bound) -> Result<(), RangeError> {
    let Bound::Offsets(offsets) = bound else { return Ok(()) };
    match offsets.keys().find(|partition| !there.contains(partition)) {
        Some(partition) => {
            Err(RangeError::NoPartition { topic: topic.to_owned(), partition: *partition, partitions: there.len() })
        }
        None => Ok(()),
    }
}

/// The offset of each partition's first record at or after a time. A partition without one is not in the answer.
fn at_time(
    consumer: &BaseConsumer<Listening>,
    topic: &str,
    partitions: &[i32],
    bound: &Bound,
) -> Result<HashMap<i32, i64>, RangeError> {
    let Bound::At(time) = bound else { return Ok(HashMap::new()) };
    let failed = |error| no_answer(consumer, format!("looking up a time in topic {topic}"), error);
    ask::offsets_at(consumer, topic, partitions, *time, QUESTION).map_err(failed)
}

/// What [`ask::held`] says.
pub(super) fn watermarks(
    consumer: &BaseConsumer<Listening>,
    topic: &str,
    partition: i32,
) -> Result<Range<i64>, RangeError> {
    let failed = |error| no_answer(consumer, format!("looking up the ends of {topic}[{partition}]"), error);
    ask::held(consumer, topic, partition, QUESTION).map_err(failed)
}

fn no_answer(consumer: &BaseConsumer<Listening>, action: String, error: KafkaError) -> RangeError {
    RangeError::NoAnswer { action, source: NoAnswer::of(consumer, error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_cut_to_what_is_there_and_what_is_gone_is_told() {
        let given = |pairs: &[(i32, i64)]| Bound::Offsets(pairs.iter().copied().collect());
        let (held, at) = (100..200, HashMap::from([(0, 150)]));
        let later = Bound::At(Timestamp(1));
        for (from, to, found, want) in [
            (Bound::Edge, Bound::Edge, &at, Ok((100, 200, None))),
            (later.clone(), Bound::Edge, &at, Ok((150, 200, None))),
            (Bound::Edge, later.clone(), &at, Ok((100, 150, None))),
            (later.clone(), Bound::Edge, &HashMap::new(), Ok((200, 200, None))),
            (Bound::Edge, later.clone(), &HashMap::new(), Ok((100, 200, None))),
            (later.clone(), later, &at, Ok((150, 150, None))),
            (given(&[(0, 120)]), given(&[(0, 130)]), &at, Ok((120, 130, None))),
            (given(&[(0, 40)]), Bound::Edge, &at, Ok((100, 200, Some(40..100)))),
            (given(&[(0, 40)]), given(&[(0, 60)]), &at, Ok((60, 60, Some(40..60)))),
            (given(&[(0, 130)]), given(&[(0, 120)]), &at, Ok((130, 130, None))),
            (given(&[(0, 200)]), given(&[(1, 7)]), &at, Ok((200, 200, None))),
            (given(&[(0, 201)]), Bound::Edge, &at, Err(201)),
            (Bound::Edge, given(&[(0, 300)]), &at, Err(300)),
        ] {
            let begin = wanted(&from, found, 0, &held, held.start);
            let end = wanted(&to, found, 0, &held, held.end);
            let got = match span("t".into(), 0, begin..end, &held) {
                Ok(span) => {
                    assert_eq!(span.next, span.start);
                    Ok((span.start, span.end, span.lost.first().cloned()))
                }
                Err(RangeError::Beyond { offset, end: 200, .. }) => Err(offset),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(got, want, "{from:?} {to:?}");
        }
    }
}

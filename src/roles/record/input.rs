//! What a recording is made of: a range of topics, or another recording.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::RecordArgs;

use crate::config::Config;
use crate::domain::ids::Source;
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::kafka::headers::Headers;
use crate::edge::kafka::range::{Next, RangeReader, RangeSettings, Span};
use crate::edge::recording::{LONGEST_LINE, Recording};
use crate::roles::place::Place;
use crate::roles::wiring;

/// After so much time without any record the brokers are given up.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) enum Input {
    Topics(RangeReader),
    Lines(Recording),
}

/// Where a payload stands.
pub(super) enum Origin {
    Record(Source),
    Line(u64),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(source) => source.fmt(f),
            Self::Line(number) => write!(f, "line {number}"),
        }
    }
}

/// What the next look brought.
pub(super) enum Taken<'a> {
    Payload {
        origin: Origin,
        at: Option<Timestamp>,
        payload: Option<&'a [u8]>,
    },
    /// A line of which the end was not read, for it is longer than any event.
    Cut {
        origin: Origin,
    },
    Waiting,
    End,
}

impl Input {
    pub(super) fn open(args: &RecordArgs, config: Option<&Config>) -> anyhow::Result<Self> {
        if let Some(path) = &args.recording {
            return Ok(Self::Lines(args.format.open(path).context("--recording")?));
        }
        let Some(config) = config else { bail!("--config is needed to read from Kafka") };
        let topics = if args.topic.is_empty() { config.kafka.topics.activity.clone() } else { args.topic.clone() };
        for (option, place) in [("--from", &args.from), ("--to", &args.to)] {
            if matches!(place, Place::Offsets(_)) && topics.len() > 1 {
                bail!("{option}: offsets are those of one topic; choose one with --topic: {}", topics.join(", "));
            }
        }
        let now = clock::now();
        let settings = RangeSettings {
            connection: wiring::kafka(config),
            group_id: format!("{}-record", config.kafka.group_id),
            topics,
            from: args.from.bound(now),
            to: args.to.bound(now),
            headers: Headers::Dropped,
            patience: PATIENCE,
        };
        let reader = RangeReader::open(&settings).with_context(|| format!("kafka {}", config.kafka.brokers))?;
        Ok(Self::Topics(reader))
    }

    pub(super) fn next(&mut self) -> anyhow::Result<Taken<'_>> {
        Ok(match self {
            Self::Topics(reader) => match reader.next_record()? {
                Next::Record(record) => Taken::Payload {
                    origin: Origin::Record(Source {
                        topic: record.topic.clone(),
                        partition: record.partition,
                        offset: record.offset,
                    }),
                    at: record.timestamp.map(Timestamp),
                    payload: record.payload,
                },
                Next::Waiting => Taken::Waiting,
                Next::End => Taken::End,
            },
            Self::Lines(recording) => match recording.next_line().context("--recording")? {
                Some((number, line)) => {
                    let (origin, at) = (Origin::Line(number), None);
                    if line.len() > LONGEST_LINE {
                        Taken::Cut { origin }
                    } else {
                        Taken::Payload { origin, at, payload: Some(line) }
                    }
                }
                None => Taken::End,
            },
        })
    }

    /// How far it was read, and how far it goes where that is known; in what [`Input::unit`] names.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        match self {
            Self::Topics(reader) => {
                let sum = |of: fn(&Span) -> i64| reader.spans().map(|span| of(span).max(0).unsigned_abs()).sum();
                (sum(|span| span.next - span.start), Some(sum(|span| span.end - span.start)))
            }
            Self::Lines(recording) => recording.progress(),
        }
    }

    pub(super) fn unit(&self) -> &'static str {
        match self {
            Self::Topics(_) => "offsets",
            Self::Lines(_) => "bytes",
        }
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        match self {
            Self::Topics(reader) => reader.spans().cloned().collect(),
            Self::Lines(_) => Vec::new(),
        }
    }
}

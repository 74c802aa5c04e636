//! Where events come from: a recording, a range of a topic, or synthetic customers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::args::ReplayArgs;
use super::measure::Name;
use crate::config::Config;
use crate::domain::ids::EventId;
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::kafka::headers::Headers;
use crate::edge::kafka::range::{self, RangeReader, RangeSettings};
use crate::edge::recording::Recording;
use crate::roles::synthetic::{Cast, MIX, Nature, Synthetic};
use crate::roles::wiring;
use crate::wire::command;
use crate::wire::rewrite::{Recorded, id_in_run};

pub(super) enum Source {
    Recording(Recorder),
    Synthetic(Box<Synthetic>),
}

pub(super) struct Recorder {
    input: Input,
    /// The run whose name ids get; `None` keeps them.
    run: Option<String>,
}

/// What was recorded.
enum Input {
    File { recording: Recording, path: PathBuf },
    Topic { range: Box<RangeReader>, read: u64 },
}

enum Line<'a> {
    /// A line of a file, or a record's payload, and its number counted from 1.
    Is(u64, &'a [u8]),
    Waiting,
    End,
}

/// After so long without a record the brokers are given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a source holds next.
pub(super) enum Next<'a> {
    Draft(Draft<'a>),
    /// A line that cannot be sent: its number and the reason.
    Bad {
        number: u64,
        reason: String,
    },
    /// Nothing yet: ask again.
    Waiting,
    End,
}

/// An event that is to be written for the moment it is meant to be sent.
pub(super) enum Draft<'a> {
    Recorded { event: Recorded<'a>, run: Option<&'a str> },
    Synthetic(&'a mut Synthetic),
}

/// A record to be sent.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) key: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) kind: Kind,
}

/// What a record is, as far as it is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Event(Name),
    Repeat,
    Malformed,
}

impl Source {
    pub(super) fn open(args: &ReplayArgs, config: &Config, run: &str) -> anyhow::Result<Self> {
        if let Some(input) = Input::open(args, config)? {
            let run = (!args.keep_ids).then(|| run.to_owned());
            return Ok(Self::Recording(Recorder { input, run }));
        }
        let customers = &args.customers;
        let cast = Cast {
            tenants: customers.tenants,
            customers_per_tenant: customers.customers,
            customers_of: format!("-{run}"),
            skew: customers.skew,
            mix: customers.mix.as_ref().map_or_else(|| MIX.to_vec(), |mix| mix.0.clone()),
            burst_share: customers.bursts,
            repeated_share: customers.repeated,
            malformed_share: customers.malformed,
            late_share: customers.late,
            late_by: customers.late_by,
            out_of_order_share: customers.out_of_order,
            seed: args.seed,
        };
        let synthetic = Synthetic::new(cast, run).context("no customers")?;
        Ok(Self::Synthetic(Box::new(synthetic)))
    }

    pub(super) fn next(&mut self) -> anyhow::Result<Next<'_>> {
        match self {
            Self::Synthetic(synthetic) => Ok(Next::Draft(Draft::Synthetic(synthetic))),
            Self::Recording(Recorder { input, run }) => {
                let (number, line) = match input.next_line()? {
                    Line::Is(number, line) => (number, line),
                    Line::Waiting => return Ok(Next::Waiting),
                    Line::End => return Ok(Next::End),
                };
                Ok(match Recorded::read(line) {
                    Ok(event) => Next::Draft(Draft::Recorded { event, run: run.as_deref() }),
                    Err(rejection) => Next::Bad { number, reason: rejection.error },
                })
            }
        }
    }
}

impl Input {
    fn open(args: &ReplayArgs, config: &Config) -> anyhow::Result<Option<Self>> {
        if let Some(path) = &args.recording {
            let recording = args.format.open(path).context("--recording")?;
            return Ok(Some(Self::File { recording, path: path.clone() }));
        }
        let Some(topic) = &args.from_topic else { return Ok(None) };
        let now = clock::now();
        let settings = RangeSettings {
            connection: wiring::kafka(config),
            group_id: format!("{}-replay", config.kafka.group_id),
            topics: vec![topic.clone()],
            from: args.from.bound(now),
            to: args.to.bound(now),
            headers: Headers::Dropped,
            patience: PATIENCE,
        };
        let range = RangeReader::open(&settings).with_context(|| format!("--from-topic {topic}"))?;
        Ok(Some(Self::Topic { range: Box::new(range), read: 0 }))
    }

    fn next_line(&mut self) -> anyhow::Result<Line<'_>> {
        match self {
            Self::File { recording, path } => {
                let line = recording.next_line().with_context(|| format!("--recording {}", path.display()))?;
                Ok(line.map_or(Line::End, |(number, line)| Line::Is(number, line)))
            }
            Self::Topic { range, read } => Ok(match range.next_record().context("--from-topic")? {
                range::Next::Record(record) => {
                    *read += 1;
                    Line::Is(*read, record.payload.unwrap_or_default())
                }
                range::Next::Waiting => Line::Waiting,
                range::Next::End => Line::End,
            }),
        }
    }
}

impl Draft<'_> {
    /// The event's own time in a recording.
    pub(super) fn recorded_at(&self) -> Option<Timestamp> {
        match self {
            Self::Recorded { event, .. } => Some(event.occurred_at),
            Self::Synthetic(_) => None,
        }
    }

    /// Writes it as having occurred `at`; a recorded event keeps its own time where that is `None`.
    pub(super) fn write(self, at: Option<Timestamp>, now: Timestamp) -> Item {
        match self {
            Self::Recorded { event, run } => {
                let id: Option<EventId> = run.map(|run| id_in_run(run, &event.id));
                let name = Name::of(event.tenant.as_str(), id.as_ref().unwrap_or(&event.id).as_str());
                let key = command::key(&event.tenant, &event.customer);
                Item { key, payload: event.rewritten(id.as_ref(), at), kind: Kind::Event(name) }
            }
            Self::Synthetic(synthetic) => {
                let deed = synthetic.next(at.unwrap_or(now));
                let kind = match &deed.nature {
                    Nature::Event { tenant, id } => Kind::Event(Name::of(tenant, id)),
                    Nature::Repeat => Kind::Repeat,
                    Nature::Malformed => Kind::Malformed,
                };
                Item { key: deed.key.into_bytes(), payload: deed.payload.into_bytes(), kind }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const LINES: &str = r#"{"id":"a","tenant_id":"t","customer_id":"c","type":"login","occurred_at":"1970-01-01T00:00:05Z"}
{"id":
{"id":"a","tenant_id":"t","customer_id":"c","type":"login","occurred_at":"1970-01-01T00:00:05Z"}
"#;

    fn sent(run: Option<&str>, at: Option<Timestamp>) -> Vec<Result<Item, String>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(LINES.as_bytes()).unwrap();
        let recording = Recording::open(file.path()).unwrap();
        let input = Input::File { recording, path: file.path().to_owned() };
        let mut source = Source::Recording(Recorder { input, run: run.map(str::to_owned) });
        let mut sent = Vec::new();
        loop {
            match source.next().unwrap() {
                Next::End => return sent,
                Next::Waiting => {}
                Next::Bad { number, reason } => sent.push(Err(format!("line {number}: {reason}"))),
                Next::Draft(draft) => {
                    assert_eq!(draft.recorded_at(), Some(Timestamp(5_000)));
                    sent.push(Ok(draft.write(at, Timestamp(0))));
                }
            }
        }
    }

    #[test]
    fn a_recording_is_sent_under_new_ids_and_times_and_its_repeats_stay_repeats() {
        let sent = sent(Some("r1"), Some(Timestamp(9_000)));
        let [Ok(first), Err(bad), Ok(again)] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!(bad, "line 2: the record is not JSON");
        let want = r#"{"id":"r1-a","tenant_id":"t","customer_id":"c","type":"login","occurred_at":"1970-01-01T00:00:09.000Z"}"#;
        assert_eq!(std::str::from_utf8(&first.payload), Ok(want));
        assert_eq!((first.key.as_slice(), first.kind), (b"t/c".as_slice(), Kind::Event(Name::of("t", "r1-a"))));
        assert_eq!(first.kind, again.kind);
    }

    #[test]
    fn what_is_to_be_kept_is_kept_to_the_byte() {
        let sent = sent(None, None);
        let first = sent[0].as_ref().unwrap();
        assert_eq!(first.payload, LINES.lines().next().unwrap().as_bytes());
        assert_eq!(first.kind, Kind::Event(Name::of("t", "a")));
    }
}

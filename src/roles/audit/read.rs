//! From the topics to the auditor: first what came out, then what went in.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::auditor::Auditor;
use super::course::Stretch;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::edge::kafka::committed::GroupPositions;
use crate::edge::kafka::headers::Headers;
use crate::edge::kafka::range::{Bound, Next, RangeError, RangeReader, RangeRecord, RangeSettings, Span};
use crate::roles::progress::Progress;
use crate::roles::wiring;

/// After so much time without any record the brokers are given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Progress is shown once in so many records.
const SHOWN_EVERY: u64 = 512;

/// Where everything is read from.
pub(super) struct Topics<'a> {
    pub(super) config: &'a Config,
    /// The range of the activity.
    pub(super) from: Bound,
    pub(super) to: Bound,
    pub(super) stop: &'a CancellationToken,
    pub(super) progress: &'a Progress,
}

/// Whether everything was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Whole,
    Stopped,
}

type Take = fn(&mut Auditor, &RangeRecord<'_>);

impl Topics<'_> {
    /// Reads everything. The end of the activity is fixed first, so that what follows from it can be there; then what its
    /// group has committed, so that what must be there is.
    pub(super) fn read(&self, auditor: &mut Auditor) -> anyhow::Result<Read> {
        let topics = &self.config.kafka.topics;
        let mut activity = self.open(&topics.activity, &self.from, &self.to, Headers::Dropped)?;
        let committed = self.committed(&activity)?;
        let span = |span: &Span| stretch(span, &committed);
        for one in activity.spans() {
            auditor.range(&one.topic, one.partition, span(one));
        }
        let effects: [(&String, Headers, Take); 5] = [
            (&topics.dead_letters, Headers::Kept, Auditor::letter),
            (&topics.outcomes, Headers::Dropped, Auditor::outcome),
            (&topics.retries, Headers::Kept, Auditor::retry),
            (&topics.commands, Headers::Dropped, Auditor::command),
            (&topics.shadow_commands, Headers::Dropped, Auditor::shadow),
        ];
        // Offsets are those of the activity, and what follows from it comes later.
        let since = match &self.from {
            Bound::At(at) => Bound::At(*at),
            Bound::Edge | Bound::Offsets(_) => Bound::Edge,
        };
        for (topic, headers, take) in effects {
            let opened = self.open(std::slice::from_ref(topic), &since, &Bound::Edge, headers);
            let mut reader = match opened {
                // Without a trigger in shadow nobody needs that topic.
                Err(error) if *topic == topics.shadow_commands && is_no_topic(&error) => continue,
                opened => opened?,
            };
            let mut first = None;
            let read = self.all(&mut reader, topic, |record| {
                first = first.min(record.timestamp).or(first).or(record.timestamp);
                take(auditor, record);
            })?;
            if read == Read::Stopped {
                return Ok(read);
            }
            for one in reader.spans() {
                auditor.range(&one.topic, one.partition, span(one));
            }
            let is_whole = reader.spans().all(|span| span.start == 0 && span.lost.is_empty());
            if *topic == topics.commands && !is_whole {
                auditor.commands_since = Some(first.map_or(auditor.terms.now, Timestamp));
            }
        }
        auditor.begin();
        let read = self.all(&mut activity, &topics.activity.join(", "), |record| auditor.activity(record))?;
        for one in activity.spans() {
            auditor.range(&one.topic, one.partition, span(one));
        }
        Ok(read)
    }

    fn open(&self, topics: &[String], from: &Bound, to: &Bound, headers: Headers) -> anyhow::Result<RangeReader> {
        let settings = RangeSettings {
            connection: wiring::kafka(self.config),
            group_id: format!("{}-audit", self.config.kafka.group_id),
            topics: topics.to_vec(),
            from: from.clone(),
            to: to.clone(),
            headers,
            patience: PATIENCE,
        };
        RangeReader::open(&settings).with_context(|| format!("kafka {}", self.config.kafka.brokers))
    }

    /// How far the evaluators had come: topic, partition and one past the last offset that is finished.
    fn committed(&self, activity: &RangeReader) -> anyhow::Result<Vec<(Arc<str>, i32, i64)>> {
        let group = wiring::evaluate_input(self.config).group_id;
        let mut committed = Vec::new();
        for topic in &self.config.kafka.topics.activity {
            let name: Arc<str> = topic.as_str().into();
            let of_topic = activity.spans().filter(|span| span.topic == name).map(|span| span.partition + 1);
            let partitions = of_topic.max().unwrap_or(0);
            let asked = || format!("the committed positions of {group} in {topic}");
            let positions = GroupPositions::new(&wiring::kafka(self.config), &group, topic, partitions)
                .map_err(anyhow::Error::from)
                .and_then(|group| Ok(group.committed(PATIENCE)?))
                .with_context(asked)?;
            committed.extend(positions.into_iter().map(|(partition, next)| (Arc::clone(&name), partition, next)));
        }
        Ok(committed)
    }

    fn all(
        &self,
        reader: &mut RangeReader,
        name: &str,
        mut take: impl FnMut(&RangeRecord<'_>),
    ) -> anyhow::Result<Read> {
        for read in 0_u64.. {
            if self.stop.is_cancelled() {
                return Ok(Read::Stopped);
            }
            if read % SHOWN_EVERY == 0 {
                self.progress.at(read, name);
            }
            match reader.next_record().with_context(|| format!("reading {name}"))? {
                Next::Record(record) => take(&record),
                Next::Waiting => {}
                Next::End => break,
            }
        }
        Ok(Read::Whole)
    }
}

fn stretch(span: &Span, committed: &[(Arc<str>, i32, i64)]) -> Stretch {
    let of = |(topic, partition, next): &(Arc<str>, i32, i64)| {
        (*topic == span.topic && *partition == span.partition).then_some(*next)
    };
    Stretch { range: span.start..span.end, lost: span.lost.clone(), committed: committed.iter().find_map(of) }
}

fn is_no_topic(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<RangeError>(), Some(RangeError::NoTopic { .. }))
}

//! Topics read back for a filling.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc::{Receiver, channel};

use crate::domain::ids::Source;
use crate::domain::time::Timestamp;
use crate::edge::kafka::Connection;
use crate::edge::kafka::committed::GroupPositions;
use crate::edge::kafka::headers::Headers;
use crate::edge::kafka::probe;
use crate::edge::kafka::range::{Bound, Next, RangeError, RangeReader, RangeRecord, RangeSettings};
use crate::wire::dead_letter::{self, Stage};

/// Records of one step.
const STEP: usize = 1_000;
/// Steps that may wait to be taken.
const AHEAD: usize = 4;
/// How long the brokers are waited for before the whole is tried again: a question asked of one that went is never answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a record stands, and its payload.
pub(super) type Payload = (Source, Vec<u8>);

/// The committed position of every partition of a topic; 0 where the group has none.
pub(super) async fn committed(connection: &Connection, group: &str, topic: &str) -> anyhow::Result<BTreeMap<i32, i64>> {
    let (connection, group, topic) = (connection.clone(), group.to_owned(), topic.to_owned());
    let ask = move || {
        let partitions = probe::topics(&connection, PATIENCE)?.get(&topic).copied().unwrap_or(0);
        let partitions = i32::try_from(partitions).context("too many partitions")?;
        let mut positions: BTreeMap<i32, i64> = (0..partitions).map(|partition| (partition, 0)).collect();
        positions.extend(GroupPositions::new(&connection, &group, &topic, partitions)?.committed(PATIENCE)?);
        anyhow::Ok(positions)
    };
    tokio::task::spawn_blocking(ask).await.context("asking for committed positions")?
}

/// The payloads of a topic's records since a time, up to these offsets or to its end as it is now, in the order of their
/// times. An error is the last thing that comes.
pub(super) fn payloads(
    connection: Connection,
    topic: String,
    since: Timestamp,
    to: Option<BTreeMap<i32, i64>>,
) -> Receiver<anyhow::Result<Vec<Payload>>> {
    let to = to.map_or(Bound::Edge, Bound::Offsets);
    read(connection, topic, Bound::At(since), to, Headers::Dropped, |record| {
        let source = Source { topic: record.topic.clone(), partition: record.partition, offset: record.offset };
        Some((source, record.payload?.to_vec()))
    })
}

/// Where the records stand that were given up since a time, as the dead letters tell, though they might fare otherwise now.
pub(super) fn given_up(
    connection: Connection,
    dead_letters: String,
    since: Timestamp,
) -> Receiver<anyhow::Result<Vec<Source>>> {
    let headers = Headers::Named(&dead_letter::HEADERS);
    read(connection, dead_letters, Bound::At(since), Bound::Edge, headers, |record| {
        let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let letter = dead_letter::decode(headers).ok()?;
        (letter.stage == Stage::Evaluate && letter.code.is_by_the_clock()).then_some(letter.source)
    })
}

/// What is picked of the records of a range, step by step.
fn read<T: Send + 'static>(
    connection: Connection,
    topic: String,
    from: Bound,
    to: Bound,
    headers: Headers,
    pick: impl Fn(&RangeRecord<'_>) -> Option<T> + Send + 'static,
) -> Receiver<anyhow::Result<Vec<T>>> {
    let (sender, steps) = channel(AHEAD);
    let topics = vec![topic.clone()];
    let group_id = "stepup-refill".to_owned();
    let settings = RangeSettings { connection, group_id, topics, from, to, headers, patience: PATIENCE };
    tokio::task::spawn_blocking(move || {
        let mut step = Vec::new();
        let read = each(&settings, |record| {
            step.extend(pick(record));
            if step.len() < STEP { true } else { sender.blocking_send(Ok(std::mem::take(&mut step))).is_ok() }
        });
        let _ = sender.blocking_send(Ok(step));
        if let Err(error) = read {
            let _ = sender.blocking_send(Err(anyhow::Error::new(error).context(format!("reading topic {topic}"))));
        }
    });
    steps
}

/// Reads a range until `take` wants no more.
fn each(settings: &RangeSettings, mut take: impl FnMut(&RangeRecord<'_>) -> bool) -> Result<(), RangeError> {
    let mut reader = RangeReader::open(settings)?;
    loop {
        match reader.next_record()? {
            Next::Record(record) => {
                if !take(&record) {
                    return Ok(());
                }
            }
            Next::Waiting => {}
            Next::End => return Ok(()),
        }
    }
}

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
use crate::edge::kafka::range::{Bound, Next, RangeError, RangeReader, RangeSettings};

/// Records of one step.
const STEP: usize = 1_000;
/// Steps that may wait to be taken.
const AHEAD: usize = 4;
/// How long the brokers are waited for before the whole is tried again: a question asked of one that went is never answered.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) type Step = Vec<(Source, Vec<u8>)>;

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

/// The records of a topic since a time, up to these offsets or to its end as it is now, with a payload, in the order of
/// their times. An error is the last thing that comes.
pub(super) fn read(
    connection: Connection,
    topic: String,
    since: Timestamp,
    to: Option<BTreeMap<i32, i64>>,
) -> Receiver<anyhow::Result<Step>> {
    let (sender, steps) = channel(AHEAD);
    let settings = RangeSettings {
        connection,
        group_id: "stepup-refill".to_owned(),
        topics: vec![topic.clone()],
        from: Bound::At(since),
        to: to.map_or(Bound::Edge, Bound::Offsets),
        headers: Headers::Dropped,
        patience: PATIENCE,
    };
    tokio::task::spawn_blocking(move || {
        let mut step = Vec::new();
        let read = each(&settings, |source, payload| {
            step.push((source, payload));
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
fn each(settings: &RangeSettings, mut take: impl FnMut(Source, Vec<u8>) -> bool) -> Result<(), RangeError> {
    let mut reader = RangeReader::open(settings)?;
    loop {
        match reader.next_record()? {
            Next::Record(record) => {
                let Some(payload) = record.payload else { continue };
                let source = Source { topic: record.topic.clone(), partition: record.partition, offset: record.offset };
                if !take(source, payload.to_vec()) {
                    return Ok(());
                }
            }
            Next::Waiting => {}
            Next::End => return Ok(()),
        }
    }
}

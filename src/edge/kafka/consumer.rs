//! A member of a consumer group on a thread of its own.
//!
//! The thread polls for ever, whatever happens to the records it hands over. Where nobody takes them it pauses their
//! partitions and goes on polling. It commits what was reported finished, about once a second, and at revoke and stop. A
//! revoked partition is let go only when its records at hand are finished or the budget for that is used up; what is
//! reported after that is neither stored nor committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::mpsc::{Receiver, channel};

use super::headers::Headers;
use super::records::Batch;
use super::{ClientError, Connection};

mod callbacks;
mod group;
mod progress;
mod stalls;
mod thread;
mod wait;
use callbacks::GroupContext;
use group::Group;
pub use progress::{Observer, Progress, Settled};
use thread::Thread;

/// What a consumer reads, and how.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    pub connection: Connection,
    pub group_id: String,
    pub lanes: Vec<LaneSettings>,
    pub start: StartAt,
    /// How long a revoked partition may take to finish what it has at hand.
    pub revoke_budget: Duration,
    pub commit_interval: Duration,
    /// How long a batch that is not full waits for more.
    pub linger: Duration,
    pub ahead: Ahead,
}

/// What is fetched ahead of whoever takes it. It is memory, and is thrown away where a lane is paused.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    pub kilobytes: u32,
    pub records: u32,
    /// Of one partition in one answer of a broker, as it is compressed.
    pub partition_bytes: u32,
}

/// Topics whose records go to the same receiver, and are paused together when it takes no more.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    pub topics: Vec<String>,
    /// The most records of one batch.
    pub batch_records: usize,
    /// Batches that may wait to be taken.
    pub capacity: usize,
    pub headers: Headers,
}

/// Where a group begins that has no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    Earliest,
    Latest,
}

/// How long closing may take before the thread is left to its fate.
const CLOSE_BUDGET: Duration = Duration::from_secs(10);

/// A running consumer: a receiver for each lane, and the way to report what is finished.
pub struct Consumer {
    pub lanes: Vec<Receiver<Batch>>,
    pub progress: Progress,
    group: Arc<Group>,
    stop: Arc<AtomicBool>,
    ended: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Consumer {
    /// Joins the group. Brokers that are away are waited for.
    pub fn start(settings: ConsumerSettings, observer: Arc<dyn Observer>) -> Result<Self, ClientError> {
        let group = Arc::new(Group::new(observer, settings.revoke_budget, settings.start));
        let stop = Arc::new(AtomicBool::new(false));
        let (senders, lanes) = settings.lanes.iter().map(|lane| channel(lane.capacity.max(1))).unzip();
        let consumer = create(&settings, &group)?;
        let (ending, ended) = tokio::sync::oneshot::channel();
        let progress = Progress::new(Arc::clone(&group));
        let known = Arc::clone(&group);
        let thread = Thread { settings, group, stop: Arc::clone(&stop) };
        std::thread::Builder::new()
            .name("kafka-consumer".to_owned())
            .spawn(move || {
                thread.run(consumer, senders);
                let _ = ending.send(());
            })
            .map_err(ClientError::Thread)?;
        Ok(Self { lanes, progress, group: known, stop, ended: Some(ended) })
    }

    /// Commits what is finished, leaves the group and waits for that, within bounds. Batches that nobody finished are
    /// read again by whoever gets their partitions.
    pub async fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // A revoke that waits for records to be finished waits in vain from now on.
        self.group.begin_closing();
        self.lanes.clear();
        if let Some(ended) = self.ended.take()
            && tokio::time::timeout(CLOSE_BUDGET, ended).await.is_err()
        {
            tracing::warn!("the Kafka consumer did not close in time; its group will notice by itself");
        }
    }
}

impl Drop for Consumer {
    /// A consumer that nobody stopped in order must not go on reading for nobody.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn create(settings: &ConsumerSettings, group: &Arc<Group>) -> Result<BaseConsumer<GroupContext>, ClientError> {
    let mut defaults = vec![
        ("fetch.wait.max.ms", "100"),
        ("fetch.queue.backoff.ms", "10"),
        ("topic.metadata.refresh.interval.ms", "10000"),
        ("statistics.interval.ms", "1000"),
        ("allow.auto.create.topics", "false"),
    ];
    let properties = &settings.connection.properties;
    let ahead = settings.ahead;
    let (kilobytes, records) = (ahead.kilobytes.to_string(), ahead.records.to_string());
    defaults.extend([("queued.max.messages.kbytes", kilobytes.as_str()), ("queued.min.messages", records.as_str())]);
    // Two names of one setting: where both are given either may win.
    let partition_bytes = ahead.partition_bytes.to_string();
    if !properties.contains_key("max.partition.fetch.bytes") {
        defaults.push(("fetch.message.max.bytes", partition_bytes.as_str()));
    }
    // The broker-side protocol brings its own assignor and refuses to be given one.
    if properties.get("group.protocol").is_none_or(|protocol| protocol == "classic") {
        defaults.push(("partition.assignment.strategy", "cooperative-sticky"));
        defaults.push(("session.timeout.ms", "15000"));
        // With the answer a member hears that partitions move, and until the last one has those that move stand.
        defaults.push(("heartbeat.interval.ms", "1000"));
    }
    // Taken first: a file that changes in between is then one that has changed.
    let stamps = settings.connection.stamps();
    let mut config = settings.connection.client(&defaults)?;
    config
        .set("group.id", &settings.group_id)
        // It commits by itself what it is given, which is only what is finished.
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", settings.commit_interval.as_millis().to_string())
        .set("enable.auto.offset.store", "false")
        // A position that is lost is an error, never a silent jump.
        .set("auto.offset.reset", "error");
    let consumer: BaseConsumer<GroupContext> =
        config.create_with_context(GroupContext::new(Arc::clone(group), stamps)).map_err(ClientError::Refused)?;
    let topics: Vec<&str> = settings.lanes.iter().flat_map(|lane| lane.topics.iter().map(String::as_str)).collect();
    consumer.subscribe(&topics).map_err(ClientError::Refused)?;
    Ok(consumer)
}

//! Sends each event at its time on a thread of its own, and waits for nobody but the clock and a full queue.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rdkafka::error::KafkaError;
use tokio::time::Instant;

use super::ledger::Ledger;
use super::measure::Measure;
use super::pace::{Due, Pace};
use super::predict::Predictor;
use super::source::{Item, Kind, Next, Source};
use crate::domain::ids::CommandId;
use crate::domain::time::Timestamp;
use crate::edge::kafka::loader::{Deliveries, Loader, Offered};

/// The run's clock: time since it began, and what the wall clock said then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    began: Instant,
    wall: Timestamp,
}

impl Watch {
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn micros(&self) -> u64 {
        micros(self.elapsed())
    }

    fn wall_at(&self, at: Duration) -> Timestamp {
        self.wall.plus(at)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// What the threads of a run know together.
pub(super) struct Shared {
    /// There once it has begun.
    watch: OnceLock<Watch>,
    measure: Mutex<Measure>,
    ledger: Mutex<Ledger>,
    /// Lines for people that were not shown yet.
    notes: Mutex<Vec<String>>,
}

impl Shared {
    pub(super) fn new(measure: Measure) -> Self {
        Self { watch: OnceLock::new(), measure: Mutex::new(measure), ledger: Mutex::default(), notes: Mutex::default() }
    }

    /// Begins the run, at `wall` by the wall clock.
    pub(super) fn begin(&self, wall: Timestamp) -> Watch {
        *self.watch.get_or_init(|| Watch { began: Instant::now(), wall })
    }

    /// The run's clock, once it has begun.
    pub(super) fn watch(&self) -> Option<&Watch> {
        self.watch.get()
    }

    pub(super) fn measure(&self) -> MutexGuard<'_, Measure> {
        self.measure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, line: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    pub(super) fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Deliveries for Shared {
    fn acknowledged(&self, partition: i32, offset: i64) {
        self.ledger().acknowledged(partition, offset);
    }

    fn failed(&self, error: &KafkaError) {
        let mut measure = self.measure();
        measure.counts.failed += 1;
        if measure.counts.failed == 1 {
            self.note(format!("an event was not taken by the brokers: {error}"));
        }
    }
}

/// Whose times events bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// That of the moment they are meant to be sent.
    Rebased,
    Kept,
}

/// What is done about a line that cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnBadLine {
    Count,
    Stop,
}

pub(super) struct Sender {
    pub(super) source: Source,
    pub(super) pace: Pace,
    pub(super) loader: Arc<Loader>,
    pub(super) shared: Arc<Shared>,
    pub(super) watch: Watch,
    pub(super) times: Times,
    pub(super) on_bad_line: OnBadLine,
    pub(super) most: Option<u64>,
    pub(super) until: Option<Duration>,
    pub(super) predictor: Option<Predictor>,
    /// Something comes, or its other end goes, when sending must stop.
    pub(super) stop: Receiver<()>,
}

/// What was sent when it ended.
pub(super) struct Sent {
    pub(super) took: Duration,
    /// The commands that must come of them, where that was asked.
    pub(super) expected: Option<HashSet<CommandId>>,
    /// Why it ended before its time.
    pub(super) failure: Option<anyhow::Error>,
}

/// So many lines that cannot be sent are named one by one.
const NAMED: u64 = 10;

impl Sender {
    /// Sends until the source, the run's bounds or somebody's patience ends.
    pub(super) fn run(mut self) -> Sent {
        let mut failure = self.send_all().err();
        let took = self.watch.elapsed();
        let expected = self.predictor.take().map(Predictor::finish).transpose();
        let expected = expected.unwrap_or_else(|error| {
            failure.get_or_insert(error);
            None
        });
        Sent { took, expected, failure }
    }

    fn send_all(&mut self) -> anyhow::Result<()> {
        let mut taken = 0;
        while self.most.is_none_or(|most| taken < most) {
            let draft = match self.source.next()? {
                Next::End => return Ok(()),
                Next::Waiting if pause(&self.stop, Duration::ZERO) => continue,
                Next::Waiting => return Ok(()),
                Next::Bad { number, reason } => {
                    bad_line(&self.shared, self.on_bad_line, number, &reason)?;
                    continue;
                }
                Next::Draft(draft) => draft,
            };
            let recorded_at = draft.recorded_at();
            let intended = match self.pace.next(recorded_at) {
                Due::Over => return Ok(()),
                Due::Now => self.watch.elapsed(),
                Due::At(at) => at,
            };
            if self.until.is_some_and(|until| intended > until) || !wait(&self.stop, &self.watch, intended) {
                return Ok(());
            }
            let now = self.watch.wall_at(intended);
            let at = match self.times {
                Times::Kept => None,
                Times::Rebased => Some(occurred(&self.pace, &self.watch, recorded_at).unwrap_or(now)),
            };
            let item = draft.write(at, now);
            if let Some(predictor) = &mut self.predictor {
                predictor.add(&item.payload).context("--preferences")?;
            }
            self.register(&item, micros(intended));
            if !self.send(&item)? {
                return Ok(());
            }
            taken += 1;
        }
        Ok(())
    }

    fn register(&self, item: &Item, intended: u64) {
        let mut measure = self.shared.measure();
        let name = match item.kind {
            Kind::Event(name) => Some(name),
            Kind::Repeat => {
                measure.counts.repeats_sent += 1;
                None
            }
            Kind::Malformed => {
                measure.counts.malformed += 1;
                None
            }
        };
        measure.sending(name, intended, self.watch.micros());
    }

    /// Queues a record, however long the queue is full; `false` where it is told to stop meanwhile.
    fn send(&self, item: &Item) -> anyhow::Result<bool> {
        loop {
            match self.loader.offer(&item.key, &item.payload).context("the Kafka client takes no more events")? {
                Offered::Taken => return Ok(true),
                Offered::Full if pause(&self.stop, Duration::from_millis(1)) => {}
                Offered::Full => return Ok(false),
            }
        }
    }
}

/// When a recorded event occurs in this run, where the recording's distances are kept.
fn occurred(pace: &Pace, watch: &Watch, recorded_at: Option<Timestamp>) -> Option<Timestamp> {
    let apart = pace.rebased(recorded_at?)?;
    #[allow(clippy::cast_possible_truncation, reason = "a float becomes the nearest number there is")]
    Some(Timestamp(watch.wall.0.saturating_add(apart.round() as i64)))
}

fn bad_line(shared: &Shared, on_bad_line: OnBadLine, number: u64, reason: &str) -> anyhow::Result<()> {
    let mut measure = shared.measure();
    measure.counts.bad_lines += 1;
    if on_bad_line == OnBadLine::Stop {
        bail!("line {number} of the recording cannot be sent: {reason}");
    }
    if measure.counts.bad_lines <= NAMED {
        shared.note(format!("line {number} cannot be sent: {reason}"));
    }
    Ok(())
}

/// Waits until `due`; `false` where it is told to stop meanwhile.
fn wait(stop: &Receiver<()>, watch: &Watch, due: Duration) -> bool {
    pause(stop, due.saturating_sub(watch.elapsed()))
}

fn pause(stop: &Receiver<()>, span: Duration) -> bool {
    stop.recv_timeout(span) == Err(RecvTimeoutError::Timeout)
}

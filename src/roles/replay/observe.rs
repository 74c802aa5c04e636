//! What the deployment does with the load, seen from outside: the records it writes and the positions it commits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;

use super::sender::Shared;
use crate::config::Config;
use crate::edge::kafka::Connection;
use crate::edge::kafka::committed::GroupPositions;
use crate::edge::kafka::tail::{self, End, Tail, Tailed};
use crate::roles::wiring;
use crate::wire::{command, dead_letter, outcome};

/// How long the brokers may take to answer one question.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the group's positions are asked for.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// The topics of a run.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    pub(super) activity: String,
    commands: String,
    outcomes: String,
    dead_letters: String,
}

impl Topics {
    pub(super) fn of(config: &Config, activity: String) -> Self {
        let topics = &config.kafka.topics;
        Self {
            activity,
            commands: topics.commands.clone(),
            outcomes: topics.outcomes.clone(),
            dead_letters: topics.dead_letters.clone(),
        }
    }

    pub(super) fn all(&self) -> [&String; 4] {
        [&self.activity, &self.commands, &self.outcomes, &self.dead_letters]
    }

    fn read_along(&self) -> Vec<String> {
        vec![self.commands.clone(), self.outcomes.clone(), self.dead_letters.clone()]
    }
}

/// Watches until it is dropped.
pub(super) struct Observer {
    tail: Tail,
    connection: Connection,
    topics: Topics,
    _positions: Asking,
}

impl Observer {
    /// Begins to watch; what is written from now on is seen. Blocks until the brokers have answered.
    pub(super) fn start(config: &Config, topics: &Topics, shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let connection = wiring::kafka(config);
        let all: Vec<String> = topics.all().into_iter().cloned().collect();
        let ends = tail::ends(&connection, &all, PATIENCE)?;
        let (of_activity, followed): (Vec<End>, Vec<End>) =
            ends.iter().cloned().partition(|end| end.topic == topics.activity);
        let reader = Reader { topics: topics.clone(), begin: Begin::at(&ends), shared: Arc::clone(shared) };
        let tail = Tail::start(&connection, followed, move |record| reader.take(record))?;
        let group = wiring::evaluate_input(config).group_id;
        let partitions = i32::try_from(of_activity.len()).context("the partitions of the activity topic")?;
        let positions = GroupPositions::new(&connection, &group, &topics.activity, partitions)?;
        Ok(Self { tail, connection, topics: topics.clone(), _positions: Asking::start(positions, Arc::clone(shared))? })
    }

    /// Whether what is written is read at once.
    pub(super) fn is_ready(&self) -> bool {
        self.tail.is_warm()
    }

    /// Where the topics that are read along end now. Blocks.
    pub(super) fn ends(&self) -> anyhow::Result<Vec<End>> {
        Ok(tail::ends(&self.connection, &self.topics.read_along(), PATIENCE)?)
    }

    /// Whether everything up to there was read.
    pub(super) fn has_read(&self, ends: &[End]) -> bool {
        self.tail.before(ends).next().is_none()
    }

    /// The partitions that were not read up to there, for people.
    pub(super) fn unread(&self, ends: &[End]) -> Vec<String> {
        let one = |(end, at): (&End, i64)| format!("{}[{}] up to {at} of {}", end.topic, end.partition, end.offset);
        self.tail.before(ends).map(one).collect()
    }
}

/// Where each partition ended when the run began.
struct Begin(HashMap<(String, i32), i64>);

impl Begin {
    fn at(ends: &[End]) -> Self {
        Self(ends.iter().map(|end| ((end.topic.clone(), end.partition), end.offset)).collect())
    }

    /// Whether a record was written since then.
    fn is_since(&self, topic: &str, partition: i32, offset: i64) -> bool {
        self.0.get(&(topic.to_owned(), partition)).is_some_and(|begin| *begin <= offset)
    }
}

/// Takes what is read along to the measures.
struct Reader {
    topics: Topics,
    begin: Begin,
    shared: Arc<Shared>,
}

impl Reader {
    fn take(&self, record: &Tailed<'_>) {
        // Before the run begins there is nothing of ours to be read.
        let Some(watch) = self.shared.watch() else { return };
        let (topic, payload, now) = (record.topic(), record.payload(), watch.micros());
        if topic == self.topics.commands {
            match command::decode(payload) {
                Ok(command) => self.shared.measure().command(&command, now),
                Err(rejection) => {
                    tracing::warn!(error = rejection.error, "a record of the commands topic is no command")
                }
            }
        } else if topic == self.topics.outcomes {
            match outcome::decode(payload) {
                Ok(outcome) => self.shared.measure().outcome(&outcome, payload, now),
                Err(rejection) => {
                    tracing::warn!(error = rejection.error, "a record of the outcomes topic is no outcome")
                }
            }
        } else if let Ok(letter) = dead_letter::decode(record.headers())
            && self.begin.is_since(&letter.source.topic, letter.source.partition, letter.source.offset)
        {
            self.shared.measure().dead_letter(&letter);
        }
    }
}

/// Asks for the group's positions on a thread of its own until it is dropped.
struct Asking {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Asking {
    fn start(positions: GroupPositions, shared: Arc<Shared>) -> anyhow::Result<Self> {
        let (stop, told) = channel();
        let thread = std::thread::Builder::new()
            .name("replay-positions".to_owned())
            .spawn(move || ask(&positions, &shared, &told))
            .context("no thread")?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of it was shown already.
            let _ = thread.join();
        }
    }
}

fn ask(positions: &GroupPositions, shared: &Shared, told: &Receiver<()>) {
    let mut answered = true;
    while told.recv_timeout(ASK_EVERY) == Err(RecvTimeoutError::Timeout) {
        match positions.committed(PATIENCE) {
            Ok(committed) => {
                answered = true;
                let mut ledger = shared.ledger();
                committed.into_iter().for_each(|(partition, next)| ledger.committed(partition, next));
            }
            Err(error) if answered => {
                answered = false;
                shared.note(format!("the group's positions cannot be read: {error}"));
            }
            Err(_) => {}
        }
    }
}

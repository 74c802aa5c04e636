//! The commands of one call, gathered into as few pipelines as the servers allow.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use redis::{Cmd, Pipeline, RedisError, Value};

use super::connection::Connection;
use super::failure::{Failure, is_missing_script, not_understood};
use super::protocol::{Alike, Commands, Packed};
use super::replies::server_errors;
use super::scripts::load_scripts;

/// Reads a string.
pub(super) fn get(key: &str) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(key);
    command
}

/// Bytes of a command that appends a bet.
const USUAL_BYTES: usize = 112;

/// Keys lie in so many buckets.
const BUCKETS: usize = 256;

/// What becomes of the answer to a command.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// It only must be no error.
    Checked,
    /// It is wanted, at this place of what the call gives back.
    Wanted(usize),
}

impl Answer {
    fn place(&self) -> Option<usize> {
        match self {
            Self::Checked => None,
            Self::Wanted(place) => Some(*place),
        }
    }
}

/// Pipelines by bucket; a single server takes all commands in one.
pub(super) struct Pipelines {
    clustered: bool,
    /// Whether commands are written down as they come.
    packed: bool,
    lanes: BTreeMap<u8, Lane>,
    wanted: usize,
    /// Commands of each that there is room for.
    room: usize,
}

struct Lane {
    commands: Commands,
    answers: Vec<Answer>,
}

impl Pipelines {
    /// Pipelines for about so many commands.
    pub(super) fn new(connection: &Connection, commands: usize) -> Self {
        let (clustered, packed) = (connection.is_cluster(), connection.is_direct());
        let room = if clustered { commands.div_ceil(BUCKETS) } else { commands };
        Self { clustered, packed, lanes: BTreeMap::new(), wanted: 0, room }
    }

    /// Adds a command on one key. Commands on the same key are carried out in the order in which they were added.
    pub(super) fn add(&mut self, bucket: u8, command: Cmd, answer: Answer) {
        self.lane(bucket, answer).commands.add(command);
    }

    /// The same of one of many commands that begin alike.
    pub(super) fn add_alike<const REST: usize>(
        &mut self,
        bucket: u8,
        alike: &Alike<REST>,
        rest: &[u8; REST],
        value: &[u8],
        answer: Answer,
    ) {
        self.lane(bucket, answer).commands.add_alike(alike, rest, value);
    }

    /// Where a bucket's next command belongs, with what becomes of its answer noted.
    fn lane(&mut self, bucket: u8, answer: Answer) -> &mut Lane {
        if let Some(place) = answer.place() {
            self.wanted = self.wanted.max(place + 1);
        }
        let (room, packed) = (self.room, self.packed);
        let lane = self.lanes.entry(if self.clustered { bucket } else { 0 });
        let lane = lane.or_insert_with(|| Lane::with_room(room, packed));
        lane.answers.push(answer);
        lane
    }

    /// Adds one read of all the keys of a bucket to the end of its pipeline; on a single server there is one of all. The
    /// answers' places begin at `first`: gives for each the places of its keys.
    pub(super) fn add_reads<N: AsRef<str>>(
        &mut self,
        keys: impl Iterator<Item = (u8, N)>,
        first: usize,
    ) -> Vec<Vec<usize>> {
        let mut reads: BTreeMap<u8, (Cmd, Vec<usize>)> = BTreeMap::new();
        for (place, (bucket, key)) in keys.enumerate() {
            let (command, places) = reads
                .entry(if self.clustered { bucket } else { 0 })
                .or_insert_with(|| (redis::cmd("MGET"), Vec::new()));
            command.arg(key.as_ref());
            places.push(place);
        }
        let mut all = Vec::with_capacity(reads.len());
        self.wanted = self.wanted.max(first);
        for (bucket, (command, places)) in reads {
            self.add(bucket, command, Answer::Wanted(first + all.len()));
            all.push(places);
        }
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Adds a command to the end of every pipeline, made for its bucket. Their answers come after all others: gives the
    /// place of the first.
    pub(super) fn add_to_each(&mut self, command: impl Fn(u8) -> Cmd) -> usize {
        let first = self.wanted;
        for (bucket, lane) in &mut self.lanes {
            lane.commands.add(command(*bucket));
            lane.answers.push(Answer::Wanted(self.wanted));
            self.wanted += 1;
        }
        first
    }

    /// Sends all pipelines side by side. Gives the wanted answers by their places, or the first failure.
    pub(super) async fn send(self, connection: &Connection) -> Result<Vec<Value>, Failure> {
        let mut sent = try_join_all(self.lanes.into_values().map(|lane| lane.send(connection))).await?;
        if let [(answers, values)] = &mut *sent
            && answers.iter().filter_map(Answer::place).eq(0..self.wanted)
        {
            // They stand in their places as they came.
            let mut answers = answers.iter();
            values.retain(|_| answers.next().is_some_and(|answer| answer.place().is_some()));
            return Ok(std::mem::take(values));
        }
        let mut placed = Vec::new();
        placed.resize_with(self.wanted, || Value::Nil);
        for (answers, values) in sent {
            for (answer, value) in answers.into_iter().zip(values) {
                if let Some(place) = answer.place() {
                    placed[place] = value;
                }
            }
        }
        Ok(placed)
    }
}

impl Lane {
    fn with_room(commands: usize, packed: bool) -> Self {
        let answers = Vec::with_capacity(commands);
        if packed {
            return Self { commands: Commands::Packed(Packed::with_room(commands * USUAL_BYTES)), answers };
        }
        let mut pipeline = Pipeline::with_capacity(commands);
        pipeline.ignore_errors();
        Self { commands: Commands::Each(pipeline), answers }
    }

    /// Gives what becomes of each answer, and the answers.
    async fn send(self, connection: &Connection) -> Result<(Vec<Answer>, Vec<Value>), Failure> {
        let mut answers = connection.send(&self.commands).await?;
        if first_error(&answers).is_some_and(|error| is_missing_script(&error)) {
            answers = self.send_with_scripts(connection).await?;
        }
        if let Some(error) = first_error(&answers) {
            return Err(connection.failure(error));
        }
        if answers.len() != self.answers.len() {
            return Err(not_understood());
        }
        Ok((self.answers, answers))
    }

    /// Sends everything again, the scripts first. What was carried out the first time does no harm the second.
    async fn send_with_scripts(&self, connection: &Connection) -> Result<Vec<Value>, Failure> {
        let scripts = load_scripts();
        let loads = scripts.len();
        let mut answers = connection.send(&self.commands.behind(scripts)).await?;
        if let Some(error) = first_error(&answers) {
            return Err(connection.failure(error));
        }
        Ok(answers.split_off(loads.min(answers.len())))
    }
}

/// What was read under each key, by its place, from the answers to [`Pipelines::add_reads`].
pub(super) fn read_places(
    reads: &[Vec<usize>],
    answers: Vec<Value>,
) -> Result<impl Iterator<Item = (usize, Value)>, Failure> {
    let mut all = Vec::with_capacity(reads.len());
    for (places, answer) in reads.iter().zip(answers) {
        let Value::Array(found) = answer else { return Err(not_understood()) };
        if found.len() != places.len() {
            return Err(not_understood());
        }
        all.push(places.iter().copied().zip(found));
    }
    Ok(all.into_iter().flatten())
}

/// The first error among the answers; a missing script counts before any other, because it is mended at once.
fn first_error(answers: &[Value]) -> Option<RedisError> {
    let mut errors = server_errors(answers);
    let first = errors.next()?;
    Some(if is_missing_script(&first) { first } else { errors.find(is_missing_script).unwrap_or(first) })
}

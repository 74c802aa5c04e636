//! The loop of a redrive: letter after letter, at its pace, each acknowledged before it counts.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::before::{Before, Standing};
use super::letters::{Letter, Taken};
use super::prepare::{Asked, Prepared, Verdict, prepare};
use super::tally::Tally;
use crate::config::Config;
use crate::edge::clock;
use crate::edge::kafka::producer::{Outgoing, SendError, Sink};
use crate::roles::progress::Progress;

/// How a redrive came to its end.
pub(super) enum Ending {
    /// The end of the range.
    Complete,
    /// As many as were asked for.
    Enough,
    /// Somebody stopped it.
    Stopped,
    Failed(anyhow::Error),
}

/// The most records, and bytes of them, that are sent in one go.
const MOST_AT_ONCE: usize = 256;
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What was missed while something was waited for is made up for within this.
const BURST: Duration = Duration::from_millis(100);

/// So many a second, without a burst worth the name after a wait.
pub(super) struct Pace {
    every: Duration,
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: u32) -> Self {
        Self { every: Duration::from_secs(1) / rate.max(1), next: None }
    }

    /// Takes a turn, or tells when there is one.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let next = self.next.unwrap_or(now);
        if next > now {
            return Err(next);
        }
        self.next = Some(next.max(now.checked_sub(BURST).unwrap_or(now)) + self.every);
        Ok(())
    }
}

/// What a redrive goes by, and what it did so far.
pub(super) struct Redriver<'a, K> {
    pub(super) config: &'a Config,
    pub(super) asked: Asked,
    pub(super) before: Before,
    /// Without one nothing is sent.
    pub(super) sink: Option<K>,
    pub(super) limit: u64,
    pub(super) pace: Pace,
    pub(super) progress: Progress,
    pub(super) tally: Tally,
    /// What is to go next.
    pub(super) batch: Vec<Going>,
}

/// A record that is to go, and where its letter stands.
pub(super) struct Going {
    prepared: Prepared,
    partition: i32,
    offset: i64,
}

impl<K: Sink> Redriver<'_, K> {
    pub(super) async fn redrive(&mut self, mut letters: Receiver<Taken>, stop: &CancellationToken) -> Ending {
        let ending = self.take_all(&mut letters, stop).await.unwrap_or_else(Ending::Failed);
        match (self.flush().await, ending) {
            (Ok(()), ending) => ending,
            // What failed first is told.
            (Err(_), ending @ Ending::Failed(_)) => ending,
            (Err(error), Ending::Complete | Ending::Enough | Ending::Stopped) => Ending::Failed(error),
        }
    }

    /// Takes letters to the end of the range. What is left in the batch is still to be sent.
    async fn take_all(&mut self, letters: &mut Receiver<Taken>, stop: &CancellationToken) -> anyhow::Result<Ending> {
        loop {
            if stop.is_cancelled() {
                return Ok(Ending::Stopped);
            }
            if self.tally.redriven() + self.batch.len() as u64 >= self.limit {
                return Ok(Ending::Enough);
            }
            let taken = match letters.try_recv() {
                Ok(taken) => Some(taken),
                Err(TryRecvError::Disconnected) => None,
                Err(TryRecvError::Empty) => {
                    // Nobody knows how long the next one takes.
                    self.flush().await?;
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return Ok(Ending::Stopped),
                        taken = letters.recv() => taken,
                    }
                }
            };
            match taken {
                Some(Taken::Letter(letter)) => {
                    if !self.take(&letter, stop).await? {
                        return Ok(Ending::Stopped);
                    }
                }
                Some(Taken::End(spans)) => {
                    self.tally.end(&spans);
                    return Ok(Ending::Complete);
                }
                Some(Taken::Failed(error)) => return Err(error),
                None => anyhow::bail!("the dead letters are no longer read: an error of this program"),
            }
        }
    }

    /// Takes one letter; `false` where somebody stopped it meanwhile.
    async fn take(&mut self, letter: &Letter, stop: &CancellationToken) -> anyhow::Result<bool> {
        let (topics, max_age) = (&self.config.kafka.topics, self.config.dispatch.max_command_age);
        match prepare(letter, &self.asked, topics, max_age, clock::now()) {
            Verdict::NotAskedFor => self.tally.not_asked_for(),
            Verdict::Refused { code, refusal } => self.tally.refused(code, refusal),
            Verdict::Goes(prepared) => {
                if self.before.must_read_for(prepared.name) {
                    self.progress.at(self.tally.offsets(), format!("reading {} first", topics.commands));
                }
                let standing = self.before.take(prepared.name, letter.at).await?;
                if stop.is_cancelled() {
                    return Ok(false);
                }
                match standing {
                    Standing::Before => self.tally.redriven_before(),
                    Standing::Repeated => self.tally.repeated(),
                    Standing::First if self.sink.is_none() => self.tally.went(prepared.group),
                    Standing::First if self.turn(stop).await? => {
                        let Letter { partition, offset, .. } = *letter;
                        self.batch.push(Going { prepared: *prepared, partition, offset });
                    }
                    Standing::First => return Ok(false),
                }
            }
        }
        self.tally.handled(letter.partition, letter.offset);
        self.progress.at(self.tally.offsets(), format!("{} redriven", self.tally.redriven()));
        if self.is_full() {
            self.flush().await?;
        }
        Ok(true)
    }

    /// Waits for a turn; `false` where somebody stopped it meanwhile. Nothing that is ready waits with it.
    async fn turn(&mut self, stop: &CancellationToken) -> anyhow::Result<bool> {
        while let Err(next) = self.pace.take(Instant::now()) {
            self.flush().await?;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                () = tokio::time::sleep_until(next) => {}
            }
        }
        Ok(true)
    }

    fn is_full(&self) -> bool {
        let bytes = |going: &Going| going.prepared.outgoing.payload.as_ref().map_or(0, Vec::len);
        self.batch.len() >= MOST_AT_ONCE || self.batch.iter().map(bytes).sum::<usize>() >= MOST_BYTES
    }

    /// Sends what is ready and awaits the acknowledgements.
    async fn flush(&mut self) -> anyhow::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let Some(sink) = self.sink.as_ref().filter(|_| !batch.is_empty()) else { return Ok(()) };
        let records: Vec<Outgoing> = batch.iter().map(|going| going.prepared.outgoing.clone()).collect();
        let sent = sink.send(&records).await;
        let unsent = sent.as_ref().err().map_or(&[][..], |error: &SendError| &error.unsent);
        for (place, going) in batch.into_iter().enumerate() {
            if unsent.contains(&place) {
                self.tally.unhandled(going.partition, going.offset);
            } else {
                self.tally.went(going.prepared.group);
            }
        }
        Ok(sent?)
    }
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;

//! The walk over a recording, line by line.

use std::io::Write;

use anyhow::{Context as _, bail};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::Seen;
use super::engine::{AHEAD, Coming, Engine, Taken};
use super::{BacktestArgs, output};
use crate::domain::ids::EventId;
use crate::domain::money::Rates;
use crate::domain::outcome::{RejectCode, Rejection};
use crate::domain::time::Timestamp;
use crate::edge::recording::Recording;
use crate::roles::progress::Progress;
use crate::wire::decision::{self, Whose};
use crate::wire::event::{self, Decoded};
use crate::wire::event_plain::{self, PlainEvent};
use crate::wire::whatif::BadLine;

/// A recording on its way through the engine.
pub(super) struct Reading {
    engine: Engine,
    recording: Recording,
    rates: Rates,
    sink: Sink,
    seen: Seen,
    tally: Counting,
    progress: Progress,
    memory: usize,
    /// How the recording was named.
    name: String,
}

/// Where decisions and complaints go.
struct Sink {
    decisions: Option<Box<dyn Write>>,
    buffer: Vec<u8>,
    strict: bool,
    quiet: bool,
}

/// How far it has come.
struct Counting {
    lines: u64,
    began: Instant,
    /// Times of the last events.
    recent: Vec<Timestamp>,
}

/// A line, read and not decided yet.
enum Line<'a> {
    Plain(Coming<'a>),
    /// Whatever is not written plainly.
    Other(Decoded),
}

/// After so many lines it looks up: at its memory, at the clock, and whether it is to stop.
const STRETCH: u64 = 4_096;
/// So many lines that cannot be processed are named one by one.
const NAMED: usize = 10;

impl Reading {
    pub(super) fn new(engine: Engine, rates: Rates, args: &BacktestArgs) -> anyhow::Result<Self> {
        let name = format!("--events {}", args.events.display());
        let recording = args.recording.open(&args.events).with_context(|| name.clone())?;
        let (_, size) = recording.progress();
        let unit = if size.is_some() { "bytes" } else { "events" };
        Ok(Self {
            engine,
            recording,
            rates,
            sink: Sink {
                decisions: args.decisions.as_deref().map(output).transpose()?,
                buffer: Vec::new(),
                strict: args.strict,
                quiet: args.quiet,
            },
            seen: Seen::default(),
            tally: Counting { lines: 0, began: Instant::now(), recent: Vec::new() },
            progress: Progress::new(size, unit, args.quiet),
            memory: args.memory.0,
            name,
        })
    }

    /// Reads to the end, or until it is told to stop.
    pub(super) fn read_all(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut look_up_at = 0;
        loop {
            if self.tally.lines >= look_up_at {
                if stop.is_cancelled() {
                    self.seen.partial = true;
                    break;
                }
                self.look_up();
                look_up_at = self.tally.lines + STRETCH;
            }
            if !self.read_ahead()? {
                break;
            }
            if self.sink.buffer.len() >= 1 << 16 {
                self.sink.flush()?;
            }
        }
        // A signal that came with the last lines must not be taken for their end.
        self.seen.partial |= stop.is_cancelled();
        self.sink.flush()?;
        if let Some(out) = &mut self.sink.decisions {
            out.flush().context("--decisions")?;
        }
        self.progress.end();
        Ok(())
    }

    /// Reads some lines, and then decides them one by one; `false` at the end.
    fn read_ahead(&mut self) -> anyhow::Result<bool> {
        let Self { engine, recording, rates, sink, seen, tally, progress, name, .. } = self;
        let lines = recording.next_lines(AHEAD).with_context(|| name.clone())?;
        let mut read = Vec::with_capacity(AHEAD);
        for (number, line) in lines.iter() {
            let line = match event_plain::read(line, rates) {
                Some(event) => Line::Plain(engine.coming(event)),
                None => Line::Other(event::decode(Some(line), rates)),
            };
            read.push((number, line));
        }
        engine.bring_near(read.iter().filter_map(|(_, line)| match line {
            Line::Plain(coming) => Some(coming),
            Line::Other(_) => None,
        }));
        for (number, line) in &read {
            tally.lines += 1;
            let bad = match line {
                Line::Plain(coming) => decide(engine, coming, *number, sink, seen, tally),
                Line::Other(Decoded::Event(event)) => {
                    let coming = engine.coming(PlainEvent::from(event));
                    decide(engine, &coming, *number, sink, seen, tally)
                }
                Line::Other(Decoded::UnknownType { .. }) => {
                    seen.unknown_types += 1;
                    None
                }
                Line::Other(Decoded::Rejected { rejection, id }) => Some((rejection.clone(), id.clone())),
            };
            if let Some((rejection, id)) = bad {
                sink.complain(*number, rejection, id.as_ref(), seen, progress)?;
            }
        }
        Ok(!read.is_empty())
    }

    fn look_up(&mut self) {
        let Counting { lines, began, recent } = &mut self.tally;
        if let Some(now) = median(recent) {
            self.engine.keep_within(self.memory, now);
        }
        recent.clear();
        let seconds = began.elapsed().as_secs().max(1);
        let says = format!("{} events, {} a second", self.seen.events, *lines / seconds);
        let (bytes, size) = self.recording.progress();
        self.progress.at(if size.is_some() { bytes } else { *lines }, says);
    }

    /// The engine, and what was seen.
    pub(super) fn end(self) -> (Engine, Seen) {
        (self.engine, self.seen)
    }
}

/// The time of the recording's stretch: its middle, which one event of another year cannot move.
fn median(times: &mut [Timestamp]) -> Option<Timestamp> {
    let middle = times.len() / 2;
    (!times.is_empty()).then(|| *times.select_nth_unstable(middle).1)
}

fn decide(
    engine: &mut Engine,
    coming: &Coming<'_>,
    number: u64,
    sink: &mut Sink,
    seen: &mut Seen,
    tally: &mut Counting,
) -> Option<(Rejection, Option<EventId>)> {
    let event = &coming.event;
    tally.recent.push(event.occurred_at);
    let whose = Whose { event: event.id, tenant: event.tenant, customer: event.customer };
    let (told, buffer) = (sink.decisions.is_some(), &mut sink.buffer);
    #[allow(clippy::cast_possible_truncation, reason = "a name of the line, unique enough among a customer's bets")]
    let taken = engine.take(coming, number as u32, |trigger, decision| {
        if told {
            decision::write_named(buffer, whose, trigger, decision);
        }
    });
    if let Taken::Unreadable(error) = taken {
        let rejection = Rejection { code: RejectCode::PreferencesUnavailable, error: error.to_owned() };
        return Some((rejection, EventId::new(event.id).ok()));
    }
    seen.events += 1;
    seen.from = Some(seen.from.map_or(event.occurred_at, |from| from.min(event.occurred_at)));
    seen.to = seen.to.max(Some(event.occurred_at));
    None
}

impl Sink {
    /// Counts a line that cannot be processed, and names it where it is one of the first.
    fn complain(
        &mut self,
        number: u64,
        rejection: Rejection,
        id: Option<&EventId>,
        seen: &mut Seen,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let code = rejection.code.name();
        if self.strict {
            progress.end();
            self.flush()?;
            bail!("line {number}: {code}: {}", rejection.error);
        }
        if self.decisions.is_some() {
            decision::write_rejected(&mut self.buffer, id, rejection.code);
        }
        *seen.rejected.entry(code).or_default() += 1;
        if seen.bad_lines.len() < NAMED {
            if !self.quiet {
                progress.say(&format!("line {number}: {code}: {}", rejection.error));
            }
            seen.bad_lines.push(BadLine { line: number, code, error: rejection.error });
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(out) = &mut self.decisions {
            out.write_all(&self.buffer).context("--decisions")?;
        }
        self.buffer.clear();
        Ok(())
    }
}

//! `stepup backtest`: decides over recorded events offline, by the rules that decide live.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::offline::{Line, Offline, Rules};
use super::walk::{Arrival, Tested};
use crate::domain::decide::Decision;
use crate::domain::trigger::Trigger;
use crate::edge::recording::Recording;
use crate::wire::decision;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  stepup backtest --events bets.ndjson.gz --preferences ./preferences --decisions -")]
pub struct BacktestArgs {
    /// The recording: NDJSON, plain, gzip or zstd; - is the standard input.
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// A directory of preferences documents, one <tenant_id>.json each.
    #[arg(long, value_name = "DIR")]
    preferences: PathBuf,
    /// Where to write every decision as NDJSON; - is the standard output.
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Take cool-downs, rates and window limits from this configuration instead of the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write no summary.
    #[arg(long)]
    quiet: bool,
}

/// Lines that are decided in one go.
const BATCH: usize = 4_096;

pub async fn run(args: BacktestArgs) -> anyhow::Result<()> {
    let rules = Rules::read(args.config.as_deref())?;
    let mut offline = Offline::new(rules, &args.preferences)?;
    let events = &args.events;
    let mut recording = Recording::open(events).with_context(|| format!("--events {}", events.display()))?;
    let mut out = args.decisions.as_deref().map(output).transpose()?;
    let mut summary = Summary::default();
    let mut batch = Lines::default();
    loop {
        let line = recording.next_line().with_context(|| format!("--events {}", events.display()))?;
        let ended = line.is_none();
        if let Some((number, line)) = line {
            batch.push(number, offline.read(line));
        }
        if ended || batch.lines.len() >= BATCH {
            let (_, tested) = offline.decide(&batch.arrivals).await?;
            summary.add(&batch, &tested, args.quiet)?;
            if let Some(out) = &mut out {
                batch.write(&tested, out)?;
            }
            batch = Lines::default();
        }
        if ended {
            break;
        }
    }
    if let Some(mut out) = out {
        out.flush().context("--decisions")?;
    }
    if !args.quiet {
        // Data goes to the standard output; where decisions are the data, the summary is for people.
        let to_stdout = args.decisions.as_deref() != Some(Path::new("-"));
        let text = summary.to_string();
        if to_stdout { io::stdout().write_all(text.as_bytes())? } else { io::stderr().write_all(text.as_bytes())? }
    }
    Ok(())
}

fn output(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufWriter::with_capacity(1 << 16, io::stdout())));
    }
    let file = File::create(path).with_context(|| format!("--decisions {}", path.display()))?;
    Ok(Box::new(BufWriter::with_capacity(1 << 16, file)))
}

/// The lines of a batch, and the arrivals among them.
#[derive(Default)]
struct Lines {
    arrivals: Vec<Arrival>,
    lines: Vec<Kept>,
}

enum Kept {
    /// The place of its arrival.
    Event(usize),
    UnknownType,
    Rejected {
        number: u64,
        line: Box<Line>,
    },
}

impl Lines {
    fn push(&mut self, number: u64, line: Line) {
        let kept = match line {
            Line::Event(arrival) => {
                self.arrivals.push(*arrival);
                Kept::Event(self.arrivals.len() - 1)
            }
            Line::UnknownType => Kept::UnknownType,
            rejected @ Line::Rejected { .. } => Kept::Rejected { number, line: Box::new(rejected) },
        };
        self.lines.push(kept);
    }

    /// One line for each decision, in the order of the recording.
    fn write(&self, tested: &[Tested], out: &mut dyn Write) -> anyhow::Result<()> {
        let mut text = Vec::with_capacity(256 * self.lines.len());
        let mut tested = tested.iter().peekable();
        for kept in &self.lines {
            match kept {
                Kept::Event(place) => {
                    while let Some(one) = tested.next_if(|one| one.event == *place) {
                        decision::write(&mut text, &self.arrivals[*place].event, one.trigger, &one.decision);
                    }
                }
                Kept::UnknownType => {}
                Kept::Rejected { line, .. } => {
                    if let Line::Rejected { rejection, id } = line.as_ref() {
                        decision::write_rejected(&mut text, id.as_ref(), rejection.code);
                    }
                }
            }
        }
        out.write_all(&text).context("--decisions")
    }
}

#[derive(Default)]
struct Summary {
    events: u64,
    unknown_types: u64,
    rejected: BTreeMap<&'static str, u64>,
    decisions: BTreeMap<Trigger, BTreeMap<&'static str, u64>>,
    named: u32,
}

/// So many lines that cannot be read are named one by one.
const NAMED: u32 = 10;

impl Summary {
    fn add(&mut self, batch: &Lines, tested: &[Tested], quiet: bool) -> io::Result<()> {
        for kept in &batch.lines {
            match kept {
                Kept::Event(_) => self.events += 1,
                Kept::UnknownType => self.unknown_types += 1,
                Kept::Rejected { number, line } => {
                    let Line::Rejected { rejection, .. } = line.as_ref() else { continue };
                    *self.rejected.entry(rejection.code.name()).or_default() += 1;
                    self.named += 1;
                    if !quiet && self.named <= NAMED {
                        writeln!(io::stderr(), "line {number}: {}: {}", rejection.code.name(), rejection.error)?;
                    }
                }
            }
        }
        for one in tested {
            *self.decisions.entry(one.trigger).or_default().entry(one.decision.name()).or_default() += 1;
        }
        Ok(())
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rejected: u64 = self.rejected.values().sum();
        writeln!(f, "{} events decided, {} of unknown type, {rejected} rejected", self.events, self.unknown_types)?;
        for (code, count) in &self.rejected {
            writeln!(f, "  rejected  {code:<24} {count:>12}")?;
        }
        for (trigger, decisions) in &self.decisions {
            writeln!(f, "{trigger}")?;
            for name in Decision::NAMES {
                if let Some(count) = decisions.get(name) {
                    writeln!(f, "  {name:<24} {count:>12}")?;
                }
            }
        }
        Ok(())
    }
}

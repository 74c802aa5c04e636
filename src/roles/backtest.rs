//! `stepup backtest`: decides over recorded events offline, by the rules that decide live, and tells whom it interrupts:
//! under the preferences as they are, under others side by side, or under every step of one bound.

mod answer;
mod customers;
mod engine;
mod page;
mod reading;
mod size;
mod sweep;
mod tables;
mod tally;
mod worlds;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;

use self::answer::{Question, answer};
use self::engine::Engine;
use self::reading::Reading;
use self::size::Size;
use self::sweep::Sweep;
use self::worlds::{Change, World};
use super::offline::{Document, Rules, check_directory, read_document};
use super::recording_args::RecordingArgs;
use super::report::Page;
use super::terminal::Terminal;
use crate::domain::ids::{InvalidId, TenantId};
use crate::domain::money::Amount;
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::wire::preferences_update::spell_out;
use crate::wire::session_api::InvalidRequest;
use crate::wire::whatif::{self, Answer};

const EXAMPLES: &str = "Examples:
  stepup backtest --events bets.ndjson.gz --preferences ./preferences \\
      --decisions -
  stepup backtest --events bets.ndjson.gz --preferences ./preferences \\
      --change '{\"deposit\":{\"threshold\":250}}'
  stepup backtest --events bets.ndjson.gz --preferences ./preferences \\
      --sweep deposit.threshold=100..2000:100";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BacktestArgs {
    /// The recording: NDJSON or CSV, plain, gzip or zstd; - is the standard input.
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    #[command(flatten)]
    recording: RecordingArgs,
    /// A directory of preferences documents, one <tenant_id>.json each.
    #[arg(long, value_name = "DIR")]
    preferences: PathBuf,
    /// Other preferences to compare with, in one pass: whom would they interrupt?
    #[arg(long, value_name = "DIR", conflicts_with_all = ["change", "sweep"])]
    against: Option<PathBuf>,
    /// Compare with every tenant's document after this partial update, like '{"deposit":{"threshold":250}}'.
    #[arg(long, value_name = "JSON", value_parser = update)]
    change: Option<Update>,
    /// Change this tenant's document only.
    #[arg(long, value_name = "TENANT", requires = "change", value_parser = tenant)]
    change_tenant: Option<TenantId>,
    /// Take one bound through a range, all steps in one pass, like deposit.threshold=100..2000:100.
    #[arg(long, value_name = "TERM=FROM..TO:STEP")]
    sweep: Option<Sweep>,
    /// Where to write every decision as NDJSON; - is the standard output.
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// What one session costs; tells the cost of all.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    cost_per_session: Option<Amount>,
    /// Answer as one JSON object.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Answer as CSV: a row for each trigger, or for each step of a sweep.
    #[arg(long)]
    csv: bool,
    /// Write the answer as a self-contained HTML page, too.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Take cool-downs, rates and window limits from this configuration instead of the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How much memory customers may take. Beyond that what is dead in event time goes first, and then the oldest.
    #[arg(long, value_name = "SIZE", default_value = "2GiB", allow_negative_numbers = true)]
    memory: Size,
    /// Stop at the first line that cannot be processed.
    #[arg(long)]
    strict: bool,
    /// Write no summary and no progress.
    #[arg(long)]
    quiet: bool,
}

/// A partial update, spelled out in the documents' form.
#[derive(Debug, Clone)]
struct Update(Arc<[u8]>);

fn update(text: &str) -> Result<Update, InvalidRequest> {
    spell_out(text.as_bytes()).map(|bytes| Update(bytes.into()))
}

fn tenant(text: &str) -> Result<TenantId, InvalidId> {
    TenantId::new(text)
}

impl BacktestArgs {
    /// What the options do not allow together.
    ///
    /// # Errors
    /// One line for whoever typed them.
    pub fn check(&self) -> Result<(), String> {
        if to_stdout(&self.decisions) && (self.json || self.csv) {
            let other = if self.json { "json" } else { "csv" };
            return Err(format!("--decisions - and --{other} both go to the standard output: give one a file"));
        }
        Ok(())
    }
}

/// Decides the whole recording, or as much as is read until it is told to stop: then the answer is partial, and the end
/// is an error.
pub fn run(args: BacktestArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let rules = Rules::read(args.config.as_deref())?;
    let compared = args.against.is_some() || (args.change.is_some() && args.sweep.is_none());
    let engine = Engine::new(worlds(&args)?, compared, &rules);
    let mut reading = Reading::new(engine, rules.evaluate.rates, &args)?;
    reading.read_all(stop)?;
    let (mut engine, seen) = reading.end();
    engine.finish();
    let partial = seen.partial;
    let course = course(&engine, compared);
    let others = if args.against.is_some() { "--against" } else { "--change" };
    let question = Question { sweep: args.sweep.as_ref(), cost_per_session: args.cost_per_session, compared, others };
    let answer = answer(engine, seen, &question);
    let page = page::page(&answer, page::About { lead: lead(&args, &answer), footer: footer(&args), course });
    tell(&args, &answer, &page)?;
    if let Some(path) = &args.report {
        std::fs::write(path, page.render()).with_context(|| format!("--report {}", path.display()))?;
    }
    if partial {
        bail!("stopped before the end of the recording: the answer is partial");
    }
    Ok(())
}

/// The sets of preferences that are decided side by side, the one in force first.
fn worlds(args: &BacktestArgs) -> anyhow::Result<Vec<World>> {
    check_directory("--preferences", &args.preferences)?;
    let base = World { directory: args.preferences.clone(), changes: Vec::new() };
    let change =
        args.change.as_ref().map(|Update(update)| Change { update: update.clone(), only: args.change_tenant.clone() });
    if let Some(only) = &args.change_tenant
        && let Document::Missing = read_document(&args.preferences, only)
    {
        bail!("--change-tenant {only}: --preferences {} has no document of that tenant", args.preferences.display());
    }
    let changed = World { changes: change.iter().cloned().collect(), ..base.clone() };
    if let Some(sweep) = &args.sweep {
        let step = |value: &String| {
            let update = sweep.update(value).into_bytes().into();
            let mut world = changed.clone();
            world.changes.push(Change { update, only: args.change_tenant.clone() });
            world
        };
        return Ok(std::iter::once(changed.clone()).chain(sweep.values.iter().map(step)).collect());
    }
    if let Some(directory) = &args.against {
        check_directory("--against", directory)?;
        return Ok(vec![base, World { directory: directory.clone(), changes: Vec::new() }]);
    }
    Ok(if change.is_some() { vec![base, changed] } else { vec![base] })
}

/// Sessions by minute, of the preferences and of those that they are compared with.
fn course(engine: &Engine, compared: bool) -> Vec<(&'static str, Vec<(Timestamp, u64)>)> {
    let names = [(0, if compared { "as it is" } else { "sessions" }), (1, "the other")];
    let of = |(world, name): &(usize, &'static str)| {
        let slots: Vec<usize> = engine.counts.slots.of(*world, None).map(|(place, _)| place).collect();
        engine.counts.minutes.course(&slots).map(|minutes| (*name, minutes))
    };
    names[..if compared { 2 } else { 1 }].iter().filter_map(of).collect()
}

/// Writes the answer where it belongs. Data goes to the standard output; where decisions are the data, the summary is for
/// people.
fn tell(args: &BacktestArgs, answer: &Answer, page: &Page) -> anyhow::Result<()> {
    if args.json {
        return Ok(io::stdout().write_all(&whatif::encode(answer)?)?);
    }
    if args.csv {
        return Ok(io::stdout().write_all(&tables::csv(answer)?)?);
    }
    if args.quiet {
        return Ok(());
    }
    if to_stdout(&args.decisions) {
        io::stderr().write_all(page.text_on(Terminal::stderr()).as_bytes())?;
    } else {
        io::stdout().write_all(page.text_on(Terminal::stdout()).as_bytes())?;
    }
    Ok(())
}

fn to_stdout(path: &Option<PathBuf>) -> bool {
    path.as_deref() == Some(Path::new("-"))
}

fn lead(args: &BacktestArgs, answer: &Answer) -> String {
    let what = match (&args.against, &args.change, &args.sweep) {
        (Some(against), _, _) => format!("{} against {}", args.preferences.display(), against.display()),
        (None, _, Some(sweep)) => format!(
            "{} with {} from {} to {}",
            args.preferences.display(),
            sweep.term,
            sweep.values.first().map_or("", String::as_str),
            sweep.values.last().map_or("", String::as_str)
        ),
        (None, Some(Update(update)), None) => {
            format!("{} against the same with {}", args.preferences.display(), String::from_utf8_lossy(update))
        }
        (None, None, None) => args.preferences.display().to_string(),
    };
    let span = answer.from.as_ref().zip(answer.to.as_ref());
    let span = span.map(|(from, to)| format!(", from {from} to {to}")).unwrap_or_default();
    format!("The events of {}{span}, decided under {what}.", args.events.display())
}

fn footer(args: &BacktestArgs) -> String {
    let rules = args.config.as_ref().map(|path| format!(", rules of {}", path.display())).unwrap_or_default();
    format!(
        "stepup {} backtest, {}{rules}. Customers are told apart by a 128-bit hash of tenant and name, and counted one by \
         one; a prompt is a session: an event that comes again makes none.",
        env!("CARGO_PKG_VERSION"),
        clock::now(),
    )
}

fn output(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufWriter::with_capacity(1 << 16, io::stdout())));
    }
    let file = File::create(path).with_context(|| format!("--decisions {}", path.display()))?;
    Ok(Box::new(BufWriter::with_capacity(1 << 16, file)))
}

//! `stepup audit`: given what went in and what came out, proves the promises, or names the first one that is broken.

mod auditor;
mod causes;
mod checks;
mod course;
mod customers;
mod decide;
mod effects;
mod findings;
mod ledger;
mod names;
mod read;
mod sessions;
mod tell;
mod walk;
mod windows;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;

use self::auditor::{Auditor, Drained, Terms};
use self::read::{Read, Topics};
use self::windows::Sample;
use super::offline::check_directory;
use super::pause;
use super::place::Place;
use super::progress::Progress;
use super::terminal::Terminal;
use crate::config::{Config, Source};
use crate::edge::{clock, session_list};
use crate::wire::audit::{self as wire, ListedSession, Report};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stepup audit --config stepup.yaml
  stepup audit --config stepup.yaml --from -1h --preferences old --json
  stepup audit --config stepup.yaml --expect-drained --windows \\
    --sessions http://127.0.0.1:8081

The topics of the configuration are read as they are now: nothing is committed, and no partition is taken from anybody. \
Exit status: 0 where every promise is kept, 1 where one is broken or not all could be read, 2 for bad usage.

Memory: an event costs nothing; a command about 400 bytes, an outcome 350, a dead letter 300; a customer with bets or \
commands 250, and 40 for each bet that its window keeps. A million events with 100,000 customers and as many commands take \
about 200 MB.

What live decided by the clock, by preferences that were changed, or by events before the range cannot be decided again: \
it is counted as undecided, by reason, and is no violation. A document without updated_at counts as changed when its file \
was modified.")]
pub struct AuditArgs {
    /// The configuration of the processors, a YAML file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The preferences that decided, one <tenant_id>.json each; without it those of the configuration, where they are a
    /// directory. Without either, what should have been commanded is not checked.
    #[arg(long, value_name = "DIR")]
    preferences: Option<PathBuf>,
    /// Where the activity begins: earliest, a time like 2026-03-01T12:00:00Z, a time before now like -1h, or offsets by
    /// partition like 0:1500,1:320.
    #[arg(long, value_name = "PLACE", default_value = "earliest", value_parser = Place::from, allow_hyphen_values = true)]
    from: Place,
    /// Where it ends, this not included: latest, a time, a time before now, or offsets by partition.
    #[arg(long, value_name = "PLACE", default_value = "latest", value_parser = Place::to, allow_hyphen_values = true)]
    to: Place,
    /// The sessions that were made: the URL of the simulator of the session API, or a file with what its /sim/sessions
    /// page says, or one session a line.
    #[arg(long, value_name = "URL_OR_FILE")]
    sessions: Option<String>,
    /// Compare windows in Redis with what the events say.
    #[arg(long)]
    windows: bool,
    /// Compare the windows of so many customers, chosen by their hash.
    #[arg(long, value_name = "N", default_value_t = 2_000, requires = "windows")]
    customers: usize,
    /// Nothing more is to come: what is not there yet is missing.
    #[arg(long)]
    expect_drained: bool,
    /// Answer as one JSON object.
    #[arg(long)]
    json: bool,
    /// Show no progress, and no table where nothing is wrong.
    #[arg(long)]
    quiet: bool,
}

impl AuditArgs {
    /// The configuration's file.
    pub fn config(&self) -> &Path {
        &self.config
    }
}

/// Audits, and writes the answer. An error is the first violation, or why there is no answer.
pub async fn run(args: AuditArgs, config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let report = audit(&args, config, stop).await?;
    let mut out = std::io::stdout();
    if args.json {
        out.write_all(&wire::encode(&report)?)?;
    } else if !(args.quiet && report.ok) {
        out.write_all(tell::text(&report, Terminal::stdout()).as_bytes())?;
    }
    match tell::first(&report) {
        Some(first) => bail!("{first}"),
        None if report.incomplete => bail!("stopped before everything was read: the audit is incomplete"),
        None => Ok(()),
    }
}

async fn audit(args: &AuditArgs, config: Config, stop: CancellationToken) -> anyhow::Result<Report> {
    let mut auditor = Auditor::new(terms(args, &config)?);
    let store = if args.windows { Some(pause::store(&config).context("--windows")?) } else { None };
    auditor.sample = args.windows.then(|| Sample::of(args.customers));
    let progress = Progress::new(None, "records", args.quiet || args.json);
    let now = clock::now();
    let (from, to) = (args.from.bound(now), args.to.bound(now));
    // The Kafka client blocks whoever waits for a record.
    let reading = tokio::task::spawn_blocking(move || {
        let topics = Topics { config: &config, from, to, stop: &stop, progress: &progress };
        let read = topics.read(&mut auditor);
        progress.end();
        read.map(|read| (auditor, read))
    });
    let (mut auditor, read) = reading.await.context("reading failed")??;
    if read == Read::Stopped {
        return Ok(auditor.report(true));
    }
    auditor.finish();
    let listed = match &args.sessions {
        Some(place) => Some(sessions(place).await.context("--sessions")?),
        None => None,
    };
    auditor.compare_sessions(listed.as_deref());
    match store {
        Some(store) => auditor.compare_windows(&store).await.context("--windows")?,
        None => auditor.skip_windows(),
    }
    Ok(auditor.report(false))
}

fn terms(args: &AuditArgs, config: &Config) -> anyhow::Result<Terms> {
    let configured = match &config.preferences.source {
        Source::Directory { path } => Some(path.clone()),
        Source::Http { .. } => None,
    };
    let preferences = args.preferences.clone().or(configured);
    if let Some(directory) = &preferences {
        check_directory("--preferences", directory)?;
    }
    Ok(Terms {
        evaluate: config.evaluate.clone(),
        windows: config.windows.clone(),
        topics: config.kafka.topics.clone(),
        start: config.kafka.start,
        preferences_ttl: config.preferences.ttl,
        max_command_age: config.dispatch.max_command_age,
        preferences,
        documents: (&config.preferences.source).into(),
        drained: if args.expect_drained { Drained::Expected } else { Drained::NotYet },
        now: clock::now(),
    })
}

async fn sessions(place: &str) -> anyhow::Result<Vec<ListedSession>> {
    if place.starts_with("http://") || place.starts_with("https://") {
        return Ok(session_list::list(place).await?);
    }
    let text = std::fs::read_to_string(place).with_context(|| place.to_owned())?;
    wire::decode_sessions(&text).with_context(|| format!("{place} is no list of sessions"))
}

#[cfg(test)]
#[path = "audit/audit_tests.rs"]
mod tests;

//! `stepup record`: a range of a topic, or another recording, to a file; with the names of people replaced on request.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use indicatif::HumanBytes;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::recording_args::RecordingArgs;
use super::whole::at_least;
use crate::config::Config;
use crate::domain::ids::TenantId;
use crate::edge::recording::{CreateError, Existing, LONGEST_LINE, RecordingWriter};
use crate::wire::pseudonym::{Attributes, Pseudonyms, TenantNames};

mod input;
mod lines;
mod summary;
use super::place::Place;
use input::{Input, Origin, Taken};
use lines::{Lines, Made};
use summary::{Ending, Recorded, Summary};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stepup record --config stepup.yaml --from -1h --out lately.ndjson.zst
  stepup record --config stepup.yaml --topic activity --from 0:1500,1:320 \\
      --events 10000 --out some.ndjson
  stepup record --config stepup.yaml --pseudonymise record.key \\
      --out shared.ndjson.gz
  stepup record --recording bets.ndjson.gz --pseudonymise record.key \\
      --out shared.ndjson.gz

The end of the range is fixed when it begins. Nothing is committed, and no partition is taken from anybody.")]
pub struct RecordArgs {
    /// The configuration, a YAML file; its kafka section says where to read.
    #[arg(long, value_name = "FILE", required_unless_present = "recording")]
    config: Option<PathBuf>,
    /// The topic to record, once or more; without it the configuration's activity topics.
    #[arg(long, value_name = "TOPIC", conflicts_with = "recording")]
    topic: Vec<String>,
    /// Where to begin: earliest, a time like 2026-03-01T12:00:00Z, a time before now like -1h, or offsets by partition
    /// like 0:1500,1:320, which leaves out the partitions that are not named.
    #[arg(long, value_name = "PLACE", default_value = "earliest", value_parser = Place::from, allow_hyphen_values = true)]
    #[arg(conflicts_with = "recording")]
    from: Place,
    /// Where to end, this not included: latest, a time, a time before now, or offsets by partition.
    #[arg(long, value_name = "PLACE", default_value = "latest", value_parser = Place::to, allow_hyphen_values = true)]
    #[arg(conflicts_with = "recording")]
    to: Place,
    /// Record no more than so many events.
    #[arg(long, value_name = "N", value_parser = at_least::<0>, allow_negative_numbers = true)]
    events: Option<u64>,
    /// Where to write: .gz is gzip, .zst is zstd, anything else is plain; - is the standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    force: bool,
    /// Take this recording instead of a topic; - is the standard input.
    #[arg(long, value_name = "FILE")]
    recording: Option<PathBuf>,
    #[command(flatten)]
    format: RecordingArgs,
    /// Replace customers, devices, events and transactions by hashes under the key in this file, and leave out
    /// attributes and unknown fields.
    #[arg(long, value_name = "KEY_FILE")]
    pseudonymise: Option<PathBuf>,
    /// Replace the names of tenants as well.
    #[arg(long, requires = "pseudonymise")]
    pseudonymise_tenants: bool,
    /// Keep the attributes as they are, whatever stands in them.
    #[arg(long, requires = "pseudonymise")]
    keep_attributes: bool,
    /// Record the events of this tenant only.
    #[arg(long, value_name = "TENANT", value_parser = tenant)]
    tenant: Option<TenantId>,
    /// Stop at the first record that cannot be a line of a recording, and leave no file.
    #[arg(long)]
    strict: bool,
    /// Show no progress and no summary, only what is not in the recording.
    #[arg(long)]
    quiet: bool,
}

fn tenant(text: &str) -> Result<TenantId, String> {
    TenantId::new(text).map_err(|error| error.to_string())
}

impl RecordArgs {
    /// The configuration that is needed, if any.
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// What the options do not allow together.
    ///
    /// # Errors
    /// One line for whoever typed them.
    pub fn check(&self) -> Result<(), String> {
        if self.format.is_table() && self.recording.is_none() {
            return Err("--columns: is for a recording that is read with --recording".to_owned());
        }
        Ok(())
    }
}

/// Records until the end of the range or until `stop` is cancelled. What was recorded until then, or until the brokers
/// went away, is a recording in order.
pub async fn run(args: RecordArgs, config: Option<Config>, stop: CancellationToken) -> anyhow::Result<()> {
    // The Kafka client blocks whoever waits for a record.
    let recording = tokio::task::spawn_blocking(move || record(&args, config.as_ref(), &stop));
    recording.await.context("recording failed")?
}

fn record(args: &RecordArgs, config: Option<&Config>, stop: &CancellationToken) -> anyhow::Result<()> {
    let lines = Lines { pseudonyms: pseudonyms(args)?, tenant: args.tenant.clone() };
    let writer = create(args)?;
    let mut input = Input::open(args, config)?;
    let progress = Progress::new(input.progress().1, input.unit(), args.quiet);
    let mut recorder = Recorder { args, lines, writer, summary: Summary::default(), progress };
    let ending = recorder.copy(&mut input, stop)?;
    let Recorder { lines, writer, summary, progress, .. } = recorder;
    progress.end();
    let (records, bytes) = writer.written();
    let size = writer.finish().with_context(|| format!("--out {}", args.out.display()))?;
    let recorded = Recorded { out: &args.out, records, bytes, size, ending: &ending, spans: input.spans() };
    let text = summary.text(&recorded, lines.pseudonyms.as_ref(), args.quiet);
    std::io::stderr().write_all(text.as_bytes())?;
    match ending {
        Ending::Complete | Ending::Enough | Ending::Stopped => Ok(()),
        Ending::Broken(error) => Err(error.context("the recording is not complete")),
    }
}

fn pseudonyms(args: &RecordArgs) -> anyhow::Result<Option<Pseudonyms>> {
    let Some(path) = &args.pseudonymise else { return Ok(None) };
    let attributes = if args.keep_attributes { Attributes::Kept } else { Attributes::Dropped };
    let tenant_names = if args.pseudonymise_tenants { TenantNames::Hashed } else { TenantNames::Kept };
    Ok(Some(Pseudonyms::new(lines::key(path)?, attributes, tenant_names)))
}

fn create(args: &RecordArgs) -> anyhow::Result<RecordingWriter> {
    let existing = if args.force { Existing::Replaced } else { Existing::Kept };
    let out = args.out.display();
    RecordingWriter::create(&args.out, existing).map_err(|error| match error {
        CreateError::Exists => anyhow!("--out {out}: the file exists already; --force replaces it"),
        CreateError::Io(error) => anyhow::Error::new(error).context(format!("--out {out}")),
    })
}

/// Progress is shown once in so many records.
const SHOWN_EVERY: u64 = 512;

/// What a recording is made with.
struct Recorder<'a> {
    args: &'a RecordArgs,
    lines: Lines,
    writer: RecordingWriter,
    summary: Summary,
    progress: Progress,
}

impl Recorder<'_> {
    /// Takes payload after payload. An error of what is read ends the recording, an error of what is written undoes it.
    fn copy(&mut self, input: &mut Input, stop: &CancellationToken) -> anyhow::Result<Ending> {
        let mut line = Vec::new();
        for taken in 1_u64.. {
            let (lines, bytes) = self.writer.written();
            if stop.is_cancelled() {
                return Ok(Ending::Stopped);
            }
            if self.args.events.is_some_and(|most| lines >= most) {
                return Ok(Ending::Enough);
            }
            if taken % SHOWN_EVERY == 0 {
                self.progress.at(input.progress().0, HumanBytes(bytes).to_string());
            }
            let (origin, made) = match input.next() {
                Ok(Taken::Payload { origin, at, payload }) => {
                    line.clear();
                    let made = self.lines.make(&mut line, payload);
                    if made == Made::Line {
                        self.writer.line(&line).with_context(|| format!("--out {}", self.args.out.display()))?;
                        self.summary.recorded(at);
                    }
                    (origin, made)
                }
                Ok(Taken::Cut { origin }) => (origin, too_long()),
                Ok(Taken::Waiting) => continue,
                Ok(Taken::End) => return Ok(Ending::Complete),
                Err(error) => return Ok(Ending::Broken(error)),
            };
            self.note(&origin, made)?;
        }
        Ok(Ending::Complete)
    }

    /// Counts what is no line, and names the first ones.
    fn note(&mut self, origin: &Origin, made: Made) -> anyhow::Result<()> {
        match made {
            Made::Line => {}
            Made::OtherTenant => self.summary.other_tenant(),
            Made::Skipped { reason, .. } if self.args.strict => bail!("{origin}: {reason}; nothing is kept (--strict)"),
            Made::Skipped { code, reason } => {
                if self.summary.skip(code) {
                    self.progress.say(&format!("{origin}: {code}: {reason}"));
                }
            }
        }
        Ok(())
    }
}

fn too_long() -> Made {
    Made::Skipped { code: "too_large", reason: format!("the line is longer than {LONGEST_LINE} bytes") }
}

//! `stepup redrive`: dead letters back to where they came from.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::place::Place;
use super::progress::Progress;
use super::whole::at_least;
use super::wiring;
use crate::config::Config;
use crate::domain::decide::AgeLimit;
use crate::domain::ids::{InvalidId, TenantId};
use crate::domain::outcome::RejectCode;
use crate::domain::redrive::Force;
use crate::edge::kafka::producer::Producer;
use crate::wire::dead_letter::Stage;
use crate::wire::redrive;

mod before;
mod letters;
mod prepare;
mod send;
mod tally;
use before::Before;
use letters::Letters;
use prepare::Asked;
use send::{Ending, Pace, Redriver};
use tally::Tally;

#[derive(Args, Debug)]
#[command(
    after_help = "An event goes back to its activity topic with the bytes and the key that it came with. It is decided anew; what \
                  follows from it bears the same ids as before, so it counts once in its window and causes one command. It may \
                  be too old by now (evaluate.max_event_age); --ignore-age exempts it.\n\n\
                  A command that was rejected or expired comes to the commands topic as a new one, with dispatch.max_command_age \
                  before it and the old one's id in redrive_of. A command that takes up another has one id whenever it is made, \
                  and is not sent again while it stands on the commands topic: to run this twice is safe. What was \
                  redriven and failed again is another dead letter, and can be redriven in turn.\n\n\
                  Two things to know of --ignore-age: what it sends twice, more than an hour apart, may ask a customer twice, \
                  for outcomes are remembered for an hour; choose with --from and --to. And an event of old is in cool-down \
                  where its customer was asked after it.\n\n\
                  Codes that a second try can mend: unknown_currency, timestamp_in_future, preferences_unavailable, \
                  store_unavailable, rejected, expired. The others (too_large, invalid_json, missing_field, invalid_field) end the same, and are refused \
                  without --force. Refused with --force too: what came from a topic that this configuration does not read, and \
                  what brokers took the beginning of only.\n\n\
                  Dead letters stay on their topic, whatever becomes of them here.\n\n\
                  Examples:\n  stepup redrive --config stepup.yaml --dry-run\n  \
                  stepup redrive --config stepup.yaml --code expired --tenant acme --from -2h\n  \
                  stepup redrive --config stepup.yaml --code unknown_currency \\\n      \
                  --ignore-age --rate 500"
)]
pub struct RedriveArgs {
    /// The configuration of the processors whose dead letters they are.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only dead letters of this code, once or more.
    #[arg(long, value_name = "CODE", value_parser = code)]
    code: Vec<RejectCode>,
    /// Only those of this tenant.
    #[arg(long, value_name = "TENANT", value_parser = TenantId::new as fn(&str) -> Result<TenantId, InvalidId>)]
    tenant: Option<TenantId>,
    /// Only those that evaluate (events) or dispatch (commands) gave up.
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    stage: Option<Stage>,
    /// Where on the dead-letter topic to begin: earliest, a time like 2026-03-01T12:00:00Z, a time before now like -1h, or
    /// offsets by partition like 0:1500,1:320, which leaves out the partitions that are not named.
    #[arg(long, value_name = "PLACE", default_value = "earliest", value_parser = Place::from, allow_hyphen_values = true)]
    from: Place,
    /// Where to end, this not included: latest, a time, a time before now, or offsets by partition.
    #[arg(long, value_name = "PLACE", default_value = "latest", value_parser = Place::to, allow_hyphen_values = true)]
    to: Place,
    /// Send no more than so many.
    #[arg(long, value_name = "N", value_parser = at_least::<1>, allow_negative_numbers = true)]
    limit: Option<u64>,
    /// Send so many a second at the most: 1 to 10000.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    #[arg(allow_negative_numbers = true)]
    rate: u32,
    /// Send nothing, and tell what would go.
    #[arg(long)]
    dry_run: bool,
    /// Send those too that will end the same, with the bytes that they came with.
    #[arg(long)]
    force: bool,
    /// Have events decided however old they are.
    #[arg(long)]
    ignore_age: bool,
    /// Tell what was done as one JSON object.
    #[arg(long)]
    json: bool,
    /// Show no progress and no summary, only what was refused.
    #[arg(long)]
    quiet: bool,
}

fn code(text: &str) -> Result<RejectCode, String> {
    one_of(RejectCode::ALL, RejectCode::name, text)
}

fn stage(text: &str) -> Result<Stage, String> {
    one_of(Stage::ALL, Stage::name, text)
}

fn one_of<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    let names = || all.iter().map(|known| name(*known)).collect::<Vec<_>>().join(", ");
    all.iter().copied().find(|known| name(*known) == text).ok_or_else(|| format!("must be one of: {}", names()))
}

impl RedriveArgs {
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// What of the command line contradicts itself, if anything.
    pub fn check(&self) -> Result<(), String> {
        if self.ignore_age && self.stage == Some(Stage::Dispatch) {
            return Err(
                "--ignore-age: is for events, and --stage dispatch leaves none; with --stage evaluate or without \
                        --stage it may be used"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn asked(&self) -> Asked {
        Asked {
            codes: self.code.clone(),
            tenant: self.tenant.clone(),
            stage: self.stage,
            force: if self.force { Force::Yes } else { Force::No },
            age_limit: if self.ignore_age { AgeLimit::Waived } else { AgeLimit::Kept },
        }
    }
}

/// Redrives until the end of the range or until `stop` is cancelled. What was begun is brought to its end, and told.
pub async fn run(args: RedriveArgs, config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let letters = Letters::open(&args, &config).await?;
    let producer = Producer::new(wiring::kafka(&config)).context("kafka")?;
    let progress = Progress::new(Some(letters.offsets()), "offsets", args.quiet);
    let tally = Tally::new(letters.spans());
    let mut redriver = Redriver {
        before: Before::new(&config, stop.clone()),
        asked: args.asked(),
        config: &config,
        sink: (!args.dry_run).then_some(producer),
        limit: args.limit.unwrap_or(u64::MAX),
        pace: Pace::new(args.rate),
        progress,
        tally,
        batch: Vec::new(),
    };
    let ending = redriver.redrive(letters.taken, &stop).await;
    redriver.progress.end();
    let summary = redriver.tally.summary(args.dry_run, &ending);
    let text = if args.json {
        redrive::encode(&summary).context("--json")? + "\n"
    } else {
        tally::text(&summary, &config.kafka.topics, args.quiet)
    };
    std::io::stdout().write_all(text.as_bytes()).context("stdout")?;
    match ending {
        Ending::Complete | Ending::Enough | Ending::Stopped => Ok(()),
        Ending::Failed(error) => Err(error.context("not all of the range was redriven; to run it again is safe")),
    }
}

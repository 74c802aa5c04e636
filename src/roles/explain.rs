//! `stepup explain`: one event's decision, rule by rule, with the numbers that decided it. It reads, and changes nothing.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use clap::{ArgGroup, Args};

use super::controls;
use crate::config::Config;
use crate::domain::event::Event;
use crate::domain::ids::{CustomerId, EventId, InvalidId, Source, TenantId};
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::roles::receipt;
use crate::roles::recording_args::RecordingArgs;
use crate::telemetry;
use crate::wire::explanation::{
    Ending, Explanation, Knowledge, Place, Preferences, Rejection, Subject, VERSION, encode,
};

mod evidence;
mod live;
mod offline;
mod rules;
mod tell;
#[cfg(test)]
mod tests;
mod traces;
mod trail;
mod window;

#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("source").args(["events", "config", "receipt"]).multiple(true).required(true),
    override_usage = "stepup explain --config FILE --event ID [--tenant T] [--customer C] [--at TOPIC/PARTITION/OFFSET | --since TIME]
       stepup explain --events FILE --preferences DIR --event ID [--tenant T] [--config FILE]
       stepup explain --receipt FILE",
    after_help = "Examples:\n  stepup explain --config stepup.yaml --event bet-854 --since 24h\n  \
                  stepup explain --events bets.ndjson.gz --preferences ./preferences \\\n      \
                  --event bet-854"
)]
pub struct ExplainArgs {
    /// The configuration of the processor whose topics, windows, claims and preferences are looked at. With --events only
    /// its cool-downs, rates and window limits count.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The id of the event.
    #[arg(long, value_name = "ID", value_parser = event_id, required_unless_present = "receipt")]
    event: Option<EventId>,
    /// The event's tenant, where several tenants use the same id.
    #[arg(long, value_name = "TENANT", value_parser = TenantId::new as fn(&str) -> Result<TenantId, InvalidId>)]
    tenant: Option<TenantId>,
    /// The event's customer. The bets of the window are then told by their ids where the search comes across them.
    #[arg(
        long, value_name = "CUSTOMER", conflicts_with = "events",
        value_parser = CustomerId::new as fn(&str) -> Result<CustomerId, InvalidId>
    )]
    customer: Option<CustomerId>,
    /// Where the event stands; without it the activity topics are searched.
    #[arg(long, value_name = "TOPIC/PARTITION/OFFSET", conflicts_with_all = ["events", "since"], value_parser = place)]
    at: Option<Source>,
    /// From when on the activity topics are searched: so long ago, like 24h or -24h, or since a time in RFC 3339.
    #[arg(long, value_name = "TIME", conflicts_with = "events", default_value = "1h", value_parser = since)]
    #[arg(allow_hyphen_values = true)]
    since: Since,
    /// Explain an event of this recording instead: NDJSON, plain, gzip or zstd.
    #[arg(long, value_name = "FILE", requires = "preferences")]
    events: Option<PathBuf>,
    #[command(flatten)]
    format: RecordingArgs,
    /// For a recording: a directory of preferences documents, one <tenant_id>.json each.
    #[arg(long, value_name = "DIR", requires = "events")]
    preferences: Option<PathBuf>,
    /// Decide the decision of a receipt again, which must come to the same.
    #[arg(
        long, value_name = "FILE",
        conflicts_with_all = ["events", "config", "event", "tenant", "customer", "at", "since", "json"]
    )]
    receipt: Option<PathBuf>,
    /// Write the explanation as one JSON object.
    #[arg(long)]
    json: bool,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
}

/// From when on records are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Ago(Duration),
    Time(Timestamp),
}

fn event_id(text: &str) -> Result<EventId, InvalidId> {
    EventId::new(text)
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = Timestamp::parse(text) {
        return Ok(Since::Time(at));
    }
    let ago = text.strip_prefix('-').unwrap_or(text).parse::<jiff::SignedDuration>().ok();
    let ago = ago.and_then(|ago| Duration::try_from(ago).ok());
    ago.map(Since::Ago)
        .ok_or_else(|| "must be a time ago like 30m, 24h or -24h, or like 2026-03-01T12:00:00Z".to_owned())
}

fn place(text: &str) -> Result<Source, String> {
    let mut parts = text.rsplitn(3, '/');
    let (offset, partition, topic) = (parts.next(), parts.next(), parts.next().filter(|topic| !topic.is_empty()));
    let number = |text: Option<&str>| text?.parse::<i64>().ok().filter(|number| *number >= 0);
    let partition = number(partition).and_then(|partition| i32::try_from(partition).ok());
    match (topic, partition, number(offset)) {
        (Some(topic), Some(partition), Some(offset)) => Ok(Source { topic: topic.into(), partition, offset }),
        (_, _, _) => Err("must be a topic, a partition and an offset, like activity/3/1042".to_owned()),
    }
}

impl ExplainArgs {
    /// The configuration of the processor that is looked at; nothing where none is.
    pub fn cluster(&self) -> Option<&Path> {
        self.config.as_deref().filter(|_| self.events.is_none())
    }

    /// What of the command line cannot be done.
    ///
    /// # Errors
    /// One line for whoever typed it.
    pub fn check(&self) -> Result<(), String> {
        if self.events.as_deref() == Some(Path::new("-")) {
            return Err("--events -: explain reads the recording twice; give it a file".to_owned());
        }
        Ok(())
    }
}

/// Explains the event to the standard output. `cluster` is the configuration that [`ExplainArgs::cluster`] names.
pub async fn run(args: ExplainArgs, cluster: Option<Config>) -> anyhow::Result<()> {
    if let Some(path) = &args.receipt {
        receipt::rerun(path, &mut io::stdout())?;
        return Ok(());
    }
    let json = args.json;
    let explanation = explain(args, cluster).await?;
    let text =
        if json { encode(&explanation)? } else { tell::text(&explanation, telemetry::stdout_colour()).into_bytes() };
    Ok(io::stdout().write_all(&text)?)
}

async fn explain(args: ExplainArgs, cluster: Option<Config>) -> anyhow::Result<Explanation> {
    let ExplainArgs { event, tenant, customer, at, quiet, .. } = args;
    let Some(event) = event else { bail!("--event is missing") };
    if let (Some(events), Some(preferences)) = (args.events, args.preferences) {
        let event = event.as_str().to_owned();
        let asked =
            offline::Asked { events, format: args.format, preferences, config: args.config, event, tenant, quiet };
        return offline::explain(&asked).await;
    }
    let Some(config) = cluster else { bail!("--config is missing") };
    let from = match args.since {
        Since::Ago(ago) => clock::now().minus(ago),
        Since::Time(at) => at,
    };
    let asked = live::Asked { event, tenant, customer, at, from, quiet };
    live::explain(&controls::as_switched(config).await, asked).await
}

/// An event that could be read, for the explanation.
fn subject(event: &Event, place: Place) -> Subject {
    Subject {
        id: event.id.as_str().to_owned(),
        tenant_id: Some(event.tenant.as_str().to_owned()),
        customer_id: Some(event.customer.as_str().to_owned()),
        kind: Some(event.activity.kind().name().to_owned()),
        occurred_at: Some(event.occurred_at),
        amount: event.activity.amount().map(|amount| amount.to_string()),
        place,
        result: Ending::Decided,
        rejection: None,
    }
}

/// The explanation of an event that no trigger is tested for.
fn undecided(id: &str, said: offline::Said, place: Place, result: Ending, rejection: Option<Rejection>) -> Explanation {
    let event = Subject {
        id: id.to_owned(),
        tenant_id: said.tenant,
        customer_id: said.customer,
        kind: said.kind,
        occurred_at: said.occurred_at.and_then(|at| Timestamp::parse(&at).ok()),
        amount: None,
        place,
        result,
        rejection,
    };
    let preferences = Preferences { status: Knowledge::Unknown, updated_at: None, why: Some("not asked for".into()) };
    Explanation { version: VERSION, event, preferences, triggers: Vec::new(), repeats: Vec::new(), notes: Vec::new() }
}

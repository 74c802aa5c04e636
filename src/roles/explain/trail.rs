//! What the topics hold of one event: itself, the commands that it caused, and their outcomes.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use anyhow::{Context as _, bail};

use super::live::Asked;
use super::offline::Said;
use crate::config::Topics;
use crate::domain::claim::Claim;
use crate::domain::command::Command;
use crate::domain::decide::Mode;
use crate::domain::event::Event;
use crate::domain::ids::{CommandId, EventId, Source};
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::edge::clock;
use crate::edge::kafka::find::{FindError, Finder, Seen, Stretch};
use crate::roles::hold::in_full;
use crate::roles::progress::Progress;
use crate::wire::identity::may_hold;
use crate::wire::window::bet_id;
use crate::wire::{command, outcome};

/// The event as it stands on its topic.
pub(super) struct Located {
    pub(super) source: Source,
    pub(super) written_at: Option<Timestamp>,
    pub(super) payload: Vec<u8>,
    pub(super) said: Said,
    /// Ids of the customer's events that were come across, by their hashes.
    pub(super) names: HashMap<u64, String>,
}

/// So many ids are kept in passing.
const MOST_NAMES: usize = 10_000;
/// How often the progress is shown, in records.
const TICK: u64 = 4_096;

/// Finds the event where it is said to stand, or else the first that its topics hold.
pub(super) fn locate(finder: &Finder, topics: &[String], asked: &Asked) -> anyhow::Result<Located> {
    let Some(place) = &asked.at else { return search(finder, topics, asked) };
    let take = |seen: Seen<'_>| (seen.written_at, seen.payload.unwrap_or_default().to_vec());
    let (written_at, payload) = finder.at(place, take).with_context(|| format!("--at {}", written(place)))?;
    match Said::of(&payload) {
        Some((id, said)) if id == asked.event.as_str() => {
            Ok(Located { source: place.clone(), written_at, payload, said, names: HashMap::new() })
        }
        Some(_) => bail!("--at {}: another event than {} stands there", written(place), asked.event),
        None => bail!("--at {}: what stands there has no event's id", written(place)),
    }
}

/// A place as `--at` takes it.
fn written(place: &Source) -> String {
    format!("{}/{}/{}", place.topic, place.partition, place.offset)
}

fn search(finder: &Finder, topics: &[String], asked: &Asked) -> anyhow::Result<Located> {
    let until = clock::now();
    let stretch = |topic: &String| finder.stretch(topic, asked.from);
    let stretches: Vec<Stretch> = topics.iter().map(stretch).collect::<Result<_, _>>().context("activity topics")?;
    let progress = Progress::new(Some(stretches.iter().map(Stretch::len).sum()), "records", asked.quiet);
    let mut search =
        Search { asked, progress, read: 0, names: HashMap::new(), elsewhere: BTreeSet::new(), found: None };
    for stretch in &stretches {
        finder.scan(stretch, |seen| search.visit(&stretch.topic, seen)).context("activity topics")?;
        if let Some(found) = search.found {
            return Ok(Located { names: search.names, ..found });
        }
    }
    let mut hints = vec!["an earlier --since, like --since 24h".to_owned()];
    if !search.elsewhere.is_empty() {
        let others: Vec<String> = search.elsewhere.iter().take(10).cloned().collect();
        hints.push(format!("--tenant with one that has such an event: {}", others.join(", ")));
    }
    if asked.customer.is_some() {
        hints.push("no --customer".to_owned());
    }
    bail!(
        "--event {}: not in {}: {} records from {} to {until} were read; try {}",
        asked.event,
        topics.join(", "),
        search.read,
        asked.from,
        hints.join(", or ")
    )
}

struct Search<'a> {
    asked: &'a Asked,
    progress: Progress,
    read: u64,
    names: HashMap<u64, String>,
    /// Tenants that have an event of this id and were not asked for.
    elsewhere: BTreeSet<String>,
    found: Option<Located>,
}

impl Search<'_> {
    fn visit(&mut self, topic: &str, seen: Seen<'_>) -> ControlFlow<()> {
        self.read += 1;
        if self.read.is_multiple_of(TICK) {
            self.progress.at(self.read, "");
        }
        let payload = seen.payload.unwrap_or_default();
        let customer = self.asked.customer.as_ref();
        let of_customer = customer.is_some_and(|customer| may_hold(payload, customer.as_str()));
        if !of_customer && !may_hold(payload, self.asked.event.as_str()) {
            return ControlFlow::Continue(());
        }
        let Some((id, said)) = Said::of(payload) else { return ControlFlow::Continue(()) };
        let tenant = self.asked.tenant.as_ref();
        let is_tenant = tenant.is_none_or(|tenant| said.tenant.as_deref() == Some(tenant.as_str()));
        let is_customer = customer.is_none_or(|customer| said.customer.as_deref() == Some(customer.as_str()));
        if customer.is_some()
            && is_customer
            && is_tenant
            && self.names.len() < MOST_NAMES
            && let Ok(event) = EventId::new(&id)
        {
            self.names.insert(bet_id(&event), id.clone());
        }
        if id != self.asked.event.as_str() {
            return ControlFlow::Continue(());
        }
        if !is_tenant || !is_customer {
            self.elsewhere.extend(said.tenant.filter(|_| !is_tenant));
            return ControlFlow::Continue(());
        }
        let source = Source { topic: topic.into(), partition: seen.partition, offset: seen.offset };
        let (written_at, payload) = (seen.written_at, payload.to_vec());
        self.found = Some(Located { source, written_at, payload, said, names: HashMap::new() });
        ControlFlow::Break(())
    }
}

/// What is looked for behind the event.
pub(super) struct Wanted {
    pub(super) event: Event,
    /// The commands that the event may have caused.
    pub(super) commands: Vec<(Mode, CommandId)>,
    /// Claims of the event's customer, whose events have no name yet.
    pub(super) claims: Vec<(Mode, Claim)>,
    /// From when on.
    pub(super) since: Timestamp,
    /// The clocks of whoever writes records may differ by so much.
    pub(super) skew: std::time::Duration,
}

/// A command on its topic.
pub(super) struct Issued {
    pub(super) command: Command,
    pub(super) source: Source,
    pub(super) written_at: Option<Timestamp>,
}

/// What was found behind the event; where a topic could not be read, why not.
pub(super) struct Trail {
    pub(super) commands: Result<HashMap<CommandId, Issued>, String>,
    pub(super) outcomes: Result<HashMap<CommandId, Outcome>, String>,
    /// Ids of events that other commands of the customer name, by their hashes.
    pub(super) names: HashMap<u64, String>,
    /// From when on commands were looked for.
    pub(super) since: Timestamp,
}

/// Looks for commands and their outcomes, from the event's time on.
pub(super) fn follow(finder: &Finder, topics: &Topics, wanted: &Wanted, quiet: bool) -> Trail {
    let claims = wanted.claims.iter().map(|(_, claim)| claim.at);
    let since = claims.chain([wanted.since]).min().unwrap_or(wanted.since).minus(wanted.skew);
    let mut names = HashMap::new();
    let mut of = |mode, topic| find_commands(finder, topic, mode, wanted, since, &mut names, quiet);
    let live = of(Mode::Live, &topics.commands);
    let outcomes = match &live {
        Ok(issued) if issued.is_empty() => Ok(HashMap::new()),
        Ok(issued) => find_outcomes(finder, &topics.outcomes, issued, wanted, quiet),
        Err(_) => Ok(HashMap::new()),
    };
    let commands = live.and_then(|mut issued| {
        issued.extend(of(Mode::Shadow, &topics.shadow_commands)?);
        Ok(issued)
    });
    let told = |error: FindError| in_full(&error);
    Trail { commands: commands.map_err(told), outcomes: outcomes.map_err(told), names, since }
}

fn find_commands(
    finder: &Finder,
    topic: &str,
    mode: Mode,
    wanted: &Wanted,
    since: Timestamp,
    names: &mut HashMap<u64, String>,
    quiet: bool,
) -> Result<HashMap<CommandId, Issued>, FindError> {
    let ids: Vec<CommandId> = wanted.commands.iter().filter(|(of, _)| *of == mode).map(|(_, id)| *id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let stretch = finder.stretch(topic, since)?;
    let progress = Progress::new(Some(stretch.len()), "commands", quiet);
    let mut found: HashMap<CommandId, Issued> = HashMap::new();
    let mut read = 0;
    finder.scan(&stretch, |seen| {
        read += 1;
        if u64::is_multiple_of(read, TICK) {
            progress.at(read, "");
        }
        let payload = seen.payload.unwrap_or_default();
        if !may_hold(payload, wanted.event.customer.as_str()) {
            return ControlFlow::Continue(());
        }
        let Ok(command) = command::decode(payload) else { return ControlFlow::Continue(()) };
        if command.tenant != wanted.event.tenant || command.customer != wanted.event.customer {
            return ControlFlow::Continue(());
        }
        names.insert(bet_id(&command.cause.event), command.cause.event.as_str().to_owned());
        if ids.contains(&command.id) {
            let source = Source { topic: topic.into(), partition: seen.partition, offset: seen.offset };
            let issued = Issued { command, source, written_at: seen.written_at };
            found.entry(issued.command.id).or_insert(issued);
        }
        let mut claims = wanted.claims.iter().filter(|(of, _)| *of == mode);
        let all = found.len() == ids.len() && claims.all(|(_, claim)| names.contains_key(&claim.event));
        if all { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}

fn find_outcomes(
    finder: &Finder,
    topic: &str,
    issued: &HashMap<CommandId, Issued>,
    wanted: &Wanted,
    quiet: bool,
) -> Result<HashMap<CommandId, Outcome>, FindError> {
    let written = issued.values().map(|issued| issued.written_at.unwrap_or(issued.command.issued_at));
    let since = written.min().unwrap_or(wanted.since).minus(wanted.skew);
    let stretch = finder.stretch(topic, since)?;
    let progress = Progress::new(Some(stretch.len()), "outcomes", quiet);
    let mut found = HashMap::new();
    let mut read = 0;
    finder.scan(&stretch, |seen| {
        read += 1;
        if u64::is_multiple_of(read, TICK) {
            progress.at(read, "");
        }
        let payload = seen.payload.unwrap_or_default();
        if may_hold(payload, wanted.event.customer.as_str())
            && let Ok(outcome) = outcome::decode(payload)
            && issued.contains_key(&outcome.command)
        {
            found.entry(outcome.command).or_insert(outcome);
        }
        if found.len() == issued.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}

//! Reads what the roles wrote, as anybody downstream would: who was asked, and why.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::domain::decide::Facts;
use crate::domain::ids::CommandId;
use crate::domain::outcome::Ending;
use crate::wire::{command, outcome};

/// How a command ended, as the view tells it.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// The time of day, as in `12:34:56`.
    pub(super) clock: String,
    pub(super) who: String,
    pub(super) why: String,
    pub(super) end: &'static str,
}

pub(super) const ASKED: &str = "asked for a selfie";

/// The commands that ended lately, and what was seen in all.
#[derive(Clone, Default)]
pub(super) struct Followed(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// Of commands that have no outcome yet.
    why: HashMap<CommandId, String>,
    recent: VecDeque<(CommandId, Ended)>,
    commands: HashSet<CommandId>,
    /// The reference of each command's outcome.
    outcomes: HashMap<CommandId, String>,
    asked_twice: HashSet<CommandId>,
}

const RECENT: usize = 6;

impl Followed {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest endings, the newest last.
    pub(super) fn recent(&self) -> Vec<Ended> {
        self.seen().recent.iter().map(|(_, ended)| ended.clone()).collect()
    }

    /// Different commands that have an outcome on the topic.
    pub(super) fn outcomes(&self) -> u64 {
        self.seen().outcomes.len() as u64
    }

    /// Commands on the topic that have no outcome.
    pub(super) fn lost(&self) -> usize {
        let seen = self.seen();
        seen.commands.iter().filter(|command| !seen.outcomes.contains_key(*command)).count()
    }

    /// Commands with two different outcomes. A repeated event brings its command again, and with it the same outcome.
    pub(super) fn asked_twice(&self) -> usize {
        self.seen().asked_twice.len()
    }

    fn command(&self, payload: &[u8]) {
        let Ok(command) = command::decode(payload) else { return };
        let why = match command.facts {
            Facts::Plain => command.trigger.name().replace('_', " "),
            Facts::Amount(amount) => format!("{} of {amount} USD", command.trigger.name().replace('_', " ")),
            Facts::Frequency(reach) => format!("{} bets within {} min", reach.count, reach.within_minutes),
        };
        let mut seen = self.seen();
        seen.commands.insert(command.id);
        // The topics are read side by side, so an outcome may be there before its command.
        if let Some((_, ended)) = seen.recent.iter_mut().find(|(id, _)| *id == command.id) {
            ended.why = why;
        } else if !seen.outcomes.contains_key(&command.id) {
            seen.why.insert(command.id, why);
        }
    }

    fn outcome(&self, payload: &[u8]) {
        let Ok(outcome) = outcome::decode(payload) else { return };
        let mut seen = self.seen();
        if let Some(known) = seen.outcomes.get(&outcome.command) {
            if *known != outcome.reference {
                seen.asked_twice.insert(outcome.command);
            }
            return;
        }
        seen.outcomes.insert(outcome.command, outcome.reference);
        let why = seen.why.remove(&outcome.command).unwrap_or_else(|| outcome.trigger.name().replace('_', " "));
        let end = match &outcome.ending {
            Ending::SessionCreated(_) => ASKED,
            Ending::NotRequired { .. } => "not required",
            Ending::AlreadyExists => "was asked already",
            Ending::Rejected { .. } => "rejected",
            Ending::Expired { .. } => "expired",
        };
        let clock = outcome.completed_at.to_string();
        let clock = clock.get(11..19).unwrap_or_default().to_owned();
        let who = format!("{} {}", outcome.tenant, outcome.customer);
        seen.recent.push_back((outcome.command, Ended { clock, who, why, end }));
        if seen.recent.len() > RECENT {
            seen.recent.pop_front();
        }
    }
}

/// Starts reading the commands and outcomes from their beginning, until `stop` is cancelled.
pub(super) fn start(brokers: &str, followed: Followed, stop: CancellationToken) -> anyhow::Result<JoinHandle<()>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "demo-follower")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10")
        .create()
        .context("no consumer for what the roles write")?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..8 {
        for topic in ["verification-commands", "verification-outcomes"] {
            partitions.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&partitions)?;
    Ok(tokio::task::spawn_blocking(move || {
        while !stop.is_cancelled() {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
            let payload = message.payload().unwrap_or_default();
            if message.topic() == "verification-commands" {
                followed.command(payload);
            } else {
                followed.outcome(payload);
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Both are of one command.
    const COMMAND: &[u8] = include_bytes!("../../../schemas/examples/verification-command/good/amount.json");
    const OUTCOME: &[u8] = include_bytes!("../../../schemas/examples/verification-outcome/good/session-created.json");

    #[test]
    fn why_a_customer_was_asked_is_told_whichever_of_the_two_topics_is_read_first() {
        for is_command_first in [true, false] {
            let followed = Followed::default();
            if is_command_first {
                followed.command(COMMAND);
            }
            followed.outcome(OUTCOME);
            followed.command(COMMAND);
            let told: Vec<String> = followed.recent().into_iter().map(|ended| ended.why).collect();
            assert_eq!(told, ["withdrawal of 1250.5 USD"], "command first: {is_command_first}");
            assert_eq!((followed.lost(), followed.seen().why.len()), (0, 0));
        }
    }
}

//! What was redriven before, by this run or an earlier one, whose new commands stand on the commands topic.
//!
//! Dispatch folds a command that comes again while it remembers its outcome, which is for an hour. This holds for as long as
//! the topic holds the command. A record that failed again has one letter more than before; all of them are one.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::letters::PATIENCE;
use crate::config::Config;
use crate::domain::ids::CommandId;
use crate::domain::time::Timestamp;
use crate::edge::kafka::headers::Headers;
use crate::edge::kafka::range::{Bound, Next, RangeReader, RangeSettings};
use crate::roles::wiring;
use crate::wire::{command, identity};

/// So far may the clocks differ that wrote a dead letter and the command that takes it up.
const SLACK: Duration = Duration::from_secs(3_600);

/// What one letter has in common with others of the same record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// The new command's id.
    Command(CommandId),
    /// The digest of what goes as it came.
    Bytes([u8; 32]),
}

/// Whether something of a name was redriven before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    First,
    /// Another letter of the range has the same name.
    Repeated,
    /// Its command stands on the commands topic.
    Before,
}

pub(super) struct Before {
    settings: RangeSettings,
    seen: HashSet<Name>,
    /// There once the commands topic was read.
    known: Option<HashSet<CommandId>>,
    stop: CancellationToken,
}

impl Before {
    pub(super) fn new(config: &Config, stop: CancellationToken) -> Self {
        let settings = RangeSettings {
            connection: wiring::kafka(config),
            group_id: format!("{}-redrive", config.kafka.group_id),
            topics: vec![config.kafka.topics.commands.clone()],
            from: Bound::Edge,
            to: Bound::Edge,
            headers: Headers::Dropped,
            patience: PATIENCE,
        };
        Self { settings, seen: HashSet::new(), known: None, stop }
    }

    /// Whether the commands topic is to be read before this is answered.
    pub(super) fn must_read_for(&self, name: Name) -> bool {
        self.known.is_none() && matches!(name, Name::Command(_))
    }

    /// Takes note of what is to go, and tells whether it is the first of its name. `since` is when its letter was written:
    /// no command takes up this letter's, or a later one's, that was issued before.
    pub(super) async fn take(&mut self, name: Name, since: Option<Timestamp>) -> anyhow::Result<Standing> {
        if self.must_read_for(name) {
            self.known = Some(self.read(since).await?);
        }
        let known = match (name, &self.known) {
            (Name::Command(id), Some(known)) => known.contains(&id),
            (Name::Command(_), None) | (Name::Bytes(_), _) => false,
        };
        Ok(match (known, self.seen.insert(name)) {
            (true, _) => Standing::Before,
            (false, true) => Standing::First,
            (false, false) => Standing::Repeated,
        })
    }

    async fn read(&self, since: Option<Timestamp>) -> anyhow::Result<HashSet<CommandId>> {
        let from = since.map_or(Bound::Edge, |since| Bound::At(since.minus(SLACK)));
        let (settings, stop) = (RangeSettings { from, ..self.settings.clone() }, self.stop.clone());
        let read = tokio::task::spawn_blocking(move || redriven(&settings, &stop)).await?;
        read.context("what was redriven before")
    }
}

/// The ids of the commands of a range that take up another.
fn redriven(settings: &RangeSettings, stop: &CancellationToken) -> anyhow::Result<HashSet<CommandId>> {
    let mut reader = RangeReader::open(settings)?;
    let mut known = HashSet::new();
    while !stop.is_cancelled() {
        match reader.next_record()? {
            Next::Record(record) => {
                let payload = record.payload.filter(|payload| identity::may_hold(payload, "redrive_of"));
                let command = payload.and_then(|payload| command::decode(payload).ok());
                known.extend(command.filter(|command| command.redrive_of.is_some()).map(|command| command.id));
            }
            Next::Waiting => {}
            Next::End => break,
        }
    }
    Ok(known)
}

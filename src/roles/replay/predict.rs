//! Which commands must come, decided offline over what is sent, in the order in which it is sent.

use std::collections::HashSet;
use std::path::Path;

use crate::config::Config;
use crate::domain::decide::Decision;
use crate::domain::ids::CommandId;
use crate::roles::offline::{Line, Offline, Rules};
use crate::roles::walk::Arrival;

/// Events that are decided in one go.
const BATCH: usize = 1_024;

pub(super) struct Predictor {
    offline: Offline,
    batch: Vec<Arrival>,
    expected: HashSet<CommandId>,
    /// The walk waits for nothing here, and still must be awaited.
    runtime: tokio::runtime::Handle,
}

impl Predictor {
    /// By the rules of a configuration and the preferences of a directory. Must be called within the runtime.
    pub(super) fn new(config: &Config, preferences: &Path) -> anyhow::Result<Self> {
        let rules = Rules { evaluate: config.evaluate.clone(), windows: config.windows.clone() };
        Ok(Self {
            offline: Offline::new(rules, preferences)?,
            batch: Vec::with_capacity(BATCH),
            expected: HashSet::new(),
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// Takes note of a record that is sent. Must not be called within the runtime.
    pub(super) fn add(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        match self.offline.read(payload) {
            Line::Event(arrival) => self.batch.push(*arrival),
            Line::UnknownType | Line::Rejected { .. } => {}
        }
        if self.batch.len() >= BATCH { self.decide() } else { Ok(()) }
    }

    /// The ids of all commands that what was sent asks for.
    pub(super) fn finish(mut self) -> anyhow::Result<HashSet<CommandId>> {
        self.decide()?;
        Ok(self.expected)
    }

    fn decide(&mut self) -> anyhow::Result<()> {
        let (_, tested) = self.runtime.block_on(self.offline.decide(&self.batch))?;
        for one in tested {
            if let Decision::Required { .. } = one.decision {
                let event = &self.batch[one.event].event;
                self.expected.insert(CommandId::of(&event.tenant, one.trigger, &event.id));
            }
        }
        self.batch.clear();
        Ok(())
    }
}

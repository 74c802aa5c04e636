//! Deciding over a recording: the walk of the live role over memory, on event time only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};

use super::walk::{self, Arrival, Conditions, Ledgers, Tested, Unsent, Wanted, Windowed};
use crate::config::{Config, Evaluate, Windows};
use crate::domain::decide::AgeLimit;
use crate::domain::event::Event;
use crate::domain::ids::{EventId, TenantId};
use crate::domain::outcome::{RejectCode, Rejection};
use crate::domain::preferences::Preferences;
use crate::domain::time::Timestamp;
use crate::edge::memory::store::MemoryStore;
use crate::edge::preferences::document_path;
use crate::edge::windows::Compaction;
use crate::edge::{Scope, Scoped as _};
use crate::wire::event::{self, Decoded};
use crate::wire::preferences as document;

/// The rules that a recording is decided by: those of a configuration file, or the defaults.
pub struct Rules {
    pub evaluate: Evaluate,
    pub windows: Windows,
}

impl Rules {
    /// The `evaluate` and `windows` of a configuration; without one the defaults.
    pub fn read(config: Option<&Path>) -> anyhow::Result<Self> {
        let config = match config {
            Some(path) => Config::load(path, std::iter::empty())?,
            None => {
                let least =
                    "roles: [evaluate]\nkafka: {brokers: none}\npreferences: {source: directory, directory: none}";
                Config::from_yaml(least, std::iter::empty())?
            }
        };
        Ok(Self { evaluate: config.evaluate, windows: config.windows })
    }
}

/// What one line of a recording is.
pub enum Line {
    Event(Box<Arrival>),
    UnknownType,
    Rejected { rejection: Rejection, id: Option<EventId> },
}

/// Decides a recording batch by batch.
pub struct Offline {
    rules: Rules,
    store: MemoryStore,
    ledgers: Ledgers<MemoryStore>,
    tenants: Tenants,
    compactions: Vec<Compaction>,
    lines: u32,
}

impl Offline {
    pub fn new(rules: Rules, preferences: &Path) -> anyhow::Result<Self> {
        let store = MemoryStore::new();
        Ok(Self {
            rules,
            ledgers: Ledgers { live: store.clone(), shadow: store.scoped(Scope::Shadow) },
            store,
            tenants: Tenants::open(preferences)?,
            compactions: Vec::new(),
            lines: 0,
        })
    }

    /// Reads one line. Every line is an arrival of its own.
    pub fn read(&mut self, line: &[u8]) -> Line {
        self.lines = self.lines.wrapping_add(1);
        match event::decode(Some(line), &self.rules.evaluate.rates) {
            Decoded::Rejected { rejection, id } => Line::Rejected { rejection, id },
            Decoded::UnknownType { .. } => Line::UnknownType,
            Decoded::Event(event) => self.with_preferences(event),
        }
    }

    fn arrival(&self, event: Event, preferences: Option<Arc<Preferences>>) -> Arrival {
        Arrival { event, place: self.lines, preferences, age_limit: AgeLimit::Kept }
    }

    fn with_preferences(&mut self, event: Event) -> Line {
        match self.tenants.of(&event.tenant) {
            Known::Preferences(preferences) => Line::Event(Box::new(self.arrival(event, Some(preferences)))),
            Known::NoTenant => Line::Event(Box::new(self.arrival(event, None))),
            Known::Unreadable(error) => {
                let rejection = Rejection { code: RejectCode::PreferencesUnavailable, error };
                Line::Rejected { rejection, id: Some(event.id) }
            }
        }
    }

    /// Decides a batch of arrivals. Nothing here is ever delivered again, so logs are rewritten at once.
    pub async fn decide(&mut self, arrivals: &[Arrival]) -> anyhow::Result<(Windowed, Vec<Tested>)> {
        let Rules { evaluate, windows } = &self.rules;
        // Nothing here ends by the clock.
        let outlive = Duration::from_secs(365 * 24 * 3600);
        let compactions = std::mem::take(&mut self.compactions);
        let mut windowed = walk::record(&self.store, arrivals, compactions, windows, outlive).await?;
        self.compactions = std::mem::take(&mut windowed.compactions);
        let unsent = Unsent::of_no_account();
        let under = Conditions { settings: evaluate, now: None, outlive, unsent: &unsent };
        let decisions = walk::decide(&self.ledgers, arrivals, &windowed, under, Wanted::Every).await?;
        Ok((windowed, decisions.tested))
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}

/// The preferences documents of a directory, each read once.
struct Tenants {
    directory: PathBuf,
    known: HashMap<TenantId, Known>,
}

#[derive(Clone)]
enum Known {
    Preferences(Arc<Preferences>),
    NoTenant,
    Unreadable(String),
}

impl Tenants {
    fn open(directory: &Path) -> anyhow::Result<Self> {
        check_directory("--preferences", directory)?;
        Ok(Self { directory: directory.to_owned(), known: HashMap::new() })
    }

    fn of(&mut self, tenant: &TenantId) -> Known {
        if let Some(known) = self.known.get(tenant) {
            return known.clone();
        }
        let known = match read_document(&self.directory, tenant) {
            Document::Found(bytes) => match document::decode(&bytes) {
                Ok(preferences) => Known::Preferences(Arc::new(preferences)),
                Err(error) => {
                    Known::Unreadable(format!("{}: {error}", self.directory.join(format!("{tenant}.json")).display()))
                }
            },
            Document::Missing => Known::NoTenant,
            Document::Unreadable(error) => Known::Unreadable(error),
        };
        self.known.insert(tenant.clone(), known.clone());
        known
    }
}

/// A tenant's document as a directory holds it.
pub enum Document {
    Found(Vec<u8>),
    Missing,
    /// Why not.
    Unreadable(String),
}

/// Reads `<tenant_id>.json` of a directory.
pub fn read_document(directory: &Path, tenant: &TenantId) -> Document {
    let path = document_path(directory, tenant);
    match std::fs::read(&path) {
        Ok(bytes) => Document::Found(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Document::Missing,
        Err(error) => Document::Unreadable(format!("{}: {error}", path.display())),
    }
}

/// When a tenant's document was last written, or else the directory that it may have gone from.
pub fn document_written_at(directory: &Path, tenant: &TenantId) -> Option<Timestamp> {
    let file = std::fs::metadata(document_path(directory, tenant)).or_else(|_| std::fs::metadata(directory));
    let since = file.ok()?.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp(0).plus(since))
}

/// Whether there is such a directory at all; `flag` is how the operator named it.
pub fn check_directory(flag: &str, directory: &Path) -> anyhow::Result<()> {
    let found = std::fs::metadata(directory).with_context(|| format!("{flag} {}", directory.display()))?;
    if !found.is_dir() {
        bail!("{flag} {}: must be a directory of <tenant_id>.json files", directory.display());
    }
    Ok(())
}

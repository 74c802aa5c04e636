//! Where preferences are read: the trait, a directory of documents, and a map in memory.

use std::collections::HashMap;
use std::future::Future;
use std::io::{ErrorKind, Read as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::Settings;
use crate::domain::ids::TenantId;
use crate::domain::preferences::Preferences;
use crate::wire::preferences::{MAX_BYTES, decode};

/// A place that holds the preferences of tenants.
pub trait PreferencesSource: Send + Sync + 'static {
    /// Reads one tenant's document. It ends in bounded time.
    fn fetch(&self, tenant: &TenantId) -> impl Future<Output = Fetched> + Send;

    /// The answer where it is known without asking anyone; such answers are not limited in rate.
    fn foregone(&self, _tenant: &TenantId) -> Option<Fetched> {
        None
    }

    /// The settings as this source needs them.
    fn adjust(&self, settings: Settings) -> Settings {
        settings
    }
}

impl<S: PreferencesSource> PreferencesSource for std::sync::Arc<S> {
    fn fetch(&self, tenant: &TenantId) -> impl Future<Output = Fetched> + Send {
        S::fetch(self, tenant)
    }

    fn foregone(&self, tenant: &TenantId) -> Option<Fetched> {
        S::foregone(self, tenant)
    }

    fn adjust(&self, settings: Settings) -> Settings {
        S::adjust(self, settings)
    }
}

/// What a source answered. Reasons name fields and causes, never values or credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    Document(Preferences),
    NotFound,
    /// There is a document that nobody can read.
    Unreadable(String),
    /// The credential was refused, also after it was read again.
    Refused {
        /// Whether it is this tenant's alone; one that all share says nothing about the tenant.
        own_credential: bool,
        reason: String,
    },
    /// Every tenant has its own credential, and this one has none: nobody was asked.
    NoCredential,
    /// No answer that says anything about the tenant.
    Away {
        reason: String,
    },
}

impl Fetched {
    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Document(_) => "document",
            Self::NotFound => "not_found",
            Self::Unreadable(_) => "unreadable",
            Self::Refused { .. } => "refused",
            Self::NoCredential => "no_credential",
            Self::Away { .. } => "away",
        }
    }
}

/// Where a tenant's document stands in a directory of them.
pub fn document_path(directory: &Path, tenant: &TenantId) -> PathBuf {
    directory.join(format!("{tenant}.json"))
}

/// A directory with one `<tenant_id>.json` for each tenant. A file that is changed, new or gone shows within a second.
#[derive(Debug, Clone)]
pub struct DirectoryPreferences {
    directory: PathBuf,
}

impl DirectoryPreferences {
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    async fn absent(&self) -> Fetched {
        match tokio::fs::metadata(&self.directory).await {
            Ok(entry) if entry.is_dir() => Fetched::NotFound,
            Ok(_) => Fetched::Away { reason: "the preferences directory is not a directory".to_owned() },
            Err(error) => Fetched::Away { reason: format!("the preferences directory cannot be read: {error}") },
        }
    }
}

impl PreferencesSource for DirectoryPreferences {
    async fn fetch(&self, tenant: &TenantId) -> Fetched {
        match read_bounded(document_path(&self.directory, tenant)).await {
            Ok(bytes) => document(&bytes),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => self.absent().await,
            Err(error) => {
                let reason = format!("the preferences file cannot be read: {error}");
                // Of the rest only these two speak of the file, the others of the machine.
                match matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) {
                    true => Fetched::Unreadable(reason),
                    false => Fetched::Away { reason },
                }
            }
        }
    }

    fn adjust(&self, settings: Settings) -> Settings {
        at_hand(settings)
    }
}

/// Reads a document that came whole, or what there was of it within the bound.
pub(super) fn document(bytes: &[u8]) -> Fetched {
    match decode(bytes) {
        Ok(preferences) => Fetched::Document(preferences),
        Err(error) => Fetched::Unreadable(error.to_string()),
    }
}

/// The file, or its first bytes up to one more than a document may have.
async fn read_bounded(path: PathBuf) -> std::io::Result<Vec<u8>> {
    let read = move || {
        // Opening a pipe would wait for its writer.
        if !std::fs::metadata(&path)?.is_file() {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(&path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?
}

/// A source at hand is read so cheaply that its copies need not live longer than a second, nor its reads be rationed.
fn at_hand(settings: Settings) -> Settings {
    Settings { ttl: settings.ttl.min(Duration::from_secs(1)), lookups_per_second: NonZeroU32::MAX, ..settings }
}

/// Preferences in memory, for demonstrations and tests.
#[derive(Debug, Default)]
pub struct FixedPreferences {
    tenants: RwLock<HashMap<TenantId, Preferences>>,
}

impl FixedPreferences {
    pub fn new(tenants: impl IntoIterator<Item = (TenantId, Preferences)>) -> Self {
        Self { tenants: RwLock::new(tenants.into_iter().collect()) }
    }

    /// Gives a tenant these preferences, or takes away what it has.
    pub fn set(&self, tenant: &TenantId, preferences: Option<Preferences>) {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        match preferences {
            Some(preferences) => tenants.insert(tenant.clone(), preferences),
            None => tenants.remove(tenant),
        };
    }
}

impl PreferencesSource for FixedPreferences {
    fn fetch(&self, tenant: &TenantId) -> impl Future<Output = Fetched> + Send {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        std::future::ready(tenants.get(tenant).cloned().map_or(Fetched::NotFound, Fetched::Document))
    }

    fn adjust(&self, settings: Settings) -> Settings {
        at_hand(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_answers_for_each_kind_of_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        std::fs::write(file("on.json"), r#"{"is_reuse_kyc_enabled":true,"updated_at":"v1"}"#).unwrap();
        std::fs::write(file("garbage.json"), "}{").unwrap();
        std::fs::write(file("huge.json"), " ".repeat(MAX_BYTES + 2)).unwrap();
        std::fs::create_dir(file("folder.json")).unwrap();
        let on = Preferences { enabled: true, updated_at: Some("v1".to_owned()), ..Preferences::OFF };
        for (tenant, want) in [
            ("on", Fetched::Document(on)),
            ("none", Fetched::NotFound),
            ("garbage", unreadable("the preferences document is not readable: it is not JSON")),
            ("huge", unreadable("the preferences document is not readable: it is larger than 65536 bytes")),
            ("folder", unreadable("the preferences file cannot be read: it is no regular file")),
        ] {
            let tenant = TenantId::new(tenant).unwrap();
            assert_eq!(DirectoryPreferences::new(directory.path()).fetch(&tenant).await, want, "{tenant}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_is_gone_says_nothing_about_its_tenants() {
        let directory = tempfile::tempdir().unwrap();
        let tenant = TenantId::new("any").unwrap();
        let gone = DirectoryPreferences::new(directory.path().join("gone"));
        assert_eq!(gone.fetch(&tenant).await.name(), "away");
        std::fs::write(directory.path().join("file"), "").unwrap();
        let file = DirectoryPreferences::new(directory.path().join("file"));
        assert_eq!(file.fetch(&tenant).await.name(), "away");
    }

    fn unreadable(reason: &str) -> Fetched {
        Fetched::Unreadable(reason.to_owned())
    }
}

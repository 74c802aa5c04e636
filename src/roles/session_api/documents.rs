//! The tenants' preferences documents in a directory, read again when they change.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

use crate::domain::ids::TenantId;
use crate::domain::preferences::Preferences;
use crate::domain::time::Timestamp;
use crate::edge::files::FileStamp;
use crate::edge::preferences::document_path;
use crate::wire::preferences::decode;
use crate::wire::preferences_update::merge_document;
use crate::wire::session_api::{InvalidRequest, Reactions, decode_reactions};

/// More tenants than this are read from their files every time.
const MAX_KNOWN: usize = 10_000;

/// A document as it stands in its file.
pub(super) struct Document {
    pub(super) bytes: Vec<u8>,
    pub(super) preferences: Preferences,
    pub(super) reactions: Reactions,
}

/// Why a document was not updated.
pub(super) enum UpdateError {
    Invalid(InvalidRequest),
    Failed(anyhow::Error),
}

pub(super) struct Documents {
    directory: PathBuf,
    known: Mutex<HashMap<TenantId, (FileStamp, Arc<Document>)>>,
    /// One update at a time, for each reads what the one before wrote.
    updating: tokio::sync::Mutex<()>,
}

impl Documents {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, known: Mutex::default(), updating: tokio::sync::Mutex::default() }
    }

    /// The tenant's document; `None` where there is none.
    pub(super) async fn of(&self, tenant: &TenantId) -> anyhow::Result<Option<Arc<Document>>> {
        let path = self.path(tenant);
        let stamp = match tokio::fs::metadata(&path).await {
            Ok(metadata) => FileStamp::of(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("cannot read the preferences document"),
        };
        if let Some(document) = self.known(tenant, stamp) {
            return Ok(Some(document));
        }
        let bytes = tokio::fs::read(&path).await.context("cannot read the preferences document")?;
        let preferences = decode(&bytes)?;
        let document = Arc::new(Document { reactions: decode_reactions(&bytes)?, preferences, bytes });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_KNOWN || known.contains_key(tenant) {
            known.insert(tenant.clone(), (stamp, Arc::clone(&document)));
        }
        Ok(Some(document))
    }

    /// Changes the keys that the update names, and gives back the document as it is then.
    pub(super) async fn update(
        &self,
        tenant: &TenantId,
        update: &[u8],
        now: Timestamp,
    ) -> Result<Vec<u8>, UpdateError> {
        let _one_at_a_time = self.updating.lock().await;
        let path = self.path(tenant);
        let failed = |error: io::Error| {
            UpdateError::Failed(anyhow::Error::new(error).context("cannot write the preferences document"))
        };
        let current = match tokio::fs::read(&path).await {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let document = merge_document(current.as_deref(), update, now).map_err(UpdateError::Invalid)?;
        // No tenant's name begins with a point, so this is nobody's document.
        let new = self.directory.join(format!(".{tenant}.new"));
        tokio::fs::write(&new, &document).await.map_err(failed)?;
        tokio::fs::rename(&new, &path).await.map_err(failed)?;
        Ok(document)
    }

    fn path(&self, tenant: &TenantId) -> PathBuf {
        document_path(&self.directory, tenant)
    }

    fn known(&self, tenant: &TenantId, stamp: FileStamp) -> Option<Arc<Document>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(tenant).filter(|(of, _)| *of == stamp).map(|(_, document)| Arc::clone(document))
    }
}

//! The credentials by which the verification service knows a tenant, from files that may be rotated while we run.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use reqwest::header::HeaderValue;

use super::files::FileStamp;
use crate::domain::ids::TenantId;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 8_192;
/// How long a credential is used before its file is looked at again.
const CHECKED_EVERY: Duration = Duration::from_secs(30);

/// A secret that goes into a header. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(Arc<str>);

impl Credential {
    /// The secret itself: for a header, and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Why a credential cannot be used. It names the file and never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("cannot read the credential file {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the credential file {} must hold one line of 1 to 8192 visible ASCII characters", path.display())]
    Invalid { path: PathBuf },
}

/// Where credentials come from, and those in use.
#[derive(Debug)]
pub struct Credentials {
    origin: Origin,
    in_use: Mutex<HashMap<PathBuf, InUse>>,
}

#[derive(Debug)]
enum Origin {
    Nowhere,
    Shared(PathBuf),
    PerTenant(PathBuf),
}

#[derive(Debug)]
struct InUse {
    credential: Credential,
    stamp: FileStamp,
    checked_at: Instant,
}

impl Credentials {
    /// Calls go without a credential.
    pub fn none() -> Self {
        Self::with(Origin::Nowhere)
    }

    /// One file for all tenants.
    pub fn shared(file: impl Into<PathBuf>) -> Self {
        Self::with(Origin::Shared(file.into()))
    }

    /// One file a tenant, named like it.
    pub fn per_tenant(directory: impl Into<PathBuf>) -> Self {
        Self::with(Origin::PerTenant(directory.into()))
    }

    fn with(origin: Origin) -> Self {
        Self { origin, in_use: Mutex::default() }
    }

    /// Whether calls carry a credential at all.
    pub fn are_asked_for(&self) -> bool {
        !matches!(self.origin, Origin::Nowhere)
    }

    /// Whether every tenant has a credential of its own.
    pub fn are_per_tenant(&self) -> bool {
        matches!(self.origin, Origin::PerTenant(_))
    }

    /// Whether the tenant may be called for: with one file a tenant, whether it has one.
    pub fn knows(&self, tenant: &TenantId) -> bool {
        match &self.origin {
            Origin::Nowhere | Origin::Shared(_) => true,
            Origin::PerTenant(directory) => directory.join(tenant.as_str()).is_file(),
        }
    }

    /// The tenant's credential; `None` where calls go without one, or where there is one file a tenant and it has none.
    ///
    /// A file that was read is used for 30 seconds, then looked at again and read again if it is another.
    pub fn of(&self, tenant: &TenantId) -> Result<Option<Credential>, CredentialError> {
        let Some(path) = self.path(tenant) else { return Ok(None) };
        let mut in_use = self.in_use();
        if let Some(known) = in_use.get_mut(&path) {
            if known.checked_at.elapsed() < CHECKED_EVERY {
                return Ok(Some(known.credential.clone()));
            }
            if FileStamp::at(&path).is_ok_and(|stamp| stamp == known.stamp) {
                known.checked_at = Instant::now();
                return Ok(Some(known.credential.clone()));
            }
        }
        self.read_into(&mut in_use, path)
    }

    /// Reads the tenant's file again at once, and says whether it holds another credential than the one in use.
    pub fn reread(&self, tenant: &TenantId) -> bool {
        let Some(path) = self.path(tenant) else { return false };
        let mut in_use = self.in_use();
        let before = in_use.remove(&path).map(|known| known.credential);
        let after = self.read_into(&mut in_use, path).unwrap_or(None);
        before != after
    }

    fn path(&self, tenant: &TenantId) -> Option<PathBuf> {
        match &self.origin {
            Origin::Nowhere => None,
            Origin::Shared(file) => Some(file.clone()),
            Origin::PerTenant(directory) => Some(directory.join(tenant.as_str())),
        }
    }

    fn read_into(
        &self,
        in_use: &mut HashMap<PathBuf, InUse>,
        path: PathBuf,
    ) -> Result<Option<Credential>, CredentialError> {
        match read(&path) {
            Ok((credential, stamp)) => {
                let known = InUse { credential: credential.clone(), stamp, checked_at: Instant::now() };
                in_use.insert(path, known);
                Ok(Some(credential))
            }
            Err(error) => {
                in_use.remove(&path);
                match (&self.origin, error) {
                    (Origin::PerTenant(_), CredentialError::Unreadable { source, .. })
                        if source.kind() == io::ErrorKind::NotFound =>
                    {
                        Ok(None)
                    }
                    (_, error) => Err(error),
                }
            }
        }
    }

    fn in_use(&self) -> MutexGuard<'_, HashMap<PathBuf, InUse>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<(Credential, FileStamp), CredentialError> {
    let unreadable = |source| CredentialError::Unreadable { path: path.to_owned(), source };
    let invalid = || CredentialError::Invalid { path: path.to_owned() };
    let file = File::open(path).map_err(unreadable)?;
    // From the open file, so that stamp and content are of one and the same.
    let stamp = FileStamp::of(&file.metadata().map_err(unreadable)?);
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(invalid());
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid())?.trim();
    if text.is_empty() || HeaderValue::from_str(text).is_err() {
        return Err(invalid());
    }
    Ok((Credential(text.into()), stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn secret(credentials: &Credentials, name: &str) -> Option<String> {
        credentials.of(&tenant(name)).unwrap().map(|credential| credential.reveal().to_owned())
    }

    #[test]
    fn a_file_is_trimmed_and_must_be_a_header_value() {
        let directory = tempfile::tempdir().unwrap();
        let credentials = Credentials::per_tenant(directory.path());
        for (content, want) in [
            (&b"  secret-1\n"[..], Some("secret-1")),
            (b"two words", Some("two words")),
            (&[b'x'; 8_192], Some(std::str::from_utf8(&[b'x'; 8_192]).unwrap())),
            (&[b'x'; 8_193], None),
            (b"", None),
            (b" \n", None),
            (b"two\nlines", None),
            (b"\xff\xfe", None),
        ] {
            std::fs::write(directory.path().join("acme"), content).unwrap();
            credentials.reread(&tenant("acme"));
            match want {
                Some(want) => assert_eq!(secret(&credentials, "acme").as_deref(), Some(want)),
                None => {
                    let error = credentials.of(&tenant("acme")).unwrap_err();
                    assert!(matches!(error, CredentialError::Invalid { .. }), "{content:?}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_tenant_without_a_file_has_no_credential_and_a_missing_shared_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("acme"), "s").unwrap();
        let credentials = Credentials::per_tenant(directory.path());
        assert!(credentials.knows(&tenant("acme")) && !credentials.knows(&tenant("other")));
        assert_eq!(secret(&credentials, "other"), None);
        let shared = Credentials::shared(directory.path().join("missing"));
        assert!(shared.knows(&tenant("acme")));
        assert!(matches!(shared.of(&tenant("acme")), Err(CredentialError::Unreadable { .. })));
        let none = Credentials::none();
        assert!(none.knows(&tenant("acme")) && secret(&none, "acme").is_none() && !none.are_asked_for());
    }

    #[test]
    fn a_rotated_file_is_read_again_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme");
        let credentials = Credentials::per_tenant(directory.path());
        std::fs::write(&path, "old").unwrap();
        assert_eq!(secret(&credentials, "acme").as_deref(), Some("old"));
        assert!(!credentials.reread(&tenant("acme")));
        std::fs::write(&path, "new").unwrap();
        assert_eq!(secret(&credentials, "acme").as_deref(), Some("old"), "it is in use for a while");
        assert!(credentials.reread(&tenant("acme")));
        assert_eq!(secret(&credentials, "acme").as_deref(), Some("new"));
        std::fs::remove_file(&path).unwrap();
        assert!(credentials.reread(&tenant("acme")));
        assert_eq!(secret(&credentials, "acme"), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("acme"), "hush-hush").unwrap();
        let credentials = Credentials::per_tenant(directory.path());
        let credential = credentials.of(&tenant("acme")).unwrap();
        assert!(!format!("{credentials:?} {credential:?}").contains("hush-hush"));
    }
}

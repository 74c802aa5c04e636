//! An HTTP client that trusts whom a file names, also after the file was replaced.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, ClientBuilder, RequestBuilder, Response};
use tokio::time::Instant;

use super::files::FileStamp;
use super::tls::certificates;

/// How long a client is used before the file of its authorities is looked at again.
const CHECKED_EVERY: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    #[error("cannot read the certificates in {}", path.display())]
    CaFile { path: PathBuf, source: io::Error },
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// The client of one service.
pub(super) enum HttpClient {
    /// Trusts whom the system trusts.
    Fixed(Client),
    ByFile(Box<ByFile>),
}

/// Trusts whom the file names.
pub(super) struct ByFile {
    path: PathBuf,
    build: Box<dyn Fn() -> ClientBuilder + Send + Sync>,
    in_use: Mutex<InUse>,
}

struct InUse {
    client: Client,
    stamp: FileStamp,
    /// None where the file is to be looked at before the next call.
    checked_at: Option<Instant>,
    is_broken_file_told: bool,
}

impl HttpClient {
    /// A client as `build` makes it, that trusts whom the PEM file names instead of whom the system trusts, where there is
    /// one.
    pub(super) fn new(
        ca_file: Option<&Path>,
        build: impl Fn() -> ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, HttpClientError> {
        let Some(path) = ca_file else { return Ok(Self::Fixed(build().build().map_err(HttpClientError::Client)?)) };
        let stamp = stamp(path)?;
        let client = client(path, build())?;
        let in_use = InUse { client, stamp, checked_at: Some(Instant::now()), is_broken_file_told: false };
        let (path, in_use) = (path.to_owned(), Mutex::new(in_use));
        Ok(Self::ByFile(Box::new(ByFile { path, build: Box::new(build), in_use })))
    }

    /// Sends the request. Where no connection comes about, the next one is made by the file as it stands then: the service may
    /// show the certificate of another authority by now.
    pub(super) async fn send(
        &self,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<Response, reqwest::Error> {
        let by_file = match self {
            Self::Fixed(client) => return request(client).send().await,
            Self::ByFile(by_file) => by_file,
        };
        let sent = request(&by_file.client()).send().await;
        if sent.as_ref().is_err_and(reqwest::Error::is_connect) {
            by_file.look_before_the_next_call();
        }
        sent
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl ByFile {
    fn client(&self) -> Client {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if in_use.checked_at.is_none_or(|at| at.elapsed() >= CHECKED_EVERY) {
            in_use.checked_at = Some(Instant::now());
            self.look(&mut in_use);
        }
        in_use.client.clone()
    }

    fn look_before_the_next_call(&self) {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).checked_at = None;
    }

    /// Makes a new client where the file is another one. A file that cannot be used changes nothing and is told once.
    fn look(&self, in_use: &mut InUse) {
        let file = self.path.display();
        match self.made_anew(in_use.stamp) {
            Ok(None) => in_use.is_broken_file_told = false,
            Ok(Some((client, stamp))) => {
                *in_use = InUse { client, stamp, is_broken_file_told: false, ..*in_use };
                tracing::info!(%file, "the CA file has changed; connections are made by the new one from now on");
            }
            Err(error) => {
                if !std::mem::replace(&mut in_use.is_broken_file_told, true) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%file, error, "the CA file cannot be used; connections are made by the old one");
                }
            }
        }
    }

    /// A client by the file and its stamp, unless it is the file of this stamp still.
    fn made_anew(&self, known: FileStamp) -> Result<Option<(Client, FileStamp)>, HttpClientError> {
        // Taken first: a file that is replaced in between is another one at the next look.
        let stamp = stamp(&self.path)?;
        if stamp == known {
            return Ok(None);
        }
        Ok(Some((client(&self.path, (self.build)())?, stamp)))
    }
}

fn stamp(path: &Path) -> Result<FileStamp, HttpClientError> {
    FileStamp::at(path).map_err(|source| unreadable(path, source))
}

fn client(path: &Path, build: ClientBuilder) -> Result<Client, HttpClientError> {
    let trusted = certificates(path).map_err(|source| unreadable(path, source))?;
    build.tls_certs_only(trusted).build().map_err(HttpClientError::Client)
}

fn unreadable(path: &Path, source: io::Error) -> HttpClientError {
    HttpClientError::CaFile { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;
    use crate::edge::tls::install_tls_provider;

    const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUYftbeJUs64BF7vvmRSPyQzGH7i4wCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBYTAgFw0yNjExMzAyMzUyMDVaGA8yMTI2MTEwNjIzNTIwNVow
DDEKMAgGA1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPPG6/zLG5pt
1K/IWSpwo9hHZrtkjEPgU2C0S9ecaiZkpPWCH8tDbMrqw/cgbQAZXlD5jozaOhK9
epDmcquW7cajUzBRMB0GA1UdDgQWBBRQm78c8klFwyLHCWK9FF2rJipU3zAfBgNV
HSMEGDAWgBRQm78c8klFwyLHCWK9FF2rJipU3zAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIHS0KG2CHzwcAtjJgMfxb+S7c+22Cov0BOrgL3uF7ctq
AiEA3gyC20Mtv4keNBSFw6dDUC9zCQRaKIagY31nUDZ2s/M=
-----END CERTIFICATE-----
";
    const NO_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_looked_at_every_five_seconds_and_a_broken_one_is_told_once_and_changes_nothing() {
        install_tls_provider();
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _logging = tracing::subscriber::set_default(subscriber);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, AUTHORITY).unwrap();
        let HttpClient::ByFile(client) = HttpClient::new(Some(&path), Client::builder).unwrap() else {
            panic!("there is a file")
        };
        let broken = "the CA file cannot be used; connections are made by the old one";
        let changed = "the CA file has changed; connections are made by the new one from now on";
        for (millis, file, told) in [
            (0, "of two", ""),
            (4_999, "same", ""),
            (1, "same", changed),
            (5_000, "same", ""),
            (5_000, "gone", broken),
            (5_000, "empty", ""),
            (5_000, "no certificate", ""),
            (5_000, "of one", changed),
            (5_000, "no certificate", broken),
        ] {
            match file {
                "of one" => std::fs::write(&path, AUTHORITY).unwrap(),
                "of two" => std::fs::write(&path, AUTHORITY.repeat(2)).unwrap(),
                "empty" => std::fs::write(&path, "").unwrap(),
                "no certificate" => std::fs::write(&path, NO_CERTIFICATE).unwrap(),
                "gone" => std::fs::remove_file(&path).unwrap(),
                _ => {}
            }
            tokio::time::advance(Duration::from_millis(millis)).await;
            let _client = client.client();
            let text = String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap();
            assert_eq!(text.lines().count(), usize::from(!told.is_empty()), "{file}: {text}");
            assert!(text.contains(told), "{file}: {text}");
        }
    }
}

//! Certificates that the tests make, and a front that speaks TLS before a server that does not.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::child::directory;
use super::unique;

/// A certificate authority of one test's own. Its files go with this value.
pub struct Authority {
    directory: TempDir,
}

/// A server's certificate and its key, in PEM.
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Valid {
    Now,
    UntilYesterday,
}

impl Authority {
    pub fn make() -> Self {
        let authority = Self { directory: directory("authority") };
        let settings = "[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\n";
        std::fs::write(authority.path("settings"), settings).expect("a file can be written");
        let (settings, key, certificate) =
            (authority.text("settings"), authority.text("ca.key"), authority.text("ca.pem"));
        // Two of one name would be taken for the same, with a signature that is wrong.
        let subject = format!("/CN={}", unique("authority"));
        let made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", &subject];
        let files = ["-config", &settings, "-extensions", "ca", "-keyout", &key, "-out", &certificate];
        openssl(&[&made[..], &files].concat());
        authority
    }

    /// The certificate to trust.
    pub fn certificate(&self) -> String {
        self.text("ca.pem")
    }

    /// A certificate for a server under these names, like `DNS:localhost`.
    pub fn issue(&self, name: &str, alternatives: &str, valid: Valid) -> Identity {
        let of = |kind: &str| self.text(&format!("{name}.{kind}"));
        let (settings, key, request, certificate) = (of("settings"), of("key"), of("request"), of("pem"));
        let text = format!(
            "[req]\ndistinguished_name=dn\n[dn]\n[leaf]\nbasicConstraints=CA:FALSE\nsubjectAltName={alternatives}\n"
        );
        std::fs::write(&settings, text).expect("a file can be written");
        let subject = format!("/CN={name}");
        let asked = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-config", &settings, "-subj", &subject];
        openssl(&[&asked[..], &["-keyout", &key, "-out", &request]].concat());
        let days = match valid {
            Valid::Now => "2",
            Valid::UntilYesterday => "-1",
        };
        let (authority, authority_key) = (self.text("ca.pem"), self.text("ca.key"));
        let signed = ["x509", "-req", "-in", &request, "-CA", &authority, "-CAkey", &authority_key];
        let as_what = ["-CAcreateserial", "-days", days, "-extfile", &settings, "-extensions", "leaf"];
        openssl(&[&signed[..], &as_what, &["-out", &certificate]].concat());
        Identity { certificate: certificate.into(), key: key.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path in UTF-8").to_owned()
    }
}

impl Identity {
    /// Key and certificate in one file, as Kafka reads them.
    pub fn in_one_file(&self) -> PathBuf {
        let read = |path: &Path| std::fs::read_to_string(path).expect("a file can be read");
        let path = self.certificate.with_extension("both.pem");
        std::fs::write(&path, read(&self.key) + &read(&self.certificate)).expect("a file can be written");
        path
    }
}

fn openssl(args: &[&str]) {
    let made = Command::new("openssl").args(args).output().expect("these tests need openssl: ./test installs it");
    assert!(made.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&made.stderr));
}

/// Ends TLS and passes on what it holds, to and fro. It ends with this value.
pub struct TlsFront {
    pub address: SocketAddr,
    protocols: Vec<Vec<u8>>,
    shown: Arc<Mutex<Shown>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// What new connections are shown, and the end of those that were.
#[derive(Clone)]
struct Shown {
    acceptor: TlsAcceptor,
    until: CancellationToken,
}

impl TlsFront {
    pub fn start(identity: &Identity, behind: SocketAddr) -> Self {
        Self::start_for(identity, &[], move |mut front| async move {
            if let Ok(mut back) = TcpStream::connect(behind).await {
                // Whoever has enough ends the connection, which is no trouble.
                let _ = copy_bidirectional(&mut front, &mut back).await;
            }
        })
    }

    /// The same for whoever serves what TLS holds, in one of these protocols.
    pub fn start_for<S>(
        identity: &Identity,
        protocols: &[&[u8]],
        serve: impl Fn(TlsStream<TcpStream>) -> S + Send + Sync + 'static,
    ) -> Self
    where
        S: Future<Output = ()> + Send,
    {
        let protocols: Vec<Vec<u8>> = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let shown = Arc::new(Mutex::new(Shown::new(identity, &protocols)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (serve, shown_now) = (Arc::new(serve), Arc::clone(&shown));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (Shown { acceptor, until }, serve) = (shown_now.lock().unwrap().clone(), Arc::clone(&serve));
                tokio::spawn(until.run_until_cancelled_owned(async move {
                    // Whoever does not believe us ends the handshake.
                    if let Ok(front) = acceptor.accept(stream).await {
                        serve(front).await;
                    }
                }));
            }
        });
        Self { address, protocols, shown, runtime: Some(runtime) }
    }

    /// Shows another certificate from now on, and ends the connections that were made by the one before.
    pub fn rotate(&self, identity: &Identity) {
        let before = std::mem::replace(&mut *self.shown.lock().unwrap(), Shown::new(identity, &self.protocols));
        before.until.cancel();
    }
}

impl Shown {
    fn new(identity: &Identity, protocols: &[Vec<u8>]) -> Self {
        stepup::edge::tls::install_tls_provider();
        let chain = CertificateDer::pem_file_iter(&identity.certificate).expect("a PEM file");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(&identity.key).expect("a key");
        let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a pair");
        config.alpn_protocols = protocols.to_vec();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), until: CancellationToken::new() }
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

//! TLS: the cryptography behind every connection of this process, whom it trusts, and whether a service can be reached and is
//! still there.

use std::error::Error as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Url, redirect};
use tokio::net::TcpStream;

use crate::wire::session::for_people;

/// How long a look at a service may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Installs ring as the process-wide provider of cryptography. Calling it again changes nothing, and one that is installed
/// already stays.
pub fn install_tls_provider() {
    // The only failure is that a provider stands there already, which is what was wanted.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(path: &Path) -> io::Result<Vec<Certificate>> {
    let pem = std::fs::read(path)?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(io::Error::other)?;
    if certificates.is_empty() {
        return Err(io::Error::other("it holds no PEM certificate"));
    }
    Ok(certificates)
}

/// Has a client find out that the other end of an HTTP/2 connection is gone, which its calls share: while one of them waits it
/// is asked for a sign of life. Otherwise each call would time out by itself, over the same connection, for as long as
/// something on the way pretends to be there.
pub(super) fn watching_its_connections(client: ClientBuilder, timeout: Duration) -> ClientBuilder {
    client.http2_keep_alive_interval(timeout / 2).http2_keep_alive_timeout(timeout)
}

/// Whether the host of a URL can be connected to, within 2 seconds; over TLS, whether it is also who it claims to be by
/// the word of the authorities in `ca_file`, or of the system's. No credential is sent, and an answer is not judged.
pub async fn reach(url: &str, ca_file: Option<&Path>) -> Result<(), String> {
    let url = Url::parse(url).map_err(|_| "the URL cannot be read".to_owned())?;
    if url.scheme() == "https" { shake_hands(url, ca_file).await } else { connect(&url).await }
}

async fn connect(url: &Url) -> Result<(), String> {
    let address = url.host_str().zip(url.port_or_known_default());
    let (host, port) = address.ok_or_else(|| "the URL names no host".to_owned())?;
    match tokio::time::timeout(PATIENCE, TcpStream::connect((host.trim_matches(['[', ']']), port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} s", PATIENCE.as_secs())),
    }
}

/// Asks for nothing but the head of the front page.
async fn shake_hands(mut url: Url, ca_file: Option<&Path>) -> Result<(), String> {
    url.set_path("/");
    url.set_query(None);
    install_tls_provider();
    let mut client = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(PATIENCE);
    if let Some(path) = ca_file {
        let unreadable = |error| format!("cannot read the certificates in {}: {error}", path.display());
        client = client.tls_certs_only(certificates(path).map_err(unreadable)?);
    }
    let client = client.build().map_err(|error| innermost(&error))?;
    match client.head(url).send().await {
        Err(error) if error.is_timeout() && error.is_connect() => {
            Err(format!("no connection within {} s", PATIENCE.as_secs()))
        }
        Err(error) if error.is_connect() => Err(for_people(&format!("no connection: {}", innermost(&error)))),
        // Who answers slowly or not at all is left to those who ask for something.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What is at the bottom of an error: that names no URL.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let bottom = std::iter::successors(error.source(), |cause| (*cause).source()).last();
    bottom.map_or_else(|| "the HTTP client failed".to_owned(), ToString::to_string)
}

//! The cryptography behind every TLS connection of this process.

/// Installs ring as the process-wide provider of cryptography. Calling it again changes nothing, and one that is installed
/// already stays.
pub fn install_tls_provider() {
    // The only failure is that a provider stands there already, which is what was wanted.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}

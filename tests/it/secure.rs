//! Who is believed, what is kept to itself, and who gets whose: TLS, secrets, tenants.

mod api;
mod kafka;
mod secrets;
mod tenants;

/// Password changes: one event of these makes one command.
const ON: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"password_change":true}}"#;

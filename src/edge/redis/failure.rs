//! What can go wrong between us and Redis, and what of it waiting mends.

use std::io;
use std::path::Path;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::edge::StoreError;

/// Why a call came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Redis(RedisError),
    #[error("{what} was not done in time")]
    TimedOut { what: &'static str },
    #[error("{has} replicas have what was written, and redis.wait_replicas is {wanted}")]
    TooFewReplicas { has: usize, wanted: usize },
    /// A person mends it. The sentence holds nothing of what is stored, and no credentials.
    #[error("{0}")]
    Broken(String),
}

/// An answer whose form no server of ours gives.
pub(super) fn not_understood() -> Failure {
    Failure::Broken("Redis answered in a form that is not understood".to_owned())
}

/// A settings file that cannot be read.
pub(super) fn unreadable_file(key: &'static str, file: &Path, error: &io::Error) -> Failure {
    let file = file.display();
    Failure::Broken(format!("the file that `redis.{key}` names cannot be read: {file}: {error}"))
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match broken(&error) {
            Some(reason) => Self::Broken(reason.to_owned()),
            None => Self::Redis(error),
        }
    }
}

impl Failure {
    pub(super) fn into_store_error(self, action: &'static str) -> StoreError {
        match self {
            Self::Broken(reason) => StoreError::Broken { action, reason },
            Self::Redis(_) | Self::TimedOut { .. } | Self::TooFewReplicas { .. } => {
                StoreError::Unavailable { action, source: Box::new(self) }
            }
        }
    }

    /// Whether the server answered, but does not do this for us.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}

/// Whether a connection over which this came is better made anew: it is cut or hangs, its server no longer takes writes or
/// our credentials.
pub(super) fn spoils_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.kind() == ErrorKind::Parse
        || error.kind() == ErrorKind::AuthenticationFailed
        || error.kind() == ErrorKind::ClusterConnectionNotFound
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "READONLY"))
}

pub(super) fn is_missing_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// What a person has to mend, if waiting does not.
fn broken(error: &RedisError) -> Option<&'static str> {
    let kind = error.kind();
    if kind == ErrorKind::AuthenticationFailed {
        return Some("Redis refuses the user name or the password");
    }
    if kind == ErrorKind::InvalidClientConfig {
        return Some("the addresses or certificates of Redis cannot be used as they are configured");
    }
    if kind == ErrorKind::UnexpectedReturnType || kind == ErrorKind::Client {
        return Some("Redis answered in a form that is not understood");
    }
    let detail = error.detail().unwrap_or_default();
    // Where no node of a cluster could be reached, what the last of them said stands only in the text.
    if error.is_io_error() && detail.contains("AuthenticationFailed") {
        return Some("Redis refuses the user name or the password");
    }
    if error.is_io_error() && detail.contains("NOAUTH") {
        return Some("Redis wants a user name or a password");
    }
    match error.code()? {
        "WRONGTYPE" => Some("a key with our prefix holds another type of value: something else writes there"),
        "BADLENGTH" => Some("what is stored is no whole number of records: something else writes under our prefix"),
        "NOAUTH" => Some("Redis wants a user name or a password"),
        "WRONGPASS" => Some("Redis refuses the user name or the password"),
        "NOPERM" => Some(
            "the Redis user lacks a permission; it needs our keys, and the commands of strings, hashes, sorted sets and scripts",
        ),
        "CROSSSLOT" => Some("keys of one bucket lie in different slots: the key prefix must not hold braces"),
        "ERR" if detail.contains("max number of clients") => None,
        "ERR" if detail.contains("unknown command") => Some("Redis lacks a command; version 6.2 or later is needed"),
        "ERR" | "BADCALL" => Some("Redis refuses the command"),
        // OOM, LOADING, READONLY, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, BUSY, MISCONF and the like pass.
        _ => None,
    }
}

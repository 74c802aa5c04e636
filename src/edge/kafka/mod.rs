//! Kafka: records in, by batches of partitions that are ours; records out, acknowledged.
//!
//! A consumer has a thread of its own that never waits for anybody's work: it polls, hands batches over, and commits what
//! was reported finished. So its membership in the group does not depend on how slow the world behind it is.

mod ask;
pub mod committed;
pub mod consumer;
pub mod find;
pub mod headers;
mod heard;
pub mod loader;
pub mod offsets;
pub mod probe;
pub mod producer;
pub mod range;
pub mod records;
pub mod tail;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::files::FileStamp;

/// How to reach the brokers: librdkafka's properties, some of them read from files.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    pub brokers: String,
    pub properties: BTreeMap<String, String>,
    /// Properties whose value is the trimmed content of a file, read whenever a client is made.
    pub property_files: BTreeMap<String, PathBuf>,
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("kafka property {property}: the file {path} cannot be read")]
    PropertyFile { property: String, path: PathBuf, source: std::io::Error },
    #[error("the Kafka client refuses its configuration")]
    Refused(#[source] rdkafka::error::KafkaError),
    #[error("the Kafka client's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

impl Connection {
    /// What tells whether the files are still those that a client was made with.
    fn stamps(&self) -> Vec<Option<FileStamp>> {
        let stamp = |path: &PathBuf| std::fs::metadata(path).ok().map(|metadata| FileStamp::of(&metadata));
        self.property_files.values().map(stamp).collect()
    }

    /// A client configuration with our properties first and the operator's on top.
    fn client(&self, ours: &[(&str, &str)]) -> Result<rdkafka::ClientConfig, ClientError> {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", "stepup");
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Warning);
        // Load balancers and address translation forget connections that are idle for four minutes and tell nobody: what is
        // sent over one then is waited for until it times out. One that is closed before is made anew at once.
        config.set("connections.max.idle.ms", "180000");
        config.set("socket.keepalive.enable", "true");
        for (property, value) in ours {
            config.set(*property, *value);
        }
        for (property, value) in &self.properties {
            config.set(property, value);
        }
        for (property, path) in &self.property_files {
            let content = std::fs::read_to_string(path).map_err(|source| ClientError::PropertyFile {
                property: property.clone(),
                path: path.clone(),
                source,
            })?;
            config.set(property, content.trim());
        }
        Ok(config)
    }
}

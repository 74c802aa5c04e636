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
use std::fmt;
use std::path::PathBuf;

use rdkafka::error::KafkaError;

use super::files::FileStamp;

/// How to reach the brokers: librdkafka's properties, some of them read from files.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    pub brokers: String,
    pub properties: BTreeMap<String, String>,
    /// Properties whose value is the trimmed content of a file, read whenever a client is made.
    pub property_files: BTreeMap<String, PathBuf>,
}

/// Why a client could not be made. It shows no value of a property, which may be a password.
#[derive(thiserror::Error)]
pub enum ClientError {
    #[error("kafka property {property}: the file {path} cannot be read")]
    PropertyFile { property: String, path: PathBuf, source: std::io::Error },
    #[error("the Kafka client refuses its configuration: {}", reason(.0))]
    Refused(KafkaError),
    #[error("the Kafka client's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What librdkafka says, which names the property. The library's own text has the value after it.
fn reason(error: &KafkaError) -> String {
    if let KafkaError::ClientConfig(_, description, _, _) = error {
        return description.trim_end().to_owned();
    }
    error.to_string()
}

impl Connection {
    /// What tells whether the files are still those that a client was made with.
    fn stamps(&self) -> Vec<Option<FileStamp>> {
        let stamp = |path: &PathBuf| FileStamp::at(path).ok();
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

#[cfg(test)]
mod tests {
    use rdkafka::consumer::BaseConsumer;

    use super::*;

    /// How a client is refused that has this property, by its value or by a file with it.
    fn refused(property: &str, value: &str) -> [ClientError; 2] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), value).unwrap();
        let by_value =
            Connection { properties: [(property.to_owned(), value.to_owned())].into(), ..Connection::default() };
        let by_file = Connection {
            property_files: [(property.to_owned(), file.path().to_owned())].into(),
            ..Connection::default()
        };
        [by_value, by_file].map(|connection| {
            let made: Result<BaseConsumer, _> = connection.client(&[]).unwrap().create();
            made.err().map(ClientError::Refused).unwrap()
        })
    }

    #[test]
    fn a_property_that_is_refused_is_named_without_its_value() {
        for (property, value, reason) in [
            ("sasl.pasword", "hunter2secret", "No such configuration property: \"sasl.pasword\""),
            ("sasl.oauthbearer.client.secret", "hunter2secret", "\"sasl.oauthbearer.client.secret\" not supported"),
            ("linger.ms", "hunter2secret", "Invalid value for configuration property \"queue.buffering.max.ms\""),
            ("fetch.wait.max.ms", "987654321", "property \"fetch.wait.max.ms\" value 987654321 is outside"),
        ] {
            for error in refused(property, value) {
                let said = error.to_string();
                assert!(said.contains(reason) && said.lines().count() == 1, "{said}");
                let whole = anyhow::Error::from(error);
                let shown = [said, format!("{whole:#}"), format!("{whole:?}")];
                assert!(!shown.iter().any(|text| text.contains("hunter2")), "{shown:?}");
            }
        }
    }
}

//! What the spans of all roles say in the same way.

use crate::edge::kafka::records::At;
use crate::traces::Attributes;

/// What is done with which record, in the words of OpenTelemetry's conventions for messaging.
pub(super) fn of_record(position: At<'_>, operation: &'static str) -> Attributes {
    vec![
        ("messaging.system", "kafka".into()),
        ("messaging.operation.type", "process".into()),
        ("messaging.operation.name", operation.into()),
        ("messaging.destination.name", position.topic.to_string().into()),
        ("messaging.destination.partition.id", position.partition.to_string().into()),
        ("messaging.kafka.offset", position.offset.into()),
    ]
}

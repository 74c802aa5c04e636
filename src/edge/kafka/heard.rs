//! What a Kafka client says of its brokers, kept so that people learn the reason and not only that nothing works.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;

/// The last reason that tells why a broker cannot be used.
#[derive(Default)]
pub(super) struct Heard {
    reason: Mutex<Option<String>>,
    refused: AtomicBool,
    /// When people were last told of each kind of error.
    told: Mutex<HashMap<String, Instant>>,
}

/// How long one kind of error is not told again.
const QUIET: Duration = Duration::from_secs(60);

impl Heard {
    /// Takes note of an error, and gives back what people should read: that all brokers are down says little where one
    /// of them said why.
    pub(super) fn tell(&self, error: &KafkaError, reason: &str) -> String {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            return match self.reason().as_ref() {
                Some(cause) => format!("{reason}: {cause}"),
                None => reason.to_owned(),
            };
        }
        if is_refusal(code) {
            self.refused.store(true, Ordering::Release);
        }
        let text = if reason.is_empty() { error.to_string() } else { reason.to_owned() };
        *self.reason() = Some(text.clone());
        text
    }

    /// A broker can be used again.
    pub(super) fn forget(&self) {
        *self.reason() = None;
        self.refused.store(false, Ordering::Release);
    }

    /// Whether who we say we are was refused, or not believed, since a broker could be used.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Whether people are to be told of an error: of each kind once in a while.
    pub(super) fn is_news(&self, error: &KafkaError, now: Instant) -> bool {
        let kind = error.to_string();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = told.get(&kind).is_some_and(|last| now.saturating_duration_since(*last) < QUIET);
        if !is_known {
            told.insert(kind, now);
        }
        !is_known
    }

    pub(super) fn last(&self) -> Option<String> {
        self.reason().clone()
    }

    fn reason(&self) -> MutexGuard<'_, Option<String>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_refusal(code: Option<RDKafkaErrorCode>) -> bool {
    matches!(
        code,
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::SSL)
    )
}

/// That brokers do not answer a question.
#[derive(Debug, thiserror::Error)]
#[error("the brokers do not answer{}", .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
pub struct NoAnswer {
    /// What the client said of them meanwhile.
    reason: Option<String>,
    source: Box<KafkaError>,
}

/// The most events that are looked at for a reason.
const MOST_EVENTS: usize = 100;

impl NoAnswer {
    /// Why the consumer's brokers did not answer a question, which got it this error. Nothing more is read with it.
    pub(super) fn of(consumer: &BaseConsumer<Listening>, source: KafkaError) -> Self {
        // What the client has to say waits until it is polled.
        for _ in 0..MOST_EVENTS {
            let _ = consumer.poll(Duration::ZERO);
        }
        Self { reason: consumer.context().0.last(), source: Box::new(source) }
    }
}

/// A client that only takes note; who shares the note tells people of it.
#[derive(Default)]
pub(super) struct Listening(pub(super) Arc<Heard>);

impl ClientContext for Listening {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client");
        self.0.tell(&error, reason);
    }
}

impl ConsumerContext for Listening {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_brokers_down_is_told_with_the_reason_that_one_of_them_gave() {
        let heard = Heard::default();
        let all_down = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
        assert_eq!(heard.tell(&all_down, "1/1 brokers are down"), "1/1 brokers are down");
        assert!(!heard.is_refused());
        let refused = KafkaError::Global(RDKafkaErrorCode::Authentication);
        assert_eq!(heard.tell(&refused, "invalid credentials"), "invalid credentials");
        assert_eq!(heard.tell(&all_down, "1/1 brokers are down"), "1/1 brokers are down: invalid credentials");
        assert!(heard.is_refused());
        heard.forget();
        assert_eq!((heard.last(), heard.is_refused()), (None, false));
    }

    #[test]
    fn one_kind_of_error_is_told_once_a_minute() {
        let (heard, start) = (Heard::default(), Instant::now());
        let packed = KafkaError::MessageConsumption(RDKafkaErrorCode::BadCompression);
        let disk = KafkaError::MessageConsumption(RDKafkaErrorCode::KafkaStorageError);
        for (second, error, want) in
            [(0, &packed, true), (1, &packed, false), (1, &disk, true), (59, &packed, false), (60, &packed, true)]
        {
            assert_eq!(heard.is_news(error, start + Duration::from_secs(second)), want, "{error} at {second}");
        }
    }
}

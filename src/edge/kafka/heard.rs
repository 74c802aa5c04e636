//! What a Kafka client says of its brokers, kept so that people learn the reason and not only that nothing works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The last reason that tells why a broker cannot be used.
#[derive(Default)]
pub(super) struct Heard {
    reason: Mutex<Option<String>>,
    refused: AtomicBool,
}

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
}

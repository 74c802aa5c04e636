//! Holding: where the world behind a role is broken, it waits, says so, and goes on where it was.

use std::time::Duration;

use rand::RngExt as _;
use tokio_util::sync::CancellationToken;

use crate::edge::kafka::producer::{Outgoing, Sink};
use crate::health::{Dependency, Health};
use crate::metrics::{HeldReason, Metrics, Role};

/// The role was told to stop while it waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// What a role waits with.
#[derive(Clone)]
pub struct Holder {
    pub role: Role,
    pub metrics: Metrics,
    pub health: Health,
    pub stop: CancellationToken,
}

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Holder {
    /// Tries until it works, with growing waits between, or until the role is stopped: then the attempt under way is the
    /// last one. While it does not work the role is held for `reason`, and says so in metrics, readiness and log.
    pub async fn until_ok<T, E, F>(
        &self,
        reason: HeldReason,
        dependency: Dependency,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Stopped>
    where
        E: std::error::Error,
        F: Future<Output = Result<T, E>>,
    {
        let mut wait = FIRST_WAIT;
        let mut held = None;
        loop {
            match attempt().await {
                Ok(value) => {
                    if held.is_some() {
                        self.health.ready(self.role, dependency);
                    }
                    return Ok(value);
                }
                Err(error) => self.health.missing(self.role, dependency, &in_full(&error)),
            }
            if held.is_none() {
                held = Some(self.metrics.hold(self.role, reason));
            }
            // Between half and all of the wait, so that replicas do not come back as one.
            let pause = wait.mul_f64(rand::rng().random_range(0.5..=1.0));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Stopped),
                () = tokio::time::sleep(pause) => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Writes records until each is acknowledged; what was acknowledged is not sent again.
    pub async fn send<S: Sink>(&self, sink: &S, records: Vec<Outgoing>) -> Result<(), Stopped> {
        self.send_renewed(sink, records, |_| {}).await
    }

    /// The same; `renew` is given each record that is to be sent again before it is.
    pub async fn send_renewed<S: Sink>(
        &self,
        sink: &S,
        records: Vec<Outgoing>,
        renew: impl Fn(&mut Outgoing),
    ) -> Result<(), Stopped> {
        let open = std::sync::Mutex::new(records);
        let take = || std::mem::take(&mut *open.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        self.until_ok(HeldReason::KafkaProduce, Dependency::KafkaOutput, || async {
            let records = take();
            let Err(error) = sink.send(&records).await else { return Ok(()) };
            let mut unsent: Vec<Outgoing> =
                error.unsent.iter().filter_map(|place| records.get(*place).cloned()).collect();
            unsent.iter_mut().for_each(&renew);
            *open.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = unsent;
            Err(error)
        })
        .await
    }
}

/// An error with its causes, in one line; a cause that the one before it has told already is not told again.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Told(&'static str, #[source] Option<Box<Told>>);

    #[test]
    fn every_cause_is_told_once() {
        let of = |texts: &[&'static str]| {
            let chain = texts.iter().rev().fold(None, |source, text| Some(Box::new(Told(text, source))));
            in_full(chain.unwrap().as_ref())
        };
        assert_eq!(of(&["no answer"]), "no answer");
        assert_eq!(of(&["no answer", "refused", "errno 111"]), "no answer: refused: errno 111");
        assert_eq!(of(&["no answer", "connect: refused", "refused"]), "no answer: connect: refused");
    }
}

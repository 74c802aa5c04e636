//! Holding: where the world behind a role is broken, it waits, says so, and goes on where it was; or, where that is
//! configured, it gives up after a time, says that too, and does without until the world is whole again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::patience::{OnUnavailable, Patience, Verdict};
use crate::edge::kafka::producer::{Outgoing, Sink};
use crate::health::{Dependency, Health};
use crate::metrics::{Held, HeldReason, Metrics, Role};

/// The role was told to stop while it waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// The role waited for its time: what needs the missing thing goes to the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp;

/// What a role waits with. Clones know of each other's failures.
#[derive(Clone)]
pub struct Holder {
    pub role: Role,
    pub metrics: Metrics,
    pub health: Health,
    pub stop: CancellationToken,
    terms: OnUnavailable,
    away: Arc<Away>,
}

/// What is away at the moment, as far as the role has tried.
struct Away {
    began: Instant,
    known: Mutex<HashMap<Dependency, Missed>>,
}

#[derive(Default)]
struct Missed {
    patience: Patience,
    /// What is given up stays visible as held.
    held: BTreeMap<HeldReason, Held>,
}

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Holder {
    /// A role that waits for whatever it needs, for ever.
    pub fn new(role: Role, metrics: Metrics, health: Health, stop: CancellationToken) -> Self {
        let away = Away { began: Instant::now(), known: Mutex::default() };
        Self { role, metrics, health, stop, terms: OnUnavailable::Hold, away: Arc::new(away) }
    }

    /// The same role under these terms.
    #[must_use]
    pub fn under(self, terms: OnUnavailable) -> Self {
        Self { terms, ..self }
    }

    pub fn terms(&self) -> OnUnavailable {
        self.terms
    }

    /// Tries until it works, with growing waits between, or until the role is stopped: then the attempt under way is the
    /// last one. While it does not work the role is held for `reason`, and says so in metrics, readiness and log.
    pub async fn until_ok<T, E, F>(
        &self,
        reason: HeldReason,
        dependency: Dependency,
        attempt: impl FnMut() -> F,
    ) -> Result<T, Stopped>
    where
        E: std::error::Error,
        F: Future<Output = Result<T, E>>,
    {
        let for_ever = |_: &E| Verdict::Wait { at_most: None };
        let (value, waited) = self.hold(reason, dependency, attempt, for_ever).await?.map_err(|GivenUp| Stopped)?;
        if waited {
            self.health.ready(self.role, dependency);
        }
        Ok(value)
    }

    /// The same, but gives up where the role's terms say so: from then on, until it works again, after one attempt.
    /// `asked` tells whether an attempt that works has asked the dependency at all.
    pub async fn until_ok_or_given_up<T, E, F>(
        &self,
        reason: HeldReason,
        dependency: Dependency,
        attempt: impl FnMut() -> F,
        asked: impl FnOnce() -> bool,
    ) -> Result<Result<T, GivenUp>, Stopped>
    where
        E: std::error::Error,
        F: Future<Output = Result<T, E>>,
    {
        let began = self.now();
        let judge = |error: &E| {
            let verdict = self.known().entry(dependency).or_default().patience.failed(self.terms, began, self.now());
            match verdict {
                Verdict::Wait { .. } => {}
                Verdict::GiveUp | Verdict::GiveUpStill => self.give_up(reason, dependency, &in_full(error)),
            }
            verdict
        };
        let (value, waited) = match self.hold(reason, dependency, attempt, judge).await? {
            Ok(done) => done,
            Err(GivenUp) => return Ok(Err(GivenUp)),
        };
        if waited || self.is_away(dependency) && asked() {
            self.is_there(dependency);
        }
        Ok(Ok(value))
    }

    /// Gives back what the attempt brought, and whether others failed before it.
    async fn hold<T, E, F>(
        &self,
        reason: HeldReason,
        dependency: Dependency,
        mut attempt: impl FnMut() -> F,
        mut judge: impl FnMut(&E) -> Verdict,
    ) -> Result<Result<(T, bool), GivenUp>, Stopped>
    where
        E: std::error::Error,
        F: Future<Output = Result<T, E>>,
    {
        let mut wait = FIRST_WAIT;
        let mut held = None;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(Ok((value, held.is_some()))),
                Err(error) => error,
            };
            let left = match judge(&error) {
                Verdict::Wait { at_most } => at_most,
                Verdict::GiveUp | Verdict::GiveUpStill => return Ok(Err(GivenUp)),
            };
            self.health.missing(self.role, dependency, &in_full(&error));
            if held.is_none() {
                held = Some(self.metrics.hold(self.role, reason));
            }
            // Between half and all of the wait, so that replicas do not come back as one.
            let pause = wait.mul_f64(rand::rng().random_range(0.5..=1.0));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Stopped),
                () = tokio::time::sleep(left.map_or(pause, |left| pause.min(left))) => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Says that what needs the dependency goes to the dead letters for now.
    pub fn give_up(&self, reason: HeldReason, dependency: Dependency, error: &str) {
        let first = {
            let mut known = self.known();
            let held = &mut known.entry(dependency).or_default().held;
            let first = held.is_empty();
            held.entry(reason).or_insert_with(|| self.metrics.hold(self.role, reason));
            first
        };
        let said = format!("given up, what needs it goes to the dead letters: {error}");
        self.health.missing(self.role, dependency, &said);
        if first {
            tracing::error!(
                role = %self.role, %dependency, error,
                "given up: what needs it goes to the dead letters until it is there again"
            );
        }
    }

    /// The dependency answered.
    pub fn is_there(&self, dependency: Dependency) {
        let missed = self.known().remove(&dependency);
        if let Some(mut missed) = missed
            && (missed.patience.is_there() || !missed.held.is_empty())
        {
            tracing::info!(role = %self.role, %dependency, "it is there again: nothing is given up any more");
        }
        self.health.ready(self.role, dependency);
    }

    /// Whether the last attempt that asked the dependency failed.
    pub fn is_away(&self, dependency: Dependency) -> bool {
        self.known().get(&dependency).is_some_and(|missed| missed.patience.is_away() || !missed.held.is_empty())
    }

    /// Whether the dependency was given up and nobody has tried it for `quiet`: somebody should look.
    pub fn is_forgotten(&self, dependency: Dependency, quiet: Duration) -> bool {
        let now = self.now();
        self.known().get(&dependency).is_some_and(|missed| missed.patience.is_forgotten(quiet, now))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Dependency, Missed>> {
        self.away.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.away.began.elapsed()
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

    /// What a role whose store works at these attempts (`+`, else `-`) makes of each piece of work, and what is said then.
    async fn told(after: Duration, attempts: &str) -> Vec<(&'static str, f64, bool)> {
        let (metrics, health) = (Metrics::new(0).unwrap(), Health::new());
        health.register(Role::Evaluate, &[]);
        let holder = Holder::new(Role::Evaluate, metrics.clone(), health.clone(), CancellationToken::new())
            .under(OnUnavailable::DeadLetter { after });
        let mut attempts = attempts.chars();
        let mut told = Vec::new();
        while !attempts.as_str().is_empty() {
            let attempt = || {
                let works = attempts.next() != Some('-');
                async move { if works { Ok(()) } else { Err(Told("refused", None)) } }
            };
            let done =
                holder.until_ok_or_given_up(HeldReason::Windows, Dependency::Redis, attempt, || true).await.unwrap();
            let word = done.map_or("given up", |()| "done");
            told.push((word, f64::from(u8::from(!metrics.held().is_empty())), health.readiness().missing.is_empty()));
        }
        told
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_is_waited_for_then_tried_once_for_each_batch_until_it_is_there() {
        let (done, given_up) = (("done", 0.0, true), ("given up", 1.0, false));
        // It waits 100 and 200 ms at the most and then for what is left: the last attempt is at the end of its time.
        assert_eq!(told(Duration::from_millis(250), "--+").await, [done]);
        assert_eq!(told(Duration::ZERO, "-+").await, [given_up, done]);
        assert_eq!(told(Duration::ZERO, "--+-").await, [given_up, given_up, done, given_up]);
        assert_eq!(told(Duration::from_secs(3_600), "---------+").await, [done]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_works_without_asking_the_store_does_not_mean_that_it_is_there() {
        let holder = Holder::new(Role::Evaluate, Metrics::new(0).unwrap(), Health::new(), CancellationToken::new())
            .under(OnUnavailable::DeadLetter { after: Duration::ZERO });
        let (reason, store) = (HeldReason::Windows, Dependency::Redis);
        let fails = || async { Err::<(), _>(Told("refused", None)) };
        let works = || async { Ok::<_, Told>(()) };
        assert_eq!(holder.until_ok_or_given_up(reason, store, fails, || true).await, Ok(Err(GivenUp)));
        assert_eq!(holder.until_ok_or_given_up(reason, store, works, || false).await, Ok(Ok(())));
        assert!(holder.is_away(store));
        assert_eq!(holder.until_ok_or_given_up(reason, store, works, || true).await, Ok(Ok(())));
        assert!(!holder.is_away(store));
    }

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

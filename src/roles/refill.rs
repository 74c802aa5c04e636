//! Filling a store again that lost what it kept, from the topics, before anything more is decided by it.
//!
//! One replica does it while the others wait. It first gives everybody the time to notice and to commit what they have
//! finished; then it reads back what the store had been told: claims from the commands, windows from the activity up to the
//! committed positions, outcomes from the outcomes. All of it may be told twice without harm.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::hold::{Holder, in_full};
use crate::edge::StoreError;
use crate::edge::marks::{Era, FILLING_FOR, Marked, Marks, Part, Watch};
use crate::health::Dependency;
use crate::metrics::HeldReason;

mod decisions;
mod filled;
mod outcomes;
mod reading;

pub use decisions::Decisions;
pub use filled::Filled;
pub use outcomes::FixedOutcomes;

/// So long everybody has to notice, and to commit what they have finished: the longest that a batch may go unconfirmed, the
/// time between two commits, and as much again.
const SETTLING: Duration = Duration::from_secs(4);
/// A batch that was recorded longer ago than this is confirmed before it is reported finished.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(1);

/// A store that is not whole, and was not filled.
#[derive(Debug, thiserror::Error)]
pub enum Unfilled {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("Redis lost what it kept; another replica fills it again from the topics")]
    ByAnother,
    #[error("Redis lost what it kept, and then again while it was filled")]
    LostAgain,
    #[error("Redis lost what it kept, and it could not be filled again: {reason}")]
    Failed { reason: String },
}

/// How a part of a store is filled.
pub trait Fill: Send + Sync {
    /// Tells the store everything again. Gives how many records that were.
    fn fill(&self, course: &Course<'_>) -> impl Future<Output = anyhow::Result<u64>> + Send;
}

/// Whether a store is whole, and what is done where it is not. Clones share it.
#[derive(Clone)]
pub struct Kept {
    watch: Watch,
    refill: Arc<dyn Ensure>,
}

impl Kept {
    pub fn new<S: Marks + 'static, F: Fill + 'static>(store: S, part: Part, fill: F, holder: Holder) -> Self {
        let watch = Watch::default();
        let one = tokio::sync::Mutex::new(Filling::default());
        Self { watch: watch.clone(), refill: Arc::new(Refill { store, part, fill, holder, watch, one }) }
    }

    /// The era of the store, as far as it is known to be whole.
    pub fn era(&self) -> Option<Era> {
        self.watch.era()
    }

    /// What a store's calls are to be watched by.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The era of a store that is whole; one that is not is filled first.
    pub async fn ensure(&self) -> Result<Era, Unfilled> {
        match self.watch.era() {
            Some(era) => Ok(era),
            None => self.refill.ensure().await,
        }
    }

    /// The same, after a look at the store.
    pub async fn confirm(&self) -> Result<Era, Unfilled> {
        self.refill.look().await?;
        self.ensure().await
    }

    /// Keeps the marks of a store alive that nobody writes to, until `stop`.
    pub async fn keep_marks(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(Duration::from_secs(3_600));
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            // A store that is away is told of by those who cannot go on without it.
            let _ = self.refill.prolong().await;
        }
    }
}

/// [`Refill`] without its types.
trait Ensure: Send + Sync {
    fn ensure(&self) -> BoxFuture<'_, Result<Era, Unfilled>>;
    fn look(&self) -> BoxFuture<'_, Result<(), Unfilled>>;
    fn prolong(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

struct Refill<S, F> {
    store: S,
    part: Part,
    fill: F,
    holder: Holder,
    watch: Watch,
    /// Of this process only one fills at a time.
    one: tokio::sync::Mutex<Filling>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Filling {
    /// This process has worked with the store before.
    has_worked: bool,
    /// The number of a filling that came to no end. It is taken up again under it, for no other may begin meanwhile.
    number: Option<Era>,
}

impl<S: Marks, F: Fill> Ensure for Refill<S, F> {
    fn ensure(&self) -> BoxFuture<'_, Result<Era, Unfilled>> {
        async {
            let mut filling = self.one.lock().await;
            if let Some(era) = self.watch.era() {
                return Ok(era);
            }
            let era = match self.store.marked(self.part).await? {
                Marked::Whole(era) => era,
                Marked::Lost => self.fill_again(&mut filling).await?,
            };
            self.watch.begin(era);
            filling.has_worked = true;
            Ok(era)
        }
        .boxed()
    }

    fn look(&self) -> BoxFuture<'_, Result<(), Unfilled>> {
        async {
            if let Some(era) = self.watch.era()
                && self.store.marked(self.part).await? != Marked::Whole(era)
            {
                self.watch.end(era);
            }
            Ok(())
        }
        .boxed()
    }

    fn prolong(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async {
            match self.watch.era() {
                Some(_) => self.store.prolong(self.part).await,
                None => Ok(()),
            }
        }
        .boxed()
    }
}

impl<S: Marks, F: Fill> Refill<S, F> {
    async fn fill_again(&self, filling: &mut Filling) -> Result<Era, Unfilled> {
        let number = *filling.number.get_or_insert_with(|| Era(NonZeroU64::MIN | rand::random::<u64>()));
        if !self.store.begin_filling(self.part, number).await? {
            return Err(Unfilled::ByAnother);
        }
        let role = self.holder.role;
        let _held = self.holder.metrics.hold(role, HeldReason::Refill);
        let course = Course {
            holder: &self.holder,
            has_worked: filling.has_worked,
            renew: &|| self.store.go_on_filling(self.part, number).boxed(),
            renewed: std::sync::Mutex::new(Instant::now()),
        };
        let records = self.fill.fill(&course).await.map_err(|error| match error.downcast::<Unfilled>() {
            Ok(unfilled) => unfilled,
            Err(error) => Unfilled::Failed { reason: in_full(error.as_ref()) },
        })?;
        if !self.store.end_filling(self.part, number).await? {
            return Err(Unfilled::LostAgain);
        }
        filling.number = None;
        if records > 0 {
            self.holder.metrics.refilled(role);
            self.holder.metrics.refilled_records(role, records);
            tracing::warn!(%role, records, "redis had lost what it kept; it was filled again from the topics");
        }
        self.holder.health.ready(role, Dependency::Redis);
        Ok(number)
    }
}

/// A filling under way.
pub struct Course<'a> {
    holder: &'a Holder,
    has_worked: bool,
    renew: &'a (dyn Fn() -> BoxFuture<'a, Result<bool, StoreError>> + Send + Sync),
    renewed: std::sync::Mutex<Instant>,
}

impl Course<'_> {
    /// Is to be told of every step, with the records so far. An error ends the filling.
    pub async fn goes_on(&self, records: u64) -> anyhow::Result<()> {
        anyhow::ensure!(!self.holder.stop.is_cancelled(), "told to stop");
        self.holder.health.heartbeat(self.holder.role);
        let due = {
            let mut renewed = self.renewed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let due = renewed.elapsed() >= FILLING_FOR / 10;
            if due {
                *renewed = Instant::now();
            }
            due
        };
        if due {
            let reason = format!("it lost what it kept; it is filled again from the topics: {records} records so far");
            self.holder.health.missing(self.holder.role, Dependency::Redis, &reason);
            if !(self.renew)().await.context("redis")? {
                return Err(Unfilled::LostAgain.into());
            }
        }
        Ok(())
    }

    /// Waits until everybody has noticed and committed, unless nobody has worked yet.
    pub async fn settle(&self, has_begun: bool) -> anyhow::Result<()> {
        if has_begun || self.has_worked { self.wait(SETTLING).await } else { Ok(()) }
    }

    /// Lets time pass.
    pub async fn wait(&self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.goes_on(0).await?;
            tokio::time::sleep(Duration::from_millis(100).min(time)).await;
        }
        Ok(())
    }
}

//! What a batch at hand needs where the store loses what it kept: a filling reaches only as far as what is committed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Evaluate, Recorded};
use crate::config::Evaluate as Settings;
use crate::domain::time::Timestamp;
use crate::edge::StoreError;
use crate::edge::claims::Claims;
use crate::edge::kafka::producer::Sink;
use crate::edge::marks::Era;
use crate::edge::preferences::PreferencesSource;
use crate::edge::quotas::Quotas;
use crate::edge::windows::Windows;
use crate::health::Dependency;
use crate::metrics::HeldReason;
use crate::roles::hold::{GivenUp, Stopped};
use crate::roles::refill::{CONFIRM_AFTER, Unfilled};
use crate::roles::walk;

/// When a batch's bets were recorded, and in which era of the store.
#[derive(Debug)]
pub(super) struct Since {
    at: Instant,
    era: AtomicU64,
}

impl Since {
    pub(super) fn now(era: Option<Era>) -> Self {
        Self { at: Instant::now(), era: AtomicU64::new(number(era)) }
    }

    fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

/// 0 is no era.
fn number(era: Option<Era>) -> u64 {
    era.map_or(0, |era| era.0.get())
}

impl<W: Windows, C: Claims + Quotas, K: Sink, S: PreferencesSource> Evaluate<W, C, K, S> {
    /// Records a batch's bets once more where the store has lost them. What was judged by them stays.
    pub(super) async fn record_again_if_lost(&self, recorded: &Recorded) -> Result<bool, StoreError> {
        let current = number(self.kept.era());
        if current != 0 && recorded.since.era.load(Ordering::Relaxed) == current {
            return Ok(false);
        }
        walk::record(&self.windows, &recorded.arrivals, &[], &self.window_settings, self.outlive()).await?;
        recorded.since.era.store(number(self.kept.era()), Ordering::Relaxed);
        Ok(true)
    }

    /// Makes sure of a batch that took long: where the store lost what it kept meanwhile, its bets are recorded and its
    /// claims are taken again.
    pub(super) async fn confirm(
        &self,
        recorded: &Recorded,
        settings: &Settings,
        now: Option<Timestamp>,
    ) -> Result<(), Stopped> {
        if recorded.since.age() < CONFIRM_AFTER {
            return Ok(());
        }
        let confirm = || async {
            self.kept.confirm().await?;
            if self.record_again_if_lost(recorded).await? {
                let (arrivals, windowed) = (&recorded.arrivals, &recorded.windowed);
                walk::decide(&self.claims, arrivals, windowed, settings, now, self.outlive()).await?;
            }
            Ok::<_, Unfilled>(())
        };
        // A store that is given up tells nothing.
        let confirmed =
            self.holder.until_ok_or_given_up(HeldReason::Windows, Dependency::Redis, confirm, || true).await?;
        let (Ok(()) | Err(GivenUp)) = confirmed;
        Ok(())
    }
}

//! What a batch at hand needs where the store loses what it kept: a filling reaches only as far as what is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Evaluate, Recorded};
use crate::config::Evaluate as Settings;
use crate::domain::time::Timestamp;
use crate::edge::StoreError;
use crate::edge::claims::Claims;
use crate::edge::kafka::producer::Sink;
use crate::edge::marks::Era;
use crate::edge::preferences::PreferencesSource;
use crate::edge::quotas::Quotas;
use crate::edge::windows::{Compaction, Logs, Windows};
use crate::health::Dependency;
use crate::metrics::HeldReason;
use crate::roles::hold::{GivenUp, Stopped};
use crate::roles::refill::{CONFIRM_AFTER, Unfilled};
use crate::roles::walk::{self, Bets, Conditions, SHARES, Share, Unsent, Wanted};

/// A batch's bets, and the era of the store in which they were told to it last.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) bets: Bets,
    /// Of each share.
    eras: [AtomicU64; SHARES],
}

impl Told {
    pub(super) fn new(bets: Bets) -> Arc<Self> {
        Arc::new(Self { bets, eras: Default::default() })
    }

    fn is_of(&self, share: usize, era: u64) -> bool {
        era != 0 && self.eras[share].load(Ordering::Relaxed) == era
    }

    fn note(&self, share: usize, era: u64) {
        self.eras[share].store(era, Ordering::Relaxed);
    }
}

/// 0 is no era.
fn number(era: Option<Era>) -> u64 {
    era.map_or(0, |era| era.0.get())
}

impl<W: Windows, C: Claims + Quotas, K: Sink, S: PreferencesSource> Evaluate<W, C, K, S> {
    /// Records a share of a batch's bets behind those of the batches `ahead` of it, which are recorded again first where
    /// the store has lost them: a filling does not bring them back, and what comes after them must find them there.
    pub(super) async fn record_behind(
        &self,
        told: &Told,
        share: usize,
        due: &[Compaction],
        ahead: &[Arc<Told>],
    ) -> Result<Logs, Unfilled> {
        let customers = &told.bets.shares[share].customers;
        if customers.is_empty() && due.is_empty() {
            told.note(share, number(self.kept.era()));
            return Ok(Logs::default());
        }
        let era = number(Some(self.kept.ensure().await?));
        for earlier in ahead.iter().filter(|earlier| !earlier.is_of(share, era)) {
            self.windows.record(&earlier.bets.shares[share].customers, &[]).await?;
            earlier.note(share, era);
        }
        let logs = self.windows.record(customers, due).await?;
        if number(self.kept.era()) != era {
            return Err(StoreError::Lost { action: "record bets in their windows" }.into());
        }
        told.note(share, era);
        Ok(logs)
    }

    /// Records a batch's bets once more where the store has lost them. What was judged by them stays.
    pub(super) async fn record_again_if_lost(&self, recorded: &Recorded) -> Result<bool, StoreError> {
        let (told, mut lost) = (&recorded.told, false);
        for (share, Share { customers, .. }) in told.bets.shares.iter().enumerate() {
            if told.is_of(share, number(self.kept.era())) {
                continue;
            }
            if !customers.is_empty() {
                self.windows.record(customers, &[]).await?;
            }
            told.note(share, number(self.kept.era()));
            lost = true;
        }
        Ok(lost)
    }

    /// Makes sure of a batch that took long: where the store lost what it kept meanwhile, its bets are recorded and its
    /// claims are taken again.
    pub(super) async fn confirm(
        &self,
        recorded: &Recorded,
        settings: &Settings,
        now: Option<Timestamp>,
    ) -> Result<(), Stopped> {
        if recorded.since.elapsed() < CONFIRM_AFTER {
            return Ok(());
        }
        let confirm = || async {
            self.kept.confirm().await?;
            if self.record_again_if_lost(recorded).await? {
                let (arrivals, windowed) = (&recorded.arrivals, &recorded.windowed);
                let unsent = Unsent::of([]);
                let under = Conditions { settings, now, outlive: self.outlive(), unsent: &unsent };
                walk::decide(&self.claims, arrivals, windowed, under, Wanted::Candidates).await?;
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

//! The steps that need something outside, and what becomes of a batch where that is given up: the records that need it are
//! rejected, the others go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::hold::Stopped;
use super::super::walk::{self, Arrival, Conditions, Decisions, Unsent, Wanted, Windowed};
use super::{Evaluate, Recorded};
use crate::config::Evaluate as Settings;
use crate::domain::ids::TenantId;
use crate::domain::outcome::{RejectCode, Rejection};
use crate::domain::patience::OnUnavailable;
use crate::domain::time::Timestamp;
use crate::domain::window::Reach;
use crate::edge::claims::Claims;
use crate::edge::clock;
use crate::edge::kafka::producer::Sink;
use crate::edge::kafka::records::retain_kept;
use crate::edge::preferences::{Lookup, PreferencesSource, Unavailable};
use crate::edge::quotas::Quotas;
use crate::edge::windows::Windows;
use crate::health::Dependency;
use crate::metrics::HeldReason;

/// The tenant whose preferences were given up last, until somebody reads them again. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Unread(std::sync::Arc<Mutex<Option<TenantId>>>);

impl Unread {
    pub fn tenant(&self) -> Option<TenantId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set(&self, tenant: Option<TenantId>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = tenant;
    }
}

/// What is known of a tenant, if anything can be said of it.
type Answer = Result<Lookup, Box<Unavailable>>;

impl<W: Windows, C: Claims + Quotas, K: Sink, S: PreferencesSource> Evaluate<W, C, K, S> {
    /// Gives every arrival its tenant's preferences; takes out those whose tenant's are of no use.
    pub(super) async fn look_up(&self, recorded: &mut Recorded) -> Result<(), Stopped> {
        let (tenants, tenant_of) = tenants_of(&recorded.arrivals);
        let read = || self.read(&tenants);
        let known = self.holder.until_ok(HeldReason::Preferences, Dependency::Preferences, read).await?;
        self.tell_preferences(&tenants, &known);
        let mut given_up = 0;
        recorded.tenants = tenants;
        recorded.tenant_of = tenant_of;
        recorded.reject(|arrival, tenant| match &known[tenant] {
            Ok(Lookup::Known(preferences)) => {
                arrival.preferences = Some(std::sync::Arc::clone(preferences));
                None
            }
            Ok(Lookup::NoTenant) => None,
            Ok(Lookup::Unusable { reason }) => {
                Some(Rejection { code: RejectCode::PreferencesUnavailable, error: reason.clone() })
            }
            Err(_) => {
                given_up += 1;
                Some(self.given_up(RejectCode::PreferencesUnavailable, "the tenant's preferences were"))
            }
        });
        recorded.note_given_up(HeldReason::Preferences, given_up);
        Ok(())
    }

    /// What is known of each tenant. An error while one is waited for; those that are given up are none.
    async fn read(&self, tenants: &[TenantId]) -> Result<Vec<Answer>, Box<Unavailable>> {
        let OnUnavailable::DeadLetter { after } = self.holder.terms() else {
            return Ok(self.preferences.of_all(tenants).await?.into_iter().map(Ok).collect());
        };
        let known = self.preferences.each(tenants).await;
        let waited_for = |answer: &&Answer| answer.as_ref().is_err_and(|it| it.since.elapsed() < after);
        match known.iter().find(waited_for) {
            Some(Err(unavailable)) => Err(unavailable.clone()),
            Some(Ok(_)) | None => Ok(known),
        }
    }

    /// Says which preferences are given up, or that those that were are there again.
    fn tell_preferences(&self, tenants: &[TenantId], known: &[Answer]) {
        let lost = known.iter().find_map(|answer| answer.as_ref().err());
        if let Some(unavailable) = lost {
            self.unread.set(Some(unavailable.tenant.clone()));
            self.holder.give_up(HeldReason::Preferences, Dependency::Preferences, &unavailable.to_string());
        } else if self.unread.tenant().is_some_and(|unread| tenants.contains(&unread)) {
            self.unread.set(None);
            self.holder.is_there(Dependency::Preferences);
        }
    }

    pub(super) fn give_windows_up(&self, recorded: &mut Recorded) {
        self.reject_for_want_of_the_store(recorded, HeldReason::Windows, |arrival, _| walk::needs_window(arrival));
        recorded.told = Arc::default();
        recorded.windowed = Windowed::none_of(recorded.arrivals.len());
    }

    /// Decides the batch. Gives back the clock that it was decided by, too.
    pub(super) async fn decide_batch(
        &self,
        recorded: &mut Recorded,
        settings: &Settings,
        unsent: &Unsent,
        wanted: Wanted,
    ) -> Result<(Decisions, Option<Timestamp>), Stopped> {
        let needs = |arrival: &Arrival, reach| walk::needs_claims(arrival, reach, settings, clock::now());
        let of = &*recorded;
        let asked = || of.arrivals.iter().zip(&of.windowed.reaches).any(|(arrival, reach)| needs(arrival, *reach));
        let decide = || self.decide_once(of, settings, unsent, wanted);
        let done = self.holder.until_ok_or_given_up(HeldReason::Claims, Dependency::Redis, decide, asked).await?;
        if let Ok(decided) = done {
            return Ok(decided);
        }
        self.reject_for_want_of_the_store(recorded, HeldReason::Claims, needs);
        // What is left asks for no claims.
        let decide = || self.decide_once(recorded, settings, unsent, wanted);
        self.holder.until_ok(HeldReason::Claims, Dependency::Redis, decide).await
    }

    async fn decide_once(
        &self,
        recorded: &Recorded,
        settings: &Settings,
        unsent: &Unsent,
        wanted: Wanted,
    ) -> Result<(Decisions, Option<Timestamp>), crate::edge::StoreError> {
        self.record_again_if_lost(recorded).await?;
        // The clock of the attempt that succeeds, however long the store was away before.
        let under = Conditions { settings, now: Some(clock::now()), outlive: self.outlive(), unsent };
        let decisions = walk::decide(&self.claims, &recorded.arrivals, &recorded.windowed, under, wanted).await?;
        Ok((decisions, under.now))
    }

    /// How long what is kept must outlive its own use: as long as a role may be down.
    pub(super) fn outlive(&self) -> Duration {
        self.window_settings.outage_budget
    }

    fn reject_for_want_of_the_store(
        &self,
        recorded: &mut Recorded,
        reason: HeldReason,
        needs: impl Fn(&Arrival, Option<Reach>) -> bool,
    ) {
        let reaches = std::mem::take(&mut recorded.windowed.reaches);
        let mut reach_of = reaches.iter().copied();
        let (mut kept, mut given_up) = (Vec::with_capacity(recorded.arrivals.len()), 0);
        recorded.reject(|arrival, _| {
            let needed = needs(arrival, reach_of.next().flatten());
            kept.push(!needed);
            given_up += u64::from(needed);
            needed.then(|| self.given_up(RejectCode::StoreUnavailable, "the store was"))
        });
        recorded.windowed.reaches = reaches;
        recorded.windowed.retain(&kept);
        recorded.note_given_up(reason, given_up);
    }

    fn given_up(&self, code: RejectCode, what: &str) -> Rejection {
        let waited = match self.holder.terms() {
            OnUnavailable::Hold => Duration::ZERO,
            OnUnavailable::DeadLetter { after } => after,
        };
        Rejection { code, error: format!("{what} away for evaluate.hold_for ({waited:?})") }
    }
}

impl Recorded {
    /// Takes out the arrivals that cannot be decided, each with the reason that `judge` gives, which is told the place of
    /// the arrival's tenant as well.
    fn reject(&mut self, mut judge: impl FnMut(&mut Arrival, usize) -> Option<Rejection>) {
        let (records, tenant_of, rejected) = (&self.records, &self.tenant_of, &mut self.rejected);
        let mut kept = Vec::with_capacity(records.len());
        self.arrivals.retain_mut(|arrival| {
            let (record, tenant) = (records[kept.len()], tenant_of[kept.len()]);
            let rejection = judge(arrival, tenant);
            kept.push(rejection.is_none());
            if let Some(rejection) = rejection {
                let kind = arrival.event.activity.kind();
                rejected.push((record, Some(arrival.event.tenant.clone()), Some(kind), rejection));
                return false;
            }
            true
        });
        if self.arrivals.len() < kept.len() {
            retain_kept(&mut self.records, &kept);
            retain_kept(&mut self.tenant_of, &kept);
        }
    }

    fn note_given_up(&mut self, reason: HeldReason, records: u64) {
        if records > 0 {
            self.given_up.push((reason, records));
        }
    }
}

/// The tenants of a batch, each once, and the place of each arrival's among them.
fn tenants_of(arrivals: &[Arrival]) -> (Vec<TenantId>, Vec<usize>) {
    let mut tenants: Vec<&TenantId> = Vec::new();
    let mut places: HashMap<&TenantId, usize> = HashMap::with_capacity(arrivals.len());
    // The tenant that was found last of those whose names end alike: mostly it need not be looked up again.
    let mut found_last = [0; 256];
    let mut tenant_of = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        let tenant = &arrival.event.tenant;
        let place = &mut found_last[usize::from(end_of(tenant))];
        if tenants.get(*place) != Some(&tenant) {
            *place = *places.entry(tenant).or_insert_with(|| {
                tenants.push(tenant);
                tenants.len() - 1
            });
        }
        tenant_of.push(*place);
    }
    (tenants.into_iter().cloned().collect(), tenant_of)
}

/// The last two signs of a name, in one.
fn end_of(tenant: &TenantId) -> u8 {
    tenant.as_str().bytes().rev().take(2).fold(0, |end: u8, sign| end.rotate_left(4) ^ sign)
}

//! The cap on the sessions of a tenant and minute, shared by all replicas.
//!
//! Only what would fire takes a place: the claims are looked at first, and of a customer's events in one batch those take none
//! that will cool down behind another. Places are taken before the claims are, and given back where a claim was not free any
//! more; where the claims do not answer they stay taken, for the claims may be, too. So replicas that race may cap a little
//! early, and never exceed the cap.

use std::collections::{BTreeMap, HashMap};

use super::{Asking, Candidate, ask};
use crate::domain::claim::{Claim, ClaimAnswer, ClaimRequest, Intent, settle};
use crate::domain::decide::{Freshness, Mode};
use crate::domain::ids::TenantId;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::edge::StoreError;
use crate::edge::claims::Claims;
use crate::edge::quotas::{Places, Quotas};
use crate::wire::window::{bet_id, customer_key};

/// Places that were taken, and the candidates that they are for.
#[derive(Default)]
pub(super) struct Reserved {
    minute: i64,
    taken: BTreeMap<TenantId, i64>,
    candidates: Vec<usize>,
}

/// Takes places for the candidates that would fire, and marks those that find none.
pub(super) async fn reserve<C: Claims + Quotas>(
    asking: &Asking<'_, C>,
    candidates: &mut [Candidate],
    limit: u32,
    now: Timestamp,
) -> Result<Reserved, StoreError> {
    let counts = |candidate: &Candidate| candidate.mode == Mode::Live && candidate.freshness == Freshness::Fresh;
    let fresh: Vec<usize> = (0..candidates.len()).filter(|place| counts(&candidates[*place])).collect();
    for place in &fresh {
        candidates[*place].cap = Some(limit);
    }
    let looking: Vec<Candidate> = fresh.iter().map(|place| candidates[*place].clone()).collect();
    let answers = ask(asking, &looking).await?;
    let free = fresh.into_iter().zip(answers).filter(|(_, answer)| fires(*answer)).map(|(place, _)| place);
    let mut batch = HashMap::new();
    let wanting: Vec<usize> = free.filter(|place| is_first(asking, &candidates[*place], &mut batch)).collect();
    let minute = now.0.div_euclid(60_000);
    let mut left = take(asking, candidates, &wanting, limit, minute).await?;
    let mut reserved = Reserved {
        minute,
        taken: left.iter().map(|(name, (taken, _))| (name.clone(), *taken)).collect(),
        ..Reserved::default()
    };
    for place in wanting {
        if let Some((_, room)) = left.get_mut(asking.tenant(&candidates[place])).filter(|(_, room)| *room > 0) {
            *room -= 1;
            candidates[place].cap = None;
            reserved.candidates.push(place);
        }
    }
    Ok(reserved)
}

/// Whether no candidate before it in the batch will hold the claim that it needs, if all of them find places.
fn is_first<C>(
    asking: &Asking<'_, C>,
    candidate: &Candidate,
    batch: &mut HashMap<(u128, Trigger), Vec<Claim>>,
) -> bool {
    let (trigger, settings) = (candidate.trigger, asking.under.settings);
    let (cooldown, retention) = (settings.cooldown.of(trigger), settings.claim_retention(trigger));
    if cooldown.is_zero() {
        return true;
    }
    let event = &asking.arrivals[candidate.event].event;
    let claims = batch.entry((customer_key(&event.tenant, &event.customer), trigger)).or_default();
    let claim = Claim { at: event.occurred_at, event: bet_id(&event.id) };
    settle(claims, &ClaimRequest { claim, intent: Intent::Take, cooldown, retention }) == ClaimAnswer::Free
}

/// For each tenant how many places were taken, and how many of them are within the limit.
async fn take<C: Claims + Quotas>(
    asking: &Asking<'_, C>,
    candidates: &[Candidate],
    wanting: &[usize],
    limit: u32,
    minute: i64,
) -> Result<BTreeMap<TenantId, (i64, i64)>, StoreError> {
    let limit = i64::from(limit);
    let mut wanted: BTreeMap<&TenantId, i64> = BTreeMap::new();
    for place in wanting {
        *wanted.entry(asking.tenant(&candidates[*place])).or_default() += 1;
    }
    let places: Vec<Places> = wanted
        .into_iter()
        .map(|(tenant, number)| Places { tenant: tenant.clone(), minute, number: number.min(limit) })
        .collect();
    if places.is_empty() {
        return Ok(BTreeMap::new());
    }
    let counts = asking.claims.live.count(&places).await?;
    let room = |(Places { tenant, number, .. }, count): (Places, i64)| {
        let before = count - number;
        (tenant, (number, (limit - before).clamp(0, number)))
    };
    Ok(places.into_iter().zip(counts).map(room).collect())
}

/// Whether an answer lets a fresh event fire for the first time; without a cool-down there is none.
fn fires(answer: Option<ClaimAnswer>) -> bool {
    matches!(answer, Some(ClaimAnswer::Free) | None)
}

impl Reserved {
    /// Gives back the places that nobody fired for.
    pub(super) async fn give_back<C: Quotas>(
        mut self,
        asking: &Asking<'_, C>,
        candidates: &[Candidate],
        answers: &[Option<ClaimAnswer>],
    ) {
        for place in &self.candidates {
            if fires(answers[*place])
                && let Some(taken) = self.taken.get_mut(asking.tenant(&candidates[*place]))
            {
                *taken -= 1;
            }
        }
        let left = self.taken.into_iter().filter(|(_, taken)| *taken > 0);
        let minute = self.minute;
        let left: Vec<Places> = left.map(|(tenant, taken)| Places { tenant, minute, number: -taken }).collect();
        if !left.is_empty() && asking.claims.live.count(&left).await.is_err() {
            tracing::debug!("places of this minute could not be given back; they count as taken");
        }
    }
}

#[cfg(test)]
#[path = "cap_tests.rs"]
mod tests;

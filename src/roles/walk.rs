//! The walk of one batch from events to decisions, over whatever edges it is given: the live role, a back-test and an
//! explanation take the same steps, and so cannot disagree.

use std::mem::offset_of;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Evaluate;
use crate::domain::claim::{Claim, ClaimAnswer, ClaimRequest, Intent};
use crate::domain::decide::{
    AgeLimit, Decision, DecisionName, Facts, Freshness, Known, Mode, Verdict, conclude, judge,
};
use crate::domain::event::{Activity, Event};
use crate::domain::evidence;
use crate::domain::ids::TenantId;
use crate::domain::preferences::{FrequencyBound, Preferences};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::Reach;
use crate::edge::StoreError;
use crate::edge::claims::{Ask, Claims};
use crate::edge::prefetch::bring_near;
use crate::edge::quotas::Quotas;
use crate::wire::window::{bet_id, customer_key};

mod cap;
mod unsent;
mod windows;
use cap::Reserved;
pub use unsent::{Fired, Unsent};
pub use windows::{Answers, Bets, Keep, SHARES, Share, Windowed, by_share, record, record_keeping};

/// An event and the place it came from.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub event: Event,
    /// A hash of where the event stands in its input: a redelivery has that of the first delivery.
    pub place: u32,
    /// What is known of its tenant: `None` where the tenant has no preferences.
    pub preferences: Option<Arc<Preferences>>,
    /// Whether it may be too old.
    pub age_limit: AgeLimit,
}

/// One event tested against one trigger.
#[derive(Debug, Clone)]
pub struct Tested {
    /// The event's place in the batch.
    pub event: usize,
    pub trigger: Trigger,
    pub decision: Decision,
    /// What the claims answered, where they were asked.
    pub answer: Option<ClaimAnswer>,
}

/// The same as far as it is counted: of every event there are some, and mostly nothing more is told of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The event's place in the batch.
    pub event: usize,
    pub trigger: Trigger,
    pub decision: DecisionName,
}

/// The decisions of a batch, in order.
#[derive(Debug, Default)]
pub struct Decisions {
    pub made: Vec<Made>,
    /// Those that were wanted with their numbers.
    pub tested: Vec<Tested>,
}

/// Of which decisions the numbers are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Every,
    /// Those for which the preferences speak, whatever came of them.
    Candidates,
}

/// What a batch is decided under.
#[derive(Clone, Copy)]
pub struct Conditions<'a> {
    pub settings: &'a Evaluate,
    /// The clock by which an event is too old; without one none is.
    pub now: Option<Timestamp>,
    /// How much longer than they count claims are kept.
    pub outlive: Duration,
    /// Whose claims are kept, beside those of the batch itself.
    pub unsent: &'a Unsent,
}

/// Whether an event's window is asked when it is decided.
pub fn needs_window(arrival: &Arrival) -> bool {
    counted(arrival).is_some()
}

/// The bound of a bet that its tenant wants counted.
fn counted(arrival: &Arrival) -> Option<FrequencyBound> {
    let Activity::Bet(_) = arrival.event.activity else { return None };
    arrival.preferences.as_ref()?.frequency()
}

/// Brings near what is read of the preferences of a batch's events, which lie anywhere in memory: a word from either end of
/// what bets read.
pub fn bring_preferences_near(arrivals: &[Arrival]) {
    const { assert!(offset_of!(Preferences, deposit) <= 64, "there is more than two words bring near") };
    let known = arrivals.iter().filter_map(|arrival| arrival.preferences.as_ref());
    bring_near(known.map(|known| Arc::strong_count(known) as u64 + u64::from(known.deposit.is_some())));
}

/// Where claims are kept: those that count, and those of the triggers that are in shadow.
#[derive(Debug, Clone)]
pub struct Ledgers<C> {
    pub live: C,
    pub shadow: C,
}

/// Decides every event of the batch for every trigger that it tests, in order.
pub async fn decide<C: Claims + Quotas>(
    claims: &Ledgers<C>,
    arrivals: &[Arrival],
    windowed: &Windowed,
    under: Conditions<'_>,
    wanted: Wanted,
) -> Result<Decisions, StoreError> {
    let Conditions { settings, now, .. } = under;
    let tests = |arrival: &Arrival| arrival.event.activity.kind().tests();
    let all = arrivals.iter().map(|arrival| tests(arrival).len()).sum();
    let (mut made, mut tested) = (Vec::with_capacity(all), Vec::new());
    if wanted == Wanted::Every {
        tested.reserve_exact(all);
    }
    let mut candidates = Vec::new();
    bring_preferences_near(arrivals);
    for (event, arrival) in arrivals.iter().enumerate() {
        let known = arrival.preferences.as_deref().map_or(Known::NoTenant, Known::Preferences);
        for trigger in tests(arrival).iter().copied() {
            let (decision, is_wanted) = match judge(&arrival.event, trigger, known, windowed.reaches[event]) {
                Verdict::Decided(decision) => (decision, wanted == Wanted::Every),
                Verdict::Candidate(facts) => {
                    let mode = settings.shadow.mode(&arrival.event.tenant, trigger);
                    let freshness = freshness(arrival, settings, now);
                    let (made, tested) = (made.len(), tested.len());
                    let candidate = Candidate { event, trigger, made, tested, facts, freshness, mode, cap: None };
                    // As long as no claim speaks against it.
                    let decision = candidate.conclude(None, settings);
                    candidates.push(candidate);
                    (decision, true)
                }
            };
            made.push(Made { event, trigger, decision: decision.called() });
            if is_wanted {
                tested.push(Tested { event, trigger, decision, answer: None });
            }
        }
    }
    let asking = Asking { claims, arrivals, under };
    let reserved = match settings.max_sessions_per_minute.zip(now) {
        Some((limit, now)) => cap::reserve(&asking, &mut candidates, limit, now).await?,
        None => Reserved::default(),
    };
    let answers = ask(&asking, &candidates).await?;
    reserved.give_back(&asking, &candidates, &answers).await;
    for (candidate, answer) in candidates.iter().zip(answers) {
        let one = &mut tested[candidate.tested];
        (one.decision, one.answer) = (candidate.conclude(answer, settings), answer);
        made[candidate.made].decision = one.decision.called();
    }
    Ok(Decisions { made, tested })
}

/// Whether claims or places may be asked for when an event is decided at `now` or later.
pub fn needs_claims(arrival: &Arrival, reach: Option<Reach>, settings: &Evaluate, now: Timestamp) -> bool {
    let known = arrival.preferences.as_deref().map_or(Known::NoTenant, Known::Preferences);
    arrival.event.activity.kind().tests().iter().any(|trigger| {
        let Verdict::Candidate(_) = judge(&arrival.event, *trigger, known, reach) else { return false };
        let (cooldown, retention) = (settings.cooldown.of(*trigger), settings.claim_retention(*trigger));
        settings.max_sessions_per_minute.is_some()
            || evidence::asking(freshness(arrival, settings, Some(now)), cooldown, retention).is_some()
    })
}

/// A decision that only the claims, the clock and the cap can still prevent.
#[derive(Clone)]
struct Candidate {
    /// The event's place in the batch.
    event: usize,
    trigger: Trigger,
    /// Its place among all that is decided, and among what is wanted of it.
    made: usize,
    tested: usize,
    facts: Facts,
    freshness: Freshness,
    mode: Mode,
    /// The tenant's sessions a minute, where none is left for it.
    cap: Option<u32>,
}

impl Candidate {
    fn conclude(&self, answer: Option<ClaimAnswer>, settings: &Evaluate) -> Decision {
        let decision = conclude(self.facts, self.freshness, answer, settings.cooldown.of(self.trigger), self.mode);
        self.cap.iter().fold(decision, |decision, limit| decision.capped(*limit))
    }
}

/// What the candidates of a batch are asked about under.
struct Asking<'a, C> {
    claims: &'a Ledgers<C>,
    arrivals: &'a [Arrival],
    under: Conditions<'a>,
}

impl<C> Asking<'_, C> {
    fn tenant(&self, candidate: &Candidate) -> &TenantId {
        &self.arrivals[candidate.event].event.tenant
    }
}

fn freshness(arrival: &Arrival, settings: &Evaluate, now: Option<Timestamp>) -> Freshness {
    let limit = arrival.age_limit.of(settings.max_event_age);
    now.map_or(Freshness::Fresh, |now| Freshness::of(&arrival.event, now, limit))
}

/// One answer for each candidate; none where its trigger has no cool-down and takes no claims.
async fn ask<C: Claims>(
    asking: &Asking<'_, C>,
    candidates: &[Candidate],
) -> Result<Vec<Option<ClaimAnswer>>, StoreError> {
    let Asking { claims, arrivals, under: Conditions { settings, outlive, unsent, .. } } = *asking;
    let mut unsent = unsent.clone();
    let mut answers = vec![None; candidates.len()];
    let (mut live, mut shadow) = (Questions::default(), Questions::default());
    for (place, candidate) in candidates.iter().enumerate() {
        let cooldown = settings.cooldown.of(candidate.trigger);
        let retention = settings.claim_retention(candidate.trigger);
        let Some(intent) = evidence::asking(candidate.freshness, cooldown, retention) else { continue };
        // Without a place it can only learn that it holds a claim already.
        let intent = candidate.cap.map_or(intent, |_| Intent::Look);
        let event = &arrivals[candidate.event].event;
        let key = customer_key(&event.tenant, &event.customer);
        let retention = unsent.keeping(Fired::of(key, candidate.trigger, event.occurred_at), retention);
        let questions = match candidate.mode {
            Mode::Live => &mut live,
            Mode::Shadow => &mut shadow,
        };
        questions.candidates.push(place);
        questions.asks.push(Ask {
            key,
            trigger: candidate.trigger,
            request: ClaimRequest {
                claim: Claim { at: event.occurred_at, event: bet_id(&event.id) },
                intent,
                cooldown,
                retention,
            },
            ttl: claims_ttl(retention, cooldown, outlive),
        });
    }
    let (of_live, of_shadow) = tokio::try_join!(live.put(&claims.live), shadow.put(&claims.shadow))?;
    for (place, answer) in live.candidates.into_iter().zip(of_live).chain(shadow.candidates.into_iter().zip(of_shadow))
    {
        answers[place] = Some(answer);
    }
    Ok(answers)
}

/// How long claims are to be kept from now.
pub fn claims_ttl(retention: Duration, cooldown: Duration, outlive: Duration) -> Duration {
    retention.saturating_add(cooldown).saturating_add(outlive)
}

/// What one ledger is asked in one go.
#[derive(Default)]
struct Questions {
    asks: Vec<Ask>,
    /// The place of the candidate of each.
    candidates: Vec<usize>,
}

impl Questions {
    async fn put<C: Claims>(&self, claims: &C) -> Result<Vec<ClaimAnswer>, StoreError> {
        if self.asks.is_empty() { Ok(Vec::new()) } else { claims.settle(&self.asks).await }
    }
}

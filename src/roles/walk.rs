//! The walk of one batch from events to decisions, over whatever edges it is given: the live role, a back-test and an
//! explanation take the same steps, and so cannot disagree.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Evaluate, Windows as WindowSettings};
use crate::domain::claim::{Claim, ClaimAnswer, ClaimRequest, Intent};
use crate::domain::decide::{AgeLimit, Decision, Freshness, Known, Mode, Verdict, conclude, judge};
use crate::domain::event::{Activity, Event};
use crate::domain::evidence;
use crate::domain::ids::{CustomerId, TenantId};
use crate::domain::preferences::{FrequencyBound, Preferences};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::{self, Bet, Reach, Timeliness, WindowRule};
use crate::edge::StoreError;
use crate::edge::claims::{Ask, Claims};
use crate::edge::quotas::Quotas;
use crate::edge::windows::{Compaction, CustomerBets, Windows};
use crate::wire::window::bet_id;

mod cap;
use cap::Reserved;

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

/// The windows' answers to a batch.
#[derive(Debug, Default)]
pub struct Windowed {
    /// One for each event, where it is a bet that its tenant wants counted.
    pub reaches: Vec<Option<Reach>>,
    /// Logs that hold much that is dead. To be given to a later [`record`], once nothing in them can be redelivered.
    pub compactions: Vec<Compaction>,
    pub late_bets: u64,
    /// The logs by which the bets were judged, where they are kept.
    logs: Vec<Vec<Bet>>,
    /// For each event the place of its customer's log, where that is kept.
    log_of: Vec<Option<usize>>,
}

impl Windowed {
    fn keep(&mut self, log: &[Bet], places: &[usize], events: usize) {
        self.log_of.resize(events, None);
        for place in places {
            self.log_of[*place] = Some(self.logs.len());
        }
        self.logs.push(log.to_vec());
    }

    /// Those of so many events of which no window was asked.
    pub fn none_of(events: usize) -> Self {
        Self { reaches: vec![None; events], ..Self::default() }
    }

    /// Keeps what is of the events that are kept.
    pub fn retain(&mut self, kept: &[bool]) {
        let mut of = kept.iter();
        self.reaches.retain(|_| of.next().copied().unwrap_or(true));
        let mut of = kept.iter();
        self.log_of.retain(|_| of.next().copied().unwrap_or(true));
    }

    /// The log by which an event was judged, as it was read; empty where it is not kept or none was.
    pub fn log(&self, event: usize) -> &[Bet] {
        let log = self.log_of.get(event).copied().flatten().and_then(|log| self.logs.get(log));
        log.map_or(&[], Vec::as_slice)
    }
}

/// What of the windows is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// What they answered.
    Answers,
    /// The logs too, for receipts.
    Logs,
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

/// A log is worth rewriting when it holds this many dead records, and half as many as live ones.
const WORTH_COMPACTING: usize = 8;

/// Appends the batch's bets to their customers' windows and judges each as of its place there.
pub async fn record<W: Windows>(
    windows: &W,
    arrivals: &[Arrival],
    compactions: &[Compaction],
    settings: &WindowSettings,
    outlive: Duration,
) -> Result<Windowed, StoreError> {
    record_keeping(windows, arrivals, compactions, settings, outlive, Keep::Answers).await
}

/// The same, and keeps the logs where that is asked for.
pub async fn record_keeping<W: Windows>(
    windows: &W,
    arrivals: &[Arrival],
    compactions: &[Compaction],
    settings: &WindowSettings,
    outlive: Duration,
    keep: Keep,
) -> Result<Windowed, StoreError> {
    let mut customers = Customers::default();
    for (place, arrival) in arrivals.iter().enumerate() {
        if let Some(bound) = counted(arrival) {
            customers.add(place, arrival, rule(bound, settings), outlive);
        }
    }
    let mut windowed = Windowed { reaches: vec![None; arrivals.len()], ..Windowed::default() };
    if customers.batch.is_empty() && compactions.is_empty() {
        return Ok(windowed);
    }
    let logs = windows.record(&customers.batch, compactions).await?;
    for ((bets, log), (rule, places)) in customers.batch.iter().zip(logs).zip(customers.asked) {
        let judged = window::judge(log.iter().copied(), &bets.bets, &rule);
        if keep == Keep::Logs {
            windowed.keep(&log, &places, arrivals.len());
        }
        for (place, reach) in places.into_iter().zip(judged.reaches) {
            // What was appended a moment ago must be there; a store that lost it cannot be counted on.
            let lost =
                || StoreError::Broken { action: "record bets", reason: "an appended bet is not in its log".into() };
            let reach = reach.ok_or_else(lost)?;
            windowed.late_bets += u64::from(reach.timeliness == Timeliness::Late);
            windowed.reaches[place] = Some(reach);
        }
        let dead = log.len() - judged.kept.len();
        if dead >= WORTH_COMPACTING && dead * 2 >= judged.kept.len() {
            let (tenant, customer) = (bets.tenant.clone(), bets.customer.clone());
            windowed.compactions.push(Compaction { tenant, customer, read: log, kept: judged.kept, ttl: bets.ttl });
        }
    }
    Ok(windowed)
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

fn rule(bound: FrequencyBound, settings: &WindowSettings) -> WindowRule {
    WindowRule::new(bound, settings.max_lookback, settings.allowed_lateness, settings.max_entries)
}

/// The batch's bets by customer, in order of arrival.
#[derive(Default)]
struct Customers {
    batch: Vec<CustomerBets>,
    /// For each customer the rule, and the places of its bets in the batch.
    asked: Vec<(WindowRule, Vec<usize>)>,
    known: HashMap<(TenantId, CustomerId), usize>,
}

impl Customers {
    fn add(&mut self, place: usize, arrival: &Arrival, rule: WindowRule, outlive: Duration) {
        let event = &arrival.event;
        let name = (event.tenant.clone(), event.customer.clone());
        let customer = *self.known.entry(name).or_insert_with(|| {
            self.batch.push(CustomerBets {
                tenant: event.tenant.clone(),
                customer: event.customer.clone(),
                bets: Vec::new(),
                ttl: rule.kept_for().saturating_add(outlive),
            });
            self.asked.push((rule, Vec::new()));
            self.batch.len() - 1
        });
        let bet = Bet { at: event.occurred_at, id: bet_id(&event.id), arrival: arrival.place };
        self.batch[customer].bets.push(bet);
        self.asked[customer].1.push(place);
    }
}

/// Where claims are kept: those that count, and those of the triggers that are in shadow.
#[derive(Debug, Clone)]
pub struct Ledgers<C> {
    pub live: C,
    pub shadow: C,
}

/// Decides every event of the batch for every trigger that it tests, in order. `now` is the clock by which an event is
/// too old; without one none is.
pub async fn decide<C: Claims + Quotas>(
    claims: &Ledgers<C>,
    arrivals: &[Arrival],
    windowed: &Windowed,
    settings: &Evaluate,
    now: Option<Timestamp>,
    outlive: Duration,
) -> Result<Vec<Tested>, StoreError> {
    let mut judged = Vec::with_capacity(arrivals.len());
    let mut candidates = Vec::new();
    for (event, arrival) in arrivals.iter().enumerate() {
        let known = arrival.preferences.as_deref().map_or(Known::NoTenant, Known::Preferences);
        for trigger in arrival.event.activity.kind().tests() {
            let verdict = judge(&arrival.event, *trigger, known, windowed.reaches[event]);
            if let Verdict::Candidate(_) = verdict {
                let mode = settings.shadow.mode(&arrival.event.tenant, *trigger);
                let freshness = freshness(arrival, settings, now);
                candidates.push(Candidate { event, trigger: *trigger, freshness, mode, cap: None });
            }
            judged.push((event, *trigger, verdict));
        }
    }
    let asking = Asking { claims, arrivals, settings, outlive };
    let reserved = match settings.max_sessions_per_minute.zip(now) {
        Some((limit, now)) => cap::reserve(&asking, &mut candidates, limit, now).await?,
        None => Reserved::default(),
    };
    let answers = ask(&asking, &candidates).await?;
    reserved.give_back(&asking, &candidates, &answers).await;
    // The candidates stand in the order of their verdicts, and so do the answers.
    let mut concluded = candidates.iter().zip(answers);
    let tested = judged.into_iter().filter_map(|(event, trigger, verdict)| {
        let (decision, answer) = match verdict {
            Verdict::Decided(decision) => (decision, None),
            Verdict::Candidate(facts) => {
                let (candidate, answer) = concluded.next()?;
                let cooldown = settings.cooldown.of(trigger);
                let decision = conclude(facts, candidate.freshness, answer, cooldown, candidate.mode);
                (candidate.cap.iter().fold(decision, |decision, limit| decision.capped(*limit)), answer)
            }
        };
        Some(Tested { event, trigger, decision, answer })
    });
    Ok(tested.collect())
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
    freshness: Freshness,
    mode: Mode,
    /// The tenant's sessions a minute, where none is left for it.
    cap: Option<u32>,
}

/// What the candidates of a batch are asked about under.
struct Asking<'a, C> {
    claims: &'a Ledgers<C>,
    arrivals: &'a [Arrival],
    settings: &'a Evaluate,
    outlive: Duration,
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
    let Asking { claims, arrivals, settings, outlive } = *asking;
    let mut answers = vec![None; candidates.len()];
    let (mut live, mut shadow) = (Questions::default(), Questions::default());
    for (place, candidate) in candidates.iter().enumerate() {
        let cooldown = settings.cooldown.of(candidate.trigger);
        let retention = settings.claim_retention(candidate.trigger);
        let Some(intent) = evidence::asking(candidate.freshness, cooldown, retention) else { continue };
        // Without a place it can only learn that it holds a claim already.
        let intent = candidate.cap.map_or(intent, |_| Intent::Look);
        let event = &arrivals[candidate.event].event;
        let questions = match candidate.mode {
            Mode::Live => &mut live,
            Mode::Shadow => &mut shadow,
        };
        questions.candidates.push(place);
        questions.asks.push(Ask {
            tenant: event.tenant.clone(),
            customer: event.customer.clone(),
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

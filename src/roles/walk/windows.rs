//! The windows' part of the walk: a batch's bets by customer, and what their logs say of each.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use smallvec::SmallVec;

use super::{Arrival, counted};
use crate::config::Windows as WindowSettings;
use crate::domain::event::Event;
use crate::domain::preferences::FrequencyBound;
use crate::domain::window::{self, Bet, HashedAlready, Judged, Reach, Timeliness, WindowRule};
use crate::edge::StoreError;
use crate::edge::windows::{Compaction, CustomerBets, Logs, Windows};
use crate::wire::window::{bet_id, customer_key};

/// The windows' answers to a batch.
#[derive(Debug, Default)]
pub struct Windowed {
    /// One for each event, where it is a bet that its tenant wants counted.
    pub reaches: Vec<Option<Reach>>,
    /// Logs that hold much that is dead. To be given to a later [`record`], once nothing in them can be redelivered.
    pub compactions: Vec<Compaction>,
    pub late_bets: u64,
    /// The logs by which the bets were judged, where they are kept.
    logs: Logs,
    /// For each event the place of its customer's log, where that is kept.
    log_of: Vec<Option<usize>>,
}

impl Windowed {
    /// Those of so many events of which no window was asked.
    pub fn none_of(events: usize) -> Self {
        Self { reaches: vec![None; events], ..Self::default() }
    }

    /// Puts what the other half of the same events brought to this.
    pub fn join(&mut self, other: Self) {
        let before = self.logs.len();
        for (own, others) in self.reaches.iter_mut().zip(other.reaches) {
            *own = own.or(others);
        }
        for (own, others) in self.log_of.iter_mut().zip(other.log_of) {
            *own = own.or(others.map(|log| before + log));
        }
        self.logs.append(&other.logs);
        self.compactions.extend(other.compactions);
        self.late_bets += other.late_bets;
    }

    /// Keeps what is of the events that are kept.
    pub fn retain(&mut self, kept: &[bool]) {
        retain_kept(&mut self.reaches, kept);
        retain_kept(&mut self.log_of, kept);
    }

    /// The log by which an event was judged, as it was read; empty where it is not kept or none was.
    pub fn log(&self, event: usize) -> &[Bet] {
        let log = self.log_of.get(event).copied().flatten().and_then(|log| self.logs.get(log));
        log.unwrap_or_default()
    }
}

/// Keeps those of a list whose place is kept.
pub fn retain_kept<T>(list: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    list.retain(|_| kept.next().copied().unwrap_or(true));
}

/// What of the windows is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// What they answered.
    Answers,
    /// The logs too, for receipts.
    Logs,
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
    let bets = Bets::of(arrivals, settings, outlive);
    if bets.customers.is_empty() && compactions.is_empty() {
        return Ok(Windowed::none_of(arrivals.len()));
    }
    judge_share(&bets, Share::Whole, windows.record(&bets.customers, compactions).await?, keep)
}

/// A batch's bets that their tenants want counted, by customer.
#[derive(Debug, Default)]
pub struct Bets {
    /// Each customer's in order of arrival; those of the first half before those of the second.
    pub customers: Vec<CustomerBets>,
    /// So many customers are of the first half.
    first_half: usize,
    rules: Vec<WindowRule>,
    /// The place of every bet in the batch, and that of its customer, in order of arrival.
    places: Vec<(usize, usize)>,
    /// So many events the batch has.
    events: usize,
}

impl Bets {
    /// The bets among the events of a batch.
    pub fn of(arrivals: &[Arrival], settings: &WindowSettings, outlive: Duration) -> Self {
        let mut customers = [Vec::with_capacity(arrivals.len()), Vec::with_capacity(arrivals.len() / 2)];
        let mut rules = [Vec::with_capacity(arrivals.len()), Vec::with_capacity(arrivals.len() / 2)];
        let mut places = Vec::with_capacity(arrivals.len());
        let mut known = HashMap::with_capacity_and_hasher(arrivals.len(), HashedAlready::default());
        for (place, arrival) in arrivals.iter().enumerate() {
            let Some(bound) = counted(arrival) else { continue };
            let event = &arrival.event;
            let key = customer_key(&event.tenant, &event.customer);
            let half = Half::of(key) as usize;
            let customer = *known.entry(key).or_insert_with(|| {
                let rule = rule(bound, settings);
                customers[half].push(no_bets_of(event, key, rule.kept_for().saturating_add(outlive)));
                rules[half].push(rule);
                customers[half].len() - 1
            });
            let bet = Bet { at: event.occurred_at, id: bet_id(&event.id), arrival: arrival.place };
            customers[half][customer].bets.push(bet);
            places.push((place, half, customer));
        }
        let [mut all, second] = customers;
        let [mut all_rules, second_rules] = rules;
        let first_half = all.len();
        all.extend(second);
        all_rules.extend(second_rules);
        let places = places.into_iter().map(|(place, half, customer)| (place, half * first_half + customer)).collect();
        Self { customers: all, first_half, rules: all_rules, places, events: arrivals.len() }
    }

    /// The customers of a share.
    pub fn of_share(&self, share: Share) -> &[CustomerBets] {
        &self.customers[self.range(share)]
    }

    /// The customers of one half.
    pub fn half(&self, half: Half) -> &[CustomerBets] {
        self.of_share(Share::Half(half))
    }

    fn range(&self, share: Share) -> Range<usize> {
        match share {
            Share::Whole => 0..self.customers.len(),
            Share::Half(Half::First) => 0..self.first_half,
            Share::Half(Half::Second) => self.first_half..self.customers.len(),
        }
    }
}

/// Customers are of one of two halves, by their hash, so that one can be recorded beside the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    First,
    Second,
}

impl Half {
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];

    /// That of a customer's hash.
    pub fn of(key: u128) -> Self {
        Self::BOTH[usize::from(key >> 127 == 1)]
    }
}

/// What is recorded in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    Whole,
    Half(Half),
}

impl Share {
    pub fn halves(&self) -> &[Half] {
        match self {
            Self::Whole => &Half::BOTH,
            Self::Half(half) => std::slice::from_ref(half),
        }
    }
}

fn no_bets_of(event: &Event, key: u128, ttl: Duration) -> CustomerBets {
    CustomerBets { tenant: event.tenant.clone(), customer: event.customer.clone(), key, bets: SmallVec::new(), ttl }
}

/// Judges each bet of a share as of its place in its customer's log, one log for each of its customers. What comes of the
/// two halves is put together by [`Windowed::join`].
pub fn judge_share(bets: &Bets, share: Share, logs: Logs, keep: Keep) -> Result<Windowed, StoreError> {
    let customers = bets.range(share);
    let mut windowed = Windowed::none_of(bets.events);
    let mut judged = Judged::default();
    // The place of each customer's next answer.
    let mut next = Vec::with_capacity(logs.len());
    for ((asked, log), rule) in bets.of_share(share).iter().zip(logs.iter()).zip(&bets.rules[customers.clone()]) {
        next.push(judged.reaches.len());
        window::judge_into(&mut judged, log, &asked.bets, rule);
        let dead = log.len() - judged.kept_len();
        if dead >= WORTH_COMPACTING && dead * 2 >= judged.kept_len() {
            let (tenant, customer) = (asked.tenant.clone(), asked.customer.clone());
            let (read, kept) = (log.to_vec(), judged.kept());
            windowed.compactions.push(Compaction { tenant, customer, read, kept, ttl: asked.ttl });
        }
    }
    if keep == Keep::Logs {
        windowed.log_of.resize(bets.events, None);
        windowed.logs = logs;
    }
    for (place, customer) in bets.places.iter().filter(|(_, customer)| customers.contains(customer)) {
        // What was appended a moment ago must be there; a store that lost it cannot be counted on.
        let lost = || StoreError::Broken { action: "record bets", reason: "an appended bet is not in its log".into() };
        let customer = customer - customers.start;
        let answer = next.get_mut(customer).ok_or_else(lost)?;
        let reach = judged.reaches.get(*answer).copied().flatten().ok_or_else(lost)?;
        *answer += 1;
        windowed.late_bets += u64::from(reach.timeliness == Timeliness::Late);
        windowed.reaches[*place] = Some(reach);
        if keep == Keep::Logs {
            windowed.log_of[*place] = Some(customer);
        }
    }
    Ok(windowed)
}

fn rule(bound: FrequencyBound, settings: &WindowSettings) -> WindowRule {
    WindowRule::new(bound, settings.max_lookback, settings.allowed_lateness, settings.max_entries)
}

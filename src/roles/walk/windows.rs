//! The windows' part of the walk: a batch's bets by customer, and what their logs say of each.

use std::collections::HashMap;
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
    judge_windows(&bets, windows.record(&bets.customers, compactions).await?, keep)
}

/// A batch's bets that their tenants want counted, by customer.
#[derive(Debug, Default)]
pub struct Bets {
    /// Each customer's in order of arrival.
    pub customers: Vec<CustomerBets>,
    rules: Vec<WindowRule>,
    /// The place of every bet in the batch, and that of its customer, in order of arrival.
    places: Vec<(usize, usize)>,
    /// So many events the batch has.
    events: usize,
}

impl Bets {
    /// The bets among the events of a batch.
    pub fn of(arrivals: &[Arrival], settings: &WindowSettings, outlive: Duration) -> Self {
        let mut bets = Self {
            customers: Vec::with_capacity(arrivals.len()),
            rules: Vec::with_capacity(arrivals.len()),
            places: Vec::with_capacity(arrivals.len()),
            events: arrivals.len(),
        };
        let mut known = HashMap::with_capacity_and_hasher(arrivals.len(), HashedAlready::default());
        for (place, arrival) in arrivals.iter().enumerate() {
            let Some(bound) = counted(arrival) else { continue };
            let event = &arrival.event;
            let key = customer_key(&event.tenant, &event.customer);
            let customer =
                *known.entry(key).or_insert_with(|| bets.add_customer(event, key, rule(bound, settings), outlive));
            let bet = Bet { at: event.occurred_at, id: bet_id(&event.id), arrival: arrival.place };
            bets.customers[customer].bets.push(bet);
            bets.places.push((place, customer));
        }
        bets
    }

    fn add_customer(&mut self, event: &Event, key: u128, rule: WindowRule, outlive: Duration) -> usize {
        self.customers.push(CustomerBets {
            tenant: event.tenant.clone(),
            customer: event.customer.clone(),
            key,
            bets: SmallVec::new(),
            ttl: rule.kept_for().saturating_add(outlive),
        });
        self.rules.push(rule);
        self.customers.len() - 1
    }
}

/// Judges each bet of a batch as of its place in its customer's log, one log for each of [`Bets::customers`].
pub fn judge_windows(bets: &Bets, logs: Logs, keep: Keep) -> Result<Windowed, StoreError> {
    let mut windowed = Windowed::none_of(bets.events);
    let mut judged = Judged::default();
    // The place of each customer's next answer.
    let mut next = Vec::with_capacity(logs.len());
    for ((asked, log), rule) in bets.customers.iter().zip(logs.iter()).zip(&bets.rules) {
        next.push(judged.reaches.len());
        window::judge_into(&mut judged, log.iter().copied(), &asked.bets, rule);
        let dead = log.len() - judged.window.len();
        if dead >= WORTH_COMPACTING && dead * 2 >= judged.window.len() {
            let (tenant, customer) = (asked.tenant.clone(), asked.customer.clone());
            let (read, kept) = (log.to_vec(), judged.window.kept());
            windowed.compactions.push(Compaction { tenant, customer, read, kept, ttl: asked.ttl });
        }
    }
    if keep == Keep::Logs {
        windowed.log_of.resize(bets.events, None);
        windowed.logs = logs;
    }
    for (place, customer) in &bets.places {
        // What was appended a moment ago must be there; a store that lost it cannot be counted on.
        let lost = || StoreError::Broken { action: "record bets", reason: "an appended bet is not in its log".into() };
        let answer = next.get_mut(*customer).ok_or_else(lost)?;
        let reach = judged.reaches.get(*answer).copied().flatten().ok_or_else(lost)?;
        *answer += 1;
        windowed.late_bets += u64::from(reach.timeliness == Timeliness::Late);
        windowed.reaches[*place] = Some(reach);
        if keep == Keep::Logs {
            windowed.log_of[*place] = Some(*customer);
        }
    }
    Ok(windowed)
}

fn rule(bound: FrequencyBound, settings: &WindowSettings) -> WindowRule {
    WindowRule::new(bound, settings.max_lookback, settings.allowed_lateness, settings.max_entries)
}

//! The windows' part of the walk: a batch's bets by customer, and what their logs say of each.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use smallvec::SmallVec;

use super::{Arrival, bring_preferences_near, counted};
use crate::config::Windows as WindowSettings;
use crate::domain::hashed::HashedAlready;
use crate::domain::preferences::FrequencyBound;
use crate::domain::window::{self, Bet, Judged, Reach, Timeliness, WindowRule};
use crate::edge::StoreError;
use crate::edge::kafka::records::retain_kept;
use crate::edge::windows::{Compaction, CustomerBets, Logs, Windows};
use crate::wire::window::{bet_id, bucket, customer_key};

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

    /// Takes in what was judged of a share of the same events.
    pub fn take_in(&mut self, share: &Share, judged: Answers) {
        for ((event, _), reach) in share.places.iter().zip(judged.reaches) {
            self.reaches[*event] = Some(reach);
        }
        if !judged.logs.is_empty() {
            let before = self.logs.len();
            self.log_of.resize(self.reaches.len(), None);
            for (event, customer) in &share.places {
                self.log_of[*event] = Some(before + customer);
            }
            self.logs.append(&judged.logs);
        }
        self.compactions.extend(judged.compactions);
        self.late_bets += judged.late_bets;
    }

    /// Keeps what is of the events that are kept.
    pub fn retain(&mut self, kept: &[bool]) {
        retain_kept(&mut self.reaches, kept);
        retain_kept(&mut self.log_of, kept);
    }

    /// Frees the logs.
    pub fn let_go_of_logs(&mut self) {
        (self.logs, self.log_of) = (Logs::default(), Vec::new());
    }

    /// The log by which an event was judged, as it was read; empty where it is not kept or none was.
    pub fn log(&self, event: usize) -> &[Bet] {
        let log = self.log_of.get(event).copied().flatten().and_then(|log| self.logs.get(log));
        log.unwrap_or_default()
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

/// A log is worth rewriting when it holds this many dead records, and half as many as live ones.
const WORTH_COMPACTING: usize = 8;

/// A customer's rule is looked for among so many of its share.
const RULES_COMPARED: usize = 8;

/// Appends the batch's bets to their customers' windows and judges each as of its place there.
pub async fn record<W: Windows>(
    windows: &W,
    arrivals: &[Arrival],
    compactions: Vec<Compaction>,
    settings: &WindowSettings,
    outlive: Duration,
) -> Result<Windowed, StoreError> {
    record_keeping(windows, arrivals, compactions, settings, outlive, Keep::Answers).await
}

/// The same, and keeps the logs where that is asked for.
pub async fn record_keeping<W: Windows>(
    windows: &W,
    arrivals: &[Arrival],
    compactions: Vec<Compaction>,
    settings: &WindowSettings,
    outlive: Duration,
    keep: Keep,
) -> Result<Windowed, StoreError> {
    let bets = Bets::of(arrivals, settings, outlive);
    let record = async |(share, due): (&Share, Vec<Compaction>)| {
        let asked = !share.customers.is_empty() || !due.is_empty();
        let logs = if asked { windows.record(&share.customers, &due).await? } else { Logs::default() };
        share.judge(logs, keep, |_| true)
    };
    let answers = try_join_all(bets.shares.iter().zip(by_share(compactions)).map(record)).await?;
    let mut windowed = Windowed::none_of(arrivals.len());
    bets.shares.iter().zip(answers).for_each(|(share, judged)| windowed.take_in(share, judged));
    Ok(windowed)
}

/// Customers fall into so many shares, by their hash. What is recorded of one waits for nothing of another.
pub const SHARES: usize = 4;

/// Those of one bucket are of one share: a call for a share asks no more of a cluster than it has to.
fn share_of(key: u128) -> usize {
    usize::from(bucket(key)) * SHARES / 256
}

/// The compactions of each share's customers.
pub fn by_share(compactions: Vec<Compaction>) -> [Vec<Compaction>; SHARES] {
    let mut shares: [Vec<Compaction>; SHARES] = Default::default();
    for one in compactions {
        shares[share_of(one.key)].push(one);
    }
    shares
}

/// A batch's bets that their tenants want counted.
#[derive(Debug, Default)]
pub struct Bets {
    pub shares: [Share; SHARES],
}

/// Those of a share of the customers.
#[derive(Debug, Default)]
pub struct Share {
    /// Each customer's in order of arrival.
    pub customers: Vec<CustomerBets>,
    /// Those that the customers' bets are judged by, and of each customer the place of its own among them.
    rules: Vec<WindowRule>,
    rule_of: Vec<usize>,
    /// The place of every bet in the batch, and that of its customer, in order of arrival.
    places: Vec<(usize, usize)>,
}

/// What is judged of a share's bets.
#[derive(Debug, Default)]
pub struct Answers {
    /// In order of arrival.
    reaches: Vec<Reach>,
    compactions: Vec<Compaction>,
    late_bets: u64,
    /// Empty where they are not kept.
    logs: Logs,
}

impl Bets {
    /// The bets among the events of a batch.
    pub fn of(arrivals: &[Arrival], settings: &WindowSettings, outlive: Duration) -> Self {
        let mut shares = std::array::from_fn(|_| Share::with_room(arrivals.len() / SHARES));
        let mut known = HashMap::with_capacity_and_hasher(arrivals.len(), HashedAlready::default());
        bring_preferences_near(arrivals);
        for (place, arrival) in arrivals.iter().enumerate() {
            let Some(bound) = counted(arrival) else { continue };
            let event = &arrival.event;
            let key = customer_key(&event.tenant, &event.customer);
            let share: &mut Share = &mut shares[share_of(key)];
            let customer = *known.entry(key).or_insert_with(|| {
                let rule = rule(bound, settings);
                let ttl = rule.kept_for().saturating_add(outlive);
                share.customers.push(CustomerBets { key, bets: SmallVec::new(), ttl });
                share.note_rule(rule);
                share.customers.len() - 1
            });
            let bet = Bet { at: event.occurred_at, id: bet_id(&event.id), arrival: arrival.place };
            share.customers[customer].bets.push(bet);
            share.places.push((place, customer));
        }
        Self { shares }
    }
}

impl Share {
    /// With room for so many bets and some more.
    fn with_room(bets: usize) -> Self {
        let room = bets + bets / 4;
        let (customers, rule_of) = (Vec::with_capacity(room), Vec::with_capacity(room));
        Self { customers, rules: Vec::new(), rule_of, places: Vec::with_capacity(room) }
    }

    /// Notes by which rule the next customer's bets are judged: mostly one of those that came lately.
    fn note_rule(&mut self, rule: WindowRule) {
        let mut lately = (0..self.rules.len()).rev().take(RULES_COMPARED);
        let known = lately.find(|place| self.rules[*place] == rule);
        self.rule_of.push(known.unwrap_or(self.rules.len()));
        if known.is_none() {
            self.rules.push(rule);
        }
    }

    /// Judges each bet as of its place in its customer's log, of which there is one for each of the customers. Of those that
    /// are worth it the logs are compacted whose hash `may_compact`.
    pub fn judge(&self, logs: Logs, keep: Keep, may_compact: impl Fn(u128) -> bool) -> Result<Answers, StoreError> {
        let (mut judged, mut compactions) = (Judged::default(), Vec::new());
        // The place of each customer's next answer.
        let mut next = Vec::with_capacity(logs.len());
        for ((asked, log), rule) in self.customers.iter().zip(logs.iter()).zip(&self.rule_of) {
            next.push(judged.reaches.len());
            window::judge_into(&mut judged, log, &asked.bets, &self.rules[*rule]);
            let dead = log.len() - judged.kept_len();
            if dead >= WORTH_COMPACTING && dead * 2 >= judged.kept_len() && may_compact(asked.key) {
                let (read, kept) = (log.to_vec(), judged.kept(log));
                compactions.push(Compaction { key: asked.key, read, kept, ttl: asked.ttl });
            }
        }
        let (mut reaches, mut late_bets) = (Vec::with_capacity(self.places.len()), 0);
        for (_, customer) in &self.places {
            // What was appended a moment ago must be there; a store that lost it cannot be counted on.
            let lost =
                || StoreError::Broken { action: "record bets", reason: "an appended bet is not in its log".into() };
            let answer = next.get_mut(*customer).ok_or_else(lost)?;
            let reach = judged.reaches.get(*answer).copied().flatten().ok_or_else(lost)?;
            *answer += 1;
            late_bets += u64::from(reach.timeliness == Timeliness::Late);
            reaches.push(reach);
        }
        let logs = if keep == Keep::Logs { logs } else { Logs::default() };
        Ok(Answers { reaches, compactions, late_bets, logs })
    }
}

fn rule(bound: FrequencyBound, settings: &WindowSettings) -> WindowRule {
    WindowRule::new(bound, settings.max_lookback, settings.allowed_lateness, settings.max_entries)
}

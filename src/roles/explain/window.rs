//! A live window, judged again as of one bet's place in it.

use std::collections::HashSet;
use std::time::Duration;

use super::traces::Traces;
use crate::domain::time::Timestamp;
use crate::domain::trigger::{Bound, Trigger};
use crate::domain::window::{Bet, Reach, WindowRule, judge};
use crate::wire::explanation::{self, Window};
use crate::wire::window::{arrival, bet_id};

/// What the log tells of a bet.
pub(super) struct View {
    /// What the window said of it; why not, where that cannot be told any more.
    pub(super) reach: Result<Reach, String>,
    pub(super) window: Window,
    pub(super) notes: Vec<String>,
}

impl Traces<'_> {
    /// The window's part in a decision; nothing for a trigger that asks none.
    pub(super) fn window_view(&self, trigger: Trigger) -> Option<View> {
        match trigger.bounded_by() {
            Bound::Frequency => {}
            Bound::Nothing | Bound::Amount => return None,
        }
        let log = self.log.as_ref()?;
        let Some(bound) = self.frequency(trigger) else {
            // Without preferences nobody knows the width; with them, a trigger that is off asks no window.
            let (Err(_), Ok(log)) = (&self.preferences, log) else { return None };
            let bets = self.around(log, self.config.windows.max_lookback);
            let window = Window { needed: None, count: None, within_minutes: None, bets };
            return Some(View { reach: Err("the preferences are unknown".to_owned()), window, notes: Vec::new() });
        };
        let settings = &self.config.windows;
        let rule = WindowRule::new(bound, settings.max_lookback, settings.allowed_lateness, settings.max_entries);
        let needed = Some(bound.needed);
        Some(match log {
            Ok(log) => self.judged(log, &rule),
            Err(reason) => View {
                reach: Err(reason.clone()),
                window: Window { needed, count: None, within_minutes: bound.window_minutes, bets: Vec::new() },
                notes: Vec::new(),
            },
        })
    }

    fn judged(&self, log: &[Bet], rule: &WindowRule) -> View {
        let own = self.own();
        let mut notes = Vec::new();
        // A repeat is judged as its first arrival, which may be all that is kept of it.
        let first = log.iter().find(|bet| bet.id == own.id).copied();
        let asked = log.iter().find(|bet| bet.id == own.id && bet.arrival == own.arrival).copied().or(first);
        let judged = match (asked, self.evaluated) {
            (Some(asked), _) => judge(log, &[asked], rule),
            (None, Some(false)) => judge(&[log, &[own]].concat(), &[own], rule),
            (None, Some(true) | None) => return self.gone(log, rule),
        };
        let Some(Some(reach)) = judged.reaches.first().copied() else { return self.gone(log, rule) };
        if first.is_some_and(|first| first.arrival != own.arrival) {
            notes.push(
                "it is a repeat: the window knows its id since an earlier record, and judges it as of that".into(),
            );
        }
        if asked.is_some() && self.may_have_lost(log, rule, judged.kept_len()) {
            notes.push("bets of its window may no longer be kept: the count may have been greater then".to_owned());
        }
        let (needed, count, within_minutes) = (Some(reach.needed), Some(reach.count), Some(reach.within_minutes));
        let window = Window { needed, count, within_minutes, bets: self.around(log, rule.width) };
        View { reach: Ok(reach), window, notes }
    }

    /// The log does not hold the bet. What it holds is told all the same.
    fn gone(&self, log: &[Bet], rule: &WindowRule) -> View {
        let times = || log.iter().map(|bet| bet.at);
        let reason = match (times().min(), times().max()) {
            (Some(oldest), Some(newest)) => {
                let latest = newest.minus(rule.kept_for());
                let why = if self.event.occurred_at <= latest { "it aged out" } else { "it was not recorded" };
                let bets = log.len();
                format!("the window does not hold this bet: {why}; its {bets} records are from {oldest} to {newest}")
            }
            (_, _) => "the customer's window is empty: it aged out, or bets were not recorded then".to_owned(),
        };
        let window = Window {
            needed: Some(rule.needed),
            count: None,
            within_minutes: rule.stated_minutes,
            bets: self.around(log, rule.width),
        };
        View { reach: Err(reason), window, notes: Vec::new() }
    }

    /// Whether a log that was rewritten may lack bets that counted when this one came. One that still reaches back beyond
    /// the window lacks none: the oldest are dropped first.
    fn may_have_lost(&self, log: &[Bet], rule: &WindowRule, kept: usize) -> bool {
        let begin = self.event.occurred_at.minus(rule.width);
        let newest = log.iter().map(|bet| bet.at).max().unwrap_or(begin);
        let reaches_back = log.iter().any(|bet| bet.at <= begin);
        !reaches_back && (newest.minus(rule.kept_for()) > begin || kept >= rule.max_entries)
    }

    /// The bets within one width of this one, as they had arrived with it, by time.
    fn around(&self, log: &[Bet], width: Duration) -> Vec<explanation::Bet> {
        let own = self.own();
        let place = log.iter().position(|bet| bet.id == own.id);
        let arrived = place.map_or(log, |place| &log[..=place]);
        // Under a known id the first arrival's time counts.
        let at = place.map_or(own.at, |place| log[place].at);
        let near = |time: Timestamp| time > at.minus(width) && time < at.plus(width);
        let mut seen = HashSet::new();
        let mut bets: Vec<explanation::Bet> = arrived
            .iter()
            .chain(place.is_none().then_some(&own))
            .filter(|bet| near(bet.at) && seen.insert(bet.id))
            .map(|bet| explanation::Bet { at: bet.at, id: self.names.get(&bet.id).cloned(), this: bet.id == own.id })
            .collect();
        bets.sort_by_key(|bet| bet.at);
        bets
    }

    fn own(&self) -> Bet {
        Bet { at: self.event.occurred_at, id: bet_id(&self.event.id), arrival: arrival(&self.source) }
    }
}

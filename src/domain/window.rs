//! The window of `high_frequency_betting`: what a customer bet lately, in order of arrival, and how a bet is judged by it.
//!
//! A log holds a customer's bets as they arrived; whoever reads it replays it from the start. So a repeat is judged as of
//! its first arrival, a redelivery decides as the first delivery did, and what others append later changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use super::hashed::HashedAlready;
use super::preferences::FrequencyBound;
use super::time::Timestamp;

mod in_order;
mod kept;
use in_order::InOrder;
pub use kept::Window;

/// One bet in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bet {
    pub at: Timestamp,
    /// A hash of the event's id: one bet counts once, however often it stands in the log.
    pub id: u64,
    /// A hash of the place in the input whence it came. A redelivery has the arrival of the first delivery; a repeat that
    /// was sent anew has another.
    pub arrival: u32,
}

/// How a customer's bets are counted and what is kept of them, for one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRule {
    /// N: so many bets reach the trigger.
    pub needed: u32,
    /// W: a window holds the bets of (e − W, e].
    pub width: Duration,
    /// `window_minutes` where the tenant sets it.
    pub stated_minutes: Option<u32>,
    /// Bets this much older than a window are still kept for those that come late.
    pub lateness: Duration,
    /// The most bets kept of one customer.
    pub max_entries: usize,
}

impl WindowRule {
    /// The rule for a tenant's bound under the operator's limits; `max_entries` gives way to a greater N.
    pub fn new(bound: FrequencyBound, max_lookback: Duration, lateness: Duration, max_entries: usize) -> Self {
        let width = bound.window_minutes.map_or(max_lookback, |minutes| Duration::from_secs(u64::from(minutes) * 60));
        Self {
            needed: bound.needed,
            width,
            stated_minutes: bound.window_minutes,
            lateness,
            max_entries: max_entries.max(bound.needed as usize),
        }
    }

    fn reach(&self, fullest: Fullest, timeliness: Timeliness) -> Reach {
        Reach {
            count: fullest.count,
            within_minutes: self.stated_minutes.unwrap_or_else(|| whole_minutes(fullest.span)),
            needed: self.needed,
            timeliness,
        }
    }

    /// For how long after the newest bet an older one is kept.
    pub fn kept_for(&self) -> Duration {
        self.width.saturating_add(self.lateness)
    }
}

/// What the window says of one bet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The most bets in any one window that holds this bet.
    pub count: u32,
    /// Within so many minutes: the tenant's `window_minutes`, or else the span of the bets counted.
    pub within_minutes: u32,
    pub needed: u32,
    pub timeliness: Timeliness,
}

impl Reach {
    pub fn is_reached(&self) -> bool {
        self.count >= self.needed
    }
}

/// Whether a bet came while its window was still kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeliness {
    InTime,
    /// It came after its place in the window was dropped and was judged by what is kept.
    Late,
}

/// A log that was read, judged: an answer for each bet asked about, and what is to be kept.
#[derive(Debug, Default)]
pub struct Judged {
    /// In the order of the question. `None`: the log does not hold that bet.
    pub reaches: Vec<Option<Reach>>,
    /// What the rule still keeps: where all came in order, and otherwise.
    in_order: InOrder,
    window: Window,
    came_in_order: bool,
}

impl Judged {
    /// How many bets the rule still keeps.
    pub fn kept_len(&self) -> usize {
        if self.came_in_order { self.in_order.kept_len() } else { self.window.len() }
    }

    /// The bets of the log that it still keeps, in order of arrival.
    pub fn kept(&self, log: &[Bet]) -> Vec<Bet> {
        if self.came_in_order { self.in_order.kept(log).to_vec() } else { self.window.kept() }
    }
}

/// Replays a log and judges each of `asked` as of the place where it first stands there.
pub fn judge(log: &[Bet], asked: &[Bet], rule: &WindowRule) -> Judged {
    let mut judged = Judged::default();
    judge_into(&mut judged, log, asked, rule);
    judged
}

/// The same in the memory of an earlier judgment. The answers come behind those that are there already.
pub fn judge_into(judged: &mut Judged, log: &[Bet], asked: &[Bet], rule: &WindowRule) {
    let first = judged.reaches.len();
    judged.reaches.resize(first + asked.len(), None);
    let reaches = &mut judged.reaches[first..];
    judged.came_in_order = judged.in_order.judge(log, asked, reaches, rule);
    if !judged.came_in_order {
        reaches.fill(None);
        replay(&mut judged.window, log, &mut Open::of(asked), reaches, rule);
    }
}

fn replay(window: &mut Window, log: &[Bet], open: &mut Open<'_>, reaches: &mut [Option<Reach>], rule: &WindowRule) {
    window.begin(log.len());
    for bet in log {
        let standing = window.arrive(*bet, rule);
        open.answer(bet, reaches, || window.reach(*bet, standing, rule));
    }
}

/// The bets asked about that did not come up in the log yet.
enum Open<'a> {
    /// Of one customer hardly ever more than a few bets come together.
    Few(&'a [Bet]),
    /// Where each was asked about first, and where again.
    Many(HashMap<(u64, u32), (usize, Vec<usize>), HashedAlready>),
}

impl<'a> Open<'a> {
    const FEW: usize = 8;

    fn of(asked: &'a [Bet]) -> Self {
        if asked.len() <= Self::FEW {
            return Self::Few(asked);
        }
        let mut open = HashMap::with_capacity_and_hasher(asked.len(), HashedAlready::default());
        for (place, bet) in asked.iter().enumerate() {
            let asked_again = |(_, again): &mut (usize, Vec<usize>)| again.push(place);
            open.entry((bet.id, bet.arrival)).and_modify(asked_again).or_insert((place, Vec::new()));
        }
        Self::Many(open)
    }

    /// Whether a bet of the log was asked about and did not come up before.
    fn asks(&self, bet: &Bet, reaches: &[Option<Reach>]) -> bool {
        match self {
            Self::Few(asked) => asked.iter().zip(reaches).any(|(asked, reach)| reach.is_none() && is_one(asked, bet)),
            Self::Many(open) => open.contains_key(&(bet.id, bet.arrival)),
        }
    }

    /// Answers for a bet of the log where it was asked about and stands there first.
    fn answer(&mut self, bet: &Bet, reaches: &mut [Option<Reach>], reach: impl FnOnce() -> Reach) {
        match self {
            Self::Few(asked) => {
                let Some(first) =
                    asked.iter().position(|asked| is_one(asked, bet)).filter(|first| reaches[*first].is_none())
                else {
                    return;
                };
                let reach = reach();
                for (place, _) in asked.iter().enumerate().skip(first).filter(|(_, asked)| is_one(asked, bet)) {
                    reaches[place] = Some(reach);
                }
            }
            Self::Many(open) => {
                if let Some((first, again)) = open.remove(&(bet.id, bet.arrival)) {
                    let reach = reach();
                    for place in std::iter::once(first).chain(again) {
                        reaches[place] = Some(reach);
                    }
                }
            }
        }
    }
}

/// Whether both are one record of a log, or a redelivery of it.
fn is_one(one: &Bet, other: &Bet) -> bool {
    (one.id, one.arrival) == (other.id, other.arrival)
}

/// What `asked` was judged by: the bets that the rule kept when it came, in order of arrival, and `asked` itself as the
/// last. By these alone [`judge`] answers as by the whole log. `None`: the log does not hold it.
pub fn as_of(log: &[Bet], asked: &Bet, rule: &WindowRule) -> Option<Vec<Bet>> {
    let place = log.iter().position(|bet| (bet.id, bet.arrival) == (asked.id, asked.arrival))?;
    let mut window = Window::default();
    for bet in &log[..place] {
        window.arrive(*bet, rule);
    }
    let mut judged_by = window.kept();
    judged_by.push(log[place]);
    Some(judged_by)
}

struct Fullest {
    count: u32,
    /// Milliseconds from the first to the last bet counted.
    span: i64,
}

fn whole_minutes(span: i64) -> u32 {
    let minutes = span.div_euclid(60_000) + i64::from(span.rem_euclid(60_000) > 0);
    u32::try_from(minutes.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;

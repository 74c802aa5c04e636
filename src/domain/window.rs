//! The window of `high_frequency_betting`: what a customer bet lately, in order of arrival, and how a bet is judged by it.
//!
//! A log holds a customer's bets as they arrived; whoever reads it replays it from the start. So a repeat is judged as of
//! its first arrival, a redelivery decides as the first delivery did, and what others append later changes nothing.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use super::preferences::FrequencyBound;
use super::time::Timestamp;

mod in_order;
use in_order::InOrder;

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
        if self.came_in_order { self.in_order.kept().len() } else { self.window.len() }
    }

    /// The bets that it still keeps, in order of arrival.
    pub fn kept(&self) -> Vec<Bet> {
        if self.came_in_order { self.in_order.kept().to_vec() } else { self.window.kept() }
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
    judged.came_in_order = judged.in_order.judge(log, &mut Open::of(asked), reaches, rule);
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
    Many(HashMap<(u64, u32), Vec<usize>, HashedAlready>),
}

impl<'a> Open<'a> {
    const FEW: usize = 8;

    fn of(asked: &'a [Bet]) -> Self {
        if asked.len() <= Self::FEW {
            return Self::Few(asked);
        }
        let mut open: HashMap<_, Vec<usize>, _> = HashMap::default();
        for (place, bet) in asked.iter().enumerate() {
            open.entry((bet.id, bet.arrival)).or_default().push(place);
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
                if let Some(places) = open.remove(&(bet.id, bet.arrival)) {
                    let reach = reach();
                    for place in places {
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

/// The bets kept of one customer, sorted by time and then by arrival. One window goes by one rule for all its life, of
/// which only `needed` may differ from bet to bet.
#[derive(Debug, Default)]
pub struct Window {
    /// Bets come in at its end, or near it, and leave at its beginning.
    kept: VecDeque<Kept>,
    /// Place in the order of arrival, by id, of every bet kept; only where there were ever too many to look through.
    places: Option<Box<Places>>,
    seen: Seen,
    arrivals: u32,
}

/// Which ids may have come: of one that it does not know none did. One bit for each id of what is kept, and maybe more.
#[derive(Debug, Default)]
struct Seen([u64; 2]);

impl Seen {
    /// Whether the id may have come. It has from now on.
    fn note(&mut self, id: u64) -> bool {
        let (part, bit) = (&mut self.0[(id >> 6) as usize & 1], 1 << (id & 63));
        let may_have_come = *part & bit != 0;
        *part |= bit;
        may_have_come
    }
}

type Places = HashMap<u64, u32, HashedAlready>;

/// So many bets are looked through as fast as an index is asked.
const LOOKED_THROUGH: usize = 32;
/// Where no more are left, what was seen is told anew.
const FEW_LEFT: usize = 4;

#[derive(Debug, Clone, Copy)]
struct Kept {
    bet: Bet,
    place: u32,
}

/// Where an arriving bet stands.
#[derive(Clone, Copy)]
enum Standing {
    /// It is kept, as the newest arrival.
    Kept,
    /// It was there already, since that place.
    Repeat { place: u32 },
    /// It is older than what is kept.
    Late,
}

impl Window {
    /// Takes the next bet in and judges it as of its arrival: what [`judge`] says of the last record of a log, where no
    /// record is a redelivery.
    pub fn take(&mut self, bet: Bet, rule: &WindowRule) -> Reach {
        let standing = self.arrive(bet, rule);
        self.reach(bet, standing, rule)
    }

    /// Forgets everything, for about so many bets to come.
    fn begin(&mut self, bets: usize) {
        self.kept.clear();
        self.kept.reserve(bets);
        self.places =
            (bets > LOOKED_THROUGH).then(|| Box::new(Places::with_capacity_and_hasher(bets, HashedAlready::default())));
        (self.seen, self.arrivals) = (Seen::default(), 0);
    }

    /// The newest bet's time.
    pub fn newest(&self) -> Option<Timestamp> {
        self.kept.back().map(|kept| kept.bet.at)
    }

    /// Bytes that it holds beside itself, about.
    pub fn held_bytes(&self) -> usize {
        let places = self.places.as_ref().map_or(0, |places| 2 * places.capacity() * size_of::<(u64, u32)>());
        self.kept.capacity() * size_of::<Kept>() + places
    }

    fn arrive(&mut self, bet: Bet, rule: &WindowRule) -> Standing {
        let place = self.arrivals;
        if let Some(place) = self.place_of_repeat(bet.id, place) {
            return Standing::Repeat { place };
        }
        self.arrivals += 1;
        let after = self.insert(Kept { bet, place });
        if self.places.is_none() && self.kept.len() > LOOKED_THROUGH {
            self.places = Some(Box::new(self.kept.iter().map(|kept| (kept.bet.id, kept.place)).collect()));
        }
        // What leaves are the first ones: the bet is among them, or not.
        if after < self.prune(rule) { Standing::Late } else { Standing::Kept }
    }

    /// Where the bet came before. One that did not is known from now on as that of `place`.
    fn place_of_repeat(&mut self, id: u64, place: u32) -> Option<u32> {
        match &mut self.places {
            Some(places) => match places.entry(id) {
                Entry::Occupied(known) => Some(*known.get()),
                Entry::Vacant(new) => {
                    new.insert(place);
                    None
                }
            },
            None if self.seen.note(id) => self.kept.iter().find(|kept| kept.bet.id == id).map(|kept| kept.place),
            None => None,
        }
    }

    /// Puts a bet after those that are as old, and says after how many. Nearly every bet is the newest.
    fn insert(&mut self, new: Kept) -> usize {
        if self.kept.back().is_none_or(|newest| newest.bet.at <= new.bet.at) {
            self.kept.push_back(new);
            return self.kept.len() - 1;
        }
        let after = self.kept.partition_point(|kept| kept.bet.at <= new.bet.at);
        self.kept.insert(after, new);
        after
    }

    /// Drops what the rule no longer keeps, and says how many those were.
    fn prune(&mut self, rule: &WindowRule) -> usize {
        let Some(newest) = self.kept.back() else { return 0 };
        let oldest_kept = newest.bet.at.minus(rule.kept_for());
        let too_old = self.kept.iter().take_while(|kept| kept.bet.at <= oldest_kept).count();
        let too_many = self.kept.len().saturating_sub(rule.max_entries);
        let dropped = too_old.max(too_many);
        if dropped == 0 {
            return 0;
        }
        for bet in self.kept.drain(..dropped) {
            if let Some(places) = &mut self.places {
                places.remove(&bet.bet.id);
            }
        }
        if self.kept.len() <= FEW_LEFT {
            self.seen = Seen::default();
            for kept in &self.kept {
                self.seen.note(kept.bet.id);
            }
        }
        dropped
    }

    fn reach(&self, bet: Bet, standing: Standing, rule: &WindowRule) -> Reach {
        let width = rule.width;
        let (fullest, timeliness) = match standing {
            Standing::Kept => (fullest_around(&self.kept, bet.at, width), Timeliness::InTime),
            Standing::Repeat { place } => {
                let then: VecDeque<Kept> = self.kept.iter().filter(|kept| kept.place <= place).copied().collect();
                // A repeat may bring another time under a known id; the first arrival's is the one that counts.
                let at = then.iter().find(|kept| kept.place == place).map_or(bet.at, |kept| kept.bet.at);
                (fullest_around(&then, at, width), Timeliness::InTime)
            }
            Standing::Late => {
                let mut with_it = self.kept.clone();
                with_it.push_front(Kept { bet, place: self.arrivals });
                // A count cannot exceed what may be kept, not even by the bet that came too late to be.
                with_it.truncate(rule.max_entries);
                (fullest_around(&with_it, bet.at, width), Timeliness::Late)
            }
        };
        rule.reach(fullest, timeliness)
    }

    /// How many bets it keeps.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The bets that it keeps, in order of arrival.
    pub fn kept(&self) -> Vec<Bet> {
        // Bets that came in the order of their times stand in the order of arrival already.
        if self.kept.iter().is_sorted_by_key(|kept| kept.place) {
            return self.kept.iter().map(|kept| kept.bet).collect();
        }
        let mut kept: Vec<Kept> = self.kept.iter().copied().collect();
        kept.sort_unstable_by_key(|kept| kept.place);
        kept.into_iter().map(|kept| kept.bet).collect()
    }
}

/// The fullest window (e − W, e] with at ≤ e < at + W, of `bets` sorted by time. Of equally full ones the earliest.
fn fullest_around(bets: &VecDeque<Kept>, at: Timestamp, width: Duration) -> Fullest {
    let time = |place: usize| bets.get(place).map(|kept| kept.bet.at);
    let mut fullest = Fullest { count: 0, span: 0 };
    let mut e = at;
    let mut start = bets.partition_point(|kept| kept.bet.at <= e.minus(width));
    let mut end = bets.partition_point(|kept| kept.bet.at <= e);
    loop {
        let count = u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX);
        if count > fullest.count {
            fullest = Fullest { count, span: bets[end - 1].bet.at.0 - bets[start].bet.at.0 };
        }
        // The count can only rise where another bet comes in.
        let Some(next) = time(end).filter(|next| *next < at.plus(width)) else {
            return fullest;
        };
        e = next;
        while time(end) == Some(e) {
            end += 1;
        }
        while time(start).is_some_and(|time| time <= e.minus(width)) {
            start += 1;
        }
    }
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

/// For keys that are hashes: they need no second hashing, only folding.
pub type HashedAlready = BuildHasherDefault<Folded>;

/// See [`HashedAlready`].
#[derive(Debug, Default)]
pub struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "halves of a hash")]
    fn write_u128(&mut self, number: u128) {
        self.write_u64((number >> 64) as u64);
        self.write_u64(number as u64);
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(29) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;

//! Windows that are kept bet by bet: what a log in any order is judged by, and what a back-test keeps of each customer.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::{Bet, Fullest, Reach, Timeliness, WindowRule};
use crate::domain::hashed::HashedAlready;
use crate::domain::time::Timestamp;

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
pub(super) enum Standing {
    /// It is kept, as the newest arrival.
    Kept,
    /// It was there already, since that place.
    Repeat { place: u32 },
    /// It is older than what is kept.
    Late,
}

impl Window {
    /// Takes the next bet in and judges it as of its arrival: what [`super::judge`] says of the last record of a log, where no
    /// record is a redelivery.
    pub fn take(&mut self, bet: Bet, rule: &WindowRule) -> Reach {
        let standing = self.arrive(bet, rule);
        self.reach(bet, standing, rule)
    }

    /// Forgets everything, for about so many bets to come.
    pub(super) fn begin(&mut self, bets: usize) {
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

    pub(super) fn arrive(&mut self, bet: Bet, rule: &WindowRule) -> Standing {
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

    pub(super) fn reach(&self, bet: Bet, standing: Standing, rule: &WindowRule) -> Reach {
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

//! What is counted while events are decided, and how it comes together: slots, minutes, people.

use std::collections::{BTreeMap, HashMap};

use crate::domain::decide::Decision;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::wire::whatif::{Affected, Spread};

/// One counter for each decision there is.
pub(super) type Decisions = [u64; Decision::NAMES.len()];

/// The place of a decision's name among all.
pub(super) fn place_of(decision: &Decision) -> usize {
    // Nearly all decisions are one of these, told apart without looking at names.
    match decision {
        Decision::BelowThreshold { .. } => const { place_of_name("below_threshold") },
        Decision::BelowFrequency(_) => const { place_of_name("below_frequency") },
        Decision::TriggerDisabled => const { place_of_name("trigger_disabled") },
        Decision::InCooldown { .. } => const { place_of_name("in_cooldown") },
        Decision::Required { .. } => const { place_of_name("required") },
        Decision::TenantUnknown
        | Decision::FeatureDisabled
        | Decision::EventTooOld { .. }
        | Decision::Shadowed { .. }
        | Decision::Capped { .. } => place_of_name(decision.name()),
    }
}

/// The place of a name among those of all decisions; the last where it is none.
const fn place_of_name(name: &str) -> usize {
    let mut place = 0;
    while place + 1 < Decision::NAMES.len() {
        if same(Decision::NAMES[place].as_bytes(), name.as_bytes()) {
            return place;
        }
        place += 1;
    }
    place
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut place = 0;
    while place < one.len() {
        if one[place] != other[place] {
            return false;
        }
        place += 1;
    }
    true
}

/// The counts of one trigger that are the same for some worlds: tenants whose settings agree in the same worlds share it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) trigger: Trigger,
    pub(super) worlds: Vec<usize>,
    pub(super) decisions: Decisions,
    pub(super) prompts: u64,
    pub(super) people: People,
}

/// Slots by their worlds and trigger.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) all: Vec<Slot>,
    known: HashMap<(Trigger, Vec<usize>), usize>,
}

impl Slots {
    /// The place of the slot for a trigger in these worlds.
    pub(super) fn place(&mut self, trigger: Trigger, worlds: &[usize]) -> usize {
        *self.known.entry((trigger, worlds.to_vec())).or_insert_with(|| {
            self.all.push(Slot {
                trigger,
                worlds: worlds.to_vec(),
                decisions: Decisions::default(),
                prompts: 0,
                people: People::default(),
            });
            self.all.len() - 1
        })
    }

    /// The slots of one world, or of one of its triggers.
    pub(super) fn of(&self, world: usize, trigger: Option<Trigger>) -> impl Iterator<Item = (usize, &Slot)> {
        let of = move |slot: &Slot| trigger.is_none_or(|one| slot.trigger == one) && slot.worlds.contains(&world);
        self.all.iter().enumerate().filter(move |(_, slot)| of(slot))
    }
}

/// Distinct customers prompted, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct People {
    pub(super) customers: u64,
    pub(super) spread: Spread,
}

impl People {
    /// Counts one customer of so many prompts.
    pub(super) fn add(&mut self, prompts: u64) {
        self.customers += u64::from(prompts > 0);
        self.spread.add(prompts);
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.customers += other.customers;
        self.spread.0.iter_mut().zip(other.spread.0).for_each(|(sum, more)| *sum += more);
    }
}

/// Prompts by minute of event time and slot.
#[derive(Debug)]
pub(super) struct Minutes {
    rows: BTreeMap<i64, Vec<u32>>,
    /// So many minutes are kept; beyond that the older half is closed.
    most: usize,
    /// The last minute that was closed.
    closed: Option<i64>,
    /// The fullest of the closed minutes, for each series asked about.
    fullest: Vec<Option<(i64, u64)>>,
    /// Prompts in minutes that were closed before.
    pub(super) missed: u64,
}

/// The slots whose sum is one series.
pub(super) type SeriesOf = Vec<Vec<usize>>;

const MINUTE: i64 = 60_000;

impl Minutes {
    pub(super) fn new(most: usize) -> Self {
        Self { rows: BTreeMap::new(), most: most.max(2), closed: None, fullest: Vec::new(), missed: 0 }
    }

    /// Counts one prompt.
    pub(super) fn add(&mut self, at: Timestamp, slot: usize) {
        let minute = at.0.div_euclid(MINUTE);
        if self.closed.is_some_and(|closed| minute <= closed) {
            self.missed += 1;
            return;
        }
        let row = self.rows.entry(minute).or_default();
        if row.len() <= slot {
            row.resize(slot + 1, 0);
        }
        row[slot] += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() > self.most
    }

    /// Closes the older half of the minutes: of these only the fullest of each series is kept.
    pub(super) fn close_older_half(&mut self, series: &SeriesOf) {
        let Some(cut) = self.rows.keys().nth(self.rows.len() / 2).copied() else { return };
        let newer = self.rows.split_off(&cut);
        let older = std::mem::replace(&mut self.rows, newer);
        self.fullest = peaks(&older, series, &self.fullest);
        self.closed = Some(cut - 1);
    }

    /// The fullest minute of each series, and the earliest of equally full ones: its beginning and its prompts.
    pub(super) fn peaks(&self, series: &SeriesOf) -> Vec<Option<(Timestamp, u64)>> {
        let peaks = peaks(&self.rows, series, &self.fullest);
        peaks.into_iter().map(|peak| peak.map(|(minute, prompts)| (Timestamp(minute * MINUTE), prompts))).collect()
    }

    /// The prompts of every minute in order, for one series; `None` where minutes were closed.
    pub(super) fn course(&self, slots: &[usize]) -> Option<Vec<(Timestamp, u64)>> {
        let row = |(minute, row): (&i64, &Vec<u32>)| (Timestamp(minute * MINUTE), sum(row, slots));
        self.closed.is_none().then(|| self.rows.iter().map(row).collect())
    }
}

fn sum(row: &[u32], slots: &[usize]) -> u64 {
    slots.iter().filter_map(|slot| row.get(*slot)).map(|prompts| u64::from(*prompts)).sum()
}

fn peaks(rows: &BTreeMap<i64, Vec<u32>>, series: &SeriesOf, before: &[Option<(i64, u64)>]) -> Vec<Option<(i64, u64)>> {
    let of = |(place, slots): (usize, &Vec<usize>)| {
        let mut fullest = before.get(place).copied().flatten();
        for (minute, row) in rows {
            let prompts = sum(row, slots);
            if prompts > fullest.map_or(0, |(_, prompts)| prompts) {
                fullest = Some((*minute, prompts));
            }
        }
        fullest
    };
    series.iter().enumerate().map(of).collect()
}

/// The ten customers most affected; of equals the first by tenant and customer.
#[derive(Debug, Default)]
pub(super) struct MostAffected(Vec<Affected>);

impl MostAffected {
    const MOST: usize = 10;

    /// Offers a customer, with its prompts under the preferences and, where two are compared, under the others.
    pub(super) fn offer(&mut self, tenant: &str, customer: &str, prompts: u64, against: Option<u64>) {
        // The least of a full list says who is not worth a name.
        let least = self.0.last().filter(|_| self.0.len() == Self::MOST);
        if weight(prompts, against) == (0, 0) || least.is_some_and(|last| weight_of(last) > weight(prompts, against)) {
            return;
        }
        let (tenant_id, customer_id) = (tenant.to_owned(), customer.to_owned());
        self.0.push(Affected { tenant_id, customer_id, prompts, prompts_against: against });
        self.0.sort_by(|a, b| {
            let names = (&a.tenant_id, &a.customer_id).cmp(&(&b.tenant_id, &b.customer_id));
            weight_of(b).cmp(&weight_of(a)).then(names)
        });
        self.0.truncate(Self::MOST);
    }

    pub(super) fn into_list(self) -> Vec<Affected> {
        self.0
    }
}

/// What is changed for a customer, and then how often it is prompted at most.
fn weight(prompts: u64, against: Option<u64>) -> (u64, u64) {
    match against {
        Some(against) if against == prompts => (0, 0),
        Some(against) => (prompts.abs_diff(against), prompts.max(against)),
        None => (prompts, prompts),
    }
}

fn weight_of(one: &Affected) -> (u64, u64) {
    weight(one.prompts, one.prompts_against)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_minute_is_of_the_sum_and_the_earliest_of_equals() {
        let series = vec![vec![0], vec![1], vec![0, 1], vec![7]];
        for (prompts, want) in [
            ("", "- - - -"),
            ("0@0", "0:1 - 0:1 -"),
            ("0@0 0@59999 1@60000 1@-1", "0:2 -1:1 0:2 -"),
            ("0@0 1@0 0@60000 1@60001 0@120000", "0:1 0:1 0:2 -"),
            ("0@0 1@60000 1@60001 0@60002 0@120000 0@120001", "2:2 1:2 1:3 -"),
        ] {
            let mut minutes = Minutes::new(100);
            let mut closing = Minutes::new(2);
            for prompt in prompts.split_whitespace() {
                let (slot, at) = prompt.split_once('@').unwrap();
                let (slot, at) = (slot.parse().unwrap(), Timestamp(at.parse().unwrap()));
                minutes.add(at, slot);
                closing.add(at, slot);
                if closing.is_full() {
                    closing.close_older_half(&series);
                }
            }
            let written = |minutes: &Minutes| {
                let peak = |peak: Option<(Timestamp, u64)>| {
                    peak.map_or("-".to_owned(), |(at, prompts)| format!("{}:{prompts}", at.0 / MINUTE))
                };
                minutes.peaks(&series).into_iter().map(peak).collect::<Vec<_>>().join(" ")
            };
            // The one that comes late in the second row is not missed, for nothing was closed by then.
            assert_eq!((written(&minutes).as_str(), minutes.missed), (want, 0), "{prompts}");
            assert_eq!((written(&closing).as_str(), closing.missed), (want, 0), "{prompts}");
        }
    }

    #[test]
    fn a_prompt_of_a_minute_that_was_closed_is_missed_and_counted() {
        let mut minutes = Minutes::new(2);
        for minute in [0, 1, 2] {
            minutes.add(Timestamp(minute * MINUTE), 0);
        }
        assert!(minutes.course(&[0]).is_some());
        minutes.close_older_half(&vec![vec![0]]);
        minutes.add(Timestamp(0), 0);
        minutes.add(Timestamp(MINUTE), 0);
        assert_eq!((minutes.missed, minutes.peaks(&vec![vec![0]])), (1, vec![Some((Timestamp(MINUTE), 2))]));
        assert_eq!(minutes.course(&[0]), None);
    }

    #[test]
    fn the_most_affected_are_ten_in_a_fixed_order_whatever_the_order_they_come_in() {
        let offers: Vec<(String, u64, u64)> = (0..40_u64).map(|n| (format!("c{n:02}"), n % 7, n % 5)).collect();
        let listed = |offers: &[(String, u64, u64)], compared: bool| {
            let mut most = MostAffected::default();
            for (customer, prompts, against) in offers {
                most.offer("t", customer, *prompts, compared.then_some(*against));
            }
            most.into_list().into_iter().map(|one| one.customer_id).collect::<Vec<_>>().join(" ")
        };
        let mut backwards = offers.clone();
        backwards.reverse();
        assert_eq!(listed(&offers, false), "c06 c13 c20 c27 c34 c05 c12 c19 c26 c33");
        assert_eq!(listed(&backwards, false), listed(&offers, false));
        assert_eq!(listed(&backwards, true), listed(&offers, true));
        assert_eq!(listed(&offers, true), "c20 c06 c05 c27 c26 c14 c25 c13 c12 c11");
        assert_eq!(listed(&[("same".to_owned(), 5, 5), ("none".to_owned(), 0, 0)], true), "");
        assert_eq!(listed(&[("none".to_owned(), 0, 9)], false), "");
    }
}

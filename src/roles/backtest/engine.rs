//! Decides events one by one under several sets of preferences at once, on event time only.
//!
//! The rules are those of the live role, taken from the same functions; what differs is that nothing is asked of a store:
//! every customer's windows and claims lie at hand.

use std::collections::HashMap;

use super::customers::{Cooling, Customer, Customers, Spans};
use super::tally::{Minutes, MostAffected, People, SeriesOf, Slots, place_of};
use super::worlds::{Known, Posed, Tests, World, known, tests};
use crate::config::{Shadow, Windows};
use crate::domain::claim::Claim;
use crate::domain::decide::{Decision, Freshness, Mode, Verdict, conclude, judge_setting};
use crate::domain::event::Activity;
use crate::domain::ids::TenantId;
use crate::domain::preferences::Setting;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::{Bet, Reach, Timeliness, WindowRule};
use crate::roles::offline::Rules;
use crate::wire::whatif::{Changes, GivenUp};
use crate::wire::window::bet_id_of;

mod ahead;
use ahead::is_counted;
pub(super) use ahead::{AHEAD, Coming};

/// Decides, and counts what it decided.
pub(super) struct Engine {
    worlds: Vec<World>,
    /// Whether the second world is compared with the first.
    compared: bool,
    windows: Windows,
    shadow: Shadow,
    /// By trigger.
    cooling: Vec<Cooling>,
    tenants: Vec<Tenant>,
    names: HashMap<TenantId, usize>,
    /// The tenant of the last event: neighbours often are of one.
    last: usize,
    reaches: Vec<Reach>,
    /// Bytes held for customers, about.
    held: usize,
    pub(super) counts: Counts,
}

/// What was counted.
pub(super) struct Counts {
    pub(super) slots: Slots,
    pub(super) minutes: Minutes,
    /// Of the second world against the first, by trigger.
    pub(super) changes: Vec<Changes>,
    pub(super) late_bets: u64,
    /// Distinct customers of each world, over all triggers.
    pub(super) people: Vec<People>,
    /// Customers prompted in one of the two worlds compared only, over all triggers.
    pub(super) customers_newly: u64,
    pub(super) customers_no_longer: u64,
    pub(super) most_affected: MostAffected,
    pub(super) given_up: GivenUp,
}

struct Tenant {
    id: TenantId,
    /// What each world says of it.
    unreadable: Vec<(usize, String)>,
    /// By trigger.
    tests: Vec<Tests>,
    /// The slot of every variant, by trigger.
    slots: Vec<Vec<usize>>,
    /// By trigger.
    modes: Vec<Mode>,
    rules: Vec<WindowRule>,
    customers: Customers,
}

/// How an event came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken<'a> {
    Decided,
    /// The first world's document of its tenant cannot be read; the others have decided.
    Unreadable(&'a str),
}

/// Minutes kept at once: for two worlds more than a year of them, at a few dozen megabytes.
const MINUTES_CELLS: usize = 1 << 24;

impl Engine {
    /// Over worlds of which the first is the one that decisions are told of. With `compared` the second is held against it.
    pub(super) fn new(worlds: Vec<World>, compared: bool, rules: &Rules) -> Self {
        let evaluate = &rules.evaluate;
        let cooling = |trigger: &Trigger| Cooling {
            cooldown: evaluate.cooldown.of(*trigger),
            retention: evaluate.claim_retention(*trigger),
        };
        let slots_expected = Trigger::ALL.len() + worlds.len();
        let counts = Counts {
            slots: Slots::default(),
            minutes: Minutes::new(MINUTES_CELLS / slots_expected),
            changes: vec![Changes::default(); Trigger::ALL.len()],
            late_bets: 0,
            people: vec![People::default(); worlds.len()],
            customers_newly: 0,
            customers_no_longer: 0,
            most_affected: MostAffected::default(),
            given_up: GivenUp::default(),
        };
        Self {
            worlds,
            compared,
            windows: rules.windows.clone(),
            shadow: evaluate.shadow.clone(),
            cooling: Trigger::ALL.iter().map(cooling).collect(),
            tenants: Vec::new(),
            names: HashMap::new(),
            last: 0,
            reaches: Vec::new(),
            held: 0,
            counts,
        }
    }

    /// Decides one event for every trigger that it tests. `told` is given the decisions of the first world, in order.
    pub(super) fn take(
        &mut self,
        Coming { event, tenant, key }: &Coming<'_>,
        line: u32,
        mut told: impl FnMut(Trigger, &Decision),
    ) -> Taken<'_> {
        let Self { tenants, cooling, reaches, held, counts, compared, .. } = self;
        let Tenant { tests, slots, modes, rules, customers, unreadable, .. } = &mut tenants[*tenant];
        let triggers = event.activity.kind().tests();
        let id = if key.is_some() { bet_id_of(event.id) } else { 0 };
        let mut customer = key.map(|key| customers.of(key, event.customer, event.occurred_at, held));
        if let (Some(customer), true) = (&mut customer, is_counted(event.activity, rules)) {
            customer.bet(Bet { at: event.occurred_at, id, arrival: line }, rules, reaches, held);
        }
        for trigger in triggers {
            let (tests, slots) = (&tests[*trigger as usize], &slots[*trigger as usize]);
            let mode = modes[*trigger as usize];
            let against = if *compared { tests.by_world[1] } else { tests.by_world[0] };
            let mut required = [false; 2];
            for (variant, (way, slot)) in tests.variants.iter().zip(slots).enumerate() {
                let reach = reaches.get(way.window).copied();
                let Some(verdict) = judge_posed(way.posed, event.activity, reach) else { continue };
                let slot_counts = &mut counts.slots.all[*slot];
                let decision = match (verdict, &mut customer) {
                    (Verdict::Decided(decision), _) => decision,
                    (Verdict::Candidate(facts), Some(customer)) => {
                        let cell = customer.cell(*trigger, variant, tests.variants.len(), held);
                        let cooling = cooling[*trigger as usize];
                        let (answer, prompts) = cell.ask(Claim { at: event.occurred_at, event: id }, cooling, held);
                        if prompts && mode == Mode::Live {
                            cell.prompts = cell.prompts.saturating_add(1);
                            slot_counts.prompts += 1;
                            counts.minutes.add(event.occurred_at, *slot);
                        }
                        conclude(facts, Freshness::Fresh, answer, cooling.cooldown, mode)
                    }
                    (Verdict::Candidate(_), None) => continue,
                };
                slot_counts.decisions[place_of(&decision)] += 1;
                let is_required = matches!(decision, Decision::Required { .. });
                required[0] |= is_required && variant == tests.by_world[0];
                required[1] |= is_required && variant == against;
                if variant == tests.by_world[0] {
                    if *trigger == Trigger::HighFrequencyBetting {
                        let late = decision.reach().is_some_and(|reach| reach.timeliness == Timeliness::Late);
                        counts.late_bets += u64::from(late);
                    }
                    told(*trigger, &decision);
                }
            }
            counts.changes[*trigger as usize].newly += u64::from(!required[0] && required[1]);
            counts.changes[*trigger as usize].no_longer += u64::from(required[0] && !required[1]);
        }
        match unreadable.first() {
            Some((0, error)) => Taken::Unreadable(error),
            Some(_) | None => Taken::Decided,
        }
    }

    /// The place of a tenant, whose documents are read when it comes up first.
    fn tenant(&mut self, name: &str) -> usize {
        if self.tenants.get(self.last).is_some_and(|tenant| tenant.id.as_str() == name) {
            return self.last;
        }
        self.last = match self.names.get(name) {
            Some(place) => *place,
            None => self.meet(name),
        };
        self.last
    }

    fn meet(&mut self, name: &str) -> usize {
        // The name was checked when the event was read.
        let Ok(id) = TenantId::new(name) else { return self.last };
        let known = known(&self.worlds, &id);
        let (tests, rules) = tests(&known, &self.windows);
        let slots = &mut self.counts.slots;
        let of = |(trigger, tests): (&Trigger, &Tests)| {
            tests.variants.iter().map(|variant| slots.place(*trigger, &variant.worlds)).collect()
        };
        let slots = Trigger::ALL.iter().zip(&tests).map(of).collect();
        // What other preferences would change is asked of the preferences, whatever is being tried out just now.
        let mode = |trigger: &Trigger| {
            if self.worlds.len() == 1 { self.shadow.mode(&id, *trigger) } else { Mode::Live }
        };
        let modes = Trigger::ALL.iter().map(mode).collect();
        let unreadable = known.into_iter().enumerate().filter_map(|(world, known)| match known {
            Known::Unreadable(error) => Some((world, error)),
            Known::Preferences(_) | Known::NoTenant => None,
        });
        let tenant = Tenant {
            id: id.clone(),
            unreadable: unreadable.collect(),
            tests,
            slots,
            modes,
            rules,
            customers: Customers::default(),
        };
        self.tenants.push(tenant);
        self.names.insert(id, self.tenants.len() - 1);
        self.tenants.len() - 1
    }

    /// Keeps to so many bytes, at `now` in event time: first goes what can no longer matter to an event that is not late,
    /// then windows and claims of those who did nothing for longest, and at last what was counted of these.
    pub(super) fn keep_within(&mut self, bytes: usize, now: Timestamp) {
        if self.counts.minutes.is_full() {
            let series = self.series();
            self.counts.minutes.close_older_half(&series);
        }
        if self.held <= bytes {
            return;
        }
        self.forget_dead(now);
        // Some room must be won, or the next event would be here again.
        let enough = bytes - bytes / 8;
        for share in [4, 2, 1] {
            if self.held <= enough {
                return;
            }
            self.give_up_oldest(share, enough);
        }
    }

    fn forget_dead(&mut self, now: Timestamp) {
        let since = now.minus(self.windows.allowed_lateness);
        let span = |cooling: &Cooling| cooling.cooldown.max(cooling.retention);
        let longest = self.cooling.iter().map(span).max().unwrap_or_default();
        for tenant in &mut self.tenants {
            let claims = |trigger: Trigger| span(&self.cooling[trigger as usize]);
            tenant.customers.forget_dead(since, &Spans { rules: &tenant.rules, longest, claims: &claims });
        }
        self.held = self.tenants.iter().map(|tenant| tenant.customers.held_bytes()).sum();
    }

    /// Gives up windows and claims of one in `share` customers, and where that does not do, the customers themselves.
    fn give_up_oldest(&mut self, share: usize, enough: usize) {
        let mut newest: Vec<Timestamp> = self.tenants.iter().flat_map(|tenant| tenant.customers.newest()).collect();
        let Some(last) = (newest.len() / share).max(1).checked_sub(1).filter(|last| *last < newest.len()) else {
            return;
        };
        let until = *newest.select_nth_unstable(last).1;
        for tenant in &mut self.tenants {
            self.counts.given_up.states += tenant.customers.give_up_state(until);
        }
        self.held = self.tenants.iter().map(|tenant| tenant.customers.held_bytes()).sum();
        if self.held <= enough {
            return;
        }
        for tenant in &mut self.tenants {
            let Tenant { id, tests, slots, customers, .. } = tenant;
            customers.give_up(until, |name, customer| {
                self.counts.given_up.customers += 1;
                self.counts.close(id.as_str(), tests, slots, name, customer, self.compared);
            });
        }
        self.held = self.tenants.iter().map(|tenant| tenant.customers.held_bytes()).sum();
    }

    /// Counts the people, once everything is decided.
    pub(super) fn finish(&mut self) {
        for tenant in &mut self.tenants {
            for (name, customer) in tenant.customers.iter() {
                self.counts.close(tenant.id.as_str(), &tenant.tests, &tenant.slots, name, customer, self.compared);
            }
            // Nobody needs their memory any more, and to give it back piece by piece would take as long as many an event.
            std::mem::forget(std::mem::take(&mut tenant.customers));
        }
        self.counts.given_up.minutes = self.counts.minutes.missed;
    }

    /// The series whose peaks are asked about: of every world all triggers, then each trigger.
    pub(super) fn series(&self) -> SeriesOf {
        let slots = &self.counts.slots;
        let of = |world: usize, trigger| slots.of(world, trigger).map(|(place, _)| place).collect();
        let triggers = || std::iter::once(None).chain(Trigger::ALL.iter().copied().map(Some));
        (0..self.worlds.len()).flat_map(|world| triggers().map(move |trigger| of(world, trigger))).collect()
    }

    /// Documents that cannot be read: the world's place, and why not.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (usize, &str)> {
        self.tenants.iter().flat_map(|tenant| &tenant.unreadable).map(|(world, error)| (*world, error.as_str()))
    }

    /// Whether any tenant that came up is decided otherwise in some world than in the first.
    pub(super) fn differs(&self) -> bool {
        self.tenants.iter().any(|tenant| tenant.tests.iter().any(|tests| tests.variants.len() > 1))
    }

    /// Whether a trigger is switched on for any tenant that came up, in any world.
    pub(super) fn is_on(&self, trigger: Trigger) -> bool {
        let on = |posed: Posed| match posed {
            Posed::Set(Setting::FeatureOff | Setting::Off) | Posed::NoTenant | Posed::Unreadable => false,
            Posed::Set(Setting::Plain | Setting::Amount(_) | Setting::Frequency(_)) => true,
        };
        self.tenants.iter().any(|tenant| tenant.tests[trigger as usize].variants.iter().any(|way| on(way.posed)))
    }
}

/// The rules up to the claims. `reach` is of a window that variants share, whatever count they need.
fn judge_posed(posed: Posed, activity: Activity, reach: Option<Reach>) -> Option<Verdict> {
    match posed {
        Posed::Set(setting @ Setting::Frequency(bound)) => {
            let reach = reach.map(|reach| Reach { needed: bound.needed, ..reach });
            Some(judge_setting(activity, setting, reach))
        }
        Posed::Set(setting) => Some(judge_setting(activity, setting, None)),
        Posed::NoTenant => Some(Verdict::Decided(Decision::TenantUnknown)),
        Posed::Unreadable => None,
    }
}

impl Counts {
    /// Counts one customer, of whom nothing more is to come.
    fn close(
        &mut self,
        tenant: &str,
        tests: &[Tests],
        slots: &[Vec<usize>],
        name: &str,
        customer: &Customer,
        compared: bool,
    ) {
        for of in &customer.triggers {
            let (tests, slots) = (&tests[of.trigger as usize], &slots[of.trigger as usize]);
            for (cell, slot) in of.cells.iter().zip(slots) {
                self.slots.all[*slot].people.add(u64::from(cell.prompts));
            }
            if compared {
                let prompted = |world: usize| of.cells[tests.by_world[world]].prompts > 0;
                let changes = &mut self.changes[of.trigger as usize];
                changes.customers_newly += u64::from(!prompted(0) && prompted(1));
                changes.customers_no_longer += u64::from(prompted(0) && !prompted(1));
            }
        }
        let prompts_of = |world: usize| -> u64 {
            let of_trigger = |of: &super::customers::OfTrigger| {
                u64::from(of.cells[tests[of.trigger as usize].by_world[world]].prompts)
            };
            customer.triggers.iter().map(of_trigger).sum()
        };
        for (world, people) in self.people.iter_mut().enumerate() {
            people.add(prompts_of(world));
        }
        let prompts = prompts_of(0);
        let against = compared.then(|| prompts_of(1));
        if let Some(against) = against {
            self.customers_newly += u64::from(prompts == 0 && against > 0);
            self.customers_no_longer += u64::from(prompts > 0 && against == 0);
        }
        self.most_affected.offer(tenant, name, prompts, against);
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests_of_engine;

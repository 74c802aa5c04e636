//! What is kept of the customers of one tenant: windows, claims and how often each was prompted.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::claim::{Claim, ClaimAnswer, ClaimRequest, Intent, settle};
use crate::domain::hashed::HashedAlready;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::{Bet, Reach, Window, WindowRule};

/// One customer of a tenant.
#[derive(Debug, Default)]
pub(super) struct Customer {
    name: Box<str>,
    /// Of the tenant's first window rule: it stands here because nearly always it is the only one.
    window: Window,
    /// Of its further rules, from the first bet on.
    more_windows: Vec<Window>,
    /// Of the triggers that at least once only the claims could hold back.
    pub(super) triggers: Vec<OfTrigger>,
    /// The newest of its events that came into a window or near to a prompt.
    newest: Option<Timestamp>,
}

/// What is kept for one trigger, by variant.
#[derive(Debug)]
pub(super) struct OfTrigger {
    pub(super) trigger: Trigger,
    pub(super) cells: Box<[Cell]>,
}

/// One variant of a trigger for one customer.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// The claims; of a trigger without a cool-down the events that it prompted for lately.
    claims: Vec<Claim>,
    pub(super) prompts: u32,
}

/// How claims of one trigger are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cooling {
    pub(super) cooldown: Duration,
    pub(super) retention: Duration,
}

/// So many events of a trigger without a cool-down are remembered, so that a repeat prompts nobody twice.
const REMEMBERED: usize = 256;

impl Cell {
    /// Asks the claims, as the live role does. `None` for a trigger without a cool-down, which takes none. The second
    /// answer is whether this makes a session that the event has not made before.
    pub(super) fn ask(&mut self, claim: Claim, cooling: Cooling, held: &mut usize) -> (Option<ClaimAnswer>, bool) {
        let Cooling { cooldown, retention } = cooling;
        let before = self.claims.capacity();
        let answer = if cooldown.is_zero() {
            let again = self.claims.iter().any(|known| known.event == claim.event);
            if !again {
                let oldest = claim.at.minus(retention);
                self.claims.retain(|known| known.at > oldest);
                if self.claims.len() == REMEMBERED {
                    self.claims.remove(0);
                }
                self.claims.push(claim);
            }
            (None, !again)
        } else {
            let answer = settle(&mut self.claims, &ClaimRequest { claim, intent: Intent::Take, cooldown, retention });
            (Some(answer), answer == ClaimAnswer::Free)
        };
        *held += (self.claims.capacity() - before) * size_of::<Claim>();
        answer
    }

    fn newest_claim(&self) -> Option<Timestamp> {
        self.claims.iter().map(|claim| claim.at).max()
    }
}

impl Customer {
    /// Takes a bet into every window, and leaves in `reaches` what each says of it.
    pub(super) fn bet(&mut self, bet: Bet, rules: &[WindowRule], reaches: &mut Vec<Reach>, held: &mut usize) {
        let further = rules.len().saturating_sub(1);
        if self.more_windows.len() < further {
            self.more_windows.resize_with(further, Window::default);
            *held += ALLOCATION + further * (size_of::<Window>() + ALLOCATION);
        }
        reaches.clear();
        let windows = std::iter::once(&mut self.window).chain(&mut self.more_windows);
        for (window, rule) in windows.zip(rules) {
            let before = window.held_bytes();
            reaches.push(window.take(bet, rule));
            *held = held.saturating_add(window.held_bytes()).saturating_sub(before);
        }
    }

    /// What is kept for one variant of a trigger, of which there are so many.
    pub(super) fn cell(&mut self, trigger: Trigger, variant: usize, variants: usize, held: &mut usize) -> &mut Cell {
        let place = self.triggers.iter().position(|of| of.trigger == trigger).unwrap_or_else(|| {
            *held += size_of::<OfTrigger>() + ALLOCATION + variants * (size_of::<Cell>() + ALLOCATION);
            let cells = std::iter::repeat_with(Cell::default).take(variants).collect();
            self.triggers.push(OfTrigger { trigger, cells });
            self.triggers.len() - 1
        });
        &mut self.triggers[place].cells[variant]
    }

    /// Reads a little of all that stands in itself, which is more than memory brings at once.
    pub(super) fn touch(&self) -> i64 {
        let lengths = self.name.len() + self.more_windows.len() + self.triggers.len();
        self.newest.map_or(0, |newest| newest.0) ^ lengths as i64
    }

    /// Reads what it leads to.
    pub(super) fn touch_state(&self) -> i64 {
        let window = self.window.newest().map_or(0, |newest| newest.0) ^ self.window.held_bytes() as i64;
        window ^ self.triggers.iter().map(|of| of.cells.len() as i64).sum::<i64>()
    }

    /// Reads the claims.
    pub(super) fn touch_claims(&self) -> i64 {
        let of = |of: &OfTrigger| of.cells.first().and_then(|cell| cell.claims.last()).map_or(0, |claim| claim.at.0);
        self.triggers.iter().map(of).fold(0, i64::wrapping_add)
    }

    fn is_prompted(&self) -> bool {
        self.triggers.iter().any(|of| of.cells.iter().any(|cell| cell.prompts > 0))
    }

    fn windows(&self) -> impl Iterator<Item = &Window> {
        std::iter::once(&self.window).chain(&self.more_windows)
    }

    fn is_stateless(&self) -> bool {
        let claimless = |of: &OfTrigger| of.cells.iter().all(|cell| cell.claims.is_empty());
        self.windows().all(|window| window.newest().is_none()) && self.triggers.iter().all(claimless)
    }

    /// Drops windows and claims of which nothing can matter to an event at `since` or later.
    fn forget_dead(&mut self, since: Timestamp, span: &Spans<'_>) {
        let dead = |(window, rule): (&Window, &WindowRule)| {
            window.newest().is_none_or(|newest| newest.plus(rule.kept_for()).plus(span.longest) < since)
        };
        if self.windows().zip(span.rules).all(dead) {
            self.forget_windows();
        }
        for of in &mut self.triggers {
            let kept = (span.claims)(of.trigger);
            for cell in &mut of.cells {
                if cell.newest_claim().is_none_or(|newest| newest.plus(kept) < since) {
                    cell.claims = Vec::new();
                }
            }
        }
    }

    fn forget_windows(&mut self) {
        self.window = Window::default();
        self.more_windows = Vec::new();
    }

    fn forget_state(&mut self) {
        self.forget_windows();
        self.triggers.iter_mut().flat_map(|of| &mut of.cells).for_each(|cell| cell.claims = Vec::new());
    }

    fn held_bytes(&self) -> usize {
        let windows: usize = self.windows().map(Window::held_bytes).sum();
        let more = self.more_windows.len() * (size_of::<Window>() + ALLOCATION);
        let claims = |cell: &Cell| size_of::<Cell>() + ALLOCATION + cell.claims.capacity() * size_of::<Claim>();
        let cells = self.triggers.iter().map(|of| ALLOCATION + of.cells.iter().map(claims).sum::<usize>());
        let triggers = self.triggers.len() * size_of::<OfTrigger>();
        windows + more + cells.sum::<usize>() + triggers
    }
}

/// For how long what is kept can matter.
pub(super) struct Spans<'a> {
    pub(super) rules: &'a [WindowRule],
    /// The longest cool-down or retention there is.
    pub(super) longest: Duration,
    /// How long claims of a trigger can matter.
    pub(super) claims: &'a dyn Fn(Trigger) -> Duration,
}

/// The customers of a tenant by the hash that stands for them in the live store, too.
#[derive(Debug, Default)]
pub(super) struct Customers {
    kept: HashMap<u128, Customer, HashedAlready>,
}

/// What one customer costs beside its content: its place in a table that is between half and nearly full, and its name.
const CUSTOMER: usize = 2 * size_of::<(u128, Customer)>() + ALLOCATION;
/// What an allocation costs beside its content.
const ALLOCATION: usize = 16;

impl Customers {
    /// The customer of this key and name, at the time of one of its events.
    pub(super) fn of(&mut self, key: u128, name: &str, at: Timestamp, held: &mut usize) -> &mut Customer {
        let customer = self.kept.entry(key).or_insert_with(|| {
            *held += CUSTOMER + name.len();
            Customer { name: name.into(), ..Customer::default() }
        });
        customer.newest = customer.newest.max(Some(at));
        customer
    }

    /// The customer of this key, where it is known.
    pub(super) fn get(&self, key: u128) -> Option<&Customer> {
        self.kept.get(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Customer)> {
        self.kept.values().map(|customer| (&*customer.name, customer))
    }

    /// The newest event of every customer.
    pub(super) fn newest(&self) -> impl Iterator<Item = Timestamp> {
        self.iter().filter_map(|(_, customer)| customer.newest)
    }

    /// Forgets what can no longer matter to an event at `since` or later.
    pub(super) fn forget_dead(&mut self, since: Timestamp, spans: &Spans<'_>) {
        self.kept.values_mut().for_each(|customer| customer.forget_dead(since, spans));
        self.drop_where(|_, customer| customer.is_stateless() && !customer.is_prompted());
    }

    /// Forgets windows and claims of those whose newest event is no later than `until`, and says of how many.
    pub(super) fn give_up_state(&mut self, until: Timestamp) -> u64 {
        let old = |customer: &&mut Customer| customer.newest.is_some_and(|newest| newest <= until);
        let mut given_up = 0;
        for customer in self.kept.values_mut().filter(old).filter(|customer| !customer.is_stateless()) {
            customer.forget_state();
            given_up += 1;
        }
        self.drop_where(|_, customer| customer.is_stateless() && !customer.is_prompted());
        given_up
    }

    /// Lets those go whose newest event is no later than `until`, each after `close` has looked at it.
    pub(super) fn give_up(&mut self, until: Timestamp, mut close: impl FnMut(&str, &Customer)) {
        self.drop_where(|name, customer| {
            let old = customer.newest.is_some_and(|newest| newest <= until);
            if old {
                close(name, customer);
            }
            old
        });
    }

    fn drop_where(&mut self, mut goes: impl FnMut(&str, &Customer) -> bool) {
        self.kept.retain(|_, customer| !goes(&customer.name, customer));
        if self.kept.len() * 4 < self.kept.capacity() {
            self.kept.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn is_stateless(&self) -> bool {
        self.iter().all(|(_, customer)| customer.is_stateless())
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.iter().map(|(name, customer)| CUSTOMER + name.len() + customer.held_bytes()).sum()
    }
}

//! Windows, claims, outcomes and controls in memory: the twin of the Redis form, for one process that may forget.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::claim::{Claim, ClaimAnswer, Intent, settle};
use crate::domain::control::Controls;
use crate::domain::ids::{CommandId, CustomerId, TenantId};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::Bet;
use crate::edge::claims::{Ask, Claims};
use crate::edge::outcomes::{DOUBTS_KEPT, EarlierAttempt, KEPT_FOR, MAX_DOUBTS, Outcomes};
use crate::edge::peek::Peek;
use crate::edge::windows::{Compaction, CustomerBets, Logs, Windows};
use crate::edge::{Scope, Scoped, StoreError};
use crate::wire::window::customer_key;

/// Everything in memory, shared by its clones. Nothing outlives its TTL, and of each kind at most `capacity` keys are kept.
#[derive(Clone)]
pub struct MemoryStore {
    states: Arc<[Mutex<State>; 3]>,
    scope: Scope,
}

impl Scoped for MemoryStore {
    fn scoped(&self, scope: Scope) -> Self {
        Self { states: Arc::clone(&self.states), scope }
    }

    fn beside(&self) -> Self {
        self.clone()
    }
}

/// So many keys of each kind are kept unless told otherwise; at a few hundred bytes each.
const CAPACITY: usize = 1 << 20;

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// A store that keeps at most so many keys of each kind. Beyond that, those nearest to their end go.
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let state = || {
            Mutex::new(State {
                windows: Shelf::new(capacity),
                claims: Shelf::new(capacity),
                outcomes: Shelf::new(capacity),
                attempts: Shelf::new(capacity),
                doubts: HashMap::new(),
                controls: Controls::default(),
                sessions: Shelf::new(capacity),
            })
        };
        Self { states: Arc::new([state(), state(), state()]), scope: Scope::Live }
    }

    /// How many windows and claims were given up for want of room. Not nothing means: answers may be wrong by now.
    pub fn given_up(&self) -> u64 {
        let state = self.lock();
        state.windows.given_up + state.claims.given_up
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let [live, shadow, candidate] = &*self.states;
        let state = match self.scope {
            Scope::Live => live,
            Scope::Shadow => shadow,
            Scope::Candidate => candidate,
        };
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct State {
    pub(super) windows: Shelf<u128, Vec<Bet>>,
    pub(super) claims: Shelf<(u128, Trigger), Vec<Claim>>,
    outcomes: Shelf<CommandId, Vec<u8>>,
    attempts: Shelf<(CommandId, u32), u64>,
    doubts: HashMap<TenantId, Timestamp>,
    pub(super) controls: Controls,
    pub(super) sessions: Shelf<(TenantId, i64), i64>,
}

impl Windows for MemoryStore {
    async fn record(&self, batch: &[CustomerBets], compactions: &[Compaction]) -> Result<Logs, StoreError> {
        let mut state = self.lock();
        for compaction in compactions {
            compact(&mut state.windows, compaction);
        }
        let mut logs = Logs::with_room(batch.len(), batch.len());
        batch.iter().for_each(|bets| append(&mut state.windows, bets, &mut logs));
        Ok(logs)
    }
}

fn compact(windows: &mut Shelf<u128, Vec<Bet>>, compaction: &Compaction) {
    let Some(log) = windows.get_mut(&compaction.key) else { return };
    if compaction.read.is_empty() || !log.starts_with(&compaction.read) {
        return;
    }
    log.splice(..compaction.read.len(), compaction.kept.iter().copied());
    windows.touch(&compaction.key, compaction.ttl);
}

fn append(windows: &mut Shelf<u128, Vec<Bet>>, bets: &CustomerBets, logs: &mut Logs) {
    if bets.bets.is_empty() {
        logs.push(windows.get_mut(&bets.key).into_iter().flat_map(|log| log.iter().copied()));
    } else {
        let log = windows.get_or_insert(bets.key, bets.ttl, Vec::new);
        log.extend_from_slice(&bets.bets);
        logs.push(log.iter().copied());
    }
    windows.touch(&bets.key, bets.ttl);
}

impl Claims for MemoryStore {
    async fn settle(&self, asks: &[Ask]) -> Result<Vec<ClaimAnswer>, StoreError> {
        let mut state = self.lock();
        Ok(asks.iter().map(|ask| answer(&mut state.claims, ask)).collect())
    }
}

fn answer(claims: &mut Shelf<(u128, Trigger), Vec<Claim>>, ask: &Ask) -> ClaimAnswer {
    let key = (ask.key, ask.trigger);
    match ask.request.intent {
        Intent::Look => settle(claims.get_mut(&key).unwrap_or(&mut Vec::new()), &ask.request),
        Intent::Take => {
            let answer = settle(claims.get_or_insert(key, ask.ttl, Vec::new), &ask.request);
            if answer == ClaimAnswer::Free {
                claims.touch(&key, ask.ttl);
            }
            answer
        }
    }
}

impl Peek for MemoryStore {
    async fn peek_window(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Vec<Bet>, StoreError> {
        let key = customer_key(tenant, customer);
        Ok(self.lock().windows.get_mut(&key).map(|log| log.clone()).unwrap_or_default())
    }

    async fn peek_claims(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
        trigger: Trigger,
    ) -> Result<Vec<Claim>, StoreError> {
        let key = (customer_key(tenant, customer), trigger);
        Ok(self.lock().claims.get_mut(&key).map(|claims| claims.clone()).unwrap_or_default())
    }
}

impl Outcomes for MemoryStore {
    async fn fixed(&self, commands: &[CommandId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut state = self.lock();
        Ok(commands.iter().map(|command| state.outcomes.get_mut(command).map(|record| record.clone())).collect())
    }

    async fn fix(&self, command: CommandId, record: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(self.lock().outcomes.get_or_insert(command, KEPT_FOR, || record.to_vec()).clone())
    }

    async fn begin_attempt(
        &self,
        command: CommandId,
        reference_number: u32,
        mark: u64,
    ) -> Result<EarlierAttempt, StoreError> {
        let mut state = self.lock();
        let standing = *state.attempts.get_or_insert((command, reference_number), KEPT_FOR, || mark);
        Ok(if standing == mark { EarlierAttempt::None } else { EarlierAttempt::OnRecord })
    }

    async fn forget_attempt(&self, command: CommandId, reference_number: u32) -> Result<(), StoreError> {
        self.lock().attempts.remove(&(command, reference_number));
        Ok(())
    }

    async fn doubt(&self, tenant: &TenantId, at: Timestamp) -> Result<(), StoreError> {
        let doubts = &mut self.lock().doubts;
        let latest = doubts.entry(tenant.clone()).or_insert(at);
        *latest = at.max(*latest);
        let oldest = at.minus(DOUBTS_KEPT);
        doubts.retain(|_, doubted| *doubted >= oldest);
        if doubts.len() > MAX_DOUBTS
            && let Some(first) =
                doubts.iter().min_by_key(|(tenant, at)| (**at, *tenant)).map(|(tenant, _)| tenant.clone())
        {
            doubts.remove(&first);
        }
        Ok(())
    }

    async fn doubts(&self, after: Timestamp) -> Result<Vec<(TenantId, Timestamp)>, StoreError> {
        let state = self.lock();
        let recent = state.doubts.iter().filter(|(_, at)| **at >= after);
        Ok(recent.map(|(tenant, at)| (tenant.clone(), *at)).collect())
    }
}

/// Keys with their values and ends. What is past its end is as good as gone, and really goes at the next sweep.
pub(super) struct Shelf<K, V> {
    kept: HashMap<K, Kept<V>>,
    capacity: usize,
    /// The next sweep is due when so many keys are kept; it doubles with what lives, so sweeping costs little per insert.
    sweep_at: usize,
    given_up: u64,
}

struct Kept<V> {
    value: V,
    ends_at: Instant,
}

impl<K: Hash + Eq + Clone, V> Shelf<K, V> {
    fn new(capacity: usize) -> Self {
        Self { kept: HashMap::new(), capacity, sweep_at: capacity.min(1_024), given_up: 0 }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.kept.get_mut(key).filter(|kept| kept.ends_at > Instant::now()).map(|kept| &mut kept.value)
    }

    pub(super) fn get_or_insert(&mut self, key: K, ttl: Duration, fresh: impl FnOnce() -> V) -> &mut V {
        let now = Instant::now();
        if self.kept.get(&key).is_none_or(|kept| kept.ends_at <= now) {
            self.kept.remove(&key);
            self.sweep(now);
        }
        &mut self.kept.entry(key).or_insert_with(|| Kept { value: fresh(), ends_at: end(now, ttl) }).value
    }

    fn touch(&mut self, key: &K, ttl: Duration) {
        let now = Instant::now();
        if let Some(kept) = self.kept.get_mut(key).filter(|kept| kept.ends_at > now) {
            kept.ends_at = end(now, ttl);
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.kept.remove(key);
    }

    /// Makes room for one more key.
    fn sweep(&mut self, now: Instant) {
        if self.kept.len() < self.sweep_at {
            return;
        }
        self.kept.retain(|_, kept| kept.ends_at > now);
        if self.kept.len() >= self.capacity {
            // A tenth goes at once, so that a full shelf is not sorted for every insert.
            let keep = self.capacity - self.capacity.div_ceil(10);
            let mut ends: Vec<(Instant, K)> = self.kept.iter().map(|(key, kept)| (kept.ends_at, key.clone())).collect();
            let surplus = ends.len() - keep;
            if surplus < ends.len() {
                ends.select_nth_unstable_by_key(surplus, |(ends_at, _)| *ends_at);
            }
            for (_, key) in ends.into_iter().take(surplus) {
                self.kept.remove(&key);
                self.given_up += 1;
            }
        }
        self.sweep_at = (self.kept.len() * 2).clamp(self.capacity.min(1_024), self.capacity);
    }
}

fn end(now: Instant, ttl: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
    now + ttl.min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_shelf_forgets_what_is_past_its_end() {
        let mut shelf = Shelf::new(10);
        *shelf.get_or_insert("dead", Duration::ZERO, || 1) += 1;
        assert_eq!(shelf.get_mut(&"dead"), None);
        shelf.touch(&"dead", HOUR);
        assert_eq!(shelf.get_mut(&"dead"), None, "a touch does not bring it back");
        assert_eq!(*shelf.get_or_insert("dead", HOUR, || 7), 7);
        assert_eq!(*shelf.get_or_insert("dead", HOUR, || 8), 7);
    }

    #[test]
    fn a_full_shelf_drops_the_dead_first_and_then_those_nearest_to_their_end() {
        let mut shelf = Shelf::new(10);
        for key in 0..9_u64 {
            shelf.get_or_insert(key, if key < 3 { Duration::ZERO } else { HOUR * (20 - key as u32) }, || ());
        }
        for key in 9..13 {
            shelf.get_or_insert(key, HOUR * 30, || ());
        }
        assert_eq!((shelf.kept.len(), shelf.given_up), (10, 0));
        shelf.get_or_insert(13, HOUR, || ());
        assert_eq!((shelf.kept.len(), shelf.given_up), (10, 1));
        assert!(!shelf.kept.contains_key(&8), "of those alive it was nearest to its end");
        for key in 100..10_000 {
            shelf.get_or_insert(key, HOUR, || ());
            assert!(shelf.kept.len() <= 10);
        }
    }

    #[test]
    fn a_store_of_one_key_keeps_one_key() {
        let mut shelf = Shelf::new(1);
        for key in 0..5 {
            shelf.get_or_insert(key, HOUR, || ());
            assert_eq!(shelf.kept.len(), 1);
        }
        assert_eq!(shelf.given_up, 4);
    }
}

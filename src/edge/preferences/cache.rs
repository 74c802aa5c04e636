//! Copies of the preferences of many tenants: answered from memory, one reading at a time for each tenant.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::near::Near;
use super::outage::Outage;
use super::rate::Lane;
use super::source::{Fetched, PreferencesSource};
use super::state::{Condition, Held, Judgment, State, Told};
use super::{Lookup, Observer, Remembered, Settings, Unavailable, lock};
use crate::domain::ids::TenantId;
use crate::domain::preferences::Preferences;
use crate::domain::time::Timestamp;
use crate::edge::clock;

/// How many readings of each lane are under way at once; there are two lanes.
const AT_ONCE: usize = 32;

/// How long at most a tenant that nobody looks up is remembered.
const LONGEST_IDLE: Duration = Duration::from_secs(86_400);

/// The preferences of tenants, from memory as long as they are fresh. Dropping it ends its readings.
pub struct PreferencesCache<S> {
    inner: Arc<Inner<S>>,
    _readings: DropGuard,
}

struct Inner<S> {
    source: S,
    settings: Settings,
    observer: Arc<dyn Observer>,
    slots: Cache<TenantId, Arc<Slot>>,
    /// Before the slots, those copies that nobody reads again yet. Changed under the lock of a slot's state: so none is here
    /// that is being read again.
    near: Near<Preferences>,
    /// The slots that are being read for, also where the cache has let go of them. Locked before a slot's state.
    readings: Mutex<HashMap<TenantId, Arc<Slot>>>,
    /// Tenants that have a copy do not queue behind those that a sender may have made up.
    known: Lane,
    cold: Lane,
    outage: Mutex<Outage>,
    stop: CancellationToken,
}

struct Slot {
    state: Mutex<State>,
    landed: watch::Sender<()>,
}

/// A seat to wait in for the reading under way.
struct Ticket {
    slot: Arc<Slot>,
    landed: watch::Receiver<()>,
}

/// Small, for a batch may have as many as events.
enum Begun {
    Done(Result<Lookup, Box<Unavailable>>),
    Waiting(Ticket),
}

impl<S: PreferencesSource> PreferencesCache<S> {
    pub fn new(source: S, settings: Settings, observer: Arc<dyn Observer>) -> Self {
        let settings = source.adjust(settings);
        let stop = CancellationToken::new();
        // What nobody has wanted for so long is worth no more than nothing.
        let idle = settings.max_stale.max(settings.ttl).clamp(Duration::from_secs(1), LONGEST_IDLE);
        let inner = Inner {
            source,
            settings,
            observer,
            slots: Cache::builder().max_capacity(settings.max_tenants).time_to_idle(idle).build(),
            near: Near::before_cache(idle, settings.max_tenants),
            readings: Mutex::default(),
            known: Lane::new(settings.lookups_per_second, AT_ONCE),
            cold: Lane::new(settings.lookups_per_second, AT_ONCE),
            outage: Mutex::default(),
            stop: stop.clone(),
        };
        Self { inner: Arc::new(inner), _readings: stop.drop_guard() }
    }

    /// What is known of the tenant. Waits only where there is no fresh copy, and then for one answer of the source.
    pub async fn of(&self, tenant: &TenantId) -> Result<Lookup, Box<Unavailable>> {
        if let Some(known) = self.inner.near.of(tenant, Instant::now()) {
            self.inner.observer.hits(1);
            return Ok(Lookup::Known(known));
        }
        let begun = self.inner.begin(tenant).await;
        self.inner.answer(tenant, begun).await
    }

    /// What is known of each of the tenants, in their order. Those that must be waited for are read side by side; the
    /// first that is unavailable makes the whole unavailable.
    pub async fn of_all(&self, tenants: &[TenantId]) -> Result<Vec<Lookup>, Box<Unavailable>> {
        let mut lookups = Vec::with_capacity(tenants.len());
        for (tenant, begun) in tenants.iter().zip(self.begin_all(tenants).await) {
            lookups.push(self.inner.answer(tenant, begun).await?);
        }
        Ok(lookups)
    }

    /// What is known of each of the tenants, in their order, whichever of them are unavailable.
    pub async fn each(&self, tenants: &[TenantId]) -> Vec<Result<Lookup, Box<Unavailable>>> {
        let mut lookups = Vec::with_capacity(tenants.len());
        for (tenant, begun) in tenants.iter().zip(self.begin_all(tenants).await) {
            lookups.push(self.inner.answer(tenant, begun).await);
        }
        lookups
    }

    async fn begin_all(&self, tenants: &[TenantId]) -> Vec<Begun> {
        let near = self.inner.near.of_all(tenants, Instant::now());
        self.inner.observer.hits(near.iter().flatten().count() as u64);
        let mut begun = Vec::with_capacity(tenants.len());
        for (tenant, near) in tenants.iter().zip(near) {
            begun.push(match near {
                Some(known) => Begun::Done(Ok(Lookup::Known(known))),
                None => self.inner.begin(tenant).await,
            });
        }
        begun
    }

    /// Reads the tenant again at once, in the background, unless what is known of it was asked for after `since` (wall
    /// clock). Look-ups get the present copy until the new one is there. Does nothing for a tenant that is not remembered,
    /// and reads a tenant at most once a second for its doubts.
    pub async fn doubt(&self, tenant: &TenantId, since: Timestamp) {
        let Some(slot) = self.inner.slots.get(tenant).await else { return };
        // What was asked for before this machine's clock began was asked for after nothing that is remembered.
        let Some(since) = Instant::now().checked_sub(age_on_the_wall(since)) else { return };
        {
            let mut state = lock(&slot.state);
            state.doubt(since);
            self.inner.near.forget(tenant);
        }
        self.inner.board(tenant, &slot);
    }

    /// The tenants that are remembered, those with the oldest copies first, at most `most` of them.
    pub fn snapshot(&self, most: usize) -> Vec<Remembered> {
        let now = Instant::now();
        let mut tenants: Vec<Remembered> = self
            .inner
            .slots
            .iter()
            .filter_map(|(tenant, slot)| {
                let (age, updated_at, state) = lock(&slot.state).glance(now, &self.inner.settings)?;
                Some(Remembered { tenant: TenantId::clone(&tenant), age, updated_at, state })
            })
            .collect();
        tenants.sort_unstable_by(|a, b| b.age.cmp(&a.age).then_with(|| a.tenant.cmp(&b.tenant)));
        tenants.truncate(most);
        tenants
    }

    /// How many tenants are remembered.
    pub async fn remembered(&self) -> usize {
        // The cache counts what it holds when it tidies up.
        self.inner.slots.run_pending_tasks().await;
        usize::try_from(self.inner.slots.entry_count()).unwrap_or(usize::MAX)
    }

    /// The age of the oldest copy among the tenants that were looked up within the last TTL; nothing where there is none.
    pub fn oldest_age(&self) -> Option<Duration> {
        let now = Instant::now();
        let ttl = self.inner.settings.ttl;
        self.inner.slots.iter().filter_map(|(_, slot)| lock(&slot.state).age_if_wanted(now, ttl)).max()
    }
}

impl<S: PreferencesSource> Inner<S> {
    async fn begin(self: &Arc<Self>, tenant: &TenantId) -> Begun {
        let slot = self.slot(tenant).await;
        loop {
            match self.judge(tenant, &slot) {
                Judgment::Tell { told, read_again } => {
                    if read_again {
                        self.board(tenant, &slot);
                    }
                    self.observer.hits(1);
                    return Begun::Done(Ok(self.tell(told)));
                }
                Judgment::Hold(held) => {
                    self.observer.miss();
                    return Begun::Done(Err(self.unavailable(tenant, held)));
                }
                // Without a seat the answer has just come, and another judgment finds it.
                Judgment::Wait => {
                    if let Some(ticket) = self.board(tenant, &slot) {
                        self.observer.miss();
                        return Begun::Waiting(ticket);
                    }
                }
            }
        }
    }

    fn judge(&self, tenant: &TenantId, slot: &Slot) -> Judgment {
        let (now, mut state) = (Instant::now(), lock(&slot.state));
        let judgment = state.wanted(now, &self.settings);
        self.keep_near(tenant, &state, now);
        judgment
    }

    async fn answer(&self, tenant: &TenantId, begun: Begun) -> Result<Lookup, Box<Unavailable>> {
        match begun {
            Begun::Done(answer) => answer,
            Begun::Waiting(ticket) => self.finish(tenant, ticket).await,
        }
    }

    async fn finish(&self, tenant: &TenantId, mut ticket: Ticket) -> Result<Lookup, Box<Unavailable>> {
        // The sender stands in the slot that the ticket holds, so this ends only when the reading has.
        let _landed = ticket.landed.changed().await;
        let told = lock(&ticket.slot.state).after_reading(Instant::now(), &self.settings);
        told.map(|told| self.tell(told)).map_err(|held| self.unavailable(tenant, held))
    }

    fn unavailable(&self, tenant: &TenantId, held: Held) -> Box<Unavailable> {
        let since = lock(&self.outage).since().map_or(held.since, |since| since.min(held.since));
        Box::new(Unavailable { tenant: tenant.clone(), reason: held.reason, since })
    }

    fn tell(&self, told: Told) -> Lookup {
        if told.stale {
            self.observer.stale_served();
        }
        told.lookup
    }

    async fn slot(&self, tenant: &TenantId) -> Arc<Slot> {
        let remembered_or_new = async {
            let reading = lock(&self.readings).get(tenant).cloned();
            reading.unwrap_or_else(|| Arc::new(Slot { state: Mutex::default(), landed: watch::Sender::new(()) }))
        };
        self.slots.get_with_by_ref(tenant, remembered_or_new).await
    }

    /// A seat in the reading that is under way for the tenant; starts one where the slot wants it. No seat where neither is
    /// the case.
    fn board(self: &Arc<Self>, tenant: &TenantId, slot: &Arc<Slot>) -> Option<Ticket> {
        let mut readings = lock(&self.readings);
        let entry = match readings.entry(tenant.clone()) {
            Entry::Occupied(reading) => return Some(ticket(reading.get())),
            Entry::Vacant(entry) => entry,
        };
        let mut state = lock(&slot.state);
        if !state.wants_reading(Instant::now(), &self.settings) {
            return None;
        }
        let lane = if state.is_known() { Class::Known } else { Class::Cold };
        state.reading(Instant::now());
        entry.insert(Arc::clone(slot));
        let ticket = ticket(slot);
        let reading = Arc::clone(self).read(tenant.clone(), Arc::clone(slot), lane);
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(reading));
        Some(ticket)
    }

    async fn read(self: Arc<Self>, tenant: TenantId, slot: Arc<Slot>, class: Class) {
        let mut landing = Landing { inner: &self, tenant: &tenant, slot: &slot, is_settled: false };
        let (asked_at, fetched) = self.fetch(&tenant, class).await;
        self.observer.refresh(fetched.name());
        lock(&self.outage).hear(&fetched, Instant::now());
        landing.settle(fetched, asked_at);
        // The cache may have let go of the slot in the meantime.
        self.slots.insert(tenant.clone(), Arc::clone(&slot)).await;
        drop(landing);
        let is_doubted = lock(&slot.state).is_doubted();
        if is_doubted {
            self.board(&tenant, &slot);
        }
    }

    async fn fetch(&self, tenant: &TenantId, class: Class) -> (Instant, Fetched) {
        if let Some(fetched) = self.source.foregone(tenant) {
            return (Instant::now(), fetched);
        }
        let lane = match class {
            Class::Known => &self.known,
            Class::Cold => &self.cold,
        };
        let _pass = lane.enter().await;
        let asked_at = Instant::now();
        (asked_at, self.source.fetch(tenant).await)
    }
}

impl<S> Inner<S> {
    /// Keeps what is known of a tenant before the slots, where it is not to be read again yet. The state is that of its slot.
    fn keep_near(&self, tenant: &TenantId, state: &State, now: Instant) {
        if let Some((known, until)) = state.known_until(&self.settings)
            && now < until
        {
            self.near.put(tenant, known, now, until);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Class {
    Known,
    Cold,
}

fn ticket(slot: &Arc<Slot>) -> Ticket {
    Ticket { slot: Arc::clone(slot), landed: slot.landed.subscribe() }
}

/// How long ago a point of the wall clock is; nothing where it lies ahead.
fn age_on_the_wall(at: Timestamp) -> Duration {
    clock::now().since(at)
}

/// The end of a reading, however it ends: what was read is kept, and those who wait are told.
struct Landing<'a, S> {
    inner: &'a Inner<S>,
    tenant: &'a TenantId,
    slot: &'a Slot,
    is_settled: bool,
}

impl<S> Landing<'_, S> {
    fn settle(&mut self, fetched: Fetched, asked_at: Instant) {
        self.is_settled = true;
        let reason = match &fetched {
            Fetched::Unreadable(reason) | Fetched::Refused { reason, .. } | Fetched::Away { reason } => reason.clone(),
            Fetched::Document(_) | Fetched::NotFound | Fetched::NoCredential => String::new(),
        };
        let (before, after) = {
            let (now, mut state) = (Instant::now(), lock(&self.slot.state));
            let before = state.condition();
            state.settle(fetched, asked_at, now);
            self.inner.keep_near(self.tenant, &state, now);
            (before, state.condition())
        };
        if before == after {
            return;
        }
        let tenant = self.tenant.as_str();
        match after {
            Condition::Sound => tracing::info!(tenant, "the tenant's preferences are no longer unreadable or refused"),
            Condition::Unreadable => tracing::warn!(tenant, reason, "the tenant's preferences are unreadable"),
            Condition::OwnCredentialRefused => {
                tracing::warn!(tenant, reason, "the tenant's own credential is refused: replace it");
            }
        }
    }
}

impl<S> Drop for Landing<'_, S> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.settle(Fetched::Away { reason: "the reading was broken off".to_owned() }, Instant::now());
        }
        // First the state, then the end of the reading, then the word: nobody can miss one of them.
        lock(&self.inner.readings).remove(self.tenant);
        self.slot.landed.send_replace(());
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;

//! Claims, from the commands that followed from them; windows, from the activity that was decided.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::reading::{Payload, committed, given_up, payloads};
use super::{Course, Fill};
use crate::config::{Evaluate, Topics, Windows as WindowSettings};
use crate::domain::claim::{Claim, ClaimRequest, Intent};
use crate::domain::decide::AgeLimit;
use crate::domain::event::{Activity, Event};
use crate::domain::ids::TenantId;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::edge::claims::{Ask, Claims};
use crate::edge::clock;
use crate::edge::kafka::Connection;
use crate::edge::marks::Marks;
use crate::edge::preferences::{Lookup, PreferencesCache, PreferencesSource};
use crate::edge::windows::{Compaction, Windows};
use crate::roles::walk::{self, Arrival, Ledgers};
use crate::wire::event::{self, Decoded};
use crate::wire::window::{bet_id, customer_key};
use crate::wire::{command, window};

/// How long the preferences are waited for before they are asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What is decided by.
pub struct Decisions<S, P> {
    pub windows: S,
    pub claims: Ledgers<S>,
    pub preferences: Arc<PreferencesCache<P>>,
    pub connection: Connection,
    /// The group that decides.
    pub group: String,
    pub topics: Topics,
    /// Whether there is a topic of commands in shadow.
    pub with_shadow: bool,
    pub settings: Evaluate,
    pub window_settings: WindowSettings,
}

impl<S: Windows + Claims + Marks, P: PreferencesSource> Fill for Decisions<S, P> {
    async fn fill(&self, course: &Course<'_>) -> anyhow::Result<u64> {
        course.settle(self.has_begun().await?).await?;
        let mut seen = HashSet::new();
        let mut records = self.take_claims(&self.claims.live, &self.topics.commands, course, 0).await?;
        if self.with_shadow {
            records = self.take_claims(&self.claims.shadow, &self.topics.shadow_commands, course, records).await?;
        }
        for topic in &self.topics.activity {
            // Asked now, when everybody has committed what they have finished.
            let done = committed(&self.connection, &self.group, topic).await?;
            records = self.record_bets(topic, done, &mut seen, course, records).await?;
        }
        Ok(records)
    }
}

impl<S: Windows + Claims + Marks, P: PreferencesSource> Decisions<S, P> {
    /// Whether the group has decided anything.
    async fn has_begun(&self) -> anyhow::Result<bool> {
        for topic in &self.topics.activity {
            if committed(&self.connection, &self.group, topic).await?.values().any(|position| *position > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How long claims have a say: what is claimed again is what was commanded within that time.
    fn claims_count_for(&self) -> Duration {
        let longest = Trigger::ALL
            .iter()
            .map(|trigger| self.settings.claim_retention(*trigger).saturating_add(self.settings.cooldown.of(*trigger)));
        longest.max().unwrap_or_default().saturating_add(self.window_settings.allowed_lateness)
    }

    async fn take_claims(&self, claims: &S, topic: &str, course: &Course<'_>, mut records: u64) -> anyhow::Result<u64> {
        let since = clock::now().minus(self.claims_count_for());
        let mut steps = payloads(self.connection.clone(), topic.to_owned(), since, None);
        let mut seen = HashSet::new();
        while let Some(step) = steps.recv().await {
            let asks: Vec<Ask> = step?.iter().filter_map(|(_, payload)| self.ask(payload)).collect();
            let new = asks.iter().filter(|ask| seen.insert(claims_of(ask.key, ask.trigger)));
            let new: Vec<_> = new.map(|ask| (ask.key, ask.trigger)).collect();
            if !asks.is_empty() {
                claims.clear_claims(&new).await.context("redis")?;
                claims.settle(&asks).await.context("redis")?;
            }
            records += asks.len() as u64;
            course.goes_on(records).await?;
        }
        Ok(records)
    }

    /// The claim that a command was preceded by.
    fn ask(&self, payload: &[u8]) -> Option<Ask> {
        let command = command::decode(payload).ok()?;
        let cooldown = self.settings.cooldown.of(command.trigger);
        if cooldown.is_zero() {
            return None;
        }
        let retention = self.settings.claim_retention(command.trigger);
        Some(Ask {
            key: customer_key(&command.tenant, &command.customer),
            trigger: command.trigger,
            request: ClaimRequest {
                claim: Claim { at: command.cause.occurred_at, event: bet_id(&command.cause.event) },
                intent: Intent::Take,
                cooldown,
                retention,
            },
            ttl: walk::claims_ttl(retention, cooldown, self.window_settings.outage_budget),
        })
    }

    async fn record_bets(
        &self,
        topic: &str,
        to: BTreeMap<i32, i64>,
        seen: &mut HashSet<u64>,
        course: &Course<'_>,
        mut records: u64,
    ) -> anyhow::Result<u64> {
        if self.window_settings.refill.is_zero() || to.values().all(|position| *position == 0) {
            return Ok(records);
        }
        let since = clock::now().minus(self.window_settings.refill);
        let given_up = self.given_up(topic, since, course, records).await?;
        let mut steps = payloads(self.connection.clone(), topic.to_owned(), since, Some(to));
        let mut due: Vec<Compaction> = Vec::new();
        while let Some(step) = steps.recv().await {
            let step = step?;
            records += step.len() as u64;
            let arrivals = self.arrivals(&step, &given_up, course).await?;
            let (settings, outlive) = (&self.window_settings, self.window_settings.outage_budget);
            let customers = arrivals.iter().map(|one| customer_key(&one.event.tenant, &one.event.customer));
            let new: Vec<u128> = customers.filter(|customer| seen.insert(half(*customer))).collect();
            self.windows.clear_windows(&new).await.context("redis")?;
            // All of it is committed, so what is dead may go at once.
            let recorded = walk::record(&self.windows, &arrivals, due, settings, outlive).await.context("redis")?;
            due = recorded.compactions;
            course.goes_on(records).await?;
        }
        Ok(records)
    }

    /// The partitions and offsets of the topic's records that were given up, though they might be taken now: no window ever had
    /// them. Each has its dead letter from before it was committed on.
    async fn given_up(
        &self,
        topic: &str,
        since: Timestamp,
        course: &Course<'_>,
        records: u64,
    ) -> anyhow::Result<HashSet<(i32, i64)>> {
        let since = since.minus(self.settings.max_clock_skew);
        let mut steps = given_up(self.connection.clone(), self.topics.dead_letters.clone(), since);
        let mut all = HashSet::new();
        while let Some(step) = steps.recv().await {
            let of_topic = step?.into_iter().filter(|source| *source.topic == *topic);
            all.extend(of_topic.map(|source| (source.partition, source.offset)));
            course.goes_on(records).await?;
        }
        Ok(all)
    }

    /// The bets among the records that windows had, with the preferences of their tenants. One that is too far ahead even
    /// now was so whenever it was read.
    async fn arrivals(
        &self,
        step: &[Payload],
        given_up: &HashSet<(i32, i64)>,
        course: &Course<'_>,
    ) -> anyhow::Result<Vec<Arrival>> {
        let newest = clock::now().plus(self.settings.max_clock_skew);
        let bet = |payload: &[u8]| match event::decode(Some(payload), &self.settings.rates) {
            Decoded::Event(event) if matches!(event.activity, Activity::Bet(_)) => Some(event),
            Decoded::Event(_) | Decoded::UnknownType { .. } | Decoded::Rejected { .. } => None,
        };
        let taken = step.iter().filter(|(source, _)| !given_up.contains(&(source.partition, source.offset)));
        let bets: Vec<(Event, u32)> = taken
            .filter_map(|(source, payload)| Some((bet(payload)?, window::arrival(source))))
            .filter(|(event, _)| event.occurred_at <= newest)
            .collect();
        let tenants: BTreeSet<&TenantId> = bets.iter().map(|(event, _)| &event.tenant).collect();
        let tenants: Vec<TenantId> = tenants.into_iter().cloned().collect();
        let known = loop {
            match self.preferences.of_all(&tenants).await {
                Ok(known) => break known,
                Err(error) => {
                    tracing::warn!(%error, "preferences are needed to fill the windows again");
                    course.wait(ASK_AGAIN).await?;
                }
            }
        };
        let known: HashMap<TenantId, Lookup> = tenants.into_iter().zip(known).collect();
        let arrival = |(event, place): (Event, u32)| match known.get(&event.tenant) {
            Some(Lookup::Known(preferences)) => {
                Some(Arrival { preferences: Some(Arc::clone(preferences)), event, place, age_limit: AgeLimit::Kept })
            }
            Some(Lookup::NoTenant | Lookup::Unusable { .. }) | None => None,
        };
        Ok(bets.into_iter().filter_map(arrival).collect())
    }
}

fn claims_of(customer: u128, trigger: Trigger) -> u64 {
    half(customer).rotate_left(8) ^ trigger as u64
}

/// Half of the hash of a customer's name: a few bytes are kept of each that was met.
#[allow(clippy::cast_possible_truncation, reason = "half of it is wanted")]
fn half(hash: u128) -> u64 {
    hash as u64
}

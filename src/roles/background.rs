//! What runs beside the roles: waiting for the world at start, and following what changes in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::evaluate::Unread;
use super::hold::Holder;
use super::wiring::TenantPreferences;
use crate::edge::clock;
use crate::edge::controls::Switchboard;
use crate::edge::kafka::{Connection, probe};
use crate::edge::outcomes::Outcomes;
use crate::edge::redis::{RedisStore, ServerFacts};
use crate::edge::tls::reach;
use crate::health::Dependency;
use crate::metrics::{HeldReason, Metrics};

/// How often the cache of preferences is measured at the most.
const MEASURED_EVERY: Duration = Duration::from_secs(5);
/// Between two measurements so many times as long as one takes: then they take a two-hundredth of a core at the most.
const REST: u32 = 200;

/// Waits for Redis and refuses one that forgets silently. `None`: told to stop meanwhile.
pub async fn until_redis_is_fit(holder: &Holder, store: &RedisStore) -> anyhow::Result<Option<()>> {
    let Ok(facts) = holder.until_ok(HeldReason::Windows, Dependency::Redis, || store.ping()).await else {
        return Ok(None);
    };
    forgets_nothing(&facts).map_err(|reason| anyhow!("redis: {reason}"))?;
    tracing::info!(version = facts.version, "redis is there");
    Ok(Some(()))
}

/// Whether a Redis keeps what it is given until it says otherwise.
pub fn forgets_nothing(facts: &ServerFacts) -> Result<(), String> {
    match facts.maxmemory_policy.as_deref() {
        Some("noeviction") => Ok(()),
        None => {
            tracing::warn!("redis does not tell its maxmemory-policy; it must be noeviction");
            Ok(())
        }
        Some(policy) => Err(format!(
            "maxmemory-policy is {policy}, which drops windows silently and counts too few bets; set it to noeviction"
        )),
    }
}

/// How long nobody may have tried what is given up before somebody looks whether it is there again.
const QUIET: Duration = Duration::from_secs(5);

/// Finds a store that is there again after it was given up, where no record comes that would.
pub async fn look_for_store<S: Switchboard>(store: S, holder: Holder, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(QUIET)).await.is_some() {
        if holder.is_forgotten(Dependency::Redis, QUIET) && store.standing().await.is_ok() {
            holder.is_there(Dependency::Redis);
        }
    }
}

/// The same for the preferences of the tenant whose were given up last.
pub async fn look_for_preferences(
    preferences: Arc<TenantPreferences>,
    unread: Unread,
    holder: Holder,
    stop: CancellationToken,
) {
    while stop.run_until_cancelled(tokio::time::sleep(QUIET)).await.is_some() {
        if let Some(tenant) = unread.tenant()
            && preferences.of(&tenant).await.is_ok()
        {
            unread.set(None);
            holder.is_there(Dependency::Preferences);
        }
    }
}

/// Reads again, within about a second, whatever any dispatcher found the service to contradict.
pub async fn follow_doubts<S: Outcomes>(store: S, preferences: Arc<TenantPreferences>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        // Clocks differ, and a doubt that was followed already changes nothing.
        let since = clock::now().minus(Duration::from_secs(30));
        // A store that is away is told of by those who cannot go on without it.
        let Ok(doubts) = store.doubts(since).await else { continue };
        for (tenant, at) in doubts {
            preferences.doubt(&tenant, at).await;
        }
    }
}

/// Keeps the gauges of the preferences cache. It looks at each tenant: with so many that it takes long, it does so less often.
pub async fn measure_preferences(metrics: Metrics, preferences: Arc<TenantPreferences>, stop: CancellationToken) {
    loop {
        let began = Instant::now();
        metrics.set_preferences_oldest_age(preferences.oldest_age().unwrap_or_default());
        metrics.set_preferences_cached(preferences.remembered().await);
        let pause = (began.elapsed() * REST).max(MEASURED_EVERY);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Says which topics are not there, at start and whenever one goes. Nobody makes them but the operator.
pub async fn watch_topics(connection: Connection, wanted: Vec<String>, holder: Holder, stop: CancellationToken) {
    let mut wait = Duration::from_millis(500);
    loop {
        let connection = connection.clone();
        let look = tokio::task::spawn_blocking(move || probe::topics(&connection, Duration::from_secs(10)));
        // Brokers that are away are told of by the consumer.
        if let Ok(Ok(topics)) = look.await {
            let missing: Vec<&str> =
                wanted.iter().filter(|topic| !topics.contains_key(*topic)).map(String::as_str).collect();
            if missing.is_empty() {
                holder.health.ready(holder.role, Dependency::Topics);
                wait = Duration::from_secs(60);
            } else {
                let reason = format!("they do not exist: {}", missing.join(", "));
                holder.health.missing(holder.role, Dependency::Topics, &reason);
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Looks whether the session API can be connected to, from the start on and also while nobody calls it.
pub async fn watch_session_api(url: String, ca_file: Option<PathBuf>, holder: Holder, stop: CancellationToken) {
    let mut wait = Duration::from_millis(100);
    loop {
        match reach(&url, ca_file.as_deref()).await {
            Ok(()) => {
                holder.health.ready(holder.role, Dependency::SessionApi);
                wait = Duration::from_secs(10);
            }
            Err(reason) => {
                holder.health.missing(holder.role, Dependency::SessionApi, &reason);
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

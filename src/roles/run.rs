//! `stepup run`: the processor on its real edges.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::console::Console;
use super::processor::Processor;
use super::{background, dispatch, wiring};
use crate::config::{self, Config, ConfigError, Store};
use crate::edge::preferences;
use crate::edge::redis::{self, RedisStore};
use crate::health::{Dependency, Health};
use crate::metrics::{Metrics, Role};
use crate::traces::{self, Traces};
use crate::{http, telemetry};

/// How long a stop may wait for the last spans to be exported.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// Runs until `stop` is cancelled. An error is one that waiting cannot mend.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    keeps_windows(&config)?;
    let metrics = Metrics::new(config.metrics.max_tenants)?;
    let health = Health::new();
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("http.listen: cannot listen on {}", config.http.listen))?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        roles = ?config.roles,
        listen = %config.http.listen,
        memory_bound_mib = memory_bound(&config) / (1024 * 1024),
        "stepup starts"
    );
    let serving = CancellationToken::new();
    let console = Console::new(&config, metrics.clone(), health.clone());
    let front = console.as_ref().map(|console| console.serve(&serving));
    let server = tokio::spawn(http::serve(listener, metrics.clone(), health.clone(), front, serving.clone()));
    let store = wiring::redis(&config, &metrics);
    let traces = traces(&config, &metrics)?;
    let processor = Processor { config, store, metrics, health, stop, traces, console };
    let worked = work(&processor).await;
    processor.traces.stop(LAST_SPANS).await;
    serving.cancel();
    server.await.context("the HTTP server failed")?;
    worked
}

/// Whether a processor of this configuration still has its windows after a restart.
///
/// # Errors
/// One of the configuration where it has not.
pub fn keeps_windows(config: &Config) -> Result<(), ConfigError> {
    match config.windows.store {
        Store::Redis => Ok(()),
        Store::Memory => Err(ConfigError::Setting {
            origin: "the configuration".to_owned(),
            path: "windows.store".to_owned(),
            problem: "memory is for the demo and tests; run needs redis, or a restart would forget the windows"
                .to_owned(),
        }),
    }
}

/// Begins to export traces, where somebody is to get them.
fn traces(config: &Config, metrics: &Metrics) -> anyhow::Result<Traces> {
    let Some(endpoint) = config.traces.endpoint.clone() else { return Ok(Traces::off()) };
    let settings = traces::Settings { endpoint, sample: config.traces.sample, instance: telemetry::hostname() };
    Ok(Traces::start(&settings, metrics.clone())?)
}

async fn work(processor: &Processor<RedisStore>) -> anyhow::Result<()> {
    let roles: Vec<_> = processor.config.roles.iter().copied().map(wiring::role).collect();
    processor.register();
    let reminding = CancellationToken::new();
    let _ends = reminding.clone().drop_guard();
    let health = processor.health.clone();
    tokio::spawn(async move { health.keep_reminding(&reminding).await });
    let fit = roles.iter().map(|role| until_redis_is_fit(processor, *role));
    if try_join_all(fit).await?.contains(&None) {
        return Ok(());
    }
    processor.work().await
}

async fn until_redis_is_fit(processor: &Processor<RedisStore>, role: Role) -> anyhow::Result<Option<()>> {
    let fit = background::until_redis_is_fit(&processor.holder(role), &processor.store).await?;
    if fit.is_some() {
        processor.health.ready(role, Dependency::Redis);
    }
    Ok(fit)
}

/// What a process can hold at the most, in bytes: consumer queues, batches, commands at hand, producer, and what is remembered
/// of windows and tenants, which candidate preferences have of their own. Of evaluate's batches eleven have their bytes, or their
/// dead letters' as many.
fn memory_bound(config: &Config) -> usize {
    const MIB: usize = 1024 * 1024;
    let tenants = usize::try_from(config.preferences.max_tenants).unwrap_or(usize::MAX);
    let sources = if config.evaluate.candidate.is_some() { 2 } else { 1 };
    let remembered = tenants.saturating_mul(preferences::TENANT_MEMORY).saturating_add(redis::MEMORY) * sources;
    let role = |role: &config::Role| match role {
        config::Role::Evaluate => 16 * MIB + 11 * 8 * MIB + 64 * MIB + remembered,
        config::Role::Dispatch => 16 * MIB + 4 * 8 * MIB + dispatch::MOST_AT_HAND * 2 * 1024 + 64 * MIB,
    };
    let traces = config.traces.endpoint.as_ref().map_or(0, |_| traces::MEMORY);
    config.roles.iter().map(role).sum::<usize>() + traces
}

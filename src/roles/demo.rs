//! `stepup demo`: everything in one process, on loopback, with nothing to install: a broker, the session API's simulator,
//! synthetic customers, both roles, and a view of what happens.
//!
//! The broker is the mock cluster inside the Kafka client, so the roles speak real Kafka to it. What is shown is read from
//! the process's own `/metrics` and topics, as anyone outside could.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::console::Console;
use super::processor::Processor;
use super::session_api::{self, Simulator, SimulatorSettings};
use super::synthetic::{Cast, Synthetic};
use crate::config::Config;
use crate::edge::clock;
use crate::edge::memory::store::MemoryStore;
use crate::health::Health;
use crate::http;
use crate::metrics::Metrics;
use crate::traces::Traces;

mod figures;
mod follow;
mod table;
mod view;
use figures::Figures;
use follow::Followed;
use view::View;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  stepup demo --for 1m --rate 500")]
pub struct DemoArgs {
    /// How long customers go on, like 30s or 2m.
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = duration, allow_hyphen_values = true)]
    time: Duration,
    /// Events a second.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5_000), allow_negative_numbers = true)]
    rate: u32,
    /// Which customers, and what they do: the same seed gives the same.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Where /, /metrics, /livez and /readyz are served; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: std::net::SocketAddr,
    /// Show nothing while it runs, only the summary.
    #[arg(long)]
    quiet: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let allowed = || "must be a time of up to an hour, like 30s or 2m".to_owned();
    let time: jiff::SignedDuration = text.parse().map_err(|_| allowed())?;
    let time = Duration::try_from(time).map_err(|_| allowed())?;
    if time <= Duration::from_secs(3_600) { Ok(time) } else { Err(allowed()) }
}

const TENANTS: [(&str, &str); 3] = [
    (
        "tenant-0",
        r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
            "high_frequency_betting":{"enabled":true,"count":10,"window_minutes":5},
            "large_bet_placement":{"enabled":true,"threshold":100},
            "withdrawal":{"enabled":true,"threshold":500},
            "password_change":true,"new_device_or_location":true},
            "updated_at":"2026-01-01T00:00:00Z"}"#,
    ),
    (
        "tenant-1",
        r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
            "high_frequency_betting":{"enabled":true,"count":8,"window_minutes":1},
            "deposit":{"enabled":true,"threshold":1000},
            "payment_method_change":true,"phone_number_change":true},
            "updated_at":"2026-01-02T00:00:00Z"}"#,
    ),
    ("tenant-2", r#"{"is_reuse_kyc_enabled":false,"updated_at":"2026-01-03T00:00:00Z"}"#),
];

const TOPICS: [&str; 6] = [
    "activity",
    "verification-commands",
    "stepup-shadow-commands",
    "verification-outcomes",
    "stepup-retries",
    "stepup-dead-letters",
];

/// How long what was sent may take to come to its end once the customers are gone.
const SETTLE: Duration = Duration::from_secs(10);

/// Runs until the time is over or `stop` is cancelled, and ends with a summary on the standard output.
pub async fn run(args: DemoArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let preferences = tempfile::tempdir().context("no directory for the demo's preferences")?;
    for (tenant, document) in TENANTS {
        std::fs::write(preferences.path().join(format!("{tenant}.json")), document)?;
    }
    let cluster = MockCluster::new(1).context("the mock broker does not start")?;
    for topic in TOPICS {
        cluster.create_topic(topic, 8, 1).with_context(|| format!("topic {topic}"))?;
    }
    let brokers = cluster.bootstrap_servers();

    let ending = CancellationToken::new();
    let api = TcpListener::bind("127.0.0.1:0").await?;
    let api_address = api.local_addr()?;
    let simulator = Simulator::new(SimulatorSettings::new(preferences.path()));
    let simulating = tokio::spawn(session_api::serve(api, simulator, ending.clone()));

    let config = config(&brokers, preferences.path(), api_address)?;
    let metrics = Metrics::new(config.metrics.max_tenants)?;
    let health = Health::new();
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("--listen {}", args.listen))?;
    let page_address = listener.local_addr()?;
    let console = Console::new(&config, metrics.clone(), health.clone());
    let front = console.as_ref().map(|console| console.serve(&ending));
    let serving = tokio::spawn(http::serve(listener, metrics.clone(), health.clone(), front, ending.clone()));

    let stop_roles = CancellationToken::new();
    let processor = Processor {
        config,
        store: MemoryStore::new(),
        metrics: metrics.clone(),
        health,
        stop: stop_roles.clone(),
        traces: Traces::off(),
        console,
    };
    processor.register();
    let working = tokio::spawn(async move { processor.work().await });
    let followed = Followed::default();
    let following = follow::start(&brokers, followed.clone(), ending.clone())?;

    let mut view = View::new(!args.quiet, &format!("http://{page_address}/"));
    let began = Instant::now();
    let sent = drive(&args, &brokers, &metrics, &followed, &mut view, &stop).await?;
    let figures = settle(sent, began, &metrics, &followed, &mut view).await;
    view.close()?;

    stop_roles.cancel();
    working.await.context("the roles failed")??;
    ending.cancel();
    simulating.await.context("the simulator failed")??;
    serving.await.context("the HTTP server failed")?;
    following.await.context("the follower failed")?;
    let summary = view::summary(&figures, &followed);
    std::io::stdout().write_all(summary.as_bytes())?;
    Ok(())
}

fn config(brokers: &str, preferences: &Path, api: std::net::SocketAddr) -> anyhow::Result<Config> {
    let preferences = preferences.display();
    // The mock speaks the broker-side group protocol, and its fetches do not wake up by themselves.
    let text = format!(
        "kafka: {{ brokers: '{brokers}', properties: {{ group.protocol: consumer, fetch.wait.max.ms: '10' }} }}\n\
         preferences: {{ source: directory, directory: '{preferences}' }}\n\
         session_api: {{ url: 'http://{api}' }}\n\
         windows: {{ store: memory }}\n"
    );
    Ok(Config::from_yaml(&text, std::iter::empty())?)
}

/// Lets the customers act at the given rate and shows what comes of it. Gives back how many records were sent.
async fn drive(
    args: &DemoArgs,
    brokers: &str,
    metrics: &Metrics,
    followed: &Followed,
    view: &mut View,
    stop: &CancellationToken,
) -> anyhow::Result<u64> {
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "2")
        .set("partitioner", "murmur2_random")
        .create()
        .context("no producer for the customers")?;
    let cast = Cast {
        tenants: 3,
        customers_per_tenant: 400,
        burst_share: 0.01,
        repeated_share: 0.005,
        malformed_share: 0.002,
        seed: args.seed,
        ..Cast::default()
    };
    let run = clock::now().0.to_string();
    let mut customers = Synthetic::new(cast, &run).context("no customers")?;
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut shown = began;
    let mut sent = 0_u64;
    while began.elapsed() < args.time {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = tick.tick() => {}
        }
        // Open loop: what is due by the clock is sent, however the rest keeps up.
        let due = began.elapsed().min(args.time).as_secs_f64() * f64::from(args.rate);
        #[allow(clippy::cast_precision_loss, reason = "counts of a demo are far below 2^52")]
        while (sent as f64) < due {
            let deed = customers.next(clock::now());
            let record = BaseRecord::to("activity").key(&deed.key).payload(&deed.payload);
            if producer.send(record).is_err() {
                break;
            }
            sent += 1;
        }
        if shown.elapsed() >= Duration::from_millis(500) {
            shown = Instant::now();
            view.show(&Figures::read(&metrics.render(), sent, began.elapsed()), followed)?;
        }
    }
    let flushing = tokio::task::spawn_blocking(move || producer.flush(Duration::from_secs(5)));
    flushing.await.context("the customers' producer failed")?.context("the broker did not take every event")?;
    Ok(sent)
}

/// Waits until everything that was sent has come to its end, within bounds.
async fn settle(sent: u64, began: Instant, metrics: &Metrics, followed: &Followed, view: &mut View) -> Figures {
    let deadline = Instant::now() + SETTLE;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        let figures = Figures::read(&metrics.render(), sent, began.elapsed());
        let _ = view.show(&figures, followed);
        let settled =
            figures.events >= sent && figures.outcomes >= figures.commands && followed.outcomes() >= figures.outcomes;
        if settled || Instant::now() > deadline {
            return figures;
        }
    }
}

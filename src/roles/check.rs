//! `stepup check`: the configuration, the preferences and every connection, each with its verdict.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use reqwest::Url;

use crate::config::{Config, Receipts, Redis, Role, Source};
use crate::domain::control::Controls;
use crate::domain::ids::TenantId;
use crate::edge::kafka::probe;
use crate::edge::preferences::{Fetched, PreferencesSource as _};
use crate::edge::tls;
use crate::metrics::Metrics;
use crate::roles::hold::in_full;
use crate::roles::{background, pause, run, wiring};

const PATIENCE: Duration = Duration::from_secs(10);

/// Prints the configuration in force and a line for each thing that was looked at.
///
/// # Errors
/// One that names what keeps a processor from working now.
pub async fn check(config: &Config, out: &mut impl Write) -> anyhow::Result<()> {
    run::keeps_windows(config)?;
    writeln!(out, "{}", config.effective().trim_end())?;
    writeln!(out)?;
    let mut unfit = Vec::new();
    for (what, verdict) in verdicts(config).await {
        let (mark, text) = match verdict {
            Ok(text) => ("ok  ", text),
            Err(text) => {
                unfit.push(what);
                ("FAIL", text)
            }
        };
        writeln!(out, "{mark}  {what:<12} {text}")?;
    }
    unfit.dedup();
    if !unfit.is_empty() {
        bail!("not fit: {}; see the lines marked FAIL", unfit.join(", "));
    }
    Ok(())
}

type Verdict = (&'static str, Result<String, String>);

async fn verdicts(config: &Config) -> Vec<Verdict> {
    let mut verdicts = vec![("config", Ok("every key is known and in its range".to_owned()))];
    verdicts.extend(kafka(config).await.into_iter().map(|verdict| ("kafka", verdict)));
    let redis = redis(config).await;
    let reached = redis.is_ok();
    verdicts.push(("redis", redis));
    if reached {
        verdicts.extend(controls(config).await.into_iter().map(|verdict| ("controls", verdict)));
    }
    if config.roles.contains(&Role::Evaluate) {
        verdicts.push(("preferences", preferences(config, &config.preferences.source).await));
        if let Some(candidate) = &config.evaluate.candidate {
            verdicts.push(("candidate", preferences(config, candidate).await));
        }
    }
    if let Some(url) = &config.session_api.url
        && config.roles.contains(&Role::Dispatch)
    {
        verdicts.push(("session_api", reach(config, url).await));
    }
    verdicts.push(("credentials", credentials(config)));
    verdicts
}

async fn kafka(config: &Config) -> Vec<Result<String, String>> {
    let connection = wiring::kafka(config);
    let found = tokio::task::spawn_blocking(move || probe::topics(&connection, PATIENCE)).await;
    let topics = match found {
        Ok(Ok(topics)) => topics,
        Ok(Err(error)) => return vec![Err(format!("{}: {}", config.kafka.brokers, in_full(&error)))],
        Err(error) => return vec![Err(error.to_string())],
    };
    let ours = &config.kafka.topics;
    let mut wanted: Vec<&String> = ours.activity.iter().collect();
    wanted.extend([&ours.commands, &ours.outcomes, &ours.retries, &ours.dead_letters]);
    wanted.extend(wiring::may_shadow(&config.evaluate, &Controls::default()).then_some(&ours.shadow_commands));
    wanted.extend((config.evaluate.receipts != Receipts::Off).then_some(&ours.receipts));
    let verdict = |topic: &&String| match topics.get(topic.as_str()) {
        Some(partitions) => Ok(format!("topic {topic} has {partitions} partitions")),
        None => Err(format!("topic {topic} does not exist")),
    };
    std::iter::once(Ok(format!("{} answers", config.kafka.brokers))).chain(wanted.iter().map(verdict)).collect()
}

async fn redis(config: &Config) -> Result<String, String> {
    let files = [("redis.password_file", &config.redis.password_file), ("redis.ca_file", &config.redis.ca_file)];
    for (key, file) in files.into_iter().filter_map(|(key, file)| Some((key, file.as_ref()?))) {
        std::fs::File::open(file).map_err(|error| format!("{key}: {}: {error}", file.display()))?;
    }
    let metrics = Metrics::new(1).map_err(|error| error.to_string())?;
    let store = wiring::redis(config, &metrics);
    let pinged = tokio::time::timeout(PATIENCE, store.ping()).await;
    let address = addresses(&config.redis);
    let facts = match pinged {
        Ok(facts) => facts.map_err(|error| format!("{address}: {}", in_full(&error)))?,
        Err(_) => return Err(format!("{address}: no answer within {} s", PATIENCE.as_secs())),
    };
    match background::forgets_nothing(&facts) {
        Ok(()) => Ok(format!("{address}: version {} answers", facts.version)),
        Err(reason) => Err(format!("{address}: {reason}")),
    }
}

/// Where Redis is, without user or password.
fn addresses(redis: &Redis) -> String {
    let urls = if redis.cluster.is_empty() { std::slice::from_ref(&redis.url) } else { &redis.cluster[..] };
    let address = |url: &String| {
        let url = Url::parse(url).ok()?;
        Some(format!("{}:{}", url.host_str()?, url.port().unwrap_or(6379)))
    };
    urls.iter().filter_map(address).collect::<Vec<_>>().join(", ")
}

/// What is paused or in shadow, a line each. Nothing of it keeps a processor from working.
async fn controls(config: &Config) -> Vec<Result<String, String>> {
    let standing = async { pause::standing(&pause::store(config)?).await };
    let standing = match tokio::time::timeout(PATIENCE, standing).await {
        Ok(Ok(standing)) => standing,
        Ok(Err(error)) => return vec![Err(in_full(error.as_ref()))],
        Err(_) => return vec![Err(format!("no answer within {} s", PATIENCE.as_secs()))],
    };
    let mut lines: Vec<_> = Controls::of(standing.controls).active().map(|control| Ok(control.to_string())).collect();
    if standing.unreadable > 0 {
        lines.push(Err(format!("{} entries are of another version and have no effect", standing.unreadable)));
    }
    if lines.is_empty() { vec![Ok("nothing is paused or in shadow".to_owned())] } else { lines }
}

/// A directory is read whole; of an HTTP source it is only asked whether it answers, for a tenant nobody has.
async fn preferences(config: &Config, source: &Source) -> Result<String, String> {
    match source {
        Source::Http { url } => reach(config, url).await,
        Source::Directory { path } => {
            let source = wiring::source(config, source).map_err(|error| format!("{error:#}"))?;
            let files = std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let mut read = 0;
            for file in files.flatten() {
                let name = file.file_name();
                let Some(tenant) = name.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
                let Ok(tenant) = TenantId::new(tenant) else {
                    return Err(format!("{}: is not named like a tenant", file.path().display()));
                };
                match source.fetch(&tenant).await {
                    Fetched::Document(_) => read += 1,
                    Fetched::Unreadable(reason) | Fetched::Refused { reason, .. } | Fetched::Away { reason } => {
                        return Err(format!("{}: {reason}", file.path().display()));
                    }
                    other @ (Fetched::NotFound | Fetched::NoCredential) => {
                        return Err(format!("{}: {}", file.path().display(), other.name()));
                    }
                }
            }
            Ok(format!("{}: every document is readable ({read})", path.display()))
        }
    }
}

async fn reach(config: &Config, url: &str) -> Result<String, String> {
    tls::reach(url, config.session_api.ca_file.as_deref())
        .await
        .map(|()| format!("{url} can be connected to"))
        .map_err(|error| format!("{url}: {error}"))
}

fn credentials(config: &Config) -> Result<String, String> {
    let api = &config.session_api;
    match (&api.credentials_dir, &api.credential_file) {
        (Some(directory), _) => match std::fs::read_dir(directory) {
            Ok(files) => Ok(format!("{}: {} files", directory.display(), files.count())),
            Err(error) => Err(format!("{}: {error}", directory.display())),
        },
        (None, Some(file)) => match std::fs::metadata(file) {
            Ok(_) => Ok(format!("{} is there", file.display())),
            Err(error) => Err(format!("{}: {error}", file.display())),
        },
        (None, None) => Ok("none configured: calls carry no credential".to_owned()),
    }
}

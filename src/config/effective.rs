//! The configuration as it is in force, in the order of the table, with secrets masked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Config, Console, ConsoleIds, Dispatch, Evaluate, Kafka, LogFormat, Preferences, Receipts, Redis, Role, SessionApi,
    Source, Start, Store, Windows, duration, mask,
};
use crate::domain::command::ReferenceChoice;
use crate::domain::delivery::OnLostAnswer;
use crate::domain::ids::TenantId;
use crate::domain::trigger::Trigger;

/// A value as the file would hold it.
pub(super) enum Shown {
    Unset,
    Text(String),
    List(Vec<String>),
    Map(Vec<(String, String)>),
}

type Lines = Vec<(&'static str, Shown)>;

/// Every key with its value; what is not set is `null`.
pub(super) fn yaml(config: &Config) -> String {
    let mut text = String::new();
    let mut open: Vec<&str> = Vec::new();
    for (path, shown) in lines(config) {
        let mut names: Vec<&str> = path.split('.').collect();
        let name = names.pop().unwrap_or_default();
        let shared = open.iter().zip(&names).take_while(|(a, b)| a == b).count();
        for (depth, section) in names.iter().enumerate().skip(shared) {
            text += &format!("{}{section}:\n", "  ".repeat(depth));
        }
        text += &format!("{}{name}:{}\n", "  ".repeat(names.len()), shown.written(names.len() + 1));
        open = names;
    }
    text
}

/// Every key of the table with its value.
pub(super) fn lines(config: &Config) -> Lines {
    let roles = config.roles.iter().map(|role| name_of(*role).to_owned()).collect();
    let mut lines = vec![("roles", Shown::List(roles))];
    lines.extend(kafka(&config.kafka));
    lines.extend(redis(&config.redis));
    lines.extend(preferences(&config.preferences));
    lines.extend(session_api(&config.session_api));
    lines.extend(windows(&config.windows));
    lines.extend(evaluate(&config.evaluate));
    lines.extend(dispatch(&config.dispatch));
    let format = match config.log.format {
        LogFormat::Json => "json",
        LogFormat::Pretty => "pretty",
    };
    let console = match config.http.console {
        Console::Off => "off",
        Console::Local => "local",
        Console::All => "all",
    };
    let ids = match config.http.console_ids {
        ConsoleIds::Masked => "masked",
        ConsoleIds::Shown => "shown",
    };
    lines.extend([
        ("http.listen", config.http.listen.to_string().into()),
        ("http.console", console.into()),
        ("http.console_ids", ids.into()),
        ("log.format", format.into()),
        ("log.level", config.log.level.as_str().into()),
        ("metrics.max_tenants", config.metrics.max_tenants.into()),
        ("traces.endpoint", config.traces.endpoint.clone().into()),
        ("traces.sample", config.traces.sample.to_string().into()),
    ]);
    lines
}

fn name_of(role: Role) -> &'static str {
    match role {
        Role::Evaluate => "evaluate",
        Role::Dispatch => "dispatch",
    }
}

fn kafka(kafka: &Kafka) -> Lines {
    let start = match kafka.start {
        Start::Earliest => "earliest",
        Start::Latest => "latest",
    };
    let masked = |(name, value): (&String, &String)| {
        let secret = mask::is_secret(&format!("kafka.properties.{name}"));
        (name.clone(), if secret { mask::MASK.to_owned() } else { value.clone() })
    };
    let file = |(name, path): (&String, &PathBuf)| (name.clone(), path.display().to_string());
    vec![
        ("kafka.brokers", kafka.brokers.as_str().into()),
        ("kafka.start", start.into()),
        ("kafka.group_id", kafka.group_id.as_str().into()),
        ("kafka.topics.activity", Shown::List(kafka.topics.activity.clone())),
        ("kafka.topics.commands", kafka.topics.commands.as_str().into()),
        ("kafka.topics.shadow_commands", kafka.topics.shadow_commands.as_str().into()),
        ("kafka.topics.outcomes", kafka.topics.outcomes.as_str().into()),
        ("kafka.topics.retries", kafka.topics.retries.as_str().into()),
        ("kafka.topics.dead_letters", kafka.topics.dead_letters.as_str().into()),
        ("kafka.topics.receipts", kafka.topics.receipts.as_str().into()),
        ("kafka.properties", Shown::Map(kafka.properties.iter().map(masked).collect())),
        ("kafka.properties_files", Shown::Map(kafka.properties_files.iter().map(file).collect())),
    ]
}

fn redis(redis: &Redis) -> Lines {
    let url = redis.cluster.is_empty().then(|| mask::url(&redis.url));
    vec![
        ("redis.url", url.into()),
        ("redis.cluster", Shown::List(redis.cluster.iter().map(|url| mask::url(url)).collect())),
        ("redis.username", redis.username.clone().into()),
        ("redis.password", redis.password.as_ref().map(|_| mask::MASK.to_owned()).into()),
        ("redis.password_file", redis.password_file.as_deref().into()),
        ("redis.ca_file", redis.ca_file.as_deref().into()),
        ("redis.wait_replicas", redis.wait_replicas.into()),
        ("redis.key_prefix", redis.key_prefix.as_str().into()),
    ]
}

fn preferences(preferences: &Preferences) -> Lines {
    let (source, url, directory) = match &preferences.source {
        Source::Http { url } => ("http", Some(url.clone()), None),
        Source::Directory { path } => ("directory", None, Some(path.as_path())),
    };
    vec![
        ("preferences.source", source.into()),
        ("preferences.url", url.into()),
        ("preferences.directory", directory.into()),
        ("preferences.ttl", preferences.ttl.into()),
        ("preferences.max_stale", preferences.max_stale.into()),
        ("preferences.refused_for", preferences.refused_for.into()),
        ("preferences.lookups_per_second", preferences.lookups_per_second.to_string().into()),
        ("preferences.timeout", preferences.timeout.into()),
        ("preferences.max_tenants", preferences.max_tenants.to_string().into()),
    ]
}

fn session_api(api: &SessionApi) -> Lines {
    vec![
        ("session_api.url", api.url.clone().into()),
        ("session_api.path", api.path.as_str().into()),
        ("session_api.timeout", api.timeout.into()),
        ("session_api.connect_timeout", api.connect_timeout.into()),
        ("session_api.tenant_header", api.tenant_header.as_str().into()),
        ("session_api.authorization_header", api.authorization_header.as_str().into()),
        ("session_api.authorization_scheme", api.authorization_scheme.as_str().into()),
        ("session_api.credentials_dir", api.credentials_dir.as_deref().into()),
        ("session_api.credential_file", api.credential_file.as_deref().into()),
        ("session_api.redirect_url", api.redirect_url.clone().into()),
        ("session_api.callback_url", api.callback_url.clone().into()),
        ("session_api.ca_file", api.ca_file.as_deref().into()),
    ]
}

fn windows(windows: &Windows) -> Lines {
    let store = match windows.store {
        Store::Redis => "redis",
        Store::Memory => "memory",
    };
    vec![
        ("windows.store", store.into()),
        ("windows.max_lookback", windows.max_lookback.into()),
        ("windows.allowed_lateness", windows.allowed_lateness.into()),
        ("windows.refill", windows.refill.into()),
        ("windows.max_entries", windows.max_entries.into()),
        ("windows.outage_budget", windows.outage_budget.into()),
    ]
}

fn evaluate(evaluate: &Evaluate) -> Lines {
    let reference = match evaluate.reference {
        ReferenceChoice::CommandId => "command_id",
        ReferenceChoice::TransactionId => "transaction_id",
    };
    let cooldowns = &evaluate.cooldown;
    let receipts = match evaluate.receipts {
        Receipts::Off => "off",
        Receipts::Required => "required",
        Receipts::All => "all",
    };
    let shadow = &evaluate.shadow;
    let (url, directory) = match &evaluate.candidate {
        None => (None, None),
        Some(Source::Http { url }) => (Some(url.clone()), None),
        Some(Source::Directory { path }) => (None, Some(path.as_path())),
    };
    let default = ("default".to_owned(), duration::written(cooldowns.default));
    let named = cooldowns.named.iter().map(|(trigger, time)| (trigger.to_string(), duration::written(*time)));
    let [on_unavailable, hold_for] = evaluate.unavailable.shown();
    let rates = evaluate.rates.iter().map(|(code, rate)| (code.to_owned(), rate.to_string()));
    vec![
        ("evaluate.max_event_age", evaluate.max_event_age.unwrap_or(Duration::ZERO).into()),
        ("evaluate.max_clock_skew", evaluate.max_clock_skew.into()),
        ("evaluate.reference", reference.into()),
        ("evaluate.claim_retention", evaluate.claim_retention.into()),
        ("evaluate.cooldown", Shown::Map(std::iter::once(default).chain(named).collect())),
        ("evaluate.rates", Shown::Map(rates.collect())),
        ("evaluate.shadow.triggers", Shown::List(shadow.triggers.iter().map(Trigger::to_string).collect())),
        ("evaluate.shadow.tenants", Shown::List(shadow.tenants.iter().map(TenantId::to_string).collect())),
        ("evaluate.max_sessions_per_minute", evaluate.max_sessions_per_minute.unwrap_or(0).to_string().into()),
        ("evaluate.breaker.factor", evaluate.breaker.factor.to_string().into()),
        ("evaluate.breaker.least", evaluate.breaker.least.to_string().into()),
        ("evaluate.breaker.window", evaluate.breaker.window.into()),
        ("evaluate.candidate.url", url.into()),
        ("evaluate.candidate.directory", directory.into()),
        ("evaluate.receipts", receipts.into()),
        ("evaluate.batch_size", evaluate.batch_size.into()),
        ("evaluate.flood.records", evaluate.flood.records.to_string().into()),
        ("evaluate.flood.share", evaluate.flood.share.to_string().into()),
        ("evaluate.on_unavailable", on_unavailable),
        ("evaluate.hold_for", hold_for),
    ]
}

fn dispatch(dispatch: &Dispatch) -> Lines {
    let lost = match dispatch.on_lost_answer {
        OnLostAnswer::Retry => "retry",
        OnLostAnswer::Report => "report",
    };
    let [on_unavailable, hold_for] = dispatch.unavailable.shown();
    vec![
        ("dispatch.max_command_age", dispatch.max_command_age.into()),
        ("dispatch.concurrency", dispatch.concurrency.into()),
        ("dispatch.concurrency_per_tenant", dispatch.concurrency_per_tenant.into()),
        ("dispatch.on_lost_answer", lost.into()),
        ("dispatch.backoff_base", dispatch.backoff_base.into()),
        ("dispatch.backoff_cap", dispatch.backoff_cap.into()),
        ("dispatch.max_retry_after", dispatch.max_retry_after.into()),
        ("dispatch.pause", dispatch.pause.into()),
        ("dispatch.park_after", dispatch.park_after.into()),
        ("dispatch.breaker.failures", dispatch.breaker.failures.to_string().into()),
        ("dispatch.breaker.pause", dispatch.breaker.pause.into()),
        ("dispatch.breaker.longest_pause", dispatch.breaker.longest_pause.into()),
        ("dispatch.retry_budget.share", dispatch.retry_budget.share.to_string().into()),
        ("dispatch.retry_budget.least", dispatch.retry_budget.least.to_string().into()),
        ("dispatch.on_unavailable", on_unavailable),
        ("dispatch.hold_for", hold_for),
    ]
}

impl Shown {
    /// What follows the colon; the keys of a map stand `depth` levels deep.
    pub(super) fn written(&self, depth: usize) -> String {
        match self {
            Self::Unset => " null".to_owned(),
            Self::Text(text) => format!(" {}", scalar(text)),
            Self::List(items) => format!(" [{}]", items.iter().map(|item| scalar(item)).collect::<Vec<_>>().join(", ")),
            Self::Map(entries) if entries.is_empty() => " {}".to_owned(),
            Self::Map(entries) => {
                let indent = "  ".repeat(depth);
                entries.iter().map(|(name, value)| format!("\n{indent}{}: {}", scalar(name), scalar(value))).collect()
            }
        }
    }
}

/// The text bare where YAML takes it for itself, else quoted as JSON does, which YAML reads too.
fn scalar(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':');
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/'));
    let null = text.eq_ignore_ascii_case("null");
    if first && !null && !text.ends_with(':') && text.chars().all(bare) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for Shown {
    fn from(number: usize) -> Self {
        Self::Text(number.to_string())
    }
}

impl From<Duration> for Shown {
    fn from(duration: Duration) -> Self {
        Self::Text(duration::written(duration))
    }
}

impl From<Option<String>> for Shown {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Unset, Self::Text)
    }
}

impl From<Option<&Path>> for Shown {
    fn from(path: Option<&Path>) -> Self {
        path.map_or(Self::Unset, |path| Self::Text(path.display().to_string()))
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, &kafka(self))
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, &redis(self))
    }
}

fn debug(f: &mut fmt::Formatter<'_>, lines: &[(&'static str, Shown)]) -> fmt::Result {
    let entries: BTreeMap<_, _> = lines.iter().map(|(path, shown)| (path, shown.written(0))).collect();
    f.debug_map().entries(entries).finish()
}

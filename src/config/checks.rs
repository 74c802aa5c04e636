//! What each value allows by itself and the whole does not: keys that contradict each other, and properties of
//! librdkafka that are not free.

use super::duration::written;
use super::settings::Settings;
use super::{Config, ConfigError, Kafka, Role};

/// Refuses what does not go together. Every sentence names both keys.
pub(super) fn across(config: &Config, settings: &Settings) -> Result<(), ConfigError> {
    topics(&config.kafka, settings)?;
    properties(&config.kafka, settings)?;
    redis(config, settings)?;
    session_api(config, settings)?;
    times(config, settings)
}

fn topics(kafka: &Kafka, settings: &Settings) -> Result<(), ConfigError> {
    let topics = &kafka.topics;
    let activity = topics.activity.iter().map(|topic| ("kafka.topics.activity", topic));
    let others = [
        ("kafka.topics.commands", &topics.commands),
        ("kafka.topics.shadow_commands", &topics.shadow_commands),
        ("kafka.topics.outcomes", &topics.outcomes),
        ("kafka.topics.retries", &topics.retries),
        ("kafka.topics.dead_letters", &topics.dead_letters),
        ("kafka.topics.receipts", &topics.receipts),
    ];
    let all: Vec<_> = activity.chain(others).collect();
    for (i, (path, topic)) in all.iter().enumerate() {
        if let Some((other, _)) = all.iter().take(i).find(|(_, earlier)| earlier == topic) {
            let stands = if other == path { "stands twice".to_owned() } else { format!("is {other} too") };
            return Err(settings.refuse(path, format!("{topic:?} {stands}; every topic must be another one")));
        }
    }
    Ok(())
}

fn properties(kafka: &Kafka, settings: &Settings) -> Result<(), ConfigError> {
    let given = kafka.properties.iter().map(|(name, value)| ("kafka.properties", name, Some(value.as_str())));
    let files = kafka.properties_files.keys().map(|name| ("kafka.properties_files", name, None));
    let protocol = kafka.properties.get("group.protocol").map(String::as_str);
    for (map, name, value) in given.chain(files) {
        let path = format!("{map}.{name}");
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > 128 || !name.bytes().all(allowed) {
            return Err(settings.refuse(&path, "is no name of a librdkafka property"));
        }
        let taken = reserved(name, value).or_else(|| with_consumer_protocol(name, protocol).map(str::to_owned));
        if let Some(why) = taken {
            return Err(settings.refuse(&path, why));
        }
        if value.is_none() && kafka.properties.contains_key(name) {
            return Err(settings.refuse(&path, format!("is in kafka.properties too; set {name} in one of the two")));
        }
    }
    Ok(())
}

/// Why a property is not free, where it is not. A value from a file is not known here.
fn reserved(name: &str, value: Option<&str>) -> Option<String> {
    fixed(name, value).map(str::to_owned).or_else(|| not_positive(name, value))
}

fn fixed(name: &str, value: Option<&str>) -> Option<&'static str> {
    let truth = value.map(str::to_ascii_lowercase);
    match name {
        "bootstrap.servers" | "metadata.broker.list" => Some("is set by kafka.brokers"),
        "group.id" => Some("is set by kafka.group_id, with the role after it"),
        "auto.offset.reset" => Some("is set by kafka.start; a lost position is never reset silently"),
        "enable.auto.commit" | "auto.commit.enable" => {
            Some("cannot be set: stepup commits an offset once the effects of its record are acknowledged")
        }
        "enable.auto.offset.store" => {
            Some("cannot be set: stepup stores an offset once the effects of its record are acknowledged")
        }
        "transactional.id" => Some("cannot be set: stepup makes repeats harmless by their names, not by transactions"),
        "enable.idempotence" if !matches!(truth.as_deref(), Some("true" | "t" | "1")) => {
            Some("can only be true: without it a retry of the producer may repeat or reorder records")
        }
        "acks" | "request.required.acks" if !matches!(truth.as_deref(), Some("all" | "-1")) => {
            Some("can only be all: with less an acknowledged record may be lost")
        }
        "delivery.report.only.error" if !matches!(truth.as_deref(), Some("false" | "f" | "0")) => {
            Some("can only be false: an offset is committed once the brokers' reports on its records have come")
        }
        "offset.store.method" if truth.as_deref() != Some("broker") => {
            Some("can only be broker: elsewhere nobody else in the group finds what was committed")
        }
        _ => None,
    }
}

/// The times that librdkafka takes 0 or less of for never, and what would never be then.
const NEVER_OFF: [(&str, &str); 4] = [
    ("message.timeout.ms", "without an end to it a record that brokers do not take is never reported"),
    ("delivery.timeout.ms", "without an end to it a record that brokers do not take is never reported"),
    ("statistics.interval.ms", "lag and whether brokers answer are told from the statistics"),
    ("topic.metadata.refresh.interval.ms", "partitions that a topic is given would never be read"),
];

fn not_positive(name: &str, value: Option<&str>) -> Option<String> {
    let (_, why) = NEVER_OFF.iter().find(|(own, _)| *own == name)?;
    let Some(value) = value else {
        return Some(format!("cannot come from a file; set it in kafka.properties, a whole number from 1 on: {why}"));
    };
    let is_positive = value.trim().parse().is_ok_and(|number: i32| number > 0);
    (!is_positive).then(|| format!("{value:?} is not a whole number from 1 on: {why}"))
}

fn with_consumer_protocol(name: &str, protocol: Option<&str>) -> Option<&'static str> {
    let brokers_own = ["partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms"];
    (protocol == Some("consumer") && brokers_own.contains(&name))
        .then_some("cannot be set while kafka.properties.group.protocol is consumer: the brokers decide it then")
}

fn redis(config: &Config, settings: &Settings) -> Result<(), ConfigError> {
    let redis = &config.redis;
    if !redis.cluster.is_empty() && settings.is_set("redis.url") {
        return Err(settings.refuse("redis.cluster", "cannot be set together with redis.url; leave one of the two out"));
    }
    if redis.password.is_some() && redis.password_file.is_some() {
        return Err(settings
            .refuse("redis.password_file", "cannot be set together with redis.password; leave one of the two out"));
    }
    let (path, urls) = match &redis.cluster[..] {
        [] => ("redis.url", std::slice::from_ref(&redis.url)),
        urls => ("redis.cluster", urls),
    };
    let credentials = ["redis.username", "redis.password", "redis.password_file"];
    if urls.iter().any(|url| url.contains('@'))
        && let Some(second) = credentials.iter().find(|path| settings.is_set(path))
    {
        return Err(settings.refuse(second, format!("cannot be set while {path} itself names a user or password")));
    }
    let tls = urls.iter().filter(|url| url.to_ascii_lowercase().starts_with("rediss:")).count();
    if tls > 0 && tls < urls.len() {
        return Err(settings.refuse(path, "mixes redis:// and rediss://; all nodes need TLS or none"));
    }
    if tls == 0 && redis.ca_file.is_some() {
        return Err(settings.refuse("redis.ca_file", format!("has no use while {path} is not rediss://")));
    }
    Ok(())
}

fn session_api(config: &Config, settings: &Settings) -> Result<(), ConfigError> {
    let api = &config.session_api;
    match &api.url {
        None if config.roles.contains(&Role::Dispatch) => {
            return Err(settings.missing("session_api.url", " for the role dispatch (roles)"));
        }
        Some(url) if url.contains('?') => {
            return Err(settings.refuse("session_api.url", "must have no query, for session_api.path follows it"));
        }
        Some(_) | None => {}
    }
    if api.credentials_dir.is_some() && api.credential_file.is_some() {
        return Err(settings.refuse(
            "session_api.credential_file",
            "cannot be set together with session_api.credentials_dir; leave one of the two out",
        ));
    }
    if api.tenant_header.eq_ignore_ascii_case(&api.authorization_header) {
        return Err(settings.refuse(
            "session_api.tenant_header",
            format!("{:?} is session_api.authorization_header too", api.tenant_header),
        ));
    }
    Ok(())
}

fn times(config: &Config, settings: &Settings) -> Result<(), ConfigError> {
    let (preferences, dispatch) = (&config.preferences, &config.dispatch);
    if dispatch.concurrency_per_tenant > dispatch.concurrency {
        let (one, all) = (dispatch.concurrency_per_tenant, dispatch.concurrency);
        let problem = format!("{one} is more than dispatch.concurrency ({all}), of which it is a part");
        return Err(settings.refuse("dispatch.concurrency_per_tenant", problem));
    }
    let shorter = [
        ("preferences.max_stale", preferences.max_stale, "preferences.ttl", preferences.ttl),
        ("dispatch.backoff_cap", dispatch.backoff_cap, "dispatch.backoff_base", dispatch.backoff_base),
        (
            "dispatch.breaker.longest_pause",
            dispatch.breaker.longest_pause,
            "dispatch.breaker.pause",
            dispatch.breaker.pause,
        ),
    ];
    for (path, value, least_path, least) in shorter {
        if value < least {
            let problem = format!("{} is shorter than {least_path} ({})", written(value), written(least));
            return Err(settings.refuse(path, problem));
        }
    }
    let within_a_command = [
        ("session_api.timeout", config.session_api.timeout, "a command would expire before its first call could end"),
        ("dispatch.pause", dispatch.pause, "a paused tenant's commands would all expire before the next try"),
    ];
    for (path, value, why) in within_a_command {
        if value >= dispatch.max_command_age {
            let (value, age) = (written(value), written(dispatch.max_command_age));
            let problem = format!("is {age}, not longer than {path} ({value}): {why}");
            return Err(settings.refuse("dispatch.max_command_age", problem));
        }
    }
    Ok(())
}

//! From the values that were set to the checked configuration, section by section.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::resilience::{self, unavailable};
use super::settings::Settings;
use super::{
    Breaker, Config, ConfigError, Console, ConsoleIds, Cooldowns, Dispatch, Evaluate, Http, Kafka, Log, LogFormat,
    Metrics, Preferences, Receipts, Redis, Role, Secret, SessionApi, Shadow, Source, Start, Store, Topics, Traces,
    Windows, duration,
};
use crate::domain::command::ReferenceChoice;
use crate::domain::delivery::OnLostAnswer;
use crate::domain::ids::TenantId;
use crate::domain::money::{Amount, Rates};
use crate::domain::trigger::Trigger;

const ROLES: [(&str, Role); 2] = [("evaluate", Role::Evaluate), ("dispatch", Role::Dispatch)];
/// Every transaction of these stands for itself.
const WITHOUT_COOLDOWN: [Trigger; 3] = [Trigger::Deposit, Trigger::Withdrawal, Trigger::AccountBalanceTransfer];
const DEFAULT_COOLDOWN: Duration = Duration::from_secs(600);
const LONGEST_COOLDOWN: Duration = Duration::from_secs(604_800);

pub(super) fn config(settings: &Settings) -> Result<Config, ConfigError> {
    let roles = settings.list("roles", |text| ROLES.iter().find(|(name, _)| *name == text))?;
    if let [first, second] = roles[..]
        && first == second
    {
        return Err(settings.refuse("roles", format!("{} stands twice", first.0)));
    }
    Ok(Config {
        roles: roles.into_iter().map(|(_, role)| *role).collect(),
        kafka: kafka(settings)?,
        redis: redis(settings)?,
        preferences: preferences(settings)?,
        session_api: session_api(settings)?,
        windows: windows(settings)?,
        evaluate: evaluate(settings)?,
        dispatch: dispatch(settings)?,
        http: http(settings)?,
        log: log(settings)?,
        metrics: Metrics { max_tenants: settings.whole("metrics.max_tenants")? },
        traces: traces(settings)?,
    })
}

fn http(settings: &Settings) -> Result<Http, ConfigError> {
    let audiences = [("off", Console::Off), ("local", Console::Local), ("all", Console::All)];
    let ids = [("masked", ConsoleIds::Masked), ("shown", ConsoleIds::Shown)];
    Ok(Http {
        listen: settings.required("http.listen", |text| text.parse::<SocketAddr>().ok())?,
        console: settings.one_of("http.console", audiences)?,
        console_ids: settings.one_of("http.console_ids", ids)?,
    })
}

fn kafka(settings: &Settings) -> Result<Kafka, ConfigError> {
    Ok(Kafka {
        brokers: settings.required("kafka.brokers", brokers)?,
        start: settings.one_of("kafka.start", [("earliest", Start::Earliest), ("latest", Start::Latest)])?,
        group_id: settings.required("kafka.group_id", |text| kafka_name(text, 200))?,
        topics: Topics {
            activity: settings.list("kafka.topics.activity", topic)?,
            commands: settings.required("kafka.topics.commands", topic)?,
            shadow_commands: settings.required("kafka.topics.shadow_commands", topic)?,
            outcomes: settings.required("kafka.topics.outcomes", topic)?,
            retries: settings.required("kafka.topics.retries", topic)?,
            dead_letters: settings.required("kafka.topics.dead_letters", topic)?,
            receipts: settings.required("kafka.topics.receipts", topic)?,
        },
        properties: settings.map("kafka.properties", |text| Some(text.to_owned()))?,
        properties_files: settings.map("kafka.properties_files", path)?,
    })
}

fn redis(settings: &Settings) -> Result<Redis, ConfigError> {
    Ok(Redis {
        url: settings.required("redis.url", redis_url)?,
        cluster: settings.list("redis.cluster", redis_url)?,
        username: settings.optional("redis.username", |text| short(text, 256))?,
        password: settings.optional("redis.password", |text| short(text, 4_096).map(Secret::from))?,
        password_file: settings.optional("redis.password_file", path)?,
        ca_file: settings.optional("redis.ca_file", path)?,
        wait_replicas: settings.whole("redis.wait_replicas")?,
        key_prefix: settings.required("redis.key_prefix", |text| {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            short(text, 32).filter(|text| text.bytes().all(allowed))
        })?,
    })
}

fn preferences(settings: &Settings) -> Result<Preferences, ConfigError> {
    let url = settings.optional("preferences.url", |text| web(text).map(|_| text.to_owned()))?;
    let directory = settings.optional("preferences.directory", path)?;
    let source = match settings.one_of("preferences.source", [("http", true), ("directory", false)])? {
        true => Source::Http {
            url: url.ok_or_else(|| settings.missing("preferences.url", " when preferences.source is http"))?,
        },
        false => Source::Directory {
            path: directory
                .ok_or_else(|| settings.missing("preferences.directory", " when preferences.source is directory"))?,
        },
    };
    Ok(Preferences {
        source,
        ttl: settings.duration("preferences.ttl")?,
        max_stale: settings.duration("preferences.max_stale")?,
        refused_for: settings.duration("preferences.refused_for")?,
        lookups_per_second: settings.whole("preferences.lookups_per_second")?,
        timeout: settings.duration("preferences.timeout")?,
        max_tenants: settings.whole("preferences.max_tenants")?,
    })
}

fn session_api(settings: &Settings) -> Result<SessionApi, ConfigError> {
    let header = |text: &str| reqwest::header::HeaderName::from_bytes(text.as_bytes()).ok().map(|_| text.to_owned());
    Ok(SessionApi {
        url: settings.optional("session_api.url", |text| web(text).map(|_| text.to_owned()))?,
        path: settings.required("session_api.path", |text| {
            let clean = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
            (text.starts_with('/') && text.chars().all(clean)).then(|| text.to_owned())
        })?,
        timeout: settings.duration("session_api.timeout")?,
        connect_timeout: settings.duration("session_api.connect_timeout")?,
        tenant_header: settings.required("session_api.tenant_header", header)?,
        authorization_header: settings.required("session_api.authorization_header", header)?,
        authorization_scheme: settings.required("session_api.authorization_scheme", |text| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            short(text, 64).filter(|text| text.bytes().all(allowed))
        })?,
        credentials_dir: settings.optional("session_api.credentials_dir", path)?,
        credential_file: settings.optional("session_api.credential_file", path)?,
        redirect_url: settings.optional("session_api.redirect_url", link)?,
        callback_url: settings.optional("session_api.callback_url", link)?,
        ca_file: settings.optional("session_api.ca_file", path)?,
    })
}

fn windows(settings: &Settings) -> Result<Windows, ConfigError> {
    Ok(Windows {
        store: settings.one_of("windows.store", [("redis", Store::Redis), ("memory", Store::Memory)])?,
        max_lookback: settings.duration("windows.max_lookback")?,
        allowed_lateness: settings.duration("windows.allowed_lateness")?,
        refill: settings.duration("windows.refill")?,
        max_entries: settings.whole("windows.max_entries")?,
        outage_budget: settings.duration("windows.outage_budget")?,
    })
}

fn evaluate(settings: &Settings) -> Result<Evaluate, ConfigError> {
    let references = [("command_id", ReferenceChoice::CommandId), ("transaction_id", ReferenceChoice::TransactionId)];
    let receipts = [("off", Receipts::Off), ("required", Receipts::Required), ("all", Receipts::All)];
    Ok(Evaluate {
        max_event_age: Some(settings.duration("evaluate.max_event_age")?).filter(|age| !age.is_zero()),
        max_clock_skew: settings.duration("evaluate.max_clock_skew")?,
        reference: settings.one_of("evaluate.reference", references)?,
        claim_retention: settings.duration("evaluate.claim_retention")?,
        cooldown: cooldowns(settings)?,
        rates: rates(settings)?,
        receipts: settings.one_of("evaluate.receipts", receipts)?,
        batch_size: settings.whole("evaluate.batch_size")?,
        shadow: shadow(settings)?,
        max_sessions_per_minute: Some(settings.whole("evaluate.max_sessions_per_minute")?).filter(|most| *most > 0),
        breaker: Breaker {
            factor: settings.whole("evaluate.breaker.factor")?,
            least: settings.whole("evaluate.breaker.least")?,
            window: settings.duration("evaluate.breaker.window")?,
        },
        candidate: candidate(settings)?,
        flood: resilience::flood_stop(settings)?,
        unavailable: unavailable(settings, "evaluate.on_unavailable", "evaluate.hold_for")?,
    })
}

fn shadow(settings: &Settings) -> Result<Shadow, ConfigError> {
    let triggers = settings.list("evaluate.shadow.triggers", Trigger::from_name)?;
    let tenants = settings.list("evaluate.shadow.tenants", |text| TenantId::new(text).ok())?;
    let (triggers, tenants) = (triggers.into_iter().collect(), tenants.into_iter().collect());
    Ok(Shadow { triggers, tenants, ..Shadow::default() })
}

fn candidate(settings: &Settings) -> Result<Option<Source>, ConfigError> {
    let url = settings.optional("evaluate.candidate.url", |text| web(text).map(|_| text.to_owned()))?;
    let directory = settings.optional("evaluate.candidate.directory", path)?;
    match (url, directory) {
        (Some(_), Some(_)) => Err(settings.refuse(
            "evaluate.candidate.directory",
            "cannot be set together with evaluate.candidate.url; leave one of the two out",
        )),
        (Some(url), None) => Ok(Some(Source::Http { url })),
        (None, Some(path)) => Ok(Some(Source::Directory { path })),
        (None, None) => Ok(None),
    }
}

fn cooldowns(settings: &Settings) -> Result<Cooldowns, ConfigError> {
    let set = settings
        .map("evaluate.cooldown", |text| duration::parse(text).ok().filter(|cooldown| *cooldown <= LONGEST_COOLDOWN))?;
    let mut cooldowns = Cooldowns {
        default: DEFAULT_COOLDOWN,
        named: WITHOUT_COOLDOWN.map(|trigger| (trigger, Duration::ZERO)).into(),
    };
    for (name, cooldown) in set {
        match Trigger::from_name(&name) {
            Some(trigger) => {
                cooldowns.named.insert(trigger, cooldown);
            }
            None if name == "default" => cooldowns.default = cooldown,
            None => {
                let triggers = Trigger::ALL.iter().map(|trigger| trigger.name());
                let allowed: Vec<_> = std::iter::once("default").chain(triggers).collect();
                return Err(settings.refuse_name(&format!("evaluate.cooldown.{name}"), &name, &allowed));
            }
        }
    }
    Ok(cooldowns)
}

fn rates(settings: &Settings) -> Result<Rates, ConfigError> {
    let set = settings.map("evaluate.rates", |text| text.parse().ok().filter(|rate: &Amount| !rate.is_zero()))?;
    let mut rates = Rates::default();
    for (code, rate) in set {
        rates.set(&code, rate).map_err(|problem| settings.refuse(&format!("evaluate.rates.{code}"), problem))?;
    }
    Ok(rates)
}

fn dispatch(settings: &Settings) -> Result<Dispatch, ConfigError> {
    let lost = [("retry", OnLostAnswer::Retry), ("report", OnLostAnswer::Report)];
    Ok(Dispatch {
        max_command_age: settings.duration("dispatch.max_command_age")?,
        concurrency: settings.whole("dispatch.concurrency")?,
        concurrency_per_tenant: settings.whole("dispatch.concurrency_per_tenant")?,
        on_lost_answer: settings.one_of("dispatch.on_lost_answer", lost)?,
        backoff_base: settings.duration("dispatch.backoff_base")?,
        backoff_cap: settings.duration("dispatch.backoff_cap")?,
        max_retry_after: settings.duration("dispatch.max_retry_after")?,
        pause: settings.duration("dispatch.pause")?,
        park_after: settings.duration("dispatch.park_after")?,
        breaker: resilience::breaker(settings)?,
        retry_budget: resilience::retry_budget(settings)?,
        unavailable: unavailable(settings, "dispatch.on_unavailable", "dispatch.hold_for")?,
    })
}

fn log(settings: &Settings) -> Result<Log, ConfigError> {
    Ok(Log {
        format: settings.one_of("log.format", [("json", LogFormat::Json), ("pretty", LogFormat::Pretty)])?,
        level: settings.required("log.level", |text| {
            // A single word would be taken for the name of a module.
            let word = text.chars().all(char::is_alphanumeric);
            let known = ["off", "error", "warn", "info", "debug", "trace"].contains(&text);
            let directives = || tracing_subscriber::EnvFilter::builder().parse(text).is_ok();
            (known || !word && directives()).then(|| text.to_owned())
        })?,
    })
}

fn traces(settings: &Settings) -> Result<Traces, ConfigError> {
    Ok(Traces {
        endpoint: settings.optional("traces.endpoint", |text| {
            web(text).filter(|url| url.query().is_none()).map(|_| text.to_owned())
        })?,
        sample: settings.required("traces.sample", resilience::share)?,
    })
}

/// A text of 1 to `most` characters.
fn short(text: &str, most: usize) -> Option<String> {
    (1..=most).contains(&text.chars().count()).then(|| text.to_owned())
}

fn path(text: &str) -> Option<PathBuf> {
    short(text, 4_096).map(PathBuf::from)
}

fn topic(text: &str) -> Option<String> {
    kafka_name(text, 249).filter(|name| name != "." && name != "..")
}

fn kafka_name(text: &str, most: usize) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    short(text, most).filter(|text| text.bytes().all(allowed))
}

/// The list without spaces. A broker may have its protocol before it, and its port may be left to librdkafka.
fn brokers(text: &str) -> Option<String> {
    let brokers = text.split(',').map(str::trim).map(|broker| {
        let address = broker.split_once("://").map_or(broker, |(_, address)| address);
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            Some(_) | None => (address, None),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let host_fits = if bracketed {
            host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        } else {
            !host.is_empty() && host.chars().all(plain)
        };
        let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        (host_fits && port_fits).then_some(broker)
    });
    brokers.collect::<Option<Vec<_>>>().map(|brokers| brokers.join(","))
}

/// A URL of one of these schemes, with a host and without a fragment.
fn url(text: &str, schemes: &[&str]) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str().is_some_and(|host| !host.is_empty());
    (host && schemes.contains(&url.scheme()) && text == text.trim()).then_some(url)
}

fn redis_url(text: &str) -> Option<String> {
    let url = url(text, &["redis", "rediss"])?;
    let database = url.path().trim_matches('/');
    (database.is_empty() || database.parse::<u16>().is_ok()).then(|| text.to_owned())
}

fn web(text: &str) -> Option<Url> {
    let bare = |url: &Url| url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    url(text, &["http", "https"]).filter(bare)
}

/// A URL that customers' devices and the service go to: nobody may listen in between.
fn link(text: &str) -> Option<String> {
    let url = web(text)?;
    let host = url.host_str()?;
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let loopback = host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|ip| ip.is_loopback());
    (url.scheme() == "https" || loopback).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for (text, want) in [
            ("localhost", Some("localhost")),
            ("a:9092, b:9092", Some("a:9092,b:9092")),
            ("SASL_SSL://kafka-0.kafka.svc:9093", Some("SASL_SSL://kafka-0.kafka.svc:9093")),
            ("[::1]:9092", Some("[::1]:9092")),
            ("[::1]", Some("[::1]")),
            ("", None),
            ("a:9092,", None),
            ("a:0", None),
            ("a:kafka", None),
            ("a b:9092", None),
            (":9092", None),
        ] {
            assert_eq!(brokers(text).as_deref(), want, "{text:?}");
        }
        for (text, want) in [
            ("https://app.example/done", true),
            ("http://localhost:8080/x", true),
            ("http://127.0.0.1/x", true),
            ("http://[::1]/x", true),
            ("http://app.example/done", false),
            ("http://localhost.example/x", false),
            ("https://me:pw@app.example", false),
            ("app.example", false),
            ("ftp://localhost/", false),
            (" https://app.example", false),
        ] {
            assert_eq!(link(text).is_some(), want, "{text:?}");
        }
    }
}

//! Every key of the configuration with its bounds and default: one truth for the loader and for whoever reads.

use std::time::Duration;

use super::keys::{KeyDoc, Kind, Names};
use crate::domain::trigger::Trigger;

mod dispatch;

const ZERO: Duration = Duration::ZERO;
const MS: Duration = Duration::from_millis(1);
const TEN_MS: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(604_800);

const TOPIC: Kind = Kind::Text("a topic name: 1 to 249 of A–Z a–z 0–9 . _ -");
const HEADER: Kind = Kind::Text("the name of an HTTP header");
const REDIS: Kind = Kind::Url { schemes: "redis or rediss, with a host" };
const WEB: Kind = Kind::Url { schemes: "http or https, without credentials" };
const LINK: Kind = Kind::Url { schemes: "https, or http on a loopback address; without credentials" };

const fn whole(least: u64, most: u64) -> Kind {
    Kind::Whole { least, most }
}

const fn span(least: Duration, most: Duration) -> Kind {
    Kind::Duration { least, most }
}

const fn of(path: &'static str, kind: Kind, default: Option<&'static str>, meaning: &'static str) -> KeyDoc {
    KeyDoc { path, kind, default, meaning }
}

/// Every key there is, in the order in which a file shows them.
pub const KEYS: &[KeyDoc] =
    &joined::<{ FIRST.len() + dispatch::KEYS.len() + LAST.len() }>([FIRST, dispatch::KEYS, LAST]);

const fn joined<const N: usize>(parts: [&[KeyDoc]; 3]) -> [KeyDoc; N] {
    let mut all = [parts[0][0]; N];
    let (mut part, mut filled) = (0, 0);
    while part < parts.len() {
        let mut place = 0;
        while place < parts[part].len() {
            all[filled] = parts[part][place];
            filled += 1;
            place += 1;
        }
        part += 1;
    }
    all
}

const FIRST: &[KeyDoc] = &[
    of(
        "roles",
        Kind::List { items: &Kind::OneOf(&["evaluate", "dispatch"]), least: 1, most: 2 },
        Some("[evaluate, dispatch]"),
        "What this process does: decide over events, deliver commands, or both",
    ),
    of(
        "kafka.brokers",
        Kind::Text("host:port, or several of them separated by commas"),
        None,
        "Where the cluster is reached first. Required",
    ),
    of(
        "kafka.start",
        Kind::OneOf(&["earliest", "latest"]),
        Some("earliest"),
        "Where a group without offsets begins; a lost position is never reset silently",
    ),
    of(
        "kafka.group_id",
        Kind::Text("a group name of 1 to 200 characters: A–Z a–z 0–9 . _ -"),
        Some("stepup"),
        "The roles' consumer groups are <group_id>-evaluate and <group_id>-dispatch",
    ),
    of(
        "kafka.topics.activity",
        Kind::List { items: &TOPIC, least: 1, most: 100 },
        Some("[activity]"),
        "Where events are read",
    ),
    of("kafka.topics.commands", TOPIC, Some("verification-commands"), "Where commands go"),
    of(
        "kafka.topics.shadow_commands",
        TOPIC,
        Some("stepup-shadow-commands"),
        "Where the commands go that ask nobody (evaluate.shadow)",
    ),
    of("kafka.topics.outcomes", TOPIC, Some("verification-outcomes"), "Where outcomes go"),
    of("kafka.topics.retries", TOPIC, Some("stepup-retries"), "Where commands wait for their next try"),
    of("kafka.topics.dead_letters", TOPIC, Some("stepup-dead-letters"), "Where goes what cannot be processed"),
    of(
        "kafka.topics.receipts",
        TOPIC,
        Some("stepup-receipts"),
        "Where receipts go; not used while evaluate.receipts is off",
    ),
    of(
        "kafka.properties",
        Kind::Map { values: &Kind::Text("a text, number or boolean"), names: Names::Dotted },
        Some("{}"),
        "Passed to librdkafka as they are: security.protocol, sasl.*, ssl.* and so on. In an environment variable the \
         name is written with _ for each dot",
    ),
    of(
        "kafka.properties_files",
        Kind::Map { values: &Kind::Path, names: Names::Dotted },
        Some("{}"),
        "librdkafka properties whose value is the content of a file, without white space at its ends: sasl.password",
    ),
    of(
        "redis.url",
        REDIS,
        Some("redis://127.0.0.1:6379"),
        "The store of windows, claims and outcomes; rediss:// for TLS",
    ),
    of(
        "redis.cluster",
        Kind::List { items: &REDIS, least: 0, most: 100 },
        Some("[]"),
        "Some nodes of a Redis Cluster, in place of redis.url",
    ),
    of("redis.username", Kind::Text("a text of 1 to 256 characters"), None, "The ACL user"),
    of("redis.password", Kind::Secret, None, "The password; better in a file or an environment variable"),
    of("redis.password_file", Kind::Path, None, "A file with the password, read again when it changes"),
    of(
        "redis.ca_file",
        Kind::Path,
        None,
        "The PEM file of the certificate authorities to trust, in place of the system's",
    ),
    of(
        "redis.wait_replicas",
        whole(0, 9),
        Some("0"),
        "What is written counts only once so many replicas have it, so that a failover loses nothing of it; 0 for none",
    ),
    of("redis.key_prefix", Kind::Text("1 to 32 of a–z 0–9 -"), Some("stepup"), "How the names of our keys begin"),
    of(
        "preferences.source",
        Kind::OneOf(&["http", "directory"]),
        Some("http"),
        "Where the tenants' preferences come from",
    ),
    of("preferences.url", WEB, None, "Asked for a tenant's preferences. Required when the source is http"),
    of(
        "preferences.directory",
        Kind::Path,
        None,
        "Holds <tenant id>.json files. Required when the source is directory",
    ),
    of("preferences.ttl", span(TEN_MS, DAY), Some("60s"), "How long a copy is fresh"),
    of(
        "preferences.max_stale",
        span(ZERO, WEEK),
        Some("15m"),
        "How old a copy may be that is used while the source does not answer",
    ),
    of(
        "preferences.refused_for",
        span(ZERO, DAY),
        Some("15m"),
        "How long a tenant is waited for whose credential the source refuses (401, 403)",
    ),
    of("preferences.lookups_per_second", whole(1, 100_000), Some("100"), "The most requests to the source in a second"),
    of("preferences.timeout", span(TEN_MS, FIVE_MINUTES), Some("5s"), "How long one request may take"),
    of("preferences.max_tenants", whole(1, 10_000_000), Some("200000"), "The most tenants whose copies are kept"),
    of("session_api.url", WEB, None, "The verification service. Required for the role dispatch"),
    of(
        "session_api.path",
        Kind::Text("a path that begins with / and has no spaces, ? or #"),
        Some("/api/v1/kyc/face/session"),
        "Where a session is asked for, below the URL",
    ),
    of("session_api.timeout", span(TEN_MS, FIVE_MINUTES), Some("5s"), "How long one call may take"),
    of("session_api.connect_timeout", span(TEN_MS, FIVE_MINUTES), Some("2s"), "How long a connection may take of that"),
    of("session_api.tenant_header", HEADER, Some("X-Tenant-ID"), "Names the tenant; with preferences requests too"),
    of("session_api.authorization_header", HEADER, Some("Authorization"), "Brings the credential; likewise"),
    of(
        "session_api.authorization_scheme",
        Kind::Text("a word of letters, digits and -"),
        Some("Bearer"),
        "Stands before the credential",
    ),
    of(
        "session_api.credentials_dir",
        Kind::Path,
        None,
        "Holds one file per tenant id with its credential; a tenant without one is unknown",
    ),
    of(
        "session_api.credential_file",
        Kind::Path,
        None,
        "One credential for all tenants; without it and credentials_dir no authorization header is sent",
    ),
    of("session_api.redirect_url", LINK, None, "Sent with every session: where the customer's browser goes on"),
    of("session_api.callback_url", LINK, None, "Sent with every session: where the service reports the result"),
    of(
        "session_api.ca_file",
        Kind::Path,
        None,
        "The PEM file of the certificate authorities to trust, in place of the system's; for preferences too",
    ),
    of(
        "windows.store",
        Kind::OneOf(&["redis", "memory"]),
        Some("redis"),
        "Where windows, claims and outcomes are kept; memory is for demo and tests",
    ),
    of("windows.max_lookback", span(MINUTE, WEEK), Some("24h"), "The width of a window whose tenant sets none"),
    of(
        "windows.allowed_lateness",
        span(ZERO, DAY),
        Some("5m"),
        "How much later than its window a bet may come and still be judged exactly",
    ),
    of(
        "windows.refill",
        span(ZERO, WEEK),
        Some("24h"),
        "How far back activity is read again to fill the windows of a Redis that lost them; no shorter than the widest window in use, and 0s to go on without",
    ),
    of("windows.max_entries", whole(1, 100_000), Some("256"), "The most bets kept for a customer"),
    of(
        "windows.outage_budget",
        span(ZERO, WEEK),
        Some("6h"),
        "How long stepup may be away before the store forgets what it still needs",
    ),
    of(
        "evaluate.max_event_age",
        span(ZERO, WEEK),
        Some("15m"),
        "Events older than this require nothing; 0 for no limit",
    ),
    of(
        "evaluate.max_clock_skew",
        span(ZERO, DAY),
        Some("5m"),
        "Events further in the future than this are dead letters",
    ),
    of(
        "evaluate.reference",
        Kind::OneOf(&["command_id", "transaction_id"]),
        Some("command_id"),
        "What a session is called: the command's id, or the event's transaction where it has one",
    ),
    of(
        "evaluate.claim_retention",
        span(ZERO, WEEK),
        Some("1h"),
        "How long it is remembered which event was decided; never shorter than the cool-down",
    ),
    of(
        "evaluate.cooldown",
        Kind::Map { values: &span(ZERO, WEEK), names: Names::Lower },
        Some("{ default: 10m, deposit: 0s, withdrawal: 0s, account_balance_transfer: 0s }"),
        "How long a customer is left alone after a command, by trigger; default for those not named",
    ),
    of(
        "evaluate.rates",
        Kind::Map {
            values: &Kind::Text("a number greater than 0, of at most 28 digits, like 1.08"),
            names: Names::Upper,
        },
        Some("{}"),
        "US dollars for one unit of a currency",
    ),
    of(
        "evaluate.shadow.triggers",
        Kind::List { items: &Kind::OneOf(Trigger::NAMES), least: 0, most: 13 },
        Some("[]"),
        "Triggers that are decided and counted for every tenant, and ask nobody: their commands go to the shadow topic",
    ),
    of(
        "evaluate.shadow.tenants",
        Kind::List {
            items: &Kind::Text("a tenant id: 1 to 64 of A–Z a–z 0–9 . _ -, the first a letter or digit"),
            least: 0,
            most: 10_000,
        },
        Some("[]"),
        "The same for every trigger of these tenants",
    ),
    of(
        "evaluate.max_sessions_per_minute",
        whole(0, 1_000_000),
        Some("0"),
        "The most customers of a tenant who are asked in a minute, over all replicas; what is beyond it is capped. 0 for no \
         limit",
    ),
    of(
        "evaluate.breaker.factor",
        whole(0, 1_000),
        Some("0"),
        "A trigger that fires more than so many times as often since its preferences were changed goes to shadow for that \
         tenant, until `stepup release`. 0 for off",
    ),
    of(
        "evaluate.breaker.least",
        whole(1, 1_000_000),
        Some("20"),
        "The least commands since the change that judge it; a trigger that fired less often in a window is taken to have \
         fired so often",
    ),
    of(
        "evaluate.breaker.window",
        span(SECOND, DAY),
        Some("10m"),
        "How long before a change is compared with, and how long after it is judged",
    ),
    of(
        "evaluate.candidate.url",
        WEB,
        None,
        "A second source of preferences: decided side by side on live traffic and counted, never acted on",
    ),
    of("evaluate.candidate.directory", Kind::Path, None, "The same from a directory of <tenant id>.json files"),
    of(
        "evaluate.receipts",
        Kind::OneOf(&["off", "required", "all"]),
        Some("off"),
        "Which decisions get a receipt by which they can be made again: none, those that ask somebody, or all",
    ),
    of("evaluate.batch_size", whole(1, 10_000), Some("1250"), "The most events decided in one step"),
    of(
        "evaluate.flood.records",
        whole(0, 100_000_000),
        Some("10000"),
        "A partition stands, and says so, when evaluate.flood.share of its last so many records cannot be processed, instead of \
         moving them all to the dead letters. To let it go on, set 0, which is off, and restart",
    ),
    of(
        "evaluate.flood.share",
        Kind::Text("a share from 0 to 1 such as 0.9"),
        Some("0.9"),
        "See evaluate.flood.records",
    ),
    of(
        "evaluate.on_unavailable",
        Kind::OneOf(&["hold", "dead_letter"]),
        Some("hold"),
        "What to do while windows, claims or preferences are away: wait for ever, or, after hold_for, put what needs them to \
         the dead letters until they are back. For Kafka the role always waits",
    ),
    of("evaluate.hold_for", span(SECOND, WEEK), Some("15m"), "How long it waits before that"),
];

const LAST: &[KeyDoc] = &[
    of(
        "http.listen",
        Kind::Text("an address with a port such as 0.0.0.0:9090 or [::]:9090"),
        Some("0.0.0.0:9090"),
        "Where /livez, /readyz and /metrics are served",
    ),
    of(
        "http.console",
        Kind::OneOf(&["off", "local", "all"]),
        Some("local"),
        "Who sees the page at /: nobody, whoever asks from the same machine (as through a forwarded port), or everybody",
    ),
    of(
        "http.console_ids",
        Kind::OneOf(&["masked", "shown"]),
        Some("masked"),
        "Whether that page shows the ids of customers and events",
    ),
    of("log.format", Kind::OneOf(&["json", "pretty"]), Some("json"), "How log lines look"),
    of(
        "log.level",
        Kind::Text("one of: off, error, warn, info, debug, trace, or directives such as info,stepup=debug"),
        Some("info"),
        "What is logged",
    ),
    of(
        "metrics.max_tenants",
        whole(0, 10_000),
        Some("16"),
        "How many tenants have a label of their own in the metrics; the others share one",
    ),
    of(
        "traces.endpoint",
        Kind::Url { schemes: "http or https, without credentials or query" },
        None,
        "An OTLP/HTTP collector such as http://collector:4318, which gets the spans of sampled traces; none for no tracing",
    ),
    of(
        "traces.sample",
        Kind::Text("a share from 0 to 1 such as 0.01"),
        Some("0.01"),
        "The share of events that are traced; an event that comes with a trace context of its own is traced where that says so",
    ),
];

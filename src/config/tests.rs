use secrecy::ExposeSecret;

use super::*;

type Variables<'a> = &'a [(&'a str, &'a str)];

/// The least that has to be set.
const LEAST: &str =
    "kafka: {brokers: k:9092}\npreferences: {url: https://p.example/x}\nsession_api: {url: https://s.example}\n";

fn load(yaml: &str, env: Variables<'_>) -> Result<Config, ConfigError> {
    Config::from_yaml(yaml, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn with(env: Variables<'_>) -> Config {
    load(LEAST, env).unwrap()
}

/// What is in force under a key, as `effective` writes it.
fn line(config: &Config, path: &str) -> String {
    let (_, shown) = effective::lines(config).into_iter().find(|(key, _)| *key == path).unwrap();
    shown.written(1)
}

const DEFAULTS: &str = r#"roles: [evaluate, dispatch]
kafka:
  brokers: k:9092
  start: earliest
  group_id: stepup
  topics:
    activity: [activity]
    commands: verification-commands
    shadow_commands: stepup-shadow-commands
    outcomes: verification-outcomes
    retries: stepup-retries
    dead_letters: stepup-dead-letters
    receipts: stepup-receipts
  properties: {}
  properties_files: {}
redis:
  url: redis://127.0.0.1:6379
  cluster: []
  username: null
  password: null
  password_file: null
  ca_file: null
  wait_replicas: 0
  key_prefix: stepup
preferences:
  source: http
  url: https://p.example/x
  directory: null
  ttl: 1m
  max_stale: 15m
  refused_for: 15m
  lookups_per_second: 100
  timeout: 5s
  max_tenants: 200000
session_api:
  url: https://s.example
  path: /api/v1/kyc/face/session
  timeout: 5s
  connect_timeout: 2s
  tenant_header: X-Tenant-ID
  authorization_header: Authorization
  authorization_scheme: Bearer
  credentials_dir: null
  credential_file: null
  redirect_url: null
  callback_url: null
  ca_file: null
windows:
  store: redis
  max_lookback: 24h
  allowed_lateness: 5m
  refill: 24h
  max_entries: 256
  outage_budget: 6h
evaluate:
  max_event_age: 15m
  max_clock_skew: 5m
  reference: command_id
  claim_retention: 1h
  cooldown:
    default: 10m
    account_balance_transfer: 0s
    deposit: 0s
    withdrawal: 0s
  rates: {}
  shadow:
    triggers: []
    tenants: []
  max_sessions_per_minute: 0
  breaker:
    factor: 0
    least: 20
    window: 10m
  candidate:
    url: null
    directory: null
  receipts: off
  batch_size: 1250
  flood:
    records: 10000
    share: 0.9
  on_unavailable: hold
  hold_for: 15m
dispatch:
  max_command_age: 10m
  concurrency: 256
  concurrency_per_tenant: 32
  on_lost_answer: retry
  backoff_base: 200ms
  backoff_cap: 30s
  max_retry_after: 5m
  pause: 30s
  park_after: 3s
  breaker:
    failures: 20
    pause: 1s
    longest_pause: 30s
  retry_budget:
    share: 0.1
    least: 1
  on_unavailable: hold
  hold_for: 15m
http:
  listen: 0.0.0.0:9090
  console: local
  console_ids: masked
log:
  format: json
  level: info
metrics:
  max_tenants: 16
traces:
  endpoint: null
  sample: 0.01
"#;

#[test]
fn a_key_that_is_not_set_has_the_documented_default() {
    assert_eq!(with(&[]).effective(), DEFAULTS);
}

/// A variable for every key, so that none is in the table without being read and shown.
const EVERY_KEY: &[(&str, &str, &str, Variables<'_>)] = &[
    ("roles", "dispatch", "[dispatch]", &[]),
    ("kafka.brokers", "a:1, b:2", "\"a:1,b:2\"", &[]),
    ("kafka.start", "latest", "latest", &[]),
    ("kafka.group_id", "123", "123", &[]),
    ("kafka.topics.activity", "[a, b]", "[a, b]", &[]),
    ("kafka.topics.commands", "x", "x", &[]),
    ("kafka.topics.shadow_commands", "x", "x", &[]),
    ("kafka.topics.outcomes", "x", "x", &[]),
    ("kafka.topics.retries", "x", "x", &[]),
    ("kafka.topics.dead_letters", "x", "x", &[]),
    ("kafka.topics.receipts", "x", "x", &[]),
    ("kafka.properties", "{linger.ms: 5, log_level: 6}", "linger.ms: 5\n  log_level: 6", &[]),
    ("kafka.properties_files", "{sasl.password: /run/p}", "sasl.password: /run/p", &[]),
    ("redis.url", "rediss://me:hunter2@r:1/2", "\"rediss://me:***@r:1/2\"", &[]),
    ("redis.cluster", "[redis://a, redis://b]", "[redis://a, redis://b]", &[]),
    ("redis.username", "null", "\"null\"", &[]),
    ("redis.password", "[hunter2", "\"***\"", &[]),
    ("redis.password_file", "/run/p", "/run/p", &[]),
    ("redis.ca_file", "ca.pem", "ca.pem", &[("STEPUP__REDIS__URL", "rediss://r")]),
    ("redis.wait_replicas", "2", "2", &[]),
    ("redis.key_prefix", "su-2", "su-2", &[]),
    ("preferences.source", "directory", "directory", &[("STEPUP__PREFERENCES__DIRECTORY", "./p")]),
    ("preferences.url", "http://p/?a=b", "\"http://p/?a=b\"", &[]),
    ("preferences.directory", "p #1", "\"p #1\"", &[("STEPUP__PREFERENCES__SOURCE", "directory")]),
    ("preferences.ttl", "90s", "1m30s", &[]),
    ("preferences.max_stale", "2m", "2m", &[]),
    ("preferences.refused_for", "0", "0s", &[]),
    ("preferences.lookups_per_second", "7", "7", &[]),
    ("preferences.timeout", "250ms", "250ms", &[]),
    ("preferences.max_tenants", "9", "9", &[]),
    ("session_api.url", "http://s:8080", "http://s:8080", &[]),
    ("session_api.path", "/v2", "/v2", &[]),
    ("session_api.timeout", "'7s'", "7s", &[]),
    ("session_api.connect_timeout", "1s", "1s", &[]),
    ("session_api.tenant_header", "X-T", "X-T", &[]),
    ("session_api.authorization_header", "X-A", "X-A", &[]),
    ("session_api.authorization_scheme", "Token", "Token", &[]),
    ("session_api.credentials_dir", "/c", "/c", &[]),
    ("session_api.credential_file", "/c", "/c", &[]),
    ("session_api.redirect_url", "https://a.example/x", "https://a.example/x", &[]),
    ("session_api.callback_url", "http://localhost/x", "http://localhost/x", &[]),
    ("session_api.ca_file", "ca.pem", "ca.pem", &[]),
    ("windows.store", "memory", "memory", &[]),
    ("windows.max_lookback", "1h30m", "1h30m", &[]),
    ("windows.allowed_lateness", "0s", "0s", &[]),
    ("windows.refill", "2h", "2h", &[]),
    ("windows.max_entries", "1", "1", &[]),
    ("windows.outage_budget", "1h", "1h", &[]),
    ("evaluate.max_event_age", "0", "0s", &[]),
    ("evaluate.max_clock_skew", "1s", "1s", &[]),
    ("evaluate.reference", "transaction_id", "transaction_id", &[]),
    ("evaluate.claim_retention", "2h", "2h", &[]),
    (
        "evaluate.cooldown",
        "{login: 1m, deposit: 2m}",
        "default: 10m\n  login: 1m\n  account_balance_transfer: 0s\n  deposit: 2m\n  withdrawal: 0s",
        &[],
    ),
    ("evaluate.rates", "{EUR: 1.080, JPY: '0.0064'}", "EUR: 1.08\n  JPY: 0.0064", &[]),
    ("evaluate.shadow.triggers", "[deposit, login]", "[login, deposit]", &[]),
    ("evaluate.shadow.tenants", "acme", "[acme]", &[]),
    ("evaluate.max_sessions_per_minute", "600", "600", &[]),
    ("evaluate.breaker.factor", "3", "3", &[]),
    ("evaluate.breaker.least", "5", "5", &[]),
    ("evaluate.breaker.window", "5m", "5m", &[]),
    ("evaluate.candidate.url", "http://p/", "http://p/", &[]),
    ("evaluate.candidate.directory", "./c", "./c", &[]),
    ("evaluate.receipts", "required", "required", &[]),
    ("evaluate.batch_size", "10000", "10000", &[]),
    ("evaluate.flood.records", "0", "0", &[]),
    ("evaluate.flood.share", "1", "1", &[]),
    ("evaluate.on_unavailable", "dead_letter", "dead_letter", &[]),
    ("evaluate.hold_for", "1m", "1m", &[]),
    ("dispatch.max_command_age", "5m", "5m", &[]),
    ("dispatch.concurrency", "64", "64", &[]),
    ("dispatch.concurrency_per_tenant", "256", "256", &[]),
    ("dispatch.on_lost_answer", "report", "report", &[]),
    ("dispatch.backoff_base", "1s", "1s", &[]),
    ("dispatch.backoff_cap", "1m", "1m", &[]),
    ("dispatch.max_retry_after", "0s", "0s", &[]),
    ("dispatch.pause", "1m", "1m", &[]),
    ("dispatch.park_after", "0s", "0s", &[]),
    ("dispatch.breaker.failures", "0", "0", &[]),
    ("dispatch.breaker.pause", "2s", "2s", &[]),
    ("dispatch.breaker.longest_pause", "1m", "1m", &[]),
    ("dispatch.retry_budget.share", "0.250", "0.25", &[]),
    ("dispatch.retry_budget.least", "5", "5", &[]),
    ("dispatch.on_unavailable", "dead_letter", "dead_letter", &[]),
    ("dispatch.hold_for", "168h", "168h", &[]),
    ("http.listen", "[::1]:80", "\"[::1]:80\"", &[]),
    ("http.console", "all", "all", &[]),
    ("http.console_ids", "shown", "shown", &[]),
    ("log.format", "pretty", "pretty", &[]),
    ("log.level", "info,stepup=debug", "\"info,stepup=debug\"", &[]),
    ("metrics.max_tenants", "0", "0", &[]),
    ("traces.endpoint", "http://c:4318", "http://c:4318", &[]),
    ("traces.sample", "0.250", "0.25", &[]),
];

#[test]
fn every_key_of_the_table_can_be_set_by_its_variable_and_is_shown() {
    let shown: Vec<_> = effective::lines(&with(&[])).into_iter().map(|(path, _)| path).collect();
    let table: Vec<_> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(shown, table);
    assert_eq!(EVERY_KEY.iter().map(|(path, ..)| *path).collect::<Vec<_>>(), table);
    for (path, value, want, others) in EVERY_KEY {
        let variable = settings::variable(path);
        let env: Vec<_> = others.iter().copied().chain([(variable.as_str(), *value)]).collect();
        let config = load(LEAST, &env).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(line(&config, path).trim_start(), *want, "{path}");
        assert_ne!(line(&config, path), line(&with(&[]), path), "{path}: the sample is the default");
        reloads(&config);
    }
}

/// The effective configuration loads again to the same, but for what is masked.
fn reloads(config: &Config) {
    let again = load(&config.effective(), &[]).unwrap_or_else(|error| panic!("{error} in {}", config.effective()));
    assert_eq!(again.effective(), config.effective());
    assert_eq!(format!("{again:?}"), format!("{config:?}"));
}

#[test]
fn the_defaults_of_the_table_are_those_that_are_in_force() {
    let config = with(&[]);
    for key in KEYS {
        let required = ["kafka.brokers", "preferences.url", "session_api.url"].contains(&key.path);
        let Some(default) = key.default else {
            assert!(required || line(&config, key.path) == " null", "{}", key.path);
            continue;
        };
        let with_it = load(LEAST, &[(&settings::variable(key.path), default)]).unwrap();
        assert_eq!(with_it.effective(), config.effective(), "{}", key.path);
    }
}

#[test]
fn a_variable_goes_before_the_file_and_an_empty_one_puts_the_default_back() {
    let file = format!(
        "{LEAST}log: {{format: pretty, level: debug}}\nevaluate: {{cooldown: {{login: 1m}}, rates: {{EUR: 2}}}}"
    );
    for (env, path, want) in [
        (&[][..], "log.level", "debug"),
        (&[("STEPUP__LOG__LEVEL", "warn")], "log.level", "warn"),
        (&[("STEPUP__LOG__LEVEL", "")], "log.level", "info"),
        (&[("STEPUP__LOG", "{level: warn}")], "log.level", "warn"),
        (&[("STEPUP__LOG", "{level: warn}")], "log.format", "pretty"),
        (&[("STEPUP__LOG__LEVEL", "error"), ("STEPUP__LOG", "{level: warn}")], "log.level", "error"),
        (&[("STEPUP__EVALUATE__RATES__GBP", "1.25")], "evaluate.rates", "EUR: 2\n  GBP: 1.25"),
        (&[("STEPUP__EVALUATE__RATES__EUR", "3")], "evaluate.rates", "EUR: 3"),
        (&[("STEPUP__EVALUATE__RATES__EUR", "")], "evaluate.rates", "{}"),
        (&[("STEPUP__EVALUATE__RATES", "{GBP: 1.25}")], "evaluate.rates", "GBP: 1.25"),
        (
            &[
                ("STEPUP__KAFKA__PROPERTIES__SECURITY_PROTOCOL", "sasl_ssl"),
                ("STEPUP__KAFKA__PROPERTIES__DEBUG", "a: b"),
            ],
            "kafka.properties",
            "debug: \"a: b\"\n  security.protocol: sasl_ssl",
        ),
        (
            &[(
                "STEPUP__KAFKA__PROPERTIES",
                "{delivery.report.only.error: false, delivery.timeout.ms: 1, statistics.interval.ms: 500}",
            )],
            "kafka.properties",
            "delivery.report.only.error: false\n  delivery.timeout.ms: 1\n  statistics.interval.ms: 500",
        ),
        (
            &[("STEPUP__KAFKA__PROPERTIES__CLIENT_ID", "line\nline\n")],
            "kafka.properties",
            "client.id: \"line\\nline\\n\"",
        ),
        (&[("STEPUP_LOG__LEVEL", "warn"), ("OTHER", "x")], "log.level", "debug"),
        (&[("STEPUP__ROLES", "dispatch, evaluate")], "roles", "[dispatch, evaluate]"),
        (&[("STEPUP__DISPATCH__CONCURRENCY", " 40 ")], "dispatch.concurrency", "40"),
    ] {
        let config = load(&file, env).unwrap();
        assert_eq!(line(&config, path).trim_start(), want, "{env:?}");
        reloads(&config);
    }
}

#[test]
fn a_cooldown_is_its_own_or_the_default_and_claims_outlive_it() {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    for (cooldown, trigger, want, kept) in [
        ("{}", Trigger::Login, minutes(10), minutes(60)),
        ("{}", Trigger::Deposit, Duration::ZERO, minutes(60)),
        ("{default: 2h}", Trigger::HighFrequencyBetting, minutes(120), minutes(120)),
        ("{default: 2h}", Trigger::Withdrawal, Duration::ZERO, minutes(60)),
        ("{default: 2h}", Trigger::AccountBalanceTransfer, Duration::ZERO, minutes(60)),
        ("{default: 2h, withdrawal: 3h}", Trigger::Withdrawal, minutes(180), minutes(180)),
        ("{login: 0}", Trigger::Login, Duration::ZERO, minutes(60)),
    ] {
        let evaluate = with(&[("STEPUP__EVALUATE__COOLDOWN", cooldown)]).evaluate;
        assert_eq!((evaluate.cooldown.of(trigger), evaluate.claim_retention(trigger)), (want, kept), "{cooldown}");
    }
    assert_eq!(with(&[("STEPUP__EVALUATE__MAX_EVENT_AGE", "0")]).evaluate.max_event_age, None);
}

#[test]
fn secrets_are_kept_and_never_shown() {
    let yaml = "
kafka:
  brokers: k
  properties: {sasl.username: me, sasl.password: hunter2, ssl.key.password: hunter2, ssl.key.pem: hunter2, sasl.pasword: hunter2}
redis: {password: 007}
preferences: {url: 'https://p.example'}
session_api: {url: 'https://s.example'}";
    let config = load(yaml, &[]).unwrap();
    assert_eq!(config.kafka.properties["sasl.password"], "hunter2");
    assert_eq!(config.redis.password.as_ref().unwrap().expose_secret(), "007");
    let url = with(&[("STEPUP__REDIS__URL", "redis://:hunter2@r")]);
    assert_eq!(url.redis.url, "redis://:hunter2@r");
    let cluster = with(&[("STEPUP__REDIS__CLUSTER", "redis://me:hunter2@a,redis://me:hunter2@b")]);
    for config in [config, url, cluster] {
        for shown in [format!("{config:?}"), format!("{config:#?}"), config.effective()] {
            assert!(!shown.contains("hunter2") && !shown.contains("007"), "{shown}");
            assert!(shown.contains("***"), "{shown}");
        }
        reloads(&config);
    }
}

/// The example that operators are given.
const EXAMPLE: &str = r#"
roles: [evaluate, dispatch]
kafka:
  brokers: 127.0.0.1:9092
  start: earliest                      # or latest
  group_id: stepup
  topics:
    activity: [activity]               # one or more
    commands: verification-commands
    outcomes: verification-outcomes
    retries: stepup-retries
    dead_letters: stepup-dead-letters
  properties: {}
redis:
  url: redis://127.0.0.1:6379
  username: stepup
  password_file: /etc/stepup/redis-password
preferences:
  source: http                         # or: directory
  url: https://kyc.example/api/v1/kyc/preferences
  directory: ./preferences
  ttl: 60s
  max_stale: 15m
session_api:
  url: https://kyc.example
  timeout: 5s
  tenant_header: X-Tenant-ID
  credentials_dir: /etc/stepup/credentials
  redirect_url: https://app.example/verified
  callback_url: https://app.example/callback
windows: { store: redis, max_lookback: 24h, allowed_lateness: 5m, max_entries: 256 }
evaluate: { max_event_age: 15m, max_clock_skew: 5m, reference: command_id, claim_retention: 1h, cooldown: { default: 10m, deposit: 0s }, rates: { EUR: "1.08" } }
dispatch: { max_command_age: 10m, concurrency: 256, concurrency_per_tenant: 32, on_lost_answer: retry }
http: { listen: 0.0.0.0:9090 }
log: { format: json, level: info }
metrics: { max_tenants: 16 }
"#;

#[test]
fn the_example_loads_and_is_nothing_but_defaults_where_it_shows_them() {
    let config = load(EXAMPLE, &[]).unwrap();
    reloads(&config);
    assert_eq!(config.evaluate.rates.get("EUR").unwrap().to_string(), "1.08");
    assert_eq!(
        config.preferences.source,
        Source::Http { url: "https://kyc.example/api/v1/kyc/preferences".to_owned() }
    );
    let own = [
        "kafka.brokers",
        "redis.username",
        "redis.password_file",
        "preferences.url",
        "session_api.url",
        "session_api.credentials_dir",
        "session_api.redirect_url",
        "session_api.callback_url",
        "evaluate.rates",
    ];
    for key in KEYS.iter().filter(|key| !own.contains(&key.path)) {
        assert_eq!(line(&config, key.path), line(&with(&[]), key.path), "{}", key.path);
    }
}

#[test]
fn a_file_is_read_up_to_a_mebibyte_and_named_in_messages() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stepup.yaml");
    let written = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let loaded = Config::load(&path, std::iter::empty());
        loaded.map(|_| ()).map_err(|error| error.to_string().replace(&*path.to_string_lossy(), "FILE"))
    };
    let comment = "#".repeat(LARGEST as usize - LEAST.len());
    for (bytes, want) in [
        (format!("{LEAST}{comment}").into_bytes(), Ok(())),
        (format!("{LEAST}#{comment}").into_bytes(), Err("FILE: is no configuration: it is larger than 1 MiB")),
        (b"log: \xff".to_vec(), Err("FILE: is no configuration: it is not UTF-8")),
        (b"\nlog: 1".to_vec(), Err("FILE:2: log: is a section, not a value; keys allowed in it: format, level")),
    ] {
        assert_eq!(written(&bytes), want.map_err(str::to_owned));
    }
    let missing = Config::load(&directory.path().join("none"), std::iter::empty()).unwrap_err().to_string();
    assert!(missing.ends_with("none: cannot be read: No such file or directory (os error 2)"), "{missing}");
}

#[test]
fn what_cannot_be_is_refused_with_one_line_that_says_where_what_and_what_is_allowed() {
    for (yaml, env, want) in BAD {
        let yaml = yaml.strip_prefix('+').map_or_else(|| (*yaml).to_owned(), |more| format!("{LEAST}{more}"));
        let error = load(&yaml, env).map(|config| config.effective()).unwrap_err().to_string();
        assert_eq!(error, *want, "{yaml:?} {env:?}");
        assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
    }
}

/// What is added to the least that has to be set (+) or stands alone, the variables, and the message.
const BAD: &[(&str, Variables<'_>, &str)] = &[
    (
        "+dispatch: {breaker: {pause: 1m, longest_pause: 10s}}",
        &[],
        "config.yaml:4: dispatch.breaker.longest_pause: 10s is shorter than dispatch.breaker.pause (1m)",
    ),
    (
        "+dispatch: {retry_budget: {share: 10%}}",
        &[],
        "config.yaml:4: dispatch.retry_budget.share: \"10%\" is not a share from 0 to 1 such as 0.1",
    ),
    ("+traces: {sample: 1.5}", &[], "config.yaml:4: traces.sample: \"1.5\" is not a share from 0 to 1 such as 0.01"),
    ("+traces: {sample: 1e-3}", &[], "config.yaml:4: traces.sample: \"1e-3\" is not a share from 0 to 1 such as 0.01"),
    (
        "+traces: {endpoint: 'http://c:4318?a=b'}",
        &[],
        "config.yaml:4: traces.endpoint: \"http://c:4318?a=b\" is not a URL (http or https, without credentials or query)",
    ),
    ("kafka: [", &[], "config.yaml:1:8: is no YAML: unclosed bracket '['"),
    ("kafka:\n  brokers: \"k", &[], "config.yaml:2:12: is no YAML: unclosed quote"),
    ("roles: [evaluate]\nroles: [dispatch]", &[], "config.yaml:2:1: is no YAML: duplicate mapping key: roles"),
    (
        "just a text",
        &[],
        "config.yaml:1: top level: must hold keys with values: roles, kafka, redis, preferences, session_api, windows, evaluate, dispatch, http, log, metrics, traces",
    ),
    ("", &[], "config.yaml: kafka.brokers: is required; set it in the file or with STEPUP__KAFKA__BROKERS"),
    (
        "+kafak: {}",
        &[],
        "config.yaml:4: kafak: unknown key, did you mean kafka? allowed here: roles, kafka, redis, preferences, session_api, windows, evaluate, dispatch, http, log, metrics, traces",
    ),
    (
        "kafka:\n  brokerz: x",
        &[],
        "config.yaml:2: kafka.brokerz: unknown key, did you mean brokers? allowed here: brokers, start, group_id, topics, properties, properties_files",
    ),
    (
        "kafka:\n  brokers: x\n  topics:\n    comands: y",
        &[],
        "config.yaml:4: kafka.topics.comands: unknown key, did you mean commands? allowed here: activity, commands, shadow_commands, outcomes, retries, dead_letters, receipts",
    ),
    (
        "+redis:\n  pasword: hunter2",
        &[],
        "config.yaml:5: redis.pasword: unknown key, did you mean password? allowed here: url, cluster, username, password, password_file, ca_file, wait_replicas, key_prefix",
    ),
    (
        "+redis: redis://:hunter2@h",
        &[],
        "config.yaml:4: redis: is a section, not a value; keys allowed in it: url, cluster, username, password, password_file, ca_file, wait_replicas, key_prefix",
    ),
    (
        "kafka.brokers: x",
        &[],
        "config.yaml:1: kafka.brokers: a name with a dot is no key; write one level below the other",
    ),
    (
        "kafka: {brokers: [a, b]}",
        &[],
        "config.yaml:1: kafka.brokers: a list is not host:port, or several of them separated by commas",
    ),
    (
        "kafka: {brokers: 'a b'}",
        &[],
        r#"config.yaml:1: kafka.brokers: "a b" is not host:port, or several of them separated by commas"#,
    ),
    (
        "kafka: {brokers: {a: b}}",
        &[],
        "config.yaml:1: kafka.brokers: a map is not host:port, or several of them separated by commas",
    ),
    ("+roles: []", &[], "config.yaml:4: roles: a list of 0 is not a list of 1 to 2, each one of: evaluate, dispatch"),
    ("+roles: [evaluate, evaluate]", &[], "config.yaml:4: roles: evaluate stands twice"),
    ("+roles: [evaluator]", &[], r#"config.yaml:4: roles: "evaluator" is not one of: evaluate, dispatch"#),
    (
        "+roles: {evaluate: true}",
        &[],
        "config.yaml:4: roles: a map is not a list of 1 to 2, each one of: evaluate, dispatch",
    ),
    (
        "+roles: [[evaluate]]",
        &[],
        "config.yaml:4: roles: holds something that is no text; allowed is a list of 1 to 2, each one of: evaluate, dispatch",
    ),
    (
        "kafka: {brokers: k}",
        &[],
        "config.yaml: preferences.url: is required when preferences.source is http; set it in the file or with STEPUP__PREFERENCES__URL",
    ),
    (
        "kafka: {brokers: k}\npreferences: {source: directory}",
        &[],
        "config.yaml: preferences.directory: is required when preferences.source is directory; set it in the file or with STEPUP__PREFERENCES__DIRECTORY",
    ),
    (
        "kafka: {brokers: k}\npreferences: {source: directory, directory: d}",
        &[],
        "config.yaml: session_api.url: is required for the role dispatch (roles); set it in the file or with STEPUP__SESSION_API__URL",
    ),
    (
        "+dispatch: {concurrency: many}",
        &[],
        r#"config.yaml:4: dispatch.concurrency: "many" is not a whole number (1 to 65536)"#,
    ),
    (
        "+",
        &[("STEPUP__DISPATCH__CONCURRENCY", "many")],
        r#"STEPUP__DISPATCH__CONCURRENCY: dispatch.concurrency: "many" is not a whole number (1 to 65536)"#,
    ),
    (
        "+dispatch: {concurrency: 0}",
        &[],
        r#"config.yaml:4: dispatch.concurrency: "0" is not a whole number (1 to 65536)"#,
    ),
    (
        "+dispatch: {concurrency: 1.5}",
        &[],
        r#"config.yaml:4: dispatch.concurrency: "1.5" is not a whole number (1 to 65536)"#,
    ),
    (
        "+dispatch: {concurrency: 16}",
        &[],
        "config.yaml: dispatch.concurrency_per_tenant: 32 is more than dispatch.concurrency (16), of which it is a part",
    ),
    (
        "+windows: {max_lookback: 60}",
        &[],
        r#"config.yaml:4: windows.max_lookback: "60" is not a duration such as 250ms, 60s, 15m or 1h30m (1m to 168h); a unit is missing, as in 60s"#,
    ),
    (
        "+windows: {max_lookback: -5m}",
        &[],
        r#"config.yaml:4: windows.max_lookback: "-5m" is not a duration such as 250ms, 60s, 15m or 1h30m (1m to 168h); it must not be negative"#,
    ),
    (
        "+windows: {max_lookback: 30d}",
        &[],
        r#"config.yaml:4: windows.max_lookback: "30d" is not a duration such as 250ms, 60s, 15m or 1h30m (1m to 168h)"#,
    ),
    ("+windows: {store: redsi}", &[], r#"config.yaml:4: windows.store: "redsi" is not one of: redis, memory"#),
    (
        "+windows: {max_entries: 100001}",
        &[],
        r#"config.yaml:4: windows.max_entries: "100001" is not a whole number (1 to 100000)"#,
    ),
    (
        "+evaluate: {cooldown: {depositt: 1m}}",
        &[],
        "config.yaml:4: evaluate.cooldown.depositt: unknown key, did you mean deposit? allowed here: default, login, password_change, name_change, phone_number_change, two_factor_auth_change, new_device_or_location, device_fingerprint_change, payment_method_change, account_balance_transfer, deposit, withdrawal, large_bet_placement, high_frequency_betting",
    ),
    (
        "+evaluate: {cooldown: {deposit: 5}}",
        &[],
        r#"config.yaml:4: evaluate.cooldown.deposit: "5" is not a duration such as 250ms, 60s, 15m or 1h30m (0s to 168h); a unit is missing, as in 5s"#,
    ),
    (
        "+evaluate: {cooldown: 5m}",
        &[],
        "config.yaml:4: evaluate.cooldown: a single value is not a map, each key in it with a duration such as 250ms, 60s, 15m or 1h30m (0s to 168h)",
    ),
    (
        "+evaluate: {shadow: {triggers: [deposits]}}",
        &[],
        r#"config.yaml:4: evaluate.shadow.triggers: "deposits" is not one of: login, password_change, name_change, phone_number_change, two_factor_auth_change, new_device_or_location, device_fingerprint_change, payment_method_change, account_balance_transfer, deposit, withdrawal, large_bet_placement, high_frequency_betting"#,
    ),
    (
        "+evaluate: {shadow: {tenants: [a b]}}",
        &[],
        r#"config.yaml:4: evaluate.shadow.tenants: "a b" is not a tenant id: 1 to 64 of A–Z a–z 0–9 . _ -, the first a letter or digit"#,
    ),
    (
        "+evaluate: {candidate: {url: \"http://p/\", directory: ./c}}",
        &[],
        "config.yaml:4: evaluate.candidate.directory: cannot be set together with evaluate.candidate.url; leave one of the two out",
    ),
    (
        "+evaluate: {rates: {USD: 1}}",
        &[],
        "config.yaml:4: evaluate.rates.USD: a currency is three capital letters, and not USD, whose rate is 1",
    ),
    (
        "+evaluate: {rates: {EUR: 0}}",
        &[],
        r#"config.yaml:4: evaluate.rates.EUR: "0" is not a number greater than 0, of at most 28 digits, like 1.08"#,
    ),
    (
        "+evaluate: {rates: {EUR: 1.00000000000000000000000000001}}",
        &[],
        r#"config.yaml:4: evaluate.rates.EUR: "1.00000000000000000000000000001" is not a number greater than 0, of at most 28 digits, like 1.08"#,
    ),
    (
        "+",
        &[("STEPUP__EVALUATE__RATES__EUR", "-1")],
        r#"STEPUP__EVALUATE__RATES__EUR: evaluate.rates.EUR: "-1" is not a number greater than 0, of at most 28 digits, like 1.08"#,
    ),
    (
        "+redis: {url: 'http://h'}",
        &[],
        r#"config.yaml:4: redis.url: "http://h" is not a URL (redis or rediss, with a host)"#,
    ),
    (
        "+redis: {url: 'redis:/me:hunter2@h'}",
        &[],
        r#"config.yaml:4: redis.url: "redis:***@h" is not a URL (redis or rediss, with a host)"#,
    ),
    (
        "+redis: {url: 'redis://h', cluster: ['redis://a']}",
        &[],
        "config.yaml:4: redis.cluster: cannot be set together with redis.url; leave one of the two out",
    ),
    (
        "+redis: {cluster: ['redis://a', 'rediss://b']}",
        &[],
        "config.yaml:4: redis.cluster: mixes redis:// and rediss://; all nodes need TLS or none",
    ),
    ("+redis: {ca_file: ca.pem}", &[], "config.yaml:4: redis.ca_file: has no use while redis.url is not rediss://"),
    (
        "+redis: {password: a, password_file: b}",
        &[],
        "config.yaml:4: redis.password_file: cannot be set together with redis.password; leave one of the two out",
    ),
    (
        "+redis: {password: [hunter2]}",
        &[],
        "config.yaml:4: redis.password: a list is not a text of 1 to 4096 characters",
    ),
    (
        "+redis: {password: ''}",
        &[],
        "config.yaml:4: redis.password: the value given is not a text of 1 to 4096 characters",
    ),
    (
        "+redis: {url: 'redis://:x@h', password_file: b}",
        &[],
        "config.yaml:4: redis.password_file: cannot be set while redis.url itself names a user or password",
    ),
    ("+redis: {key_prefix: Step_up}", &[], r#"config.yaml:4: redis.key_prefix: "Step_up" is not 1 to 32 of a–z 0–9 -"#),
    (
        "+redis: {password: \"hunter2\\n\"}",
        &[],
        "config.yaml:4: redis.password: holds a control character, such as a line break",
    ),
    (
        "+",
        &[("STEPUP__SESSION_API__URL", "")],
        "config.yaml: session_api.url: is required for the role dispatch (roles); set it in the file or with STEPUP__SESSION_API__URL",
    ),
    (
        "+",
        &[("STEPUP__SESSION_API__URL", "https://me:hunter2@h")],
        r#"STEPUP__SESSION_API__URL: session_api.url: "https://me:***@h" is not a URL (http or https, without credentials)"#,
    ),
    (
        "+",
        &[("STEPUP__SESSION_API__URL", "https://h/?a=b")],
        "STEPUP__SESSION_API__URL: session_api.url: must have no query, for session_api.path follows it",
    ),
    (
        "+",
        &[("STEPUP__SESSION_API__CALLBACK_URL", "http://app.example")],
        r#"STEPUP__SESSION_API__CALLBACK_URL: session_api.callback_url: "http://app.example" is not a URL (https, or http on a loopback address; without credentials)"#,
    ),
    (
        "+",
        &[("STEPUP__SESSION_API__TENANT_HEADER", "X Tenant")],
        r#"STEPUP__SESSION_API__TENANT_HEADER: session_api.tenant_header: "X Tenant" is not the name of an HTTP header"#,
    ),
    (
        "+",
        &[("STEPUP__SESSION_API__TENANT_HEADER", "authorization")],
        r#"STEPUP__SESSION_API__TENANT_HEADER: session_api.tenant_header: "authorization" is session_api.authorization_header too"#,
    ),
    (
        "+",
        &[("STEPUP__SESSION_API__CREDENTIALS_DIR", "a"), ("STEPUP__SESSION_API__CREDENTIAL_FILE", "b")],
        "STEPUP__SESSION_API__CREDENTIAL_FILE: session_api.credential_file: cannot be set together with session_api.credentials_dir; leave one of the two out",
    ),
    (
        "+",
        &[("STEPUP__SESSION_API__TIMEOUT", "5m"), ("STEPUP__DISPATCH__MAX_COMMAND_AGE", "2m")],
        "STEPUP__DISPATCH__MAX_COMMAND_AGE: dispatch.max_command_age: is 2m, not longer than session_api.timeout (5m): a command would expire before its first call could end",
    ),
    (
        "+",
        &[("STEPUP__DISPATCH__MAX_COMMAND_AGE", "20s")],
        "STEPUP__DISPATCH__MAX_COMMAND_AGE: dispatch.max_command_age: is 20s, not longer than dispatch.pause (30s): a paused tenant's commands would all expire before the next try",
    ),
    (
        "+",
        &[("STEPUP__PREFERENCES__TTL", "1h")],
        "config.yaml: preferences.max_stale: 15m is shorter than preferences.ttl (1h)",
    ),
    (
        "+",
        &[("STEPUP__DISPATCH__BACKOFF_BASE", "1m")],
        "config.yaml: dispatch.backoff_cap: 30s is shorter than dispatch.backoff_base (1m)",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__BROKERZ", "x")],
        "STEPUP__KAFKA__BROKERZ: kafka.brokerz: unknown key, did you mean brokers? allowed here: brokers, start, group_id, topics, properties, properties_files",
    ),
    (
        "+",
        &[("STEPUP__KAFAK__BROKERS", "x")],
        "STEPUP__KAFAK__BROKERS: kafak.brokers: unknown key, did you mean kafka? allowed here: roles, kafka, redis, preferences, session_api, windows, evaluate, dispatch, http, log, metrics, traces",
    ),
    (
        "+",
        &[("STEPUP__", "x")],
        "STEPUP__: top level: unknown key; allowed here: roles, kafka, redis, preferences, session_api, windows, evaluate, dispatch, http, log, metrics, traces",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__brokers", "x")],
        "STEPUP__KAFKA__brokers: kafka.brokers: such a variable is written in capitals: STEPUP__KAFKA__BROKERS",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__TOPICS__ACTIVITY", "[a, a]")],
        r#"STEPUP__KAFKA__TOPICS__ACTIVITY: kafka.topics.activity: "a" stands twice; every topic must be another one"#,
    ),
    (
        "+",
        &[("STEPUP__KAFKA__TOPICS__ACTIVITY", "[a")],
        r#"STEPUP__KAFKA__TOPICS__ACTIVITY: kafka.topics.activity: "[a" is not a topic name: 1 to 249 of A–Z a–z 0–9 . _ -"#,
    ),
    (
        "+",
        &[("STEPUP__KAFKA__TOPICS__RETRIES", "activity")],
        r#"STEPUP__KAFKA__TOPICS__RETRIES: kafka.topics.retries: "activity" is kafka.topics.activity too; every topic must be another one"#,
    ),
    (
        "+",
        &[("STEPUP__KAFKA__TOPICS__RETRIES", "a/b")],
        r#"STEPUP__KAFKA__TOPICS__RETRIES: kafka.topics.retries: "a/b" is not a topic name: 1 to 249 of A–Z a–z 0–9 . _ -"#,
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES__ENABLE_AUTO_COMMIT", "true")],
        "STEPUP__KAFKA__PROPERTIES__ENABLE_AUTO_COMMIT: kafka.properties.enable.auto.commit: cannot be set: stepup commits an offset once the effects of its record are acknowledged",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES__ACKS", "1")],
        "STEPUP__KAFKA__PROPERTIES__ACKS: kafka.properties.acks: can only be all: with less an acknowledged record may be lost",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES__DELIVERY_REPORT_ONLY_ERROR", "true")],
        "STEPUP__KAFKA__PROPERTIES__DELIVERY_REPORT_ONLY_ERROR: kafka.properties.delivery.report.only.error: can only be false: an offset is committed once the brokers' reports on its records have come",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES_FILES__DELIVERY_REPORT_ONLY_ERROR", "/run/x")],
        "STEPUP__KAFKA__PROPERTIES_FILES__DELIVERY_REPORT_ONLY_ERROR: kafka.properties_files.delivery.report.only.error: can only be false: an offset is committed once the brokers' reports on its records have come",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES__OFFSET_STORE_METHOD", "file")],
        "STEPUP__KAFKA__PROPERTIES__OFFSET_STORE_METHOD: kafka.properties.offset.store.method: can only be broker: elsewhere nobody else in the group finds what was committed",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES__MESSAGE_TIMEOUT_MS", "0")],
        r#"STEPUP__KAFKA__PROPERTIES__MESSAGE_TIMEOUT_MS: kafka.properties.message.timeout.ms: "0" is not a whole number from 1 on: without an end to it a record that brokers do not take is never reported"#,
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES__DELIVERY_TIMEOUT_MS", "-1")],
        r#"STEPUP__KAFKA__PROPERTIES__DELIVERY_TIMEOUT_MS: kafka.properties.delivery.timeout.ms: "-1" is not a whole number from 1 on: without an end to it a record that brokers do not take is never reported"#,
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES_FILES__DELIVERY_TIMEOUT_MS", "/run/x")],
        "STEPUP__KAFKA__PROPERTIES_FILES__DELIVERY_TIMEOUT_MS: kafka.properties_files.delivery.timeout.ms: cannot come from a file; set it in kafka.properties, a whole number from 1 on: without an end to it a record that brokers do not take is never reported",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES__STATISTICS_INTERVAL_MS", "0")],
        r#"STEPUP__KAFKA__PROPERTIES__STATISTICS_INTERVAL_MS: kafka.properties.statistics.interval.ms: "0" is not a whole number from 1 on: lag and whether brokers answer are told from the statistics"#,
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES__TOPIC_METADATA_REFRESH_INTERVAL_MS", "-1")],
        r#"STEPUP__KAFKA__PROPERTIES__TOPIC_METADATA_REFRESH_INTERVAL_MS: kafka.properties.topic.metadata.refresh.interval.ms: "-1" is not a whole number from 1 on: partitions that a topic is given would never be read"#,
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES", "{acks: all, group.protocol: consumer, session.timeout.ms: 6000}")],
        "STEPUP__KAFKA__PROPERTIES: kafka.properties.session.timeout.ms: cannot be set while kafka.properties.group.protocol is consumer: the brokers decide it then",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES", "6")],
        "STEPUP__KAFKA__PROPERTIES: kafka.properties: a single value is not a map, each key in it with a text, number or boolean",
    ),
    (
        "+",
        &[("STEPUP__KAFKA__PROPERTIES__SASL_PASSWORD", "x"), ("STEPUP__KAFKA__PROPERTIES_FILES__SASL_PASSWORD", "y")],
        "STEPUP__KAFKA__PROPERTIES_FILES__SASL_PASSWORD: kafka.properties_files.sasl.password: is in kafka.properties too; set sasl.password in one of the two",
    ),
    (
        "+",
        &[("STEPUP__HTTP__LISTEN", ":9090")],
        r#"STEPUP__HTTP__LISTEN: http.listen: ":9090" is not an address with a port such as 0.0.0.0:9090 or [::]:9090"#,
    ),
    (
        "+",
        &[("STEPUP__LOG__LEVEL", "verbose")],
        r#"STEPUP__LOG__LEVEL: log.level: "verbose" is not one of: off, error, warn, info, debug, trace, or directives such as info,stepup=debug"#,
    ),
    (
        "+",
        &[("STEPUP__LOG__LEVEL", "info,stepup=loud")],
        r#"STEPUP__LOG__LEVEL: log.level: "info,stepup=loud" is not one of: off, error, warn, info, debug, trace, or directives such as info,stepup=debug"#,
    ),
    (
        "+",
        &[("STEPUP__LOG", "debug")],
        "STEPUP__LOG: log: is a section, not a value; keys allowed in it: format, level",
    ),
];

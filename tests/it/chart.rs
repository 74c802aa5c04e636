//! The chart's files, held against the code.
//!
//! `STEPUP_WRITE_CHART=1 cargo test --test it chart` writes the generated part of the values' schema anew.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stepup::config::{Config, KEYS, KeyDoc, Kind, Names, Role};
use stepup::domain::trigger::Trigger;
use stepup::health::STUCK_AFTER;
use stepup::metrics::{self, Metrics};
use stepup::roles::processor::DRAIN;

use crate::services::directory;
use crate::services::{StepupProcess, free_port, wait_for};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("helm/stepup").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("helm/stepup/{name}: {error}"))
}

/// The configuration's schema, which is the last of the definitions.
const BEGINS: &str = "\n    \"config\": ";
const ENDS: &str = "\n  }\n}\n";

#[test]
fn the_schema_of_the_configuration_is_the_tables() {
    let text = read("values.schema.json");
    let schema: Value = serde_json::from_str(&text).unwrap();
    let wanted = schema_of(KEYS, "");
    if schema["$defs"]["config"] == wanted {
        return;
    }
    #[allow(clippy::disallowed_methods, reason = "how a person asks for the schema to be written")]
    let write = std::env::var("STEPUP_WRITE_CHART").is_ok();
    assert!(
        write,
        "values.schema.json does not know the keys of the configuration; write it anew with STEPUP_WRITE_CHART=1"
    );
    let (before, _) = text.rsplit_once(BEGINS).unwrap();
    std::fs::write(path("values.schema.json"), format!("{before}{BEGINS}{}{ENDS}", written(&wanted, "    "))).unwrap();
}

/// The schema as JSON, with a line for each key.
fn written(schema: &Value, indent: &str) -> String {
    let Some(properties) = schema["properties"].as_object() else { return schema.to_string() };
    let line =
        |(name, of): (&String, &Value)| format!("{indent}    \"{name}\": {}", written(of, &format!("{indent}    ")));
    let lines: Vec<String> = properties.iter().map(line).collect();
    let (kind, closed) = (&schema["type"], &schema["additionalProperties"]);
    let head = format!("{indent}  \"type\": {kind},\n{indent}  \"additionalProperties\": {closed},\n");
    format!("{{\n{head}{indent}  \"properties\": {{\n{}\n{indent}  }}\n{indent}}}", lines.join(",\n"))
}

/// The closed schema of what stands below `section`.
fn schema_of(keys: &[KeyDoc], section: &str) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let Some(rest) = key.path.strip_prefix(section) else { continue };
        let (name, is_section) = rest.split_once('.').map_or((rest, false), |(name, _)| (name, true));
        if properties.contains_key(name) {
            continue;
        }
        let of = if is_section { schema_of(keys, &format!("{section}{name}.")) } else { schema_of_key(key) };
        properties.insert(name.to_owned(), of);
    }
    json!({ "type": ["object", "null"], "additionalProperties": false, "properties": properties })
}

fn schema_of_key(key: &KeyDoc) -> Value {
    let mut schema = schema_of_kind(&key.kind, key.path);
    let default = key.default.map(|default| format!(" Default: {default}")).unwrap_or_default();
    schema["description"] = format!("{}.{default}", key.meaning).into();
    // An empty key is as if not set.
    if let Some(one) = schema["type"].as_str().map(str::to_owned) {
        schema["type"] = json!([one, "null"]);
    } else if let Some(several) = schema["type"].as_array_mut() {
        several.push("null".into());
    }
    schema
}

/// A value that Helm fills in later is not looked at here.
fn or_template(pattern: &str) -> String {
    format!(r"^(?:{pattern})$|\{{\{{")
}

fn schema_of_kind(kind: &Kind, path: &str) -> Value {
    match kind {
        Kind::Text(_) | Kind::Secret | Kind::Path if path == "kafka.properties" => {
            json!({ "type": ["string", "number", "boolean"] })
        }
        Kind::Text(_) if path == "evaluate.rates" => {
            // Only a text keeps every digit: Helm reads numbers as binary floating point.
            json!({ "type": "string", "pattern": or_template(r"[0-9]+(?:\.[0-9]+)?") })
        }
        Kind::Text(_) | Kind::Secret | Kind::Path => json!({ "type": "string" }),
        Kind::Url { schemes } => {
            let names: Vec<&str> = schemes.split([' ', ',']).filter(|word| SCHEMES.contains(word)).collect();
            json!({ "type": "string", "pattern": or_template(&format!("(?:{})://.+", names.join("|"))) })
        }
        Kind::Duration { .. } => json!({
            "type": ["string", "integer"],
            "pattern": or_template("0+|(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?(?:[0-9]+ms)?"),
            "minLength": 1,
            "minimum": 0,
            "maximum": 0,
        }),
        Kind::Whole { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        // Helm reads an `off` without quotes as false.
        Kind::OneOf(names) if names.contains(&"off") => {
            let values: Vec<Value> = with_null(names).into_iter().chain([json!(false)]).collect();
            json!({ "type": ["string", "boolean"], "enum": values })
        }
        Kind::OneOf(names) => json!({ "type": "string", "enum": with_null(names) }),
        Kind::List { items, least, most } => json!({
            "type": ["array", "string"],
            "items": schema_of_kind(items, path),
            "minItems": least,
            "maxItems": most,
        }),
        Kind::Map { values, names } => {
            let allowed = match names {
                Names::Dotted => json!({ "pattern": "^[A-Za-z0-9._-]{1,128}$" }),
                Names::Upper => json!({ "pattern": "^[A-Z]{3}$" }),
                Names::Lower => {
                    let triggers = Trigger::ALL.iter().map(|trigger| trigger.name());
                    json!({ "enum": std::iter::once("default").chain(triggers).collect::<Vec<_>>() })
                }
            };
            json!({ "type": "object", "propertyNames": allowed, "additionalProperties": schema_of_kind(values, path) })
        }
    }
}

const SCHEMES: [&str; 4] = ["http", "https", "redis", "rediss"];

fn with_null(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!(name)).chain([Value::Null]).collect()
}

#[test]
fn every_key_that_can_be_off_is_read_so_from_false() {
    let off: Vec<String> = KEYS
        .iter()
        .filter(|key| matches!(key.kind, Kind::OneOf(names) if names.contains(&"off")))
        .map(|key| format!("\"{}\"", key.path))
        .collect();
    let listed = read("templates/_config.tpl");
    let (_, listed) = listed.split_once("range $key := list ").unwrap();
    let listed: BTreeSet<&str> = listed.split_once(" -}}").unwrap().0.split(' ').collect();
    assert_eq!(listed, off.iter().map(String::as_str).collect());
}

const DASHBOARD: &str = "files/dashboard.json";
const ALERTS: &str = "files/alerts.yaml";
const RUNBOOK: &str = "RUNBOOK.md";

/// Labels that Prometheus puts beside ours.
const FROM_PROMETHEUS: [&str; 5] = ["namespace", "pod", "job", "instance", "le"];

#[test]
fn rules_dashboard_and_runbook_name_metrics_and_labels_that_exist() {
    for file in [ALERTS, DASHBOARD, RUNBOOK] {
        let text = read(file).replace("\\\"", "\"");
        let named = metrics_in(&text);
        assert!(named.len() > 10, "{file} was not read");
        for (name, labels) in named {
            let metric = metric_of(&name).unwrap_or_else(|| panic!("{file} names {name}, and there is none"));
            for label in labels {
                let known = metric.labels.contains(&label.as_str()) || FROM_PROMETHEUS.contains(&label.as_str());
                assert!(known, "{file}: {name} has no label {label}");
            }
        }
    }
}

/// The declared metric behind a name: a histogram's series end in `_bucket`, `_sum` and `_count`.
fn metric_of(name: &str) -> Option<&'static metrics::Entry> {
    let of = |name: &str, kind: Option<metrics::Kind>| {
        metrics::catalogue().iter().find(|entry| entry.name == name && kind.is_none_or(|kind| entry.kind == kind))
    };
    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    of(name, None).or_else(|| of(stem?, Some(metrics::Kind::Histogram)))
}

/// Every `stepup_` name of a text, with the labels that the braces behind it match.
fn metrics_in(text: &str) -> Vec<(String, Vec<String>)> {
    let mut named = Vec::new();
    for (at, _) in text.match_indices("stepup_") {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name: String = text[at..].chars().take_while(|c| is_name(*c)).collect();
        let rest = &text[at + name.len()..];
        // A label of the recorded series, the beginning of names, or part of another word.
        if name == "stepup_release" || name == "stepup_" || is_name(before) {
            continue;
        }
        let matchers = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        let label = |matcher: &str| {
            let (name, _) = matcher.split_once(['=', '!'])?;
            Some(name.trim().to_owned())
        };
        named.push((name, matchers.split(',').filter_map(label).collect()));
    }
    named
}

#[test]
fn names_and_labels_are_found_in_a_text() {
    let found = metrics_in(r#"sum(stepup_a_total{<<x>>,b="1",c!~"2|3"}) / xstepup_d stepup_release="e" `stepup_f`"#);
    let labels = vec!["b".to_owned(), "c".to_owned()];
    assert_eq!(found, [("stepup_a_total".to_owned(), labels), ("stepup_f".to_owned(), vec![])]);
    assert!(metric_of("stepup_redis_seconds_bucket").is_some() && metric_of("stepup_events_total_bucket").is_none());
}

/// The names of the alerts.
fn alerts() -> BTreeSet<String> {
    let rules = read(ALERTS);
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

#[test]
fn every_alert_has_a_section_in_the_runbook_and_links_to_it() {
    let (alerts, runbook, rules) = (alerts(), read(RUNBOOK), read(ALERTS));
    let sections: Vec<(&str, &str)> =
        runbook.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let headings: BTreeSet<String> =
        sections.iter().map(|(heading, _)| (*heading).to_owned()).filter(|name| name.starts_with("Stepup")).collect();
    assert_eq!(headings, alerts);
    for (heading, body) in sections.iter().filter(|(heading, _)| heading.starts_with("Stepup")) {
        for part in ["**Symptom.**", "**Meaning.**", "**First.**"] {
            assert!(body.contains(part), "{heading} has no {part}");
        }
    }
    let mut current = "";
    for line in rules.lines().map(str::trim) {
        current = line.strip_prefix("- alert: ").unwrap_or(current);
        if let Some(link) = line.strip_prefix("runbook_url: <<runbook>>#") {
            assert_eq!(link, current.to_lowercase());
        }
    }
    assert_eq!(rules.matches("- alert: ").count(), rules.matches("runbook_url: ").count());
}

#[test]
fn every_alert_is_tested_to_fire_and_to_be_quiet() {
    let stories = format!("{}\n{}", read("tests/alerts/now.yaml"), read("tests/alerts/history.yaml"));
    for alert in alerts() {
        let fires = stories.contains(&format!("- alertname: {alert}\n"));
        let quiet = stories
            .lines()
            .any(|line| line.contains(&format!("alertname: {alert},")) && line.contains("exp_alerts: []"));
        assert!(fires && quiet, "{alert}: fires {fires}, is quiet {quiet}");
    }
}

/// One object of a golden render.
type Object = Value;

/// The objects of every golden render, with the name of the case.
fn renders() -> Vec<(String, Vec<Object>)> {
    let cases = std::fs::read_dir(path("ci")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut renders: Vec<(String, Vec<Object>)> = cases
        .map(|case| case.strip_suffix("-values.yaml").unwrap().to_owned())
        .map(|case| {
            let text = read(&format!("tests/golden/{case}.yaml"));
            let objects = text.split("\n---\n").map(|one| serde_saphyr::from_str(one).unwrap()).collect();
            (case, objects)
        })
        .collect();
    renders.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(renders.len() > 3);
    renders
}

/// The pods' specs of a render, by the kind of what makes them.
fn pods(objects: &[Object]) -> impl Iterator<Item = &Value> {
    objects.iter().filter_map(|object| match object["kind"].as_str() {
        Some("Deployment" | "StatefulSet") => Some(&object["spec"]["template"]["spec"]),
        Some("Pod") => Some(&object["spec"]),
        _ => None,
    })
}

/// Variables of a container that have a value; what Kubernetes fills in is a pod's name.
fn variables(container: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let one =
        |entry: &Value| (text(&entry["name"]).unwrap(), text(&entry["value"]).unwrap_or_else(|| "pod-0".to_owned()));
    container["env"].as_array().into_iter().flatten().map(one).collect()
}

#[test]
fn what_the_chart_renders_is_a_configuration_that_loads_and_drains_in_time() {
    let mut read_by = 0;
    for (case, objects) in renders() {
        let map = objects.iter().find_map(|object| object["data"]["stepup.yaml"].as_str());
        // This case has a configuration of its own, which is not the chart's.
        let yaml = map.unwrap_or("kafka: {brokers: k}\nsession_api: {url: https://s.example}");
        for pod in pods(&objects) {
            let container = &pod["containers"][0];
            if container["name"] == "simulator" {
                continue;
            }
            let config = Config::from_yaml(yaml, variables(container).into_iter())
                .unwrap_or_else(|error| panic!("{case}: {error}"));
            read_by += 1;
            if let Some(grace) = pod["terminationGracePeriodSeconds"].as_u64() {
                let drain = DRAIN.max(config.session_api.timeout + Duration::from_secs(10));
                assert!(Duration::from_secs(grace) >= drain + Duration::from_secs(5), "{case}: {grace} s");
            }
        }
    }
    assert!(read_by > 10);
}

/// The numbers of templates/_memory.tpl that the chart sums a process's memory up from.
struct Memory(Value);

impl Memory {
    fn of_the_chart() -> Self {
        let text = read("templates/_memory.tpl");
        let (_, inside) = text.split_once("{{- define \"stepup.memory\" -}}\n").unwrap();
        Self(serde_saphyr::from_str(inside.split_once("{{- end -}}").unwrap().0).unwrap())
    }

    fn mib(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("{name} is no number"))
    }

    /// MiB that a process of one role holds at the most, as `stepup.memoryBound` sums them up.
    fn bound(&self, config: &Config) -> u64 {
        let role = match config.roles[..] {
            [Role::Evaluate] => "evaluate",
            [Role::Dispatch] => "dispatch",
            _ => panic!("a pod runs one role: {:?}", config.roles),
        };
        let sources = match (role, &config.evaluate.candidate) {
            ("evaluate", None) => 1,
            ("evaluate", Some(_)) => 2,
            _ => 0,
        };
        let tenants = sources * config.preferences.max_tenants * self.mib("tenant") / (1024 * 1024);
        let traces = config.traces.endpoint.as_ref().map_or(0, |_| self.mib("traces"));
        self.mib(role) + tenants + sources * self.mib("source") + traces
    }
}

/// The role that a pod's container runs, as a variable says it to the configuration.
fn role_of(container: &Value) -> Option<(String, String)> {
    let arguments = container["args"].as_array().unwrap();
    let at = arguments.iter().position(|argument| argument == "--roles")?;
    Some(("STEPUP__ROLES".to_owned(), arguments[at + 1].as_str().unwrap().to_owned()))
}

/// What the program logs as its bound when it starts with a configuration; it gets no further, for there is no Redis.
fn bound_of_the_program(yaml: &str, role: &str) -> u64 {
    let home = directory("bound");
    let config = home.path().join("stepup.yaml");
    std::fs::write(&config, yaml).unwrap();
    let listen = format!("127.0.0.1:{}", free_port());
    let args = ["run", "--config", config.to_str().unwrap(), "--roles", role];
    let process = StepupProcess::start(&args, &[("STEPUP__HTTP__LISTEN", listen.as_str())]);
    wait_for(Duration::from_secs(30), "the bound is logged", || {
        let log = format!("{}{}", process.stdout(), process.stderr());
        let (_, rest) = log.split_once("\"memory_bound_mib\":").ok_or_else(|| log.clone())?;
        let (digits, _) = rest.split_once([',', '}']).ok_or_else(|| log.clone())?;
        digits.parse().map_err(|error| format!("{error}: {log}"))
    })
}

#[test]
fn the_chart_and_the_program_sum_up_the_same_memory() {
    let memory = Memory::of_the_chart();
    let base = "kafka: {brokers: '127.0.0.1:1'}\nredis: {url: 'redis://127.0.0.1:1'}\nsession_api: {url: 'http://127.0.0.1:1'}";
    for (role, preferences, more) in [
        ("evaluate", "", ""),
        ("evaluate", ", max_tenants: 1000000", ""),
        ("evaluate", ", max_tenants: 1", "\ntraces: {endpoint: 'http://127.0.0.1:1'}"),
        ("evaluate", "", "\nevaluate: {candidate: {url: 'http://127.0.0.1:1'}}"),
        ("evaluate", "", "\nevaluate: {candidate: {directory: /}}\ntraces: {endpoint: 'http://127.0.0.1:1'}"),
        ("dispatch", "", ""),
        ("dispatch", ", max_tenants: 1000000", "\ntraces: {endpoint: 'http://127.0.0.1:1'}"),
    ] {
        let yaml = format!("{base}\npreferences: {{url: 'http://127.0.0.1:1'{preferences}}}{more}");
        let said = [("STEPUP__ROLES".to_owned(), role.to_owned())];
        let config = Config::from_yaml(&yaml, said.into_iter()).unwrap_or_else(|error| panic!("{yaml}: {error}"));
        assert_eq!(memory.bound(&config), bound_of_the_program(&yaml, role), "{role}: {yaml}");
    }
}

#[test]
fn every_pod_may_use_what_its_process_may_hold() {
    let (memory, mut read_by) = (Memory::of_the_chart(), 0);
    for (case, objects) in renders() {
        let Some(yaml) = objects.iter().find_map(|object| object["data"]["stepup.yaml"].as_str()) else { continue };
        for pod in pods(&objects) {
            let container = &pod["containers"][0];
            let Some(role) = role_of(container) else { continue };
            let config = Config::from_yaml(yaml, variables(container).into_iter().chain([role])).unwrap();
            let limit = container["resources"]["limits"]["memory"].as_str().unwrap();
            let limit: u64 = limit.strip_suffix("Mi").unwrap().parse().unwrap();
            let needed = memory.bound(&config) + memory.mib("rest");
            assert!(limit >= needed, "{case}, {:?}: {limit} MiB for {needed}", config.roles);
            read_by += 1;
        }
    }
    assert!(read_by > 6);
}

#[test]
fn no_threshold_is_beyond_what_its_histogram_can_tell() {
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let thresholds = &schema["properties"]["prometheusRule"]["properties"]["thresholds"]["properties"];
    let exposed = Metrics::new(0).unwrap().render();
    for (threshold, histogram) in [
        ("sessionApiSeconds", "stepup_http_seconds"),
        ("commandSeconds", "stepup_command_latency_seconds"),
        ("outcomeSeconds", "stepup_session_latency_seconds"),
        ("redisSeconds", "stepup_redis_seconds"),
    ] {
        let last = exposed
            .lines()
            .filter(|line| line.starts_with(&format!("{histogram}_bucket")))
            .filter_map(|line| line.split_once("le=\"")?.1.split_once('"')?.0.parse::<f64>().ok())
            .filter(|bound| bound.is_finite())
            .reduce(f64::max);
        // Beyond its last bound histogram_quantile() says that bound.
        assert_eq!(thresholds[threshold]["exclusiveMaximum"].as_f64(), last, "{threshold}");
    }
}

#[test]
fn every_file_that_stepup_is_told_of_is_mounted() {
    for (case, objects) in renders() {
        for pod in pods(&objects) {
            let container = &pod["containers"][0];
            let mounted: Vec<&str> = container["volumeMounts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|mount| mount["mountPath"].as_str().unwrap())
                .collect();
            let arguments = container["args"].as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned);
            for file in arguments.chain(variables(container).into_iter().map(|(_, value)| value)) {
                let known = !file.starts_with("/etc/") || mounted.iter().any(|path| file.starts_with(path));
                assert!(known, "{case}: {file} is in none of {mounted:?}");
            }
        }
    }
}

#[test]
fn a_loop_that_stands_still_is_known_before_the_kubelet_acts() {
    // The probes add their own patience; the sentence of the values is the program's.
    assert!(read("values.yaml").contains(&format!("have {} s to show life", STUCK_AFTER.as_secs())));
}

#[test]
fn the_chart_is_of_the_programs_version_and_has_its_licence() {
    let chart = read("Chart.yaml");
    assert!(chart.contains(&format!("appVersion: \"{}\"", env!("CARGO_PKG_VERSION"))));
    assert!(chart.contains("artifacthub.io/license: Apache-2.0"));
}

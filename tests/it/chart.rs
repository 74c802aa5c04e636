//! The chart's files, held against the code.
//!
//! `STEPUP_WRITE_CHART=1 cargo test --test it chart` writes the generated part of the values' schema anew.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stepup::config::{self, Config, KEYS, KeyDoc, Kind, Names};
use stepup::domain::trigger::Trigger;
use stepup::health::STUCK_AFTER;
use stepup::metrics;
use stepup::roles::processor::DRAIN;

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
    assert!(write, "values.schema.json does not know the keys of the configuration; write it anew with STEPUP_WRITE_CHART=1");
    let (before, _) = text.split_once(BEGINS).unwrap();
    let generated = serde_json::to_string_pretty(&wanted).unwrap().replace('\n', "\n    ");
    std::fs::write(path("values.schema.json"), format!("{before}{BEGINS}{generated}{ENDS}")).unwrap();
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
            "pattern": or_template(r"0+|(?=.)(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?(?:[0-9]+ms)?").replace("(?=.)", ""),
            "minLength": 1,
            "minimum": 0,
            "maximum": 0,
        }),
        Kind::Whole { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
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

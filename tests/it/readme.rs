//! The README's tables and commands, held against the code.
//!
//! `STEPUP_WRITE_README=1 cargo test --test it readme` writes the generated tables anew.

use std::fmt::Write as _;
use std::process::Command;

use clap::Args as _;
use stepup::domain::outcome::{Ending, RejectCode};
use stepup::domain::preferences::Preferences;
use stepup::roles::replay::ReplayArgs;
use stepup::wire::preferences;
use stepup::{config, metrics};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

fn readme() -> String {
    std::fs::read_to_string(README).unwrap()
}

/// What stands between `<!-- name -->` and `<!-- end -->`.
fn section(readme: &str, name: &str) -> String {
    let (_, rest) = readme.split_once(&format!("<!-- {name} -->\n")).unwrap_or_else(|| panic!("no section {name}"));
    rest.split_once("<!-- end -->").unwrap().0.to_owned()
}

/// The first column of a section's table, without its back-ticks.
fn names(name: &str) -> Vec<String> {
    let of = |line: &str| Some(line.split('`').nth(1)?.to_owned());
    section(&readme(), name).lines().skip(2).filter_map(of).collect()
}

fn keep(name: &str, table: &str) {
    let readme = readme();
    let stands = section(&readme, name);
    if stands == table {
        return;
    }
    #[allow(clippy::disallowed_methods, reason = "how a person asks for the tables to be written")]
    let write = std::env::var("STEPUP_WRITE_README").is_ok();
    assert!(
        write,
        "the README's {name} is not the code's; write it anew with STEPUP_WRITE_README=1. It should be:\n{table}"
    );
    let (before, after) = (format!("<!-- {name} -->\n{stands}"), format!("<!-- {name} -->\n{table}"));
    std::fs::write(README, readme.replace(&before, &after)).unwrap();
}

#[test]
fn the_tables_of_keys_and_metrics_are_the_codes() {
    let mut keys = String::from("| key | default | meaning |\n|---|---|---|\n");
    for key in config::KEYS {
        let default = key.default.map(|default| format!("`{default}`")).unwrap_or_default();
        let _ = writeln!(keys, "| `{}` | {default} | {} |", key.path, key.meaning.replace('<', "&lt;"));
    }
    keep("configuration", &keys);
    let mut table = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in metrics::catalogue() {
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind.name(),
            metric.labels.join(", "),
            metric.help
        );
    }
    keep("metrics", &table);
}

#[test]
fn the_tables_of_endings_name_every_one() {
    assert_eq!(names("outcomes"), Ending::STATUSES);
    let codes: Vec<&str> = RejectCode::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names("dead letters"), codes);
}

#[test]
fn the_table_of_topics_has_the_defaults() {
    let topics = section(&readme(), "topics");
    for key in config::KEYS.iter().filter(|key| key.path.starts_with("kafka.topics.")) {
        let default = key.default.unwrap().trim_matches(['[', ']']);
        assert!(topics.contains(&format!("| `{}` | `{default}` |", key.path)), "{} {default}", key.path);
    }
}

/// The configuration that the README shows.
#[test]
fn the_configuration_of_the_five_minutes_loads() {
    let readme = readme();
    let (_, rest) = readme.split_once("<<'YAML'\n").unwrap();
    let (yaml, _) = rest.split_once("YAML\n").unwrap();
    let yaml: String = yaml.lines().map(|line| format!("{}\n", line.strip_prefix("   ").unwrap_or(line))).collect();
    let config = config::Config::from_yaml(&yaml, std::iter::empty()).unwrap();
    assert_eq!(config.roles.len(), 2);
}

/// The lines of the README from this one to that, without their margin.
fn lines(from: &str, to: &str) -> String {
    let readme = readme();
    let lines = readme.lines().map(|line| line.strip_prefix("   ").unwrap_or(line));
    let mut said: Vec<&str> = Vec::new();
    for line in lines.skip_while(|line| !line.starts_with(from)) {
        said.push(line);
        if line.contains(to) {
            return said.join("\n");
        }
    }
    panic!("no line {from} to {to}");
}

#[test]
fn the_tenants_of_the_load_have_the_preferences_of_the_five_minutes() {
    let directory = tempfile::tempdir().unwrap();
    for commands in [lines("mkdir -p preferences", "> preferences/acme.json"), lines("for n in", "done")] {
        let status = Command::new("sh").args(["-ec", &commands]).current_dir(directory.path()).status().unwrap();
        assert!(status.success(), "{commands}");
    }
    let replay = ReplayArgs::augment_args(clap::Command::new("replay"));
    let argument = replay.get_arguments().find(|argument| argument.get_id() == "tenants").unwrap();
    let tenants: u32 = argument.get_default_values()[0].to_str().unwrap().parse().unwrap();
    for name in (0..tenants).map(|n| format!("tenant-{n}")) {
        let document = std::fs::read(directory.path().join(format!("preferences/{name}.json"))).unwrap();
        let found = preferences::decode(&document).unwrap();
        assert!(found.enabled && found != Preferences { enabled: true, ..Preferences::OFF }, "{name}: {found:?}");
    }
}

#[test]
fn the_families_of_the_process_are_as_many_as_it_says() {
    let page = metrics::Metrics::new(0).unwrap().render();
    assert_eq!(page.lines().filter(|line| line.starts_with("# TYPE process_")).count(), 7, "{page}");
    assert!(readme().contains("The seven standard `process_*` families"));
}

//! What we are built from keeps the rules of `.deny.toml`, by the manifests that cargo reads: licences, crates that are
//! not wanted, and where crates come from.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn read(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The texts within a list of a section, like `allow` of `licenses`.
fn list(rules: &str, section: &str, key: &str) -> Vec<String> {
    let (_, section) = rules.split_once(&format!("\n[{section}]")).expect("the section");
    let section = section.split("\n[").next().expect("a section");
    let (_, list) = section.split_once(&format!("\n{key} = [")).expect("the list");
    let list = list.split(']').next().expect("an end");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every crate that is built for the targets that we ship, with all features, and for the tests.
fn packages() -> Vec<Value> {
    let targets = list(&read(".deny.toml"), "graph", "targets");
    assert_eq!(targets.len(), 2, "{targets:?}");
    let mut args = vec!["metadata", "--locked", "--all-features", "--format-version", "1"];
    args.extend(targets.iter().flat_map(|target| ["--filter-platform", target]));
    let output = Command::new(env!("CARGO")).args(&args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 200, "{}", packages.len());
    packages
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

/// Whether an SPDX expression can be kept by keeping only licences that are allowed. The old `/` stands for `OR`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (kept, rest) = any_of(&words, allowed);
    assert!(rest.is_empty(), "{expression}: what is {rest:?}?");
    kept
}

/// Terms joined by `OR`, which binds less than `AND`.
fn any_of<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut kept, mut rest) = all_of(words, allowed);
    while let ["OR", more @ ..] = rest {
        let (also, after) = all_of(more, allowed);
        (kept, rest) = (kept || also, after);
    }
    (kept, rest)
}

fn all_of<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut kept, mut rest) = one(words, allowed);
    while let ["AND", more @ ..] = rest {
        let (also, after) = one(more, allowed);
        (kept, rest) = (kept && also, after);
    }
    (kept, rest)
}

fn one<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let is = |licence: &str| allowed.iter().any(|one| one == licence);
    match words {
        ["(", inside @ ..] => match any_of(inside, allowed) {
            (kept, [")", rest @ ..]) => (kept, rest),
            (_, rest) => panic!("a bracket is open before {rest:?}"),
        },
        [licence, "WITH", exception, rest @ ..] => (is(&format!("{licence} WITH {exception}")), rest),
        [licence, rest @ ..] => (is(licence), rest),
        [] => (false, words),
    }
}

#[test]
fn every_crate_can_be_had_under_a_licence_that_is_allowed() {
    let allowed = list(&read(".deny.toml"), "licenses", "allow");
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(|expression| is_allowed(expression, &allowed)))
        .map(|package| format!("{}: {}", name(package), package["license"]))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn no_crate_is_there_that_is_not_wanted() {
    let rules = read(".deny.toml");
    let (_, bans) = rules.split_once("\ndeny = [").expect("a list of what is not wanted");
    let unwanted: BTreeSet<&str> =
        bans.split("{ crate = \"").skip(1).map(|rest| rest.split('"').next().expect("a name")).collect();
    assert!(unwanted.contains("aws-lc-rs"), "{unwanted:?}");
    let packages = packages();
    let found: Vec<&str> = packages.iter().map(name).filter(|name| unwanted.contains(name)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_crate_comes_from_the_registry_and_is_known_by_its_checksum() {
    let packages = packages();
    let elsewhere: Vec<&Value> =
        packages.iter().filter(|package| name(package) != "stepup" && package["source"] != REGISTRY).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    let lock = read("Cargo.lock");
    let sections: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    assert!(sections.len() > packages.len());
    for section in sections.iter().filter(|section| !section.contains("name = \"stepup\"")) {
        let checked = section.contains(&format!("source = \"{REGISTRY}\"")) && section.contains("checksum = \"");
        assert!(checked, "{section}");
    }
    for requirement in packages
        .iter()
        .flat_map(|package| package["dependencies"].as_array().unwrap().iter().filter(|_| name(package) == "stepup"))
    {
        assert_ne!(requirement["req"], "*", "{}", requirement["name"]);
    }
}

#[test]
fn an_expression_of_licences_is_read_as_it_is_meant() {
    let allowed = ["MIT", "ISC", "Apache-2.0", "GPL-2.0 WITH Classpath-exception-2.0"].map(str::to_owned);
    for (expression, want) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 OR MIT AND ISC", true),
        ("MIT AND (GPL-3.0 OR ISC)", true),
        ("(MIT OR ISC) AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0", true),
        ("GPL-2.0 WITH Classpath-exception-2.0", true),
        ("GPL-2.0", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), want, "{expression}");
    }
}

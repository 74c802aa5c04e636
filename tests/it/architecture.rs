//! The one-way imports and the purity of the inner layers, kept by reading the source.
//!
//! The reading is textual: comments, texts and test code are taken out, what is left is cut into words and signs.

use std::path::{Path, PathBuf};

/// What one folder of `src` may name.
struct Layer {
    folder: &'static str,
    /// The modules at the root of the crate that it may use; `None` allows all but the roles.
    may_use: Option<&'static [&'static str]>,
    /// Words that may not occur in its code: other crates, types, keywords.
    never: &'static [&'static [&'static str]],
    /// The modules of the standard library that it may not use.
    never_std: &'static [&'static str],
}

/// Whatever waits, tells the time, throws dice, logs or talks to somebody.
const IMPURE: &[&str] = &[
    "async",
    "await",
    "futures_util",
    "opentelemetry",
    "rand",
    "rand_chacha",
    "rand_distr",
    "rdkafka",
    "redis",
    "reqwest",
    "tokio",
    "tokio_util",
    "tracing",
    "Instant",
    "SystemTime",
];

const SERDE: &[&str] = &["serde", "serde_json", "serde_path_to_error", "serde_saphyr"];

const LAYERS: &[Layer] = &[
    Layer {
        folder: "domain",
        may_use: Some(&["domain"]),
        never: &[IMPURE, SERDE],
        never_std: &["env", "fs", "io", "net", "process", "thread"],
    },
    Layer {
        folder: "wire",
        may_use: Some(&["domain", "wire"]),
        never: &[IMPURE],
        never_std: &["env", "fs", "net", "process", "thread"],
    },
    Layer {
        folder: "edge",
        may_use: Some(&["domain", "wire", "edge", "metrics", "telemetry", "shutdown"]),
        never: &[],
        never_std: &[],
    },
];

/// What stands beside the layers and serves the roles.
const BESIDE: Layer = Layer { folder: "", may_use: None, never: &[], never_std: &[] };

const MAX_LINES: usize = 400;

#[test]
fn imports_point_inwards_and_the_inner_layers_are_pure() {
    let files = sources();
    for folder in ["domain", "wire", "edge"] {
        assert!(files.iter().any(|(path, _)| path.starts_with(folder)), "src/{folder} was not read");
    }
    let found: Vec<String> = files.iter().flat_map(|(path, source)| violations(path, source)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn files_are_short() {
    let long: Vec<String> = sources()
        .iter()
        .map(|(path, source)| (path, lines_before_tests(source)))
        .filter(|(path, lines)| !is_test_file(path) && *lines > MAX_LINES)
        .map(|(path, lines)| format!("src/{}: {lines} lines before its tests, at most {MAX_LINES}", path.display()))
        .collect();
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

/// Where a piece of source stands, the piece, and what is wrong with it.
const CASES: &[(&str, &str, &[&str])] = &[
    ("domain/a.rs", "use crate::domain::b;\nuse super::c;", &[]),
    ("domain/a.rs", "\nuse crate::wire::json;", &["src/domain/a.rs:2: names crate::wire"]),
    ("domain/a.rs", "use crate::{domain::b, edge::{self, wire}};", &["src/domain/a.rs:1: names crate::edge"]),
    ("domain/a.rs", "fn f() { crate :: roles :: run() }", &["src/domain/a.rs:1: names crate::roles"]),
    ("domain/a.rs", "use super::super::config::Config;", &["src/domain/a.rs:1: names crate::config"]),
    ("domain/a.rs", "use super::{super::metrics, b};", &["src/domain/a.rs:1: names crate::metrics"]),
    ("domain/a.rs", "use self::super::super::roles;", &["src/domain/a.rs:1: names crate::roles"]),
    ("domain/mod.rs", "use super::telemetry;", &["src/domain/mod.rs:1: names crate::telemetry"]),
    ("domain/a/mod.rs", "use super::b;", &[]),
    ("domain/a/b.rs", "use super::super::c;", &[]),
    ("domain/a/b.rs", "use super::super::super::shutdown;", &["src/domain/a/b.rs:1: names crate::shutdown"]),
    ("domain/a.rs", "use crate::*;", &["src/domain/a.rs:1: names crate::*"]),
    ("domain/a.rs", "use crate as root;", &["src/domain/a.rs:1: names crate itself"]),
    ("domain/a.rs", "use ::stepup::wire;", &["src/domain/a.rs:1: names crate::wire"]),
    ("domain/a.rs", "use serde::Deserialize;", &["src/domain/a.rs:1: says serde"]),
    ("domain/a.rs", "use serde_json as j;", &["src/domain/a.rs:1: says serde_json"]),
    ("domain/a.rs", "async fn f() {}", &["src/domain/a.rs:1: says async"]),
    ("domain/a.rs", "fn f() { g().await }", &["src/domain/a.rs:1: says await"]),
    ("domain/a.rs", "use tokio::time;", &["src/domain/a.rs:1: says tokio"]),
    ("domain/a.rs", "fn f() { tracing::info!() }", &["src/domain/a.rs:1: says tracing"]),
    ("domain/a.rs", "use std::time::SystemTime;", &["src/domain/a.rs:1: says SystemTime"]),
    ("domain/a.rs", "fn f() { std::time::Instant::now(); }", &["src/domain/a.rs:1: says Instant"]),
    ("domain/a.rs", "use std::{env, fmt};", &["src/domain/a.rs:1: names std::env"]),
    ("domain/a.rs", "fn f() -> u8 { rand::random() }", &["src/domain/a.rs:1: says rand"]),
    ("domain/a.rs", "use std::fs::File;", &["src/domain/a.rs:1: names std::fs"]),
    ("domain/a.rs", "use std::fmt;\nfn f(net: u8, process: u8) -> u8 { net + process }", &[]),
    ("domain/a.rs", "struct A { r#async: u8 }", &["src/domain/a.rs:1: says async"]),
    ("wire/a.rs", "use crate::domain::b;\nuse serde::Serialize;\nuse super::json;", &[]),
    ("wire/a.rs", "use crate::edge::StoreError;", &["src/wire/a.rs:1: names crate::edge"]),
    ("wire/a.rs", "use crate::config;", &["src/wire/a.rs:1: names crate::config"]),
    ("wire/a.rs", "async fn f() {}", &["src/wire/a.rs:1: says async"]),
    ("wire/a.rs", "use std::env::var;", &["src/wire/a.rs:1: names std::env"]),
    ("wire/a.rs", "fn f() { ::std::env::vars() }", &["src/wire/a.rs:1: names std::env"]),
    ("wire/a.rs", "use std::io::Read;", &[]),
    ("wire/a.rs", "fn f() { let r = rand_chacha::new(); }", &["src/wire/a.rs:1: says rand_chacha"]),
    ("edge/a.rs", "use crate::{domain::b, metrics, wire::c};\nasync fn f() { tokio::spawn(g()).await }", &[]),
    ("edge/a.rs", "use crate::roles::evaluate;", &["src/edge/a.rs:1: names crate::roles"]),
    ("edge/a.rs", "fn f(c: &crate::config::Redis) {}", &["src/edge/a.rs:1: names crate::config"]),
    ("edge/a.rs", "use crate::traces::Traces;", &["src/edge/a.rs:1: names crate::traces"]),
    ("traces/mod.rs", "use super::roles::run;", &["src/traces/mod.rs:1: names crate::roles"]),
    ("traces/export.rs", "use super::Span;\nuse crate::metrics::Metrics;", &[]),
    ("metrics.rs", "use crate::domain::trigger::Trigger;", &[]),
    ("config.rs", "use super::roles;", &["src/config.rs:1: names crate::roles"]),
    ("roles/a.rs", "use crate::roles::b;\nuse crate::config;\nasync fn f() {}", &[]),
    // What is no code does not count.
    ("domain/a.rs", "// serde, tokio\n/* crate::wire /* nested */ rand */\n/// async\nfn f() {}", &[]),
    ("domain/a.rs", r##"const A: &str = "serde \" tokio"; const B: &str = r#"a "rand" b"#;"##, &[]),
    ("domain/a.rs", r#"fn f<'a>(a: &'a str) -> char { '"' } // "#, &[]),
    ("domain/a.rs", "fn f() { '\\''; b'\"'; } use serde::A;", &["src/domain/a.rs:1: says serde"]),
    ("domain/a.rs", "#[cfg(test)]\nmod tests { use rand::a; mod b { use serde::A; } }\n", &[]),
    ("domain/a.rs", "#[cfg(test)]\n#[path = \"rand.rs\"]\nmod tests;\nuse rand::A;", &["src/domain/a.rs:4: says rand"]),
    ("domain/a.rs", "#[cfg(test)]\nmod tests { }\nuse tokio::A;", &["src/domain/a.rs:3: says tokio"]),
    ("domain/a_tests.rs", "use rand::a;\nuse crate::wire;", &[]),
];

#[test]
fn the_reading_of_the_source_finds_each_kind_of_violation() {
    for (path, source, expected) in CASES {
        let found = violations(Path::new(path), source);
        let found: Vec<&str> = found.iter().map(|line| line.split(';').next().unwrap_or(line)).collect();
        assert_eq!(found, *expected, "{path}: {source}");
    }
    let long = format!("{}#[cfg(test)]\nmod tests {{\n}}\n", "fn f() {}\n".repeat(MAX_LINES));
    assert_eq!(lines_before_tests(&long), MAX_LINES);
    assert_eq!(lines_before_tests(&format!("fn g() {{}}\n{long}")), MAX_LINES + 1);
}

/// Every Rust file of `src`, with its path below it.
pub(super) fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the source") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                files.push((path.strip_prefix(&root).expect("it lies below").to_owned(), text));
            }
        }
    }
    files.sort();
    files
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem == "tests" || stem.ends_with("_tests"))
}

fn lines_before_tests(source: &str) -> usize {
    source.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}

/// What is wrong with a file, one line each: where, what, and the rule.
fn violations(path: &Path, source: &str) -> Vec<String> {
    let folder = path.iter().next().and_then(|first| first.to_str()).unwrap_or_default();
    if is_test_file(path) || matches!(folder, "roles" | "lib.rs" | "main.rs") {
        return Vec::new();
    }
    let layer = LAYERS.iter().find(|layer| layer.folder == folder).unwrap_or(&BESIDE);
    let tokens = without_tests(tokens(source));
    let named = named_modules(&tokens, depth(path)).into_iter().filter_map(|(line, name)| {
        let allowed = layer.may_use.map_or(name != "roles", |modules| modules.contains(&name.as_str()));
        (!allowed).then(|| (line, format!("names {}", joined("crate", &name)), "imports go roles, edge, wire, domain"))
    });
    const PURE: &str = "this layer is pure: such things come in as arguments or stay out";
    let std = named_std(&tokens).into_iter().filter_map(|(line, name)| {
        let allowed = name != "*" && name != ITSELF && !layer.never_std.contains(&name.as_str());
        (!allowed && !layer.never_std.is_empty()).then(|| (line, format!("names {}", joined("std", &name)), PURE))
    });
    let said = tokens.iter().filter_map(|token| {
        let allowed = !layer.never.iter().any(|words| words.contains(&token.text.as_str()));
        (!allowed).then(|| (token.line, format!("says {}", token.text), PURE))
    });
    let mut found: Vec<_> = named.chain(std).chain(said).collect();
    found.sort();
    found.into_iter().map(|(line, what, rule)| format!("src/{}:{line}: {what}; {rule}", path.display())).collect()
}

/// How many `super` lead from a file's module to the root of the crate.
fn depth(path: &Path) -> usize {
    let parts = path.iter().count();
    if path.file_name().is_some_and(|name| name == "mod.rs") { parts - 1 } else { parts }
}

/// Stands for a root that is given another name.
const ITSELF: &str = "itself";

fn joined(root: &str, name: &str) -> String {
    if name == ITSELF { format!("{root} itself") } else { format!("{root}::{name}") }
}

/// Every module at the root of the crate that is named through `crate`, the crate's own name or a chain of `super`,
/// with the line. `*` stands for all of them.
fn named_modules(tokens: &[Token], depth: usize) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| tokens[before].text.as_str());
        let continues = before == "::" && at >= 2 && tokens[at - 2].text == "super";
        match token.text.as_str() {
            "crate" if before == "(" && next_is(tokens, at, ")") => {} // As in `pub(crate)`.
            "stepup" if before != "::" && !next_is(tokens, at, "::") => {}
            "crate" | "stepup" => firsts(tokens, at, 0, &mut named),
            "super" if !continues => firsts(tokens, at, depth - 1, &mut named),
            _ => {}
        }
    }
    named
}

/// Every module of the standard library that is named, with the line.
fn named_std(tokens: &[Token]) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (at, _) in tokens.iter().enumerate().filter(|(_, token)| token.text == "std") {
        firsts(tokens, at, 0, &mut named);
    }
    named
}

fn next_is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at + 1).is_some_and(|next| next.text == text)
}

/// Collects the first segments of the path, or of every path of the group, that follows the token at `at`, where they
/// are reached by exactly `supers` more steps up.
fn firsts(tokens: &[Token], at: usize, supers: usize, named: &mut Vec<(usize, String)>) {
    if !next_is(tokens, at, "::") {
        if supers == 0 {
            named.push((tokens[at].line, ITSELF.to_owned()));
        }
        return;
    }
    let first = at + 2;
    if tokens.get(first).is_none_or(|token| token.text != "{") {
        return segment(tokens, first, supers, named);
    }
    let mut next = first + 1;
    while tokens.get(next).is_some_and(|token| token.text != "}") {
        segment(tokens, next, supers, named);
        next = path_end(tokens, next);
        next += usize::from(tokens.get(next).is_some_and(|token| token.text == ","));
    }
}

fn segment(tokens: &[Token], at: usize, supers: usize, named: &mut Vec<(usize, String)>) {
    let Some(token) = tokens.get(at) else { return };
    match (token.text.as_str(), supers) {
        ("super", 1..) => firsts(tokens, at, supers - 1, named),
        (_, 1..) => {}
        ("self", 0) => named.push((token.line, ITSELF.to_owned())),
        (name, 0) => named.push((token.line, name.to_owned())),
    }
}

/// Where one path of a group ends, with the groups inside it.
fn path_end(tokens: &[Token], mut at: usize) -> usize {
    let mut open = 0_usize;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" => open += 1,
            "}" if open > 0 => open -= 1,
            "}" => break,
            "," if open == 0 => break,
            _ => {}
        }
        at += 1;
    }
    at
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    line: usize,
    text: String,
}

/// Cuts out every item behind `#[cfg(test)]`, up to its closing brace or its semicolon.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].iter().map(|token| token.text.as_str()).take(MARK.len()).eq(MARK) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += MARK.len();
        let mut open = 0_usize;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.text.as_str() {
                "{" => open += 1,
                "}" => open = open.saturating_sub(1),
                _ => {}
            }
            if open == 0 && matches!(token.text.as_str(), "}" | ";") {
                break;
            }
        }
    }
    kept
}

/// Cuts source into words, `::` and single signs, each with its line; comments and the insides of texts are left out.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let start = at;
        at = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => at + chars[at..].iter().take_while(|c| **c != '\n').count(),
            ('/', Some('*')) => block_comment_end(&chars, at),
            ('"', _) => text_end(&chars, at),
            ('\'', _) => quote_end(&chars, at),
            ('r', Some('"' | '#')) if raw_text_end(&chars, at).is_some() => raw_text_end(&chars, at).unwrap_or(at),
            ('r', Some('#')) => at + 2,
            (':', Some(':')) => {
                tokens.push(Token { line, text: "::".to_owned() });
                at + 2
            }
            (c, _) if c.is_alphanumeric() || c == '_' => {
                let length = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
                // A prefix like the `b` of a byte text belongs to the quote behind it.
                let prefix = chars.get(at + length).is_some_and(|c| matches!(c, '"' | '\'' | '#')) && length <= 2;
                let raw = (prefix && c != 'r' && chars[at + length - 1] == 'r')
                    .then(|| raw_text_end(&chars, at + length - 1))
                    .flatten();
                match raw {
                    Some(end) => end,
                    None => {
                        tokens.push(Token { line, text: chars[at..at + length].iter().collect() });
                        at + length
                    }
                }
            }
            (c, _) if c.is_whitespace() => at + 1,
            (c, _) => {
                tokens.push(Token { line, text: c.to_string() });
                at + 1
            }
        };
        line += chars[start..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn text_end(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of a character, or of a quote that opens a lifetime.
fn quote_end(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => {
            // What is escaped may be a quote itself.
            let rest = chars.iter().skip(start + 3).take_while(|c| **c != '\'').count();
            start + 3 + rest + 1
        }
        (Some(_), Some('\'')) => start + 3,
        _ => start + 1,
    }
}

/// The end of `r"…"` or `r#"…"#`; nothing where `r` begins something else.
fn raw_text_end(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes =
        |at: &usize| chars[*at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    (open + 1..chars.len()).find(closes).map(|at| at + 1 + hashes)
}

//! The values that were set, by the path of their key, each with where it came from.

use std::collections::BTreeMap;

use super::ConfigError;
use super::keys::{self, KeyDoc, Kind};
use super::mask;
use super::table::KEYS;
use super::tree::{self, Entry, Node};

/// What the names of our environment variables begin with.
pub(super) const PREFIX: &str = "STEPUP__";
/// No value needs to be longer; it bounds what a message or a log line can cost.
const LONGEST: usize = 65_536;

/// What was set. Neither this nor the tree has `Debug`: both hold secrets.
pub(super) struct Settings {
    pub(super) file: String,
    pub(super) values: BTreeMap<String, Setting>,
}

pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

pub(super) enum Value {
    Text(String),
    List(Vec<String>),
}

#[derive(Debug, Clone)]
pub(super) enum Origin {
    Line(u64),
    Variable(String),
}

/// What an environment variable sets.
enum Target {
    Section(String),
    Key(&'static KeyDoc),
    /// One key of a map, and what may stand there.
    Named(String, &'static Kind),
}

impl Settings {
    /// Reads the file's text and lays the environment over it.
    pub(super) fn read(
        file: &str,
        source: &str,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let root = tree::parse(source).map_err(|error| ConfigError::Syntax {
            origin: format!("{file}:{}:{}", error.line, error.column),
            reason: error.reason,
        })?;
        let mut settings = Self { file: file.to_owned(), values: BTreeMap::new() };
        settings.take("", root, &Origin::Line(1))?;
        let mut ours: Vec<_> = env.filter(|(name, _)| name.starts_with(PREFIX)).collect();
        // A whole section or map first, so that a single key of it can still be set by itself.
        ours.sort_by_cached_key(|(name, _)| (name.matches("__").count(), name.clone()));
        for (name, text) in ours {
            settings.overlay(&name, text)?;
        }
        Ok(settings)
    }

    /// Takes what stands at `path`, level by level, and refuses what has no place there.
    fn take(&mut self, path: &str, node: Node, origin: &Origin) -> Result<(), ConfigError> {
        if keys::is_section(path) {
            let names = || keys::names_in(path).join(", ");
            return match node {
                Node::Unset => Ok(()),
                Node::Map(entries) => self.take_all(path, entries, origin),
                Node::Text(_) | Node::List(_) if path.is_empty() => {
                    Err(self.error(origin, path, format!("must hold keys with values: {}", names())))
                }
                Node::Text(_) | Node::List(_) => {
                    Err(self.error(origin, path, format!("is a section, not a value; keys allowed in it: {}", names())))
                }
            };
        }
        let Some(key) = keys::key(path) else { return Err(self.unknown(path, origin)) };
        match (key.kind, node) {
            (_, Node::Unset) => Ok(()),
            (Kind::Map { values, .. }, Node::Map(entries)) => {
                for Entry { key: name, line, node } in entries {
                    self.take_named(&format!("{path}.{name}"), values, node, &origin.at(line))?;
                }
                Ok(())
            }
            (kind @ Kind::Map { .. }, Node::Text(_)) => {
                Err(self.error(origin, path, format!("a single value is not {kind}")))
            }
            (Kind::List { .. }, Node::List(items)) => self.take_list(key, items, origin),
            (_, Node::Text(text)) => self.put(path, Value::Text(text), origin),
            (kind, Node::List(_)) => Err(self.error(origin, path, format!("a list is not {kind}"))),
            (kind, Node::Map(_)) => Err(self.error(origin, path, format!("a map is not {kind}"))),
        }
    }

    fn take_all(&mut self, path: &str, entries: Vec<Entry>, origin: &Origin) -> Result<(), ConfigError> {
        for Entry { key, line, node } in entries {
            let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let origin = origin.at(line);
            if key.contains('.') {
                return Err(self.error(
                    &origin,
                    &below,
                    "a name with a dot is no key; write one level below the other".to_owned(),
                ));
            }
            if !(keys::is_section(&below) || keys::key(&below).is_some()) {
                return Err(self.unknown(&below, &origin));
            }
            self.take(&below, node, &origin)?;
        }
        Ok(())
    }

    /// Takes one key of a map.
    fn take_named(&mut self, path: &str, kind: &Kind, node: Node, origin: &Origin) -> Result<(), ConfigError> {
        match node {
            Node::Unset => Ok(()),
            Node::Text(text) => self.put(path, Value::Text(text), origin),
            Node::List(_) => Err(self.error(origin, path, format!("a list is not {kind}"))),
            Node::Map(_) => Err(self.error(origin, path, format!("a map is not {kind}"))),
        }
    }

    fn take_list(&mut self, key: &KeyDoc, items: Vec<Node>, origin: &Origin) -> Result<(), ConfigError> {
        let texts = items.into_iter().map(|item| match item {
            Node::Text(text) => Ok(text),
            Node::Unset | Node::List(_) | Node::Map(_) => {
                Err(self.error(origin, key.path, format!("holds something that is no text; allowed is {}", key.kind)))
            }
        });
        let texts = texts.collect::<Result<_, _>>()?;
        self.put(key.path, Value::List(texts), origin)
    }

    fn put(&mut self, path: &str, value: Value, origin: &Origin) -> Result<(), ConfigError> {
        if value.texts().any(|text| text.len() > LONGEST) {
            return Err(self.error(origin, path, format!("is longer than {LONGEST} bytes")));
        }
        // Certificates and keys in PEM have lines; nothing else does.
        let lines = path.starts_with("kafka.properties.");
        if value.texts().any(|text| text.contains(|c: char| c.is_control() && !(lines && c == '\n'))) {
            return Err(self.error(origin, path, "holds a control character, such as a line break".to_owned()));
        }
        self.values.insert(path.to_owned(), Setting { value, origin: origin.clone() });
        Ok(())
    }

    /// An empty variable puts a key back to its default. Text is taken as it is, anything else is read as YAML.
    fn overlay(&mut self, name: &str, text: String) -> Result<(), ConfigError> {
        let origin = Origin::Variable(name.to_owned());
        let target = self.target(name, &origin)?;
        let node = match &target {
            _ if text.is_empty() => Node::Unset,
            Target::Key(key) if key.kind.is_text() => Node::Text(text),
            Target::Named(_, kind) if kind.is_text() => Node::Text(text),
            // What is no YAML is no value of these kinds either, and the message about that says more.
            Target::Key(_) | Target::Named(..) | Target::Section(_) => tree::parse(&text).unwrap_or(Node::Text(text)),
        };
        match target {
            Target::Section(path) => self.take(&path, node, &origin),
            Target::Key(key) => {
                self.values.retain(|set, _| keys::below(set, key.path).is_none() && set != key.path);
                self.take(key.path, node, &origin)
            }
            Target::Named(path, kind) => {
                self.values.remove(&path);
                self.take_named(&path, kind, node, &origin)
            }
        }
    }

    /// What a variable names.
    fn target(&self, name: &str, origin: &Origin) -> Result<Target, ConfigError> {
        let rest = name.strip_prefix(PREFIX).unwrap_or(name);
        let path = rest.to_ascii_lowercase().replace("__", ".");
        if rest.contains(|c: char| c.is_ascii_lowercase()) {
            return Err(self.error(
                origin,
                &path,
                format!("such a variable is written in capitals: {}", variable(&path)),
            ));
        }
        if let Some(key) = keys::key(&path) {
            return Ok(Target::Key(key));
        }
        if !path.is_empty() && keys::is_section(&path) {
            return Ok(Target::Section(path));
        }
        for key in KEYS {
            let Kind::Map { names, values } = key.kind else { continue };
            let name = rest.strip_prefix(&variable(key.path)[PREFIX.len()..]).and_then(|rest| rest.strip_prefix("__"));
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                return Ok(Target::Named(format!("{}.{}", key.path, names.of_variable(name)), values));
            }
        }
        Err(self.unknown(&path, origin))
    }

    fn unknown(&self, path: &str, origin: &Origin) -> ConfigError {
        // The deepest section on the way says what could have stood there.
        let ends = path.match_indices('.').map(|(at, _)| at);
        let section = ends.rev().map(|at| &path[..at]).find(|path| keys::is_section(path)).unwrap_or("");
        let rest = keys::below(path, section).unwrap_or_default();
        let name = rest.split('.').next().unwrap_or_default();
        self.unknown_name(path, origin, name, &keys::names_in(section))
    }

    pub(super) fn unknown_name(&self, path: &str, origin: &Origin, name: &str, allowed: &[&str]) -> ConfigError {
        let meant = keys::nearest(name, allowed).map(|meant| format!(", did you mean {meant}?")).unwrap_or_default();
        let between = if meant.is_empty() { "; " } else { " " };
        self.error(origin, path, format!("unknown key{meant}{between}allowed here: {}", allowed.join(", ")))
    }

    pub(super) fn error(&self, origin: &Origin, path: &str, problem: String) -> ConfigError {
        let origin = match origin {
            Origin::Line(line) => format!("{}:{line}", self.file),
            Origin::Variable(name) => name.clone(),
        };
        let path = if path.is_empty() { "top level".to_owned() } else { mask::key(path) };
        ConfigError::Setting { origin, path, problem }
    }
}

impl Value {
    fn texts(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::Text(text) => std::slice::from_ref(text).iter(),
            Self::List(texts) => texts.iter(),
        }
        .map(String::as_str)
    }
}

impl Origin {
    /// The place of a key below this one.
    fn at(&self, line: u64) -> Self {
        match self {
            Self::Line(_) => Self::Line(line),
            Self::Variable(name) => Self::Variable(name.clone()),
        }
    }
}

/// The environment variable of a key.
pub(super) fn variable(path: &str) -> String {
    for key in KEYS {
        let Kind::Map { names, .. } = key.kind else { continue };
        if let Some(name) = path.strip_prefix(key.path).and_then(|rest| rest.strip_prefix('.')) {
            return format!("{}__{}", variable(key.path), names.in_variable(name));
        }
    }
    format!("{PREFIX}{}", path.to_ascii_uppercase().replace('.', "__"))
}

//! What a key of the configuration is, and how one is found in the table.

use std::fmt;
use std::time::Duration;

use super::duration;
use super::table::KEYS;

/// One key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct KeyDoc {
    /// As in `kafka.topics.activity`.
    pub path: &'static str,
    pub kind: Kind,
    /// As it would be written in the file; `None` where the key may stay unset or has to be set.
    pub default: Option<&'static str>,
    pub meaning: &'static str,
}

/// What may stand under a key. Its text says what is allowed, so that it can follow "is not".
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Described by the words given.
    Text(&'static str),
    /// Never shown.
    Secret,
    /// The path of a file or directory.
    Path,
    Url {
        schemes: &'static str,
    },
    Duration {
        least: Duration,
        most: Duration,
    },
    Whole {
        least: u64,
        most: u64,
    },
    OneOf(&'static [&'static str]),
    /// Written as a list, or as one text with commas.
    List {
        items: &'static Kind,
        least: usize,
        most: usize,
    },
    /// Keys that are not fixed here, each with one value.
    Map {
        values: &'static Kind,
        names: Names,
    },
}

impl Kind {
    /// Whether any text of a variable is taken as it is, never read as YAML.
    pub(super) fn is_text(&self) -> bool {
        match self {
            Self::Text(_) | Self::Secret | Self::Path | Self::Url { .. } => true,
            Self::Duration { .. } | Self::Whole { .. } | Self::OneOf(_) | Self::List { .. } | Self::Map { .. } => false,
        }
    }
}

/// How a name within a map is written in an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// `SECURITY_PROTOCOL` for `security.protocol`.
    Dotted,
    /// `DEPOSIT` for `deposit`.
    Lower,
    /// As they are: `EUR`.
    Upper,
}

impl Names {
    pub(super) fn of_variable(self, name: &str) -> String {
        match self {
            Self::Dotted => name.to_ascii_lowercase().replace('_', "."),
            Self::Lower => name.to_ascii_lowercase(),
            Self::Upper => name.to_owned(),
        }
    }

    pub(super) fn in_variable(self, name: &str) -> String {
        name.to_ascii_uppercase().replace('.', "_")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(what) => f.write_str(what),
            Self::Secret => f.write_str("a text of 1 to 4096 characters"),
            Self::Path => f.write_str("a path"),
            Self::Url { schemes } => write!(f, "a URL ({schemes})"),
            Self::Duration { least, most } => {
                let (least, most) = (duration::written(*least), duration::written(*most));
                write!(f, "a duration such as 250ms, 60s, 15m or 1h30m ({least} to {most})")
            }
            Self::Whole { least, most } => write!(f, "a whole number ({least} to {most})"),
            Self::OneOf(names) => write!(f, "one of: {}", names.join(", ")),
            Self::List { items, least, most } => write!(f, "a list of {least} to {most}, each {items}"),
            Self::Map { values, .. } => write!(f, "a map, each key in it with {values}"),
        }
    }
}

/// The key of this path, where there is one.
pub(super) fn key(path: &str) -> Option<&'static KeyDoc> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether keys stand below this path; the empty path is the file itself.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| below(key.path, path).is_some())
}

/// The names allowed directly below a section, in the order of the table.
pub(super) fn names_in(section: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for key in KEYS {
        let name = below(key.path, section).and_then(|rest| rest.split('.').next());
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
    }
    names
}

/// What of `path` is below `section`.
pub(super) fn below<'p>(path: &'p str, section: &str) -> Option<&'p str> {
    if section.is_empty() {
        return Some(path);
    }
    path.strip_prefix(section)?.strip_prefix('.')
}

/// The name that was probably meant.
pub(super) fn nearest<'n>(given: &str, names: &[&'n str]) -> Option<&'n str> {
    let (distance, name) = names.iter().map(|name| (edits(given, name), *name)).min()?;
    (distance <= name.len().div_ceil(3)).then_some(name)
}

/// How many characters have to be put in, left out or replaced to make one text the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

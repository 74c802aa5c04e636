//! What was set, or else the default, read by the kind of its key.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::duration::{self, NoDuration};
use super::keys::{self, KeyDoc, Kind};
use super::settings::{Origin, Setting, Settings, Value, variable};
use super::{ConfigError, mask};

impl Settings {
    /// Refuses what a key is set to, or that it is not set.
    pub(super) fn refuse(&self, path: &str, problem: impl fmt::Display) -> ConfigError {
        match self.values.get(path) {
            Some(set) => self.error(&set.origin, path, problem.to_string()),
            None => {
                ConfigError::Setting { origin: self.file.clone(), path: path.to_owned(), problem: problem.to_string() }
            }
        }
    }

    /// Refuses a name within a map that has fixed names.
    pub(super) fn refuse_name(&self, path: &str, name: &str, allowed: &[&str]) -> ConfigError {
        let origin = self.values.get(path).map_or(Origin::Line(1), |set| set.origin.clone());
        self.unknown_name(path, &origin, name, allowed)
    }

    /// Says that a key has to be set, for whom, and how.
    pub(super) fn missing(&self, path: &str, why: &str) -> ConfigError {
        self.refuse(path, format!("is required{why}; set it in the file or with {}", variable(path)))
    }

    /// Whether somebody set this key, be it to its default.
    pub(super) fn is_set(&self, path: &str) -> bool {
        self.values.contains_key(path)
    }

    /// What stands in a map, name by name, each value read by `read`.
    pub(super) fn map<T>(
        &self,
        path: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<BTreeMap<String, T>, ConfigError> {
        let Kind::Map { values, .. } = self.key(path)?.kind else { return Err(self.no_such(path)) };
        let mut map = BTreeMap::new();
        for (set, setting) in &self.values {
            if let (Some(name), Value::Text(text)) = (keys::below(set, path), &setting.value) {
                map.insert(name.to_owned(), read(text).ok_or_else(|| self.is_not(set, values, text))?);
            }
        }
        Ok(map)
    }

    /// The value or the default, read by `read`; `None` where there is neither.
    pub(super) fn optional<T>(
        &self,
        path: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let key = self.key(path)?;
        let text = match self.values.get(path) {
            Some(Setting { value: Value::Text(text), .. }) => Some(text.as_str()),
            Some(_) | None => key.default,
        };
        let Some(text) = text else { return Ok(None) };
        let value = read(text).ok_or_else(|| self.is_not(path, &key.kind, text))?;
        Ok(Some(value))
    }

    /// The value or the default, which there has to be.
    pub(super) fn required<T>(&self, path: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, ConfigError> {
        self.optional(path, read)?.ok_or_else(|| self.missing(path, ""))
    }

    /// The items of the value or of the default, each read by `read`.
    pub(super) fn list<T>(&self, path: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ConfigError> {
        let key = self.key(path)?;
        let Kind::List { items, least, most } = key.kind else { return Err(self.no_such(path)) };
        let default = key.default.unwrap_or_default().trim_matches(['[', ']']);
        let texts: Vec<&str> = match self.values.get(path).map(|set| &set.value) {
            Some(Value::List(texts)) => texts.iter().map(String::as_str).collect(),
            Some(Value::Text(text)) => text.split(',').map(str::trim).collect(),
            None => default.split(", ").filter(|item| !item.is_empty()).collect(),
        };
        if !(least..=most).contains(&texts.len()) {
            return Err(self.refuse(path, format!("a list of {} is not {}", texts.len(), key.kind)));
        }
        let item = |text: &&str| read(text).ok_or_else(|| self.is_not(path, items, text));
        texts.iter().map(item).collect()
    }

    pub(super) fn one_of<T: Copy, const N: usize>(&self, path: &str, values: [(&str, T); N]) -> Result<T, ConfigError> {
        self.required(path, |text| values.iter().find(|(name, _)| *name == text).map(|(_, value)| *value))
    }

    /// A whole number within the bounds of its key.
    pub(super) fn whole<T: TryFrom<u64>>(&self, path: &str) -> Result<T, ConfigError> {
        let Kind::Whole { least, most } = self.key(path)?.kind else { return Err(self.no_such(path)) };
        self.required(path, |text| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let number: u64 = text.parse().ok().filter(|number| digits && (least..=most).contains(number))?;
            T::try_from(number).ok()
        })
    }

    /// A duration within the bounds of its key.
    pub(super) fn duration(&self, path: &str) -> Result<Duration, ConfigError> {
        let Kind::Duration { least, most } = self.key(path)?.kind else { return Err(self.no_such(path)) };
        self.required(path, |text| duration::parse(text).ok().filter(|value| (least..=most).contains(value)))
    }

    fn is_not(&self, path: &str, kind: &Kind, text: &str) -> ConfigError {
        let secret = matches!(kind, Kind::Secret) || mask::is_secret(path);
        let given = if secret { "the value given".to_owned() } else { mask::quoted(text) };
        let hint = match (kind, duration::parse(text)) {
            (Kind::Duration { .. }, Err(NoDuration::NoUnit)) => format!("; a unit is missing, as in {text}s"),
            (Kind::Duration { .. }, Err(NoDuration::Negative)) => "; it must not be negative".to_owned(),
            _ => String::new(),
        };
        self.refuse(path, format!("{given} is not {kind}{hint}"))
    }

    /// The table's entry; each key that is read has one.
    fn key(&self, path: &str) -> Result<&'static KeyDoc, ConfigError> {
        keys::key(path).ok_or_else(|| self.no_such(path))
    }

    fn no_such(&self, path: &str) -> ConfigError {
        self.refuse(path, "is not in the table of keys as it is read")
    }
}

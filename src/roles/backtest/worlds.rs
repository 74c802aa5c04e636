//! Sets of preferences side by side. What of them agrees is decided once: a trigger of a tenant has one variant for each
//! setting that any of the sets gives it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Windows;
use crate::domain::ids::TenantId;
use crate::domain::preferences::{Preferences, Setting};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::WindowRule;
use crate::roles::offline::{Document, read_document};
use crate::wire::preferences as document;
use crate::wire::preferences_update::merge_document;

/// One set of preferences: the documents of a directory, and what is changed in them.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) directory: PathBuf,
    /// One after the other.
    pub(super) changes: Vec<Change>,
}

/// A partial update of documents, in the documents' form.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) update: Arc<[u8]>,
    /// Of this tenant's only; of everybody's where it is absent.
    pub(super) only: Option<TenantId>,
}

/// What one world says of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    Preferences(Preferences),
    NoTenant,
    /// Why its document cannot be read.
    Unreadable(String),
}

/// What a tenant's trigger is set to in some of the worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Posed {
    Set(Setting),
    NoTenant,
    Unreadable,
}

impl World {
    /// What this world says of a tenant, whose document was found to be `found` in this world's directory.
    fn known(&self, tenant: &TenantId, found: &Document) -> Known {
        let bytes = match found {
            Document::Found(bytes) => bytes,
            Document::Missing => return Known::NoTenant,
            Document::Unreadable(error) => return Known::Unreadable(error.clone()),
        };
        let place = || self.directory.join(format!("{tenant}.json"));
        // A change does not mend a document: one that cannot be read stays so.
        let read = |bytes: &[u8]| document::decode(bytes).map_err(|error| format!("{}: {error}", place().display()));
        let mut preferences = read(bytes);
        let mut changed: Option<Vec<u8>> = None;
        for change in self.changes.iter().filter(|change| change.only.as_ref().is_none_or(|only| only == tenant)) {
            if preferences.is_err() {
                break;
            }
            let now = changed.as_deref().unwrap_or(bytes);
            match merge_document(Some(now), &change.update, Timestamp(0)) {
                Ok(merged) => {
                    preferences = read(&merged);
                    changed = Some(merged);
                }
                Err(error) => preferences = Err(format!("{}: {error}", place().display())),
            }
        }
        preferences.map_or_else(Known::Unreadable, Known::Preferences)
    }
}

/// What every world says of a tenant, in their order.
pub(super) fn known(worlds: &[World], tenant: &TenantId) -> Vec<Known> {
    let mut read: Vec<(&Path, Document)> = Vec::new();
    let mut all = Vec::with_capacity(worlds.len());
    for world in worlds {
        let place = read.iter().position(|(directory, _)| *directory == world.directory).unwrap_or_else(|| {
            read.push((&world.directory, read_document(&world.directory, tenant)));
            read.len() - 1
        });
        all.push(world.known(tenant, &read[place].1));
    }
    all
}

/// How one trigger of a tenant is decided.
#[derive(Debug)]
pub(super) struct Tests {
    /// At least one, no two alike.
    pub(super) variants: Vec<Variant>,
    /// The variant of each world.
    pub(super) by_world: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Variant {
    pub(super) posed: Posed,
    /// Of a frequency trigger: which of the tenant's windows answers it.
    pub(super) window: usize,
    /// The worlds that it stands for, in order.
    pub(super) worlds: Vec<usize>,
}

/// Puts together what agrees: the tests of every trigger in the order of [`Trigger::ALL`], and the windows needed.
pub(super) fn tests(known: &[Known], settings: &Windows) -> (Vec<Tests>, Vec<WindowRule>) {
    let mut rules: Vec<WindowRule> = Vec::new();
    let tests = Trigger::ALL.iter().map(|trigger| {
        let mut tests = Tests { variants: Vec::new(), by_world: Vec::new() };
        for (world, known) in known.iter().enumerate() {
            let posed = match known {
                Known::Preferences(preferences) => Posed::Set(preferences.setting(*trigger)),
                Known::NoTenant => Posed::NoTenant,
                Known::Unreadable(_) => Posed::Unreadable,
            };
            let place = tests.variants.iter().position(|variant| variant.posed == posed).unwrap_or_else(|| {
                let window = window(posed, settings, &mut rules);
                tests.variants.push(Variant { posed, window, worlds: Vec::new() });
                tests.variants.len() - 1
            });
            tests.variants[place].worlds.push(world);
            tests.by_world.push(place);
        }
        tests
    });
    (tests.collect(), rules)
}

/// The window that answers a frequency bound: bounds that differ in the count alone share one, for it holds the same.
fn window(posed: Posed, settings: &Windows, rules: &mut Vec<WindowRule>) -> usize {
    let Posed::Set(Setting::Frequency(bound)) = posed else { return 0 };
    let rule = WindowRule::new(bound, settings.max_lookback, settings.allowed_lateness, settings.max_entries);
    let same = |other: &WindowRule| WindowRule { needed: rule.needed, ..*other } == rule;
    rules.iter().position(same).unwrap_or_else(|| {
        rules.push(rule);
        rules.len() - 1
    })
}

#[cfg(test)]
mod tests_of_worlds {
    use super::*;
    use crate::roles::offline::Rules;

    const DOCUMENT: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{"login":true,
        "deposit":{"enabled":true,"threshold":100},"high_frequency_betting":{"enabled":true,"count":10,"window_minutes":5}}}"#;

    fn worlds(directory: &Path, changes: &[(&str, Option<&str>)]) -> Vec<World> {
        let world = |changes| World { directory: directory.to_owned(), changes };
        let change = |(update, only): &(&str, Option<&str>)| Change {
            update: update.as_bytes().into(),
            only: only.map(|only| TenantId::new(only).unwrap()),
        };
        std::iter::once(world(Vec::new())).chain(changes.iter().map(|one| world(vec![change(one)]))).collect()
    }

    #[test]
    fn what_agrees_is_one_variant_and_counts_share_a_window() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("acme.json"), DOCUMENT).unwrap();
        std::fs::write(directory.path().join("broken.json"), "{").unwrap();
        let of = |bounds: &str| format!(r#"{{"reuse_kyc_triggers":{{{bounds}}}}}"#);
        let changes = [
            of(r#""deposit":{"threshold":250}"#),
            of(r#""high_frequency_betting":{"count":3}"#),
            of(r#""high_frequency_betting":{"count":300}"#),
            of(r#""high_frequency_betting":{"window_minutes":1}"#),
            of(r#""login":true"#),
        ];
        let changes: Vec<_> = changes.iter().map(|change| (change.as_str(), None)).collect();
        let worlds_here = worlds(directory.path(), &changes);
        let settings = Rules::read(None).unwrap().windows;
        let shape = |tenant: &str| {
            let (tests, rules) = tests(&known(&worlds_here, &TenantId::new(tenant).unwrap()), &settings);
            let by_world = |trigger: Trigger| tests[trigger as usize].by_world.clone();
            let windows: Vec<usize> =
                tests[Trigger::HighFrequencyBetting as usize].variants.iter().map(|variant| variant.window).collect();
            (
                by_world(Trigger::Login),
                by_world(Trigger::Deposit),
                by_world(Trigger::HighFrequencyBetting),
                windows,
                rules.len(),
            )
        };
        // A count beyond the entries kept keeps more, and so has a window of its own.
        assert_eq!(shape("acme"), (vec![0; 6], vec![0, 1, 0, 0, 0, 0], vec![0, 0, 1, 2, 3, 0], vec![0, 0, 1, 2], 3));
        assert_eq!(shape("nobody"), (vec![0; 6], vec![0; 6], vec![0; 6], vec![0], 0));
        assert_eq!(shape("broken"), (vec![0; 6], vec![0; 6], vec![0; 6], vec![0], 0));
        let one = worlds(directory.path(), &[(changes[0].0, Some("acme")), (changes[0].0, Some("other"))]);
        let known = known(&one, &TenantId::new("acme").unwrap());
        assert_ne!(known[0], known[1]);
        assert_eq!(known[0], known[2]);
    }
}

//! What is known of one tenant, and what a look-up may be told of it at a given moment. No I/O and no clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::source::Fetched;
use super::{Lookup, Settings};
use crate::domain::preferences::Preferences;

/// A source that failed for a tenant is not asked for it again sooner; nor is a copy doubted more often.
const BREATH: Duration = Duration::from_secs(1);

/// An answer is asked for again, in the background, after this part of its TTL.
const AHEAD: f64 = 0.8;

/// All that is known of one tenant.
#[derive(Debug, Default)]
pub(super) struct State {
    copy: Option<Copy>,
    answer: Option<Answer>,
    failure: Option<Failure>,
    /// The first refusal of the tenant's own credential that no acceptance has followed.
    refused_since: Option<Instant>,
    doubted: Option<Instant>,
    doubt_read_at: Option<Instant>,
    wanted_at: Option<Instant>,
}

/// The last document that could be read.
#[derive(Debug)]
struct Copy {
    preferences: Arc<Preferences>,
    asked_at: Instant,
}

/// The last thing that the source said about the tenant.
#[derive(Debug)]
struct Answer {
    said: Said,
    asked_at: Instant,
}

#[derive(Debug)]
enum Said {
    Document,
    NotFound,
    /// Nobody was asked, for want of a credential.
    NoCredential,
    Unreadable(String),
}

/// The source's failures since its last answer.
#[derive(Debug)]
struct Failure {
    reason: String,
    own_refusal: bool,
    since: Instant,
    last: Instant,
}

/// What a look-up is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) lookup: Lookup,
    /// Whether the source failed to confirm it in time.
    pub(super) stale: bool,
}

/// Why a look-up is told nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) reason: String,
    pub(super) since: Instant,
}

/// What to do for a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgment {
    /// Tell it this, and read again in the background where `read_again` says so.
    Tell {
        told: Told,
        read_again: bool,
    },
    /// Only the source can tell.
    Wait,
    Hold(Held),
}

/// What a person should hear about a tenant, once when it begins and once when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Sound,
    Unreadable,
    OwnCredentialRefused,
}

impl State {
    /// Notes that somebody wants to know, and judges what may be told now.
    pub(super) fn wanted(&mut self, now: Instant, settings: &Settings) -> Judgment {
        self.wanted_at = Some(now);
        self.judge(now, settings)
    }

    /// Whether the source should be asked now.
    pub(super) fn wants_reading(&self, now: Instant, settings: &Settings) -> bool {
        match self.judge(now, settings) {
            Judgment::Tell { read_again, .. } => read_again,
            Judgment::Wait => true,
            Judgment::Hold(_) => false,
        }
    }

    /// What to tell those who waited for the source's answer, when it came or failed to come.
    pub(super) fn after_reading(&self, now: Instant, settings: &Settings) -> Result<Told, Held> {
        if let Some(answer) = &self.answer {
            // An answer that took longer than the TTL is still the newest there is.
            if self.failure.is_none() || now.duration_since(answer.asked_at) < settings.ttl {
                return Ok(self.tell(answer, now, settings));
            }
        }
        self.make_do(now, settings)
    }

    /// Takes in what the source answered.
    pub(super) fn settle(&mut self, fetched: Fetched, asked_at: Instant, now: Instant) {
        match fetched {
            Fetched::Document(preferences) => {
                self.copy = Some(Copy { preferences: Arc::new(preferences), asked_at });
                self.answered(Said::Document, asked_at);
            }
            Fetched::NotFound => {
                self.copy = None;
                self.answered(Said::NotFound, asked_at);
            }
            Fetched::NoCredential => {
                self.copy = None;
                self.answered(Said::NoCredential, asked_at);
            }
            Fetched::Unreadable(reason) => self.answered(Said::Unreadable(reason), asked_at),
            Fetched::Refused { own_credential, reason } => {
                self.refused_since = own_credential.then(|| self.refused_since.unwrap_or(now));
                self.failed(reason, own_credential, now);
            }
            Fetched::Away { reason } => self.failed(reason, false, now),
        }
    }

    /// Notes that what was read before `since` is contradicted.
    pub(super) fn doubt(&mut self, since: Instant) {
        let newest = self.answer.as_ref().map(|answer| answer.asked_at);
        if newest.is_none_or(|asked_at| asked_at < since) {
            self.doubted = self.doubted.max(Some(since));
        }
    }

    /// Notes that the source is about to be asked.
    pub(super) fn reading(&mut self, now: Instant) {
        if self.doubted.is_some() {
            self.doubt_read_at = Some(now);
        }
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.doubted.is_some()
    }

    /// Whether there is a copy, so that the tenant is no invention of a sender's.
    pub(super) fn is_known(&self) -> bool {
        self.copy.is_some()
    }

    pub(super) fn condition(&self) -> Condition {
        if self.failure.as_ref().is_some_and(|failure| failure.own_refusal) {
            return Condition::OwnCredentialRefused;
        }
        match self.answer.as_ref().map(|answer| &answer.said) {
            Some(Said::Unreadable(_)) => Condition::Unreadable,
            Some(Said::Document | Said::NotFound | Said::NoCredential) | None => Condition::Sound,
        }
    }

    /// The age of the copy, where somebody wanted it within the last `lately`.
    pub(super) fn age_if_wanted(&self, now: Instant, lately: Duration) -> Option<Duration> {
        let wanted_at = self.wanted_at?;
        let copy = self.copy.as_ref()?;
        (now.duration_since(wanted_at) <= lately).then(|| now.duration_since(copy.asked_at))
    }

    /// The copy, and until when it is told as it is and not read again; nothing where one of both is over.
    pub(super) fn known_until(&self, settings: &Settings) -> Option<(&Arc<Preferences>, Instant)> {
        let (answer, copy) = (self.answer.as_ref()?, self.copy.as_ref()?);
        let is_doubtful = self.failure.is_some() || self.is_doubted() || !matches!(answer.said, Said::Document);
        (!is_doubtful).then(|| (&copy.preferences, answer.asked_at + settings.ttl.mul_f64(AHEAD)))
    }

    /// For a page: the age, the copy's version and a word for the state. Nothing while the first reading is under way.
    pub(super) fn glance(&self, now: Instant, settings: &Settings) -> Option<(Duration, Option<String>, &'static str)> {
        let copy = self.copy.as_ref();
        let began = copy
            .map(|copy| copy.asked_at)
            .or(self.answer.as_ref().map(|answer| answer.asked_at))
            .or(self.failure.as_ref().map(|failure| failure.since))?;
        let word = match self.after_reading(now, settings) {
            Err(_) => "unavailable",
            Ok(Told { stale: true, .. }) => "stale",
            Ok(Told { lookup: Lookup::Unusable { .. }, .. }) => "unusable",
            Ok(Told { lookup: Lookup::NoTenant, .. }) => "no_tenant",
            Ok(Told { lookup: Lookup::Known(_), .. }) if now.duration_since(began) >= settings.ttl => "expired",
            Ok(Told { lookup: Lookup::Known(_), .. }) => "known",
        };
        Some((now.duration_since(began), copy.and_then(|copy| copy.preferences.updated_at.clone()), word))
    }

    fn judge(&self, now: Instant, settings: &Settings) -> Judgment {
        let may_ask = self.failure.as_ref().is_none_or(|failure| now.duration_since(failure.last) >= BREATH);
        if let Some(answer) = &self.answer {
            let age = now.duration_since(answer.asked_at);
            if age < settings.ttl {
                let ahead = age >= settings.ttl.mul_f64(AHEAD) || self.doubt_is_due(now);
                return Judgment::Tell { told: self.tell(answer, now, settings), read_again: ahead && may_ask };
            }
        }
        let Some(failure) = &self.failure else { return Judgment::Wait };
        // A failure speaks for a TTL: within it nobody waits for a source that is away, while there is something to tell.
        let is_recent = now.duration_since(failure.last) < settings.ttl.max(BREATH);
        match self.make_do(now, settings) {
            Ok(told) if is_recent => Judgment::Tell { told, read_again: may_ask },
            Err(held) if !may_ask => Judgment::Hold(held),
            Ok(_) | Err(_) => Judgment::Wait,
        }
    }

    fn doubt_is_due(&self, now: Instant) -> bool {
        self.doubted.is_some() && self.doubt_read_at.is_none_or(|read_at| now.duration_since(read_at) >= BREATH)
    }

    fn tell(&self, answer: &Answer, now: Instant, settings: &Settings) -> Told {
        let copy = self.servable_copy(now, settings);
        match (&answer.said, &self.copy) {
            (Said::Document, Some(copy)) => Told { lookup: Lookup::Known(Arc::clone(&copy.preferences)), stale: false },
            (Said::Document | Said::NotFound | Said::NoCredential, _) => {
                Told { lookup: Lookup::NoTenant, stale: false }
            }
            (Said::Unreadable(reason), _) => copy.map_or_else(
                || Told { lookup: Lookup::Unusable { reason: reason.clone() }, stale: false },
                |lookup| Told { lookup, stale: true },
            ),
        }
    }

    /// What to tell while the source fails and its last answer is too old.
    fn make_do(&self, now: Instant, settings: &Settings) -> Result<Told, Held> {
        if let Some(lookup) = self.servable_copy(now, settings).or_else(|| self.servable_absence(now, settings)) {
            return Ok(Told { lookup, stale: true });
        }
        let Some(failure) = &self.failure else {
            return Err(Held { reason: "it was not read yet".to_owned(), since: now });
        };
        let refused_for = self.refused_since.map(|since| now.duration_since(since));
        if failure.own_refusal && refused_for.is_some_and(|span| span >= settings.refused_for) {
            return Ok(Told { lookup: Lookup::Unusable { reason: failure.reason.clone() }, stale: false });
        }
        Err(Held { reason: failure.reason.clone(), since: failure.since })
    }

    fn servable_copy(&self, now: Instant, settings: &Settings) -> Option<Lookup> {
        let copy = self.copy.as_ref()?;
        let servable = now.duration_since(copy.asked_at) < settings.max_stale;
        servable.then(|| Lookup::Known(Arc::clone(&copy.preferences)))
    }

    /// That there is no such tenant, by the word of the source. Any sender can name one, and held, it would hold up all others.
    /// So a tenant that was made since is unknown for as long as one that was changed goes by its old copy. Where a credential
    /// was missing and the source is asked now, somebody has made the tenant known: nothing is known of it yet.
    fn servable_absence(&self, now: Instant, settings: &Settings) -> Option<Lookup> {
        let answer = self.answer.as_ref().filter(|answer| matches!(answer.said, Said::NotFound))?;
        let servable = now.duration_since(answer.asked_at) < settings.max_stale;
        servable.then_some(Lookup::NoTenant)
    }

    fn answered(&mut self, said: Said, asked_at: Instant) {
        self.answer = Some(Answer { said, asked_at });
        self.failure = None;
        self.refused_since = None;
        self.doubted = self.doubted.filter(|since| asked_at < *since);
    }

    fn failed(&mut self, reason: String, own_refusal: bool, now: Instant) {
        let since = self.failure.as_ref().map_or(now, |failure| failure.since);
        self.failure = Some(Failure { reason, own_refusal, since, last: now });
    }
}

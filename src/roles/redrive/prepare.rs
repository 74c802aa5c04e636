//! From a dead letter to the record that goes back, or to why none does.

use std::time::Duration;

use super::before::Name;
use super::letters::Letter;
use crate::config::Topics;
use crate::domain::command::Command;
use crate::domain::decide::AgeLimit;
use crate::domain::ids::TenantId;
use crate::domain::outcome::RejectCode;
use crate::domain::redrive::{Body, Content, Course, Force, Input, Refusal, course};
use crate::domain::time::Timestamp;
use crate::edge::kafka::producer::{Outgoing, Size};
use crate::wire::dead_letter::{self, DeadLetter, Stage};
use crate::wire::receipt::Sha256;
use crate::wire::redrive::{self, Group};
use crate::wire::{command, identity};

/// Which letters are asked for, and how.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// None of them are all of them.
    pub(super) codes: Vec<RejectCode>,
    pub(super) tenant: Option<TenantId>,
    pub(super) stage: Option<Stage>,
    pub(super) force: Force,
    pub(super) age_limit: AgeLimit,
}

#[derive(Debug)]
pub(super) enum Verdict {
    NotAskedFor,
    Refused { code: Option<RejectCode>, refusal: Refusal },
    Goes(Box<Prepared>),
}

/// A record that is to go.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) group: Group,
    pub(super) outgoing: Outgoing,
    pub(super) name: Name,
}

impl Asked {
    fn is_for(&self, told: &DeadLetter, tenant: Option<&TenantId>) -> bool {
        (self.codes.is_empty() || self.codes.contains(&told.code))
            && self.stage.is_none_or(|stage| stage == told.stage)
            && self.tenant.as_ref().is_none_or(|asked| tenant == Some(asked))
    }

    fn is_for_all(&self) -> bool {
        self.codes.is_empty() && self.stage.is_none() && self.tenant.is_none()
    }
}

/// Judges one letter. A new command is issued at `now` and has `max_age` before it.
pub(super) fn prepare(letter: &Letter, asked: &Asked, topics: &Topics, max_age: Duration, now: Timestamp) -> Verdict {
    let headers = || letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let Ok(told) = dead_letter::decode(headers()) else {
        // Nobody can tell whether it is one of those that were chosen.
        return match asked.is_for_all() {
            true => Verdict::Refused { code: None, refusal: Refusal::Unreadable },
            false => Verdict::NotAskedFor,
        };
    };
    let tenant = tenant(letter);
    if !asked.is_for(&told, tenant.as_ref()) {
        return Verdict::NotAskedFor;
    }
    let input = input(&told, topics);
    let body = if dead_letter::is_cut(headers()) { Body::Cut } else { Body::Whole };
    let old = match input {
        Input::Commands => letter.payload.as_deref().and_then(|payload| command::decode(payload).ok()),
        Input::Activity | Input::Foreign => None,
    };
    let content = if old.is_some() { Content::Command } else { Content::Other };
    let (outgoing, name) = match (course(told.code, input, body, content, asked.force), old) {
        (Err(refusal), _) => return Verdict::Refused { code: Some(told.code), refusal },
        (Ok(Course::Anew), Some(old)) => {
            let new = old.redriven(now, max_age);
            (anew(&new, topics), Name::Command(new.id))
        }
        (Ok(Course::Renewed), Some(old)) => (anew(&old.renewed(now, max_age), topics), Name::Command(old.id)),
        (Ok(Course::AsItCame | Course::Anew | Course::Renewed), _) => {
            let digest = Sha256::of(letter.payload.as_deref().unwrap_or_default());
            (as_it_came(letter, &told, input, asked, topics), Name::Bytes(digest.0))
        }
    };
    let group = Group {
        code: told.code.name(),
        stage: told.stage.name(),
        tenant: tenant.map(|tenant| tenant.as_str().to_owned()),
        source_topic: told.source.topic.as_ref().to_owned(),
        topic: outgoing.topic.clone(),
    };
    Verdict::Goes(Box::new(Prepared { group, outgoing, name }))
}

/// The tenant that the payload names, whatever else it is.
fn tenant(letter: &Letter) -> Option<TenantId> {
    let identity = identity::read(letter.payload.as_deref()?)?;
    TenantId::new(&identity.tenant?).ok()
}

fn input(told: &DeadLetter, topics: &Topics) -> Input {
    let source = told.source.topic.as_ref();
    match told.stage {
        Stage::Evaluate if topics.activity.iter().any(|topic| topic == source) => Input::Activity,
        Stage::Dispatch if source == topics.commands || source == topics.retries => Input::Commands,
        Stage::Evaluate | Stage::Dispatch => Input::Foreign,
    }
}

fn anew(new: &Command, topics: &Topics) -> Outgoing {
    Outgoing::new(&topics.commands, Some(command::key(&new.tenant, &new.customer)), command::encode(new))
}

fn as_it_came(letter: &Letter, told: &DeadLetter, input: Input, asked: &Asked, topics: &Topics) -> Outgoing {
    let (topic, headers) = match input {
        // What was parked is due: its headers, which are not kept, told until when it was to wait.
        Input::Commands => (topics.commands.clone(), Vec::new()),
        Input::Activity | Input::Foreign => (told.source.topic.as_ref().to_owned(), redrive::headers(asked.age_limit)),
    };
    Outgoing { topic, key: letter.key.clone(), payload: letter.payload.clone(), headers, size: Size::Fixed }
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;

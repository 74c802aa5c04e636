//! What came out, record by record: dead letters, outcomes, what waits to be tried again, commands.

use std::collections::hash_map::Entry;

use super::auditor::{Auditor, written_at};
use super::findings::{Check, Counted};
use super::ledger::{Ended, Id, Issued, Letter, Token, token};
use super::names::At;
use crate::domain::command::Command;
use crate::domain::ids::CommandId;
use crate::domain::outcome::{RejectCode, Rejection};
use crate::domain::time::Timestamp;
use crate::edge::kafka::range::RangeRecord;
use crate::wire::audit::{digest, redrive_of};
use crate::wire::dead_letter::{self, Stage};
use crate::wire::{command, outcome, retry};

impl Auditor {
    /// A record of the dead-letter topic.
    pub(super) fn letter(&mut self, record: &RangeRecord<'_>) {
        self.seen.dead_letters += 1;
        let at = self.lanes.at(record.topic, record.partition, record.offset);
        let letter = match dead_letter::decode(headers(record)) {
            Ok(letter) => letter,
            Err(rejection) => {
                let violation = self.violation(format!("a record that is no dead letter: {}", rejection.error), at);
                return self.findings.violation(Check::OneEnding, violation);
            }
        };
        let source = self.lanes.of_source(&letter.source);
        let written_at = written_at(record).unwrap_or(self.terms.now);
        let held = || record.payload.and_then(|payload| command::decode(payload).ok()).map(|held| held.id.0.as_u128());
        let command = match (letter.stage, letter.code) {
            (Stage::Dispatch, RejectCode::Rejected | RejectCode::Expired) => held(),
            (Stage::Dispatch, RejectCode::StoreUnavailable) => {
                self.ledger.given_up.extend(held());
                return;
            }
            (Stage::Evaluate | Stage::Dispatch, _) => None,
        };
        if letter.stage == Stage::Evaluate {
            self.course.effect(source, written_at);
        }
        if let Some(command) = command {
            self.ledger.ended_letters.entry((command, letter.code)).or_insert((at, written_at));
        }
        self.keep_letter(
            source,
            Letter {
                at,
                code: letter.code,
                stage: letter.stage,
                key: record.key.map(digest),
                payload: record.payload.map(digest),
                command,
                written_at,
                is_found: false,
            },
        );
    }

    fn keep_letter(&mut self, source: At, letter: Letter) {
        let first = match self.ledger.letters.entry(source) {
            Entry::Vacant(place) => {
                place.insert(letter);
                return;
            }
            Entry::Occupied(first) => first.get().clone(),
        };
        let by_the_clock = first.code.is_by_the_clock() && letter.code.is_by_the_clock();
        let same = first.stage == letter.stage && first.payload == letter.payload && first.key == letter.key;
        if same && (first.code == letter.code || by_the_clock) {
            return self.findings.count(Counted::RepeatedRecords);
        }
        let check = check_of(letter.stage);
        let what = format!(
            "a second dead letter for one record that differs: {}, and {}",
            first.code.name(),
            letter.code.name()
        );
        let mut violation = self.violation(what, letter.at);
        violation.against = Some(self.lanes.source(first.at).to_string());
        self.findings.violation(check, violation);
    }

    /// A record of the outcomes topic.
    pub(super) fn outcome(&mut self, record: &RangeRecord<'_>) {
        let at = self.lanes.at(record.topic, record.partition, record.offset);
        let bytes = record.payload.unwrap_or_default();
        let outcome = match outcome::decode(bytes) {
            Ok(outcome) => outcome,
            Err(rejection) => {
                let violation = self.violation(format!("a record that is no outcome: {}", rejection.error), at);
                return self.findings.violation(Check::OneOutcome, violation);
            }
        };
        let (id, tenant) = (outcome.command.0.as_u128(), self.names.number(&outcome.tenant));
        let ended = Ended::new(&outcome, at, tenant, bytes, written_at(record));
        let first = match self.ledger.outcomes.entry(id) {
            Entry::Occupied(first) if first.get().digest == ended.digest => {
                return self.findings.count(Counted::RepeatedRecords);
            }
            Entry::Occupied(first) => Some((first.get().at, first.get().status)),
            Entry::Vacant(place) => {
                place.insert(ended.clone());
                None
            }
        };
        if let Some(fingerprint) = token(&outcome) {
            let reference = ended.references[0];
            self.ledger.tokens.push(Token { fingerprint, command: id, tenant, reference, at });
        }
        if let Some((before, status)) = first {
            let what = format!("a second outcome that differs: {status}, and {}", ended.status);
            let mut violation = self.of_command(self.violation(what, at), id, tenant, Some(outcome.trigger));
            violation.against = Some(self.lanes.source(before).to_string());
            self.findings.violation(Check::OneOutcome, violation);
        }
    }

    /// A record of the retries topic.
    pub(super) fn retry(&mut self, record: &RangeRecord<'_>) {
        self.seen.retries += 1;
        let at = self.lanes.at(record.topic, record.partition, record.offset);
        let read = command::decode(record.payload.unwrap_or_default());
        match read.and_then(|command| retry::decode(headers(record)).map(|_| command)) {
            Ok(command) => {
                let id = command.id.0.as_u128();
                self.find_letter(at, id);
                self.ledger.retries.entry(id).or_insert((at, command.issued_at));
            }
            Err(rejection) => self.unreadable(at, &rejection, written_at(record)),
        }
    }

    /// A record of the commands topic.
    pub(super) fn command(&mut self, record: &RangeRecord<'_>) {
        let at = self.lanes.at(record.topic, record.partition, record.offset);
        match command::decode(record.payload.unwrap_or_default()) {
            Ok(command) => {
                let id = command.id.0.as_u128();
                self.find_letter(at, id);
                let issued = self.issued(&command, at, record.payload.unwrap_or_default());
                self.keep_command(id, issued, Where::Commands);
            }
            Err(rejection) => self.unreadable(at, &rejection, written_at(record)),
        }
    }

    /// A record of the topic of commands in shadow.
    pub(super) fn shadow(&mut self, record: &RangeRecord<'_>) {
        let at = self.lanes.at(record.topic, record.partition, record.offset);
        match command::decode(record.payload.unwrap_or_default()) {
            Ok(command) => {
                let issued = self.issued(&command, at, &[]);
                self.keep_command(command.id.0.as_u128(), issued, Where::Shadow);
            }
            Err(rejection) => {
                let violation = self.violation(format!("a record that is no command: {}", rejection.error), at);
                self.findings.violation(Check::NoOtherCommands, violation);
            }
        }
    }

    fn issued(&mut self, command: &Command, at: At, payload: &[u8]) -> Issued {
        let cause = self.lanes.of_source(&command.cause.source);
        let tenant = self.names.number(&command.tenant);
        let is_first = CommandId::of(&command.tenant, command.trigger, &command.cause.event) == command.id;
        let redrive_of = if is_first { None } else { redrive_of(payload) };
        if is_first {
            self.course.effect(cause, command.issued_at);
        }
        Issued::new(command, at, cause, tenant, redrive_of.map(|of| of.0.as_u128()))
    }

    fn keep_command(&mut self, id: Id, issued: Issued, topic: Where) {
        let commands = match topic {
            Where::Commands => &mut self.ledger.commands,
            Where::Shadow => &mut self.ledger.shadows,
        };
        let first = match commands.entry(id) {
            Entry::Vacant(place) => {
                place.insert(issued);
                return;
            }
            Entry::Occupied(first) => first.into_mut(),
        };
        self.findings.count(Counted::RepeatedRecords);
        first.expires_at = first.expires_at.max(issued.expires_at);
        first.issued_at = first.issued_at.min(issued.issued_at);
        if issued.cause != first.cause {
            self.ledger.further.entry((id, issued.cause)).or_insert(issued.at);
        }
        if let Some(field) = issued.differs_from(first) {
            let before = first.at;
            let what = format!("a second record of one command that differs in {field}");
            let mut violation =
                self.of_command(self.violation(what, issued.at), id, issued.tenant, Some(issued.trigger));
            violation.against = Some(self.lanes.source(before).to_string());
            self.findings.violation(Check::CommandFields, violation);
        }
    }

    /// A command that was ended and given up from this place must be the one that stands there.
    fn find_letter(&mut self, at: At, id: Id) {
        let Some(letter) = self.ledger.letters.get_mut(&at) else { return };
        letter.is_found = true;
        if letter.command != Some(id) {
            let (of, what) = (letter.at, "a dead letter of a command that says another place than its own");
            let mut violation = self.violation(what, of);
            violation.against = Some(self.lanes.source(at).to_string());
            self.findings.violation(Check::DeadLettersOfCommands, violation);
        }
    }

    /// A record that dispatch cannot read: it must stand in the dead letters.
    fn unreadable(&mut self, at: At, rejection: &Rejection, written_at: Option<Timestamp>) {
        self.findings.checked(Check::DeadLettersOfCommands);
        let is_overdue = self.is_overdue(written_at.unwrap_or(self.terms.now));
        let what = match self.ledger.letters.get_mut(&at) {
            Some(letter) => {
                letter.is_found = true;
                if letter.code == rejection.code {
                    return;
                }
                format!("a record that is no command stands in the dead letters as {}", letter.code.name())
            }
            None if !is_overdue => return self.findings.count(Counted::Pending),
            None => format!("a record that is no command ({}) is not in the dead letters", rejection.code.name()),
        };
        let violation = self.violation(what, at);
        self.findings.violation(Check::DeadLettersOfCommands, violation);
    }
}

/// Which topic a command stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Commands,
    Shadow,
}

pub(super) fn check_of(stage: Stage) -> Check {
    match stage {
        Stage::Evaluate => Check::OneEnding,
        Stage::Dispatch => Check::DeadLettersOfCommands,
    }
}

fn headers<'a>(record: &RangeRecord<'a>) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
}

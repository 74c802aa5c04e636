//! Everything that came out, in few bytes: commands, outcomes, dead letters and what waits to be tried again.

use std::collections::{HashMap, HashSet};

use super::names::At;
use crate::domain::command::Command;
use crate::domain::decide::Facts;
use crate::domain::outcome::{Ending, Outcome, RejectCode};
use crate::domain::time::Timestamp;
use crate::domain::trigger::{ActivityType, Trigger};
use crate::wire::audit::{digest, fingerprint};
use crate::wire::dead_letter::Stage;
use crate::wire::window::customer_key;

/// A command's id without its wrapping.
pub(super) type Id = u128;

/// A command as its first record has it.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    /// Where it stands.
    pub(super) at: At,
    pub(super) cause: At,
    pub(super) tenant: u32,
    pub(super) customer: u128,
    pub(super) trigger: Trigger,
    pub(super) kind: ActivityType,
    pub(super) event: u128,
    pub(super) occurred_at: Timestamp,
    pub(super) reference: u128,
    pub(super) facts: Facts,
    /// A hash of the version of the preferences; `None` where it has none.
    pub(super) version: Option<u128>,
    pub(super) issued_at: Timestamp,
    /// Of all its records the latest.
    pub(super) expires_at: Timestamp,
    /// Whether the event that it names stands where it says.
    pub(super) is_caused: bool,
    /// The command that it is a further try of.
    pub(super) redrive_of: Option<Box<Id>>,
}

impl Issued {
    pub(super) fn new(command: &Command, at: At, cause: At, tenant: u32, redrive_of: Option<Id>) -> Self {
        Self {
            at,
            cause,
            tenant,
            customer: customer_key(&command.tenant, &command.customer),
            trigger: command.trigger,
            kind: command.cause.kind,
            event: digest(command.cause.event.as_str().as_bytes()),
            occurred_at: command.cause.occurred_at,
            reference: digest(command.base_reference().as_bytes()),
            facts: command.facts,
            version: command.preferences_updated_at.as_ref().map(|version| digest(version.as_bytes())),
            issued_at: command.issued_at,
            expires_at: command.expires_at,
            is_caused: false,
            redrive_of: redrive_of.map(Box::new),
        }
    }

    /// What of two records of one command must be the same and is not.
    pub(super) fn differs_from(&self, other: &Self) -> Option<&'static str> {
        let differs = [
            (self.tenant != other.tenant, "tenant_id"),
            (self.customer != other.customer, "customer_id"),
            (self.trigger != other.trigger, "event"),
            (self.event != other.event, "cause.event_id"),
            (self.reference != other.reference, "reference"),
        ];
        // What the window counted may differ where the preferences changed between two deliveries.
        differs.iter().find(|(differs, _)| *differs).map(|(_, field)| *field)
    }
}

/// An outcome as its first record has it.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) at: At,
    /// Of all its bytes.
    pub(super) digest: u128,
    pub(super) tenant: u32,
    pub(super) customer: u128,
    pub(super) trigger: Trigger,
    /// The reference as it is, and without a number behind it.
    pub(super) references: [u128; 2],
    pub(super) status: &'static str,
    /// The code under which the command stands in the dead letters, where it does.
    pub(super) letter: Option<RejectCode>,
    pub(super) completed_at: Timestamp,
    pub(super) written_at: Timestamp,
}

impl Ended {
    pub(super) fn new(outcome: &Outcome, at: At, tenant: u32, bytes: &[u8], written_at: Option<Timestamp>) -> Self {
        let reference = &outcome.reference;
        Self {
            at,
            digest: digest(bytes),
            tenant,
            customer: customer_key(&outcome.tenant, &outcome.customer),
            trigger: outcome.trigger,
            references: [digest(reference.as_bytes()), digest(base_reference(reference).as_bytes())],
            status: outcome.ending.status(),
            letter: outcome.ending.dead_letter(),
            completed_at: outcome.completed_at,
            written_at: written_at.unwrap_or(outcome.completed_at),
        }
    }
}

/// A reference without the number that a lost answer has put behind it.
pub(super) fn base_reference(reference: &str) -> &str {
    let numbered = |(_, number): &(&str, &str)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    reference.rsplit_once('.').filter(numbered).map_or(reference, |(base, _)| base)
}

/// The fingerprint of an outcome's token, where it has one.
pub(super) fn token(outcome: &Outcome) -> Option<u128> {
    match &outcome.ending {
        Ending::SessionCreated(session) => Some(fingerprint(&session.token).as_u128()),
        Ending::NotRequired { .. } | Ending::AlreadyExists | Ending::Rejected { .. } | Ending::Expired { .. } => None,
    }
}

/// A dead letter of one record.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) at: At,
    pub(super) code: RejectCode,
    pub(super) stage: Stage,
    pub(super) key: Option<u128>,
    pub(super) payload: Option<u128>,
    /// The command that it holds, where it is one that ended.
    pub(super) command: Option<Id>,
    pub(super) written_at: Timestamp,
    /// Whether the record that it names was found.
    pub(super) is_found: bool,
}

/// A session whose token an outcome has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) fingerprint: u128,
    pub(super) command: Id,
    pub(super) tenant: u32,
    pub(super) reference: u128,
    pub(super) at: At,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) commands: HashMap<Id, Issued>,
    pub(super) shadows: HashMap<Id, Issued>,
    /// Causes of further records of a command: where the record stands.
    pub(super) further: HashMap<(Id, At), At>,
    pub(super) outcomes: HashMap<Id, Ended>,
    /// Every token that an outcome has.
    pub(super) tokens: Vec<Token>,
    /// By the place of the record that was given up.
    pub(super) letters: HashMap<At, Letter>,
    /// Commands that stand in the dead letters as ended so: where the first letter stands, and when it was written.
    /// Commands in the dead letters that needed the store.
    pub(super) given_up: HashSet<Id>,
    pub(super) ended_letters: HashMap<(Id, RejectCode), (At, Timestamp)>,
    /// Commands on the retries topic: the first record of each, and when it was issued.
    pub(super) retries: HashMap<Id, (At, Timestamp)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table's place costs its entry and on average about as much again in half.
    #[test]
    fn an_entry_costs_what_the_help_says() {
        let table = |entry: usize| entry * 8 / 5;
        let command = table(size_of::<(Id, Issued)>()) + 2 * size_of::<(i64, Timestamp)>();
        let outcome = table(size_of::<(Id, Ended)>()) + size_of::<Token>();
        let letter = table(size_of::<(At, Letter)>()) + 2 * size_of::<(i64, Timestamp)>();
        assert_eq!([command, outcome, letter].map(|bytes| bytes.div_ceil(50) * 50), [400, 350, 300]);
    }

    #[test]
    fn only_a_number_is_taken_off_a_reference() {
        for (reference, base) in [
            ("a", "a"),
            ("a.2", "a"),
            ("a.b", "a.b"),
            ("a.2.3", "a.2"),
            ("a.", "a."),
            ("de5104d8-398a-55de-954f-e274b53286a3.12", "de5104d8-398a-55de-954f-e274b53286a3"),
        ] {
            assert_eq!(base_reference(reference), base);
        }
    }
}

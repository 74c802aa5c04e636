//! What can be said once everything was read: what has no counterpart, and what has two.

use super::auditor::{Auditor, GRACE};
use super::customers::bit;
use super::effects::check_of;
use super::findings::{Check, Counted};
use super::ledger::{Id, Letter};
use super::names::At;
use crate::domain::time::Timestamp;
use crate::wire::audit::Violation;
use crate::wire::dead_letter::Stage;

/// Violations of maps, to be told in the order of their places.
type Found = Vec<(At, Violation)>;

impl Auditor {
    /// Checks what only the whole shows.
    pub(super) fn finish(&mut self) {
        self.settle_mismatches();
        self.letters_without_records();
        self.commands_without_events();
        self.commands_without_outcomes();
        self.outcomes_without_commands();
        self.retries_without_commands();
        self.letters_and_outcomes();
    }

    /// Differences of customers whose events came through several partitions count only where a trigger is affected as
    /// such: in what order live saw their events is not known.
    fn settle_mismatches(&mut self) {
        for mismatch in std::mem::take(&mut self.mismatches) {
            let customer = self.customers.get(mismatch.customer).filter(|customer| customer.is_spread);
            let excused = customer.is_some_and(|customer| match mismatch.check {
                Check::RequiredCommands => customer.commanded & bit(mismatch.trigger) != 0,
                Check::NoOtherCommands => customer.required & bit(mismatch.trigger) != 0,
                Check::CommandFields => true,
                Check::OneEnding
                | Check::OneOutcome
                | Check::OutcomesOfCommands
                | Check::RetriesOfCommands
                | Check::DeadLettersOfCommands
                | Check::Sessions
                | Check::Windows => false,
            });
            if !excused {
                self.findings.violation(mismatch.check, mismatch.violation);
            }
        }
    }

    pub(super) fn tell_in_order(&mut self, check: Check, mut found: Found) {
        found.sort_by_key(|(at, _)| *at);
        for (_, violation) in found {
            self.findings.violation(check, violation);
        }
    }

    fn letters_without_records(&mut self) {
        let mut found: [Found; 2] = [Vec::new(), Vec::new()];
        let mut out_of_range = 0;
        for (source, letter) in self.ledger.letters.iter().filter(|(_, letter)| !letter.is_found) {
            if self.course.holds(*source) || !self.is_of_its_stage(*source, letter) {
                let mut violation = self.violation("a dead letter of a record that is not there", letter.at);
                violation.against = Some(self.lanes.source(*source).to_string());
                found[usize::from(letter.stage == Stage::Dispatch)].push((letter.at, violation));
            } else {
                out_of_range += 1;
            }
        }
        (0..out_of_range).for_each(|_| self.findings.count(Counted::OutOfRange));
        let [of_events, of_commands] = found;
        self.tell_in_order(check_of(Stage::Evaluate), of_events);
        self.tell_in_order(check_of(Stage::Dispatch), of_commands);
    }

    fn is_of_its_stage(&self, source: At, letter: &Letter) -> bool {
        let topic = self.lanes.topic(source.lane);
        match letter.stage {
            Stage::Evaluate => self.is_activity(source),
            Stage::Dispatch => topic == self.terms.topics.commands || topic == self.terms.topics.retries,
        }
    }

    fn commands_without_events(&mut self) {
        let mut found = Vec::new();
        let mut counted = Vec::new();
        let mut checked = 0;
        let issued = self.ledger.commands.iter().chain(&self.ledger.shadows);
        for (id, issued) in issued {
            checked += 1;
            if issued.is_caused {
                continue;
            }
            let what = match &issued.redrive_of {
                Some(of) => {
                    counted.push(Counted::Redriven);
                    match self.ledger.commands.get(of) {
                        Some(first)
                            if (first.tenant, first.customer, first.trigger)
                                == (issued.tenant, issued.customer, issued.trigger) =>
                        {
                            continue;
                        }
                        Some(_) => "a further try of a command that asks another customer",
                        None if self.is_before_commands(issued.issued_at) => continue,
                        None => "a further try of a command that is not there",
                    }
                }
                None if self.is_activity(issued.cause) && !self.course.holds(issued.cause) => {
                    counted.push(Counted::OutOfRange);
                    continue;
                }
                None => "a command without an event: its cause is not the event that it names",
            };
            let mut violation =
                self.of_command(self.violation(what, issued.at), *id, issued.tenant, Some(issued.trigger));
            violation.against = Some(self.lanes.source(issued.cause).to_string());
            found.push((issued.at, violation));
        }
        for ((id, cause), at) in self.ledger.further.iter().filter(|((_, cause), _)| self.course.holds(*cause)) {
            let what = "a further record of a command whose cause is not the event that it names";
            let tenant = self.ledger.commands.get(id).map_or(u32::MAX, |first| first.tenant);
            let mut violation = self.of_command(self.violation(what, *at), *id, tenant, None);
            violation.against = Some(self.lanes.source(*cause).to_string());
            found.push((*at, violation));
        }
        (0..checked).for_each(|_| self.findings.checked(Check::NoOtherCommands));
        counted.into_iter().for_each(|what| self.findings.count(what));
        self.tell_in_order(Check::NoOtherCommands, found);
    }

    /// Whether what is missing may have been issued before the range of the commands begins.
    fn is_before_commands(&self, at: Timestamp) -> bool {
        self.commands_since.is_some_and(|since| at <= since.plus(self.terms.max_command_age).plus(GRACE))
    }

    fn commands_without_outcomes(&mut self) {
        let mut found = Vec::new();
        let (mut checked, mut pending, mut given_up) = (0, 0, 0);
        for (id, issued) in &self.ledger.commands {
            checked += 1;
            let what = match self.ledger.outcomes.get(id) {
                Some(ended) if ended.tenant != issued.tenant => "tenant_id of an outcome is not its command's",
                Some(ended) if ended.customer != issued.customer => "customer_id of an outcome is not its command's",
                Some(ended) if ended.trigger != issued.trigger => "event of an outcome is not its command's",
                Some(ended) if !ended.references.contains(&issued.reference) => {
                    "reference of an outcome is not its command's"
                }
                Some(_) => continue,
                None if self.ledger.given_up.contains(id) => {
                    given_up += 1;
                    continue;
                }
                None if self.is_overdue(issued.expires_at) => "a command without an outcome",
                None => {
                    pending += 1;
                    continue;
                }
            };
            let ended = self.ledger.outcomes.get(id);
            let at = ended.map_or(issued.at, |ended| ended.at);
            let mut violation = self.of_command(self.violation(what, at), *id, issued.tenant, Some(issued.trigger));
            violation.against = ended.map(|_| self.lanes.source(issued.at).to_string());
            found.push((at, violation));
        }
        (0..checked).for_each(|_| self.findings.checked(Check::OneOutcome));
        (0..pending).for_each(|_| self.findings.count(Counted::Pending));
        (0..given_up).for_each(|_| self.findings.count(Counted::GivenUp));
        self.tell_in_order(Check::OneOutcome, found);
    }

    fn outcomes_without_commands(&mut self) {
        let ledger = &self.ledger;
        let known = |id: &Id| ledger.commands.contains_key(id);
        let strange = ledger.outcomes.iter().filter(|(id, _)| !known(id));
        let strange: Vec<_> = strange.map(|(id, ended)| (*id, ended.at, ended.tenant, ended.completed_at)).collect();
        (0..ledger.outcomes.len()).for_each(|_| self.findings.checked(Check::OutcomesOfCommands));
        self.of_nobody(Check::OutcomesOfCommands, "an outcome of no command", strange);
    }

    fn retries_without_commands(&mut self) {
        let ledger = &self.ledger;
        let strange = ledger.retries.iter().filter(|(id, _)| !ledger.commands.contains_key(*id));
        let strange: Vec<_> = strange.map(|(id, (at, issued_at))| (*id, *at, u32::MAX, *issued_at)).collect();
        (0..ledger.retries.len()).for_each(|_| self.findings.checked(Check::RetriesOfCommands));
        self.of_nobody(Check::RetriesOfCommands, "a further try of a command that is not there", strange);
    }

    /// Tells what belongs to a command that is not there, unless that may have been before the range.
    fn of_nobody(&mut self, check: Check, what: &str, strange: Vec<(Id, At, u32, Timestamp)>) {
        let mut found = Vec::new();
        for (id, at, tenant, time) in strange {
            if self.is_before_commands(time) {
                self.findings.count(Counted::OutOfRange);
            } else {
                let shadow =
                    if self.ledger.shadows.contains_key(&id) { ": it is in shadow and asks nobody" } else { "" };
                let violation = self.violation(format!("{what}{shadow}"), at);
                found.push((at, self.of_command(violation, id, tenant, None)));
            }
        }
        self.tell_in_order(check, found);
    }

    /// A command that was rejected or has expired stands in the dead letters as such, and no other does.
    fn letters_and_outcomes(&mut self) {
        let mut found = Vec::new();
        let (mut checked, mut pending) = (0, 0);
        for (id, ended) in &self.ledger.outcomes {
            let Some(code) = ended.letter else { continue };
            checked += 1;
            if self.ledger.ended_letters.contains_key(&(*id, code)) {
                continue;
            }
            if !self.is_overdue(ended.written_at) {
                pending += 1;
                continue;
            }
            let what = format!("a command that ended as {} is not in the dead letters", ended.status);
            found.push((
                ended.at,
                self.of_command(self.violation(what, ended.at), *id, ended.tenant, Some(ended.trigger)),
            ));
        }
        let mut out_of_range = 0;
        for ((id, code), (at, written_at)) in &self.ledger.ended_letters {
            let ended = self.ledger.outcomes.get(id);
            if ended.is_some_and(|ended| ended.letter == Some(*code)) {
                continue;
            }
            if ended.is_none() && self.is_before_commands(*written_at) {
                out_of_range += 1;
                continue;
            }
            if ended.is_none() && !self.is_overdue(*written_at) {
                pending += 1;
                continue;
            }
            let what = match ended {
                Some(ended) => format!("a command in the dead letters as {} ended as {}", code.name(), ended.status),
                None => format!("a command in the dead letters as {} has no outcome", code.name()),
            };
            found.push((*at, self.of_command(self.violation(what, *at), *id, u32::MAX, None)));
        }
        (0..checked).for_each(|_| self.findings.checked(Check::DeadLettersOfCommands));
        (0..pending).for_each(|_| self.findings.count(Counted::Pending));
        (0..out_of_range).for_each(|_| self.findings.count(Counted::OutOfRange));
        self.tell_in_order(Check::DeadLettersOfCommands, found);
    }
}

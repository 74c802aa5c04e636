//! What went in, record by record: what of it had to be given up, and what was.

use super::auditor::{Auditor, written_at};
use super::findings::{Check, Counted};
use super::ledger::{Id, Issued};
use super::names::At;
use crate::domain::event::Event;
use crate::domain::ids::{CommandId, EventId};
use crate::domain::outcome::RejectCode;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::edge::kafka::range::RangeRecord;
use crate::wire::audit::{Violation, digest};
use crate::wire::dead_letter::MAX_CUT_KEY;
use crate::wire::event::{self, Decoded, MAX_BYTES};
use crate::wire::window::customer_key;

/// One event, with what is asked of it again and again.
pub(super) struct Case<'a> {
    pub(super) event: &'a Event,
    pub(super) at: At,
    pub(super) written_at: Timestamp,
    pub(super) tenant: u32,
    pub(super) customer: u128,
}

impl Case<'_> {
    pub(super) fn id(&self, trigger: Trigger) -> Id {
        CommandId::of(&self.event.tenant, trigger, &self.event.id).0.as_u128()
    }

    pub(super) fn triggers(&self) -> &'static [Trigger] {
        self.event.activity.kind().tests()
    }
}

impl Auditor {
    /// A record of an activity topic.
    pub(super) fn activity(&mut self, record: &RangeRecord<'_>) {
        self.seen.events += 1;
        self.findings.checked(Check::OneEnding);
        let at = self.lanes.at(record.topic, record.partition, record.offset);
        match event::decode(record.payload, &self.terms.evaluate.rates) {
            Decoded::Event(event) => {
                let written_at = written_at(record).unwrap_or(event.occurred_at);
                self.course.begins(at, written_at, event.occurred_at);
                let tenant = self.names.number(&event.tenant);
                let customer = customer_key(&event.tenant, &event.customer);
                let case = Case { event: &event, at, written_at, tenant, customer };
                if self.is_decided(&case, record) {
                    self.find_causes(&case);
                    if self.terms.preferences.is_some() {
                        self.decide(&case);
                    }
                }
            }
            Decoded::UnknownType { .. } => {
                self.findings.count(Counted::UnknownTypes);
                if let Some(letter) = self.ledger.letters.get_mut(&at) {
                    letter.is_found = true;
                    let of = letter.at;
                    self.letter_violation(
                        "an event of an unknown type stands in the dead letters".into(),
                        at,
                        of,
                        None,
                    );
                }
            }
            Decoded::Rejected { rejection, id } => self.rejected(at, rejection.code, id.as_ref(), record),
        }
    }

    /// A record that no rule can process: it must stand in the dead letters, as it came.
    fn rejected(&mut self, at: At, code: RejectCode, id: Option<&EventId>, record: &RangeRecord<'_>) {
        let Some(letter) = self.ledger.letters.get_mut(&at) else {
            if !self.is_settled(at) {
                return self.findings.count(Counted::Pending);
            }
            let what = format!("an event that cannot be processed ({}) is not in the dead letters", code.name());
            let event_id = id.map(ToString::to_string);
            let violation = Violation { event_id, ..self.violation(what, at) };
            return self.findings.violation(Check::OneEnding, violation);
        };
        letter.is_found = true;
        let (of, said, key, payload) = (letter.at, letter.code, letter.key, letter.payload);
        if said != code {
            let what = format!("an event that is {} stands in the dead letters as {}", code.name(), said.name());
            return self.letter_violation(what, at, of, id);
        }
        self.compare_bytes(at, of, (key, payload), record, id);
    }

    fn compare_bytes(
        &mut self,
        at: At,
        of: At,
        (key, payload): (Option<u128>, Option<u128>),
        record: &RangeRecord<'_>,
        id: Option<&EventId>,
    ) {
        // What is too long for a producer goes there with its beginning.
        let is = |told: Option<u128>, whole: Option<&[u8]>, most| {
            let beginning = whole.and_then(|whole| whole.get(..most));
            told == whole.map(digest) || (beginning.is_some() && told == beginning.map(digest))
        };
        if !is(key, record.key, MAX_CUT_KEY) || !is(payload, record.payload, MAX_BYTES) {
            self.letter_violation("a dead letter is not the record as it came".into(), at, of, id);
        }
    }

    fn letter_violation(&mut self, what: String, at: At, letter: At, id: Option<&EventId>) {
        let mut violation = self.violation(what, at);
        violation.against = Some(self.lanes.source(letter).to_string());
        violation.event_id = id.map(ToString::to_string);
        self.findings.violation(Check::OneEnding, violation);
    }

    /// Whether an event in order was decided, or given up for what the clock or the preferences said.
    fn is_decided(&mut self, case: &Case<'_>, record: &RangeRecord<'_>) -> bool {
        let Some(letter) = self.ledger.letters.get_mut(&case.at) else { return self.is_no_letter_right(case) };
        letter.is_found = true;
        let (of, code, written_at) = (letter.at, letter.code, letter.written_at);
        let bytes = (letter.key, letter.payload);
        let id = Some(&case.event.id);
        self.compare_bytes(case.at, of, bytes, record, id);
        // It was evaluated after it was written, and before its dead letter was.
        let limit = self.terms.evaluate.max_clock_skew;
        let is_future = case.event.occurred_at > written_at.min(case.written_at.plus(limit));
        if !code.is_by_the_clock() || (code == RejectCode::TimestampInFuture && !is_future) {
            let what = format!("an event that can be processed stands in the dead letters as {}", code.name());
            self.letter_violation(what, case.at, of, id);
        } else {
            self.findings.count(Counted::ByTheClock);
        }
        let is_commanded = case.triggers().iter().any(|trigger| {
            let id = case.id(*trigger);
            let here = |issued: Option<&Issued>| issued.is_some_and(|issued| issued.cause == case.at);
            here(self.ledger.commands.get(&id)) || here(self.ledger.shadows.get(&id))
        });
        if is_commanded {
            self.findings.count(Counted::DecidedAfterAll);
        }
        is_commanded
    }

    /// Whether an event without a dead letter may be without one: not where it was in the future for whoever read it.
    fn is_no_letter_right(&mut self, case: &Case<'_>) -> bool {
        let read_by = self.course.passed_by(case.at, 0).unwrap_or(self.terms.now);
        if case.event.occurred_at <= read_by.plus(self.terms.evaluate.max_clock_skew) {
            return true;
        }
        if !self.is_settled(case.at) {
            self.findings.count(Counted::Pending);
            return false;
        }
        let mut violation = self.violation("an event from the future is not in the dead letters", case.at);
        violation.event_id = Some(case.event.id.to_string());
        violation.tenant_id = Some(case.event.tenant.to_string());
        self.findings.violation(Check::OneEnding, violation);
        false
    }
}

//! What the checks found: of each promise how often it was checked and broken, and the first violations.

use std::collections::BTreeMap;

use crate::wire::audit::{Checked, Report, Violation};

/// So many violations of each promise are told one by one.
const TOLD: usize = 20;

/// The promises, in the order of the walk of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Check {
    OneEnding,
    RequiredCommands,
    NoOtherCommands,
    CommandFields,
    OneOutcome,
    OutcomesOfCommands,
    RetriesOfCommands,
    DeadLettersOfCommands,
    Sessions,
    Windows,
}

impl Check {
    pub(super) const ALL: [Self; 10] = [
        Self::OneEnding,
        Self::RequiredCommands,
        Self::NoOtherCommands,
        Self::CommandFields,
        Self::OneOutcome,
        Self::OutcomesOfCommands,
        Self::RetriesOfCommands,
        Self::DeadLettersOfCommands,
        Self::Sessions,
        Self::Windows,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneEnding => "one_ending",
            Self::RequiredCommands => "required_commands",
            Self::NoOtherCommands => "no_other_commands",
            Self::CommandFields => "command_fields",
            Self::OneOutcome => "one_outcome",
            Self::OutcomesOfCommands => "outcomes_of_commands",
            Self::RetriesOfCommands => "retries_of_commands",
            Self::DeadLettersOfCommands => "dead_letters_of_commands",
            Self::Sessions => "sessions",
            Self::Windows => "windows",
        }
    }

    pub(super) fn promise(self) -> &'static str {
        match self {
            Self::OneEnding => "an event stands in the dead letters if it cannot be processed, and only then",
            Self::RequiredCommands => "every required command is there",
            Self::NoOtherCommands => "no command is there that is not required",
            Self::CommandFields => "a command says what its event says",
            Self::OneOutcome => "every command has exactly one outcome",
            Self::OutcomesOfCommands => "every outcome is that of a command",
            Self::RetriesOfCommands => "what waits to be tried again is a command",
            Self::DeadLettersOfCommands => "rejected and expired commands stand in the dead letters, and no others",
            Self::Sessions => "no command has two sessions whose tokens reached an outcome",
            Self::Windows => "windows in the store are what the events say",
        }
    }
}

/// What is counted and is no violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counted {
    /// The same record again, as a crash may leave it.
    RepeatedRecords,
    /// Sessions whose token reached no outcome.
    Orphans,
    /// Decisions that live may have made otherwise, for a reason that cannot be seen any more.
    Undecided,
    /// Commands that were given up for want of the store, and have no outcome until they are sent back.
    GivenUp,
    /// What may still come.
    Pending,
    /// Commands decided by another version of the preferences than the one at hand.
    OtherVersion,
    /// Events given up for what the clock or the preferences said at the time.
    ByTheClock,
    /// Of those, the ones that were decided all the same when they were delivered again.
    DecidedAfterAll,
    /// Records that belong to something outside of the range.
    OutOfRange,
    /// Commands that are further tries of others.
    Redriven,
    /// Customers whose events come through several partitions: compared by trigger only.
    SeveralPartitions,
    UnknownTypes,
}

impl Counted {
    pub(super) const ALL: [Self; 12] = [
        Self::RepeatedRecords,
        Self::Orphans,
        Self::Undecided,
        Self::GivenUp,
        Self::Pending,
        Self::OtherVersion,
        Self::ByTheClock,
        Self::DecidedAfterAll,
        Self::OutOfRange,
        Self::Redriven,
        Self::SeveralPartitions,
        Self::UnknownTypes,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RepeatedRecords => "repeated_records",
            Self::Orphans => "orphans",
            Self::Undecided => "undecided",
            Self::GivenUp => "given_up",
            Self::Pending => "pending",
            Self::OtherVersion => "other_version",
            Self::ByTheClock => "by_the_clock",
            Self::DecidedAfterAll => "decided_after_all",
            Self::OutOfRange => "out_of_range",
            Self::Redriven => "redriven",
            Self::SeveralPartitions => "several_partitions",
            Self::UnknownTypes => "unknown_types",
        }
    }
}

#[derive(Debug, Default)]
struct Finding {
    checked: u64,
    violations: u64,
    first: Vec<Violation>,
    skipped: Option<&'static str>,
}

#[derive(Debug)]
pub(super) struct Findings {
    of: Vec<Finding>,
    counted: [u64; Counted::ALL.len()],
    undecided: BTreeMap<&'static str, u64>,
    pub(super) notes: Vec<String>,
}

impl Findings {
    pub(super) fn new() -> Self {
        Self {
            of: Check::ALL.iter().map(|_| Finding::default()).collect(),
            counted: [0; Counted::ALL.len()],
            undecided: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn checked(&mut self, check: Check) {
        self.of[check as usize].checked += 1;
    }

    pub(super) fn violation(&mut self, check: Check, violation: Violation) {
        let finding = &mut self.of[check as usize];
        finding.violations += 1;
        if finding.first.len() < TOLD {
            finding.first.push(violation);
        }
    }

    pub(super) fn skip(&mut self, check: Check, reason: &'static str) {
        self.of[check as usize].skipped = Some(reason);
    }

    pub(super) fn count(&mut self, what: Counted) {
        self.counted[what as usize] += 1;
    }

    pub(super) fn undecided(&mut self, reason: &'static str) {
        self.count(Counted::Undecided);
        *self.undecided.entry(reason).or_default() += 1;
    }

    pub(super) fn violations(&self) -> u64 {
        self.of.iter().map(|finding| finding.violations).sum()
    }

    /// Writes everything into an answer.
    pub(super) fn tell(self, report: &mut Report) {
        let checks = Check::ALL.iter().zip(self.of).map(|(check, finding)| Checked {
            name: check.name(),
            promise: check.promise(),
            checked: finding.checked,
            violations: finding.violations,
            first: finding.first,
            skipped: finding.skipped,
        });
        report.checks = checks.collect();
        report.counted = Counted::ALL.iter().map(|what| (what.name(), self.counted[*what as usize])).collect();
        report.undecided = self.undecided;
        report.notes = self.notes;
    }
}

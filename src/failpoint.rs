//! Places between the steps of the walk at which a test may end the process, as a crash would.
//!
//! For tests only: a build without debug assertions has none of it. `STEPUP_FAILPOINT=evaluate.recorded:5` ends the process
//! at once when it passes the place `evaluate.recorded` for the fifth time; nothing is flushed, finished or committed.

/// A place between two steps, named after the step that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A batch of events was taken; nothing was done with it.
    EvaluateTaken,
    /// The preferences of its tenants are known.
    EvaluateLookedUp,
    /// Its bets are in the windows.
    EvaluateRecorded,
    /// Its claims are taken.
    EvaluateDecided,
    /// Its commands and dead letters are acknowledged.
    EvaluateSent,
    /// It is counted, and not reported finished yet.
    EvaluateCounted,
    /// It is reported finished, and not committed yet.
    EvaluateFinished,
    /// A batch of commands was taken; nothing was done with it.
    DispatchTaken,
    /// It is known which of them have an outcome already.
    DispatchAdmitted,
    /// An attempt is on record, and not made yet.
    DispatchNoted,
    /// The service has answered, and nobody knows of it yet.
    DispatchCalled,
    /// The outcome is fixed, and not published yet.
    DispatchFixed,
    /// The outcome is acknowledged.
    DispatchPublished,
    /// A command stands on the retries topic, and its first record is not finished yet.
    DispatchParked,
    /// A command is reported finished, and not committed yet.
    DispatchFinished,
}

impl Step {
    /// Every place, each role's in the order of its walk.
    pub const ALL: [Self; 15] = [
        Self::EvaluateTaken,
        Self::EvaluateLookedUp,
        Self::EvaluateRecorded,
        Self::EvaluateDecided,
        Self::EvaluateSent,
        Self::EvaluateCounted,
        Self::EvaluateFinished,
        Self::DispatchTaken,
        Self::DispatchAdmitted,
        Self::DispatchNoted,
        Self::DispatchCalled,
        Self::DispatchFixed,
        Self::DispatchPublished,
        Self::DispatchParked,
        Self::DispatchFinished,
    ];

    /// The name by which the environment asks for it: the role and the step.
    pub fn name(self) -> &'static str {
        match self {
            Self::EvaluateTaken => "evaluate.taken",
            Self::EvaluateLookedUp => "evaluate.looked_up",
            Self::EvaluateRecorded => "evaluate.recorded",
            Self::EvaluateDecided => "evaluate.decided",
            Self::EvaluateSent => "evaluate.sent",
            Self::EvaluateCounted => "evaluate.counted",
            Self::EvaluateFinished => "evaluate.finished",
            Self::DispatchTaken => "dispatch.taken",
            Self::DispatchAdmitted => "dispatch.admitted",
            Self::DispatchNoted => "dispatch.noted",
            Self::DispatchCalled => "dispatch.called",
            Self::DispatchFixed => "dispatch.fixed",
            Self::DispatchPublished => "dispatch.published",
            Self::DispatchParked => "dispatch.parked",
            Self::DispatchFinished => "dispatch.finished",
        }
    }
}

/// Ends the process where the environment asks for it at this place.
#[cfg(debug_assertions)]
pub fn pass(step: Step) {
    asked::pass(step);
}

/// Does nothing: there are no failpoints in this build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn pass(_: Step) {}

#[cfg(debug_assertions)]
mod asked {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Step;

    /// What the environment asks for: a place, and how often it is still to be passed.
    pub(super) struct Asked {
        step: Step,
        left: AtomicU64,
    }

    static ASKED: OnceLock<Option<Asked>> = OnceLock::new();

    #[allow(clippy::disallowed_methods, reason = "no setting of a deployment, and not there in its build")]
    pub(super) fn pass(step: Step) {
        let asked = ASKED.get_or_init(|| read(&std::env::var("STEPUP_FAILPOINT").ok()?));
        if asked.as_ref().is_some_and(|asked| asked.is_met(step)) {
            std::process::abort();
        }
    }

    /// Reads `evaluate.recorded:5`; without a number it is the first time.
    pub(super) fn read(text: &str) -> Option<Asked> {
        let (name, times) = text.split_once(':').unwrap_or((text, "1"));
        let step = Step::ALL.into_iter().find(|step| step.name() == name)?;
        Some(Asked { step, left: AtomicU64::new(times.parse().ok().filter(|times| *times > 0)?) })
    }

    impl Asked {
        /// Whether this passing is the one that was asked for.
        pub(super) fn is_met(&self, step: Step) -> bool {
            self.step == step && self.left.fetch_sub(1, Ordering::Relaxed) == 1
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn the_passing_that_was_asked_for_is_met_once_and_no_other() {
        let asked = asked::read("dispatch.fixed:3").unwrap();
        let passed = [Step::DispatchFixed, Step::DispatchCalled, Step::DispatchFixed, Step::DispatchFixed];
        assert_eq!(passed.map(|step| asked.is_met(step)), [false, false, false, true]);
        assert!(!asked.is_met(Step::DispatchFixed));
        assert!(asked::read("evaluate.taken").unwrap().is_met(Step::EvaluateTaken));
        for nothing in ["", "evaluate", "evaluate.taken:0", "evaluate.taken:x", "dispatch.recorded:1"] {
            assert!(asked::read(nothing).is_none(), "{nothing}");
        }
    }

    #[test]
    fn every_place_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Step::ALL.iter().map(|step| step.name()).collect();
        assert_eq!(names.len(), Step::ALL.len());
    }
}

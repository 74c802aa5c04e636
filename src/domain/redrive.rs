//! Which dead letters may go back to where they came from, and as what.

use super::outcome::RejectCode;

/// What a second try of a record can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondTry {
    /// It may end otherwise, once this is so.
    May { once: &'static str },
    /// It ends the same, for this reason.
    Same { because: &'static str },
}

impl RejectCode {
    /// What a second try of a record that ended under this code can change.
    pub fn second_try(self) -> SecondTry {
        match self {
            Self::TooLarge => SecondTry::Same { because: "its bytes do not become fewer" },
            Self::InvalidJson | Self::MissingField | Self::InvalidField => {
                SecondTry::Same { because: "its bytes stay what they are" }
            }
            Self::UnknownCurrency => SecondTry::May { once: "evaluate.rates has a rate for its currency" },
            Self::TimestampInFuture => SecondTry::May { once: "its time has come" },
            Self::PreferencesUnavailable => SecondTry::May { once: "its tenant's preferences can be read" },
            Self::StoreUnavailable => SecondTry::May { once: "Redis answers again" },
            Self::Rejected => SecondTry::May { once: "what the service refused it for is mended" },
            Self::Expired => SecondTry::May { once: "the service can be reached in time" },
        }
    }
}

/// Which of our inputs a dead letter came from, by its stage and its source topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Activity,
    Commands,
    /// None of those that its stage reads.
    Foreign,
}

/// How much of the record stands in a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Whole,
    /// Only its beginning.
    Cut,
}

/// Whether the payload of a dead letter is a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Command,
    Other,
}

/// Whether the operator wants it although it ends the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// As what a dead letter goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// With the bytes and the key that it came with.
    AsItCame,
    /// As a new command, which takes the old one up again.
    Anew,
    /// As the same command with its whole age before it: it has no outcome yet, or one that nobody could publish.
    Renewed,
}

/// Why a dead letter does not go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Its headers are not those of a dead letter.
    Unreadable,
    /// It did not come from any of our inputs.
    ForeignSource,
    /// Its end is lost.
    Cut,
    /// A second try ends the same.
    EndsTheSame,
    /// It cannot become a new command, for it is none.
    NoCommand,
}

impl Refusal {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::ForeignSource => "foreign_source",
            Self::Cut => "cut",
            Self::EndsTheSame => "ends_the_same",
            Self::NoCommand => "no_command",
        }
    }

    /// Whether [`Force::Yes`] overrides it.
    pub fn can_be_forced(self) -> bool {
        match self {
            Self::EndsTheSame | Self::NoCommand => true,
            Self::Unreadable | Self::ForeignSource | Self::Cut => false,
        }
    }
}

/// As what a dead letter goes back, or why it does not.
///
/// A record that was no command was never delivered under a new id, and a copy of it may have been under its own. So it
/// goes back under that one, where whatever became of the copy stands; and it keeps its expiry, so that nobody is asked
/// after the outcome may be forgotten.
pub fn course(code: RejectCode, input: Input, body: Body, content: Content, force: Force) -> Result<Course, Refusal> {
    let forced = |refusal| match force {
        Force::Yes => Ok(Course::AsItCame),
        Force::No => Err(refusal),
    };
    if input == Input::Foreign {
        return Err(Refusal::ForeignSource);
    }
    if body == Body::Cut {
        return Err(Refusal::Cut);
    }
    match (code.second_try(), input, content) {
        (SecondTry::Same { .. }, _, _) => forced(Refusal::EndsTheSame),
        (SecondTry::May { .. }, Input::Commands, Content::Command) if code == RejectCode::StoreUnavailable => {
            Ok(Course::Renewed)
        }
        (SecondTry::May { .. }, Input::Commands, Content::Command) => Ok(Course::Anew),
        (SecondTry::May { .. }, Input::Commands, Content::Other) => forced(Refusal::NoCommand),
        (SecondTry::May { .. }, Input::Activity | Input::Foreign, _) => Ok(Course::AsItCame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_second_try_cannot_change_goes_back_only_where_it_is_forced() {
        use Content::{Command, Other};
        use Input::{Activity, Commands};
        let same = (Err(Refusal::EndsTheSame), Ok(Course::AsItCame));
        let as_it_came = (Ok(Course::AsItCame), Ok(Course::AsItCame));
        for (code, input, content, (want, want_forced)) in [
            (RejectCode::TooLarge, Activity, Other, same),
            (RejectCode::InvalidJson, Activity, Other, same),
            (RejectCode::MissingField, Activity, Other, same),
            (RejectCode::InvalidField, Activity, Other, same),
            (RejectCode::UnknownCurrency, Activity, Other, as_it_came),
            (RejectCode::TimestampInFuture, Activity, Other, as_it_came),
            (RejectCode::PreferencesUnavailable, Activity, Other, as_it_came),
            (RejectCode::PreferencesUnavailable, Activity, Command, as_it_came),
            (RejectCode::Rejected, Commands, Command, (Ok(Course::Anew), Ok(Course::Anew))),
            (RejectCode::Expired, Commands, Command, (Ok(Course::Anew), Ok(Course::Anew))),
            (RejectCode::StoreUnavailable, Activity, Other, as_it_came),
            (RejectCode::StoreUnavailable, Commands, Command, (Ok(Course::Renewed), Ok(Course::Renewed))),
            (RejectCode::Expired, Commands, Other, (Err(Refusal::NoCommand), Ok(Course::AsItCame))),
            (RejectCode::InvalidJson, Commands, Other, same),
            // It reads as a command now, and a copy of it may have brought a session under its id.
            (RejectCode::InvalidField, Commands, Command, same),
        ] {
            assert_eq!(course(code, input, Body::Whole, content, Force::No), want, "{code:?} {input:?}");
            assert_eq!(course(code, input, Body::Whole, content, Force::Yes), want_forced, "{code:?} {input:?}");
        }
    }

    #[test]
    fn what_is_cut_or_came_from_elsewhere_never_goes_back() {
        for code in RejectCode::ALL {
            for force in [Force::No, Force::Yes] {
                for content in [Content::Command, Content::Other] {
                    let course = |input, body| course(*code, input, body, content, force);
                    assert_eq!(course(Input::Activity, Body::Cut), Err(Refusal::Cut));
                    assert_eq!(course(Input::Commands, Body::Cut), Err(Refusal::Cut));
                    for body in [Body::Whole, Body::Cut] {
                        assert_eq!(course(Input::Foreign, body), Err(Refusal::ForeignSource));
                    }
                }
            }
        }
        let forced = [Refusal::EndsTheSame, Refusal::NoCommand];
        for refusal in [Refusal::Unreadable, Refusal::ForeignSource, Refusal::Cut, forced[0], forced[1]] {
            assert_eq!(refusal.can_be_forced(), forced.contains(&refusal), "{}", refusal.name());
        }
    }
}

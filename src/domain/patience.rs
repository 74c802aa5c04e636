//! How long a role waits for what it cannot do without, and when it gives up. Pure: time comes in as an argument.

use std::time::Duration;

/// What a role does while something that it cannot do without is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnavailable {
    /// It keeps its place for ever.
    Hold,
    /// It keeps its place for so long; what needs the missing thing goes to the dead letters from then on.
    DeadLetter { after: Duration },
}

/// What is known of one thing that a role cannot do without. Times are those since any moment that stays the same.
#[derive(Debug, Clone, Default)]
pub struct Patience {
    away: Option<Away>,
}

#[derive(Debug, Clone)]
struct Away {
    since: Duration,
    tried: Duration,
    given_up: bool,
}

/// What follows from an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// To be tried again; after this the patience is at its end, if it ever is.
    Wait { at_most: Option<Duration> },
    /// To be done without. It is the first time since it was there that it is said.
    GiveUp,
    /// The same, said before.
    GiveUpStill,
}

impl Patience {
    /// An attempt failed at `now`, the first of its row at `began`. Others who tried in the meantime may have succeeded:
    /// whoever waits for longer than he should gives up all the same.
    pub fn failed(&mut self, terms: OnUnavailable, began: Duration, now: Duration) -> Verdict {
        let away = self.away.get_or_insert(Away { since: now, tried: now, given_up: false });
        away.tried = now;
        let OnUnavailable::DeadLetter { after } = terms else { return Verdict::Wait { at_most: None } };
        let left = after.saturating_sub(now.saturating_sub(away.since.min(began)));
        if !left.is_zero() && !away.given_up {
            return Verdict::Wait { at_most: Some(left) };
        }
        if std::mem::replace(&mut away.given_up, true) { Verdict::GiveUpStill } else { Verdict::GiveUp }
    }

    /// It is there. Tells whether it was given up.
    pub fn is_there(&mut self) -> bool {
        self.away.take().is_some_and(|away| away.given_up)
    }

    /// Whether the last attempt failed.
    pub fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Whether it was given up, and nobody has tried for `quiet`.
    pub fn is_forgotten(&self, quiet: Duration, now: Duration) -> bool {
        self.away.as_ref().is_some_and(|away| away.given_up && now.saturating_sub(away.tried) >= quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    enum Happens {
        /// An attempt fails whose row began at this second.
        Fails(u64),
        Works,
    }

    #[test]
    fn a_role_waits_its_time_then_gives_up_until_the_thing_is_back_and_waits_afresh_then() {
        use Happens::{Fails, Works};
        use Verdict::{GiveUp, GiveUpStill, Wait};
        let terms = OnUnavailable::DeadLetter { after: seconds(60) };
        let wait = |left| Some(Wait { at_most: Some(seconds(left)) });
        let mut patience = Patience::default();
        for (second, happens, want) in [
            (100, Fails(100), wait(60)),
            (130, Fails(100), wait(30)),
            // Whoever begins later has no more time than the first.
            (140, Fails(140), wait(20)),
            (160, Fails(100), Some(GiveUp)),
            (160, Fails(140), Some(GiveUpStill)),
            (500, Fails(500), Some(GiveUpStill)),
            (501, Works, None),
            (502, Fails(502), wait(60)),
            (540, Works, None),
            // One for whom it never worked gives up, whatever the others had.
            (561, Fails(502), wait(1)),
            (562, Fails(502), Some(GiveUp)),
            (563, Fails(563), Some(GiveUpStill)),
        ] {
            let got = match happens {
                Fails(began) => Some(patience.failed(terms, seconds(began), seconds(second))),
                Works => {
                    patience.is_there();
                    None
                }
            };
            assert_eq!(got, want, "at second {second}");
        }
    }

    #[test]
    fn a_role_that_holds_never_gives_up() {
        let mut patience = Patience::default();
        for second in [0, 60, 1_000_000] {
            let verdict = patience.failed(OnUnavailable::Hold, Duration::ZERO, seconds(second));
            assert_eq!(verdict, Verdict::Wait { at_most: None });
        }
        assert!(patience.is_away() && !patience.is_forgotten(Duration::ZERO, seconds(2_000_000)));
        assert!(!patience.is_there(), "it was never given up");
    }

    #[test]
    fn what_was_given_up_and_nobody_asks_for_is_forgotten() {
        let mut patience = Patience::default();
        patience.failed(OnUnavailable::DeadLetter { after: Duration::ZERO }, seconds(5), seconds(5));
        assert!(!patience.is_forgotten(seconds(10), seconds(14)));
        assert!(patience.is_forgotten(seconds(10), seconds(15)));
        assert!(patience.is_there() && !patience.is_away());
    }
}

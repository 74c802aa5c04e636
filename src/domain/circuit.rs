//! The circuit breaker of a service: whether it is called at all while it fails, and how it is called again when it is well.
//! Pure: chance and time come in as arguments. Times are those since any moment that stays the same.

use std::time::Duration;

/// What a breaker goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// It opens after so many failures in a row; 0 is never.
    pub failures: u32,
    /// How long it stays open at first. It doubles with every probe that fails.
    pub pause: Duration,
    /// And is never longer than this.
    pub longest: Duration,
    /// The most calls at once: where recovery ends.
    pub most: usize,
}

/// The leave to make one call. It is given back with what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call that is not reported holds up the others"]
pub struct Pass {
    /// The state in which the call began: what it comes to says nothing of a later one.
    epoch: u64,
    /// It finds out whether an open breaker may close.
    pub is_probe: bool,
}

/// What a call tells of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It answered for itself, whatever it said.
    Well,
    /// There was no answer, or one of failure.
    Failing,
    /// It asked for patience, or somebody between answered.
    Unclear,
    /// No call was made.
    NotMade,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    Closed,
    /// Nobody calls.
    Open,
    /// One call finds out.
    HalfOpen,
    /// More and more call at once.
    Recovering,
}

impl Standing {
    pub const ALL: [Self; 4] = [Self::Closed, Self::Open, Self::HalfOpen, Self::Recovering];

    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Recovering => "recovering",
        }
    }
}

/// A breaker.
#[derive(Debug, Clone)]
pub struct Circuit {
    terms: Terms,
    state: State,
    epoch: u64,
    /// Calls that began in this state.
    under_way: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failed: u32,
    },
    Open {
        until: Duration,
        pause: Duration,
    },
    HalfOpen {
        pause: Duration,
    },
    /// Whether somebody had to wait since the last call that went well.
    Recovering {
        at_once: usize,
        pause: Duration,
        refused: bool,
    },
}

impl Circuit {
    pub fn new(terms: Terms) -> Self {
        Self { terms, state: State::Closed { failed: 0 }, epoch: 0, under_way: 0 }
    }

    pub fn standing(&self) -> Standing {
        match self.state {
            State::Closed { .. } => Standing::Closed,
            State::Open { .. } => Standing::Open,
            State::HalfOpen { .. } => Standing::HalfOpen,
            State::Recovering { .. } => Standing::Recovering,
        }
    }

    /// Until when nobody calls, where that is still to come.
    pub fn open_until(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Open { until, .. } if until > now => Some(until),
            State::Open { .. } | State::Closed { .. } | State::HalfOpen { .. } | State::Recovering { .. } => None,
        }
    }

    /// Leave for one more call, if there is any now.
    pub fn admit(&mut self, now: Duration) -> Option<Pass> {
        let most = match self.state {
            State::Closed { .. } => usize::MAX,
            State::Open { until, .. } if until > now => 0,
            State::Open { pause, .. } => {
                self.turn(State::HalfOpen { pause });
                1
            }
            State::HalfOpen { .. } => 1,
            State::Recovering { at_once, .. } => at_once,
        };
        if self.under_way >= most {
            if let State::Recovering { refused, .. } = &mut self.state {
                *refused = true;
            }
            return None;
        }
        self.under_way += 1;
        Some(Pass { epoch: self.epoch, is_probe: matches!(self.state, State::HalfOpen { .. }) })
    }

    /// A call has ended. `chance` is uniform in 0..1.
    pub fn ended(&mut self, pass: Pass, signal: Signal, now: Duration, chance: f64) {
        if pass.epoch != self.epoch {
            return;
        }
        self.under_way = self.under_way.saturating_sub(1);
        let Terms { failures, pause: first, longest, most } = self.terms;
        match (self.state, signal) {
            (State::Closed { .. }, Signal::Well) => self.state = State::Closed { failed: 0 },
            (State::Closed { failed }, Signal::Failing) => {
                let failed = failed.saturating_add(1);
                self.state = State::Closed { failed };
                if failures > 0 && failed >= failures {
                    self.open(first, now, chance);
                }
            }
            (State::HalfOpen { pause }, Signal::Well) => {
                self.turn(State::Recovering { at_once: 2, pause, refused: false });
            }
            (State::HalfOpen { pause }, Signal::Failing) => {
                self.open(pause.saturating_mul(2).min(longest), now, chance)
            }
            (State::HalfOpen { pause }, Signal::Unclear) => self.open(pause, now, chance),
            (State::Recovering { at_once, pause, refused }, Signal::Well) => {
                // Little traffic never gets to the most, and needs no bound.
                let enough = !refused && u32::try_from(at_once).is_ok_and(|at_once| at_once > failures);
                if at_once + 1 >= most || enough {
                    self.turn(State::Closed { failed: 0 });
                } else {
                    self.state = State::Recovering { at_once: at_once + 1, pause, refused: false };
                }
            }
            (State::Recovering { at_once: 0..=1, pause, .. }, Signal::Failing) => {
                self.open(pause.saturating_mul(2).min(longest), now, chance);
            }
            (State::Recovering { at_once, pause, refused }, Signal::Failing) => {
                self.state = State::Recovering { at_once: at_once / 2, pause, refused };
            }
            (State::Closed { .. } | State::Recovering { .. }, Signal::Unclear | Signal::NotMade)
            | (State::HalfOpen { .. }, Signal::NotMade)
            | (State::Open { .. }, Signal::Well | Signal::Failing | Signal::Unclear | Signal::NotMade) => {}
        }
    }

    /// Between half and all of the pause, so that replicas do not come back as one.
    fn open(&mut self, pause: Duration, now: Duration, chance: f64) {
        let pause = pause.min(self.terms.longest);
        let until = now.saturating_add(pause.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0)));
        self.turn(State::Open { until, pause });
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
        self.under_way = 0;
    }
}

#[cfg(test)]
#[path = "circuit_tests.rs"]
mod tests;

//! The retry budget of a service: how many calls are made again, as a share of those that are made for the first time. So
//! retries add little to the load of a service that fails. Pure: time comes in as an argument.

use std::time::Duration;

/// What a budget goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// How many calls may be made again for each that is made for the first time.
    pub share: f64,
    /// So many a second may be made again whatever the traffic is, or what failed at its end would never be.
    pub least: f64,
    /// The most that can be saved up.
    pub most: f64,
}

/// Saved up before the first call: the first few failures of a quiet service should not wait.
const AT_FIRST: f64 = 10.0;

/// What is left for retries. A retry that works is given back and counts as a first call: only failures cost, and after an
/// outage retries grow with what works.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    terms: Terms,
    left: f64,
    /// When `least` was last added, by a clock that only runs forward.
    at: Duration,
}

impl RetryBudget {
    pub fn new(terms: Terms, now: Duration) -> Self {
        Self { left: AT_FIRST.min(terms.most), terms, at: now }
    }

    /// A call was made for the first time.
    pub fn first(&mut self) {
        self.add(self.terms.share);
    }

    /// Takes one retry, if one is left.
    pub fn take(&mut self, now: Duration) -> bool {
        let since = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        self.add(self.terms.least * since.as_secs_f64());
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }

    /// A retry was not made after all.
    pub fn give_back(&mut self) {
        self.add(1.0);
    }

    /// A retry was answered by the service itself.
    pub fn worked(&mut self) {
        self.add(1.0 + self.terms.share);
    }

    fn add(&mut self, retries: f64) {
        self.left = (self.left + retries).min(self.terms.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { share: 0.1, least: 1.0, most: 200.0 };

    /// How many of `wanted` retries a second are made beside `first` first calls a second, in so many seconds.
    fn made(first: u32, wanted: u32, seconds: u32, works: impl Fn(u32) -> bool) -> u32 {
        let mut budget = RetryBudget::new(TERMS, Duration::ZERO);
        let mut made = 0;
        for second in 0..seconds {
            (0..first).for_each(|_| budget.first());
            for part in 0..wanted {
                let now = Duration::from_secs(u64::from(second)) + Duration::from_secs(1) * part / wanted;
                if budget.take(now) {
                    made += 1;
                    if works(second) {
                        budget.worked();
                    }
                }
            }
        }
        made
    }

    #[test]
    fn a_service_that_fails_wholly_sees_a_tenth_more_calls() {
        for (first, seconds) in [(10, 600), (100, 60), (1_000, 60)] {
            let retries = made(first, first * 3, seconds, |_| false);
            let calls = f64::from(first * seconds);
            let most = 0.1 * calls + f64::from(seconds) + AT_FIRST;
            assert!(f64::from(retries) <= most && f64::from(retries) > 0.09 * calls, "{retries} beside {calls}");
        }
    }

    #[test]
    fn what_works_costs_nothing_and_recovery_is_quick() {
        assert_eq!(made(0, 50, 10, |_| true), 500, "each makes room for the next");
    }

    #[test]
    fn without_traffic_one_a_second_is_made_again() {
        let made = made(0, 10, 100, |_| false);
        assert!((108..=110).contains(&made), "{made}, of which ten were saved up");
    }

    #[test]
    fn savings_have_an_end_and_what_was_not_made_is_not_paid_for() {
        let mut budget = RetryBudget::new(TERMS, Duration::ZERO);
        (0..10_000).for_each(|_| budget.first());
        assert_eq!(std::iter::from_fn(|| budget.take(Duration::ZERO).then_some(())).count(), 200);
        budget.give_back();
        assert!(budget.take(Duration::ZERO) && !budget.take(Duration::ZERO));
    }
}

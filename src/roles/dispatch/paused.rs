//! How long commands wait that somebody has paused, before they are looked at again: the longer, the more of them there are,
//! for each look reads and writes a record. Pure: chance and time come in as arguments.

use std::time::Duration;

use tokio::time::Instant;

/// A few go on soon after they may.
const SHORTEST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(60);
/// About so many are looked at in a second at the most, as long as the longest wait allows it.
const LOOKS: f64 = 250.0;

/// The paused commands, as far as they were counted.
#[derive(Debug)]
pub(super) struct Paused {
    wait: Duration,
    /// Those that came by since `since`; within one wait each of them does.
    seen: u32,
    since: Instant,
}

impl Paused {
    pub(super) fn new(now: Instant) -> Self {
        Self { wait: SHORTEST, seen: 0, since: now }
    }

    /// How long one more waits; not all of them for as long. `chance` is uniform in 0..1.
    pub(super) fn wait(&mut self, now: Instant, chance: f64) -> Duration {
        if now.saturating_duration_since(self.since) >= self.wait {
            self.wait = Duration::from_secs_f64(f64::from(self.seen) / LOOKS).clamp(SHORTEST, LONGEST);
            (self.seen, self.since) = (0, now);
        }
        self.seen = self.seen.saturating_add(1);
        self.wait.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest wait after so many have come by again and again for so many seconds.
    fn wait(commands: u32, seconds: u64) -> Duration {
        let now = Instant::now();
        let mut paused = Paused::new(now);
        let mut due: Vec<Duration> = vec![Duration::ZERO; commands as usize];
        for second in 0..seconds {
            let passed = Duration::from_secs(second);
            for due in due.iter_mut().filter(|due| **due <= passed) {
                *due = passed + paused.wait(now + passed, 1.0);
            }
        }
        paused.wait
    }

    #[test]
    fn a_few_are_looked_at_every_four_seconds_and_many_no_more_often_than_the_looks_allow() {
        assert_eq!(wait(1, 100), SHORTEST);
        assert_eq!(wait(1_000, 100), SHORTEST);
        let many = wait(10_000, 300);
        assert!((Duration::from_secs(30)..LONGEST).contains(&many), "{many:?}");
        assert_eq!(wait(100_000, 300), LONGEST);
        let mut few = Paused::new(Instant::now());
        few.wait = LONGEST;
        let later = few.since + LONGEST;
        assert_eq!(few.wait(later, 0.0), SHORTEST / 2, "most of them went on");
    }
}

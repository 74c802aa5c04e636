//! When each event is to be sent. Pure: the clock is the caller's, chance comes from a seed.
//!
//! Arrivals are those of a unit rate, even or by chance, stretched by the rate that is wanted at each moment. What follows
//! is an open loop: a time is due whatever became of the events before it.

use std::f64::consts::TAU;
use std::time::Duration;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::rate::Rate;
use crate::domain::time::Timestamp;

/// How events follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Arrivals {
    /// One after the other at the same distance.
    Even,
    /// Each by itself, as customers who know nothing of each other.
    Poisson,
    /// In clumps of some twenty at once.
    Bursts,
}

/// When the next event is due, counted from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// As soon as it can be sent.
    Now,
    At(Duration),
    /// There is no next one.
    Over,
}

/// The average number of events of a clump.
const CLUMP: f64 = 20.0;
/// How much of the average rate a day's rhythm adds at its height and takes away at its low.
const SWING: f64 = 0.8;
/// The rate is taken as constant within such a slice, in seconds.
const SLICE: f64 = 0.005;

/// Gives the due times of a run, one after the other.
pub(super) struct Pace {
    rate: Rate,
    arrivals: Arrivals,
    /// The length of one day, in seconds.
    day: Option<f64>,
    /// In seconds.
    ends: f64,
    chance: ChaCha8Rng,
    /// Where the last event was, in seconds.
    at: f64,
    slice: u64,
    /// Events of the current clump that are still to come.
    clump: u32,
    first: bool,
    /// The time of the first recorded event, and when the last one was due.
    recorded: Option<Timestamp>,
    latest: Duration,
}

impl Pace {
    pub(super) fn new(
        rate: Rate,
        arrivals: Arrivals,
        day: Option<Duration>,
        ends: Option<Duration>,
        seed: u64,
    ) -> Self {
        let ends = [ends, rate.length()].into_iter().flatten().min();
        Self {
            arrivals,
            day: day.map(|day| day.as_secs_f64()).filter(|day| *day > 0.0),
            ends: ends.map_or(f64::INFINITY, |ends| ends.as_secs_f64()),
            // A stream beside that of the customers, or the two would move together.
            chance: ChaCha8Rng::seed_from_u64(seed ^ 0x7061_6365),
            at: 0.0,
            slice: 0,
            clump: 0,
            first: true,
            recorded: None,
            latest: Duration::ZERO,
            rate,
        }
    }

    /// When the next event is due. `recorded_at` is its own time, which counts only where the rate is that of the recording.
    pub(super) fn next(&mut self, recorded_at: Option<Timestamp>) -> Due {
        match &self.rate {
            Rate::Max => Due::Now,
            Rate::Recorded { factor } => self.as_recorded(*factor, recorded_at),
            Rate::Constant(_) | Rate::Ramp { .. } | Rate::Steps(_) => {
                let need = self.gap();
                if self.advance(need) { Due::At(Duration::from_secs_f64(self.at)) } else { Due::Over }
            }
        }
    }

    /// How many milliseconds after the start a recorded time falls, or before it where that is negative; only at the
    /// recording's own rate.
    pub(super) fn rebased(&self, recorded_at: Timestamp) -> Option<f64> {
        let (Rate::Recorded { factor }, Some(first)) = (&self.rate, self.recorded) else { return None };
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of a recording are far below 2^52")]
        Some(recorded_at.0.saturating_sub(first.0) as f64 / factor)
    }

    fn as_recorded(&mut self, factor: f64, recorded_at: Option<Timestamp>) -> Due {
        // What has no time of its own comes right behind what was before it.
        if let Some(at) = recorded_at {
            let first = *self.recorded.get_or_insert(at);
            let apart = at.since(first).as_secs_f64() / factor;
            self.latest = self.latest.max(Duration::try_from_secs_f64(apart).unwrap_or(Duration::MAX));
        }
        if self.latest.as_secs_f64() > self.ends { Due::Over } else { Due::At(self.latest) }
    }

    /// How many events of a unit rate lie between this one and the one before.
    fn gap(&mut self) -> f64 {
        let first = std::mem::take(&mut self.first);
        match self.arrivals {
            Arrivals::Even => f64::from(u8::from(!first)),
            Arrivals::Poisson => self.exponential(),
            Arrivals::Bursts => {
                if self.clump > 0 {
                    self.clump -= 1;
                    return 0.0;
                }
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a clump is some twenty")]
                let more = (self.exponential() / (CLUMP / (CLUMP - 1.0)).ln()) as u32;
                self.clump = more.min(1_000);
                self.exponential() * CLUMP
            }
        }
    }

    fn exponential(&mut self) -> f64 {
        let chance: f64 = self.chance.random();
        -(1.0 - chance).ln()
    }

    /// Goes on until the rate has brought `need` events more; `false` where the run ends before that.
    fn advance(&mut self, mut need: f64) -> bool {
        if let (Rate::Constant(rate), None) = (&self.rate, self.day) {
            self.at += need / rate;
            return self.at <= self.ends;
        }
        loop {
            #[allow(clippy::cast_precision_loss, reason = "slices of a run are far below 2^52")]
            let begins = self.slice as f64 * SLICE;
            let rate = self.rate_at(begins + SLICE / 2.0);
            let brings = rate * (begins + SLICE - self.at).max(0.0);
            if brings > 0.0 && brings >= need {
                self.at += need / rate;
                return self.at <= self.ends;
            }
            need -= brings;
            self.slice += 1;
            self.at = begins + SLICE;
            if self.at > self.ends || (!self.ends.is_finite() && self.rate.is_silent_after(self.at)) {
                return false;
            }
        }
    }

    fn rate_at(&self, at: f64) -> f64 {
        let rhythm = self.day.map_or(1.0, |day| 1.0 - SWING * (TAU * at / day).cos());
        self.rate.at(at, self.ends) * rhythm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: &str, arrivals: Arrivals, day: Option<u64>, ends: Option<u64>) -> Pace {
        let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        Pace::new(rate.parse().unwrap(), arrivals, seconds(day), seconds(ends), 1)
    }

    /// How many events are due in each second of a run.
    fn by_second(mut pace: Pace, seconds: usize) -> Vec<usize> {
        let mut counts = vec![0; seconds];
        let mut before = Duration::ZERO;
        while let Due::At(at) = pace.next(None) {
            assert!(at >= before, "due times rise");
            before = at;
            let Some(count) = counts.get_mut(usize::try_from(at.as_secs()).unwrap()) else { break };
            *count += 1;
        }
        counts
    }

    #[test]
    fn even_arrivals_keep_the_rate_to_the_event() {
        use Arrivals::Even;
        for (rate, ends, want) in [
            ("3", Some(3), vec![3, 3, 3]),
            ("1..5", Some(4), vec![2, 2, 4, 4]),
            ("2:1s,5:2s", None, vec![2, 5, 5]),
            ("0:1s,4:1s", None, vec![0, 4]),
        ] {
            let mut counts = by_second(pace(rate, Even, None, ends), want.len() + 1);
            // The last event may fall on the end itself.
            assert!(counts.pop().unwrap() <= 1);
            for (got, want) in counts.iter().zip(&want) {
                assert!(got.abs_diff(*want) <= 1, "{rate}: {counts:?}");
            }
            assert!(counts.iter().sum::<usize>().abs_diff(want.iter().sum()) <= 1, "{rate}: {counts:?}");
        }
    }

    #[test]
    fn arrivals_by_chance_keep_the_rate_on_the_average() {
        for (arrivals, spread) in [(Arrivals::Poisson, 80..125_usize), (Arrivals::Bursts, 2_500..5_500)] {
            let counts = by_second(pace("100", arrivals, None, Some(400)), 400);
            let mean = counts.iter().sum::<usize>() / counts.len();
            assert!((90..=110).contains(&mean), "{arrivals:?}: {mean}");
            let variance = counts.iter().map(|count| count.abs_diff(mean).pow(2)).sum::<usize>() / counts.len();
            assert!(spread.contains(&variance), "{arrivals:?}: {variance}");
        }
    }

    #[test]
    fn a_day_begins_and_ends_at_its_low() {
        let counts = by_second(pace("100", Arrivals::Even, Some(10), Some(10)), 10);
        assert!(counts[0] < 35 && counts[9] < 35 && counts[4] > 165 && counts[5] > 165, "{counts:?}");
        assert!((980..=1_020).contains(&counts.iter().sum::<usize>()), "{counts:?}");
    }

    #[test]
    fn as_recorded_keeps_distances_and_never_goes_back() {
        let mut pace = pace("recorded*2", Arrivals::Even, None, Some(60));
        let due = |pace: &mut Pace, at: i64| pace.next(Some(Timestamp(at)));
        assert_eq!(due(&mut pace, 10_000), Due::At(Duration::ZERO));
        assert_eq!(due(&mut pace, 14_000), Due::At(Duration::from_secs(2)));
        assert_eq!(due(&mut pace, 11_000), Due::At(Duration::from_secs(2)));
        assert_eq!(pace.next(None), Due::At(Duration::from_secs(2)));
        assert_eq!(pace.rebased(Timestamp(11_000)), Some(500.0));
        assert_eq!(due(&mut pace, 200_000), Due::Over);
    }

    #[test]
    fn as_fast_as_possible_is_always_now_and_silence_ends_a_run() {
        assert_eq!(pace("max", Arrivals::Even, None, None).next(None), Due::Now);
        let mut fading = pace("10:1s,0:1s", Arrivals::Even, None, None);
        let due = std::iter::from_fn(|| Some(fading.next(None))).take_while(|due| *due != Due::Over).count();
        assert!((10..=11).contains(&due), "{due}");
    }

    #[test]
    fn a_seed_gives_the_same_times() {
        let times = |seed| {
            let mut pace = Pace::new("50".parse().unwrap(), Arrivals::Poisson, None, None, seed);
            (0..100).map(|_| pace.next(None)).collect::<Vec<_>>()
        };
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
    }
}

//! How long things took, in bounded memory: histograms overall and by trigger, and the latest interval's own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;

use super::slo::Quantile;
use crate::domain::trigger::Trigger;
use crate::wire::replay::Percentiles;

/// Microseconds with three digits kept, up to an hour; what took longer counts as an hour.
#[derive(Debug, Clone)]
pub(super) struct Latency(Histogram<u64>);

const LONGEST: Duration = Duration::from_secs(3_600);

impl Latency {
    pub(super) fn new() -> anyhow::Result<Self> {
        let longest = u64::try_from(LONGEST.as_micros())?;
        Histogram::new_with_bounds(1, longest, 3).map(Self).context("no histogram")
    }

    pub(super) fn record(&mut self, micros: u64) {
        self.0.saturating_record(micros.max(1));
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Milliseconds below which this share of all lie; `None` where nothing was recorded.
    pub(super) fn at(&self, share: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| millis(self.0.value_at_quantile(share)))
    }

    /// The longest, in milliseconds.
    pub(super) fn max(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| millis(self.0.max()))
    }

    pub(super) fn quantile(&self, quantile: Quantile) -> Option<f64> {
        match quantile {
            Quantile::P50 => self.at(0.5),
            Quantile::P90 => self.at(0.9),
            Quantile::P99 => self.at(0.99),
            Quantile::P999 => self.at(0.999),
            Quantile::Max => self.max(),
        }
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        Percentiles {
            p50: self.quantile(Quantile::P50),
            p90: self.quantile(Quantile::P90),
            p99: self.quantile(Quantile::P99),
            p999: self.quantile(Quantile::P999),
            max: self.quantile(Quantile::Max),
        }
    }

    fn clear(&mut self) {
        self.0.reset();
    }
}

fn millis(micros: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "an hour of microseconds is far below 2^52")]
    let micros = micros as f64;
    micros / 1_000.0
}

/// From the moment an event was meant to be sent to the moment a consequence of it was read.
#[derive(Debug, Clone)]
pub(super) struct Consequence {
    pub(super) overall: Latency,
    pub(super) by_trigger: BTreeMap<Trigger, Latency>,
    empty: Latency,
}

impl Consequence {
    pub(super) fn new() -> anyhow::Result<Self> {
        let empty = Latency::new()?;
        Ok(Self { overall: empty.clone(), by_trigger: BTreeMap::new(), empty })
    }

    pub(super) fn record(&mut self, trigger: Trigger, micros: u64) {
        self.overall.record(micros);
        self.by_trigger.entry(trigger).or_insert_with(|| self.empty.clone()).record(micros);
    }

    pub(super) fn percentiles_of(&self, trigger: Trigger) -> Percentiles {
        self.by_trigger.get(&trigger).map(Latency::percentiles).unwrap_or_default()
    }
}

/// Where a run stood at one moment, and how long commands took since the moment before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// Since the start.
    pub(super) at: Duration,
    pub(super) produced: u64,
    pub(super) decided: u64,
    pub(super) commands: u64,
    pub(super) outcomes: u64,
    /// Milliseconds from event to command; `None` where there was no command.
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

impl Sample {
    pub(super) fn lag(&self) -> u64 {
        self.produced.saturating_sub(self.decided)
    }
}

/// The course of a run, a sample a second; a long run keeps fewer.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) samples: Vec<Sample>,
    pub(super) interval: Duration,
    latest: Latency,
}

/// More samples than this are thinned out.
const MOST_SAMPLES: usize = 3_600;

impl Course {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self { samples: Vec::new(), interval: Duration::from_secs(1), latest: Latency::new()? })
    }

    pub(super) fn record(&mut self, micros: u64) {
        self.latest.record(micros);
    }

    /// The p99 of the interval that is not over yet, or of the one before it.
    pub(super) fn p99(&self) -> Option<f64> {
        self.latest.at(0.99).or_else(|| self.samples.last()?.p99)
    }

    pub(super) fn is_due(&self, at: Duration) -> bool {
        self.samples.last().is_none_or(|last| at >= last.at + self.interval)
    }

    /// Takes a sample; its percentiles are those of what was recorded since the last one.
    pub(super) fn take(&mut self, sample: Sample) {
        self.samples.push(Sample { p50: self.latest.at(0.5), p99: self.latest.at(0.99), ..sample });
        self.latest.clear();
        if self.samples.len() > MOST_SAMPLES {
            self.thin();
        }
    }

    /// Keeps every other sample, with the worse percentiles of two.
    fn thin(&mut self) {
        let worse = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        let pair = |pair: &[Sample]| {
            let (first, last) = (pair[0], pair[pair.len() - 1]);
            Sample { p50: worse(first.p50, last.p50), p99: worse(first.p99, last.p99), ..last }
        };
        self.samples = self.samples.chunks(2).map(pair).collect();
        self.interval *= 2;
    }

    /// The best rate of decided events a second over at least five seconds: what the deployment holds when it gets all that
    /// it can take. Positions are committed now and then, so only moments at which they moved count.
    pub(super) fn plateau(&self) -> Option<f64> {
        const LEAST: Duration = Duration::from_secs(5);
        let moved = |pair: &[Sample]| (pair[1].decided > pair[0].decided).then_some(pair[1]);
        let moments: Vec<Sample> = self.samples.windows(2).filter_map(moved).collect();
        let mut best: Option<f64> = None;
        let mut end = 0;
        for begin in &moments {
            while moments.get(end).is_some_and(|moment| moment.at < begin.at + LEAST) {
                end += 1;
            }
            let Some(moment) = moments.get(end) else { break };
            #[allow(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
            let rate = (moment.decided - begin.decided) as f64 / (moment.at - begin.at).as_secs_f64();
            best = Some(best.map_or(rate, |best| best.max(rate)));
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, decided: u64) -> Sample {
        let at = Duration::from_secs(at);
        Sample { at, produced: decided + 7, decided, commands: 0, outcomes: 0, p50: None, p99: None }
    }

    #[test]
    fn percentiles_are_milliseconds_and_nothing_is_nothing() {
        let mut latency = Latency::new().unwrap();
        assert_eq!(latency.percentiles(), Percentiles::default());
        for micros in 1..=10_000 {
            latency.record(micros * 100);
        }
        let near = |value: Option<f64>, want: f64| (value.unwrap() / want - 1.0).abs() < 0.002;
        let got = latency.percentiles();
        assert!(near(got.p50, 500.0) && near(got.p90, 900.0) && near(got.p99, 990.0), "{got:?}");
        assert!(near(got.p999, 999.0) && near(got.max, 1_000.0), "{got:?}");
        latency.record(u64::MAX);
        assert!(near(latency.max(), 3_600_000.0));
    }

    #[test]
    fn the_plateau_is_the_best_of_five_seconds() {
        let plateau = |decided: &[u64]| {
            let mut course = Course::new().unwrap();
            for (at, decided) in decided.iter().enumerate() {
                course.take(sample(at as u64, *decided));
            }
            course.plateau()
        };
        assert_eq!(plateau(&[]), None);
        assert_eq!(plateau(&[0, 100, 200, 300]), None, "too short");
        assert_eq!(plateau(&[0, 10, 20, 120, 220, 320, 420, 520, 530, 530, 530, 530]), Some(100.0));
        // A jump alone is no plateau.
        assert_eq!(plateau(&[0, 1, 2, 3, 4, 5, 500, 501, 502]), Some(99.8));
    }

    #[test]
    fn a_long_course_keeps_fewer_samples_and_the_worst_of_them() {
        let mut course = Course::new().unwrap();
        for at in 0..=MOST_SAMPLES as u64 {
            if at == 100 {
                course.record(50_000);
            }
            assert!(course.is_due(Duration::from_secs(at)));
            course.take(sample(at, at * 10));
        }
        assert_eq!(course.samples.len(), MOST_SAMPLES / 2 + 1);
        assert_eq!(course.interval, Duration::from_secs(2));
        assert!(!course.is_due(Duration::from_secs(3_601)));
        let seen: Vec<_> = course.samples.iter().filter_map(|sample| sample.p99).collect();
        assert_eq!(seen.len(), 1);
        assert_eq!(course.samples[3].lag(), 7);
    }
}

//! The lag of every partition, as a collector of its own: a gauge vector hashes its label values joined together, so
//! partition 11 of `bets-1` and partition 1 of `bets-11` would share one series.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::catalogue::Entry;
use super::labels::Role;
use super::totals::Behind;

type Partitions = BTreeMap<(Role, String, i32), u64>;

/// The gauge of the records that each assigned partition still holds.
#[derive(Clone)]
pub(super) struct Lag {
    entry: &'static Entry,
    desc: Desc,
    partitions: Arc<Mutex<Partitions>>,
}

impl Lag {
    /// The labels of `entry` are role, topic and partition.
    pub(super) fn new(entry: &'static Entry) -> Result<Self, prometheus::Error> {
        let labels = entry.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(entry.name.to_owned(), entry.help.to_owned(), labels, std::collections::HashMap::new())?;
        Ok(Self { entry, desc, partitions: Arc::default() })
    }

    pub(super) fn set(&self, role: Role, topic: &str, partition: i32, records: u64) {
        self.partitions().insert((role, topic.to_owned(), partition), records);
    }

    pub(super) fn forget(&self, role: Role, topic: &str, partition: i32) {
        self.partitions().remove(&(role, topic.to_owned(), partition));
    }

    pub(super) fn all(&self) -> Vec<Behind> {
        let of = |((role, topic, partition), records): (&(Role, String, i32), &u64)| Behind {
            role: *role,
            topic: topic.clone(),
            partition: *partition,
            records: *records,
        };
        self.partitions().iter().map(of).collect()
    }

    fn partitions(&self) -> MutexGuard<'_, Partitions> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Lag {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let partitions = self.partitions();
        let samples = partitions.iter().map(|((role, topic, partition), records)| {
            let values = [role.name().to_owned(), topic.clone(), partition.to_string()];
            let labels = self.entry.labels.iter().zip(values).map(|(name, value)| {
                let mut label = LabelPair::default();
                label.set_name((*name).to_owned());
                label.set_value(value);
                label
            });
            let mut gauge = Gauge::default();
            gauge.set_value(*records as f64);
            let mut sample = Metric::from_label(labels.collect());
            sample.set_gauge(gauge);
            sample
        });
        let mut family = MetricFamily::default();
        family.set_name(self.entry.name.to_owned());
        family.set_help(self.entry.help.to_owned());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(samples.collect());
        vec![family]
    }
}

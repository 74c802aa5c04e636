//! Names in few bytes: partitions and tenants by number, records by partition and offset.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::ids::{Source, TenantId};

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct At {
    /// The number of its partition.
    pub(super) lane: u32,
    pub(super) offset: i64,
}

/// Every partition that came up, by number.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    names: Vec<(Arc<str>, i32)>,
    numbers: HashMap<Arc<str>, HashMap<i32, u32>>,
}

impl Lanes {
    pub(super) fn at(&mut self, topic: &Arc<str>, partition: i32, offset: i64) -> At {
        At { lane: self.lane(topic, partition), offset }
    }

    pub(super) fn lane(&mut self, topic: &Arc<str>, partition: i32) -> u32 {
        if let Some(lane) = self.numbers.get(topic).and_then(|partitions| partitions.get(&partition)) {
            return *lane;
        }
        let lane = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push((Arc::clone(topic), partition));
        self.numbers.entry(Arc::clone(topic)).or_default().insert(partition, lane);
        lane
    }

    pub(super) fn of_source(&mut self, source: &Source) -> At {
        self.at(&source.topic, source.partition, source.offset)
    }

    pub(super) fn topic(&self, lane: u32) -> &str {
        self.names.get(lane as usize).map_or("", |(topic, _)| topic)
    }

    pub(super) fn source(&self, at: At) -> Source {
        let (topic, partition) = self.names.get(at.lane as usize).cloned().unwrap_or_else(|| ("".into(), -1));
        Source { topic, partition, offset: at.offset }
    }
}

/// Every tenant that came up, by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    tenants: Vec<TenantId>,
    numbers: HashMap<TenantId, u32>,
}

impl Names {
    pub(super) fn number(&mut self, tenant: &TenantId) -> u32 {
        if let Some(number) = self.numbers.get(tenant) {
            return *number;
        }
        let number = u32::try_from(self.tenants.len()).unwrap_or(u32::MAX);
        self.tenants.push(tenant.clone());
        self.numbers.insert(tenant.clone(), number);
        number
    }

    pub(super) fn name(&self, number: u32) -> Option<&TenantId> {
        self.tenants.get(number as usize)
    }
}

//! Bets of as many tenants as are wanted, whose preferences are asked for over HTTP and known before anything is measured.

use stepup::domain::time::Timestamp;

use crate::events::{self, Bets, Event};
use crate::ground::Ground;
use crate::stack::Stack;
use crate::topic::{self, Written};

/// The bets of a topic, and how evaluate is to read the preferences of their tenants.
pub struct ManyTenants {
    pub stack: Stack,
    pub written: Written,
    /// So many events go by before every tenant is known.
    pub warm_up: usize,
    /// When the bets begin.
    pub began: Timestamp,
    url: String,
}

impl ManyTenants {
    /// Fills a topic with so many bets, and one of each tenant before them.
    pub fn fill(ground: &Ground, name: &str, tenants: u32, customers: u32, events: usize) -> Self {
        let stack = ground.stack(name, tenants);
        let began = events::began(customers, events);
        let first = (0..tenants).map(|tenant| events::bet(u64::from(tenant) | 1 << 40, tenant, tenant, began));
        let bets = first.chain(Bets::since(tenants, customers, began).take(events));
        let written = topic::fill(&ground.brokers(), &stack.topic("activity"), bets);
        let url = format!("{}/api/v1/kyc/preferences", stack.api());
        Self { stack, written, warm_up: tenants as usize + events / 10, began, url }
    }

    /// What evaluate is told of where the preferences are, and how long they last.
    pub fn environment(&self) -> [(&str, &str); 4] {
        [
            ("STEPUP__PREFERENCES__SOURCE", "http"),
            ("STEPUP__PREFERENCES__URL", &self.url),
            ("STEPUP__PREFERENCES__TTL", "15m"),
            ("STEPUP__PREFERENCES__LOOKUPS_PER_SECOND", "100000"),
        ]
    }
}

//! The broker and the Redis of the run, and stepup's stack on them.

use crate::services::{Broker, RedisServer};
use crate::stack::Stack;

pub const PARTITIONS: i32 = 8;
pub const TENANTS: u32 = 10;
pub const CUSTOMERS: u32 = 100_000;

/// Ten bets within five minutes, and what a tenant asks beside it.
pub const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":10,"window_minutes":5},
    "large_bet_placement":{"enabled":true,"threshold":500},"withdrawal":{"enabled":true,"threshold":2000},
    "password_change":true,"new_device_or_location":true}}"#;

pub struct Ground {
    pub broker: Broker,
    pub redis: RedisServer,
}

impl Ground {
    pub fn start() -> Self {
        Self { broker: Broker::start(), redis: RedisServer::start() }
    }

    pub fn brokers(&self) -> String {
        self.broker.brokers()
    }

    /// Topics of their own, and so many tenants that ask the same. An event may be of any age, for a topic tells of hours.
    pub fn stack(&self, name: &str, tenants: u32) -> Stack {
        self.stack_of(name, tenants, PREFERENCES)
    }

    pub fn stack_of(&self, name: &str, tenants: u32, preferences: &str) -> Stack {
        let stack = Stack::on(name, PARTITIONS, &[], &self.brokers(), &self.redis.url());
        for tenant in 0..tenants {
            let path = stack.preferences().join(format!("tenant-{tenant}.json"));
            std::fs::write(path, preferences).expect("the directory takes a document");
        }
        stack.with("evaluate: { max_event_age: 0s }")
    }

    /// Empties Redis.
    pub fn forget(&self) {
        redis::cmd("FLUSHALL").exec(&mut self.redis.connect()).expect("FLUSHALL");
    }
}

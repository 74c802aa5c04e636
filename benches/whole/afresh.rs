//! Evaluate as if it read its topic for the first time, however often it did.

use std::cell::Cell;

use crate::catch_up::{self, CaughtUp, Role};
use crate::ground::{Ground, PARTITIONS};
use crate::many_tenants::ManyTenants;
use crate::services::create_topic;
use crate::stack::Stack;

/// A topic full of activity, for builds that are measured on it again and again.
pub struct Afresh<'a> {
    ground: &'a Ground,
    stack: &'a Stack,
    role: Role<'a>,
    environment: Vec<(&'a str, &'a str)>,
    runs: Cell<usize>,
}

impl<'a> Afresh<'a> {
    pub fn new(ground: &'a Ground, stack: &'a Stack, events: usize) -> Self {
        let role = Role::new("evaluate", "stepup_events_total", events);
        Self { ground, stack, role, environment: Vec::new(), runs: Cell::new(0) }
    }

    /// The same for the bets of many tenants.
    pub fn of_tenants(ground: &'a Ground, many: &'a ManyTenants) -> Self {
        let usual = Self::new(ground, &many.stack, many.written.events);
        let role = Role { warm_up: many.warm_up, ..usual.role };
        Self { role, environment: many.environment().to_vec(), ..usual }
    }

    /// Has evaluate of this build or another work through it, with an empty Redis and as a group of its own.
    pub fn run(&self, program: &str) -> CaughtUp {
        self.ground.forget();
        let group = self.runs.replace(self.runs.get() + 1).to_string();
        // Commands of an earlier run would be read into the emptied Redis first.
        let commands = format!("{}-{group}", self.stack.topic("commands"));
        create_topic(&self.ground.brokers(), &commands, PARTITIONS);
        let own = [("STEPUP__KAFKA__GROUP_ID", group.as_str()), ("STEPUP__KAFKA__TOPICS__COMMANDS", commands.as_str())];
        let environment: Vec<_> = self.environment.iter().copied().chain(own).collect();
        catch_up::run(self.ground, self.stack, &Role { program, environment: &environment, ..self.role })
    }
}

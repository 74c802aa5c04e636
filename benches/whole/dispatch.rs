//! Dispatch against the simulator of the session API, which runs in this process.

use stepup::edge::clock;

use crate::catch_up::{self, Role};
use crate::events::Event;
use crate::figures::{Figures, Line};
use crate::ground::Ground;
use crate::processes::own_cpu;
use crate::topic;

pub fn measure(ground: &Ground, sessions: usize, figures: &mut Figures) {
    ground.forget();
    let stack = ground.stack("sessions", 1);
    topic::fill(&ground.brokers(), &stack.topic("activity"), (0..sessions).map(changed_password));
    let role = Role::new("evaluate", "stepup_events_total", sessions);
    let commands = catch_up::run(ground, &stack, &role).commands;
    assert_eq!(commands, sessions as f64, "every change of a password asks for a session");

    let role = Role::new("dispatch", "stepup_outcomes_total", sessions);
    let own = own_cpu();
    let done = catch_up::run(ground, &stack, &role);
    let simulator = (own_cpu() - own) * 1e6 / sessions as f64;
    let line = Line { memory: Some(done.memory), ..Line::new("stepup dispatch, with the simulator", done.rate) };
    let cpu = done.cpu;
    figures.line("dispatch", &line.ours(cpu.ours).redis(cpu.redis).broker(cpu.broker));
    figures.line("simulator", &Line::cost("  the simulator, in the same run").ours(simulator));
}

/// An event by a customer of its own, which the tenant wants a session for.
fn changed_password(number: usize) -> Event {
    let at = clock::now();
    let payload = format!(
        r#"{{"id":"change-{number:012}","tenant_id":"tenant-0","customer_id":"customer-{number:08}","type":"password_change","occurred_at":"{at}","device":{{"id":"device-{number:08}","country":"GB"}}}}"#
    );
    Event { key: format!("tenant-0/customer-{number:08}"), payload, is_bet: false }
}

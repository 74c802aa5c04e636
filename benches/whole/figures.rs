//! The figures of a run: lines of a table as they come, and all of them by name.

use std::collections::BTreeMap;
use std::path::Path;

use crate::processes::Cpu;

/// Every figure, by its name.
#[derive(Default)]
pub struct Figures(BTreeMap<String, f64>);

/// One line of the table: a rate, and what a million cost. What is absent does not apply.
pub struct Line<'a> {
    pub what: &'a str,
    /// Events, bets or sessions a second.
    pub rate: Option<f64>,
    /// CPU seconds for a million: of the process that works, of Redis, of the broker.
    pub ours: Option<f64>,
    pub redis: Option<f64>,
    pub broker: Option<f64>,
    /// MiB at its peak.
    pub memory: Option<f64>,
    pub commands: Option<f64>,
}

impl<'a> Line<'a> {
    pub fn new(what: &'a str, rate: f64) -> Self {
        Self { rate: Some(rate), ..Self::cost(what) }
    }

    /// A line of costs alone.
    pub fn cost(what: &'a str) -> Self {
        Self { what, rate: None, ours: None, redis: None, broker: None, memory: None, commands: None }
    }

    pub fn ours(self, ours: f64) -> Self {
        Self { ours: Some(ours), ..self }
    }

    pub fn redis(self, redis: f64) -> Self {
        Self { redis: Some(redis), ..self }
    }

    pub fn broker(self, broker: f64) -> Self {
        Self { broker: Some(broker), ..self }
    }
}

/// The head of the table.
pub fn header() {
    println!("{:<44} {:>12} {:>30} {:>9} {:>10}", "", "", "--- CPU s per million ---", "peak", "");
    println!(
        "{:<44} {:>12} {:>10} {:>9} {:>9} {:>9} {:>10}",
        "", "a second", "itself", "Redis", "broker", "MiB", "commands"
    );
}

impl Figures {
    pub fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Prints a line of the table and keeps its figures under `name`.
    pub fn line(&mut self, name: &str, line: &Line<'_>) {
        let cell = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
        let whole = |value: Option<f64>| value.map_or_else(String::new, grouped);
        println!(
            "{:<44} {:>12} {:>10} {:>9} {:>9} {:>9} {:>10}",
            line.what,
            whole(line.rate),
            cell(line.ours),
            cell(line.redis),
            cell(line.broker),
            whole(line.memory),
            whole(line.commands)
        );
        for (figure, value) in [
            ("per_second", line.rate),
            ("cpu_ours", line.ours),
            ("cpu_redis", line.redis),
            ("cpu_broker", line.broker),
            ("peak_mib", line.memory),
            ("commands", line.commands),
        ] {
            if let Some(value) = value {
                self.set(&format!("{name}.{figure}"), value);
            }
        }
    }

    /// Writes every figure as one JSON object.
    pub fn write(&self, path: &Path) {
        let text = serde_json::to_string_pretty(&self.0).expect("numbers");
        std::fs::write(path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("\nevery figure: {}", path.display());
    }
}

/// A number without decimals, its thousands parted by commas.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

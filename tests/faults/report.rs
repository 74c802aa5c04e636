//! What the suite says: a line for each case, and a table at the end.

use std::io::Write as _;
use std::time::Duration;

/// What a case came to.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub events: u64,
    pub faults: u64,
    pub commands: u64,
    /// Sessions that the service made.
    pub sessions: u64,
    /// Of these, those whose token nobody holds, because their answer was lost.
    pub orphans: u64,
    /// How long the queue took to be worked off after the last fault.
    pub recovery: Duration,
}

/// One line of the table.
pub struct Line {
    pub name: &'static str,
    pub seed: u64,
    pub took: Duration,
    pub ended: Ended,
}

pub enum Ended {
    Kept(Figures),
    Violated(String),
    /// Not run, and why.
    Skipped(String),
}

pub fn say(line: &str) {
    // Whoever closed the output does not want to read it.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

impl Line {
    pub fn text(&self) -> String {
        let Self { name, seed, took, ended } = self;
        match ended {
            Ended::Kept(figures) => {
                let Figures { events, faults, commands, sessions, orphans, recovery } = figures;
                format!(
                    "{name:<34} seed {seed:<20} events {events:>7}  faults {faults:>4}  commands {commands:>6}  sessions \
                     {sessions:>6} ({orphans} unused)  violations 0  recovered in {:.1} s  {:.1} s",
                    recovery.as_secs_f64(),
                    took.as_secs_f64()
                )
            }
            Ended::Violated(_) => {
                format!("{name:<34} seed {seed:<20} VIOLATED after {:.1} s", took.as_secs_f64())
            }
            Ended::Skipped(why) => format!("{name:<34} skipped: {why}"),
        }
    }
}

pub fn table(lines: &[Line], took: Duration) {
    if lines.is_empty() {
        return;
    }
    say("");
    say(&format!(
        "{:<34} {:>20} {:>8} {:>7} {:>9} {:>9} {:>11} {:>8}",
        "case", "seed", "events", "faults", "commands", "sessions", "violations", "seconds"
    ));
    let mut sum = Figures::default();
    let mut violated = 0;
    for Line { name, seed, took, ended } in lines {
        let seconds = took.as_secs_f64();
        match ended {
            Ended::Kept(Figures { events, faults, commands, sessions, orphans, .. }) => {
                sum.events += events;
                sum.faults += faults;
                sum.commands += commands;
                sum.sessions += sessions;
                sum.orphans += orphans;
                say(&format!(
                    "{name:<34} {seed:>20} {events:>8} {faults:>7} {commands:>9} {sessions:>9} {:>11} {seconds:>8.1}",
                    0
                ));
            }
            Ended::Violated(_) => {
                violated += 1;
                say(&format!("{name:<34} {seed:>20} {:>8} {:>7} {:>9} {:>9} {:>11} {seconds:>8.1}", "", "", "", "", 1));
            }
            Ended::Skipped(why) => say(&format!("{name:<34} skipped: {why}")),
        }
    }
    say(&format!(
        "{:<34} {:>20} {:>8} {:>7} {:>9} {:>9} {violated:>11} {:>8.1}",
        "all",
        "",
        sum.events,
        sum.faults,
        sum.commands,
        sum.sessions,
        took.as_secs_f64()
    ));
}

//! The answer as people read it.

use std::fmt::Write as _;

use crate::roles::terminal::Terminal;
use crate::wire::audit::{Checked, Report, Violation};

/// So many violations of each promise are shown; all that are told stand in the JSON form.
const SHOWN: usize = 5;

/// The whole answer as text.
pub(super) fn text(report: &Report, terminal: Terminal) -> String {
    let mut out = String::new();
    let figures = [
        ("events", report.events),
        ("commands", report.commands),
        ("in shadow", report.shadow_commands),
        ("outcomes", report.outcomes),
        ("dead letters", report.dead_letters),
        ("retries", report.retries),
        ("sessions", report.sessions),
    ];
    let figures: Vec<String> = figures.iter().map(|(name, number)| format!("{number} {name}")).collect();
    let _ = writeln!(out, "{}\n", figures.join(", "));
    let _ = writeln!(out, "{}", terminal.bold(format!("{:<26}{:>12}{:>12}", "promise", "checked", "violations")));
    for check in &report.checks {
        let line = format!("{:<26}{:>12}{:>12}", check.name, check.checked, check.violations);
        let line = if check.violations > 0 { terminal.bad(line) } else { line };
        let skipped = check.skipped.map(|reason| format!("  {}", terminal.dim(reason))).unwrap_or_default();
        let _ = writeln!(out, "{line}{skipped}");
    }
    let counted = report.counted.iter().chain(&report.undecided).filter(|(_, number)| **number > 0);
    let counted: Vec<String> = counted.map(|(name, number)| format!("{name} {number}")).collect();
    let _ = writeln!(out, "\ncounted: {}", if counted.is_empty() { "nothing".to_owned() } else { counted.join(", ") });
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    for check in report.checks.iter().filter(|check| check.violations > 0) {
        let _ = writeln!(out, "\n{}", terminal.bold(format!("broken: {}", check.promise)));
        for violation in check.first.iter().take(SHOWN) {
            let _ = writeln!(out, "  {}", line(violation));
        }
        let more = check.violations.saturating_sub(check.first.len().min(SHOWN) as u64);
        if more > 0 {
            let _ = writeln!(out, "  … and {more} more");
        }
    }
    let verdict = match (report.ok, report.incomplete) {
        (true, _) => terminal.good("no violation"),
        (false, true) => terminal.bad("incomplete: it was stopped before everything was read"),
        (false, false) => terminal.bad("violated"),
    };
    let _ = writeln!(out, "\n{verdict}");
    out
}

/// The first violation in one sentence, with its promise.
pub(super) fn first(report: &Report) -> Option<String> {
    let broken = |check: &&Checked| check.violations > 0;
    let check = report.checks.iter().find(broken)?;
    let violations: u64 = report.checks.iter().map(|check| check.violations).sum();
    let first = check.first.first().map(line).unwrap_or_default();
    let more = if violations > 1 { format!("{violations} violations, the first of ") } else { "violated: ".to_owned() };
    Some(format!("{more}{}: {first}", check.name))
}

/// One violation in one line.
fn line(violation: &Violation) -> String {
    let mut line = violation.what.clone();
    let parts = [
        ("at", violation.at.as_deref()),
        ("against", violation.against.as_deref()),
        ("tenant", violation.tenant_id.as_deref()),
        ("event", violation.event_id.as_deref()),
        ("trigger", violation.trigger),
        ("command", violation.command_id.as_deref()),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            // An event's id may hold anything.
            let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let _ = write!(line, "; {name} {value}");
        }
    }
    line
}

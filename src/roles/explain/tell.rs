//! An explanation as text, for a terminal of 80 columns.

use std::fmt::Write as _;

use crate::telemetry::Colour;
use crate::wire::explanation::{
    Bet, Command, Ending, Explanation, Knowledge, Outcome, Place, Preferences, Repeat, Rule, Subject, Tested, Window,
};

/// So many columns a line has.
const COLUMNS: usize = 80;
/// Labels and the names of rules stand in so many.
const LABEL: usize = 18;
/// So many bets are listed.
const MOST_BETS: usize = 50;

/// Writes the whole explanation.
pub(super) fn text(explanation: &Explanation, colour: Colour) -> String {
    let mut page = Page { text: String::new(), colour };
    page.subject(&explanation.event);
    match explanation.event.result {
        Ending::Decided => page.preferences(&explanation.preferences),
        Ending::Rejected | Ending::UnknownType => {}
    }
    for note in &explanation.notes {
        page.line("  note", note);
    }
    for tested in &explanation.triggers {
        page.tested(tested);
    }
    for repeat in &explanation.repeats {
        page.repeat(repeat);
    }
    page.text
}

struct Page {
    text: String,
    colour: Colour,
}

impl Page {
    fn subject(&mut self, event: &Subject) {
        let _ = writeln!(self.text, "event {}", self.bold(&shown(&event.id)));
        let amount = event.amount.as_ref().map(|amount| format!(" of {amount} USD")).unwrap_or_default();
        let unknown = || "unknown".to_owned();
        let what = format!(
            "{}{amount} by {} of tenant {}",
            event.kind.clone().unwrap_or_else(unknown),
            event.customer_id.clone().unwrap_or_else(unknown),
            event.tenant_id.clone().unwrap_or_else(unknown)
        );
        self.line("  what", &what);
        if let Some(at) = event.occurred_at {
            self.line("  occurred at", &at.to_string());
        }
        match &event.place {
            Place::Line { line } => self.line("  stands", &format!("line {line}")),
            Place::Record { topic, partition, offset, written_at, .. } => {
                let written = written_at.map(|at| format!(", written {at}")).unwrap_or_default();
                self.line("  stands", &format!("{topic}/{partition}/{offset}{written}"));
            }
        }
        match (&event.rejection, event.result) {
            (Some(rejection), _) => {
                let why = format!("{}: {}", rejection.code, rejection.error);
                self.line("  rejected", &why);
            }
            (None, Ending::UnknownType) => {
                self.line("  skipped", "its type is none that is known; it is counted, and tests no trigger");
            }
            (None, Ending::Decided | Ending::Rejected) => {}
        }
    }

    fn preferences(&mut self, preferences: &Preferences) {
        let version = match preferences.status {
            Knowledge::Known => {
                preferences.updated_at.as_ref().map_or("without a version".to_owned(), |at| format!("version {at}"))
            }
            Knowledge::None => "none".to_owned(),
            Knowledge::Unknown => "unknown".to_owned(),
        };
        let why = preferences.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        self.line("  preferences", &format!("{version}{why}"));
    }

    fn tested(&mut self, tested: &Tested) {
        let _ = writeln!(self.text, "\n{}: {}", tested.trigger, self.decision(tested.decision));
        let decided = tested.rules.iter().rposition(|rule| rule.applies == Some(true));
        for (place, rule) in tested.rules.iter().enumerate() {
            self.rule(rule, decided == Some(place));
        }
        // Where it was met, the rule has told of it.
        if tested.decision != "in_cooldown"
            && let (Some(since), Some(until)) = (tested.cooldown.since, tested.cooldown.until)
        {
            let by = tested.cooldown.held_by.as_ref().map(|event| format!(", held by {event}")).unwrap_or_default();
            self.line("  cool-down", &format!("from {since} until {until}{by}"));
        }
        if let Some(window) = &tested.window {
            self.window(window);
        }
        if tested.command_id.is_some() {
            self.command(tested);
        }
        if let Some(outcome) = &tested.outcome {
            self.outcome(outcome);
        }
        for note in &tested.notes {
            self.line("  note", note);
        }
    }

    fn rule(&mut self, rule: &Rule, decided: bool) {
        let answer = match rule.applies {
            Some(true) => "yes: ",
            Some(false) => "no: ",
            None => "unknown: ",
        };
        let label = format!("  {}", rule.rule);
        let colour = match rule.applies {
            Some(true) if decided => "1",
            Some(true) => "",
            Some(false) => "2",
            None => "33",
        };
        self.painted(&label, &format!("{answer}{}", rule.why), colour);
    }

    fn window(&mut self, window: &Window) {
        let left_out = window.bets.len().saturating_sub(MOST_BETS);
        let head = match (window.bets.len(), left_out) {
            (0, _) => "none is known".to_owned(),
            (all, 0) => format!("{all} around it"),
            (all, _) => format!("the latest {MOST_BETS} of {all} around it"),
        };
        let nameless = window.bets.iter().any(|bet| bet.id.is_none());
        let head = if nameless { format!("{head}; --customer tells the ids that the search meets") } else { head };
        self.line("  bets", &head);
        for Bet { at, id, this } in window.bets.iter().skip(left_out) {
            let id = shown(id.as_deref().unwrap_or("–"));
            let (mark, row) = (if *this { "→" } else { " " }, format!("{at}  {id}"));
            let row = if *this { self.bold(&row) } else { row };
            let _ = writeln!(self.text, "{:LABEL$} {mark} {row}", "");
        }
    }

    fn command(&mut self, tested: &Tested) {
        if let Some(id) = &tested.command_id {
            self.line("  command", id);
        }
        let Some(Command { status, issued_at, topic, partition, offset, preferences_updated_at, why }) =
            &tested.command
        else {
            return;
        };
        let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        match status {
            Knowledge::Known => {
                let at = issued_at.map(|at| format!("at {at}")).unwrap_or_default();
                let place = match (topic, partition, offset) {
                    (Some(topic), Some(partition), Some(offset)) => format!(", {topic}/{partition}/{offset}"),
                    (_, _, _) => String::new(),
                };
                let version = preferences_updated_at.as_deref().unwrap_or("without a version");
                self.line("  issued", &format!("{at}{place}, by preferences {version}"));
            }
            Knowledge::None => self.line("  issued", &format!("no{why}")),
            Knowledge::Unknown => self.line("  issued", &format!("unknown{why}")),
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let Outcome { status, completed_at, attempts, why } = outcome;
        let at = completed_at.map(|at| format!(" at {at}")).unwrap_or_default();
        let after = match attempts {
            Some(1) => " after 1 call".to_owned(),
            Some(calls) => format!(" after {calls} calls"),
            None => String::new(),
        };
        let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        self.line("  outcome", &format!("{}{at}{after}{why}", status.unwrap_or("unknown")));
    }

    fn repeat(&mut self, repeat: &Repeat) {
        let _ = writeln!(self.text, "\nagain on line {}", repeat.line);
        for tested in &repeat.triggers {
            let decided = tested.rules.iter().rfind(|rule| rule.applies == Some(true));
            let why = decided.map(|rule| format!(": {}", rule.why)).unwrap_or_default();
            let _ = writeln!(self.text, "  {}: {}", tested.trigger, self.decision(tested.decision));
            if !why.is_empty() {
                self.line("", why.trim_start_matches(": "));
            }
        }
    }

    fn decision(&self, name: &'static str) -> String {
        match name {
            "required" => self.paint("1;32", name),
            "unknown" => self.paint("1;33", name),
            other => self.bold(other),
        }
    }

    /// A label and what belongs to it, wrapped.
    fn line(&mut self, label: &str, said: &str) {
        self.painted(label, said, "");
    }

    fn painted(&mut self, label: &str, said: &str, colour: &str) {
        let mut label = format!("{label:LABEL$}");
        for row in wrapped(&shown(said), COLUMNS - LABEL - 1) {
            let row = if colour.is_empty() { row } else { self.paint(colour, &row) };
            let _ = writeln!(self.text, "{label} {row}");
            label = " ".repeat(LABEL);
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.colour {
            Colour::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Off => text.to_owned(),
        }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }
}

/// A text that can do nothing to a terminal: senders choose what ids hold.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        // What turns the direction of reading, or breaks a line, does so in a terminal too.
        let turns = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Rows of at most `columns` characters; a longer word has a row of its own.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > columns {
            rows.push(String::new());
            used = 0;
        }
        if let Some(row) = rows.last_mut() {
            if used > 0 {
                row.push(' ');
                used += 1;
            }
            row.push_str(word);
        }
        used += length;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_wrapped_at_words() {
        for (text, want) in [
            ("", vec![""]),
            ("one", vec!["one"]),
            ("one two three", vec!["one two", "three"]),
            ("one twothreefour five", vec!["one", "twothreefour", "five"]),
            ("äöü äöü äöü", vec!["äöü äöü", "äöü"]),
        ] {
            assert_eq!(wrapped(text, 7), want, "{text}");
        }
    }

    #[test]
    fn what_a_sender_wrote_does_nothing_to_a_terminal() {
        assert_eq!(shown("a\u{1b}[31mb\u{9b}é"), "a\\u{1b}[31mb\\u{9b}é");
    }
}

//! The live table, laid out for a terminal of any size that can hold one.

use std::cmp::Reverse;

use unicode_width::UnicodeWidthStr as _;

use super::figures::Figures;
use super::follow::{ASKED, Ended};
use crate::roles::terminal::{Size, Terminal, cut};

/// A smaller terminal cannot hold a table that says anything.
const LEAST: Size = Size { columns: 60, rows: 12 };

/// Before everything but the header.
const INDENT: &str = "  ";
/// Between figures that stand side by side.
const GAP: &str = "   ";

/// Narrower lines say what happened without saying when.
const WITH_CLOCK: usize = 90;
const WIDTH_OF_WHO: usize = 21;
const WIDTH_OF_WHY: usize = 35;

pub(super) fn fits(size: Size) -> bool {
    size.columns >= LEAST.columns && size.rows >= LEAST.rows
}

#[derive(Clone, Copy)]
enum Tone {
    Plain,
    Bold,
    Dim,
    Good,
}

/// A line in pieces, each of one tone.
#[derive(Clone)]
pub(super) struct Line(Vec<(Tone, String)>);

fn plain(text: impl Into<String>) -> Line {
    Line(vec![(Tone::Plain, text.into())])
}

fn dim(text: impl Into<String>) -> Line {
    Line(vec![(Tone::Dim, text.into())])
}

impl Line {
    fn width(&self) -> usize {
        self.0.iter().map(|(_, piece)| piece.width()).sum()
    }

    fn then(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    fn indented(mut self) -> Self {
        self.0.insert(0, (Tone::Plain, INDENT.to_owned()));
        self
    }

    /// The line in at most so many columns, and the columns it takes.
    pub(super) fn shown(&self, columns: usize, terminal: Terminal) -> (String, usize) {
        let (mut text, mut taken) = (String::new(), 0);
        for (tone, piece) in &self.0 {
            let piece = cut(piece, columns - taken);
            taken += piece.width();
            text.push_str(&match tone {
                Tone::Plain => piece.into_owned(),
                Tone::Bold => terminal.bold(piece),
                Tone::Dim => terminal.dim(piece),
                Tone::Good => terminal.good(piece),
            });
        }
        (text, taken)
    }
}

/// The pieces side by side, in as many lines as they need.
fn flowed(pieces: impl IntoIterator<Item = Line>, columns: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if line.width() + GAP.len() + piece.width() <= columns => {
                line.0.push((Tone::Plain, GAP.to_owned()));
                line.0.extend(piece.0);
            }
            _ => lines.push(piece),
        }
    }
    lines
}

/// The table, in one line less than the terminal has: the cursor stands below it.
pub(super) fn table(figures: &Figures, rate: f64, url: &str, recent: &[Ended], size: Size) -> Vec<Line> {
    let room = size.rows.saturating_sub(1);
    let columns = size.columns.saturating_sub(INDENT.len());
    let header = header(figures, url, size.columns);
    let counts = counts(figures, rate, columns);
    let blank = usize::from(header.len() + counts.len() + figures.triggers.len() + 3 <= room);
    let apart = || std::iter::repeat_n(plain(""), blank);

    let mut lines = header;
    lines.extend(apart());
    lines.extend(counts.into_iter().map(Line::indented));
    lines.extend(apart());
    lines.extend(triggers(figures, room.saturating_sub(lines.len())).into_iter().map(Line::indented));
    let left = room.saturating_sub(lines.len() + blank);
    if left > 0 && !recent.is_empty() {
        lines.extend(apart());
        let latest = recent.iter().skip(recent.len().saturating_sub(left));
        lines.extend(latest.map(|ended| ending(ended, columns).indented()));
    }
    lines.truncate(room);
    lines
}

fn header(figures: &Figures, url: &str, columns: usize) -> Vec<Line> {
    let name = Line(vec![(Tone::Bold, "stepup demo".to_owned())]);
    let seconds = plain(format!("{:>3} s", figures.elapsed.as_secs()));
    flowed([name, seconds, dim(format!("page at {url}")), dim("metrics under /metrics")], columns)
}

fn counts(figures: &Figures, rate: f64, columns: usize) -> Vec<Line> {
    let Figures { events, commands, sessions, rejected, .. } = figures;
    let counts = [
        plain(format!("events {events:>7}  {rate:>4.0}/s")),
        plain(format!("commands {commands:>5}")),
        plain("sessions ").then(Tone::Good, format!("{sessions:>5}")),
        plain(format!("dead letters {rejected:>4}")),
    ];
    let latencies = [
        plain(format!("event → command {:<20}", figures.command_latency.to_string())),
        plain(format!("command → outcome {:<20}", figures.session_latency.to_string())),
    ];
    let mut lines = flowed(counts, columns);
    lines.extend(flowed(latencies, columns));
    lines
}

/// By trigger, in at most so many lines: where they are too few, those that required the most.
fn triggers(figures: &Figures, room: usize) -> Vec<Line> {
    let mut lines = vec![dim(format!("{:<25}{:>9}{:>10}{:>14}", "trigger", "tested", "required", "in cool-down"))];
    let mut rows: Vec<_> = figures.triggers.iter().collect();
    let more = (rows.len() + 1).saturating_sub(room);
    if more > 0 {
        rows.sort_by_key(|(_, [tested, required, _])| Reverse((*required, *tested)));
        rows.truncate(rows.len().saturating_sub(more + 1));
    }
    for (trigger, [tested, required, cooling]) in &rows {
        let tone = if *required == 0 { Tone::Dim } else { Tone::Bold };
        let row = plain(format!("{trigger:<25}{tested:>9}")).then(tone, format!("{required:>10}"));
        lines.push(row.then(Tone::Plain, format!("{cooling:>14}")));
    }
    if more > 0 {
        lines.push(dim(format!("and {} more", figures.triggers.len() - rows.len())));
    }
    lines
}

fn ending(ended: &Ended, columns: usize) -> Line {
    let clock = if columns + INDENT.len() >= WITH_CLOCK { format!("{}  ", ended.clock) } else { String::new() };
    let who = cut(&ended.who, WIDTH_OF_WHO);
    let taken = clock.len() + WIDTH_OF_WHO + 2 + 2 + ASKED.len();
    let width = columns.saturating_sub(taken).min(WIDTH_OF_WHY);
    let why = cut(&ended.why, width);
    let tone = if ended.end == ASKED { Tone::Good } else { Tone::Plain };
    plain(format!("{clock}{who:<WIDTH_OF_WHO$}  {why:<width$}  ")).then(tone, ended.end)
}

//! A page as text for a terminal.

mod chart;
mod table;
mod words;

use super::{Block, Figure, Page, Section, Tone};
use crate::roles::terminal::{Terminal, cut};
use crate::telemetry::Colour;
use words::{padded_left, width_of, wrapped};

impl Page {
    /// The page as text of so many columns, without colours.
    pub fn text(&self, width: usize) -> String {
        self.text_on(Terminal { width, colour: Colour::Off })
    }

    /// The page as text for this terminal.
    pub fn text_on(&self, terminal: Terminal) -> String {
        let page = self.plain();
        let mut parts = vec![bold_lines(&page.title, terminal)];
        if !page.lead.is_empty() {
            parts.push(wrapped(&page.lead, terminal.width).join("\n"));
        }
        for section in &page.sections {
            parts.extend(section.text(terminal));
        }
        if !page.footer.is_empty() {
            let lines = wrapped(&page.footer, terminal.width);
            parts.push(lines.iter().map(|line| terminal.dim(line)).collect::<Vec<_>>().join("\n"));
        }
        let mut text = parts.join("\n\n");
        text.push('\n');
        text
    }
}

impl Section {
    fn text(&self, terminal: Terminal) -> Vec<String> {
        let ruled =
            format!("{}\n{}", bold_lines(&self.title, terminal), "─".repeat(width_of(&self.title).min(terminal.width)));
        let block = |block: &Block| match block {
            Block::Text(text) => wrapped(text, terminal.width).join("\n"),
            Block::Figures(figures) => lines_of(figures, terminal),
            Block::Table(table) => table.text(terminal.width).trim_end().to_owned(),
            Block::Chart(chart) => chart.text(terminal).trim_end().to_owned(),
        };
        std::iter::once(ruled).chain(self.blocks.iter().map(block).filter(|text| !text.is_empty())).collect()
    }
}

fn bold_lines(text: &str, terminal: Terminal) -> String {
    wrapped(text, terminal.width).iter().map(|line| terminal.bold(line)).collect::<Vec<_>>().join("\n")
}

/// Figures below each other, their values aligned to the right: a value, whether it is as it should be, what it counts.
fn lines_of(figures: &[Figure], terminal: Terminal) -> String {
    let widest = figures.iter().map(|figure| width_of(&figure.value)).max().unwrap_or(0);
    // At least half of the line is for what the values mean.
    let column = widest.min(terminal.width / 2);
    figures.iter().map(|figure| figure.line(column, terminal)).collect::<Vec<_>>().join("\n")
}

impl Figure {
    /// The figure as a line, its value aligned to the right in so many columns.
    pub fn line(&self, column: usize, terminal: Terminal) -> String {
        let value = padded_left(&cut(&super::plain::plain(&self.value), column), column);
        let (value, mark) = match self.tone {
            Tone::Plain => (value, " ".to_owned()),
            Tone::Good => (terminal.good(value), terminal.good("✓")),
            Tone::Bad => (terminal.bad(value), terminal.bad("✗")),
        };
        let room = terminal.width.saturating_sub(column + 3);
        format!("{value} {mark} {}", cut(&super::plain::plain(&self.label), room)).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests;

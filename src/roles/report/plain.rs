//! Text that others wrote, made harmless for a page and a terminal.

use std::borrow::Cow;

use super::{Axis, Block, Chart, Column, Figure, Page, Section, Series, Table};

/// The text without what moves a cursor, colours a terminal or turns the direction of reading: white space becomes a
/// space, any other control character U+FFFD.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    if text.chars().all(|c| harmless(c) == c) { Cow::Borrowed(text) } else { text.chars().map(harmless).collect() }
}

fn owned(text: &str) -> String {
    plain(text).into_owned()
}

impl Page {
    /// The same page with nothing but harmless text.
    pub(super) fn plain(&self) -> Self {
        Self {
            title: owned(&self.title),
            lead: owned(&self.lead),
            sections: self.sections.iter().map(Section::plain).collect(),
            footer: owned(&self.footer),
        }
    }
}

impl Section {
    fn plain(&self) -> Self {
        let block = |block: &Block| match block {
            Block::Text(text) => Block::Text(owned(text)),
            Block::Figures(figures) => Block::Figures(figures.iter().map(Figure::plain).collect()),
            Block::Table(table) => Block::Table(table.plain()),
            Block::Chart(chart) => Block::Chart(chart.plain()),
        };
        Self { title: owned(&self.title), blocks: self.blocks.iter().map(block).collect() }
    }
}

impl Figure {
    fn plain(&self) -> Self {
        Self { value: owned(&self.value), label: owned(&self.label), tone: self.tone }
    }
}

impl Table {
    /// The same table with nothing but harmless text.
    pub(super) fn plain(&self) -> Self {
        let column = |column: &Column| Column { name: owned(&column.name), align: column.align };
        Self {
            caption: owned(&self.caption),
            columns: self.columns.iter().map(column).collect(),
            rows: self.rows.iter().map(|row| row.iter().map(|cell| owned(cell)).collect()).collect(),
        }
    }
}

impl Chart {
    fn plain(&self) -> Self {
        let axis = |axis: &Axis| Axis { label: owned(&axis.label), ..axis.clone() };
        let series = |series: &Series| Series { name: owned(&series.name), points: series.points.clone() };
        Self {
            title: owned(&self.title),
            kind: self.kind,
            x: axis(&self.x),
            y: axis(&self.y),
            series: self.series.iter().map(series).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for (text, want) in [
            ("customer-7", "customer-7"),
            ("Größe 顧客 👩‍💻", "Größe 顧客 👩‍💻"),
            ("a\nb\tc", "a b c"),
            ("\x1b[31mred\x1b]0;title\x07", "\u{fffd}[31mred\u{fffd}]0;title\u{fffd}"),
            ("\u{9b}31m\0", "\u{fffd}31m\u{fffd}"),
            ("abc\u{202e}fed", "abc\u{fffd}fed"),
        ] {
            assert_eq!(plain(text), want, "{text:?}");
        }
    }
}

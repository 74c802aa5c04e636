//! A table as text.

use super::super::{Align, Table};
use super::words::{padded_left, padded_right, width_of, wrapped};
use crate::roles::terminal::cut;

/// Between two columns.
const SPACE: &str = "  ";

/// A column of text is not made narrower than this; one of numbers is not made narrower at all.
const LEAST: usize = 10;

impl Table {
    /// The table in lines of at most so many columns, numbers to the right, text clipped where it must be. Where even
    /// that has no room, each row becomes a paragraph.
    pub fn text(&self, width: usize) -> String {
        let table = self.plain();
        let mut text = String::new();
        if !table.caption.is_empty() {
            text.push_str(&wrapped(&table.caption, width).join("\n"));
            text.push('\n');
        }
        match widths(&table, width) {
            _ if table.rows.is_empty() => text.push_str("none\n"),
            Some(widths) => text.push_str(&lines(&table, &widths)),
            None => text.push_str(&paragraphs(&table, width)),
        }
        text
    }
}

/// How wide each column is, if they have room at all.
fn widths(table: &Table, width: usize) -> Option<Vec<usize>> {
    let cells = |at: usize| table.rows.iter().filter_map(move |row| row.get(at)).map(|cell| width_of(cell)).max();
    let mut widths: Vec<usize> = Vec::with_capacity(table.columns.len());
    for (at, column) in table.columns.iter().enumerate() {
        let cells = cells(at).unwrap_or(0);
        // A long name above short numbers is broken rather than given all the room.
        let name = column.name.split_whitespace().map(width_of).max().unwrap_or(0);
        widths.push(cells.max(name));
    }
    let room = width.saturating_sub(SPACE.len() * table.columns.len().saturating_sub(1));
    loop {
        if widths.iter().sum::<usize>() <= room {
            return Some(widths);
        }
        let texts = widths.iter_mut().zip(&table.columns).filter(|(_, column)| column.align == Align::Left);
        let widest = texts.map(|(width, _)| width).max_by_key(|width| **width).filter(|width| **width > LEAST)?;
        // One step at a time, so that columns of text that are equally wide stay so.
        *widest -= 1;
    }
}

fn lines(table: &Table, widths: &[usize]) -> String {
    let names: Vec<Vec<String>> =
        table.columns.iter().zip(widths).map(|(column, width)| wrapped(&column.name, *width)).collect();
    let height = names.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for at in 0..height {
        // Names stand on the rule.
        let name = |lines: &Vec<String>| (at + lines.len()).checked_sub(height).and_then(|at| lines.get(at).cloned());
        text.push_str(&line(table, widths, names.iter().map(|lines| name(lines).unwrap_or_default())));
    }
    text.push_str(&"─".repeat(widths.iter().sum::<usize>() + SPACE.len() * widths.len().saturating_sub(1)));
    text.push('\n');
    for row in &table.rows {
        text.push_str(&line(table, widths, row.iter().cloned()));
    }
    text
}

fn line(table: &Table, widths: &[usize], cells: impl Iterator<Item = String>) -> String {
    let cell = |((cell, width), column): ((String, &usize), &super::super::Column)| match column.align {
        Align::Left => padded_right(&cut(&cell, *width), *width),
        Align::Right => padded_left(&cut(&cell, *width), *width),
    };
    let line = cells.zip(widths).zip(&table.columns).map(cell).collect::<Vec<_>>().join(SPACE);
    format!("{}\n", line.trim_end())
}

/// A paragraph for each row: the first cell, and below it the others with their names.
fn paragraphs(table: &Table, width: usize) -> String {
    let mut text = "─".repeat(width);
    text.push('\n');
    for row in &table.rows {
        let mut cells = row.iter().zip(&table.columns);
        if let Some((first, _)) = cells.next() {
            text.push_str(&wrapped(first, width).join("\n"));
            text.push('\n');
        }
        for (cell, column) in cells {
            for (at, line) in wrapped(&format!("{} {cell}", column.name), width.saturating_sub(4)).iter().enumerate() {
                text.push_str(if at == 0 { "  " } else { "    " });
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

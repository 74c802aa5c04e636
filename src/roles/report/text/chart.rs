//! A chart as text: bars as bars, and each line as a row of blocks.

use super::super::chart::{Base, Span};
use super::super::{Chart, ChartKind, Series};
use super::words::{padded_left, padded_right, width_of, wrapped};
use crate::roles::terminal::{Terminal, cut};

/// More bars than these are told as a row of blocks.
const MOST_BARS: usize = 20;

/// No name of a series gets more columns than these.
const LONGEST_NAME: usize = 24;

/// Blocks of an eighth to eight eighths of a line's height.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Blocks of one to seven eighths of a column's width.
const WIDTHS: [&str; 7] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"];

impl Chart {
    /// The chart in lines of at most so many columns: its title, and each series with its least and greatest value.
    pub(super) fn text(&self, terminal: Terminal) -> String {
        let title = format!("{}: {} over {}", self.title, self.y.label, self.x.label);
        let mut text =
            wrapped(&title, terminal.width).iter().map(|line| terminal.bold(line) + "\n").collect::<String>();
        let few = self.series.iter().all(|series| series.points.len() <= MOST_BARS);
        let lines = match self.kind {
            ChartKind::Bars if few => self.bars(terminal.width),
            ChartKind::Bars | ChartKind::Lines | ChartKind::Steps => self.rows(terminal.width),
        };
        text.push_str(if lines.is_empty() { "no values\n" } else { &lines });
        text
    }

    /// One line for each bar: its x, the series where there are several, the bar, the value.
    fn bars(&self, width: usize) -> String {
        let values = self.series.iter().flat_map(|series| &series.points).map(|point| point.1);
        let Some(span) = Span::of_heights(values, self.y.scale, Base::Zero) else { return String::new() };
        let mut bars: Vec<(f64, &str, f64)> = Vec::new();
        for series in &self.series {
            let name = if self.series.len() == 1 { "" } else { series.name.as_str() };
            let finite = series.points.iter().filter(|point| point.0.is_finite());
            bars.extend(finite.map(|(x, y)| (*x, name, *y)));
        }
        bars.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Of bars at one x the first says so.
        let mut said = f64::NAN;
        let mut x = |bar: &(f64, &str, f64)| {
            let again = bar.0 == said;
            said = bar.0;
            if again { String::new() } else { self.x.unit.exact(bar.0) }
        };
        let xs: Vec<String> = bars.iter().map(&mut x).collect();
        let ys: Vec<String> = bars.iter().map(|bar| written(bar.2, self)).collect();
        let x_column = xs.iter().map(|x| width_of(x)).max().unwrap_or(0);
        let y_column = ys.iter().map(|y| width_of(y)).max().unwrap_or(0);
        let name_column = bars.iter().map(|bar| width_of(bar.1)).max().unwrap_or(0).min(LONGEST_NAME);
        let room = width.saturating_sub(x_column + name_column + y_column + 6).clamp(1, 60);
        let ground = span.place(0.0).unwrap_or(0.0);
        let line = |((bar, x), y): ((&(f64, &str, f64), &String), &String)| {
            let length = span.place(bar.2).map_or(0.0, |top| (top - ground).abs());
            let name = padded_right(&cut(bar.1, name_column), name_column);
            let line = format!("{} {name} {} {y}", padded_left(x, x_column), blocks(length, room));
            format!("{}\n", cut(&line, width))
        };
        bars.iter().zip(&xs).zip(&ys).map(line).collect()
    }

    /// One line for each series: its name, its course from its least to its greatest value, and these two.
    fn rows(&self, width: usize) -> String {
        let names = self.series.iter().map(|series| width_of(&series.name)).max().unwrap_or(0).min(LONGEST_NAME);
        let extents: Vec<String> = self.series.iter().map(|series| self.extent(series)).collect();
        let says = extents.iter().map(|extent| width_of(extent)).max().unwrap_or(0);
        let room = width.saturating_sub(names + says + 4).clamp(1, 60);
        let Some(x) = Span::of(self.drawn().map(|point| point.0), self.x.scale, 1.0) else { return String::new() };
        let line = |(series, extent): (&Series, &String)| {
            let name = padded_right(&cut(&series.name, names), names);
            let course = self.course(series, &x, room);
            let line = format!("{name}  {}  {}", padded_right(&course, room), extent);
            format!("{}\n", cut(&line, width))
        };
        let mut text: String = self.series.iter().zip(&extents).map(line).collect();
        text.push_str(&self.ends(names, room, width));
        text
    }

    /// The points that have a place.
    fn drawn(&self) -> impl Iterator<Item = &(f64, f64)> {
        let points = self.series.iter().flat_map(|series| &series.points);
        points.filter(|point| self.is_drawn(point))
    }

    fn is_drawn(&self, point: &(f64, f64)) -> bool {
        let within = |value: f64, scale| Span::of(std::iter::once(value), scale, 1.0).is_some();
        within(point.0, self.x.scale) && within(point.1, self.y.scale)
    }

    /// The first and the last x, below the ends of the blocks.
    fn ends(&self, names: usize, room: usize, width: usize) -> String {
        let xs = || self.drawn().map(|point| point.0);
        let (Some(first), Some(last)) = (xs().min_by(f64::total_cmp), xs().max_by(f64::total_cmp)) else {
            return String::new();
        };
        let (first, last) = (self.x.unit.exact(first), self.x.unit.exact(last));
        if first == last {
            let middle = (room / 2).saturating_sub(width_of(&first) / 2);
            return format!("{}\n", cut(&format!("{}{first}", " ".repeat(names + 2 + middle)), width));
        }
        let between = room.saturating_sub(width_of(&first) + width_of(&last)).max(3);
        let between = if between == 3 { " … ".to_owned() } else { " ".repeat(between) };
        let line = format!("{}{first}{between}{last}", " ".repeat(names + 2));
        format!("{}\n", cut(&line, width))
    }

    fn extent(&self, series: &Series) -> String {
        let ys = || series.points.iter().filter(|point| self.is_drawn(point)).map(|point| point.1);
        let say = |value| self.y.unit.exact(value);
        match (ys().min_by(f64::total_cmp), ys().max_by(f64::total_cmp)) {
            (Some(least), Some(greatest)) if least < greatest => format!("{} – {}", say(least), say(greatest)),
            (Some(least), Some(_)) => say(least),
            _ => "no values".to_owned(),
        }
    }

    /// The greatest value of each column, as a block of its height. A column without values is empty, or, between
    /// points that are farther apart than columns are, like the one before it.
    fn course(&self, series: &Series, x: &Span, room: usize) -> String {
        let ys = series.points.iter().filter(|point| self.is_drawn(point)).map(|point| point.1);
        let Some(y) = Span::of_heights(ys, self.y.scale, Base::Free) else { return String::new() };
        let mut columns: Vec<Column> = vec![Column::Untold; room];
        for point in &series.points {
            let Some(place) = x.place(point.0) else { continue };
            let Some(column) = columns.get_mut(index(place, room)) else { continue };
            match (y.place(point.1), *column) {
                (Some(height), Column::Height(other)) => *column = Column::Height(height.max(other)),
                (Some(height), Column::Untold | Column::Gap) => *column = Column::Height(height),
                (None, Column::Untold) => *column = Column::Gap,
                (None, Column::Height(_) | Column::Gap) => {}
            }
        }
        let mut last = None;
        let told = columns.iter().rposition(|column| *column != Column::Untold).map_or(0, |at| at + 1);
        let block = |column: &Column| {
            match column {
                Column::Height(height) => last = Some(*height),
                Column::Gap => last = None,
                Column::Untold => {}
            }
            last.and_then(|height| HEIGHTS.get(index(height, HEIGHTS.len())).copied()).unwrap_or(' ')
        };
        columns.iter().take(told).map(block).collect()
    }
}

/// What is known of one column of a course.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Column {
    Height(f64),
    Gap,
    Untold,
}

/// The number of the slot, of so many, that a share lies in.
fn index(share: f64, slots: usize) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share is between 0 and 1, and slots are as many as columns of a terminal"
    )]
    let index = (share * slots as f64) as usize;
    index.min(slots.saturating_sub(1))
}

fn written(value: f64, chart: &Chart) -> String {
    if value.is_finite() { chart.y.unit.exact(value) } else { "–".to_owned() }
}

/// A bar of a share of so many columns, to an eighth of one; what is there at all is seen.
fn blocks(share: f64, columns: usize) -> String {
    let eighths = index(share, columns * 8 + 1).max(usize::from(share > 0.0));
    let part = (eighths % 8).checked_sub(1).and_then(|part| WIDTHS.get(part)).copied().unwrap_or_default();
    format!("{}{part}", "█".repeat(eighths / 8))
}

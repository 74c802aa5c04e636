//! What is drawn for each series: its line, its points or its bars.

use super::super::{Chart, ChartKind};
use super::{Frame, Points, Share};

/// A series with no more points than these shows each of them.
const MARKED_POINTS: usize = 30;

/// A chart of one series with no more bars than these writes its values above them.
const LABELLED_BARS: usize = 12;

/// How a series is told from the others, also by those who do not see its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::roles::report) struct Style {
    pub(in crate::roles::report) colour: usize,
    pub(in crate::roles::report) dash: usize,
}

impl Style {
    const COLOURS: usize = 6;
    const DASHES: usize = 5;

    /// Thirty series differ in colour or dash.
    pub(in crate::roles::report) fn of(series: usize) -> Self {
        Self { colour: series % Self::COLOURS, dash: (series + series / Self::COLOURS) % Self::DASHES }
    }
}

/// One series as it is drawn. Lines are in thousandths of the plot from its upper left, all else in shares of it.
pub(super) struct Shape {
    pub(super) style: Style,
    pub(super) line: String,
    /// What lies below the line, where it is alone.
    pub(super) area: String,
    pub(super) marks: Vec<(Share, Share)>,
    pub(super) bars: Vec<Bar>,
}

pub(super) struct Bar {
    pub(super) x: Share,
    pub(super) y: Share,
    pub(super) width: Share,
    pub(super) height: Share,
    pub(super) label: Option<BarLabel>,
}

/// A bar's value, and where it stands: above its middle.
pub(super) struct BarLabel {
    pub(super) x: Share,
    pub(super) text: String,
}

pub(super) fn shapes(chart: &Chart, frame: &Frame, series: &[Points]) -> Vec<Shape> {
    let shape = |(number, points): (usize, &Points)| {
        let mut shape = Shape {
            style: Style::of(number),
            line: String::new(),
            area: String::new(),
            marks: Vec::new(),
            bars: Vec::new(),
        };
        match chart.kind {
            ChartKind::Lines | ChartKind::Steps => draw_line(&mut shape, chart, frame, points),
            ChartKind::Bars => shape.bars = bars(chart, frame, points, number),
        }
        shape
    };
    series.iter().enumerate().map(shape).collect()
}

fn draw_line(shape: &mut Shape, chart: &Chart, frame: &Frame, points: &Points) {
    let runs = runs(chart.kind, frame, points);
    shape.line = runs.iter().map(path).collect();
    if chart.series.len() == 1 && frame.y.starts_at_zero() {
        shape.area = runs.iter().map(area).collect();
    }
    let each = chart.kind == ChartKind::Lines && points.len() <= MARKED_POINTS;
    let marked = runs.iter().filter(|run| each || run.len() == 1).flatten();
    shape.marks = marked.map(|(x, y)| (Share(*x), Share(*y))).collect();
}

/// Where a point stands, from the upper left.
fn place(frame: &Frame, (x, y): (f64, f64)) -> Option<(f64, f64)> {
    Some((frame.x.place(x)?, 1.0 - frame.y.place(y)?))
}

/// The corners of the line, one run for each stretch without a gap.
fn runs(kind: ChartKind, frame: &Frame, points: &Points) -> Vec<Points> {
    let mut runs: Vec<Points> = vec![Vec::new()];
    for point in points {
        let held = runs.last().and_then(|run| run.last()).map(|last| last.1).filter(|_| kind == ChartKind::Steps);
        let corner = held.zip(frame.x.place(point.0)).map(|(y, x)| (x, y));
        let Some(run) = runs.last_mut() else { continue };
        run.extend(corner);
        match place(frame, *point) {
            Some(place) => run.push(place),
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// A line through the corners, where there is more than one.
fn path(run: &Points) -> String {
    if run.len() == 1 {
        return String::new();
    }
    let corners: Vec<String> = run.iter().map(|point| corner(*point)).collect();
    format!("M{}", corners.join("L"))
}

fn area(run: &Points) -> String {
    let [first, .., last] = run.as_slice() else { return String::new() };
    format!("{}L{}L{}Z", path(run), corner((last.0, 1.0)), corner((first.0, 1.0)))
}

fn corner((x, y): (f64, f64)) -> String {
    format!("{:.1} {:.1}", x * 1_000.0, y * 1_000.0)
}

fn bars(chart: &Chart, frame: &Frame, points: &Points, number: usize) -> Vec<Bar> {
    const FILLED: f64 = 0.8;
    #[allow(clippy::cast_precision_loss, reason = "a handful of series")]
    let (count, number) = (chart.series.len() as f64, number as f64);
    let width = frame.slot * FILLED / count;
    let ground = frame.y.place(0.0).unwrap_or(0.0);
    let labelled = chart.series.len() == 1 && points.len() <= LABELLED_BARS;
    let bar = |point: &(f64, f64)| {
        let (x, top) = (frame.x.place(point.0)?, frame.y.place(point.1)?);
        let text = labelled.then(|| chart.y.unit.exact(point.1));
        Some(Bar {
            x: Share(x - frame.slot * FILLED / 2.0 + width * number),
            y: Share(1.0 - top.max(ground)),
            width: Share(width),
            height: Share((top - ground).abs()),
            label: text.map(|text| BarLabel { x: Share(x), text }),
        })
    };
    points.iter().filter_map(bar).collect()
}

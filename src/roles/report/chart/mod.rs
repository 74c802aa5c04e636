//! A chart laid out: every place as a share of the plot, every number as the text that stands for it.

mod readout;
mod sample;
mod scale;
mod shapes;
mod svg;
mod ticks;
mod unit;

pub(super) use readout::Readout;
pub(super) use scale::{Base, Span};
pub(super) use shapes::Style;
pub(super) use svg::Svg;

use std::fmt;

use super::{Axis, Chart, ChartKind, Scale, Unit};
use shapes::Shape;
use ticks::{Counts, Tick};

/// How many ticks an axis should have.
const X_TICKS: usize = 8;
const Y_TICKS: usize = 5;

/// Up to so many bars each have their own tick.
const NAMED_BARS: usize = 16;

/// What the plot of a chart shows.
pub(super) struct Plot {
    pub(super) x_label: String,
    pub(super) y_label: String,
    x_ticks: Vec<XTick>,
    y_ticks: Vec<YTick>,
    /// Where 0 is, or the low end of an axis without it.
    ground: Share,
    shapes: Vec<Shape>,
    pub(super) readouts: Vec<Readout>,
    /// What the chart shows, in words.
    description: String,
}

/// A tick below the plot. One that has no room on a narrow screen is for wide ones only.
struct XTick {
    at: Share,
    label: String,
    room: Room,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Any,
    Wide,
}

struct YTick {
    at: Share,
    label: String,
}

/// A part of the plot's width, from the left, or of its height, from the top.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share(f64);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}%", self.0 * 100.0)
    }
}

/// The axes of a plot, and for bars how wide the slot of one x is.
struct Frame {
    x: Span,
    y: Span,
    slot: f64,
}

/// The points of one series as they are drawn.
type Points = Vec<(f64, f64)>;

impl Plot {
    pub(super) fn of(chart: &Chart) -> Self {
        let mut plot = Self {
            x_label: chart.x.label.clone(),
            y_label: chart.y.label.clone(),
            x_ticks: Vec::new(),
            y_ticks: Vec::new(),
            ground: Share(1.0),
            shapes: Vec::new(),
            readouts: Vec::new(),
            description: "No values.".to_owned(),
        };
        let Some((frame, series)) = framed(chart) else { return plot };
        let x_ticks = x_ticks(chart, &frame, &series);
        plot.x_label = x_label(&chart.x, &frame.x, x_ticks.step);
        plot.x_ticks = with_room(&frame.x, x_ticks.ticks);
        plot.y_ticks = y_ticks(chart, &frame, &series);
        plot.ground = Share(1.0 - frame.y.place(0.0).unwrap_or_default());
        plot.shapes = shapes::shapes(chart, &frame, &series);
        plot.readouts = readout::readouts(chart, &frame, &series);
        plot.description = readout::description(chart, &series);
        plot
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }
}

/// The points that have a place on the x axis in its order, no more than are drawn, and the axes around them; nothing
/// where there is nothing to draw.
fn framed(chart: &Chart) -> Option<(Frame, Vec<Points>)> {
    let xs = chart.series.iter().flat_map(|series| &series.points).map(|point| point.0);
    let x = Span::of(xs, chart.x.scale, chart.x.unit.least_width())?;
    let series: Vec<Points> = chart.series.iter().map(|series| drawn(&series.points, chart.kind, &x)).collect();
    let (x, slot) = match chart.kind {
        ChartKind::Lines | ChartKind::Steps => (x, 0.0),
        ChartKind::Bars => with_slots(&x, &series),
    };
    let base = if chart.kind == ChartKind::Bars { Base::Zero } else { Base::Free };
    let ys = series.iter().flatten().map(|point| point.1);
    let y = Span::of_heights(ys, chart.y.scale, base)?;
    let y = ticks::widened(&y, chart.y.unit, Y_TICKS, counts(chart.y.unit, &series));
    Some((Frame { x, y, slot }, series))
}

fn drawn(points: &[(f64, f64)], kind: ChartKind, x: &Span) -> Points {
    let mut points: Points = points.iter().copied().filter(|point| x.place(point.0).is_some()).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let place = |value| x.place(value).unwrap_or_default();
    match kind {
        ChartKind::Lines | ChartKind::Steps => sample::thinned(points, place),
        ChartKind::Bars => sample::tallest(points, place),
    }
}

/// Makes room for whole bars at both ends. A slot is as wide as the nearest two bars are apart.
fn with_slots(x: &Span, series: &[Points]) -> (Span, f64) {
    const LONELY: f64 = 0.3;
    let places: Vec<f64> = distinct(series).into_iter().filter_map(|value| x.place(value)).collect();
    let gaps = places.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0.0);
    match gaps.min_by(f64::total_cmp) {
        Some(gap) => {
            let gap = gap.max(1.0 / sample::MOST_BARS as f64);
            (x.padded(gap / 2.0), gap / (1.0 + gap))
        }
        None => (*x, LONELY),
    }
}

/// Every x that a series has, in order.
fn distinct(series: &[Points]) -> Vec<f64> {
    let mut all: Vec<f64> = series.iter().flatten().map(|point| point.0).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

fn counts(unit: Unit, series: &[Points]) -> Counts {
    let whole = series.iter().flatten().all(|point| !point.1.is_finite() || point.1.fract() == 0.0);
    if unit == Unit::Plain && whole { Counts::Whole } else { Counts::Any }
}

fn x_ticks(chart: &Chart, frame: &Frame, series: &[Points]) -> ticks::Ticks {
    let xs = distinct(series);
    let plain = chart.x.scale == Scale::Linear && chart.x.unit != Unit::UtcTime;
    if (chart.kind == ChartKind::Bars && plain && xs.len() <= NAMED_BARS) || xs.len() == 1 {
        let ticks = xs.into_iter().map(|value| Tick { value, label: chart.x.unit.exact(value) });
        // A step of 0 says that each label is whole in itself.
        return ticks::Ticks { ticks: ticks.collect(), step: 0.0 };
    }
    let whole = xs.iter().all(|value| value.fract() == 0.0) && chart.x.unit == Unit::Plain;
    ticks::ticks(&frame.x, chart.x.unit, X_TICKS, if whole { Counts::Whole } else { Counts::Any })
}

/// The label of an axis of times says in which zone they are, and on which day where the ticks do not.
fn x_label(axis: &Axis, x: &Span, step: f64) -> String {
    if axis.unit != Unit::UtcTime {
        return axis.label.clone();
    }
    let zone = if axis.label.contains("UTC") { "" } else { " (UTC)" };
    let dates =
        unit::dates(x.low, x.high, step).filter(|_| step > 0.0).map(|dates| format!(", {dates}")).unwrap_or_default();
    format!("{}{zone}{dates}", axis.label)
}

/// Leaves out labels that would run into each other on a wide screen, and marks those that would on a narrow one. Every
/// so many are kept, so that they are evenly apart.
fn with_room(x: &Span, ticks: Vec<Tick>) -> Vec<XTick> {
    const WIDE: f64 = 440.0;
    const NARROW: f64 = 265.0;
    let ticks: Vec<(f64, Tick)> = ticks.into_iter().filter_map(|tick| Some((x.place(tick.value)?, tick))).collect();
    let fits = |every: usize, width: f64| {
        let mut end = f64::NEG_INFINITY;
        ticks.iter().step_by(every).all(|(at, tick)| {
            let (middle, half) = (at * width, estimated_width(&tick.label) / 2.0);
            let free = middle - half >= end;
            end = middle + half;
            free
        })
    };
    let wide = (1..).find(|every| fits(*every, WIDE)).unwrap_or(1);
    let narrow = (1..).map(|times| wide * times).find(|every| fits(*every, NARROW)).unwrap_or(wide);
    let room = |number: usize| if number.is_multiple_of(narrow) { Room::Any } else { Room::Wide };
    let kept = ticks.into_iter().enumerate().filter(|(number, _)| number.is_multiple_of(wide));
    kept.map(|(number, (at, tick))| XTick { at: Share(at), label: tick.label, room: room(number) }).collect()
}

/// Pixels that a tick's label takes, with the space beside it.
fn estimated_width(label: &str) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a label is short")]
    let characters = label.chars().count() as f64;
    characters * 7.0 + 10.0
}

fn y_ticks(chart: &Chart, frame: &Frame, series: &[Points]) -> Vec<YTick> {
    let ticks = ticks::ticks(&frame.y, chart.y.unit, Y_TICKS, counts(chart.y.unit, series)).ticks;
    let tick = |tick: Tick| Some(YTick { at: Share(1.0 - frame.y.place(tick.value)?), label: tick.label });
    ticks.into_iter().filter_map(tick).collect()
}

#[cfg(test)]
mod tests;

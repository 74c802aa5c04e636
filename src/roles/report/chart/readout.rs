//! What a chart says in words: the values at one x for whoever points there, and the whole for whoever does not see it.

use super::super::{Chart, ChartKind};
use super::sample::stretch;
use super::scale::is_drawn;
use super::{Frame, Points, Share, distinct};

/// More places than these nobody can point at.
const MOST_READOUTS: usize = 100;

/// More series than these no description goes through.
const MOST_DESCRIBED: usize = 12;

/// The values of all series at one x, and the strip of the plot that stands for it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::roles::report) struct Readout {
    pub(in crate::roles::report) from: Share,
    pub(in crate::roles::report) width: Share,
    pub(in crate::roles::report) x: String,
    /// One for each series; a dash where it has none.
    pub(in crate::roles::report) values: Vec<String>,
}

pub(super) fn readouts(chart: &Chart, frame: &Frame, series: &[Points]) -> Vec<Readout> {
    let xs = places_to_read(&distinct(series), frame);
    let places: Vec<f64> = xs.iter().map(|(middle, _)| frame.x.place(*middle).unwrap_or_default()).collect();
    let middle = |a: usize, b: usize| Some(f64::midpoint(*places.get(a)?, *places.get(b)?));
    let readout = |(at, (x, group)): (usize, &(f64, Vec<f64>))| {
        let from = at.checked_sub(1).and_then(|before| middle(before, at)).unwrap_or(0.0);
        let to = middle(at, at + 1).unwrap_or(1.0);
        let values = series.iter().map(|points| match value_at(points, *x, group, chart) {
            Some(value) => chart.y.unit.exact(value),
            None => "–".to_owned(),
        });
        Readout { from: Share(from), width: Share(to - from), x: chart.x.unit.exact(*x), values: values.collect() }
    };
    xs.iter().enumerate().map(readout).collect()
}

/// Each x, or, where they are many, each stretch of the axis: an x in its middle, and all that it stands for.
fn places_to_read(xs: &[f64], frame: &Frame) -> Vec<(f64, Vec<f64>)> {
    if xs.len() <= MOST_READOUTS {
        return xs.iter().map(|x| (*x, vec![*x])).collect();
    }
    let number = |x: f64| stretch(frame.x.place(x).unwrap_or_default(), MOST_READOUTS);
    let groups = xs.chunk_by(|a, b| number(*a) == number(*b));
    groups.filter_map(|group| Some((*group.get(group.len() / 2)?, group.to_vec()))).collect()
}

/// The value of a series at `x`, or at the x next to it among those that it stands for. A step holds until the next.
fn value_at(points: &Points, x: f64, group: &[f64], chart: &Chart) -> Option<f64> {
    let (first, last) = (*group.first()?, *group.last()?);
    let begin = points.partition_point(|point| point.0 < first);
    let end = points.partition_point(|point| point.0 <= last);
    let within = points.get(begin..end).unwrap_or_default().iter().filter(|point| is_drawn(point.1, chart.y.scale));
    let nearest = within.min_by(|a, b| (a.0 - x).abs().total_cmp(&(b.0 - x).abs())).map(|point| point.1);
    let held = || {
        let before = points.get(end.checked_sub(1)?)?;
        (chart.kind == ChartKind::Steps && end < points.len() && is_drawn(before.1, chart.y.scale)).then_some(before.1)
    };
    nearest.or_else(held)
}

/// What a chart shows: of what kind it is, from where to where, and between which values each series lies.
pub(super) fn description(chart: &Chart, series: &[Points]) -> String {
    let kind = match chart.kind {
        ChartKind::Lines => "Lines",
        ChartKind::Steps => "Steps",
        ChartKind::Bars => "Bars",
    };
    let mut text = format!("{kind} of {} over {}", chart.y.label, chart.x.label);
    let xs = distinct(series);
    let say = |x: &f64| chart.x.unit.exact(*x);
    match xs.as_slice() {
        [] => {}
        [only] => text.push_str(&format!(", at {}", say(only))),
        [first, .., last] => text.push_str(&format!(", from {} to {}", say(first), say(last))),
    }
    text.push('.');
    for (series, points) in chart.series.iter().zip(series).take(MOST_DESCRIBED) {
        text.push(' ');
        text.push_str(&series.name);
        text.push_str(&extent(chart, points));
    }
    if chart.series.len() > MOST_DESCRIBED {
        text.push_str(&format!(" And {} more.", chart.series.len() - MOST_DESCRIBED));
    }
    text
}

fn extent(chart: &Chart, points: &Points) -> String {
    let values = || points.iter().map(|point| point.1).filter(|y| is_drawn(*y, chart.y.scale));
    let (lowest, highest) = (values().min_by(f64::total_cmp), values().max_by(f64::total_cmp));
    let (Some(lowest), Some(highest), Some(last)) = (lowest, highest, values().next_back()) else {
        return " has no values.".to_owned();
    };
    let say = |value| chart.y.unit.exact(value);
    if lowest == highest {
        return format!(" is {}.", say(lowest));
    }
    format!(" lies between {} and {} and ends at {}.", say(lowest), say(highest), say(last))
}

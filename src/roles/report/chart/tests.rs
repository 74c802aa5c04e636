//! Charts laid out: what is drawn, and what is said of it.

use super::super::{Axis, ChartKind, Scale, Series, Unit};
use super::*;

fn axis(scale: Scale, unit: Unit) -> Axis {
    Axis { label: "label".to_owned(), scale, unit }
}

fn chart(kind: ChartKind, scale: Scale, series: &[&[(f64, f64)]]) -> Chart {
    let named = |(n, points): (usize, &&[(f64, f64)])| Series { name: format!("s{n}"), points: points.to_vec() };
    Chart {
        title: "title".to_owned(),
        kind,
        x: axis(Scale::Linear, Unit::Plain),
        y: axis(scale, Unit::Plain),
        series: series.iter().enumerate().map(named).collect(),
    }
}

const GAPPED: &[(f64, f64)] =
    &[(0.0, 5.0), (5.0, 10.0), (6.0, f64::NAN), (8.0, 10.0), (9.0, f64::INFINITY), (10.0, 0.0)];

#[test]
fn a_line_breaks_at_gaps_and_a_step_holds_until_them() {
    for (kind, line, marks) in [
        (ChartKind::Lines, "M0.0 500.0L500.0 0.0", 4),
        (ChartKind::Steps, "M0.0 500.0L500.0 500.0L500.0 0.0L600.0 0.0M800.0 0.0L900.0 0.0", 1),
    ] {
        let plot = Plot::of(&chart(kind, Scale::Linear, &[GAPPED]));
        assert_eq!(plot.shapes[0].line, line, "{kind:?}");
        assert_eq!(plot.shapes[0].marks.len(), marks, "{kind:?}: a point by itself is marked");
    }
}

#[test]
fn what_lies_below_a_line_is_filled_where_it_is_alone_and_stands_on_zero() {
    let high: &[(f64, f64)] = &[(0.0, 99.1), (1.0, 99.9)];
    for (scale, series, filled) in [
        (Scale::Linear, &[GAPPED][..], true),
        (Scale::Linear, &[GAPPED, GAPPED], false),
        (Scale::Linear, &[high], false),
        (Scale::Log, &[GAPPED], false),
    ] {
        let plot = Plot::of(&chart(ChartKind::Lines, scale, series));
        assert_eq!(!plot.shapes[0].area.is_empty(), filled, "{scale:?} {series:?}");
    }
}

#[test]
fn nothing_to_draw_is_no_values() {
    let nothing: &[(f64, f64)] = &[(1.0, f64::NAN), (f64::NAN, 1.0)];
    for (scale, series) in [
        (Scale::Linear, &[][..]),
        (Scale::Linear, &[&[][..]]),
        (Scale::Linear, &[nothing]),
        (Scale::Log, &[&[(1.0, 0.0), (2.0, -1.0)]]),
    ] {
        for kind in [ChartKind::Lines, ChartKind::Steps, ChartKind::Bars] {
            let plot = Plot::of(&chart(kind, scale, series));
            assert!(plot.is_empty() && plot.readouts.is_empty(), "{kind:?} {series:?}");
            assert_eq!(plot.description, "No values.");
        }
    }
}

#[test]
fn a_single_point_stands_in_the_middle_above_its_own_value() {
    for kind in [ChartKind::Lines, ChartKind::Steps, ChartKind::Bars] {
        let plot = Plot::of(&chart(kind, Scale::Linear, &[&[(3.0, 7.0)]]));
        let middle = match kind {
            ChartKind::Lines | ChartKind::Steps => plot.shapes[0].marks[0].0.0,
            ChartKind::Bars => plot.shapes[0].bars[0].x.0 + plot.shapes[0].bars[0].width.0 / 2.0,
        };
        assert!((middle - 0.5).abs() < 1e-9, "{kind:?}: {middle}");
        let labels: Vec<&str> = plot.x_ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["3"], "{kind:?}");
    }
}

#[test]
fn bars_stand_side_by_side_inside_of_the_plot_and_on_zero() {
    let plot =
        Plot::of(&chart(ChartKind::Bars, Scale::Linear, &[&[(1.0, 4.0), (2.0, -2.0)], &[(1.0, 1.0), (2.0, 4.0)]]));
    let mut edges: Vec<(f64, f64)> =
        plot.shapes.iter().flat_map(|shape| &shape.bars).map(|bar| (bar.x.0, bar.x.0 + bar.width.0)).collect();
    edges.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(edges[0].0 >= 0.0 && edges[3].1 <= 1.0, "{edges:?}");
    assert!(edges.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 1e-9), "{edges:?}");
    let ground = plot.ground.0;
    for (series, bar, top, height) in [(0, 0, 0.0, ground), (0, 1, ground, 1.0 - ground), (1, 1, 0.0, ground)] {
        let bar = &plot.shapes[series].bars[bar];
        assert!((bar.y.0 - top).abs() < 1e-9 && (bar.height.0 - height).abs() < 1e-9, "{} {}", bar.y.0, bar.height.0);
    }
    let tall = Plot::of(&chart(ChartKind::Bars, Scale::Log, &[&[(1.0, 1.0), (2.0, 1_000.0)]]));
    assert!(tall.shapes[0].bars[0].height.0 > 0.01, "the least of bars is seen on a logarithmic axis, too");
}

#[test]
fn many_points_are_drawn_as_few_and_read_at_fewer() {
    let points: Vec<(f64, f64)> = (0..20_000).map(|n| (f64::from(n), f64::from((n * 31) % 977))).collect();
    for kind in [ChartKind::Lines, ChartKind::Steps, ChartKind::Bars] {
        let plot = Plot::of(&chart(kind, Scale::Linear, &[&points, &points]));
        let corners = plot.shapes[0].line.matches(['M', 'L']).count();
        let allowed = if kind == ChartKind::Steps { 2 * sample::MOST_POINTS } else { sample::MOST_POINTS };
        assert!(corners <= allowed && plot.shapes[0].bars.len() <= sample::MOST_BARS, "{kind:?}: {corners}");
        assert!(plot.readouts.len() <= 100, "{}", plot.readouts.len());
        let whole: f64 = plot.readouts.iter().map(|readout| readout.width.0).sum();
        assert!((whole - 1.0).abs() < 1e-9, "the strips cover the plot: {whole}");
    }
}

#[test]
fn a_readout_has_each_series_where_it_has_a_value() {
    let steps: &[(f64, f64)] = &[(0.0, 1.0), (2.0, 2.0), (4.0, f64::NAN), (6.0, 3.0)];
    let other: &[(f64, f64)] = &[(1.0, 1_000.0), (3.0, 2_000.0), (5.0, 3_000.0)];
    for (kind, want) in [
        (ChartKind::Steps, "0: 1 –, 1: 1 1,000, 2: 2 1,000, 3: 2 2,000, 4: – 2,000, 5: – 3,000, 6: 3 –"),
        (ChartKind::Lines, "0: 1 –, 1: – 1,000, 2: 2 –, 3: – 2,000, 4: – –, 5: – 3,000, 6: 3 –"),
    ] {
        let plot = Plot::of(&chart(kind, Scale::Linear, &[steps, other]));
        let said: Vec<String> =
            plot.readouts.iter().map(|readout| format!("{}: {}", readout.x, readout.values.join(" "))).collect();
        assert_eq!(said.join(", "), want, "{kind:?}");
    }
}

#[test]
fn a_chart_is_told_in_words() {
    let plot = Plot::of(&chart(ChartKind::Lines, Scale::Linear, &[GAPPED, &[(0.0, 2.0), (4.0, 2.0)], &[]]));
    let want =
        "Lines of label over label, from 0 to 10. s0 lies between 0 and 10 and ends at 0. s1 is 2. s2 has no values.";
    assert_eq!(plot.description, want);
}

#[test]
fn points_out_of_order_are_drawn_in_order() {
    let sorted = Plot::of(&chart(ChartKind::Lines, Scale::Linear, &[&[(0.0, 1.0), (1.0, 2.0), (2.0, 0.0)]]));
    let mixed =
        Plot::of(&chart(ChartKind::Lines, Scale::Linear, &[&[(2.0, 0.0), (f64::NAN, 9.0), (0.0, 1.0), (1.0, 2.0)]]));
    assert_eq!(sorted.shapes[0].line, mixed.shapes[0].line);
}

#[test]
fn labels_of_an_axis_do_not_meet() {
    let days: &[(f64, f64)] = &[(0.0, 1.0), (36_000.0, 2.0)];
    let mut chart = chart(ChartKind::Lines, Scale::Linear, &[days]);
    for (unit, wide, narrow) in [(Unit::Seconds, 6, 3), (Unit::Plain, 8, 4), (Unit::UtcTime, 4, 4)] {
        chart.x.unit = unit;
        let ticks = Plot::of(&chart).x_ticks;
        let on_narrow = ticks.iter().filter(|tick| tick.room == Room::Any).count();
        assert_eq!((ticks.len(), on_narrow), (wide, narrow), "{unit:?}");
    }
}

#[test]
fn thirty_series_differ() {
    let styles: Vec<Style> = (0..30).map(Style::of).collect();
    for (at, style) in styles.iter().enumerate() {
        assert!(!styles[..at].contains(style), "{at}");
    }
}

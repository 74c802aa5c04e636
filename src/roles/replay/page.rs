//! The report of a run, for people who would rather look at a picture.

use super::latency::Latency;
use super::latency::Sample;
use super::summary::{Measured, Ms, float, grouped};
use crate::roles::report::{
    Align, Axis, Block, Chart, ChartKind, Column, Figure, Page, Scale, Section, Series, Table, Tone, Unit,
};

/// The report of a run; `footer` says how it was made.
pub(super) fn page(measured: &Measured<'_>, footer: &str) -> Page {
    let title = if measured.interrupted { "Replay, interrupted" } else { "Replay" };
    Page {
        title: title.to_owned(),
        lead: format!("{}.", measured.about),
        sections: vec![overview(measured), latency(measured), course(measured)],
        footer: footer.to_owned(),
    }
}

fn overview(measured: &Measured<'_>) -> Section {
    let command = &measured.measure.commanded.overall;
    let zero = |count: u64| if count == 0 { Tone::Good } else { Tone::Bad };
    let figures = vec![
        figure(grouped(measured.produced), "events produced", Tone::Plain),
        figure(format!("{:.0}/s", measured.rate()), "sent", Tone::Plain),
        figure(grouped(measured.measure.counts.commands), "commands", Tone::Plain),
        figure(grouped(measured.measure.counts.sessions()), "sessions", Tone::Plain),
        figure(format!("{} ms", Ms(command.at(0.99))), "p99, event to command", Tone::Plain),
        figure(grouped(measured.lost()), measured.lost_word(), zero(measured.lost())),
        figure(grouped(measured.measure.counts.repeated), "repeated", zero(measured.measure.counts.repeated)),
    ];
    let rows = measured.rows().into_iter().map(|(name, count, remark)| vec![name.to_owned(), grouped(count), remark]);
    let table = Table {
        caption: "What became of the events".to_owned(),
        columns: vec![column("", Align::Left), column("count", Align::Right), column("", Align::Left)],
        rows: rows.collect(),
    };
    Section { title: "Overview".to_owned(), blocks: vec![Block::Figures(figures), Block::Table(table)] }
}

fn latency(measured: &Measured<'_>) -> Section {
    let how = "From the moment an event was meant to be sent to the moment its command or outcome was read back, by one \
               clock. An event that was sent late is counted from its own time.";
    let names = ["", "count", "p50", "p90", "p99", "p99.9", "max"];
    let align = |place: usize| if place == 0 { Align::Left } else { Align::Right };
    let row = |(name, latency): (String, &Latency)| {
        let of = latency.percentiles();
        let numbers = [of.p50, of.p90, of.p99, of.p999, of.max].map(|value| Ms(value).to_string());
        [vec![name, grouped(latency.count())], numbers.to_vec()].concat()
    };
    let table = Table {
        caption: "Milliseconds".to_owned(),
        columns: names.iter().enumerate().map(|(place, name)| column(name, align(place))).collect(),
        rows: measured.latencies().into_iter().map(row).collect(),
    };
    let curve = |name: &str, latency: &Latency| Series { name: name.to_owned(), points: curve(latency) };
    let chart = Chart {
        title: "Latency of the slowest one in so many".to_owned(),
        kind: ChartKind::Lines,
        x: axis("one in", Scale::Log, Unit::Plain),
        y: axis("latency", Scale::Log, Unit::Milliseconds),
        series: [("event to command", &measured.measure.commanded), ("event to outcome", &measured.measure.ended)]
            .into_iter()
            .filter(|(_, of)| of.overall.count() > 0)
            .map(|(name, of)| curve(name, &of.overall))
            .collect(),
    };
    let blocks = vec![Block::Text(how.to_owned()), Block::Table(table), Block::Chart(chart)];
    Section { title: "Latency".to_owned(), blocks }
}

/// The latency that one in x exceeds, as far as the count carries it.
fn curve(latency: &Latency) -> Vec<(f64, f64)> {
    let one_in = |step: i32| 10_f64.powf(f64::from(step) / 8.0);
    let carried = (0..=56).map(one_in).take_while(|one_in| *one_in <= float(latency.count()).max(1.0));
    carried.filter_map(|one_in| Some((one_in, latency.at(1.0 - 1.0 / one_in)?))).collect()
}

fn course(measured: &Measured<'_>) -> Section {
    let samples = &measured.measure.course.samples;
    let rates = Chart {
        title: "Events a second".to_owned(),
        kind: ChartKind::Lines,
        x: axis("time", Scale::Linear, Unit::Seconds),
        y: axis("a second", Scale::Linear, Unit::Plain),
        series: vec![
            rate("produced", samples, |sample| sample.produced),
            rate("decided", samples, |sample| sample.decided),
            rate("outcomes", samples, |sample| sample.outcomes),
        ],
    };
    let lag = Chart {
        title: "Events that wait to be decided".to_owned(),
        kind: ChartKind::Steps,
        x: axis("time", Scale::Linear, Unit::Seconds),
        y: axis("events", Scale::Linear, Unit::Plain),
        series: vec![values("lag", samples, |sample| float(sample.lag()))],
    };
    let latency = Chart {
        title: "Event to command".to_owned(),
        kind: ChartKind::Lines,
        x: axis("time", Scale::Linear, Unit::Seconds),
        y: axis("latency", Scale::Log, Unit::Milliseconds),
        series: vec![
            values("p50", samples, |sample| sample.p50.unwrap_or(f64::NAN)),
            values("p99", samples, |sample| sample.p99.unwrap_or(f64::NAN)),
        ],
    };
    let how = "Decided is what the group has committed, which it does about once a second.";
    let blocks = vec![Block::Chart(rates), Block::Text(how.to_owned()), Block::Chart(lag), Block::Chart(latency)];
    Section { title: "Over time".to_owned(), blocks }
}

/// How fast a count rose between each two samples.
fn rate(name: &str, samples: &[Sample], count: impl Fn(&Sample) -> u64) -> Series {
    let step = |pair: &[Sample]| {
        let (from, to) = (&pair[0], &pair[1]);
        let seconds = (to.at.saturating_sub(from.at)).as_secs_f64();
        (seconds > 0.0).then(|| (to.at.as_secs_f64(), float(count(to).saturating_sub(count(from))) / seconds))
    };
    Series { name: name.to_owned(), points: samples.windows(2).filter_map(step).collect() }
}

fn values(name: &str, samples: &[Sample], value: impl Fn(&Sample) -> f64) -> Series {
    let points = samples.iter().map(|sample| (sample.at.as_secs_f64(), value(sample))).collect();
    Series { name: name.to_owned(), points }
}

fn figure(value: String, label: &str, tone: Tone) -> Figure {
    Figure { value, label: label.to_owned(), tone }
}

fn column(name: &str, align: Align) -> Column {
    Column { name: name.to_owned(), align }
}

fn axis(label: &str, scale: Scale, unit: Unit) -> Axis {
    Axis { label: label.to_owned(), scale, unit }
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::{measure, measured};
    use super::*;

    #[test]
    fn the_page_shows_the_course_and_the_curve() {
        let measure = measure();
        let page = page(&measured(&measure), "stepup 0");
        let charts: Vec<&Chart> = page
            .sections
            .iter()
            .flat_map(|section| &section.blocks)
            .filter_map(|block| match block {
                Block::Chart(chart) => Some(chart),
                _ => None,
            })
            .collect();
        let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "Latency of the slowest one in so many",
                "Events a second",
                "Events that wait to be decided",
                "Event to command"
            ]
        );
        assert_eq!(charts[1].series[1].points[..2], [(1.0, 1_000.0), (2.0, 1_000.0)]);
        assert!(charts[2].series[0].points.iter().all(|(_, lag)| (*lag - 50.0).abs() < 1e-9));
        assert_eq!(charts[0].series.len(), 1, "what was not measured is not drawn");
        let p99: Vec<bool> = charts[3].series[1].points.iter().map(|(_, p99)| p99.is_finite()).collect();
        assert_eq!(p99[..2], [true, false], "a second without commands is a gap");
    }

    #[test]
    fn every_row_has_a_cell_for_every_column_and_what_is_wrong_stands_out() {
        let measure = measure();
        let page = page(&measured(&measure), "stepup 0");
        let mut bad = Vec::new();
        for block in page.sections.iter().flat_map(|section| &section.blocks) {
            match block {
                Block::Table(table) => assert!(table.rows.iter().all(|row| row.len() == table.columns.len())),
                Block::Figures(figures) => {
                    bad.extend(figures.iter().filter(|figure| figure.tone == Tone::Bad).map(|figure| &figure.label));
                }
                _ => {}
            }
        }
        assert_eq!(bad, ["lost"]);
    }
}

//! The answer as a page, and as text for a terminal.

use super::tables::{grouped, tables};
use crate::domain::time::Timestamp;
use crate::roles::report::{
    Align, Axis, Block, Chart, ChartKind, Figure, Page, Scale, Section, Series, Table, Tone, Unit,
};
use crate::wire::whatif::{Answer, Figures, Sweep};

/// What the page tells beside the answer.
pub(super) struct About {
    /// What was asked, of what.
    pub(super) lead: String,
    pub(super) footer: String,
    /// Sessions that begin in each minute of the recording, by name of the preferences; nothing where it is not known.
    pub(super) course: Vec<(&'static str, Vec<(Timestamp, u64)>)>,
}

/// The whole answer as a page.
pub(super) fn page(answer: &Answer, about: About) -> Page {
    let mut sections = Vec::new();
    let mut first: Vec<Block> = answer.notes.iter().map(|note| Block::Text(note.clone())).collect();
    first.push(Block::Figures(figures(answer)));
    if let Some(sweep) = &answer.sweep {
        first.push(Block::Chart(sweep_chart(sweep)));
    } else {
        first.extend(course_chart(&about.course).map(Block::Chart));
    }
    let title = if answer.sweep.is_some() { "Sweep" } else { "Overview" };
    sections.push(Section { title: title.to_owned(), blocks: first });
    for table in tables(answer) {
        sections.push(Section { title: table.caption.clone(), blocks: vec![Block::Table(table)] });
    }
    Page { title: "Back-test".to_owned(), lead: about.lead, sections, footer: about.footer }
}

fn figures(answer: &Answer) -> Vec<Figure> {
    let figure = |value: String, label: &str, tone| Figure { value, label: label.to_owned(), tone };
    let rejected: u64 = answer.rejected.values().sum();
    let mut all = vec![figure(grouped(answer.events), "events decided", Tone::Plain)];
    if answer.sweep.is_none() {
        let base = &answer.total.figures;
        match &answer.total.against {
            Some(against) => {
                let both =
                    |of: fn(&Figures) -> u64| format!("{} → {}", grouped(of(base)), grouped(of(&against.figures)));
                all.push(figure(both(|figures| figures.prompts), "prompts", Tone::Plain));
                all.push(figure(both(|figures| figures.customers), "customers prompted", Tone::Plain));
                all.push(figure(grouped(against.changes.newly), "events newly interrupted", Tone::Plain));
                all.push(figure(grouped(against.changes.no_longer), "events no longer interrupted", Tone::Plain));
                all.extend(
                    base.cost.iter().zip(&against.figures.cost).map(|(base, against)| {
                        figure(format!("{base} → {against}"), "cost of all sessions", Tone::Plain)
                    }),
                );
            }
            None => {
                all.push(figure(grouped(base.prompts), "prompts", Tone::Plain));
                all.push(figure(grouped(base.customers), "customers prompted", Tone::Plain));
                all.push(figure(grouped(base.repeat_prompts), "repeat prompts", Tone::Plain));
                all.extend(base.cost.iter().map(|cost| figure(cost.clone(), "cost of all sessions", Tone::Plain)));
            }
        }
    }
    if rejected > 0 {
        all.push(figure(grouped(rejected), "lines that cannot be processed", Tone::Bad));
    }
    all
}

/// Counts are far below what a double holds exactly.
#[allow(clippy::cast_precision_loss, reason = "a chart needs no more than 53 bits")]
fn number(count: u64) -> f64 {
    count as f64
}

fn sweep_chart(sweep: &Sweep) -> Chart {
    let series = |name: &str, of: fn(&Figures) -> u64| {
        let point = |step: &crate::wire::whatif::Step| Some((step.value.parse().ok()?, number(of(&step.figures))));
        Series { name: name.to_owned(), points: sweep.steps.iter().filter_map(point).collect() }
    };
    let axis = |label: &str| Axis { label: label.to_owned(), scale: Scale::Linear, unit: Unit::Plain };
    Chart {
        title: format!("{} by {}", sweep.trigger, sweep.term),
        kind: ChartKind::Lines,
        x: axis(&sweep.term),
        y: axis("prompts and customers"),
        series: vec![
            series("prompts", |figures| figures.prompts),
            series("customers", |figures| figures.customers),
            series("repeat prompts", |figures| figures.repeat_prompts),
        ],
    }
}

/// A chart of at most so many points a series.
const POINTS: i64 = 400;

/// Sessions over the time of the recording, minutes taken together where there are too many.
fn course_chart(course: &[(&'static str, Vec<(Timestamp, u64)>)]) -> Option<Chart> {
    let times = || course.iter().flat_map(|(_, minutes)| minutes).map(|(at, _)| at.0);
    let (first, last) = (times().min()?, times().max()?);
    let span = [1, 5, 15, 60, 6 * 60, 24 * 60, 7 * 24 * 60]
        .into_iter()
        .map(|minutes| minutes * 60_000)
        .find(|span| (last - first) / span < POINTS)?;
    let series = course.iter().map(|(name, minutes)| {
        let places = (last.div_euclid(span) - first.div_euclid(span) + 1).unsigned_abs();
        let mut sums = vec![0; usize::try_from(places).unwrap_or_default()];
        for (at, prompts) in minutes {
            let place = usize::try_from(at.0.div_euclid(span) - first.div_euclid(span)).unwrap_or_default();
            if let Some(sum) = sums.get_mut(place) {
                *sum += prompts;
            }
        }
        let begin = first.div_euclid(span) * span;
        let point = |(at, sum): (i64, u64)| {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into 53 bits")]
            let x = at as f64;
            (x, number(sum))
        };
        let times = (0..).map(|place| begin + place * span);
        Series { name: (*name).to_owned(), points: times.zip(sums).map(point).collect() }
    });
    let minutes = span / 60_000;
    let of = if minutes < 60 { format!("{minutes} minutes") } else { format!("{} hours", minutes / 60) };
    Some(Chart {
        title: format!("Sessions begun in every {of}"),
        kind: ChartKind::Steps,
        x: Axis { label: "time of the events".to_owned(), scale: Scale::Linear, unit: Unit::UtcTime },
        y: Axis { label: "sessions".to_owned(), scale: Scale::Linear, unit: Unit::Plain },
        series: series.collect(),
    })
}

/// The answer for a terminal of this width.
pub(super) fn text(answer: &Answer, width: usize) -> String {
    let rejected: u64 = answer.rejected.values().sum();
    let mut text = format!(
        "{} events decided, {} of unknown type, {} rejected",
        grouped(answer.events),
        grouped(answer.unknown_types),
        grouped(rejected)
    );
    if answer.late_bets > 0 {
        text.push_str(&format!(", {} bets late", grouped(answer.late_bets)));
    }
    text.push('\n');
    if let (Some(from), Some(to)) = (&answer.from, &answer.to) {
        text.push_str(&format!("from {from} to {to}\n"));
    }
    for note in &answer.notes {
        text.push_str(&format!("! {note}\n"));
    }
    for mut table in tables(answer) {
        if let Some(sweep) = &answer.sweep {
            draw(&mut table, sweep);
        }
        text.push('\n');
        text.push_str(&table.text(width));
    }
    text
}

/// How wide the longest bar of a sweep is.
const BAR: u64 = 24;

/// Puts a bar for the prompts of each step at the end of its row: the plot of a terminal.
fn draw(table: &mut Table, sweep: &Sweep) {
    let most = sweep.steps.iter().map(|step| step.figures.prompts).max().unwrap_or_default().max(1);
    table.columns.push(crate::roles::report::Column { name: "prompts".to_owned(), align: Align::Left });
    for (row, step) in table.rows.iter_mut().zip(&sweep.steps) {
        let eighths = usize::try_from(step.figures.prompts * BAR * 8 / most).unwrap_or_default();
        let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
        row.push(format!("{}{part}", "█".repeat(eighths / 8)));
    }
}

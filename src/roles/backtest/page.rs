//! The answer as a page.

use super::tables::{grouped, money, tables};
use crate::domain::time::Timestamp;
use crate::roles::report::{Axis, Block, Chart, ChartKind, Figure, Page, Scale, Section, Series, Tone, Unit};
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
    for (title, tables) in tables(answer) {
        sections.push(Section { title: title.to_owned(), blocks: tables.into_iter().map(Block::Table).collect() });
    }
    let title = match (&answer.sweep, &answer.total.against) {
        (Some(sweep), _) => format!("Prompts by {}", sweep.term),
        (None, Some(_)) => "Whom a change would interrupt".to_owned(),
        (None, None) => "Whom it would have interrupted".to_owned(),
    };
    Page { title, lead: about.lead, sections, footer: about.footer }
}

fn figures(answer: &Answer) -> Vec<Figure> {
    let rejected: u64 = answer.rejected.values().sum();
    let mut all = vec![plain(grouped(answer.events), "events decided")];
    if answer.sweep.is_none() {
        all.extend(people(answer));
    }
    for (count, label) in
        [(answer.unknown_types, "events of an unknown type"), (answer.late_bets, "bets later than their window")]
    {
        all.extend((count > 0).then(|| plain(grouped(count), label)));
    }
    let given_up = answer.given_up.states.max(answer.given_up.customers);
    for (count, label) in [(rejected, "lines that cannot be processed"), (given_up, "customers given up")] {
        all.extend((count > 0).then(|| Figure { tone: Tone::Bad, ..plain(grouped(count), label) }));
    }
    all
}

fn plain(value: String, label: &str) -> Figure {
    Figure { value, label: label.to_owned(), tone: Tone::Plain }
}

/// Whom it interrupts, and where two are compared whom the other would.
fn people(answer: &Answer) -> Vec<Figure> {
    let base = &answer.total.figures;
    let against = answer.total.against.as_ref();
    let both = |of: fn(&Figures) -> Option<String>| {
        let base = of(base)?;
        let other = against.and_then(|against| of(&against.figures));
        Some(other.map_or_else(|| base.clone(), |other| format!("{base} → {other}")))
    };
    let mut all: Vec<Figure> = [
        (both(|figures| Some(grouped(figures.prompts))), "prompts"),
        (both(|figures| Some(grouped(figures.customers))), "customers prompted"),
        (both(|figures| Some(grouped(figures.repeat_prompts))), "repeat prompts"),
        (both(|figures| figures.cost.as_deref().map(money)), "cost of all sessions"),
        (
            both(|figures| figures.peak_minute.as_ref().map(|peak| grouped(peak.sessions))),
            "sessions at the peak minute",
        ),
    ]
    .into_iter()
    .filter_map(|(value, label)| Some(plain(value?, label)))
    .collect();
    if let Some(against) = against {
        all.push(plain(grouped(against.changes.newly), "events newly interrupted"));
        all.push(plain(grouped(against.changes.no_longer), "events no longer interrupted"));
    }
    all
}

/// Counts are far below what a double holds exactly.
#[allow(clippy::cast_precision_loss, reason = "a chart needs no more than 53 bits")]
fn number(count: u64) -> f64 {
    count as f64
}

/// Counts that differ by this factor are all seen on a logarithmic axis only.
const FAR_APART: u64 = 50;

fn sweep_chart(sweep: &Sweep) -> Chart {
    let series = |name: &str, of: fn(&Figures) -> u64| {
        let point = |step: &crate::wire::whatif::Step| Some((step.value.parse().ok()?, number(of(&step.figures))));
        Series { name: name.to_owned(), points: sweep.steps.iter().filter_map(point).collect() }
    };
    let axis = |label: &str, scale| Axis { label: label.to_owned(), scale, unit: Unit::Plain };
    let prompts = || sweep.steps.iter().map(|step| step.figures.prompts).filter(|prompts| *prompts > 0);
    let far_apart = prompts().max().unwrap_or(1) / prompts().min().unwrap_or(1) >= FAR_APART;
    Chart {
        title: "What each step would ask".to_owned(),
        kind: ChartKind::Lines,
        x: axis(&sweep.term, Scale::Linear),
        y: axis("prompts and customers", if far_apart { Scale::Log } else { Scale::Linear }),
        series: vec![
            series("prompts", |figures| figures.prompts),
            series("customers", |figures| figures.customers),
            series("repeat prompts", |figures| figures.repeat_prompts),
        ],
    }
}

/// A chart of at most so many points a series.
const POINTS: i64 = 400;

/// What minutes are taken together to, and what each such time is called.
const SPANS: [(i64, &str); 7] = [
    (1, "minute"),
    (5, "5 minutes"),
    (15, "15 minutes"),
    (60, "hour"),
    (6 * 60, "6 hours"),
    (24 * 60, "day"),
    (7 * 24 * 60, "week"),
];

/// Sessions over the time of the recording, minutes taken together where there are too many.
fn course_chart(course: &[(&'static str, Vec<(Timestamp, u64)>)]) -> Option<Chart> {
    let times = || course.iter().flat_map(|(_, minutes)| minutes).map(|(at, _)| at.0);
    let (first, last) = (times().min()?, times().max()?);
    let (span, called) = SPANS
        .into_iter()
        .map(|(minutes, called)| (minutes * 60_000, called))
        .find(|(span, _)| (last - first) / span < POINTS)?;
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
    Some(Chart {
        title: format!("Sessions begun every {called}"),
        kind: ChartKind::Steps,
        x: Axis { label: "time of the events".to_owned(), scale: Scale::Linear, unit: Unit::UtcTime },
        y: Axis { label: "sessions".to_owned(), scale: Scale::Linear, unit: Unit::Plain },
        series: series.collect(),
    })
}

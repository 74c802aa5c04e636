//! The page itself: a report of this moment.

use std::time::Duration;

use super::told::{Told, clock as time_of_day};
use super::{Board, MOST_TENANTS, MOST_TOLD, Note, lock};
use crate::config::ConsoleIds;
use crate::domain::decide::Decision;
use crate::domain::trigger::Trigger;
use crate::metrics::{EventResult, Spread};
use crate::roles::report::{
    Align, Axis, Block, Chart, ChartKind, Column, Figure, Page, Scale, Section, Series, Table, Tone, Unit,
};

/// The page is read again after so many seconds, unless it is to stand still.
const AGAIN: u32 = 5;
/// What is shown as a rate of now is that of the last minute.
const LATELY: Duration = Duration::from_secs(60);

pub(super) fn render(board: &Board, stands_still: bool) -> String {
    let view = View::of(board);
    let sections = vec![
        section(
            "Now",
            vec![Block::Figures(view.figures()), Block::Table(view.standing()), Block::Chart(view.course())],
        ),
        section("Decisions", vec![Block::Table(view.recent()), Block::Table(view.rates())]),
        section("Behind", vec![Block::Table(view.latency()), Block::Table(view.partitions())]),
        section("Endings", vec![Block::Table(view.endings())]),
        section("Preferences", vec![Block::Table(view.preferences())]),
    ];
    let page = Page {
        title: "This process".to_owned(),
        lead: format!("{}, since {}.", board.lead, board.since),
        sections,
        footer: format!(
            "stepup {}, at {}. Rates are those of this process alone.",
            env!("CARGO_PKG_VERSION"),
            view.now.wall
        ),
    };
    if stands_still { page.render() } else { page.render_again_after(AGAIN) }
}

fn section(title: &str, blocks: Vec<Block>) -> Section {
    Section { title: title.to_owned(), blocks }
}

/// This moment, and what was noted down before it.
struct View<'a> {
    board: &'a Board,
    now: Note,
    /// The oldest first; at least one.
    notes: Vec<Note>,
}

impl<'a> View<'a> {
    fn of(board: &'a Board) -> Self {
        let now = board.note();
        let mut notes: Vec<Note> = lock(&board.notes).iter().cloned().collect();
        if notes.is_empty() {
            notes.push(now.clone());
        }
        Self { board, now, notes }
    }

    /// The note with which a rate over the last minute begins.
    fn lately(&self) -> &Note {
        let recent = |note: &&Note| self.now.at.duration_since(note.at) <= LATELY + Duration::from_secs(1);
        self.notes.iter().find(recent).unwrap_or(&self.now)
    }

    fn quarter(&self) -> &Note {
        self.notes.first().unwrap_or(&self.now)
    }

    /// How many a minute since a note.
    #[allow(clippy::cast_precision_loss, reason = "for people, to a tenth")]
    fn per_minute(&self, since: &Note, count: impl Fn(&Note) -> u64) -> String {
        let seconds = self.now.at.duration_since(since.at).as_secs_f64();
        let grown = count(&self.now).saturating_sub(count(since)) as f64;
        if seconds < 1.0 { "–".to_owned() } else { format!("{:.1}", grown * 60.0 / seconds) }
    }

    #[allow(clippy::cast_precision_loss, reason = "for people, to a tenth")]
    fn figures(&self) -> Vec<Figure> {
        let readiness = self.board.health.readiness();
        let (since, decided) = (self.lately(), |note: &Note| note.totals.events(EventResult::Decided));
        let seconds = self.now.at.duration_since(since.at).as_secs_f64().max(1.0);
        let rate = (decided(&self.now) - decided(since)) as f64 / seconds;
        let asked = self.per_minute(since, |note| {
            Trigger::ALL.iter().map(|trigger| note.totals.decisions(*trigger, "required")).sum()
        });
        let lag: u64 = self.board.metrics.behind().iter().map(|behind| behind.records).sum();
        let dead: u64 = self.now.totals.dead_letters().map(|(_, count)| count).sum();
        let worst = self.now.totals.command_latency.within(&since.totals.command_latency, 0.99);
        let good = |good: bool| if good { Tone::Good } else { Tone::Bad };
        vec![
            figure(if readiness.ready { "yes" } else { "no" }, "ready", good(readiness.ready)),
            figure(format!("{rate:.1}/s"), "events decided", Tone::Plain),
            figure(format!("{asked}/min"), "required", Tone::Plain),
            figure(lag, "records behind", Tone::Plain),
            figure(within(worst), "event to command, p99", Tone::Plain),
            figure(dead, "dead letters since the start", if dead > 0 { Tone::Bad } else { Tone::Good }),
        ]
    }

    /// What keeps it from its work, and what people have switched.
    fn standing(&self) -> Table {
        let readiness = self.board.health.readiness();
        let missing = readiness.missing.iter().map(|missing| {
            let what = format!("{} waits for {}", missing.role.name(), missing.dependency);
            vec![what, missing.reason.clone(), missing.since.to_string()]
        });
        let held =
            self.board.metrics.held().into_iter().map(|(role, reason)| {
                vec![format!("{} is held", role.name()), reason.name().to_owned(), String::new()]
            });
        let controls =
            self.board.health.controls().into_iter().map(|line| vec!["switched".to_owned(), line, String::new()]);
        let columns = [("what", Align::Left), ("why", Align::Left), ("since", Align::Left)];
        table("Holds and controls", &columns, missing.chain(held).chain(controls).collect())
    }

    #[allow(clippy::cast_precision_loss, reason = "a time of this century, and counts")]
    fn course(&self) -> Chart {
        let rates = |count: &dyn Fn(&Note) -> u64| {
            let pairs = self.notes.windows(2).filter_map(|pair| {
                let [early, late] = pair else { return None };
                let seconds = late.at.duration_since(early.at).as_secs_f64().max(0.001);
                Some((late.wall.0 as f64, count(late).saturating_sub(count(early)) as f64 * 60.0 / seconds))
            });
            pairs.collect::<Vec<_>>()
        };
        let fired = |trigger: Trigger, note: &Note| note.totals.decisions(trigger, "required");
        let mut series: Vec<(u64, Series)> = Trigger::ALL
            .iter()
            .map(|trigger| {
                let grown = fired(*trigger, &self.now) - fired(*trigger, self.quarter());
                (grown, Series { name: trigger.name().to_owned(), points: rates(&|note| fired(*trigger, note)) })
            })
            .filter(|(grown, _)| *grown > 0)
            .collect();
        series.sort_by_key(|(grown, _)| std::cmp::Reverse(*grown));
        series.truncate(6);
        Chart {
            title: "Required a minute, by trigger".to_owned(),
            kind: ChartKind::Lines,
            x: Axis { label: "time".to_owned(), scale: Scale::Linear, unit: Unit::UtcTime },
            y: Axis { label: "a minute".to_owned(), scale: Scale::Linear, unit: Unit::Plain },
            series: series.into_iter().map(|(_, series)| series).collect(),
        }
    }

    fn rates(&self) -> Table {
        let mut rows = Vec::new();
        for trigger in Trigger::ALL {
            for name in Decision::NAMES {
                let count = |note: &Note| note.totals.decisions(*trigger, name);
                let all = count(&self.now);
                if all > 0 {
                    let (lately, quarter) =
                        (self.per_minute(self.lately(), count), self.per_minute(self.quarter(), count));
                    rows.push(vec![trigger.name().to_owned(), name.to_owned(), lately, quarter, all.to_string()]);
                }
            }
        }
        let columns = [
            ("trigger", Align::Left),
            ("decision", Align::Left),
            ("a minute, last 1 min", Align::Right),
            ("last 15 min", Align::Right),
            ("since the start", Align::Right),
        ];
        table("Rates by trigger and decision", &columns, rows)
    }

    fn recent(&self) -> Table {
        let told = lock(&self.board.told);
        let row = |told: &Told| {
            let mut row = vec![time_of_day(told.at), told.tenant.to_string(), told.trigger.name().to_owned()];
            row.extend([told.decision.name().to_owned(), told.why()]);
            match self.board.ids {
                ConsoleIds::Masked => row.push(format!("…{}", told.hash())),
                ConsoleIds::Shown => row.extend([told.customer.to_string(), told.event.to_string()]),
            }
            row.push(told.source.to_string());
            row
        };
        let mut columns = vec![("at", Align::Left), ("tenant", Align::Left), ("trigger", Align::Left)];
        columns.extend([("decision", Align::Left), ("why", Align::Left)]);
        match self.board.ids {
            ConsoleIds::Masked => columns.push(("customer (hash)", Align::Left)),
            ConsoleIds::Shown => columns.extend([("customer", Align::Left), ("event", Align::Left)]),
        }
        columns.push(("event stands at", Align::Left));
        let title = format!("The last decisions that came as far as the cool-down (at most {MOST_TOLD})");
        table(&title, &columns, told.iter().rev().map(row).collect())
    }

    fn latency(&self) -> Table {
        let row = |name: &str, of: fn(&Note) -> &Spread| {
            let (now, before) = (of(&self.now), of(self.lately()));
            let mut row = vec![name.to_owned(), now.since(before).to_string()];
            row.extend([0.5, 0.9, 0.99].map(|share| within(now.within(before, share))));
            row
        };
        let rows = vec![
            row("event → command", |note| &note.totals.command_latency),
            row("command → outcome", |note| &note.totals.session_latency),
        ];
        let columns = [
            ("", Align::Left),
            ("count", Align::Right),
            ("p50 ≤", Align::Right),
            ("p90 ≤", Align::Right),
            ("p99 ≤", Align::Right),
        ];
        table("Latency in the last minute", &columns, rows)
    }

    fn partitions(&self) -> Table {
        let mut behind = self.board.metrics.behind();
        behind.sort_by_key(|behind| std::cmp::Reverse(behind.records));
        let rows = behind.into_iter().take(20).map(|behind| {
            let place = format!("{}[{}]", behind.topic, behind.partition);
            vec![behind.role.name().to_owned(), place, behind.records.to_string()]
        });
        let columns = [("role", Align::Left), ("partition", Align::Left), ("lag", Align::Right)];
        table("The partitions furthest behind", &columns, rows.collect())
    }

    fn endings(&self) -> Table {
        let totals = &self.now.totals;
        let of = |what: &'static str, counts: Vec<(&'static str, u64)>| {
            let some = counts.into_iter().filter(|(_, count)| *count > 0);
            some.map(move |(name, count)| vec![what.to_owned(), name.to_owned(), count.to_string()])
        };
        let rows = of("outcome", totals.outcomes().collect())
            .chain(of("answer of the session API", totals.answers().collect()))
            .chain(of("dead letter", totals.dead_letters().collect()));
        let columns = [("what", Align::Left), ("which", Align::Left), ("since the start", Align::Right)];
        table("Outcomes, answers and dead letters", &columns, rows.collect())
    }

    fn preferences(&self) -> Table {
        let known = self.board.preferences.get().map(|snapshot| snapshot(MOST_TENANTS)).unwrap_or_default();
        let rows = known.into_iter().map(|tenant| {
            let version = tenant.updated_at.unwrap_or_else(|| "–".to_owned());
            vec![
                tenant.tenant.to_string(),
                version,
                tenant.state.to_owned(),
                format!("{:.1}", tenant.age.as_secs_f64()),
            ]
        });
        let columns =
            [("tenant", Align::Left), ("version", Align::Left), ("state", Align::Left), ("age in s", Align::Right)];
        let title = format!("The oldest preferences in use (at most {MOST_TENANTS})");
        table(&title, &columns, rows.collect())
    }
}

fn figure(value: impl ToString, label: &str, tone: Tone) -> Figure {
    Figure { value: value.to_string(), label: label.to_owned(), tone }
}

/// Seconds as people read them.
fn within(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds.is_infinite() => "longer".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("{} ms", seconds * 1_000.0),
        Some(seconds) => format!("{seconds} s"),
    }
}

fn table(caption: &str, columns: &[(&str, Align)], rows: Vec<Vec<String>>) -> Table {
    let column = |(name, align): &(&str, Align)| Column { name: (*name).to_owned(), align: *align };
    Table { caption: caption.to_owned(), columns: columns.iter().map(column).collect(), rows }
}

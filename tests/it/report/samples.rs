//! Pages as the verbs make them, and some that they should not.

use stepup::roles::report::{
    Align, Axis, Block, Chart, ChartKind, Column, Figure, Page, Scale, Section, Series, Table, Tone, Unit,
};

use ChartKind::{Bars, Lines, Steps};
use Scale::{Linear, Log};

/// 2026-03-01T12:00:00Z in milliseconds.
const NOON: f64 = 1_772_366_400_000.0;

/// What a sender might try: tags, quotes, orders to a terminal, and text that is read backwards.
const HOSTILE: &str = "<script>alert(\"x\")</script>'&\u{1b}[31m\u{202e}\0";

pub fn replay() -> Page {
    let text = "Latency is counted from when an event should have been sent, so that a sender that falls behind hides nothing.";
    let short = vec![
        Block::Figures(vec![
            figure("1,296,000", "events produced", Tone::Plain),
            figure("1,296,000", "events decided", Tone::Plain),
            figure("0", "lost", Tone::Good),
            figure("0", "repeated", Tone::Good),
            figure("31.0 ms", "event → command, p99", Tone::Good),
            figure("388 ms", "event → command, greatest", Tone::Bad),
            figure("11,760/s", "plateau", Tone::Plain),
        ]),
        Block::Text(text.to_owned()),
    ];
    Page {
        title: "Replay of 1,296,000 synthetic events".to_owned(),
        lead: "Ten minutes in five steps from 2,000 to 11,600 events a second against kafka-0:9092, with 20,000 customers of \
               8 tenants. The objective was p99<250ms,lost=0."
            .to_owned(),
        sections: vec![
            section("In short", short),
            section("Latency", latency()),
            section("Load", vec![offered_and_decided(), lag()]),
        ],
        footer: "stepup 0.1.0 · 2026-03-01T12:11:04Z · stepup replay --config stepup.yaml --synthetic --steps \
                 2000..11600:2400 --for 10m --seed 7 --slo p99<250ms,lost=0 --report replay.html"
            .to_owned(),
    }
}

fn latency() -> Vec<Block> {
    let percentiles = table(
        "Event → command by trigger, in milliseconds",
        "<trigger | commands | p50 | p90 | p99 | p99.9 | greatest",
        &[
            "all | 1,284,211 | 4.1 | 9.8 | 31.0 | 212 | 388",
            "large_bet_placement | 18,402 | 4.0 | 9.6 | 29.4 | 180 | 301",
            "high_frequency_betting | 6,012 | 5.2 | 12.9 | 44.1 | 240 | 388",
            "deposit | 44,120 | 3.9 | 9.1 | 28.7 | 199 | 364",
            "withdrawal | 12,090 | 4.0 | 9.3 | 29.9 | 203 | 340",
            "device_fingerprint_change | 2,204 | 4.4 | 10.2 | 33.0 | 215 | 322",
        ],
    );
    let course = |name, base: f64, swing: f64, a: f64| {
        let slow = move |x: f64| 6.0 * burst(x) * (1.0 + wobble(x * 3.0, a));
        series(name, seconds(move |x| base * (1.0 + swing * wobble(x, a) + slow(x))))
    };
    let histogram = |name, middle: f64, height: f64| {
        let bound = |n: i32| 1.5_f64.powi(n);
        let count = move |n: i32| (height * (-(bound(n) / middle).ln().powi(2)).exp()).round();
        series(name, (0..16).map(move |n| (bound(n), count(n))).filter(|point| point.1 > 0.0))
    };
    vec![
        Block::Table(percentiles),
        chart(
            "Event → command over the run",
            Lines,
            axis("time of the run", Linear, Unit::Seconds),
            axis("latency", Log, Unit::Milliseconds),
            vec![
                course("p50", 4.0, 0.1, 0.0),
                course("p90", 9.5, 0.2, 0.7),
                course("p99", 30.0, 0.3, 1.9),
                course("greatest", 60.0, 0.5, 2.6),
            ],
        ),
        chart(
            "How many took how long",
            Bars,
            axis("latency", Log, Unit::Milliseconds),
            axis("events", Linear, Unit::Plain),
            vec![histogram("event → command", 5.0, 41_000.0), histogram("event → outcome", 24.0, 37_500.0)],
        ),
    ]
}

fn offered_and_decided() -> Block {
    let step = |x: f64| 2_000.0 + (x / 120.0).floor() * 2_400.0;
    let decided = move |x: f64| (step(x) * (1.0 - 0.2 * burst(x)) + 120.0 * wobble(x, 1.0)).round();
    let offered = [0.0, 120.0, 240.0, 360.0, 480.0, 599.0].map(|x| (x, step(x)));
    chart(
        "Offered and decided",
        Steps,
        axis("time of the run", Linear, Unit::Seconds),
        axis("events a second", Linear, Unit::Plain),
        vec![series("offered", offered.into_iter()), series("decided", seconds(decided))],
    )
}

/// Nobody could ask for the lag for half a minute.
fn lag() -> Block {
    let behind = |x: f64| (40.0 + 30.0 * wobble(x, 0.3) + 14_000.0 * burst(x) * ((x - 300.0) / 60.0)).round();
    let lag = seconds(move |x| if (420.0..450.0).contains(&x) { f64::NAN } else { behind(x) });
    chart(
        "Lag of the activity topic",
        Lines,
        axis("time of the run", Linear, Unit::Seconds),
        axis("events behind", Linear, Unit::Plain),
        vec![series("lag", lag)],
    )
}

/// A value for each second of ten minutes.
fn seconds(y: impl Fn(f64) -> f64) -> impl Iterator<Item = (f64, f64)> {
    (0..600).map(f64::from).map(move |x| (x, y(x)))
}

/// Something between -1 and 1 that looks measured.
fn wobble(x: f64, a: f64) -> f64 {
    ((x * 0.37 + a).sin() + (x * 0.113 + a * 2.0).sin()) / 2.0
}

/// The minute in which everything was slow.
fn burst(x: f64) -> f64 {
    if (300.0..360.0).contains(&x) { 1.0 } else { 0.0 }
}

pub fn backtest() -> Page {
    let short = vec![
        Block::Figures(vec![
            figure("−3,183", "interruptions (−38.3 %)", Tone::Good),
            figure("4,870 → 3,344", "customers who are interrupted", Tone::Plain),
            figure("102", "customers newly interrupted", Tone::Bad),
            figure("41 → 29", "sessions in the peak minute", Tone::Plain),
            figure("$1,662 → $1,025", "cost at $0.20 a session", Tone::Plain),
        ]),
        Block::Table(table(
            "By trigger, before and after",
            "<trigger | required before | required after | newly | no longer | customers before | customers after",
            &[
                "all | 8,310 | 5,127 | 212 | 3,395 | 4,870 | 3,344",
                "deposit | 3,902 | 1,120 | 0 | 2,782 | 2,511 | 902",
                "withdrawal | 1,004 | 1,004 | 0 | 0 | 811 | 811",
                "large_bet_placement | 2,110 | 2,110 | 0 | 0 | 1,320 | 1,320",
                "high_frequency_betting | 1,294 | 893 | 212 | 613 | 740 | 561",
            ],
        )),
    ];
    Page {
        title: "A threshold of 250 for deposits, and 10 bets in 5 minutes".to_owned(),
        lead: "Decided over 4,210,338 events of 31,204 customers between 1 and 8 March 2026, before and after the change."
            .to_owned(),
        sections: vec![
            section("Whom it interrupts", short),
            section("Other thresholds", vec![sweep()]),
            section("How often", vec![prompts(), sessions()]),
            section("Most affected", vec![Block::Table(most_affected())]),
        ],
        footer: "stepup 0.1.0 · 2026-03-09T08:00:12Z · stepup backtest --events week.ndjson.zst --preferences preferences \
                 --change '{\"deposit\":{\"threshold\":250}}' --sweep deposit.threshold=100..2000:100 --report week.html"
            .to_owned(),
    }
}

fn sweep() -> Block {
    let falling = |name, from: f64, drop: f64| {
        let count = move |n: i32| (from * (-f64::from(n) / drop).exp()).round();
        series(name, (1..=20).map(move |n| (f64::from(n) * 100.0, count(n))))
    };
    chart(
        "Interruptions by the threshold of deposits",
        Lines,
        axis("deposit.threshold in USD", Linear, Unit::Plain),
        axis("in the whole time", Linear, Unit::Plain),
        vec![
            falling("events", 5_200.0, 5.0),
            falling("distinct customers", 3_100.0, 6.5),
            falling("repeat prompts", 1_900.0, 3.1),
        ],
    )
}

fn prompts() -> Block {
    let fewer = |name, first: f64, most| {
        series(name, (1..=most).map(move |n: i32| (f64::from(n), (first / f64::from(n * n)).round())))
    };
    chart(
        "Prompts per customer",
        Bars,
        axis("prompts", Linear, Unit::Plain),
        axis("customers", Linear, Unit::Plain),
        vec![fewer("before", 3_100.0, 9), fewer("after", 2_300.0, 7)],
    )
}

fn sessions() -> Block {
    let day = |n: f64| 1.0 + ((n / 1_440.0 - 0.3) * std::f64::consts::TAU).sin();
    let minutes = |name, a: f64, height: f64| {
        let count = move |n: f64| (height * day(n) + 4.0 * (n * 0.7 + a).sin().abs()).round();
        series(name, (0..1_440).map(f64::from).map(move |n| (NOON + n * 60_000.0, count(n))))
    };
    chart(
        "Sessions a minute",
        Steps,
        axis("time", Linear, Unit::UtcTime),
        axis("sessions", Linear, Unit::Plain),
        vec![minutes("before", 0.0, 18.0), minutes("after", 1.0, 11.0)],
    )
}

fn most_affected() -> Table {
    let longest = format!("auth0|65f0c1d2e3b4a59687786950-eu-west-1-production-migrated-from-legacy-2019-{:050}", 17);
    let rows: Vec<String> = (0..10)
        .map(|n| {
            let id = if n == 0 { longest.clone() } else { format!("b{n}f7c2d{n}-4e1a-4{n}0b-9c3d-8a7e6f5d{n}c2b") };
            format!("{id} | tenant-{} | {} | {} | −{}", n % 4, 61 - n * 5, 14 - n, 47 - n * 4)
        })
        .collect();
    table(
        "The ten customers whose prompts change most",
        "<customer | <tenant | prompts before | prompts after | change",
        &rows.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

/// Charts with hardly anything to show, and a table without rows.
pub fn odd() -> Page {
    let odd = |title, kind, scale, unit, points: &[&[(f64, f64)]]| {
        let named = points.iter().enumerate().map(|(n, points)| series(&format!("series {n}"), points.iter().copied()));
        chart(title, kind, axis("x", Linear, unit), axis("y", scale, Unit::Plain), named.collect())
    };
    let many: Vec<Vec<(f64, f64)>> =
        (0..13).map(|n| (0..9).map(|x| (f64::from(x), f64::from(n * x))).collect()).collect();
    let many: Vec<&[(f64, f64)]> = many.iter().map(Vec::as_slice).collect();
    let gaps = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0), (4.0, f64::INFINITY), (5.0, 3.0), (6.0, 2.5)];
    let vast = [(1.0, 3.0), (10.0, 40_000.0), (20.0, 2e9)];
    let charts = vec![
        odd("No series", Lines, Linear, Unit::Plain, &[]),
        odd("Nothing finite", Lines, Linear, Unit::Plain, &[&[(1.0, f64::NAN)]]),
        odd("One point", Lines, Linear, Unit::Seconds, &[&[(30.0, 7.0)]]),
        odd("One step", Steps, Log, Unit::UtcTime, &[&[(NOON, 7.0)]]),
        odd("One bar", Bars, Linear, Unit::Plain, &[&[(3.0, 7.0)]]),
        odd("Constant", Lines, Linear, Unit::Milliseconds, &[&[(0.0, 5.0), (900.0, 5.0)]]),
        odd("Constant zero", Steps, Linear, Unit::Percent, &[&[(0.0, 0.0), (100.0, 0.0)]]),
        odd("Gaps", Lines, Linear, Unit::Plain, &[&gaps]),
        odd("Gaps between steps", Steps, Linear, Unit::Plain, &[&gaps]),
        odd("Below zero", Bars, Linear, Unit::Plain, &[&[(1.0, -3.0), (2.0, 4.0), (3.0, f64::NAN)]]),
        odd("Bars of powers of ten", Bars, Log, Unit::Plain, &[&vast, &vast]),
        odd("Thirteen", Lines, Linear, Unit::Plain, &many),
    ];
    let tables = vec![
        Block::Table(table("No rows", "<a | b", &[])),
        Block::Figures(Vec::new()),
        Block::Figures(vec![figure("7", "alone", Tone::Bad)]),
    ];
    Page {
        title: "Hardly anything".to_owned(),
        lead: String::new(),
        sections: vec![section("Charts", charts), section("Tables", tables), section("Empty", Vec::new())],
        footer: String::new(),
    }
}

pub fn hostile() -> Page {
    let (header, row) = (format!("<{HOSTILE} | {HOSTILE}"), format!("{HOSTILE} | {HOSTILE}"));
    let axis = || axis(HOSTILE, Linear, Unit::Plain);
    let blocks = vec![
        Block::Text(HOSTILE.to_owned()),
        Block::Figures(vec![figure(HOSTILE, HOSTILE, Tone::Bad)]),
        Block::Table(table(HOSTILE, &header, &[&row])),
        chart(HOSTILE, Bars, axis(), axis(), vec![series(HOSTILE, [(1.0, 2.0), (2.0, 1.0)].into_iter())]),
    ];
    Page {
        title: HOSTILE.to_owned(),
        lead: HOSTILE.to_owned(),
        // So many that the page begins with a list of them.
        sections: vec![section(HOSTILE, blocks); 5],
        footer: HOSTILE.to_owned(),
    }
}

fn section(title: &str, blocks: Vec<Block>) -> Section {
    Section { title: title.to_owned(), blocks }
}

fn figure(value: &str, label: &str, tone: Tone) -> Figure {
    Figure { value: value.to_owned(), label: label.to_owned(), tone }
}

/// A table from lines with a bar between cells; a column whose name begins with `<` is text, the others are numbers.
fn table(caption: &str, columns: &str, rows: &[&str]) -> Table {
    let column = |name: &str| match name.strip_prefix('<') {
        Some(name) => Column { name: name.to_owned(), align: Align::Left },
        None => Column { name: name.to_owned(), align: Align::Right },
    };
    Table {
        caption: caption.to_owned(),
        columns: columns.split(" | ").map(column).collect(),
        rows: rows.iter().map(|row| row.split(" | ").map(str::to_owned).collect()).collect(),
    }
}

fn chart(title: &str, kind: ChartKind, x: Axis, y: Axis, series: Vec<Series>) -> Block {
    Block::Chart(Chart { title: title.to_owned(), kind, x, y, series })
}

fn axis(label: &str, scale: Scale, unit: Unit) -> Axis {
    Axis { label: label.to_owned(), scale, unit }
}

fn series(name: &str, points: impl Iterator<Item = (f64, f64)>) -> Series {
    Series { name: name.to_owned(), points: points.collect() }
}

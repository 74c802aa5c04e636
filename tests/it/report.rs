//! Report pages as verbs make them, read back: one file, well formed, nothing from outside, nothing that is obeyed.
//!
//! The sample pages are left in the test directory of the target, for whoever wants to look at them.

use stepup::roles::report::{
    Align, Axis, Block, Chart, ChartKind, Column, Figure, Page, Scale, Section, Series, Table, Tone, Unit,
};

/// 2026-03-01T12:00:00Z in milliseconds.
const NOON: f64 = 1_772_366_400_000.0;

const HOSTILE: &str = "<script>alert(\"x\")</script>'&\u{1b}[31m\u{202e}\0";

#[test]
fn a_page_is_one_well_formed_file_that_takes_nothing_from_outside() {
    for (name, page) in [("replay", replay()), ("backtest", backtest()), ("odd", odd()), ("hostile", hostile())] {
        let html = page.render();
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}.html"));
        std::fs::write(&path, &html).expect("a place for the sample page");

        let tags = Tags::read(&html).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(tags.names.iter().filter(|tag| *tag == "svg").count() > 2, "{name}");
        assert_eq!(tags.names.iter().filter(|tag| *tag == "script").count(), 1, "{name}");
        for outside in ["<link", "<img", "<iframe", "@import", "src=", " style=", "javascript:"] {
            assert!(!html.contains(outside), "{name} holds {outside}");
        }
        let addresses = html.matches("http://").count() + html.matches("https://").count();
        assert_eq!(addresses, html.matches("http://www.w3.org/2000/svg").count(), "{name} names an address");
        assert!(html.contains("default-src 'none'"), "{name}");
        let mut ids = tags.ids.clone();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), tags.ids.len(), "{name} gives an id twice");
        for reference in &tags.references {
            assert!(ids.contains(reference), "{name} refers to {reference}");
        }
    }
}

#[test]
fn each_drawing_can_stand_alone() {
    let html = replay().render();
    let drawings: Vec<&str> = html.split("<svg class=\"plot").skip(1).collect();
    assert_eq!(drawings.len(), 4);
    for drawing in drawings {
        let text =
            format!("<svg class=\"plot{}</svg>\n", drawing.split("</svg>\n<p class=\"x axis\">").next().unwrap());
        assert!(text.contains("xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(text.contains("<title id=") && text.contains("<desc id="));
        Tags::read_xml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn what_others_wrote_stays_text() {
    let page = hostile();
    let html = page.render();
    assert!(!html.contains("<script>alert") && !html.contains("alert(\""), "{html}");
    assert!(html.contains("&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;&#39;&#38;"), "{html}");
    for text in [html, page.text(80)] {
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\0']), "{text:?}");
    }
}

#[test]
fn the_text_of_a_page_keeps_to_its_width() {
    for page in [replay(), backtest(), odd(), hostile()] {
        for width in [20, 40, 80, 120] {
            let text = page.text(width);
            for line in text.lines() {
                assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{width}: {line}");
            }
        }
    }
    let text = backtest().text(100);
    for said in ["A threshold of 250 for deposits", "customers who are interrupted", "large_bet_placement", "▂"] {
        assert!(text.contains(said), "{said} is missing in\n{text}");
    }
}

fn replay() -> Page {
    let seconds = |count: u32, every: f64, y: &dyn Fn(f64) -> f64| {
        (0..count).map(|n| f64::from(n) * every).map(|x| (x, y(x))).collect::<Vec<_>>()
    };
    let wobble = |x: f64, a: f64| ((x * 0.37 + a).sin() + (x * 0.113 + a * 2.0).sin()) / 2.0;
    let burst = |x: f64| if (300.0..360.0).contains(&x) { 1.0 } else { 0.0 };
    let latency = |name: &str, base: f64, swing: f64, a: f64| Series {
        name: name.to_owned(),
        points: seconds(600, 1.0, &|x| {
            base * (1.0 + swing * wobble(x, a) + 6.0 * burst(x) * (1.0 + wobble(x * 3.0, a)))
        }),
    };
    let offered = seconds(5, 120.0, &|x| 2_000.0 + x * 20.0);
    let decided = seconds(600, 1.0, &|x| {
        let offered = 2_000.0 + (x / 120.0).floor() * 2_400.0;
        (offered * (1.0 - 0.2 * burst(x)) + 120.0 * wobble(x, 1.0)).round()
    });
    let lag = seconds(600, 1.0, &|x| {
        if (420.0..450.0).contains(&x) {
            f64::NAN
        } else {
            (40.0 + 30.0 * wobble(x, 0.3) + 14_000.0 * burst(x) * ((x - 300.0) / 60.0)).round()
        }
    });
    let histogram = |name: &str, middle: f64, height: f64| {
        let bound = |n: i32| 1.5_f64.powi(n);
        let count = |n: i32| (height * (-(bound(n) / middle).ln().powi(2)).exp()).round();
        series(name, (0..16).map(|n| (bound(n), count(n))).filter(|point| point.1 > 0.0))
    };
    let percentiles = [
        ("all", "1,284,211", "4.1", "9.8", "31.0", "212", "388"),
        ("large_bet_placement", "18,402", "4.0", "9.6", "29.4", "180", "301"),
        ("high_frequency_betting", "6,012", "5.2", "12.9", "44.1", "240", "388"),
        ("deposit", "44,120", "3.9", "9.1", "28.7", "199", "364"),
        ("withdrawal", "12,090", "4.0", "9.3", "29.9", "203", "340"),
        ("device_fingerprint_change", "2,204", "4.4", "10.2", "33.0", "215", "322"),
    ];
    Page {
        title: "Replay of 1,296,000 synthetic events".to_owned(),
        lead: "Ten minutes in five steps from 2,000 to 11,600 events a second against kafka-0:9092, with 20,000 customers of \
               8 tenants. The objective was p99<250ms,lost=0."
            .to_owned(),
        sections: vec![
            Section {
                title: "In short".to_owned(),
                blocks: vec![
                    Block::Figures(vec![
                        figure("1,296,000", "events produced", Tone::Plain),
                        figure("1,296,000", "events decided", Tone::Plain),
                        figure("0", "lost", Tone::Good),
                        figure("0", "repeated", Tone::Good),
                        figure("31.0 ms", "event → command, p99", Tone::Good),
                        figure("388 ms", "event → command, greatest", Tone::Bad),
                        figure("11,760/s", "plateau", Tone::Plain),
                    ]),
                    Block::Text(
                        "Latency is counted from when an event should have been sent, so that a sender that falls behind \
                         hides nothing."
                            .to_owned(),
                    ),
                ],
            },
            Section {
                title: "Latency".to_owned(),
                blocks: vec![
                    Block::Table(Table {
                        caption: "Event → command by trigger, in milliseconds".to_owned(),
                        columns: columns(&["<trigger", "commands", "p50", "p90", "p99", "p99.9", "greatest"]),
                        rows: percentiles
                            .iter()
                            .map(|(a, b, c, d, e, f, g)| [a, b, c, d, e, f, g].map(|cell| (*cell).to_owned()).to_vec())
                            .collect(),
                    }),
                    Block::Chart(Chart {
                        title: "Event → command over the run".to_owned(),
                        kind: ChartKind::Lines,
                        x: axis("time of the run", Scale::Linear, Unit::Seconds),
                        y: axis("latency", Scale::Log, Unit::Milliseconds),
                        series: vec![
                            latency("p50", 4.0, 0.1, 0.0),
                            latency("p90", 9.5, 0.2, 0.7),
                            latency("p99", 30.0, 0.3, 1.9),
                            latency("greatest", 60.0, 0.5, 2.6),
                        ],
                    }),
                    Block::Chart(Chart {
                        title: "How many took how long".to_owned(),
                        kind: ChartKind::Bars,
                        x: axis("latency", Scale::Log, Unit::Milliseconds),
                        y: axis("events", Scale::Linear, Unit::Plain),
                        series: vec![histogram("event → command", 5.0, 41_000.0), histogram("event → outcome", 24.0, 37_500.0)],
                    }),
                ],
            },
            Section {
                title: "Load".to_owned(),
                blocks: vec![
                    Block::Chart(Chart {
                        title: "Offered and decided".to_owned(),
                        kind: ChartKind::Steps,
                        x: axis("time of the run", Scale::Linear, Unit::Seconds),
                        y: axis("events a second", Scale::Linear, Unit::Plain),
                        series: vec![
                            Series { name: "offered".to_owned(), points: [offered, vec![(599.0, 11_600.0)]].concat() },
                            Series { name: "decided".to_owned(), points: decided },
                        ],
                    }),
                    Block::Chart(Chart {
                        title: "Lag of the activity topic".to_owned(),
                        kind: ChartKind::Lines,
                        x: axis("time of the run", Scale::Linear, Unit::Seconds),
                        y: axis("events behind", Scale::Linear, Unit::Plain),
                        series: vec![Series { name: "lag".to_owned(), points: lag }],
                    }),
                ],
            },
        ],
        footer: "stepup 0.1.0 · 2026-03-01T12:11:04Z · stepup replay --config stepup.yaml --synthetic --steps \
                 2000..11600:2400 --for 10m --seed 7 --slo p99<250ms,lost=0 --report replay.html"
            .to_owned(),
    }
}

fn backtest() -> Page {
    let triggers = [
        ("all", "8,310", "5,127", "212", "3,395", "4,870", "3,344"),
        ("deposit", "3,902", "1,120", "0", "2,782", "2,511", "902"),
        ("withdrawal", "1,004", "1,004", "0", "0", "811", "811"),
        ("large_bet_placement", "2,110", "2,110", "0", "0", "1,320", "1,320"),
        ("high_frequency_betting", "1,294", "893", "212", "613", "740", "561"),
    ];
    let customers = (0..10).map(|n| {
        let id = match n {
            0 => "auth0|65f0c1d2e3b4a59687786950-eu-west-1-production-migrated-from-legacy-platform-2019-000000000000000000000000000000000000000017".to_owned(),
            n => format!("b{n}f7c2d{n}-4e1a-4{n}0b-9c3d-8a7e6f5d{n}c2b"),
        };
        let cells = [id, format!("tenant-{}", n % 4), (61 - n * 5).to_string(), (14 - n).to_string(), format!("−{}", 47 - n * 4)];
        cells.to_vec()
    });
    let sweep = |from: f64, drop: f64| {
        (1..=20).map(move |n| (f64::from(n) * 100.0, (from * (-f64::from(n) / drop).exp()).round()))
    };
    let minutes = |a: f64, height: f64| {
        (0..1_440).map(move |n| {
            let day = 1.0 + ((f64::from(n) / 1_440.0 - 0.3) * std::f64::consts::TAU).sin();
            (NOON + f64::from(n) * 60_000.0, (height * day + 4.0 * (f64::from(n) * 0.7 + a).sin().abs()).round())
        })
    };
    Page {
        title: "A threshold of 250 for deposits, and 10 bets in 5 minutes".to_owned(),
        lead: "Decided over 4,210,338 events of 31,204 customers between 1 and 8 March 2026, before and after the change.".to_owned(),
        sections: vec![
            Section {
                title: "Whom it interrupts".to_owned(),
                blocks: vec![
                    Block::Figures(vec![
                        figure("−3,183", "interruptions (−38.3 %)", Tone::Good),
                        figure("4,870 → 3,344", "customers who are interrupted", Tone::Plain),
                        figure("102", "customers newly interrupted", Tone::Bad),
                        figure("41 → 29", "sessions in the peak minute", Tone::Plain),
                        figure("$1,662 → $1,025", "cost at $0.20 a session", Tone::Plain),
                    ]),
                    Block::Table(Table {
                        caption: "By trigger, before and after".to_owned(),
                        columns: columns(&[
                            "<trigger", "required before", "required after", "newly", "no longer", "customers before", "customers after",
                        ]),
                        rows: triggers
                            .iter()
                            .map(|(a, b, c, d, e, f, g)| [a, b, c, d, e, f, g].map(|cell| (*cell).to_owned()).to_vec())
                            .collect(),
                    }),
                ],
            },
            Section {
                title: "Other thresholds".to_owned(),
                blocks: vec![Block::Chart(Chart {
                    title: "Interruptions by the threshold of deposits".to_owned(),
                    kind: ChartKind::Lines,
                    x: axis("deposit.threshold in USD", Scale::Linear, Unit::Plain),
                    y: axis("in the whole time", Scale::Linear, Unit::Plain),
                    series: vec![
                        series("events", sweep(5_200.0, 5.0)),
                        series("distinct customers", sweep(3_100.0, 6.5)),
                        series("repeat prompts", sweep(1_900.0, 3.1)),
                    ],
                })],
            },
            Section {
                title: "How often".to_owned(),
                blocks: vec![
                    Block::Chart(Chart {
                        title: "Prompts per customer".to_owned(),
                        kind: ChartKind::Bars,
                        x: axis("prompts", Scale::Linear, Unit::Plain),
                        y: axis("customers", Scale::Linear, Unit::Plain),
                        series: vec![
                            series("before", (1..=9).map(|n| (f64::from(n), (3_100.0 / f64::from(n * n)).round()))),
                            series("after", (1..=7).map(|n| (f64::from(n), (2_300.0 / f64::from(n * n)).round()))),
                        ],
                    }),
                    Block::Chart(Chart {
                        title: "Sessions a minute".to_owned(),
                        kind: ChartKind::Steps,
                        x: axis("time", Scale::Linear, Unit::UtcTime),
                        y: axis("sessions", Scale::Linear, Unit::Plain),
                        series: vec![series("before", minutes(0.0, 18.0)), series("after", minutes(1.0, 11.0))],
                    }),
                ],
            },
            Section {
                title: "Most affected".to_owned(),
                blocks: vec![Block::Table(Table {
                    caption: "The ten customers whose prompts change most".to_owned(),
                    columns: columns(&["<customer", "<tenant", "prompts before", "prompts after", "change"]),
                    rows: customers.collect(),
                })],
            },
        ],
        footer: "stepup 0.1.0 · 2026-03-09T08:00:12Z · stepup backtest --events week.ndjson.zst --preferences preferences --change \
                 '{\"deposit\":{\"threshold\":250}}' --sweep deposit.threshold=100..2000:100 --report week.html"
            .to_owned(),
    }
}

/// Charts with hardly anything to show, and a table without rows.
fn odd() -> Page {
    let chart = |title: &str, kind, scale, unit, points: &[&[(f64, f64)]]| {
        let series =
            points.iter().enumerate().map(|(n, points)| series(&format!("series {n}"), points.iter().copied()));
        Block::Chart(Chart {
            title: title.to_owned(),
            kind,
            x: axis("x", Scale::Linear, unit),
            y: axis("y", scale, Unit::Plain),
            series: series.collect(),
        })
    };
    let many: Vec<Vec<(f64, f64)>> =
        (0..13).map(|n| (0..9).map(|x| (f64::from(x), f64::from(n * x))).collect()).collect();
    let many: Vec<&[(f64, f64)]> = many.iter().map(Vec::as_slice).collect();
    let gaps = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0), (4.0, f64::INFINITY), (5.0, 3.0), (6.0, 2.5)];
    let wide = [(1.0, 3.0), (10.0, 40_000.0), (20.0, 2e9)];
    use ChartKind::{Bars, Lines, Steps};
    use Scale::{Linear, Log};
    Page {
        title: "Hardly anything".to_owned(),
        lead: String::new(),
        sections: vec![
            Section {
                title: "Charts".to_owned(),
                blocks: vec![
                    chart("No series", Lines, Linear, Unit::Plain, &[]),
                    chart("Nothing finite", Lines, Linear, Unit::Plain, &[&[(1.0, f64::NAN)]]),
                    chart("One point", Lines, Linear, Unit::Seconds, &[&[(30.0, 7.0)]]),
                    chart("One step", Steps, Log, Unit::UtcTime, &[&[(NOON, 7.0)]]),
                    chart("One bar", Bars, Linear, Unit::Plain, &[&[(3.0, 7.0)]]),
                    chart("Constant", Lines, Linear, Unit::Milliseconds, &[&[(0.0, 5.0), (900.0, 5.0)]]),
                    chart("Constant zero", Steps, Linear, Unit::Percent, &[&[(0.0, 0.0), (100.0, 0.0)]]),
                    chart("Gaps", Lines, Linear, Unit::Plain, &[&gaps]),
                    chart("Gaps between steps", Steps, Linear, Unit::Plain, &[&gaps]),
                    chart("Below zero", Bars, Linear, Unit::Plain, &[&[(1.0, -3.0), (2.0, 4.0), (3.0, f64::NAN)]]),
                    chart("Bars of powers of ten", Bars, Log, Unit::Plain, &[&wide, &wide]),
                    chart("Thirteen", Lines, Linear, Unit::Plain, &many),
                ],
            },
            Section {
                title: "Tables".to_owned(),
                blocks: vec![
                    Block::Table(Table {
                        caption: "No rows".to_owned(),
                        columns: columns(&["<a", "b"]),
                        rows: Vec::new(),
                    }),
                    Block::Figures(Vec::new()),
                    Block::Figures(vec![figure("7", "alone", Tone::Bad)]),
                ],
            },
            Section { title: "Empty".to_owned(), blocks: Vec::new() },
        ],
        footer: String::new(),
    }
}

fn hostile() -> Page {
    Page {
        title: HOSTILE.to_owned(),
        lead: HOSTILE.to_owned(),
        sections: vec![Section {
            title: HOSTILE.to_owned(),
            blocks: vec![
                Block::Text(HOSTILE.to_owned()),
                Block::Figures(vec![figure(HOSTILE, HOSTILE, Tone::Bad)]),
                Block::Table(Table {
                    caption: HOSTILE.to_owned(),
                    columns: columns(&[&format!("<{HOSTILE}"), HOSTILE]),
                    rows: vec![vec![HOSTILE.to_owned(), HOSTILE.to_owned()]],
                }),
                Block::Chart(Chart {
                    title: HOSTILE.to_owned(),
                    kind: ChartKind::Bars,
                    x: axis(HOSTILE, Scale::Linear, Unit::Plain),
                    y: axis(HOSTILE, Scale::Linear, Unit::Plain),
                    series: vec![series(HOSTILE, [(1.0, 2.0), (2.0, 1.0)].into_iter())],
                }),
            ],
        }],
        footer: HOSTILE.to_owned(),
    }
}

fn figure(value: &str, label: &str, tone: Tone) -> Figure {
    Figure { value: value.to_owned(), label: label.to_owned(), tone }
}

/// Columns by name; one that begins with `<` is text, the others are numbers.
fn columns(names: &[&str]) -> Vec<Column> {
    let column = |name: &&str| match name.strip_prefix('<') {
        Some(name) => Column { name: name.to_owned(), align: Align::Left },
        None => Column { name: (*name).to_owned(), align: Align::Right },
    };
    names.iter().map(column).collect()
}

fn axis(label: &str, scale: Scale, unit: Unit) -> Axis {
    Axis { label: label.to_owned(), scale, unit }
}

fn series(name: &str, points: impl Iterator<Item = (f64, f64)>) -> Series {
    Series { name: name.to_owned(), points: points.collect() }
}

/// The tags of a document, once it is known that each is closed where it should be.
#[derive(Default)]
struct Tags {
    names: Vec<String>,
    ids: Vec<String>,
    /// The ids that something refers to.
    references: Vec<String>,
}

impl Tags {
    /// Reads HTML that is as strict as XML, but for its first line, tags that have no end and the insides of styles and
    /// scripts.
    fn read(html: &str) -> Result<Self, String> {
        let html = html.strip_prefix("<!doctype html>\n").ok_or("no doctype")?;
        let (mut strict, mut rest) = (String::new(), html);
        while let Some(start) = ["<style>", "<script>"].iter().filter_map(|tag| Some(rest.find(tag)? + tag.len())).min()
        {
            strict.push_str(&rest[..start]);
            rest = &rest[start..];
            rest = &rest[rest.find("</").ok_or("a style or script without an end")?..];
        }
        strict.push_str(rest);
        Self::read_tags(&strict, &["meta"])
    }

    fn read_xml(xml: &str) -> Result<Self, String> {
        Self::read_tags(xml, &[])
    }

    fn read_tags(text: &str, endless: &[&str]) -> Result<Self, String> {
        let (mut tags, mut open) = (Self::default(), Vec::<String>::new());
        for (at, piece) in text.split('<').enumerate().map(|(at, piece)| (at, piece.trim_end())) {
            let (tag, after) = match (at, piece.split_once('>')) {
                (0, _) => ("", piece),
                (_, Some(both)) => both,
                (_, None) => return Err(format!("<{piece} is not closed")),
            };
            check_text(after)?;
            if let Some(name) = tag.strip_prefix('/') {
                let expected = open.pop().unwrap_or_default();
                if expected != name {
                    return Err(format!("</{name}> where </{expected}> belongs"));
                }
            } else if at > 0 {
                let (inside, closed) = tag.strip_suffix('/').map_or((tag, false), |inside| (inside, true));
                let name = tags.take(inside)?;
                if !closed && !endless.contains(&name.as_str()) {
                    open.push(name);
                }
            }
        }
        if open.is_empty() { Ok(tags) } else { Err(format!("{open:?} are open at the end")) }
    }

    /// Takes a tag's name and attributes in.
    fn take(&mut self, inside: &str) -> Result<String, String> {
        let (name, mut rest) = inside.split_once([' ', '\n']).unwrap_or((inside, ""));
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!("<{inside}> is no tag"));
        }
        let mut seen = Vec::new();
        while !rest.trim().is_empty() {
            let (key, after) = rest.trim_start().split_once("=\"").ok_or_else(|| format!("<{inside}>: {rest}"))?;
            let (value, after) = after.split_once('"').ok_or_else(|| format!("<{inside}>: {key} has no end"))?;
            let sound = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':'));
            if !sound || seen.contains(&key) {
                return Err(format!("<{inside}>: {key}"));
            }
            seen.push(key);
            check_text(value)?;
            match key {
                "id" => self.ids.push(value.to_owned()),
                "href" => self.references.push(value.strip_prefix('#').ok_or("it leads outside")?.to_owned()),
                "aria-labelledby" => self.references.extend(value.split(' ').map(str::to_owned)),
                _ => {}
            }
            rest = after;
        }
        self.names.push(name.to_owned());
        Ok(name.to_owned())
    }
}

/// Text has no `>`, and every `&` begins a reference by number.
fn check_text(text: &str) -> Result<(), String> {
    let sound = |rest: &str| {
        rest.strip_prefix('#')
            .and_then(|rest| rest.split_once(';'))
            .is_some_and(|(number, _)| number.parse::<u32>().is_ok())
    };
    if text.contains('>') || !text.split('&').skip(1).all(sound) {
        Err(format!("{text:?} is not escaped"))
    } else {
        Ok(())
    }
}

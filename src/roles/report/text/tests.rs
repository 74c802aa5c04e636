//! Pages as text.

use super::super::{Align, Axis, Chart, ChartKind, Column, Figure, Page, Scale, Section, Series, Table, Tone, Unit};
use super::*;

fn table(columns: &[(&str, Align)], rows: &[&[&str]]) -> Table {
    let column = |(name, align): &(&str, Align)| Column { name: (*name).to_owned(), align: *align };
    Table {
        caption: "Caption".to_owned(),
        columns: columns.iter().map(column).collect(),
        rows: rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect(),
    }
}

fn customers() -> Table {
    table(
        &[("customer", Align::Left), ("prompts before", Align::Right), ("after", Align::Right)],
        &[&["b7f7c2d1-4e1a-410b-9c3d", "61", "14"], &["顧客", "1,056", "9"]],
    )
}

#[test]
fn a_table_is_aligned_by_columns_of_the_terminal() {
    let wide = "\
Caption
                         prompts
customer                  before  after
───────────────────────────────────────
b7f7c2d1-4e1a-410b-9c3d       61     14
顧客                       1,056      9
";
    assert_eq!(customers().text(80), wide);
    assert_eq!(customers().text(39), wide);
    let narrow = "\
Caption
               prompts
customer        before  after
─────────────────────────────
b7f7c2d1-4e1…       61     14
顧客             1,056      9
";
    assert_eq!(customers().text(29), narrow);
    let paragraphs = "\
Caption
────────────────────
b7f7c2d1-4e1a-410b-9
c3d
  prompts before
    61
  after 14
顧客
  prompts before
    1,056
  after 9
";
    assert_eq!(customers().text(20), paragraphs);
}

#[test]
fn a_table_without_rows_says_so_and_what_a_cell_says_is_no_order() {
    assert_eq!(table(&[("a", Align::Left)], &[]).text(80), "Caption\nnone\n");
    let hostile = table(&[("a", Align::Left)], &[&["\x1b[2J\nx"]]).text(80);
    assert_eq!(hostile, "Caption\na\n──────\n\u{fffd}[2J x\n");
}

fn page(block: Block) -> Page {
    Page {
        title: "Title".to_owned(),
        lead: "Lead.".to_owned(),
        sections: vec![Section { title: "Section".to_owned(), blocks: vec![block] }],
        footer: "Footer".to_owned(),
    }
}

/// What a page says of one block.
fn told(block: Block, width: usize) -> String {
    let text = page(block).text(width);
    let (before, after) = ("Title\n\nLead.\n\nSection\n───────\n\n", "\n\nFooter\n");
    let inner = text.strip_prefix(before).and_then(|text| text.strip_suffix(after));
    inner.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn figures_stand_below_each_other_with_their_tone() {
    let figure = |value: &str, label: &str, tone| Figure { value: value.to_owned(), label: label.to_owned(), tone };
    let figures = vec![
        figure("1,296,000", "events", Tone::Plain),
        figure("0", "lost", Tone::Good),
        figure("388 ms", "greatest of all", Tone::Bad),
    ];
    let text = told(Block::Figures(figures.clone()), 80);
    assert_eq!(text, "1,296,000   events\n        0 ✓ lost\n   388 ms ✗ greatest of all");
    let narrow = told(Block::Figures(figures.clone()), 20);
    assert_eq!(narrow, "1,296,000   events\n        0 ✓ lost\n   388 ms ✗ greates…");
    let coloured = page(Block::Figures(figures)).text_on(Terminal { width: 80, colour: Colour::On });
    assert!(coloured.contains("\x1b[1mTitle\x1b[0m") && coloured.contains("\x1b[31m   388 ms\x1b[0m"), "{coloured}");
}

fn chart(kind: ChartKind, series: &[(&str, &[(f64, f64)])]) -> Block {
    let axis = |label: &str, unit| Axis { label: label.to_owned(), scale: Scale::Linear, unit };
    let named = |(name, points): &(&str, &[(f64, f64)])| Series { name: (*name).to_owned(), points: points.to_vec() };
    Block::Chart(Chart {
        title: "Title".to_owned(),
        kind,
        x: axis("time", Unit::Seconds),
        y: axis("events", Unit::Plain),
        series: series.iter().map(named).collect(),
    })
}

#[test]
fn bars_are_bars_and_lines_are_rows_of_blocks() {
    let bars: &[(f64, f64)] = &[(0.0, 80.0), (60.0, 41.0), (120.0, 0.5), (180.0, 0.0), (240.0, f64::NAN)];
    let text = told(chart(ChartKind::Bars, &[("s", bars)]), 24);
    assert_eq!(text, "Title: events over time\n0:00  ███████████ 80\n1:00  █████▋ 41\n2:00  ▏ 0.5\n3:00   0\n4:00   –");
    let rising: Vec<(f64, f64)> = (0..80).map(|n| (f64::from(n), f64::from(n))).collect();
    let gapped: Vec<(f64, f64)> =
        (0..80).map(|n| (f64::from(n), if (40..60).contains(&n) { f64::NAN } else { 7.0 })).collect();
    let text = told(chart(ChartKind::Lines, &[("rising", &rising), ("gap", &gapped), ("none", &[])]), 32);
    let want = "\
Title: events over time
rising  ▁▂▂▃▄▄▅▅▆▇▇██  0 – 79
gap     ███████  ████  7
none                   no values
        0:00     1:19";
    assert_eq!(text, want);
}

#[test]
fn a_chart_without_values_says_so() {
    for kind in [ChartKind::Bars, ChartKind::Lines, ChartKind::Steps] {
        for points in [&[][..], &[(1.0, f64::NAN)]] {
            let text = told(chart(kind, &[("s", points)]), 80);
            assert!(text.contains("no values"), "{kind:?}: {text}");
        }
    }
}

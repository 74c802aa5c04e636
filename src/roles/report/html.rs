//! A page as one HTML file that needs nothing else: no script to be read, and nothing from outside.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::chart::{Plot, Readout, Style, Svg};
use super::{Align, Block, Chart, ChartKind, Column, Figure, Page, Section, Table, Tone};

const CSS: &str = include_str!("page.css");

/// Shows the values where somebody points in a chart; without it, browsers show them after a while.
const SCRIPT: &str = include_str!("page.js");

/// A report with more sections than these begins with a list of them.
const SECTIONS_AT_A_GLANCE: usize = 4;

impl Page {
    /// The page as one HTML file. Whatever its texts hold, they stay texts.
    pub fn render(&self) -> String {
        self.html(None)
    }

    /// The same, for a server whose page a browser is to read again after so many seconds.
    pub fn render_again_after(&self, seconds: u32) -> String {
        self.html(Some(seconds))
    }

    fn html(&self, again: Option<u32>) -> String {
        let page = self.plain();
        let html = PageHtml {
            page: &page,
            sections: sections(&page.sections),
            contents: page.sections.len() > SECTIONS_AT_A_GLANCE,
            css: CSS,
            script: SCRIPT,
            again,
            css_hash: hash(CSS),
            script_hash: hash(SCRIPT),
        };
        // It is written to a text and formats nothing but texts and numbers, which cannot fail.
        html.render().unwrap_or_else(|error| error.to_string())
    }
}

/// How a content security policy names a script or a style by what it says.
fn hash(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    format!("sha256-{}", STANDARD.encode(digest))
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '{{ css_hash }}'; script-src '{{ script_hash }}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
{%- if let Some(seconds) = again %}
<meta http-equiv="refresh" content="{{ seconds }}">
{%- endif %}
<title>{{ page.title }}</title>
<style>{{ css|safe }}</style>
</head>
<body>
<svg class="symbols" aria-hidden="true" width="0" height="0">
<defs>
<circle id="mark0" r="4"/>
<path id="mark1" d="M-3.6-3.6h7.2v7.2h-7.2z"/>
<path id="mark2" d="M0-4.6 4.4 3.4h-8.8z"/>
<path id="mark3" d="M0-5 5 0 0 5-5 0z"/>
<path id="mark4" d="M0 4.6 4.4-3.4h-8.8z"/>
<path id="mark5" d="M-1.4-4.6h2.8v3.2h3.2v2.8h-3.2v3.2h-2.8v-3.2h-3.2v-2.8h3.2z"/>
<path id="good" d="M1.5 6.5 5 10 11 2.5"/>
<path id="bad" d="M6 1v6.5M6 10.5v.5"/>
<pattern id="fill1" class="c1" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="back" d="M0 0h6v6h-6z"/><path class="front" d="M0 0h3v6h-3z"/></pattern>
<pattern id="fill2" class="c2" width="6" height="6" patternUnits="userSpaceOnUse"><path class="back" d="M0 0h6v6h-6z"/><circle class="front" cx="3" cy="3" r="2"/></pattern>
<pattern id="fill3" class="c3" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><path class="back" d="M0 0h6v6h-6z"/><path class="front" d="M0 0h3v6h-3z"/></pattern>
<pattern id="fill4" class="c4" width="6" height="6" patternUnits="userSpaceOnUse"><path class="back" d="M0 0h6v6h-6z"/><path class="front" d="M0 0h6v3h-6z"/></pattern>
<pattern id="fill5" class="c5" width="6" height="6" patternUnits="userSpaceOnUse"><path class="back" d="M0 0h6v6h-6z"/><path class="front" d="M0 0h3v6h-3z"/></pattern>
</defs>
</svg>
<header>
<p class="maker"><svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="M1 15v-4h5v-4h5v-4h4v12z"/></svg>stepup</p>
<h1>{{ page.title }}</h1>
<p class="lead">{{ page.lead }}</p>
</header>
{%- if contents %}
<nav aria-label="Sections"><ul>
{%- for section in sections %}<li><a href="#section{{ loop.index }}">{{ section.title }}</a></li>{% endfor -%}
</ul></nav>
{%- endif %}
<main>
{%- for section in sections %}
<section aria-labelledby="section{{ loop.index }}">
<h2 id="section{{ loop.index }}">{{ section.title }}</h2>
{%- for part in section.parts %}
{%- match part %}
{%- when Part::Text(text) %}
<p>{{ text }}</p>
{%- when Part::Figures(figures) %}
<dl class="figures">
{%- for figure in *figures %}
<div class="{{ figure.tone.class() }}"><dt>{{ figure.label }}
{%- if let Some(meaning) = figure.tone.meaning() %} <svg viewBox="0 0 12 12" role="img"><title>{{ meaning }}</title><use href="#{{ figure.tone.class() }}"/></svg>{% endif -%}
</dt><dd>{{ figure.value }}</dd></div>
{%- endfor %}
</dl>
{%- when Part::Table(table) %}
{{ table|safe }}
{%- when Part::Charts(charts) %}
<div class="charts{% if charts.len() > 1 %} several{% endif %}">
{%- for chart in charts %}
{{ chart|safe }}
{%- endfor %}
</div>
{%- endmatch %}
{%- endfor %}
</section>
{%- endfor %}
</main>
<footer><p>{{ page.footer }}</p></footer>
<script>{{ script|safe }}</script>
</body>
</html>
"##
)]
struct PageHtml<'a> {
    page: &'a Page,
    sections: Vec<SectionHtml<'a>>,
    contents: bool,
    css: &'static str,
    script: &'static str,
    again: Option<u32>,
    css_hash: String,
    script_hash: String,
}

struct SectionHtml<'a> {
    title: &'a str,
    parts: Vec<Part<'a>>,
}

/// A block, or charts that follow each other and stand side by side.
enum Part<'a> {
    Text(&'a str),
    Figures(&'a [Figure]),
    Table(TableHtml<'a>),
    Charts(Vec<ChartHtml<'a>>),
}

fn sections(sections: &[Section]) -> Vec<SectionHtml<'_>> {
    let mut charts = 0;
    let mut all = Vec::with_capacity(sections.len());
    for section in sections {
        let mut parts: Vec<Part<'_>> = Vec::new();
        for block in &section.blocks {
            match block {
                Block::Text(text) => parts.push(Part::Text(text)),
                Block::Figures(figures) => parts.push(Part::Figures(figures)),
                Block::Table(table) => parts.push(Part::Table(TableHtml { table })),
                Block::Chart(chart) => {
                    charts += 1;
                    let chart = ChartHtml::of(charts, chart);
                    match parts.last_mut() {
                        Some(Part::Charts(row)) => row.push(chart),
                        Some(Part::Text(_) | Part::Figures(_) | Part::Table(_)) | None => {
                            parts.push(Part::Charts(vec![chart]));
                        }
                    }
                }
            }
        }
        all.push(SectionHtml { title: &section.title, parts });
    }
    all
}

/// A table that scrolls sideways where it has no room. The first column names its row, unless it is a number.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<div class="scroll" tabindex="0" role="group" aria-label="{{ table.caption }}">
<table{% if self.has_short_names() %} class="named"{% endif %}>
<caption><span>{{ table.caption }}</span></caption>
<thead><tr>{% for column in table.columns %}<th scope="col" class="{{ column.align.class() }}">{{ column.name }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in table.rows %}
<tr>
{%- for (column, cell) in table.columns.iter().zip(row.iter()) %}
{%- if loop.first && column.align == Align::Left %}<th scope="row" class="left{% if self::is_long(cell) %} long{% endif %}">{{ cell }}</th>
{%- else %}<td class="{{ column.align.class() }}{% if self::is_long(cell) %} long{% endif %}">{{ cell }}</td>{% endif %}
{%- endfor -%}
</tr>
{%- endfor %}
</tbody>
</table>
{%- if table.rows.is_empty() %}<p class="nothing">none</p>{% endif %}
</div>"#
)]
struct TableHtml<'a> {
    table: &'a Table,
}

impl TableHtml<'_> {
    /// Whether the names of the rows are short enough to stay in sight while the others scroll.
    fn has_short_names(&self) -> bool {
        let named = self.table.columns.first().is_some_and(|column| column.align == Align::Left);
        named && self.table.rows.iter().filter_map(|row| row.first()).all(|cell| !is_long(cell))
    }
}

/// Whether a cell is broken into lines; no trigger's name is.
fn is_long(cell: &str) -> bool {
    cell.chars().count() > 26
}

/// A chart with its legend and, folded up, its numbers.
#[derive(Template)]
#[template(
    ext = "html",
    source = r##"<figure class="chart">
<figcaption>{{ chart.title }}</figcaption>
<ul class="legend">
{%- for (series, style) in self.legend() %}
<li class="c{{ style.colour }} d{{ style.dash }}"><svg width="{% if self.has_bars() %}12{% else %}30{% endif %}" height="12" aria-hidden="true">
{%- if self.has_bars() %}<rect width="12" height="12"/>
{%- else %}<line x1="1" x2="29" y1="6" y2="6"/>{% if self.has_marks() %}<use href="#mark{{ style.colour }}" x="15" y="6"/>{% endif %}{% endif -%}
</svg>{{ series }}</li>
{%- endfor %}
</ul>
<p class="axis">{{ plot.y_label }}</p>
{{ self.svg()|safe }}
<p class="x axis">{{ plot.x_label }}</p>
{%- if !plot.is_empty() %}
<details><summary>Numbers</summary>
{{ self.numbers()|safe }}
</details>
{%- endif %}
</figure>"##
)]
struct ChartHtml<'a> {
    /// Its number on the page.
    id: usize,
    chart: &'a Chart,
    plot: Plot,
    numbers: Table,
}

impl<'a> ChartHtml<'a> {
    fn of(id: usize, chart: &'a Chart) -> Self {
        let plot = Plot::of(chart);
        let numbers = numbers(chart, &plot);
        Self { id, chart, plot, numbers }
    }

    fn numbers(&self) -> TableHtml<'_> {
        TableHtml { table: &self.numbers }
    }

    fn has_bars(&self) -> bool {
        self.chart.kind == ChartKind::Bars
    }

    fn has_marks(&self) -> bool {
        self.chart.kind == ChartKind::Lines
    }

    fn legend(&self) -> impl Iterator<Item = (&str, Style)> {
        self.chart.series.iter().enumerate().map(|(number, series)| (series.name.as_str(), Style::of(number)))
    }

    fn svg(&self) -> Svg<'_> {
        let names = self.chart.series.iter().map(|series| series.name.as_str()).collect();
        Svg { id: format!("chart{}", self.id), title: &self.chart.title, names, plot: &self.plot }
    }
}

/// What the script shows and what a reader without sight reads: the values at every place that can be pointed at.
fn numbers(chart: &Chart, plot: &Plot) -> Table {
    let column = |name: &str| Column { name: name.to_owned(), align: Align::Right };
    let row = |readout: &Readout| std::iter::once(&readout.x).chain(&readout.values).cloned().collect();
    Table {
        caption: format!("{}: {}", chart.title, plot.y_label),
        columns: std::iter::once(plot.x_label.as_str())
            .chain(chart.series.iter().map(|s| s.name.as_str()))
            .map(column)
            .collect(),
        rows: plot.readouts.iter().map(row).collect(),
    }
}

impl Align {
    fn class(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }

    /// What the mark beside a figure says.
    fn meaning(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("as it should be"),
            Self::Bad => Some("not as it should be"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The colours of one theme by name.
    fn colours(block: &str) -> Vec<(&str, [f64; 3])> {
        let declared = block.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
        let channel = |hex: &str, at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        declared.map(|(name, hex)| (name, [0, 2, 4].map(|at| channel(hex, at)))).collect()
    }

    /// The relative luminance of WCAG 2.
    fn luminance(colour: [f64; 3]) -> f64 {
        let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        let [red, green, blue] = colour.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    #[test]
    fn text_and_lines_stand_out_in_both_themes() {
        let themes: Vec<&str> =
            CSS.split(":root {").skip(1).take(2).map(|theme| theme.split('}').next().unwrap()).collect();
        assert_eq!(themes.len(), 2);
        for theme in themes {
            let colours = colours(theme);
            let of = |name: &str| luminance(colours.iter().find(|(other, _)| *other == name).expect(name).1);
            let contrast = |a: f64, b: f64| (a.max(b) + 0.05) / (a.min(b) + 0.05);
            for ground in ["page", "card"] {
                for text in ["text", "muted", "link", "good", "bad"] {
                    assert!(contrast(of(text), of(ground)) >= 4.5, "{text} on {ground} in {theme}");
                }
            }
            for series in (0..6).map(|n| format!("series{n}")) {
                assert!(contrast(of(&series), of("card")) >= 4.5, "{series} in {theme}");
            }
        }
    }

    #[test]
    fn every_style_of_a_series_has_its_rule_its_mark_and_its_pattern() {
        let html =
            Page { title: String::new(), lead: String::new(), sections: Vec::new(), footer: String::new() }.render();
        for style in (0..30).map(Style::of) {
            assert!(CSS.contains(&format!(".c{} {{", style.colour)), "{style:?}");
            assert!(style.dash == 0 || CSS.contains(&format!(".d{} {{", style.dash)), "{style:?}");
            assert!(html.contains(&format!("id=\"mark{}\"", style.colour)), "{style:?}");
            assert!(style.colour == 0 || html.contains(&format!("id=\"fill{}\"", style.colour)), "{style:?}");
        }
    }

    #[test]
    fn the_policy_names_the_style_and_the_script_that_the_page_has() {
        let html =
            Page { title: String::new(), lead: String::new(), sections: Vec::new(), footer: String::new() }.render();
        for (tag, directive) in [("style", "style-src"), ("script", "script-src")] {
            let text = html.split(&format!("<{tag}>")).nth(1).unwrap().split(&format!("</{tag}>")).next().unwrap();
            assert!(html.contains(&format!("{directive} '{}'", hash(text))), "{directive}");
        }
    }
}

//! Charts side by side as one SVG file, for a page that is not ours: its colours and lines are its own.

use askama::Template;

use super::Chart;
use super::chart::{Plot, Style, Svg};

/// Pixels of one panel, and where its plot lies in it.
const PANEL: usize = 330;
const HEIGHT: usize = 300;
const LEFT: usize = 52;
const PLOT: usize = PANEL - LEFT - 24;

/// The charts in a row, below a title and the names of their series, which must be the same for all.
pub fn sheet(title: &str, charts: &[Chart]) -> String {
    let plots: Vec<(&Chart, Plot)> = charts.iter().map(|chart| (chart, Plot::of(chart))).collect();
    let panel = |(number, (chart, plot)): (usize, &(&Chart, Plot))| Panel {
        left: number * PANEL,
        title: chart.title.clone(),
        x_label: plot.x_label.clone(),
        y_label: plot.y_label.clone(),
        svg: svg(number, chart, plot),
    };
    let names = charts.first().map(|chart| chart.series.iter().map(|series| series.name.clone())).into_iter().flatten();
    let sheet = Sheet {
        title,
        width: PANEL * charts.len().max(1),
        panels: plots.iter().enumerate().map(panel).collect(),
        legend: names.enumerate().map(|(number, name)| (20 + number * 160, Style::of(number), name)).collect(),
    };
    // It is written to a text and formats nothing but texts and numbers, which cannot fail.
    sheet.render().unwrap_or_else(|error| error.to_string())
}

fn svg(number: usize, chart: &Chart, plot: &Plot) -> String {
    let names = chart.series.iter().map(|series| series.name.as_str()).collect();
    let svg = Svg { id: format!("chart{number}"), title: &chart.title, names, plot };
    svg.render().unwrap_or_else(|error| error.to_string())
}

struct Panel {
    left: usize,
    title: String,
    x_label: String,
    y_label: String,
    svg: String,
}

#[derive(Template)]
#[template(
    ext = "svg",
    source = r##"<svg xmlns="http://www.w3.org/2000/svg" width="{{ width }}" height="{{ HEIGHT }}" viewBox="0 0 {{ width }} {{ HEIGHT }}" font-family="system-ui, sans-serif" font-size="11">
<title>{{ title }}</title>
<style>
svg { overflow: visible; }
text { fill: #545d69; }
.title { fill: #1a1f26; font-weight: 600; font-size: 13px; }
.grid line { stroke: #e6e9ed; }
.ground { stroke: #545d69; }
.y.ticks text { text-anchor: end; }
.x.ticks text, .nothing, .middle { text-anchor: middle; }
.wide { display: none; }
.line, .legend line { fill: none; stroke-width: 2; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.area { opacity: .12; }
.strips rect { fill: transparent; }
.c0 line, .c0 .line { stroke: #0a63b0; } .c0 use, .c0 .area { fill: #0a63b0; }
.c1 line, .c1 .line { stroke: #c04a00; } .c1 use, .c1 .area { fill: #c04a00; }
.c2 line, .c2 .line { stroke: #00795c; } .c2 use, .c2 .area { fill: #00795c; }
.d1 .line, .d1 line { stroke-dasharray: 7 4; }
.d2 .line, .d2 line { stroke-dasharray: 1.5 4.5; }
</style>
<defs>
<circle id="mark0" r="3.5"/>
<path id="mark1" d="M-3.2-3.2h6.4v6.4h-6.4z"/>
<path id="mark2" d="M0-4 4 3h-8z"/>
</defs>
<rect width="100%" height="100%" fill="#ffffff"/>
<text class="title" x="20" y="24">{{ title }}</text>
<g class="legend">
{%- for (left, style, name) in legend %}
<g class="c{{ style.colour }} d{{ style.dash }}"><line x1="{{ left }}" x2="{{ left + 26 }}" y1="42" y2="42"/><use href="#mark{{ style.colour }}" x="{{ left + 13 }}" y="42"/><text x="{{ left + 32 }}" y="46">{{ name }}</text></g>
{%- endfor %}
</g>
{%- for panel in panels %}
<g transform="translate({{ panel.left }} 0)">
<text class="title" x="{{ LEFT }}" y="74">{{ panel.title }}</text>
<text x="{{ LEFT }}" y="90">{{ panel.y_label }}</text>
<svg x="{{ LEFT }}" y="102" width="{{ PLOT }}" height="146">
{{ panel.svg|safe }}
</svg>
<text class="middle" x="{{ LEFT + PLOT / 2 }}" y="286">{{ panel.x_label }}</text>
</g>
{%- endfor %}
</svg>
"##
)]
struct Sheet<'a> {
    title: &'a str,
    width: usize,
    panels: Vec<Panel>,
    /// Where each name of a series stands.
    legend: Vec<(usize, Style, String)>,
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, ChartKind, Scale, Series, Unit};
    use super::*;

    #[test]
    fn each_chart_has_its_panel_and_its_labels_and_texts_stay_texts() {
        let axis = |label: &str, scale| Axis { label: label.to_owned(), scale, unit: Unit::Plain };
        let chart = |title: &str| Chart {
            title: title.to_owned(),
            kind: ChartKind::Lines,
            x: axis("tenants", Scale::Log),
            y: axis("µs", Scale::Linear),
            series: vec![Series { name: "<ours>".to_owned(), points: vec![(10.0, 2.0), (1_000.0, 3.0)] }],
        };
        let svg = sheet("Costs & more", &[chart("one"), chart("two")]);
        assert_eq!(svg.matches("class=\"plot").count(), 2);
        for text in ["width=\"660\"", ">one</text>", ">two</text>", ">tenants</text>", ">µs</text>", "Costs &#38; more"]
        {
            assert!(svg.contains(text), "{text} is missing in {svg}");
        }
        assert!(!svg.contains("<ours>"), "{svg}");
    }
}

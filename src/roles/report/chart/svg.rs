//! The plot of a chart as SVG. It is as wide as its place allows: whatever must keep its form stands at percentages of
//! the width, and only lines, whose strokes do not scale, are stretched.

use askama::Template;

use super::{Plot, Readout, Room};

/// One plot; `id` tells it from others on a page.
#[derive(Template)]
#[template(
    ext = "svg",
    source = r##"<svg class="plot {{ self.margin() }}" xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{{ id }}-title {{ id }}-description">
<title id="{{ id }}-title">{{ title }}</title>
<desc id="{{ id }}-description">{{ plot.description }}</desc>
<g class="grid">
{%- for tick in plot.y_ticks %}<line x1="0" x2="100%" y1="{{ tick.at }}" y2="{{ tick.at }}"/>{% endfor -%}
</g>
<g class="y ticks">
{%- for tick in plot.y_ticks %}<text x="-8" y="{{ tick.at }}" dy=".35em">{{ tick.label }}</text>{% endfor -%}
</g>
<g class="x ticks">
{%- for tick in plot.x_ticks %}<text class="{{ tick.room.class() }}" x="{{ tick.at }}" y="100%" dy="1.6em">{{ tick.label }}</text>{% endfor -%}
</g>
<line class="ground" x1="0" x2="100%" y1="{{ plot.ground }}" y2="{{ plot.ground }}"/>
{%- if plot.is_empty() %}<text class="nothing" x="50%" y="50%">no values</text>{% endif %}
{%- for shape in plot.shapes %}
<g class="series c{{ shape.style.colour }} d{{ shape.style.dash }}">
{%- if !shape.line.is_empty() %}<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">
{%- if !shape.area.is_empty() %}<path class="area" d="{{ shape.area }}"/>{% endif -%}
<path class="line" d="{{ shape.line }}"/></svg>{% endif %}
{%- for (x, y) in shape.marks %}<use href="#mark{{ shape.style.colour }}" x="{{ x }}" y="{{ y }}"/>{% endfor %}
{%- for bar in shape.bars %}
<rect x="{{ bar.x }}" y="{{ bar.y }}" width="{{ bar.width }}" height="{{ bar.height }}"/>
{%- if let Some(label) = bar.label.as_ref() %}<text class="value" x="{{ label.x }}" y="{{ bar.y }}" dy="-.45em">{{ label.text }}</text>{% endif %}
{%- endfor -%}
</g>
{%- endfor %}
<g class="strips">
{%- for readout in plot.readouts %}
<rect x="{{ readout.from }}" width="{{ readout.width }}" height="100%"><title>{{ readout.x }}
{%- for (name, value) in self.named(readout) %}
{{ name }}: {{ value }}
{%- endfor %}</title></rect>
{%- endfor -%}
</g>
</svg>"##
)]
pub(in crate::roles::report) struct Svg<'a> {
    pub(in crate::roles::report) id: String,
    pub(in crate::roles::report) title: &'a str,
    pub(in crate::roles::report) names: Vec<&'a str>,
    pub(in crate::roles::report) plot: &'a Plot,
}

impl Svg<'_> {
    /// The margin that the labels of the y axis need.
    fn margin(&self) -> &'static str {
        let longest = self.plot.y_ticks.iter().map(|tick| tick.label.chars().count()).max();
        match longest.unwrap_or_default() {
            0..=4 => "short",
            5..=7 => "middling",
            _ => "long",
        }
    }

    fn named<'a>(&'a self, readout: &'a Readout) -> impl Iterator<Item = (&'a &'a str, &'a String)> {
        self.names.iter().zip(&readout.values)
    }
}

impl Room {
    fn class(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Wide => "wide",
        }
    }
}

//! The parts of a report, without a word on how they look.

/// A whole report.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub title: String,
    /// One or two sentences below the title: what was asked, of what.
    pub lead: String,
    pub sections: Vec<Section>,
    /// How the report was made: version, command line, time.
    pub footer: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    pub title: String,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// One paragraph.
    Text(String),
    /// The numbers to see first, side by side.
    Figures(Vec<Figure>),
    Table(Table),
    Chart(Chart),
}

/// One number, written out, and what it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    pub value: String,
    pub label: String,
    pub tone: Tone,
}

/// Whether a number is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub caption: String,
    pub columns: Vec<Column>,
    /// Each row has a cell for every column.
    pub rows: Vec<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub align: Align,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Some series over one x axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    pub title: String,
    pub kind: ChartKind,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChartKind {
    Lines,
    /// A value holds until the next one.
    Steps,
    Bars,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    pub label: String,
    pub scale: Scale,
    pub unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    Log,
}

/// How the numbers of an axis are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Plain,
    /// Of the run's time, from its beginning.
    Seconds,
    Milliseconds,
    Percent,
    /// Milliseconds since 1970.
    UtcTime,
}

/// Points in the order of x. A y that is not finite is a gap.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

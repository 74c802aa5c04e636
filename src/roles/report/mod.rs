//! What long work tells people: a page of figures, tables and charts, told in HTML or as text for a terminal.

mod chart;
mod html;
mod model;
mod plain;
mod sheet;
mod text;

pub use model::{
    Align, Axis, Block, Chart, ChartKind, Column, Figure, Page, Scale, Section, Series, Table, Tone, Unit,
};
pub use sheet::sheet;

//! Recordings: files of events, one a line, read and written within bounds.

mod csv;
mod read;
mod write;

pub use read::{Format, LONGEST_LINE, LinesAtHand, Recording};
pub use write::{CreateError, Existing, Packing, RecordingWriter};

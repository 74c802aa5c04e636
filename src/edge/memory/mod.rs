//! The in-memory twins of the edges: the demo, back-tests and fast tests live on them.

mod controls;
pub mod sessions;
pub mod store;

//! The in-memory twins of the edges: the demo, back-tests and fast tests live on them.

mod controls;
mod marks;
mod quotas;
pub mod sessions;
pub mod store;

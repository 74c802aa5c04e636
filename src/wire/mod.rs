//! TRANSLATES. Bytes to domain and back; pure, and the only place that knows serde.

pub mod columns;
pub mod command;
pub mod control;
pub mod dead_letter;
pub mod decision;
pub mod event;
pub mod explanation;
pub mod faults;
pub mod header;
pub mod identity;
pub mod json;
pub mod json_writer;
pub mod line;
pub mod outcome;
pub mod preferences;
pub mod preferences_update;
pub mod pseudonym;
pub mod receipt;
pub mod replay;
pub mod retry;
pub mod rewrite;
pub mod session;
pub mod session_answers;
pub mod session_api;
pub mod window;

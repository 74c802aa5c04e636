//! CONNECT. One file per verb: its edges, its loop, its stop. No parsing, no words of Redis or HTTP, no judgment.

pub mod background;
pub mod backtest;
pub mod check;
pub mod controls;
pub mod demo;
pub mod dispatch;
pub mod evaluate;
pub mod explain;
pub mod forget;
pub mod hold;
pub mod offline;
pub mod pause;
pub mod processor;
pub mod progress;
pub mod record;
pub mod recording_args;
pub mod replay;
pub mod report;
pub mod run;
pub mod schema;
pub mod session_api;
pub mod synthetic;
pub mod terminal;
pub mod walk;
pub mod wiring;

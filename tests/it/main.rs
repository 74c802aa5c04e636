//! The integration tests: one binary, so that the services are started once and shared.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "modules of a test binary share by being public")]

mod again;
mod architecture;
mod ask;
mod audit;
mod backtest;
mod browser;
mod chart;
mod consumer;
mod controls;
mod degraded;
mod delivery;
mod end_to_end;
mod explain;
mod guards;
mod kit;
mod lost;
mod operation;
mod packaging;
mod producer;
mod readme;
mod receipts;
mod record;
mod redrive;
mod replay;
mod report;
mod schemas;
mod secure;
pub mod services;
mod shadow;
mod stack;
mod supply;
mod traces;

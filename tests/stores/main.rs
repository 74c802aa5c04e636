//! The stores, each form by the same cases: in memory, on a real Redis, on a real Redis Cluster.
//!
//! `STEPUP_TEST_REDIS` names a server to use instead of starting one, where a test does not break it.

#![allow(clippy::disallowed_methods, reason = "servers run on the real clock, and the environment says which to use")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cases;
mod cluster;
mod copies;
mod expiry;
mod faults;
mod given;
mod marks;
mod peek;
mod properties;
mod replicas;
mod server;

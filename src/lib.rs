//! stepup watches customer activity on Kafka and asks for step-up verification when a tenant's triggers say so.
//!
//! Four folders, and each has one verb; imports point one way only, from the last to the first:
//!
//! - [`domain`] thinks: what an event is, what a tenant's preferences say of it, and what follows. Pure.
//! - [`wire`] translates: bytes to domain and back. Pure, and the only place that knows serde.
//! - [`edge`] waits: one file for each thing outside, with its in-memory twin.
//! - [`roles`] connect: one file for each verb of the binary, which reads like a list of its steps.
//!
//! Beside them stand [`config`], read once and passed on as values, and what an operator looks at: [`metrics`], [`health`],
//! [`http`], [`telemetry`], [`traces`].
//!
//! Invariants:
//!
//! - A record's offset is committed only when everything that follows from it is acknowledged.
//! - Every effect may be repeated: it happens under a name made from its cause.
//! - An event has exactly one ending, and a command exactly one final outcome.
//! - Bad data is an outcome, and a broken world is waited for. Neither is ever counted as 0.

#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm, reason = "a test may look at one variant only"))]

pub mod config;
pub mod domain;
pub mod edge;
pub mod failpoint;
pub mod health;
pub mod http;
pub mod metrics;
pub mod roles;
pub mod shutdown;
pub mod telemetry;
pub mod traces;
pub mod wire;

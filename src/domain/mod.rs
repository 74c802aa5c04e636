//! THINKS. Pure and synchronous: no I/O, clock, chance, configuration, logs, serde or async.
//!
//! Everything that decides whether a customer is asked lives here, so that the live roles, a back-test and an
//! explanation cannot disagree. Time and every outside fact come in as arguments.

pub mod breaker;
pub mod budget;
pub mod circuit;
pub mod claim;
pub mod command;
pub mod control;
pub mod decide;
pub mod delivery;
pub mod event;
pub mod evidence;
pub mod flood;
pub mod hashed;
pub mod hindsight;
pub mod ids;
pub mod money;
pub mod outcome;
pub mod patience;
pub mod preferences;
pub mod redrive;
pub mod time;
pub mod trigger;
pub mod window;
pub mod witnesses;

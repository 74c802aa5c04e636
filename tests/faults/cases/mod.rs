//! Every case, by what breaks.

mod api;
mod kafka;
mod load;
mod network;
mod processes;
mod redis;

use crate::runner::Case;

pub fn all() -> Vec<Case> {
    // Those that take longest first, so that they do not stand alone at the end.
    [kafka::CASES, processes::CASES, network::CASES, redis::CASES, load::CASES, api::CASES].concat()
}

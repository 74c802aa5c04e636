//! Every case, by what breaks.

mod api;
mod kafka;
mod load;
mod network;
mod processes;
mod redis;

use crate::runner::Case;

pub fn all() -> Vec<Case> {
    [processes::CASES, redis::CASES, kafka::CASES, api::CASES, network::CASES, load::CASES].concat()
}

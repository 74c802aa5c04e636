//! Every case, by what breaks.

mod processes;

use crate::runner::Case;

pub fn all() -> Vec<Case> {
    [processes::CASES].concat()
}

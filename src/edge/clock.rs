//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::{Timestamp, millis};

/// The wall clock's time, to the millisecond.
#[allow(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
pub fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp(0).plus(since),
        Err(error) => Timestamp(millis(error.duration()).saturating_neg()),
    }
}

/// The wall clock's time as finely as the system tells it, for the spans of traces: a call may take less than a millisecond.
#[allow(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
pub fn precisely() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_in_this_century() {
        let now = now().to_string();
        assert!(("2026-01-01".."2100").contains(&now.as_str()), "{now}");
    }
}

//! The keys of the role that delivers.

use super::{DAY, HOUR, KeyDoc, Kind, MS, SECOND, TEN_MS, WEEK, ZERO, of, span, whole};

pub(super) const KEYS: &[KeyDoc] = &[
    of(
        "dispatch.max_command_age",
        span(SECOND, DAY),
        Some("10m"),
        "After this a command expires and nobody is asked any more",
    ),
    of("dispatch.concurrency", whole(1, 65_536), Some("256"), "The most calls at once"),
    of("dispatch.concurrency_per_tenant", whole(1, 65_536), Some("32"), "The most calls at once for one tenant"),
    of(
        "dispatch.on_lost_answer",
        Kind::OneOf(&["retry", "report"]),
        Some("retry"),
        "A session whose token was lost: ask for another, or report already_exists",
    ),
    of("dispatch.backoff_base", span(MS, HOUR), Some("200ms"), "The longest wait after the first failed call"),
    of("dispatch.backoff_cap", span(MS, HOUR), Some("30s"), "The longest wait after any failed call"),
    of("dispatch.max_retry_after", span(ZERO, DAY), Some("5m"), "The longest wait that the service may ask for"),
    of(
        "dispatch.pause",
        span(TEN_MS, HOUR),
        Some("30s"),
        "How long a tenant whose credential is refused waits before one call tries again",
    ),
    of(
        "dispatch.park_after",
        span(ZERO, HOUR),
        Some("3s"),
        "A command that has to wait longer than this goes to the retries topic",
    ),
    of(
        "dispatch.breaker.failures",
        whole(0, 100_000),
        Some("20"),
        "After so many calls in a row that failed (no answer, or 5xx), and for nobody it is well, the session API is \
         only probed, by one call at a time, and commands wait; they expire as always. Once a probe is answered, more \
         and more calls are made at once. 0 for off",
    ),
    of(
        "dispatch.breaker.pause",
        span(TEN_MS, HOUR),
        Some("1s"),
        "How long until the first probe; doubled after each that fails",
    ),
    of(
        "dispatch.breaker.longest_pause",
        span(TEN_MS, HOUR),
        Some("30s"),
        "The longest time between probes; never longer than a quarter of dispatch.max_command_age",
    ),
    of(
        "dispatch.retry_budget.share",
        Kind::Text("a share from 0 to 1 such as 0.1"),
        Some("0.1"),
        "How many calls may be made again for each that is made for the first time; a retry that is answered costs nothing. What \
         is beyond it waits",
    ),
    of(
        "dispatch.retry_budget.least",
        whole(1, 65_536),
        Some("1"),
        "So many calls may be made again in a second, however few are made for the first time",
    ),
    of(
        "dispatch.on_unavailable",
        Kind::OneOf(&["hold", "dead_letter"]),
        Some("hold"),
        "What to do while outcomes cannot be fixed: wait for ever, or, after hold_for, put commands to the dead letters \
         without an outcome until they can. For Kafka the role always waits",
    ),
    of("dispatch.hold_for", span(SECOND, WEEK), Some("15m"), "How long it waits before that"),
];

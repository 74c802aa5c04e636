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
        "dispatch.on_unavailable",
        Kind::OneOf(&["hold", "dead_letter"]),
        Some("hold"),
        "What to do while outcomes cannot be fixed: wait for ever, or, after hold_for, put commands to the dead letters \
         without an outcome until they can. For Kafka the role always waits",
    ),
    of("dispatch.hold_for", span(SECOND, WEEK), Some("15m"), "How long it waits before that"),
];

//! Every metric, declared once: its name, its kind, its labels and what it means.

/// The declaration of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// What it counts or measures, and what its labels hold.
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// The name in the Prometheus text format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Upper bounds for the way of an event to its command, in seconds.
pub(super) const COMMAND_LATENCY: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds for the way of a command to its outcome, in seconds: a command may wait as long as it lives.
pub(super) const SESSION_LATENCY: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0];

/// Upper bounds for one round trip to Redis, in seconds.
pub(super) const REDIS_CALL: &[f64] =
    &[0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Upper bounds for one HTTP call, in seconds.
pub(super) const HTTP_CALL: &[f64] = &[0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

macro_rules! catalogue {
    ($($entry:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) const $entry: Entry =
            Entry { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)+

        /// Every metric, in the order of its declaration.
        pub(super) const ALL: &[Entry] = &[$($entry),+];
    };
}

catalogue! {
    EVENTS: Counter "stepup_events_total" ["tenant", "type", "result"]
        "Activity events that reached their end, by type (unknown: not known or not readable) and result: decided, \
         skipped (a type that is not known) or rejected (to the dead letters).";
    DECISIONS: Counter "stepup_decisions_total" ["tenant", "trigger", "decision"]
        "Decisions, one for every event and trigger tested, by the rule that made them.";
    COMMANDS: Counter "stepup_commands_total" ["tenant", "trigger"]
        "Commands that Kafka acknowledged.";
    SHADOW_DECISIONS: Counter "stepup_shadow_decisions_total" ["tenant", "trigger", "decision"]
        "Of stepup_decisions_total those of triggers in shadow, for which nobody is asked.";
    CANDIDATE_DECISIONS: Counter "stepup_candidate_decisions_total" ["tenant", "trigger", "decision"]
        "What the candidate preferences decided for the same events, by the rule that made the decision.";
    CANDIDATE_CHANGES: Counter "stepup_candidate_changes_total" ["tenant", "trigger", "change"]
        "Events that only one of the two would ask for: newly (the candidate) or no_longer (the preferences in force).";
    CANDIDATE_SKIPPED: Counter "stepup_candidate_skipped_total" []
        "Events that the candidate preferences did not decide, for their source or their windows did not answer in time.";
    RECEIPTS: Counter "stepup_receipts_total" ["decision"]
        "Decision receipts that Kafka acknowledged, by the decision.";
    OUTCOMES: Counter "stepup_outcomes_total" ["tenant", "trigger", "status"]
        "Outcomes that Kafka acknowledged, by their status.";
    DEAD_LETTERS: Counter "stepup_dead_letters_total" ["code"]
        "Records that Kafka acknowledged on the dead-letter topic, by the code of what is wrong with them.";
    COMMAND_LATENCY_SECONDS: Histogram "stepup_command_latency_seconds" []
        "Time from the broker's acknowledgement of an event to that of its command.";
    SESSION_LATENCY_SECONDS: Histogram "stepup_session_latency_seconds" []
        "Time from a command to its outcome.";
    CONSUMER_LAG: Gauge "stepup_consumer_lag" ["role", "topic", "partition"]
        "Records of a partition that this process is assigned and has not finished yet.";
    HELD: Gauge "stepup_held" ["role", "reason"]
        "1 while a role cannot go on because of the reason, or goes on without and gives records up: windows, claims, outcomes, \
         controls, preferences, kafka_produce, kafka_input or refill (Redis was found empty and is filled again); else 0.";
    REFILLS: Counter "stepup_refills_total" ["role"]
        "How often this process has filled Redis again, which was found without what the role keeps there.";
    REFILLED: Counter "stepup_refilled_records_total" ["role"]
        "Records of the topics that were read for it.";
    GIVEN_UP: Counter "stepup_given_up_total" ["role", "reason"]
        "Records that a role gave up and put to the dead letters, for what they needed was away longer than its hold_for, by the \
         reason as in stepup_held: windows, claims, outcomes or preferences.";
    FLOOD: Gauge "stepup_flood" ["topic", "partition"]
        "1 while a partition stands because nearly all of its last records cannot be processed (evaluate.flood); else no series.";
    STALLS: Counter "stepup_stalls_total" ["role"]
        "Times that a role's Kafka client was made anew, for a partition was not read for a minute although it held more and \
         nothing was at hand.";
    INFLIGHT: Gauge "stepup_inflight" ["role"]
        "Records that a role has taken up and not finished yet.";
    ASSIGNED_PARTITIONS: Gauge "stepup_assigned_partitions" ["role"]
        "Partitions assigned to a role of this process.";
    REBALANCES: Counter "stepup_rebalances_total" ["role", "kind"]
        "Changes of a role's partitions, by kind: assigned, revoked or lost (taken away without a chance to commit).";
    COMMITS: Counter "stepup_commits_total" ["role", "result"]
        "Offset commits, by result: ok or failed.";
    LATE_BETS: Counter "stepup_late_bets_total" []
        "Bets that came later than the allowed lateness, and so were tested against what was still kept.";
    FOLDED_COMMANDS: Counter "stepup_folded_commands_total" []
        "Commands that had their outcome already when they were read: repeats of the same command.";
    RETRIES: Counter "stepup_retries_total" ["reason"]
        "Calls of the session API made again, by the reason: status_429, status_5xx, status_other, transport (never \
         sent) or lost_answer.";
    PARKED: Counter "stepup_parked_total" []
        "Commands put on the retries topic to wait for their next try.";
    RETRIES_DELAYED: Counter "stepup_retries_delayed_total" []
        "Times that a command had to wait before it was called again, for dispatch.retry_budget was spent.";
    SESSION_BREAKER: Gauge "stepup_session_api_breaker" ["state"]
        "1 for the state in which the breaker of the session API is: closed (called as always), open (not called), half_open \
         (one call finds out) or recovering (more and more calls at once); else 0.";
    SESSION_BREAKER_OPENED: Counter "stepup_session_api_breaker_opened_total" []
        "Times that the breaker of the session API opened, those after a probe that failed included.";
    LOST_ANSWERS: Counter "stepup_lost_answers_total" []
        "Calls of the session API that may have made a session whose answer did not arrive.";
    ORPHAN_SESSIONS: Counter "stepup_orphan_sessions_total" []
        "Sessions made whose token nobody received; they end unused.";
    CONTRADICTIONS: Counter "stepup_contradictions_total" ["tenant", "trigger"]
        "Commands that the service found not required although our copy of the preferences required them.";
    PAUSED_TENANTS: Gauge "stepup_paused_tenants" []
        "Tenants whose commands wait because the session API refuses their credential, or it cannot be read.";
    PAUSED: Counter "stepup_paused_total" ["tenant"]
        "Times that a tenant was paused because the session API refused its credential, or it could not be read.";
    BREAKER_TRIPS: Counter "stepup_breaker_trips_total" ["tenant", "trigger"]
        "Times that this process put a trigger in shadow, for it fired too often since its preferences were changed.";
    BREAKER_OPEN: Gauge "stepup_breaker_open" ["tenant", "trigger"]
        "1 while a trigger is in shadow that was put there because it fired too often, and nobody has released or kept it.";
    CONTROLS: Gauge "stepup_controls" ["kind", "tenant", "trigger"]
        "1 while a control is on, by kind (pause: commands wait; shadow: nobody is asked) and whom it is for; any stands for \
         every tenant or trigger.";
    PREFERENCES_LOOKUPS: Counter "stepup_preferences_lookups_total" ["result"]
        "Look-ups of a tenant's preferences, by result: hit, miss, refresh_ok, refresh_failed or stale.";
    PREFERENCES_OLDEST_AGE_SECONDS: Gauge "stepup_preferences_oldest_age_seconds" []
        "Age of the oldest copy of a tenant's preferences that is in use.";
    PREFERENCES_CACHED: Gauge "stepup_preferences_cached" []
        "Tenants whose preferences are kept in memory.";
    REDIS_SECONDS: Histogram "stepup_redis_seconds" ["operation"]
        "Time of a round trip to Redis, by operation: record, settle, fixed, fix, begin_attempt, forget_attempt, doubt, doubts, \
         controls, set_controls, reserve, marks or ping.";
    HTTP_SECONDS: Histogram "stepup_http_seconds" ["target"]
        "Time of an HTTP call, by the service called: session or preferences.";
    HTTP_RESPONSES: Counter "stepup_http_responses_total" ["target", "class"]
        "HTTP calls, by the service called and the class of the answer: 2xx, 3xx, 4xx, 5xx or transport (none).";
    TRACE_SPANS_DROPPED: Counter "stepup_trace_spans_dropped_total" []
        "Spans of sampled traces that no collector got: it was away, refused them or was too slow.";
    BUILD_INFO: Gauge "stepup_build_info" ["version"]
        "Always 1; the version of this program.";
}

//! The closed lists that metric labels are taken from.

use std::fmt;

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every value, in the order of its declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value of the label.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

label! {
    /// A role of the processor, which reads one input and stops as one.
    Role {
        Evaluate => "evaluate",
        Dispatch => "dispatch",
    }
}

label! {
    /// The one ending of an activity event.
    EventResult {
        /// Every trigger that it tests has a decision.
        Decided => "decided",
        /// Its type is not known.
        UnknownType => "skipped",
        /// It went to the dead letters.
        Rejected => "rejected",
    }
}

label! {
    /// How the candidate preferences differ from those in force.
    CandidateChange {
        /// Only the candidate would ask the customer.
        Newly => "newly",
        /// Only the preferences in force ask the customer.
        NoLonger => "no_longer",
    }
}

label! {
    /// What keeps a role from going on.
    HeldReason {
        Windows => "windows",
        Claims => "claims",
        Outcomes => "outcomes",
        Controls => "controls",
        Preferences => "preferences",
        KafkaProduce => "kafka_produce",
        KafkaInput => "kafka_input",
        /// The store was found empty and is filled again.
        Refill => "refill",
    }
}

label! {
    /// Why a call of the session API is made again.
    RetryReason {
        Status429 => "status_429",
        Status5xx => "status_5xx",
        StatusOther => "status_other",
        /// The request was never sent.
        Transport => "transport",
        /// The request may have been carried out, but its answer did not arrive.
        LostAnswer => "lost_answer",
    }
}

label! {
    /// A round trip to Redis.
    RedisOperation {
        Record => "record",
        Settle => "settle",
        Fixed => "fixed",
        Fix => "fix",
        BeginAttempt => "begin_attempt",
        ForgetAttempt => "forget_attempt",
        Doubt => "doubt",
        Doubts => "doubts",
        Controls => "controls",
        SetControls => "set_controls",
        Reserve => "reserve",
        Marks => "marks",
        Ping => "ping",
    }
}

label! {
    /// An HTTP service that is called.
    HttpTarget {
        Session => "session",
        Preferences => "preferences",
    }
}

label! {
    /// How a call of an HTTP service was answered.
    ResponseClass {
        Success => "2xx",
        Redirect => "3xx",
        ClientError => "4xx",
        ServerError => "5xx",
        /// There was no answer that makes sense.
        Transport => "transport",
    }
}

impl ResponseClass {
    /// The class of a status; `None` is no answer.
    pub fn of(status: Option<u16>) -> Self {
        match status {
            Some(200..=299) => Self::Success,
            Some(300..=399) => Self::Redirect,
            Some(400..=499) => Self::ClientError,
            Some(500..=599) => Self::ServerError,
            Some(_) | None => Self::Transport,
        }
    }
}

label! {
    /// How a tenant's preferences were come by.
    LookupResult {
        /// A fresh copy was at hand.
        Hit => "hit",
        /// There was no copy; somebody waited for one.
        Miss => "miss",
        RefreshOk => "refresh_ok",
        RefreshFailed => "refresh_failed",
        /// A copy past its time to live was used, for the source did not answer.
        Stale => "stale",
    }
}

label! {
    /// What a rebalance did to this consumer's partitions.
    RebalanceKind {
        Assigned => "assigned",
        Revoked => "revoked",
        /// Taken away without a chance to commit.
        Lost => "lost",
    }
}

label! {
    /// How an offset commit ended.
    CommitResult {
        Committed => "ok",
        Failed => "failed",
    }
}

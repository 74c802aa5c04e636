//! What the log tells of a source that is away: once when it goes and once when it is back, not for each tenant.

use std::time::Duration;

use tokio::time::Instant;

use super::source::Fetched;

/// How often at most a source that comes and goes is reported.
const QUIET: Duration = Duration::from_secs(10);

/// What was told of the source so far.
#[derive(Debug, Default)]
pub(super) struct Outage {
    is_told: bool,
    told_at: Option<Instant>,
    since: Option<Instant>,
}

impl Outage {
    /// When the source first failed to answer, with no answer for any tenant since.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Tells the log where the answer is news about the source.
    pub(super) fn hear(&mut self, fetched: &Fetched, now: Instant) {
        match fetched {
            Fetched::Away { reason } | Fetched::Refused { own_credential: false, reason } => {
                self.since.get_or_insert(now);
                let is_quiet = self.told_at.is_none_or(|told_at| now.duration_since(told_at) >= QUIET);
                if !self.is_told && is_quiet {
                    (self.is_told, self.told_at) = (true, Some(now));
                    tracing::warn!(reason, "preferences cannot be read; copies are served while they last");
                }
            }
            Fetched::Document(_) | Fetched::NotFound | Fetched::Unreadable(_) => {
                self.since = None;
                if std::mem::take(&mut self.is_told) {
                    tracing::info!("preferences can be read again");
                }
            }
            // These say nothing about the source.
            Fetched::Refused { own_credential: true, .. } | Fetched::NoCredential => {}
        }
    }
}

//! How a command leaves the loop's hands: to its end, to the retries topic, or given up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::lanes::JobId;
use super::super::{ending, park};
use super::{Done, MOST_FIXED_AT_ONCE, MOST_FIXING, Work};
use crate::domain::ids::TenantId;
use crate::domain::outcome::Ending;
use crate::edge::kafka::producer::Sink;
use crate::edge::kafka::records::Position;
use crate::edge::outcomes::Outcomes;
use crate::edge::sessions::Sessions;
use crate::failpoint::{self, Step};

impl<O, X, K> Work<O, X, K>
where
    O: Outcomes + 'static,
    X: Sessions + 'static,
    K: Sink + 'static,
{
    pub(super) fn pause(&mut self, tenant: &TenantId, probe: JobId, http_status: Option<u16>) {
        let pause = self.role.settings.pause;
        let (was_open, waiting) = self.lanes.pause(tenant, Instant::now() + pause);
        if was_open {
            match http_status {
                Some(http_status) => tracing::error!(
                    %tenant,
                    http_status,
                    "the session API refuses the tenant's credential; its commands wait"
                ),
                None => {
                    let reason = self.jobs.get(&probe).and_then(|job| job.attempts.last_reason.as_deref());
                    tracing::error!(%tenant, reason, "the tenant's credential cannot be had; its commands wait");
                }
            }
            self.role.metrics.tenant_paused(tenant);
            self.role.metrics.set_paused_tenants(self.lanes.paused());
        }
        for job in waiting.into_iter().chain([probe]) {
            self.park(job, pause);
        }
    }

    pub(super) fn end(&mut self, id: JobId, ending: Ending) {
        let Some(job) = self.jobs.get(&id) else { return };
        self.endings.push((id, ending::Ended::of(job, ending)));
    }

    /// Fixes the outcomes of the commands that came to their end: all that did so while earlier ones were being fixed, at
    /// once.
    pub(super) fn fix_endings(&mut self) {
        while !self.endings.is_empty() && self.fixing < MOST_FIXING {
            let some = self.endings.len().min(MOST_FIXED_AT_ONCE);
            let (jobs, ended): (Vec<JobId>, Vec<ending::Ended>) = self.endings.drain(..some).unzip();
            self.fixing += 1;
            let role = Arc::clone(&self.role);
            self.spawn(async move {
                // Where the role was told to stop meanwhile none is: what comes after still gets its attempt.
                let fixed = ending::fix(&role, ended).await.unwrap_or_default();
                Ok(Done::Fixed { fixed: jobs.into_iter().zip(fixed).collect() })
            });
        }
    }

    /// Publishes outcomes that are fixed, each by itself: a partition that takes nothing holds up its own only.
    pub(super) fn publish(&mut self, fixed: Vec<(JobId, ending::Fixed)>) {
        self.fixing -= 1;
        for (id, fixed) in fixed {
            let role = Arc::clone(&self.role);
            self.spawn(async move {
                ending::end(&role, fixed).await?;
                Ok(Done::Finished { job: Some(id), positions: Vec::new() })
            });
        }
    }

    /// Sends a command to the retries topic, to come back after `wait`.
    pub(super) fn park(&mut self, id: JobId, wait: Duration) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (role, parking) = (Arc::clone(&self.role), park::Parking::of(job, wait, &self.role.topics.retries));
        // From now on the record may come back at any moment, and must not be taken for one that ends with this job.
        self.forget_name(job.command.id, id);
        self.spawn(async move {
            park::park(&role, parking).await?;
            Ok(Done::Finished { job: Some(id), positions: Vec::new() })
        });
    }

    /// A command has left our hands: all its records are finished.
    pub(super) fn finished(&mut self, job: Option<JobId>, positions: &[Position]) {
        if let Some(id) = job
            && let Some(job) = self.jobs.remove(&id)
        {
            self.forget_name(job.command.id, id);
            self.progress.finish(job.positions());
        }
        self.progress.finish(positions);
        failpoint::pass(Step::DispatchFinished);
    }

    /// Puts a command to the dead letters, without an outcome.
    pub(super) fn give_up(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (role, letter) = (Arc::clone(&self.role), ending::letter(job));
        self.spawn(async move {
            ending::give_up(&role, letter).await?;
            Ok(Done::Finished { job: Some(id), positions: Vec::new() })
        });
    }
}

//! How commands come into the loop's hands, and when.

use std::sync::Arc;
use std::time::Duration;

use super::super::admit::{self, Admitted};
use super::super::ending;
use super::{Done, MOST_JOBS, Work};
use crate::edge::clock;
use crate::edge::kafka::producer::Sink;
use crate::edge::kafka::records::Batch;
use crate::edge::outcomes::Outcomes;
use crate::edge::sessions::Sessions;

/// While every place is taken, so many commands for each wait for one: they wait eight times as long as a call takes.
const AHEAD: usize = 8;

impl<O, X, K> Work<O, X, K>
where
    O: Outcomes + 'static,
    X: Sessions + 'static,
    K: Sink + 'static,
{
    /// Whether commands are taken in. While every place is taken, only so many that none of them has to be parked for
    /// having waited; and then none before half of them are called: the consumer throws away what it fetched whenever
    /// nobody takes it.
    pub(super) fn has_room(&mut self) -> bool {
        let places = self.role.settings.concurrency;
        let enough = places * if self.sated { AHEAD / 2 } else { AHEAD };
        self.sated = self.calls >= places && self.lanes.waiting() >= enough;
        !self.sated && self.at_work() < MOST_JOBS && self.tasks.len() < 2 * MOST_JOBS
    }

    pub(super) fn admit(&mut self, lane: usize, batch: Option<Batch>) {
        let Some(batch) = batch else {
            self.intake[lane] = None;
            return;
        };
        self.admitting[lane] = true;
        let role = Arc::clone(&self.role);
        self.spawn(async move { Ok(Done::Admitted { lane, admitted: admit::admit(&role, &batch).await? }) });
    }

    /// Takes in one record: a new command, a further record of one at hand, or one that only has to be ended.
    pub(super) fn take_in(&mut self, admitted: Admitted) {
        match admitted {
            Admitted::Unreadable(unreadable) => {
                let admit::Unreadable { letter, code, position } = *unreadable;
                let role = Arc::clone(&self.role);
                self.spawn(async move {
                    role.holder.send(&role.sink, vec![letter]).await?;
                    role.metrics.dead_letters(code, 1);
                    Ok(Done::Finished { job: None, positions: vec![position] })
                });
            }
            Admitted::Fixed { job, record } => {
                self.role.metrics.folded_command();
                let role = Arc::clone(&self.role);
                self.spawn(async move {
                    ending::publish(&role, &job, &record).await?;
                    Ok(Done::Finished { job: None, positions: job.positions().cloned().collect() })
                });
            }
            Admitted::GivenUp { job } => {
                if let Some(at_hand) = self.by_id.get(&job.command.id).and_then(|known| self.jobs.get_mut(known)) {
                    at_hand.folded.push(job.position);
                    return;
                }
                let (role, letter) = (Arc::clone(&self.role), ending::letter(&job));
                self.spawn(async move {
                    ending::give_up(&role, letter).await?;
                    Ok(Done::Finished { job: None, positions: job.positions().cloned().collect() })
                });
            }
            Admitted::Open { job } => {
                if let Some(at_hand) = self.by_id.get(&job.command.id).and_then(|known| self.jobs.get_mut(known)) {
                    at_hand.attempts.learn(&job.attempts);
                    at_hand.folded.push(job.position);
                    self.role.metrics.folded_command();
                    return;
                }
                self.last_job += 1;
                let id = self.last_job;
                self.by_id.insert(job.command.id, id);
                let wait = job.due.map_or(Duration::ZERO, |due| due.since(clock::now()));
                self.jobs.insert(id, *job);
                self.wait_or_go_on(id, wait);
            }
        }
    }
}

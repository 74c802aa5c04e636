//! The loop of dispatch: what is at hand, and where each command goes next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;

use super::admit::Admitted;
use super::host::{Host, Leave};
use super::lanes::{JobId, Lanes};
use super::paused::Paused;
use super::{Dispatch, Job, call, ending};
use crate::domain::command::Command;
use crate::domain::delivery::still_time;
use crate::domain::ids::CommandId;
use crate::edge::clock;
use crate::edge::kafka::consumer::{Progress, Settled};
use crate::edge::kafka::producer::Sink;
use crate::edge::kafka::records::{Batch, Position};
use crate::edge::outcomes::Outcomes;
use crate::edge::sessions::Sessions;
use crate::metrics::Role;
use crate::roles::hold::Stopped;

mod intake;
mod leave;

/// The most commands at work; beyond it none are taken in.
const MOST_JOBS: usize = 8_192;
/// The most commands that wait in memory for their time.
const MOST_DELAYED: usize = 32_768;
/// The most commands in memory.
pub const MOST_AT_HAND: usize = MOST_JOBS + MOST_DELAYED;
/// The most calls of the store at once that fix outcomes, and the most outcomes of one.
const MOST_FIXING: usize = 4;
const MOST_FIXED_AT_ONCE: usize = 256;
/// The most tasks that are taken back before anything else is looked at.
const MOST_TAKEN_BACK: usize = 256;
/// No command waits in memory longer than this in one go: it would keep its partition's position back.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const SWEEP: Duration = Duration::from_millis(500);

/// What a task gives back.
enum Done {
    /// A batch was decoded and its fixed outcomes looked up.
    Admitted {
        lane: usize,
        admitted: Vec<Admitted>,
    },
    /// A call was answered.
    Called {
        job: JobId,
        leave: Leave,
        called: Box<call::Called>,
    },
    /// The outcomes of commands are fixed.
    Fixed {
        fixed: Vec<(JobId, ending::Fixed)>,
    },
    /// Everything that follows from these records is acknowledged.
    Finished {
        job: Option<JobId>,
        positions: Vec<Position>,
    },
    Stopped,
}

/// The loop's own state. Nobody else has a hand in it.
pub(super) struct Work<O, X, K> {
    role: Arc<Dispatch<O, X, K>>,
    intake: [Option<Receiver<Batch>>; 2],
    admitting: [bool; 2],
    progress: Progress,
    jobs: HashMap<JobId, Job>,
    by_id: HashMap<CommandId, JobId>,
    lanes: Lanes,
    host: Host,
    paused: Paused,
    delayed: DelayQueue<JobId>,
    tasks: JoinSet<Done>,
    calls: usize,
    /// Commands that have come to their end and whose outcomes are to be fixed.
    endings: Vec<(JobId, ending::Ended)>,
    /// Calls of the store that fix outcomes.
    fixing: usize,
    /// Whether enough commands wait for a place.
    sated: bool,
    last_job: JobId,
}

const COMMANDS: usize = 0;
const RETRIES: usize = 1;

impl<O, X, K> Work<O, X, K>
where
    O: Outcomes + 'static,
    X: Sessions + 'static,
    K: Sink + 'static,
{
    pub(super) fn new(role: Arc<Dispatch<O, X, K>>, intake: [Receiver<Batch>; 2], progress: Progress) -> Self {
        Self {
            lanes: Lanes::new(role.settings.concurrency_per_tenant),
            host: Host::new(&role.settings, role.metrics.clone()),
            paused: Paused::new(Instant::now()),
            role,
            intake: intake.map(Some),
            admitting: [false, false],
            progress,
            jobs: HashMap::new(),
            by_id: HashMap::new(),
            delayed: DelayQueue::new(),
            tasks: JoinSet::new(),
            calls: 0,
            endings: Vec::new(),
            fixing: 0,
            sated: false,
            last_job: 0,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            self.call_what_is_ready();
            self.fix_endings();
            let room = self.has_room();
            let may_take = [
                room && !self.admitting[COMMANDS],
                room && !self.admitting[RETRIES] && self.delayed.len() < MOST_DELAYED,
            ];
            let [commands, retries] = &mut self.intake;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = self.tasks.join_next() => self.take_back_all(done?)?,
                Some(due) = std::future::poll_fn(|cx| self.delayed.poll_expired(cx)), if !self.delayed.is_empty() => {
                    self.ready(due.into_inner());
                }
                batch = receive(commands), if may_take[COMMANDS] => self.admit(COMMANDS, batch),
                batch = receive(retries), if may_take[RETRIES] => self.admit(RETRIES, batch),
                _ = sweep.tick() => self.sweep(),
            }
        }
        // What waits is read again by whoever comes next; what runs is brought to its end.
        self.fix_endings();
        while let Some(done) = self.tasks.join_next().await {
            match done? {
                Done::Called { job, leave, called } => self.called(job, leave, *called),
                Done::Fixed { fixed } => self.publish(fixed),
                Done::Finished { job, positions } => self.finished(job, &positions),
                Done::Admitted { .. } | Done::Stopped => {}
            }
            self.fix_endings();
        }
        Ok(())
    }

    /// Commands that do not wait for their time.
    fn at_work(&self) -> usize {
        self.jobs.len().saturating_sub(self.delayed.len())
    }

    /// Takes back a task that ended, and those that ended meanwhile.
    fn take_back_all(&mut self, first: Done) -> Result<(), JoinError> {
        self.take_back(first);
        for _ in 1..MOST_TAKEN_BACK {
            let Some(done) = self.tasks.try_join_next() else { break };
            self.take_back(done?);
        }
        self.role.metrics.set_inflight(Role::Dispatch, self.jobs.len());
        Ok(())
    }

    fn take_back(&mut self, done: Done) {
        match done {
            Done::Admitted { lane, admitted } => {
                self.admitting[lane] = false;
                for one in admitted {
                    self.take_in(one);
                }
            }
            Done::Called { job, leave, called } => self.called(job, leave, *called),
            Done::Fixed { fixed } => self.publish(fixed),
            Done::Finished { job, positions } => self.finished(job, &positions),
            Done::Stopped => {}
        }
    }

    fn spawn<F>(&mut self, task: F)
    where
        F: Future<Output = Result<Done, Stopped>> + Send + 'static,
    {
        self.tasks.spawn(async move { task.await.unwrap_or(Done::Stopped) });
    }

    fn wait_or_go_on(&mut self, id: JobId, wait: Duration) {
        if wait.is_zero() {
            self.ready(id);
        } else {
            self.delayed.insert(id, wait.min(LONGEST_WAIT));
        }
    }

    /// A command's time has come: to its lane, to the retries topic where it or its tenant has to wait, or to its end.
    fn ready(&mut self, id: JobId) {
        if self.drop_if_gone(id) {
            return;
        }
        let Some(job) = self.jobs.get(&id) else { return };
        if let Some(ending) = still_time(&job.command, &job.attempts, &self.role.policy, clock::now()) {
            self.end(id, ending);
            return;
        }
        let left = job.due.map_or(Duration::ZERO, |due| due.since(clock::now()));
        if self.is_paused(&job.command) {
            let wait = self.paused.wait(Instant::now(), rand::random());
            self.park(id, wait.max(left));
            return;
        }
        let now = Instant::now();
        match self.lanes.paused_until(&job.command.tenant, now) {
            Some(until) => self.park(id, until.saturating_duration_since(now).max(left)),
            None if self.host.open_for().is_some_and(|time| time > self.role.settings.park_after) => {
                self.park(id, self.host.wait().max(left));
            }
            None if !left.is_zero() => self.park(id, left),
            None => self.lanes.push(&job.command.tenant, id, now),
        }
    }

    /// Whether somebody has paused what the command is for.
    fn is_paused(&self, command: &Command) -> bool {
        self.role.controls.now().is_paused(&command.tenant, command.trigger)
    }

    /// Lets go of a command all of whose partitions went elsewhere: whoever has them now reads it again.
    fn drop_if_gone(&mut self, id: JobId) -> bool {
        let gone = |position: &Position| self.progress.settled(position) == Settled::Gone;
        let Some(job) = self.jobs.get(&id).filter(|job| job.positions().all(gone)) else { return false };
        let command = job.command.id;
        self.forget_name(command, id);
        self.jobs.remove(&id);
        true
    }

    /// A further record of this command is a command of its own from now on.
    fn forget_name(&mut self, command: CommandId, id: JobId) {
        if self.by_id.get(&command) == Some(&id) {
            self.by_id.remove(&command);
        }
    }

    fn call_what_is_ready(&mut self) {
        while self.calls < self.role.settings.concurrency && !self.lanes.are_empty() {
            let Some(leave) = self.host.admit() else { return };
            let Some(id) = self.lanes.next(Instant::now()) else {
                self.host.unused(leave);
                return;
            };
            if let Some(leave) = self.may_be_called(id, leave) {
                self.call(id, leave);
            }
        }
    }

    /// Whether a command whose turn it is may be called; if not, it waits elsewhere, or is gone.
    fn may_be_called(&mut self, id: JobId, leave: Leave) -> Option<Leave> {
        let tenant = self.jobs.get(&id).map(|job| job.command.tenant.clone());
        if tenant.is_none() || self.drop_if_gone(id) {
            tenant.iter().for_each(|tenant| self.lanes.ended(tenant));
            self.host.unused(leave);
            return None;
        }
        let job = self.jobs.get(&id)?;
        let leave = if self.is_paused(&job.command) {
            self.host.unused(leave);
            let wait = self.paused.wait(Instant::now(), rand::random());
            self.park(id, wait);
            None
        } else {
            let paid = self.host.spend(leave, &job.attempts);
            if paid.is_none() {
                self.park(id, self.host.wait());
            }
            paid
        };
        if leave.is_none() {
            tenant.iter().for_each(|tenant| self.lanes.ended(tenant));
        }
        leave
    }

    fn call(&mut self, id: JobId, leave: Leave) {
        let Some(job) = self.jobs.get_mut(&id) else { return self.host.unused(leave) };
        job.due = None;
        self.calls += 1;
        let (role, command, attempts) = (Arc::clone(&self.role), job.command.clone(), job.attempts.clone());
        let trace = job.span.as_ref().map(|span| span.place.clone());
        self.spawn(async move {
            let called = call::call(&role, &command, attempts, trace).await?;
            Ok(Done::Called { job: id, leave, called: Box::new(called) })
        });
    }

    /// A call came back: its place is free, and the command goes where the answer sends it.
    fn called(&mut self, id: JobId, leave: Leave, called: call::Called) {
        self.calls -= 1;
        let Some(job) = self.jobs.get_mut(&id) else { return self.host.unused(leave) };
        let tenant = job.command.tenant.clone();
        self.host.ended(leave, &tenant, called.signal);
        let folded = std::mem::replace(&mut job.attempts, called.attempts);
        job.attempts.learn(&folded);
        if called.heard == call::Heard::Accepted && self.lanes.open(&tenant) {
            tracing::info!(%tenant, "the tenant's credential is accepted again; its commands go on");
            self.role.metrics.set_paused_tenants(self.lanes.paused());
        }
        match called.next {
            call::Next::Refused { http_status } => self.pause(&tenant, id, http_status),
            call::Next::Again { wait } if wait > self.role.settings.park_after => self.park(id, wait),
            call::Next::Again { wait } => self.wait_or_go_on(id, wait),
            call::Next::End { ending } => self.end(id, ending),
            call::Next::GiveUp => self.give_up(id),
        }
        self.lanes.ended(&tenant);
    }

    /// Sends what has waited too long for a turn to the retries topic; where memory is full, also the end of the longest
    /// lane, so that the others' commands can come in.
    fn sweep(&mut self) {
        let patience = self.role.settings.park_after;
        let mut moved = self.lanes.overdue(Instant::now(), patience);
        if self.at_work() >= MOST_JOBS {
            moved.extend(self.lanes.relieve(self.role.settings.concurrency_per_tenant * 2));
        }
        let wait = self.host.open_for().map_or(patience * 2, |_| self.host.wait().max(patience * 2));
        for job in moved {
            self.park(job, wait);
        }
        if self.progress.is_leaving() {
            self.let_go_of_what_waits();
        }
        if let Some(forgotten) = Instant::now().checked_sub(self.role.settings.max_command_age) {
            self.lanes.tidy(forgotten);
        }
        self.role.metrics.set_paused_tenants(self.lanes.paused());
    }

    /// Partitions are about to go: what only waits does not hold them up. It stays uncommitted, for the next owner.
    fn let_go_of_what_waits(&mut self) {
        let waiting: Vec<&Position> =
            self.jobs.values().filter(|job| job.due.is_some()).flat_map(Job::positions).collect();
        self.progress.abandon(waiting);
    }
}

async fn receive(intake: &mut Option<Receiver<Batch>>) -> Option<Batch> {
    match intake {
        Some(intake) => intake.recv().await,
        None => std::future::pending().await,
    }
}

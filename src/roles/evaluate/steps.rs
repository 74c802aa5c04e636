//! The steps of the role, each a loop of its own: a batch waits in one while the next is in the step before.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::compactions::{Compactions, lock};
use super::lost::Told;
use super::side_by_side::{Recording, Shares};
use super::{Decided, Evaluate, Recorded, alive};
use crate::edge::claims::Claims;
use crate::edge::kafka::consumer::Progress;
use crate::edge::kafka::producer::{Outgoing, Sink};
use crate::edge::kafka::records::{At, Batch, Position};
use crate::edge::preferences::PreferencesSource;
use crate::edge::quotas::Quotas;
use crate::edge::windows::Windows;
use crate::failpoint::{self, Step};
use crate::roles::hold::GivenUp;
use crate::roles::walk::{Bets, Fired, Unsent};

/// Batches that wait between two steps: one to go on with. More would only be older when their turn comes.
const BETWEEN: usize = 1;
/// Groups of batches whose effects are on their way at once. An idle role's groups are single small batches.
const GROUPS: usize = 4;
/// Full batches that are sent together: brokers are asked once for each partition and group, and not for each batch.
const TOGETHER: usize = 12;
/// Batches of all groups: two of full ones. Each takes a quarter of a megabyte, and twice that where all of it is kept.
const ON_THEIR_WAY: usize = 2 * TOGETHER;
/// No batch is waited for behind so many bytes to be sent.
const BYTES_TOGETHER: usize = 1024 * 1024;
/// How long a full batch waits for those that are on its heels.
const ON_ITS_HEELS: Duration = Duration::from_millis(50);

impl<W, C, K, S> Evaluate<W, C, K, S>
where
    W: Windows + 'static,
    C: Claims + Quotas + 'static,
    K: Sink + 'static,
    S: PreferencesSource,
{
    /// Works until `stop` is cancelled, and then finishes the batches at hand. Where a step has to end, the others end
    /// after it.
    pub async fn run(self, intake: Receiver<Batch>, progress: Progress, stop: CancellationToken) {
        let role = Arc::new(self);
        let compactions = Arc::new(Mutex::new(Compactions::default()));
        let (read, to_record) = channel(BETWEEN);
        let (recording, to_gather) = channel(BETWEEN);
        let (recorded, to_decide) = channel(BETWEEN);
        let (decided, to_send) = channel(BETWEEN);
        let mut steps = JoinSet::new();
        steps.spawn(Arc::clone(&role).read_all(intake, read, progress.clone(), stop));
        let recorder = (Arc::clone(&role), Arc::clone(&compactions));
        let shares = Shares::start(&mut steps, move |work| {
            let (role, compactions) = recorder.clone();
            async move { role.record(work, &compactions).await }
        });
        steps.spawn(Self::record_all(shares, to_record, recording, progress.clone(), Arc::clone(&compactions)));
        steps.spawn(Arc::clone(&role).gather_all(to_gather, recorded));
        steps.spawn(Arc::clone(&role).decide_all(to_decide, decided, compactions));
        steps.spawn(role.send_all(to_send, progress));
        while let Some(ended) = steps.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a step of evaluate broke off");
                return;
            }
        }
    }

    /// Decodes batches, looks their tenants up and gathers their bets.
    async fn read_all(
        self: Arc<Self>,
        mut intake: Receiver<Batch>,
        read: Sender<Recorded>,
        progress: Progress,
        stop: CancellationToken,
    ) {
        loop {
            let batch = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                batch = intake.recv() => batch,
            };
            let Some(batch) = batch else { return };
            failpoint::pass(Step::EvaluateTaken);
            let mut recorded = self.read_in(batch, &progress).await;
            if self.look_up(&mut recorded).await.is_err() {
                return;
            }
            recorded.told = Told::new(Bets::of(&recorded.arrivals, &self.window_settings, self.outlive()));
            failpoint::pass(Step::EvaluateLookedUp);
            if read.send(recorded).await.is_err() {
                return;
            }
        }
    }

    /// Has batches' bets recorded, and what is due with them. A batch is taken when there is room for it.
    async fn record_all(
        shares: Shares,
        mut read: Receiver<Recorded>,
        recording: Sender<(Recorded, Recording)>,
        progress: Progress,
        compactions: Arc<Mutex<Compactions>>,
    ) {
        while let Ok(room) = recording.reserve().await {
            let Some(batch) = read.recv().await else { return };
            let due = lock(&compactions).due(&progress);
            let Ok(asked) = shares.record(&batch.told, due).await else { return };
            room.send((batch, asked));
        }
    }

    /// Waits for what is judged of batches' bets.
    async fn gather_all(self: Arc<Self>, mut recording: Receiver<(Recorded, Recording)>, recorded: Sender<Recorded>) {
        while let Some((mut batch, asked)) = recording.recv().await {
            let Ok(windowed) = asked.judged(batch.arrivals.len()).await else { return };
            batch.since = Instant::now();
            match windowed {
                Ok(windowed) => batch.windowed = windowed,
                Err(GivenUp) => self.give_windows_up(&mut batch),
            }
            failpoint::pass(Step::EvaluateRecorded);
            if recorded.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// Decides batches.
    async fn decide_all(
        self: Arc<Self>,
        mut recorded: Receiver<Recorded>,
        decided: Sender<Decided>,
        compactions: Arc<Mutex<Compactions>>,
    ) {
        let mut on_their_way = Vec::new();
        while let Some(batch) = recorded.recv().await {
            let fired: Vec<Arc<Vec<Fired>>> = alive(&mut on_their_way);
            let unsent = Unsent::of(fired.iter().flat_map(|fired| fired.iter()));
            drop(fired);
            let Ok(mut batch) = self.decide(batch, &unsent).await else { return };
            on_their_way.push(Arc::downgrade(&batch.fired));
            let found = std::mem::take(&mut batch.recorded.windowed.compactions);
            if !found.is_empty() {
                lock(&compactions).add(found, last_of_each_partition(&batch.recorded.batch));
            }
            if decided.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// Sends what follows from batches, some groups of them side by side, and has them counted and reported.
    async fn send_all(self: Arc<Self>, decided: Receiver<Decided>, progress: Progress) {
        let full = self.settings.batch_size;
        let room = Semaphore::new(ON_THEIR_WAY);
        let groups = stream::unfold(decided, |mut decided| async {
            // Whatever the group will be, there is to be room for it.
            let mut taken = room.acquire_many(TOGETHER as u32).await.ok()?;
            let group = together(&mut decided, full).await;
            drop(taken.split(TOGETHER - group.len()));
            (!group.is_empty()).then_some(((group, taken), decided))
        });
        let finish = |(group, taken)| async {
            let finished = self.finish(group, &progress).await;
            drop(taken);
            finished
        };
        let mut done = groups.map(finish).buffered(GROUPS).boxed();
        while let Some(finished) = done.next().await {
            let Ok(group) = finished else { return };
            for Decided { recorded, settings, tested, now, .. } in group {
                self.guard.hear(&recorded.arrivals, &tested, &settings, now);
                if let Some(candidate) = &self.candidate {
                    candidate.give(recorded.arrivals, &tested, now).await;
                }
            }
        }
    }
}

/// The next batches to be sent together: up to the first that is not full, for then there is nothing to catch up on and
/// somebody waits for it. Empty at the end.
async fn together(decided: &mut Receiver<Decided>, full: usize) -> Vec<Decided> {
    let mut group = Vec::new();
    let Some(mut next) = decided.recv().await else { return group };
    let (mut bytes, until) = (0, Instant::now() + ON_ITS_HEELS);
    loop {
        let is_last = next.recorded.batch.len() < full;
        bytes += next.outgoing.iter().map(Outgoing::bytes).sum::<usize>();
        group.push(next);
        if is_last || group.len() == TOGETHER || bytes >= BYTES_TOGETHER {
            return group;
        }
        match tokio::time::timeout_at(until, decided.recv()).await {
            Ok(Some(after)) => next = after,
            Ok(None) | Err(_) => return group,
        }
    }
}

fn last_of_each_partition(batch: &Batch) -> Vec<Position> {
    batch.shares().iter().map(|share| share.last).map(At::position).collect()
}

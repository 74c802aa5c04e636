//! The recording of bets: each share of the customers by a loop of its own, one batch after the other.
//!
//! As soon as the store has answered for a share, and its bets are judged, it is told the next batch's of that share,
//! whatever becomes of the others: so it is hardly ever without work while this process judges, and a customer's bets keep
//! their order.

use std::future::Future;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::compactions::{Compactions, lock};
use super::lost::Told;
use super::{Evaluate, alive};
use crate::config::Receipts;
use crate::edge::claims::Claims;
use crate::edge::kafka::producer::Sink;
use crate::edge::preferences::PreferencesSource;
use crate::edge::quotas::Quotas;
use crate::edge::windows::{Compaction, Windows};
use crate::health::Dependency;
use crate::metrics::HeldReason;
use crate::roles::hold::{GivenUp, Stopped};
use crate::roles::refill::Unfilled;
use crate::roles::walk::{Answers, Keep, SHARES, Windowed, by_share};

/// What waits for a loop: no more than one batch's, for so many are recorded side by side.
const WAITING: usize = 1;

/// What becomes of one share of a batch.
pub(super) type Done = Result<Answers, GivenUp>;

/// One share of a batch.
pub(super) struct Work {
    share: usize,
    told: Arc<Told>,
    due: Vec<Compaction>,
    /// Batches before it that are not finished.
    ahead: Vec<Arc<Told>>,
}

/// The loops of all shares.
pub(super) struct Shares([Sender<Waiting>; SHARES]);

/// A batch, and what the loops will answer, each for its share.
pub(super) struct Recording {
    told: Arc<Told>,
    shares: Vec<oneshot::Receiver<Done>>,
}

struct Waiting {
    told: Arc<Told>,
    due: Vec<Compaction>,
    done: oneshot::Sender<Done>,
}

impl Shares {
    /// Starts the loops, each of which does `record`. They end with this. One that is stopped takes no more work: no batch
    /// may overtake one that was not recorded.
    pub(super) fn start<F>(loops: &mut JoinSet<()>, record: impl Fn(Work) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = Result<Done, Stopped>> + Send + 'static,
    {
        Self(std::array::from_fn(|share| {
            let (waiting, to_do) = channel(WAITING);
            loops.spawn(work_through(share, to_do, record.clone()));
            waiting
        }))
    }

    /// Gives the loops a batch's bets, and the compactions that are due.
    pub(super) async fn record(&self, told: &Arc<Told>, due: Vec<Compaction>) -> Result<Recording, Stopped> {
        let mut shares = Vec::with_capacity(SHARES);
        for (due, one) in by_share(due).into_iter().zip(&self.0) {
            let (done, answered) = oneshot::channel();
            one.send(Waiting { told: Arc::clone(told), due, done }).await.map_err(|_| Stopped)?;
            shares.push(answered);
        }
        Ok(Recording { told: Arc::clone(told), shares })
    }
}

async fn work_through<F>(share: usize, mut to_do: Receiver<Waiting>, record: impl Fn(Work) -> F)
where
    F: Future<Output = Result<Done, Stopped>>,
{
    let mut before = Vec::new();
    while let Some(Waiting { told, due, done }) = to_do.recv().await {
        let ahead = alive(&mut before);
        before.push(Arc::downgrade(&told));
        let Ok(recorded) = record(Work { share, told, due, ahead }).await else { return };
        // Whoever waited for it may have stopped.
        let _ = done.send(recorded);
    }
}

impl Recording {
    /// What is judged of so many events. Where one share is given up the others are of no use.
    pub(super) async fn judged(self, events: usize) -> Result<Result<Windowed, GivenUp>, Stopped> {
        let mut windowed = Ok(Windowed::none_of(events));
        for (share, answered) in self.told.bets.shares.iter().zip(self.shares) {
            match (answered.await.map_err(|_| Stopped)?, &mut windowed) {
                (Ok(answers), Ok(windowed)) => windowed.take_in(share, answers),
                (Ok(_), Err(GivenUp)) => {}
                (Err(GivenUp), windowed) => *windowed = Err(GivenUp),
            }
        }
        Ok(windowed)
    }
}

impl<W: Windows, C: Claims + Quotas, K: Sink, S: PreferencesSource> Evaluate<W, C, K, S> {
    /// Records a share of a batch's bets and judges them by the logs that come back. Where one is missing there, all are
    /// recorded again.
    pub(super) async fn record(&self, work: Work, compactions: &Mutex<Compactions>) -> Result<Done, Stopped> {
        let Work { share, told, due, ahead } = work;
        let keep = if self.settings.receipts == Receipts::Off { Keep::Answers } else { Keep::Logs };
        let bets = &told.bets.shares[share];
        let record = || async {
            let logs = self.record_behind(&told, share, &due, &ahead).await?;
            Ok::<_, Unfilled>(bets.judge(logs, keep, |customer| lock(compactions).takes(customer))?)
        };
        let asked = || !due.is_empty() || !bets.customers.is_empty();
        self.holder.until_ok_or_given_up(HeldReason::Windows, Dependency::Redis, record, asked).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;
    use crate::roles::walk::Bets;

    /// A store that answers when it is told to.
    type Store = UnboundedReceiver<(Work, oneshot::Sender<Result<Done, Stopped>>)>;

    fn loops(all: &mut JoinSet<()>) -> (Shares, Store) {
        let (asked, store): (UnboundedSender<_>, _) = unbounded_channel();
        let shares = Shares::start(all, move |work| {
            let asked = asked.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                asked.send((work, answer)).unwrap();
                answered.await.unwrap()
            }
        });
        (shares, store)
    }

    /// Loops that have been given two batches, and what they will answer of each.
    async fn given_two(all: &mut JoinSet<()>) -> (Shares, Store, [(Arc<Told>, Recording); 2]) {
        let (shares, store) = loops(all);
        let give = async || {
            let batch = Told::new(Bets::default());
            let recording = shares.record(&batch, Vec::new()).await.unwrap();
            (batch, recording)
        };
        let both = [give().await, give().await];
        (shares, store, both)
    }

    fn is_of(work: &Work, batch: &Arc<Told>) -> bool {
        Arc::ptr_eq(&work.told, batch)
    }

    #[tokio::test]
    async fn a_share_goes_on_without_the_others_and_behind_its_own() {
        let mut all = JoinSet::new();
        let (_shares, mut store, [(first, of_first), (second, of_second)]) = given_two(&mut all).await;
        let mut open = Vec::new();
        for _ in 0..SHARES {
            let (work, answer) = store.recv().await.unwrap();
            assert!(is_of(&work, &first) && work.ahead.is_empty());
            open.push((work.share, answer));
        }
        let (last, answer) = open.pop().unwrap();
        answer.send(Ok(Ok(Answers::default()))).unwrap();
        let (work, of_second_answer) = store.recv().await.unwrap();
        assert!(is_of(&work, &second) && work.share == last);
        assert!(work.ahead.iter().any(|ahead| Arc::ptr_eq(ahead, &first)), "what it stands behind is known");
        assert!(store.try_recv().is_err(), "the others wait for the first batch");

        open.into_iter().for_each(|(_, answer)| answer.send(Ok(Ok(Answers::default()))).unwrap());
        of_first.judged(0).await.unwrap().unwrap();
        of_second_answer.send(Ok(Err(GivenUp))).unwrap();
        for _ in 1..SHARES {
            store.recv().await.unwrap().1.send(Ok(Ok(Answers::default()))).unwrap();
        }
        assert_eq!(of_second.judged(0).await.unwrap().unwrap_err(), GivenUp, "one share is enough");
    }

    #[tokio::test]
    async fn nothing_overtakes_what_was_stopped() {
        let mut all = JoinSet::new();
        let (shares, mut store, [(_, of_first), (second, of_second)]) = given_two(&mut all).await;
        for _ in 0..SHARES {
            store.recv().await.unwrap().1.send(Err(Stopped)).unwrap();
        }
        assert_eq!(of_first.judged(0).await.unwrap_err(), Stopped);
        assert_eq!(of_second.judged(0).await.unwrap_err(), Stopped);
        while all.join_next().await.is_some() {}
        assert!(store.recv().await.is_none(), "the second batch was never told");
        assert!(shares.record(&second, Vec::new()).await.is_err());
    }
}

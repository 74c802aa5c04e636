//! Whose turn it is: batches go through a step side by side, and each half of them in their order.

use tokio::sync::oneshot::{Receiver, Sender, channel};

use super::super::hold::Stopped;
use crate::roles::walk::Half;

/// Gives out turns.
#[derive(Default)]
pub(super) struct Turns([Option<Receiver<()>>; 2]);

/// One batch's turn of a half.
pub(super) struct Turn {
    before: Option<Receiver<()>>,
    after: Sender<()>,
}

impl Turns {
    /// The next batch's turn of each half.
    pub(super) fn next(&mut self) -> [Turn; 2] {
        Half::BOTH.map(|half| {
            let (after, next) = channel();
            Turn { before: self.0[half as usize].replace(next), after }
        })
    }
}

impl Turn {
    /// Waits until the batch before has passed its turn on. One that was dropped with its turn has stopped, and with it
    /// those behind: they must not overtake it.
    pub(super) async fn come(&mut self) -> Result<(), Stopped> {
        match self.before.take() {
            Some(before) => before.await.map_err(|_| Stopped),
            None => Ok(()),
        }
    }

    /// Lets the batch behind have its turn.
    pub(super) fn pass(self) {
        // Where nobody is behind nobody waits.
        let _ = self.after.send(());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_turn_comes_when_the_one_before_was_passed_on_in_its_half() {
        let mut turns = Turns::default();
        let [[mut first, mut beside], [mut behind, mut behind_beside]] = [turns.next(), turns.next()];
        assert_eq!(first.come().now_or_never(), Some(Ok(())));
        assert_eq!(beside.come().now_or_never(), Some(Ok(())));
        assert_eq!((behind.come().now_or_never(), behind_beside.before.is_some()), (None, true));
        beside.pass();
        assert_eq!(behind_beside.come().now_or_never(), Some(Ok(())));
    }

    #[test]
    fn nobody_overtakes_one_that_was_dropped_with_its_turn() {
        let mut turns = Turns::default();
        let [[first, second], [mut behind, _]] = [turns.next(), turns.next()];
        drop(first);
        second.pass();
        assert_eq!(behind.come().now_or_never(), Some(Err(Stopped)));
        let [mut last, _] = turns.next();
        drop(behind);
        assert_eq!(last.come().now_or_never(), Some(Err(Stopped)));
    }
}

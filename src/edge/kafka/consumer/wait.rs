//! Waiting on a thread of one's own, which needs no runtime's timer: that would wake one of the runtime's threads each time.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use tokio::time::Instant;

struct Unparks(Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What becomes of a future within so much time; it is given up after that. The thread waits meanwhile.
pub(super) fn within<T>(patience: Duration, future: impl Future<Output = T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    let waker = Waker::from(Arc::new(Unparks(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_ready_is_not_waited_for() {
        assert_eq!(within(Duration::ZERO, async { 7 }), Some(7));
    }

    #[test]
    fn what_does_not_come_is_given_up_and_leaves_nothing_behind() {
        let (sender, mut receiver) = channel(1);
        sender.try_send(1).unwrap();
        for patience in [Duration::ZERO, Duration::from_millis(5)] {
            assert!(within(patience, sender.reserve()).is_none(), "there is no room");
        }
        assert_eq!(receiver.try_recv(), Ok(1));
        assert!(sender.try_send(2).is_ok(), "nobody stands in line for the room any more");
    }

    #[test]
    fn another_thread_ends_the_wait() {
        let (sender, mut receiver) = channel(1);
        for number in 0..1_000 {
            sender.try_send(number).unwrap();
            let (at_work, begun) = std::sync::mpsc::channel();
            let taken = std::thread::spawn(move || {
                begun.recv().unwrap();
                (receiver.try_recv(), receiver)
            });
            let room = async {
                at_work.send(()).unwrap();
                sender.reserve().await.is_ok()
            };
            assert_eq!(within(LONG, room), Some(true));
            let (was, back) = taken.join().unwrap();
            assert_eq!(was, Ok(number));
            receiver = back;
        }
    }
}

//! Work on a thread of its own.
//!
//! What is handed from task to task all the time is dearer on a runtime of several threads: whatever one of them allocated
//! another one frees, and nothing of it is in its caches.

use std::future::Future;
use std::io;

use tokio::runtime::Builder;
use tokio::sync::oneshot::channel;

/// Runs `work`, and whatever it spawns, on a thread of its own that bears this name. The thread ends with the work, or as
/// soon as nobody waits for it any more. An error is a thread that could not be started, or that panicked.
pub(super) async fn on_own_thread<T: Send + 'static>(
    name: &str,
    work: impl Future<Output = T> + Send + 'static,
) -> io::Result<T> {
    let (mut ended, end) = channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let until_unwanted = async {
            tokio::select! {
                done = work => Some(done),
                () = ended.closed() => None,
            }
        };
        // Made here: where the thread cannot be started there is no runtime that would have to end among other work.
        let done = Builder::new_current_thread().enable_all().build().map(|runtime| runtime.block_on(until_unwanted));
        if let Some(done) = done.transpose() {
            // Nobody may wait for it any more.
            let _ = ended.send(done);
        }
    })?;
    end.await.unwrap_or_else(|_| Err(io::Error::other(format!("the thread {name} broke off"))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn what_work_spawns_runs_on_the_same_thread() {
        let name = || std::thread::current().name().map(str::to_owned);
        let both = async move { (name(), tokio::spawn(async move { name() }).await.unwrap()) };
        let own = Some("own".to_owned());
        assert_eq!(on_own_thread("own", both).await.unwrap(), (own.clone(), own));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_dropped() {
        let held = Arc::new(());
        let (begun, begins) = channel();
        let work = {
            let held = Arc::clone(&held);
            async move {
                let _held = held;
                let _ = begun.send(());
                std::future::pending::<()>().await;
            }
        };
        let waiting = tokio::spawn(on_own_thread("own", work));
        begins.await.unwrap();
        waiting.abort();
        while Arc::strong_count(&held) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let panics = async { assert_eq!(1, 2, "a test's panic") };
        let error = on_own_thread("own", panics).await.unwrap_err();
        assert_eq!(error.to_string(), "the thread own broke off");
    }
}

//! How the process is asked to stop, and how long it may take.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit status of a process that was told twice.
const TOLD_TWICE: i32 = 130;

/// Something did not end in time, and was given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} did not end within {}", seconds(.within))]
pub struct DeadlineMissed {
    pub what: &'static str,
    pub within: Duration,
}

/// A token that the first SIGTERM or SIGINT cancels. The second one ends the process at once with status 130. Must be
/// called within the runtime; fails where the system lets no handler be installed.
pub fn token() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let signals = Signals::install()?;
    tokio::spawn(watch(signals, token.clone(), |status| std::process::exit(status)));
    Ok(token)
}

/// Waits for `work` until the deadline, then drops it.
pub async fn with_deadline<T>(
    work: impl Future<Output = T>,
    within: Duration,
    what: &'static str,
) -> Result<T, DeadlineMissed> {
    tokio::time::timeout(within, work).await.map_err(|_| DeadlineMissed { what, within })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

async fn watch<E>(mut signals: Signals, token: CancellationToken, exit: impl FnOnce(i32) -> E) -> E {
    let signal = signals.next().await;
    tracing::info!(signal, "stopping: what is in hand is finished first");
    token.cancel();
    let signal = signals.next().await;
    tracing::warn!(signal, "told twice: stopping at once, what is in hand is left for the next start");
    exit(TOLD_TWICE)
}

fn seconds(span: &Duration) -> String {
    format!("{} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// Sends a real signal to this process, whose handlers are installed.
    fn tell_this_process(signal: &str) {
        let id = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    #[tokio::test]
    async fn the_first_signal_cancels_and_the_second_ends_the_process() {
        for (first, second) in [("TERM", "INT"), ("INT", "TERM"), ("TERM", "TERM")] {
            let token = CancellationToken::new();
            let watching = tokio::spawn(watch(Signals::install().unwrap(), token.clone(), |status| status));
            assert!(!token.is_cancelled());
            tell_this_process(first);
            tokio::time::timeout(LONG, token.cancelled()).await.unwrap();
            assert!(!watching.is_finished());
            tell_this_process(second);
            assert_eq!(tokio::time::timeout(LONG, watching).await.unwrap().unwrap(), 130);
        }
    }

    #[tokio::test]
    async fn what_ends_in_time_is_given_back_and_what_does_not_is_named() {
        assert_eq!(with_deadline(async { 7 }, LONG, "the drain").await, Ok(7));
        let missed = with_deadline(std::future::pending::<()>(), Duration::from_millis(20), "the drain").await;
        assert_eq!(missed.unwrap_err().to_string(), "the drain did not end within 0.02 s");
    }
}

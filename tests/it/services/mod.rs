//! The real Kafka and the real Redis that the tests run against, the built binary, and how to wait for any of them.
//!
//! Both services start on first use and are shared by all tests of the process; a test that must kill or restart one
//! starts its own. `STEPUP_TEST_KAFKA` (brokers) and `STEPUP_TEST_REDIS` (a URL) name running ones to use instead.

mod child;
mod kafka;
mod process;
mod redis;
mod tls;
mod topics;

use std::net::TcpListener;
use std::time::{Duration, Instant};

pub use self::child::{Child, directory};
pub use self::kafka::{Broker, Layout, Secure, kafka};
pub use self::process::StepupProcess;
pub use self::redis::{RedisServer, redis_url};
pub use self::tls::{Authority, Identity, TlsFront, Valid};
pub use self::topics::{
    Record, add_partitions, create_topic, create_topic_with, delete_records, delete_topic, passes, produce,
    produce_in_transactions, produce_to, read_all,
};

/// Long enough for a JVM to start on a busy machine with two cores.
pub const STARTUP: Duration = Duration::from_secs(120);

/// A name that no other test, and no other run against the same services, uses.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", rand::random::<u64>())
}

/// Waits until `condition` holds, and panics with `what` where it does not within `deadline`.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(deadline, what, || if condition() { Ok(()) } else { Err("the condition does not hold".to_owned()) });
}

/// Waits until `attempt` gives a value, and panics with `what` and the last attempt's reason where it gives none within
/// `deadline`.
#[track_caller]
pub fn wait_for<T>(deadline: Duration, what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let begun = now();
    let mut attempts = 0_u32;
    loop {
        attempts += 1;
        match attempt() {
            Ok(value) => return value,
            Err(reason) if begun.elapsed() >= deadline => {
                panic!("waited {deadline:?} in vain until {what} ({attempts} attempts); the last: {reason}")
            }
            Err(_) => nap(),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "servers run on the real clock, whatever a test has paused")]
fn now() -> Instant {
    Instant::now()
}

/// The pause between two looks at something outside.
#[allow(clippy::disallowed_methods, reason = "a server gives no other sign of being ready than its answer")]
fn nap() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Runs a future to its end, from a plain thread as well as from within a runtime.
pub fn block_on<F>(future: F) -> F::Output
where
    F: Future + Send,
    F::Output: Send,
{
    let run =
        || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future);
    std::thread::scope(|scope| scope.spawn(run).join().expect("the future did not panic"))
}

/// A port of the loopback that is free now. It lies below the range that outgoing connections take theirs from, so that
/// a server that was killed finds it free again; another process may still take it first, so whoever uses it tries again.
pub fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(20_000..32_000)).take(1_000).find(free).expect("a free port")
}

/// An environment variable of the test run; an empty one counts as absent.
#[allow(clippy::disallowed_methods, reason = "the test run is told by its environment where its services are")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

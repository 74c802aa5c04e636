//! The role that delivers: commands in, verification sessions asked for, outcomes out.
//!
//! One loop owns every command at hand. Calls and everything else that waits run beside it as tasks; they take a command
//! and give it back with what came of it. Commands end out of order and are committed in order. A command that must wait
//! longer than a few seconds goes to the retries topic, so that one failing tenant blocks nobody and fills no memory.

use std::sync::Arc;

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::controls::Known;
use super::hold::Holder;
use crate::config::{Dispatch as Settings, Topics};
use crate::domain::command::Command;
use crate::domain::delivery::{Attempts, RetryPolicy};
use crate::domain::ids::TenantId;
use crate::domain::time::Timestamp;
use crate::edge::kafka::consumer::Progress;
use crate::edge::kafka::producer::Sink;
use crate::edge::kafka::records::{Batch, Position};
use crate::edge::outcomes::Outcomes;
use crate::edge::sessions::Sessions;
use crate::metrics::Metrics;
use crate::traces::Traces;

mod admit;
mod call;
mod ending;
mod host;
mod lanes;
mod park;
mod paused;
mod spans;
mod work;

pub use spans::Route;
pub use work::MOST_AT_HAND;
use work::Work;

/// The edges of the role, and what it goes by.
pub struct Dispatch<O, X, K> {
    pub outcomes: O,
    pub sessions: X,
    pub sink: K,
    pub settings: Settings,
    pub policy: RetryPolicy,
    pub topics: Topics,
    /// Where the service sends people and answers to, where it is told so.
    pub redirect_url: Option<String>,
    pub callback_url: Option<String>,
    /// Is told of every tenant whose preferences the service contradicts.
    pub on_contradiction: Arc<dyn Fn(&TenantId) + Send + Sync>,
    /// Which commands wait until somebody lets them go on.
    pub controls: Known,
    pub metrics: Metrics,
    pub holder: Holder,
    pub traces: Traces,
    /// How the session API is called in spans.
    pub route: Route,
}

/// A command at hand.
#[derive(Debug)]
struct Job {
    command: Command,
    /// The record as it came, for the retries topic and the dead letters.
    key: Option<Vec<u8>>,
    payload: Vec<u8>,
    position: Position,
    attempts: Attempts,
    /// Not to be called before this, where it waits.
    due: Option<Timestamp>,
    /// Further records of the same command: they end as this one does.
    folded: Vec<Position>,
    /// Its span, where its record has a trace context.
    span: Option<Box<spans::Open>>,
}

impl Job {
    fn positions(&self) -> impl Iterator<Item = &Position> {
        std::iter::once(&self.position).chain(&self.folded)
    }
}

impl<O, X, K> Dispatch<O, X, K>
where
    O: Outcomes + 'static,
    X: Sessions + 'static,
    K: Sink + 'static,
{
    /// Works until `stop` is cancelled, then finishes the calls under way. `commands` and `retries` are the two lanes of
    /// the input.
    pub async fn run(
        self,
        commands: Receiver<Batch>,
        retries: Receiver<Batch>,
        progress: Progress,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        Work::new(Arc::new(self), [commands, retries], progress).run(stop).await
    }
}

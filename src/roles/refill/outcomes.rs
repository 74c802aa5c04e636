//! Outcomes, from the topic on which they were published.

use anyhow::Context as _;
use futures_util::{TryStreamExt as _, stream};

use super::reading::{committed, payloads};
use super::{Course, Fill};
use crate::edge::clock;
use crate::edge::kafka::Connection;
use crate::edge::outcomes::{KEPT_FOR, Outcomes};
use crate::wire::outcome;

/// So many are fixed side by side.
const AT_ONCE: usize = 128;

/// Fixes again what was published within the time that outcomes are kept.
pub struct FixedOutcomes<S> {
    pub store: S,
    pub connection: Connection,
    /// The group that delivers, and what it delivers.
    pub group: String,
    pub commands: String,
    pub outcomes: String,
}

impl<S: Outcomes> Fill for FixedOutcomes<S> {
    async fn fill(&self, course: &Course<'_>) -> anyhow::Result<u64> {
        let done = committed(&self.connection, &self.group, &self.commands).await?;
        course.settle(done.values().any(|position| *position > 0)).await?;
        let since = clock::now().minus(KEPT_FOR);
        let mut steps = payloads(self.connection.clone(), self.outcomes.clone(), since, None);
        let mut records = 0;
        while let Some(step) = steps.recv().await {
            let step = step?;
            records += step.len() as u64;
            let fixed = step.iter().filter_map(|(_, record)| Some((outcome::decode(record).ok()?.command, record)));
            let fixing = stream::iter(fixed.map(Ok)).try_for_each_concurrent(AT_ONCE, |(command, record)| async move {
                self.store.fix(command, record).await.map(drop)
            });
            fixing.await.context("redis")?;
            course.goes_on(records).await?;
        }
        Ok(records)
    }
}

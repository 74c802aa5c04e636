//! A store that is filled before it is asked, where it has to be.

use super::{Kept, Unfilled};
use crate::domain::claim::ClaimAnswer;
use crate::domain::ids::{CommandId, TenantId};
use crate::domain::time::Timestamp;
use crate::edge::claims::{Ask, Claims};
use crate::edge::marks::{Marks, Part};
use crate::edge::outcomes::{EarlierAttempt, Outcomes};
use crate::edge::quotas::{Places, Quotas};
use crate::edge::windows::{Compaction, CustomerBets, Logs, Windows};
use crate::edge::{Scope, Scoped, StoreError};

/// Asks a store only while it is whole.
#[derive(Clone)]
pub struct Filled<S> {
    store: S,
    kept: Kept,
}

impl<S: Marks> Filled<S> {
    pub fn new(store: &S, part: Part, kept: &Kept) -> Self {
        Self { store: store.watched(part, kept.watch()), kept: kept.clone() }
    }
}

impl<S> Filled<S> {
    async fn whole(&self, action: &'static str) -> Result<&S, StoreError> {
        match self.kept.ensure().await {
            Ok(_) => Ok(&self.store),
            Err(Unfilled::Store(error)) => Err(error),
            Err(unfilled) => Err(StoreError::Unavailable { action, source: Box::new(unfilled) }),
        }
    }
}

impl<S: Scoped> Scoped for Filled<S> {
    fn scoped(&self, scope: Scope) -> Self {
        Self { store: self.store.scoped(scope), kept: self.kept.clone() }
    }

    fn beside(&self) -> Self {
        Self { store: self.store.beside(), kept: self.kept.clone() }
    }
}

impl<S: Windows> Windows for Filled<S> {
    async fn record(&self, batch: &[CustomerBets], compactions: &[Compaction]) -> Result<Logs, StoreError> {
        self.whole("record bets in their windows").await?.record(batch, compactions).await
    }
}

impl<S: Claims> Claims for Filled<S> {
    async fn settle(&self, asks: &[Ask]) -> Result<Vec<ClaimAnswer>, StoreError> {
        self.whole("settle claims").await?.settle(asks).await
    }
}

impl<S: Quotas> Quotas for Filled<S> {
    async fn count(&self, places: &[Places]) -> Result<Vec<i64>, StoreError> {
        self.whole("count sessions").await?.count(places).await
    }
}

impl<S: Outcomes> Outcomes for Filled<S> {
    async fn fixed(&self, commands: &[CommandId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.whole("read fixed outcomes").await?.fixed(commands).await
    }

    async fn fix(&self, command: CommandId, record: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.whole("fix an outcome").await?.fix(command, record).await
    }

    async fn fix_all(&self, records: &[(CommandId, Vec<u8>)]) -> Result<Vec<Vec<u8>>, StoreError> {
        self.whole("fix outcomes").await?.fix_all(records).await
    }

    async fn begin_attempt(&self, command: CommandId, number: u32, mark: u64) -> Result<EarlierAttempt, StoreError> {
        self.whole("note an attempt").await?.begin_attempt(command, number, mark).await
    }

    async fn forget_attempt(&self, command: CommandId, number: u32) -> Result<(), StoreError> {
        self.whole("forget an attempt").await?.forget_attempt(command, number).await
    }

    async fn doubt(&self, tenant: &TenantId, at: Timestamp) -> Result<(), StoreError> {
        self.store.doubt(tenant, at).await
    }

    async fn doubts(&self, after: Timestamp) -> Result<Vec<(TenantId, Timestamp)>, StoreError> {
        self.store.doubts(after).await
    }
}

//! The places that are taken in a minute, in memory.

use super::store::MemoryStore;
use crate::edge::StoreError;
use crate::edge::quotas::{KEPT_FOR, Places, Quotas};

impl Quotas for MemoryStore {
    async fn count(&self, places: &[Places]) -> Result<Vec<i64>, StoreError> {
        let mut state = self.lock();
        let mut count = |places: &Places| {
            let count = state.sessions.get_or_insert((places.tenant.clone(), places.minute), KEPT_FOR, || 0);
            *count += places.number;
            *count
        };
        Ok(places.iter().map(&mut count).collect())
    }
}

//! The marks of a store that lives as long as its process: it is whole as long as it is there.

use std::num::NonZeroU64;

use super::store::MemoryStore;
use crate::domain::trigger::Trigger;
use crate::edge::StoreError;
use crate::edge::marks::{Era, Marked, Marks, Part, Watch};

impl Marks for MemoryStore {
    fn watched(&self, _part: Part, _watch: &Watch) -> Self {
        self.clone()
    }

    async fn marked(&self, _part: Part) -> Result<Marked, StoreError> {
        Ok(Marked::Whole(Era(NonZeroU64::MIN)))
    }

    async fn begin_filling(&self, _part: Part, _number: Era) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn go_on_filling(&self, _part: Part, _number: Era) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn end_filling(&self, _part: Part, _number: Era) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn clear_windows(&self, _customers: &[u128]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn clear_claims(&self, _customers: &[(u128, Trigger)]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn prolong(&self, _part: Part) -> Result<(), StoreError> {
        Ok(())
    }
}

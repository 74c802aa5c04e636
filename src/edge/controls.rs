//! The controls, where every replica finds them.

use std::future::Future;

use super::StoreError;
use crate::domain::control::Control;

/// What is stored of controls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Those that are on, and those that were switched off lately.
    pub controls: Vec<Control>,
    /// Entries that this version cannot read.
    pub unreadable: usize,
}

/// What became of a control that was to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Set,
    /// A later one stands.
    Outdated,
    /// As many are kept as may be.
    NoRoom,
}

/// Where controls are set and read.
pub trait Switchboard: Send + Sync {
    /// Every control that is stored. One round trip.
    fn standing(&self) -> impl Future<Output = Result<Standing, StoreError>> + Send;

    /// Sets each control unless a later one stands, by the rule of [`Control::outranks`]. Those of the same kind and
    /// target are one; setting it twice is setting it once. Where there is no room, what has been off for long is let go
    /// of. One round trip.
    fn set(&self, controls: &[Control]) -> impl Future<Output = Result<Vec<Written>, StoreError>> + Send;
}

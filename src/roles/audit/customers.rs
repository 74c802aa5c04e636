//! What is kept of each customer while the events are decided again.

use std::collections::HashMap;

use super::names::At;
use crate::domain::claim::{Claim, ClaimAnswer, ClaimRequest, settle};
use crate::domain::decide::Mode;
use crate::domain::trigger::Trigger;
use crate::domain::window::Window;

/// One customer.
#[derive(Debug)]
pub(super) struct Customer {
    /// The partition of the first event that mattered.
    lane: u32,
    /// Whether one came through another partition.
    pub(super) is_spread: bool,
    /// The triggers that a command was required for, and those that one is there for: a bit for each.
    pub(super) required: u16,
    pub(super) commanded: u16,
    pub(super) window: Window,
    claims: Vec<((Trigger, bool), Vec<Claim>)>,
}

impl Customer {
    fn new(lane: u32) -> Self {
        let (window, claims) = (Window::default(), Vec::new());
        Self { lane, is_spread: false, required: 0, commanded: 0, window, claims }
    }

    /// Asks the claims of one trigger, as the live role does.
    pub(super) fn ask(&mut self, trigger: Trigger, mode: Mode, request: &ClaimRequest) -> ClaimAnswer {
        settle(self.claims(trigger, mode), request)
    }

    /// Takes a claim that live has taken, whatever the claims here say.
    pub(super) fn take(&mut self, trigger: Trigger, mode: Mode, request: &ClaimRequest) {
        let claims = self.claims(trigger, mode);
        if claims.iter().any(|claim| claim.event == request.claim.event) {
            return;
        }
        let oldest = request.claim.at.minus(request.retention);
        claims.retain(|claim| claim.at > oldest);
        let place = claims.partition_point(|claim| claim.at <= request.claim.at);
        claims.insert(place, request.claim);
    }

    fn claims(&mut self, trigger: Trigger, mode: Mode) -> &mut Vec<Claim> {
        let name = (trigger, mode == Mode::Shadow);
        let place = self.claims.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.claims.push((name, Vec::new()));
            self.claims.len() - 1
        });
        &mut self.claims[place].1
    }
}

/// The bit of a trigger.
pub(super) fn bit(trigger: Trigger) -> u16 {
    1 << (trigger as u16)
}

/// Every customer of whom an event came near to a command, by the hash that stands for them in the live store.
#[derive(Debug, Default)]
pub(super) struct Customers(HashMap<u128, Customer>);

impl Customers {
    /// The customer of an event.
    pub(super) fn of(&mut self, key: u128, at: At) -> &mut Customer {
        let customer = self.0.entry(key).or_insert_with(|| Customer::new(at.lane));
        customer.is_spread |= customer.lane != at.lane;
        customer
    }

    pub(super) fn get(&self, key: u128) -> Option<&Customer> {
        self.0.get(&key)
    }

    pub(super) fn spread(&self) -> u64 {
        self.0.values().filter(|customer| customer.is_spread).count() as u64
    }
}

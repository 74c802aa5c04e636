//! Which fault meets a call, by chance that a seed fixes.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::domain::ids::TenantId;
use crate::wire::faults::{Endpoint, Fault, FaultKind};

/// The faults in force.
pub(super) struct Faults {
    chance: ChaCha8Rng,
    list: Vec<Fault>,
}

/// What is to happen to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Met {
    pub(super) delay: Duration,
    pub(super) spoilt: Option<Spoilt>,
}

/// How a call's answer is spoilt, and whether the call is carried out before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spoilt {
    pub(super) carried_out: bool,
    pub(super) answer: SpoiltAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpoiltAnswer {
    Status { code: u16, retry_after: Option<u64> },
    Cut,
    Hang,
    Garbage,
}

impl Met {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Faults {
    pub(super) fn new(seed: u64, list: Vec<Fault>) -> Self {
        Self { chance: ChaCha8Rng::seed_from_u64(seed), list }
    }

    pub(super) fn set(&mut self, list: Vec<Fault>) {
        self.list = list;
    }

    /// The faults in force, each with the number of calls that it may still meet.
    pub(super) fn list(&self) -> &[Fault] {
        &self.list
    }

    /// Draws what meets the tenant's call: delays add up, and of the rest the first counts.
    pub(super) fn draw(&mut self, tenant: &TenantId, endpoint: Endpoint) -> Met {
        let mut met = Met::default();
        for fault in &mut self.list {
            let meant = fault.on == endpoint && fault.tenant.as_deref().is_none_or(|only| only == tenant.as_str());
            if !meant || fault.count == Some(0) || !self.chance.random_bool(fault.rate.clamp(0.0, 1.0)) {
                continue;
            }
            if let Some(left) = &mut fault.count {
                *left -= 1;
            }
            let Some(answer) = answer(fault) else {
                met.delay += Duration::from_millis(fault.delay_ms.unwrap_or(0));
                continue;
            };
            let carried_out = match fault.kind {
                FaultKind::CutAfter => true,
                FaultKind::CutBefore => false,
                FaultKind::Status | FaultKind::Delay | FaultKind::Hang | FaultKind::Garbage => fault.carried_out,
            };
            met.spoilt = Some(Spoilt { carried_out, answer });
            break;
        }
        met
    }
}

fn answer(fault: &Fault) -> Option<SpoiltAnswer> {
    match fault.kind {
        FaultKind::Delay => None,
        FaultKind::Status => {
            Some(SpoiltAnswer::Status { code: fault.status.unwrap_or(503), retry_after: fault.retry_after })
        }
        FaultKind::CutBefore | FaultKind::CutAfter => Some(SpoiltAnswer::Cut),
        FaultKind::Hang => Some(SpoiltAnswer::Hang),
        FaultKind::Garbage => Some(SpoiltAnswer::Garbage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::faults::fault_of_flag;

    fn faults(seed: u64, flags: &[&str]) -> Faults {
        Faults::new(seed, flags.iter().map(|flag| fault_of_flag(flag).unwrap()).collect())
    }

    fn draws(faults: &mut Faults, tenant: &str, number: usize) -> Vec<Met> {
        let tenant = TenantId::new(tenant).unwrap();
        (0..number).map(|_| faults.draw(&tenant, Endpoint::Session)).collect()
    }

    #[test]
    fn a_fault_meets_its_tenant_as_often_as_it_may_and_the_next_one_then() {
        let mut list = faults(0, &["kind=hang,tenant=a,count=2", "kind=delay,delay_ms=5", "kind=cut_after,rate=1"]);
        let delay = Duration::from_millis(5);
        let hang =
            Met { delay: Duration::ZERO, spoilt: Some(Spoilt { carried_out: false, answer: SpoiltAnswer::Hang }) };
        let cut = Met { delay, spoilt: Some(Spoilt { carried_out: true, answer: SpoiltAnswer::Cut }) };
        assert_eq!(draws(&mut list, "b", 1), [cut]);
        assert_eq!(draws(&mut list, "a", 3), [hang, hang, cut]);
        let tenant = TenantId::new("a").unwrap();
        assert!(list.draw(&tenant, Endpoint::Preferences).is_nothing());
    }

    #[test]
    fn the_seed_fixes_the_chance_and_the_rate_is_kept() {
        let run = |seed| draws(&mut faults(seed, &["kind=status,rate=0.25"]), "a", 4_000);
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let met = run(7).iter().filter(|met| !met.is_nothing()).count();
        assert!((850..1_150).contains(&met), "{met} of 4000 at a rate of 0.25");
    }
}

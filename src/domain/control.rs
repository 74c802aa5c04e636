//! What operators and guard rails switch while the processors run: commands that wait, triggers that ask nobody.
//!
//! A control that was switched off stays known for a while. So whoever finds one missing in a store knows that the store
//! was emptied, and not that somebody switched it off.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::ids::TenantId;
use super::time::Timestamp;
use super::trigger::Trigger;

/// A control that is off is forgotten after so long.
pub const OFF_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// The most characters of a reason that are kept.
pub const LONGEST_REASON: usize = 200;

/// What a control does while it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Commands are not delivered: they wait until they expire.
    Pause,
    /// Triggers are decided and counted, and ask nobody.
    Shadow,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Pause, Self::Shadow];

    /// The name on the wire and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Shadow => "shadow",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The most controls of all kinds beside which one of this kind still finds a place. What machines set leaves room
    /// for what people must be able to.
    pub fn most(self) -> usize {
        match self {
            Self::Pause => 1_000,
            Self::Shadow => 900,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a control is for. What is not named is not bounded: without both it is everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    pub tenant: Option<TenantId>,
    pub trigger: Option<Trigger>,
}

impl Target {
    pub const EVERYTHING: Self = Self { tenant: None, trigger: None };

    /// Whether a tenant's trigger is within it.
    pub fn covers(&self, tenant: &TenantId, trigger: Trigger) -> bool {
        self.tenant.as_ref().is_none_or(|own| own == tenant) && self.trigger.is_none_or(|own| own == trigger)
    }

    /// Whether all of `other` is within it.
    pub fn holds(&self, other: &Self) -> bool {
        let tenant = self.tenant.is_none() || self.tenant == other.tenant;
        tenant && (self.trigger.is_none() || self.trigger == other.trigger)
    }
}

impl fmt::Display for Target {
    /// In words that can follow "paused:", as in `trigger deposit of tenant acme`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.tenant, self.trigger) {
            (None, None) => f.write_str("everything"),
            (Some(tenant), None) => write!(f, "tenant {tenant}"),
            (None, Some(trigger)) => write!(f, "trigger {trigger} of every tenant"),
            (Some(tenant), Some(trigger)) => write!(f, "trigger {trigger} of tenant {tenant}"),
        }
    }
}

/// How a control stands. Of two that were set at the same time the later one of this list counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    Off,
    /// On, and somebody should look at it.
    On,
    /// On, and accepted so.
    Kept,
}

impl State {
    pub const ALL: [Self; 3] = [Self::Off, Self::On, Self::Kept];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Kept => "kept",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    pub fn is_on(self) -> bool {
        self != Self::Off
    }
}

/// Why a control was set, in one line of at most [`LONGEST_REASON`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Reason(String);

impl Reason {
    /// The text without control characters, cut where it is too long.
    pub fn of(text: &str) -> Self {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let kept: String = text.trim().chars().take(LONGEST_REASON).map(clean).collect();
        Self(kept.trim().to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One switch, as it was set last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    pub kind: Kind,
    pub target: Target,
    pub state: State,
    pub at: Timestamp,
    pub reason: Reason,
}

impl Control {
    /// Whether it counts in place of `other`, which is of the same kind and target.
    pub fn outranks(&self, other: &Self) -> bool {
        (self.at, self.state) > (other.at, other.state)
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = if self.state == State::Kept { ", kept" } else { "" };
        write!(f, "{}: {}, since {}{kept}", self.kind, self.target, self.at)?;
        if self.reason.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.reason.0) }
    }
}

/// Every control that is known, one of a kind and target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Controls(BTreeMap<(Kind, Target), Control>);

impl Controls {
    pub fn of(controls: impl IntoIterator<Item = Control>) -> Self {
        let mut all = Self::default();
        for control in controls {
            all.learn(control);
        }
        all
    }

    /// Takes a control in, unless a later one is known. Tells whether it counts now and did not before.
    pub fn learn(&mut self, control: Control) -> bool {
        let name = (control.kind, control.target.clone());
        if self.0.get(&name).is_some_and(|known| !control.outranks(known)) {
            return false;
        }
        self.0.insert(name, control);
        true
    }

    /// Forgets what has been off since before `oldest`.
    pub fn forget(&mut self, oldest: Timestamp) {
        self.0.retain(|_, control| control.state.is_on() || control.at >= oldest);
    }

    /// What `others` do not know, or not as it was set last.
    pub fn unknown_to<'a>(&'a self, others: &'a Self) -> impl Iterator<Item = &'a Control> {
        self.0
            .iter()
            .filter(|(name, own)| others.0.get(*name).is_none_or(|theirs| own.outranks(theirs)))
            .map(|own| own.1)
    }

    /// What is on, kind by kind.
    pub fn active(&self) -> impl Iterator<Item = &Control> {
        self.0.values().filter(|control| control.state.is_on())
    }

    /// How a control of exactly this target was set last.
    pub fn get(&self, kind: Kind, target: &Target) -> Option<&Control> {
        self.0.get(&(kind, target.clone()))
    }

    /// What is on and reaches the tenant's trigger, if anything does.
    pub fn reaching(&self, kind: Kind, tenant: &TenantId, trigger: Trigger) -> Option<&Control> {
        if self.0.is_empty() {
            return None;
        }
        let own = Some(tenant.clone());
        let targets = [(None, None), (own.clone(), None), (None, Some(trigger)), (own, Some(trigger))];
        let find = |(tenant, trigger)| self.get(kind, &Target { tenant, trigger });
        targets.into_iter().filter_map(find).find(|control| control.state.is_on())
    }

    /// Whether commands of the tenant's trigger wait.
    pub fn is_paused(&self, tenant: &TenantId, trigger: Trigger) -> bool {
        self.reaching(Kind::Pause, tenant, trigger).is_some()
    }

    /// Whether the tenant's trigger asks nobody.
    pub fn is_shadowed(&self, tenant: &TenantId, trigger: Trigger) -> bool {
        self.reaching(Kind::Shadow, tenant, trigger).is_some()
    }

    /// When a control of this target is to be set so that it counts, whatever clocks were set by before.
    pub fn time_for(&self, kind: Kind, target: &Target, now: Timestamp) -> Timestamp {
        let after = |known: &Control| known.at.plus(Duration::from_millis(1));
        self.get(kind, target).map_or(now, |known| now.max(after(known)))
    }

    /// How many are known, on or off.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;

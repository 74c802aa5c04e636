//! Synthetic customers: some are busy and most are not, some bet in bursts, and now and then a sender is late, repeats
//! itself or writes nonsense. The same seed gives the same customers and the same deeds.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal, Zipf};

use crate::domain::time::Timestamp;
use crate::domain::trigger::ActivityType;

/// Who takes part, and how well the senders behave. Shares are of all events, 0 to 1.
#[derive(Debug, Clone)]
pub struct Cast {
    /// They are called `tenant-0`, `tenant-1`, ….
    pub tenants: u32,
    pub customers_per_tenant: u32,
    /// Stands behind every customer's name, so that a run can have customers without a past.
    pub customers_of: String,
    /// Zipf's exponent: 0 makes all customers equally busy, 1 the second half as busy as the first.
    pub skew: f64,
    /// What customers do, each with its weight.
    pub mix: Vec<(ActivityType, f64)>,
    /// Begins a burst of bets by one customer.
    pub burst_share: f64,
    /// Sent a second time under the same id, a few events later.
    pub repeated_share: f64,
    /// Not an event at all, or one that breaks a rule.
    pub malformed_share: f64,
    /// Happened up to `late_by` before it is sent.
    pub late_share: f64,
    pub late_by: Duration,
    /// Sent a few events after its turn.
    pub out_of_order_share: f64,
    pub seed: u64,
}

impl Default for Cast {
    /// One tenant of people who behave.
    fn default() -> Self {
        Self {
            tenants: 1,
            customers_per_tenant: 1_000,
            customers_of: String::new(),
            skew: 1.0,
            mix: MIX.to_vec(),
            burst_share: 0.0,
            repeated_share: 0.0,
            malformed_share: 0.0,
            late_share: 0.0,
            late_by: Duration::from_secs(120),
            out_of_order_share: 0.0,
            seed: 1,
        }
    }
}

/// What customers do, and how often in a thousand.
pub const MIX: [(ActivityType, f64); 10] = [
    (ActivityType::Bet, 834.0),
    (ActivityType::Login, 60.0),
    (ActivityType::Deposit, 50.0),
    (ActivityType::Withdrawal, 30.0),
    (ActivityType::NewDeviceOrLocation, 8.0),
    (ActivityType::PasswordChange, 6.0),
    (ActivityType::PaymentMethodChange, 4.0),
    (ActivityType::PhoneNumberChange, 3.0),
    (ActivityType::AccountBalanceTransfer, 3.0),
    (ActivityType::TwoFactorAuthChange, 2.0),
];

/// One record to be produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    pub key: String,
    pub payload: String,
    pub nature: Nature,
}

/// What a record is meant to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nature {
    Event {
        tenant: String,
        id: String,
    },
    /// An event that was sent before.
    Repeat,
    /// What cannot be processed.
    Malformed,
}

/// An endless source of deeds.
pub struct Synthetic {
    cast: Cast,
    chance: ChaCha8Rng,
    popularity: Zipf<f64>,
    stakes: LogNormal<f64>,
    /// The kinds of the mix, each with the sum of the shares up to it.
    kinds: Vec<(ActivityType, f64)>,
    /// Makes ids of this run its own.
    run: String,
    number: u64,
    /// Customers in the middle of a burst, with the bets that are still to come.
    bursts: VecDeque<(u32, u32, u32)>,
    /// What was done lately and may be sent again.
    recent: VecDeque<Deed>,
    /// Deeds that wait until others have gone before them.
    held: VecDeque<(Deed, u32)>,
}

/// A repeat is of one of so many deeds before it.
const RECENT: usize = 16;

impl Synthetic {
    /// `run` becomes a part of every event's id. `None` where the cast has no customers, or nothing to do.
    pub fn new(cast: Cast, run: &str) -> Option<Self> {
        let all: f64 = cast.mix.iter().map(|(_, weight)| weight).sum();
        if !all.is_finite() || all <= 0.0 || cast.mix.iter().any(|(_, weight)| *weight < 0.0) {
            return None;
        }
        let mut sum = 0.0;
        let summed = |(kind, weight): &(ActivityType, f64)| {
            sum += weight / all;
            (*kind, sum)
        };
        Some(Self {
            chance: ChaCha8Rng::seed_from_u64(cast.seed),
            popularity: Zipf::new(f64::from(cast.customers_per_tenant), cast.skew).ok()?,
            stakes: LogNormal::new(1.8, 1.4).ok()?,
            kinds: cast.mix.iter().map(summed).collect(),
            run: run.to_owned(),
            number: 0,
            bursts: VecDeque::new(),
            recent: VecDeque::with_capacity(RECENT),
            held: VecDeque::new(),
            cast,
        })
    }

    /// What happens next, at `now`.
    pub fn next(&mut self, now: Timestamp) -> Deed {
        if let Some(due) = self.due() {
            return due;
        }
        if self.happens(self.cast.malformed_share) {
            return self.malformed(now);
        }
        if self.happens(self.cast.repeated_share) && !self.recent.is_empty() {
            let place = self.chance.random_range(0..self.recent.len());
            return Deed { nature: Nature::Repeat, ..self.recent[place].clone() };
        }
        let mut deed = self.event(now);
        if self.happens(self.cast.out_of_order_share) {
            self.held.push_back((deed, self.chance.random_range(1..=16)));
            deed = self.event(now);
        }
        if self.cast.repeated_share > 0.0 {
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(deed.clone());
        }
        deed
    }

    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.chance.random_bool(share.min(1.0))
    }

    /// A deed that was held back long enough. Each turn brings all of them nearer.
    fn due(&mut self) -> Option<Deed> {
        for (_, turns) in &mut self.held {
            *turns = turns.saturating_sub(1);
        }
        let place = self.held.iter().position(|(_, turns)| *turns == 0)?;
        self.held.remove(place).map(|(deed, _)| deed)
    }

    fn event(&mut self, now: Timestamp) -> Deed {
        // Bursts and the ordinary course of things take turns.
        if !self.bursts.is_empty()
            && self.chance.random_bool(0.5)
            && let Some((tenant, customer, left)) = self.bursts.pop_front()
        {
            if left > 1 {
                self.bursts.push_back((tenant, customer, left - 1));
            }
            return self.write(tenant, customer, ActivityType::Bet, now);
        }
        let (tenant, customer) = self.somebody();
        if self.happens(self.cast.burst_share) {
            let bets = self.chance.random_range(8..=16);
            self.bursts.push_back((tenant, customer, bets));
        }
        let lot: f64 = self.chance.random();
        let kind = self.kinds.iter().find(|(_, up_to)| lot < *up_to).or(self.kinds.last());
        let kind = kind.map_or(ActivityType::Bet, |(kind, _)| *kind);
        self.write(tenant, customer, kind, now)
    }

    fn somebody(&mut self) -> (u32, u32) {
        let tenant = self.chance.random_range(0..self.cast.tenants.max(1));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank fits, and is at least 1")]
        let customer = self.popularity.sample(&mut self.chance) as u32;
        (tenant, customer)
    }

    fn write(&mut self, tenant: u32, customer: u32, kind: ActivityType, now: Timestamp) -> Deed {
        self.number += 1;
        let late = if self.happens(self.cast.late_share) {
            self.cast.late_by.mul_f64(self.chance.random())
        } else {
            Duration::ZERO
        };
        let at = now.minus(late);
        let amount = if kind.needs_amount() {
            let scale = if kind == ActivityType::Bet { 1.0 } else { 20.0 };
            #[allow(clippy::cast_possible_truncation, reason = "a stake of cents is far within range")]
            let cents = (self.stakes.sample(&mut self.chance) * scale * 100.0).min(1e9) as i64;
            format!(r#","amount":"{}.{:02}","currency":"USD""#, cents / 100, cents % 100)
        } else {
            String::new()
        };
        let (id, of) = (format!("{}-{}", self.run, self.number), &self.cast.customers_of);
        let payload = format!(
            r#"{{"id":"{id}","tenant_id":"tenant-{tenant}","customer_id":"customer-{customer}{of}","type":"{kind}","occurred_at":"{at}"{amount}}}"#
        );
        let key = format!("tenant-{tenant}/customer-{customer}{of}");
        Deed { key, payload, nature: Nature::Event { tenant: format!("tenant-{tenant}"), id } }
    }

    /// Three ways to be wrong: no JSON, a field that is missing, and a time that is none.
    fn malformed(&mut self, now: Timestamp) -> Deed {
        let payload = match self.chance.random_range(0..3) {
            0 => r#"{"id":"broken","amount":"#.to_owned(),
            1 => format!(r#"{{"id":"broken","tenant_id":"tenant-0","type":"login","occurred_at":"{now}"}}"#),
            _ => r#"{"id":"broken","tenant_id":"tenant-0","customer_id":"nobody","type":"login","occurred_at":"noon"}"#
                .to_owned(),
        };
        Deed { key: "nobody".to_owned(), payload, nature: Nature::Malformed }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::domain::money::Rates;
    use crate::wire::event::{Decoded, decode};

    fn cast(seed: u64) -> Cast {
        Cast { tenants: 3, customers_per_tenant: 500, burst_share: 0.01, seed, ..Cast::default() }
    }

    fn deeds(cast: Cast) -> Vec<Deed> {
        let mut synthetic = Synthetic::new(cast, "run").unwrap();
        (0..5_000).map(|n| synthetic.next(Timestamp(1_000_000 + n))).collect()
    }

    fn event(deed: &Deed) -> Option<crate::domain::event::Event> {
        match decode(Some(deed.payload.as_bytes()), &Rates::default()) {
            Decoded::Event(event) => Some(event),
            _ => None,
        }
    }

    #[test]
    fn a_seed_gives_the_same_deeds_and_another_gives_others() {
        let wild = |seed| Cast {
            repeated_share: 0.05,
            malformed_share: 0.05,
            late_share: 0.05,
            out_of_order_share: 0.05,
            ..cast(seed)
        };
        assert_eq!(deeds(wild(1)), deeds(wild(1)));
        assert_ne!(deeds(wild(1)), deeds(wild(2)));
    }

    #[test]
    fn a_deed_says_what_it_is() {
        let mut ids = HashSet::new();
        let (mut repeated, mut malformed) = (0, 0);
        for deed in deeds(Cast { repeated_share: 0.01, malformed_share: 0.01, ..cast(7) }) {
            let event = event(&deed);
            match &deed.nature {
                Nature::Event { tenant, id } => {
                    let event = event.unwrap();
                    assert_eq!((event.tenant.as_str(), event.id.as_str()), (tenant.as_str(), id.as_str()));
                    assert_eq!(deed.key, format!("{tenant}/{}", event.customer));
                    assert!(ids.insert(event.id));
                }
                Nature::Repeat => {
                    assert!(ids.contains(&event.unwrap().id));
                    repeated += 1;
                }
                Nature::Malformed => {
                    assert_eq!(event, None, "{}", deed.payload);
                    malformed += 1;
                }
            }
        }
        assert!((20..90).contains(&malformed), "{malformed}");
        assert!((20..90).contains(&repeated), "{repeated}");
    }

    #[test]
    fn shares_of_late_and_out_of_order_are_kept_and_nothing_gets_lost() {
        let moved = |cast| {
            let deeds = deeds(cast);
            let events: Vec<_> = deeds.iter().map(|deed| event(deed).unwrap()).collect();
            let late = |(n, event): &(usize, &crate::domain::event::Event)| {
                event.occurred_at < Timestamp(1_000_000 + i64::try_from(*n).unwrap())
            };
            let ids: HashSet<_> = events.iter().map(|event| event.id.clone()).collect();
            assert_eq!(ids.len(), events.len());
            events.iter().enumerate().filter(late).count()
        };
        assert_eq!(moved(cast(3)), 0);
        let late = moved(Cast { late_share: 0.1, ..cast(3) });
        assert!((400..600).contains(&late), "{late}");
        let behind = moved(Cast { out_of_order_share: 0.1, ..cast(3) });
        assert!((350..600).contains(&behind), "{behind}");
    }

    #[test]
    fn the_mix_the_skew_and_the_names_are_as_asked() {
        let mix = vec![(ActivityType::Login, 1.0), (ActivityType::Deposit, 3.0)];
        let even = Cast { mix, burst_share: 0.0, skew: 0.0, customers_of: "-x".to_owned(), ..cast(5) };
        let mut kinds = BTreeMap::<_, usize>::new();
        let mut busiest = BTreeMap::<_, usize>::new();
        for deed in deeds(even) {
            *kinds.entry(event(&deed).unwrap().activity.kind()).or_default() += 1;
            assert!(deed.key.ends_with("-x"), "{}", deed.key);
            *busiest.entry(deed.key).or_default() += 1;
        }
        assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), [ActivityType::Login, ActivityType::Deposit]);
        assert!((1_150..1_350).contains(&kinds[&ActivityType::Login]), "{kinds:?}");
        assert!(*busiest.values().max().unwrap() < 20);
        let mut skewed = BTreeMap::<_, usize>::new();
        for deed in deeds(Cast { burst_share: 0.0, skew: 1.5, ..cast(5) }) {
            *skewed.entry(deed.key).or_default() += 1;
        }
        assert!(*skewed.values().max().unwrap() > 400);
    }

    #[test]
    fn a_cast_that_cannot_act_is_none() {
        for cast in [
            Cast { customers_per_tenant: 0, ..cast(1) },
            Cast { skew: -1.0, ..cast(1) },
            Cast { mix: vec![], ..cast(1) },
            Cast { mix: vec![(ActivityType::Bet, 0.0)], ..cast(1) },
        ] {
            assert!(Synthetic::new(cast, "run").is_none());
        }
    }
}

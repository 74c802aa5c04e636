//! Synthetic customers: some are busy and most are not, some bet in bursts, and now and then a sender repeats itself or
//! writes nonsense. The same seed gives the same customers and the same deeds.

use std::collections::VecDeque;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal, Zipf};

use crate::domain::time::Timestamp;

/// Who takes part, and how well the senders behave. Shares are of all events, 0 to 1.
#[derive(Debug, Clone)]
pub struct Cast {
    /// They are called `tenant-0`, `tenant-1`, ….
    pub tenants: u32,
    pub customers_per_tenant: u32,
    /// Begins a burst of bets by one customer.
    pub burst_share: f64,
    /// Sent a second time under the same id.
    pub repeated_share: f64,
    /// Not an event at all.
    pub malformed_share: f64,
    pub seed: u64,
}

/// One record to be produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    pub key: String,
    pub payload: String,
}

/// An endless source of deeds.
pub struct Synthetic {
    cast: Cast,
    chance: ChaCha8Rng,
    popularity: Zipf<f64>,
    stakes: LogNormal<f64>,
    /// Makes ids of this run its own.
    run: String,
    number: u64,
    /// Customers in the middle of a burst, with the bets that are still to come.
    bursts: VecDeque<(u32, u32, u32)>,
    last: Option<Deed>,
}

/// What customers do other than betting, and how often in a thousand.
const OTHER_DEEDS: [(&str, u32); 9] = [
    ("login", 60),
    ("deposit", 50),
    ("withdrawal", 30),
    ("new_device_or_location", 8),
    ("password_change", 6),
    ("payment_method_change", 4),
    ("phone_number_change", 3),
    ("account_balance_transfer", 3),
    ("two_factor_auth_change", 2),
];

impl Synthetic {
    /// `run` becomes a part of every event's id. `None` where the cast has no customers.
    pub fn new(cast: Cast, run: &str) -> Option<Self> {
        Some(Self {
            chance: ChaCha8Rng::seed_from_u64(cast.seed),
            popularity: Zipf::new(f64::from(cast.customers_per_tenant), 1.0).ok()?,
            stakes: LogNormal::new(1.8, 1.4).ok()?,
            run: run.to_owned(),
            number: 0,
            bursts: VecDeque::new(),
            last: None,
            cast,
        })
    }

    /// What happens next, at `now`.
    pub fn next(&mut self, now: Timestamp) -> Deed {
        if self.chance.random_bool(self.cast.malformed_share) {
            return Deed { key: "nobody".to_owned(), payload: "{\"id\":\"broken\",\"amount\":".to_owned() };
        }
        if let Some(last) = &self.last
            && self.chance.random_bool(self.cast.repeated_share)
        {
            return last.clone();
        }
        let deed = self.event(now);
        self.last = Some(deed.clone());
        deed
    }

    fn event(&mut self, now: Timestamp) -> Deed {
        // Bursts and the ordinary course of things take turns.
        if self.chance.random_bool(0.5)
            && let Some((tenant, customer, left)) = self.bursts.pop_front()
        {
            if left > 1 {
                self.bursts.push_back((tenant, customer, left - 1));
            }
            return self.write(tenant, customer, "bet", now);
        }
        let tenant = self.chance.random_range(0..self.cast.tenants.max(1));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank fits, and is at least 1")]
        let customer = self.popularity.sample(&mut self.chance) as u32;
        if self.chance.random_bool(self.cast.burst_share) {
            let bets = self.chance.random_range(8..=16);
            self.bursts.push_back((tenant, customer, bets));
        }
        let mut lot = self.chance.random_range(0..1_000);
        for (kind, share) in OTHER_DEEDS {
            if lot < share {
                return self.write(tenant, customer, kind, now);
            }
            lot -= share;
        }
        self.write(tenant, customer, "bet", now)
    }

    fn write(&mut self, tenant: u32, customer: u32, kind: &str, now: Timestamp) -> Deed {
        self.number += 1;
        let amount = match kind {
            "bet" | "deposit" | "withdrawal" => {
                let scale = if kind == "bet" { 1.0 } else { 20.0 };
                #[allow(clippy::cast_possible_truncation, reason = "a stake of cents is far within range")]
                let cents = (self.stakes.sample(&mut self.chance) * scale * 100.0).min(1e9) as i64;
                format!(r#","amount":"{}.{:02}","currency":"USD""#, cents / 100, cents % 100)
            }
            _ => String::new(),
        };
        let (id, run) = (self.number, &self.run);
        let payload = format!(
            r#"{{"id":"{run}-{id}","tenant_id":"tenant-{tenant}","customer_id":"customer-{customer}","type":"{kind}","occurred_at":"{now}"{amount}}}"#
        );
        Deed { key: format!("tenant-{tenant}/customer-{customer}"), payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Rates;
    use crate::wire::event::{Decoded, decode};

    fn cast(seed: u64) -> Cast {
        Cast {
            tenants: 3,
            customers_per_tenant: 500,
            burst_share: 0.01,
            repeated_share: 0.01,
            malformed_share: 0.01,
            seed,
        }
    }

    fn deeds(seed: u64) -> Vec<Deed> {
        let mut synthetic = Synthetic::new(cast(seed), "run").unwrap();
        (0..5_000).map(|n| synthetic.next(Timestamp(n))).collect()
    }

    #[test]
    fn a_seed_gives_the_same_deeds_and_another_gives_others() {
        assert_eq!(deeds(1), deeds(1));
        assert_ne!(deeds(1), deeds(2));
    }

    #[test]
    fn all_but_the_malformed_share_are_events_and_some_are_repeated() {
        let mut ids = std::collections::HashSet::new();
        let (mut repeated, mut malformed) = (0, 0);
        for deed in deeds(7) {
            match decode(Some(deed.payload.as_bytes()), &Rates::default()) {
                Decoded::Event(event) => repeated += u32::from(!ids.insert(event.id)),
                _ => malformed += 1,
            }
        }
        assert!((20..90).contains(&malformed), "{malformed}");
        assert!((20..90).contains(&repeated), "{repeated}");
    }
}

//! Whether calls that fail are the service's failure or one tenant's: those for whom it was well lately bear witness for it.
//! Pure: time comes in as an argument, since any moment that stays the same.

use std::time::Duration;

use super::circuit::Signal;
use super::ids::TenantId;

/// How long a call that went well tells that the service is there.
const LATELY: Duration = Duration::from_secs(30);
/// So many tenants are heard at the most; where so many fail with no call between that goes well, it is the service.
const MOST: usize = 8;

/// What the service was for its tenants lately.
#[derive(Debug, Default)]
pub struct Witnesses {
    /// The last tenants for whom it was well, and when.
    well: Vec<(TenantId, Duration)>,
    /// Those for whom it failed since then.
    failing: Vec<TenantId>,
}

impl Witnesses {
    /// What a call for this tenant tells of the service for all: a failure tells nothing as long as others, for whom it was
    /// well lately, have not failed since.
    pub fn hear(&mut self, tenant: &TenantId, signal: Signal, now: Duration) -> Signal {
        match signal {
            Signal::Well => self.is_well_for(tenant, now),
            Signal::Failing => {
                if !self.failing.contains(tenant) && self.failing.len() < MOST {
                    self.failing.push(tenant.clone());
                }
                if self.failing.len() < MOST && self.has_a_witness(now) {
                    return Signal::Unclear;
                }
            }
            Signal::Unclear | Signal::NotMade => {}
        }
        signal
    }

    fn has_a_witness(&self, now: Duration) -> bool {
        self.well.iter().any(|(tenant, at)| now.saturating_sub(*at) <= LATELY && !self.failing.contains(tenant))
    }

    fn is_well_for(&mut self, tenant: &TenantId, now: Duration) {
        self.failing.clear();
        if let Some((_, at)) = self.well.iter_mut().find(|(known, _)| known == tenant) {
            *at = now;
        } else if self.well.len() < MOST {
            self.well.push((tenant.clone(), now));
        } else if let Some(oldest) = self.well.iter_mut().min_by_key(|(_, at)| *at) {
            *oldest = (tenant.clone(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tenant+second` is a call that went well, `tenant-second` one that failed; tells what each is for the service: `w`,
    /// `f`, or `?` where it tells nothing.
    fn heard(words: &str) -> String {
        let mut witnesses = Witnesses::default();
        let hear = |word: &str| {
            let (name, second) = word.split_once(['+', '-']).unwrap();
            let signal = if word.contains('+') { Signal::Well } else { Signal::Failing };
            let now = Duration::from_secs(second.parse().unwrap());
            match witnesses.hear(&TenantId::new(name).unwrap(), signal, now) {
                Signal::Well => 'w',
                Signal::Failing => 'f',
                Signal::Unclear => '?',
                Signal::NotMade => '0',
            }
        };
        words.split_whitespace().map(hear).collect()
    }

    #[test]
    fn one_tenant_that_fails_tells_nothing_of_the_service_while_it_is_well_for_others() {
        for (words, want) in [
            ("a-0 a-0", "ff"),
            ("a+0 a-1 a-2", "wff"),
            ("good+0 slow-1 slow-1 slow-1 slow-9", "w????"),
            ("good+0 slow-30 slow-31", "w?f"),       // Long ago.
            ("good+0 slow-1 good-2 slow-3", "w?ff"), // It fails for both.
            ("good+0 slow-1 good-2 good+3 slow-4 good-5", "w?fw?f"),
            ("a+0 b+0 c+0 a-1 b-1 c-1 a-2", "www??ff"),
        ] {
            assert_eq!(heard(words), want, "{words}");
        }
    }

    #[test]
    fn where_many_fail_and_none_is_well_it_is_the_service() {
        let many: String = (0..10).map(|tenant| format!("t{tenant}-1 ")).collect();
        assert_eq!(heard(&format!("good+0 {many}")), "w???????fff");
        let well: String = (0..20).map(|tenant| format!("t{tenant}+{tenant} ")).collect();
        assert_eq!(heard(&format!("{well}slow-45 slow-50")), format!("{}?f", "w".repeat(20)), "the last of them count");
    }
}

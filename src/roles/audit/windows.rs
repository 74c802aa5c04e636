//! Windows in the store, held against those that the events say.

use std::collections::{BTreeMap, HashSet};

use super::auditor::{Auditor, Drained, Tenant};
use super::findings::Check;
use super::names::At;
use super::walk::Case;
use crate::domain::ids::{CustomerId, TenantId};
use crate::domain::time::Timestamp;
use crate::domain::window::{Bet, WindowRule, judge};
use crate::edge::StoreError;
use crate::edge::peek::Peek;

/// Logs of the customers whose hashes are the lowest: the same ones in every audit.
#[derive(Debug)]
pub(super) struct Sample {
    most: usize,
    customers: BTreeMap<u128, Sampled>,
}

#[derive(Debug)]
struct Sampled {
    tenant: TenantId,
    customer: CustomerId,
    rule: WindowRule,
    log: Vec<Bet>,
    /// The last bet's record, and when it was written.
    last: At,
    written_at: Timestamp,
    /// Whether bets that are not known here may have been recorded.
    is_cut: bool,
}

impl Sample {
    /// A sample of so many customers.
    pub(super) fn of(most: usize) -> Self {
        Self { most, customers: BTreeMap::new() }
    }

    fn take(&mut self, case: &Case<'_>, rule: &WindowRule, bet: Bet, is_cut: bool) {
        let is_full = self.customers.len() >= self.most;
        if is_full && self.customers.last_key_value().is_none_or(|(highest, _)| case.customer > *highest) {
            return;
        }
        let sampled = self.customers.entry(case.customer).or_insert_with(|| Sampled {
            tenant: case.event.tenant.clone(),
            customer: case.event.customer.clone(),
            rule: *rule,
            log: Vec::new(),
            last: case.at,
            written_at: case.written_at,
            is_cut,
        });
        sampled.log.push(bet);
        (sampled.last, sampled.written_at) = (case.at, case.written_at.max(sampled.written_at));
        if sampled.log.len() > 4 * rule.max_entries + 64 {
            sampled.log = judge(&sampled.log, &[], rule).kept(&sampled.log);
        }
        if self.customers.len() > self.most {
            self.customers.pop_last();
        }
    }
}

impl Auditor {
    pub(super) fn sample(&mut self, case: &Case<'_>, tenant: &Tenant, rule: &WindowRule, bet: Bet) {
        if self.sample.is_none() || !self.is_settled(case.at) {
            return;
        }
        let settles = self.terms.preferences_ttl.saturating_add(rule.kept_for());
        let unsettled = tenant.unsettled_until.is_some_and(|until| case.written_at <= until.plus(settles));
        let (at, occurred_at) = (case.at, case.event.occurred_at);
        let is_cut = self.course.is_near_the_beginning(at, case.written_at, occurred_at, rule.kept_for());
        if let Some(sample) = &mut self.sample {
            sample.take(case, rule, bet, is_cut || unsettled);
        }
    }

    pub(super) fn skip_windows(&mut self) {
        self.findings.skip(Check::Windows, "not asked for: --windows compares them");
    }

    /// Looks at the windows of the sampled customers as they stand in the store.
    pub(super) async fn compare_windows(&mut self, store: &impl Peek) -> Result<(), StoreError> {
        let Some(sample) = self.sample.take() else { return Ok(()) };
        for sampled in sample.customers.into_values() {
            let stored = store.peek_window(&sampled.tenant, &sampled.customer).await?;
            let ttl = sampled.rule.kept_for().saturating_add(self.terms.windows.outage_budget);
            if stored.is_empty() && sampled.written_at.plus(ttl) < self.terms.now {
                continue;
            }
            self.findings.checked(Check::Windows);
            if let Some(what) = differs(&sampled, &stored, self.terms.drained) {
                let mut violation = self.violation(what, sampled.last);
                violation.tenant_id = Some(sampled.tenant.to_string());
                self.findings.violation(Check::Windows, violation);
            }
        }
        Ok(())
    }
}

/// What a stored log lacks of the bets that must still be kept, or holds beyond them where nothing more was to come.
fn differs(sampled: &Sampled, stored: &[Bet], drained: Drained) -> Option<String> {
    let rule = &sampled.rule;
    let expected = judge(&sampled.log, &[], rule).kept(&sampled.log);
    let kept = judge(stored, &[], rule).kept(stored);
    let there: HashSet<(u64, Timestamp)> = stored.iter().map(|bet| (bet.id, bet.at)).collect();
    let said: HashSet<(u64, Timestamp)> = expected.iter().map(|bet| (bet.id, bet.at)).collect();
    // Bets that came after the range may have pushed older ones out.
    let oldest = kept.iter().map(|bet| bet.at).max().map(|newest| newest.minus(rule.kept_for()));
    let pushed_out = |bet: &Bet| oldest.is_some_and(|oldest| bet.at <= oldest) || kept.len() >= rule.max_entries;
    let lacking = expected.iter().filter(|bet| !there.contains(&(bet.id, bet.at)) && !pushed_out(bet)).count();
    if lacking > 0 && !sampled.is_cut {
        return Some(format!("a window in the store lacks {lacking} of {} bets", expected.len()));
    }
    let strange = kept.iter().filter(|bet| !said.contains(&(bet.id, bet.at))).count();
    let is_strange = strange > 0 && drained == Drained::Expected && !sampled.is_cut;
    is_strange
        .then(|| format!("a window in the store holds {strange} bets that no event says, beside {}", expected.len()))
}

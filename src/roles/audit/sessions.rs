//! Sessions, held against the outcomes: whose token reached one, and whose did not. Tokens are known by fingerprint only.

use std::collections::{HashMap, HashSet};

use super::auditor::Auditor;
use super::findings::{Check, Counted};
use super::ledger::Token;
use crate::domain::ids::TenantId;
use crate::wire::audit::{ListedSession, digest};

impl Auditor {
    /// Checks the tokens of outcomes against each other and, where there is one, against the list of sessions made.
    pub(super) fn compare_sessions(&mut self, listed: Option<&[ListedSession]>) {
        let mut tokens = std::mem::take(&mut self.ledger.tokens);
        tokens.sort_by_key(|token| token.at);
        self.tokens_of_one_command(&tokens);
        match listed {
            Some(listed) => self.compare_list(&tokens, listed),
            None => self.findings.skip(Check::Sessions, "no list of sessions is given: only outcomes are compared"),
        }
    }

    fn tokens_of_one_command(&mut self, tokens: &[Token]) {
        let (mut of_command, mut of_token) = (HashMap::new(), HashMap::new());
        for token in tokens {
            self.findings.checked(Check::Sessions);
            let other = *of_command.entry(token.command).or_insert(*token);
            if other.fingerprint != token.fingerprint {
                self.two(token, &other, "two sessions of one command whose tokens reached an outcome");
            }
            let other = *of_token.entry(token.fingerprint).or_insert(*token);
            if other.command != token.command {
                self.two(token, &other, "one session in the outcomes of two commands");
            }
        }
    }

    fn two(&mut self, token: &Token, other: &Token, what: &str) {
        let mut violation = self.of_command(self.violation(what, token.at), token.command, token.tenant, None);
        violation.against = Some(self.lanes.source(other.at).to_string());
        self.findings.violation(Check::Sessions, violation);
    }

    fn compare_list(&mut self, tokens: &[Token], listed: &[ListedSession]) {
        self.seen.sessions = listed.len() as u64;
        let mut made = HashMap::new();
        for session in listed {
            let tenant = TenantId::new(&session.tenant).ok().map(|tenant| self.names.number(&tenant));
            made.insert(session.token_fingerprint.as_u128(), (tenant, digest(session.reference.as_bytes())));
        }
        for token in tokens {
            let what = match made.get(&token.fingerprint) {
                None => "an outcome of a session that was not made",
                Some((tenant, _)) if *tenant != Some(token.tenant) => "an outcome with a session of another tenant",
                Some((_, reference)) if *reference != token.reference => {
                    "an outcome with a session of another reference"
                }
                Some(_) => continue,
            };
            let violation = self.of_command(self.violation(what, token.at), token.command, token.tenant, None);
            self.findings.violation(Check::Sessions, violation);
        }
        let reached: HashSet<u128> = tokens.iter().map(|token| token.fingerprint).collect();
        let orphans = made.keys().filter(|fingerprint| !reached.contains(fingerprint)).count();
        (0..orphans).for_each(|_| self.findings.count(Counted::Orphans));
    }
}

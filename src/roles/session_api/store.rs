//! The sessions that the simulator made: bounded, the oldest forgotten first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::domain::ids::{CustomerId, TenantId};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::wire::session::TOKEN_LIFETIME;

/// 192 random bits: whoever holds them may act in the session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token(pub(super) [u8; 24]);

impl Token {
    pub(super) fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// Tells tokens apart without giving them away.
    pub(super) fn fingerprint(self) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &self.0)
    }
}

/// A session as it is asked for.
pub(super) struct NewSession {
    pub(super) tenant: TenantId,
    pub(super) reference: Arc<str>,
    pub(super) customer: CustomerId,
    pub(super) trigger: Trigger,
    pub(super) amount: Option<Box<str>>,
    pub(super) frequency: Option<(u32, u32)>,
    pub(super) callback_url: Option<Box<str>>,
}

/// A session as it stands.
pub(super) struct Session {
    pub(super) asked: NewSession,
    pub(super) token: Token,
    pub(super) created_at: Timestamp,
    pub(super) progress: Progress,
    pub(super) submissions: u32,
    pub(super) mobile_connected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Pending,
    Approved,
    /// Declined for good: the retries are exhausted.
    Declined,
}

impl Session {
    pub(super) fn expires_at(&self) -> Timestamp {
        self.created_at.plus(TOKEN_LIFETIME)
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at()
    }

    pub(super) fn status(&self, now: Timestamp) -> &'static str {
        match self.progress {
            Progress::Approved => "approved",
            Progress::Declined => "declined",
            Progress::Pending if self.is_expired(now) => "expired",
            Progress::Pending => "pending",
        }
    }
}

/// The reference has a session already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conflict;

/// Sessions by number, token and reference.
pub(super) struct Store {
    capacity: usize,
    /// In order of creation, which is the order of expiry; the first has the number `first`.
    sessions: VecDeque<Session>,
    first: u64,
    by_token: HashMap<Token, u64>,
    by_reference: HashMap<(TenantId, Arc<str>), u64>,
}

impl Store {
    /// Room for `capacity` sessions, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            sessions: VecDeque::new(),
            first: 0,
            by_token: HashMap::new(),
            by_reference: HashMap::new(),
        }
    }

    pub(super) fn has_reference(&self, tenant: &TenantId, reference: &str) -> bool {
        self.by_reference.contains_key(&(tenant.clone(), reference.into()))
    }

    /// Makes a session, unless its reference has one already within its tenant.
    pub(super) fn create(&mut self, asked: NewSession, token: Token, now: Timestamp) -> Result<(), Conflict> {
        let key = (asked.tenant.clone(), Arc::clone(&asked.reference));
        if self.by_reference.contains_key(&key) {
            return Err(Conflict);
        }
        if self.sessions.len() >= self.capacity {
            self.forget_oldest();
        }
        let number = self.first + self.sessions.len() as u64;
        self.by_reference.insert(key, number);
        self.by_token.insert(token, number);
        self.sessions.push_back(Session {
            asked,
            token,
            created_at: now,
            progress: Progress::Pending,
            submissions: 0,
            mobile_connected: false,
        });
        Ok(())
    }

    pub(super) fn by_token(&mut self, token: &str) -> Option<&mut Session> {
        let number = *self.by_token.get(&Token::parse(token)?)?;
        self.sessions.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    pub(super) fn by_reference(&self, tenant: &TenantId, reference: &str) -> Option<&Session> {
        let number = *self.by_reference.get(&(tenant.clone(), reference.into()))?;
        self.sessions.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// The sessions with their numbers, oldest first, from the one after `after` on.
    pub(super) fn after(&self, after: Option<u64>) -> impl Iterator<Item = (u64, &Session)> {
        let from = after.map_or(self.first, |after| after.saturating_add(1).max(self.first));
        let skipped = usize::try_from(from - self.first).unwrap_or(usize::MAX).min(self.sessions.len());
        (from..).zip(self.sessions.range(skipped..))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.sessions.pop_front() {
            self.first += 1;
            self.by_token.remove(&oldest.token);
            self.by_reference.remove(&(oldest.asked.tenant, oldest.asked.reference));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tenant: &str, reference: &str) -> NewSession {
        NewSession {
            tenant: TenantId::new(tenant).unwrap(),
            reference: reference.into(),
            customer: CustomerId::new("c").unwrap(),
            trigger: Trigger::Login,
            amount: None,
            frequency: None,
            callback_url: None,
        }
    }

    fn references(store: &Store, after: Option<u64>) -> Vec<(u64, String)> {
        store.after(after).map(|(number, session)| (number, session.asked.reference.to_string())).collect()
    }

    #[test]
    fn a_reference_is_unique_within_its_tenant_until_it_is_forgotten() {
        let mut store = Store::new(2);
        let now = Timestamp(0);
        let token = |n: u8| Token([n; 24]);
        assert_eq!(store.create(asked("a", "r1"), token(1), now), Ok(()));
        assert_eq!(store.create(asked("a", "r1"), token(2), now), Err(Conflict));
        assert_eq!(store.create(asked("b", "r1"), token(3), now), Ok(()));
        assert_eq!(store.create(asked("a", "r2"), token(4), now), Ok(()));
        assert!(store.by_token(&token(1).text()).is_none(), "the oldest is forgotten");
        assert_eq!(store.by_token(&token(4).text()).unwrap().asked.reference.as_ref(), "r2");
        assert_eq!(references(&store, None), [(1, "r1".to_owned()), (2, "r2".to_owned())]);
        assert_eq!(references(&store, Some(1)), [(2, "r2".to_owned())]);
        assert_eq!(references(&store, Some(9)), []);
        let tenant = TenantId::new("a").unwrap();
        assert!(store.by_reference(&tenant, "r2").is_some() && !store.has_reference(&tenant, "r1"));
        store.clear();
        assert_eq!(references(&store, None), []);
    }

    #[test]
    fn a_token_lives_ten_minutes() {
        let mut store = Store::new(2);
        store.create(asked("a", "r"), Token([1; 24]), Timestamp(0)).unwrap();
        let session = store.by_token(&Token([1; 24]).text()).unwrap();
        assert_eq!((session.status(Timestamp(599_999)), session.status(Timestamp(600_000))), ("pending", "expired"));
    }
}

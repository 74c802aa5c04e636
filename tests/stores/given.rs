//! What the cases speak of, in few words.

use std::time::{Duration, Instant};

use stepup::domain::claim::{Claim, ClaimRequest, Intent};
use stepup::domain::control::{Control, Kind, Reason, State, Target};
use stepup::domain::ids::{CommandId, CustomerId, TenantId};
use stepup::domain::time::Timestamp;
use stepup::domain::trigger::Trigger;
use stepup::domain::window::Bet;
use stepup::edge::claims::{Ask, Claims};
use stepup::edge::controls::Switchboard;
use stepup::edge::forget::Forget;
use stepup::edge::outcomes::Outcomes;
use stepup::edge::peek::Peek;
use stepup::edge::quotas::Quotas;
use stepup::edge::windows::{Compaction, CustomerBets, Windows};
use stepup::edge::{Scoped, StoreError};
use stepup::wire::window::customer_key;
use uuid::Uuid;

pub(crate) trait Store:
    Windows + Claims + Outcomes + Peek + Switchboard + Forget + Quotas + Scoped + Clone + 'static
{
}
impl<S: Windows + Claims + Outcomes + Peek + Switchboard + Forget + Quotas + Scoped + Clone + 'static> Store for S {}

/// The windows' logs as lists.
pub(crate) trait Logged: Windows {
    fn logs(
        &self,
        batch: &[CustomerBets],
        compactions: &[Compaction],
    ) -> impl Future<Output = Result<Vec<Vec<Bet>>, StoreError>> + Send {
        async move { Ok(self.record(batch, compactions).await?.iter().map(<[Bet]>::to_vec).collect()) }
    }
}
impl<W: Windows> Logged for W {}

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn customer(name: &str) -> CustomerId {
    CustomerId::new(name).unwrap()
}

pub(crate) fn bet(number: u64) -> Bet {
    Bet { at: Timestamp(1_772_366_400_000 + number as i64), id: number << 32 | number, arrival: number as u32 }
}

pub(crate) fn bets(numbers: impl IntoIterator<Item = u64>) -> Vec<Bet> {
    numbers.into_iter().map(bet).collect()
}

pub(crate) fn of(name: &str, numbers: impl IntoIterator<Item = u64>) -> CustomerBets {
    of_tenant("acme", name, numbers)
}

pub(crate) fn of_tenant(tenant: &str, name: &str, numbers: impl IntoIterator<Item = u64>) -> CustomerBets {
    CustomerBets::new(&self::tenant(tenant), &customer(name), numbers.into_iter().map(bet), HOUR)
}

/// The hash by which what is kept of a customer of `acme` is known.
pub(crate) fn key(name: &str) -> u128 {
    customer_key(&tenant("acme"), &customer(name))
}

pub(crate) fn compaction(
    name: &str,
    read: impl IntoIterator<Item = u64>,
    kept: impl IntoIterator<Item = u64>,
) -> Compaction {
    Compaction { key: key(name), read: bets(read), kept: bets(kept), ttl: HOUR }
}

/// The event of this number at this minute asks for a claim: cool-down 10 minutes, retention an hour.
pub(crate) fn ask(name: &str, event: u64, minute: i64, intent: Intent) -> Ask {
    Ask {
        key: key(name),
        trigger: Trigger::Login,
        request: ClaimRequest {
            claim: Claim { at: minute_of(minute), event },
            intent,
            cooldown: Duration::from_secs(600),
            retention: HOUR,
        },
        ttl: HOUR * 2,
    }
}

pub(crate) fn minute_of(minute: i64) -> Timestamp {
    Timestamp(1_772_366_400_000 + minute * 60_000)
}

pub(crate) fn command(number: u128) -> CommandId {
    CommandId(Uuid::from_u128(number))
}

/// A control of a tenant, set so many milliseconds after 1970.
pub(crate) fn control(kind: Kind, name: &str, state: State, at: i64) -> Control {
    let target = Target { tenant: Some(tenant(name)), trigger: None };
    Control { kind, target, state, at: Timestamp(at), reason: Reason::of("a \"reason\"") }
}

/// Asks until the store answers, for a minute at most.
pub(crate) async fn once_up<T>(call: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let started = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(60), "{error:?}"),
        }
    }
}

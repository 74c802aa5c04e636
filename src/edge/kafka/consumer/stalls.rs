//! Partitions that are not read although they grow: a client that forgot one of them, or a broker that does not answer for it.
//! Pure: time comes in as an argument.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// For so long a partition may grow without being read.
const LONGEST: Duration = Duration::from_secs(60);

/// A partition of which nothing is at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Idle {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// One past what is finished.
    pub(super) next: i64,
    /// What the client fetches next. It may be ahead: markers of transactions are fetched and not handed out.
    pub(super) fetching: i64,
}

/// Where partitions stand that did not move lately.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    known: HashMap<(Arc<str>, i32), Standing>,
}

#[derive(Debug)]
struct Standing {
    at: (i64, i64),
    /// Since when it has been known to have more, and where it ended then.
    behind: Option<(Instant, i64)>,
}

impl Stalls {
    /// Takes note of all that are idle now; the others are at work. Gives those that did not move since the last time.
    pub(super) fn look(&mut self, idle: Vec<Idle>) -> Vec<Idle> {
        let mut before = std::mem::take(&mut self.known);
        let mut stand = Vec::new();
        for one in idle {
            let (name, at) = ((Arc::clone(&one.topic), one.partition), (one.next, one.fetching));
            let known = before.remove(&name).filter(|known| known.at == at);
            if known.is_some() {
                stand.push(one);
            }
            self.known.insert(name, known.unwrap_or(Standing { at, behind: None }));
        }
        stand
    }

    /// The broker holds `low..high` of a partition that did not move. Tells whether that has been so for too long.
    pub(super) fn holds(&mut self, one: &Idle, low: i64, high: i64, now: Instant) -> bool {
        let Some(standing) = self.known.get_mut(&(Arc::clone(&one.topic), one.partition)) else { return false };
        // A position that the broker does not hold is another matter, and nothing is read from there.
        if !(low..high).contains(&one.next) {
            standing.behind = None;
            return false;
        }
        let (since, end) = *standing.behind.get_or_insert((now, high));
        high > end && now.saturating_duration_since(since) >= LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At each second: where the partition stands (next, fetching), or nothing where it is at work, and what the broker holds.
    type Look = (u64, Option<(i64, i64)>, (i64, i64));

    fn stalled_at(looks: &[Look]) -> Option<u64> {
        let (start, mut stalls) = (Instant::now(), Stalls::default());
        looks.iter().find_map(|(second, at, (low, high))| {
            let idle = at.map(|(next, fetching)| Idle { topic: "activity".into(), partition: 3, next, fetching });
            let stand = stalls.look(idle.into_iter().collect());
            let now = start + Duration::from_secs(*second);
            stand.iter().any(|one| stalls.holds(one, *low, *high, now)).then_some(*second)
        })
    }

    /// Looks every 15 seconds, by a rule.
    fn looks(of: impl Fn(u64) -> (Option<(i64, i64)>, (i64, i64))) -> Vec<Look> {
        (0..=20).map(|number| (number * 15, of(number).0, of(number).1)).collect()
    }

    #[test]
    fn only_a_partition_that_stands_while_it_grows_for_a_minute_is_stalled() {
        let stands = Some((50, 50));
        for (story, looks, want) in [
            ("it is at its end", looks(|_| (stands, (0, 50))), None),
            // First seen to stand at 15, with more to read; a minute later it is enough.
            ("it grows and stands", looks(|n| (stands, (0, 60 + n as i64))), Some(75)),
            ("it has more and does not grow", looks(|_| (stands, (0, 60))), None),
            (
                "it grows after a while",
                looks(|n| (stands, (0, 50 + i64::from(n >= 8) + i64::from(n >= 10)))),
                Some(180),
            ),
            ("it moves", looks(|n| (Some((50 + n as i64, 50)), (0, 100 + n as i64))), None),
            ("only markers are fetched", looks(|n| (Some((50, 50 + n as i64)), (0, 60 + n as i64))), None),
            ("it is at work now and then", looks(|n| ((n % 4 > 0).then_some((50, 50)), (0, 60 + n as i64))), None),
            ("its position is deleted", looks(|n| (stands, (51, 60 + n as i64))), None),
            ("its position is ahead", looks(|n| (stands, (0, 10 + n as i64))), None),
        ] {
            assert_eq!(stalled_at(&looks), want, "{story}");
        }
    }
}

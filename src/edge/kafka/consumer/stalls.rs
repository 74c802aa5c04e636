//! Partitions that are not read although they hold more: a client that forgot one of them, a broker that does not answer for
//! it, or a log that is another one than it was. Pure: time comes in as an argument.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// For so long a partition may hold more without being read.
const LONGEST: Duration = Duration::from_secs(60);
/// So often that time is doubled where a new client has not helped: what cannot be read disturbs the other partitions less and
/// less.
const DOUBLED: u32 = 6;

/// A partition of which nothing is at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Idle {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// One past what is finished; none before its first record where the group has no position in it.
    pub(super) next: Option<i64>,
    /// What the client fetches next, or less than 0 where it has not told. It may be ahead: markers of transactions are
    /// fetched and not handed out.
    pub(super) fetching: i64,
}

/// What a partition that did not move is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgment {
    /// There is nothing to read, or it has not stood for long.
    Rests,
    /// It has held more for too long.
    Stalled,
    /// It ended before what was read of it, both times that it was looked at: the client may never notice.
    Beyond,
}

/// Where partitions stand that did not move lately.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    known: HashMap<(Arc<str>, i32), Standing>,
    /// For which a new client was made, where they stood then, and how often.
    tried: HashMap<(Arc<str>, i32), (Option<i64>, u32)>,
}

#[derive(Debug)]
struct Standing {
    at: (Option<i64>, i64),
    /// Since when it has been known to have more, and where it ended then.
    behind: Option<(Instant, i64)>,
    /// Whether it ended before its position when it was last looked at.
    was_beyond: bool,
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
            self.known.insert(name, known.unwrap_or(Standing { at, behind: None, was_beyond: false }));
        }
        stand
    }

    /// Judges a partition that did not move, of which the broker lets us read what it `held` at `now`. A broker that took over
    /// may not know the end for a moment, so once beyond it is not enough. Where it is not known how far the client has
    /// fetched, there may be markers only, unless there is more than at first.
    pub(super) fn judge(&mut self, one: &Idle, held: &Range<i64>, now: Instant) -> Judgment {
        let name = (Arc::clone(&one.topic), one.partition);
        let Some(standing) = self.known.get_mut(&name) else { return Judgment::Rests };
        let next = one.next.unwrap_or(held.start);
        let was_beyond = std::mem::replace(&mut standing.was_beyond, next.max(one.fetching) > held.end);
        if standing.was_beyond {
            standing.behind = None;
            return if was_beyond { Judgment::Beyond } else { Judgment::Rests };
        }
        // Records that were deleted are another matter, and nothing is read from there. Where all is fetched there are markers
        // only.
        if !held.contains(&next) || one.fetching >= held.end {
            standing.behind = None;
            return Judgment::Rests;
        }
        let (since, end) = *standing.behind.get_or_insert((now, held.end));
        let holds_more = one.fetching >= 0 || one.next.is_none() || held.end > end;
        let times = self.tried.get(&name).filter(|(next, _)| *next == one.next).map_or(0, |(_, times)| *times);
        let longest = LONGEST * 2_u32.pow(times.min(DOUBLED));
        if !holds_more || now.saturating_duration_since(since) < longest {
            return Judgment::Rests;
        }
        self.tried.insert(name, (one.next, times + 1));
        standing.behind = None;
        Judgment::Stalled
    }
}

#[cfg(test)]
mod tests {
    use super::Judgment::*;
    use super::*;

    /// At each second: where the partition stands (next, fetching), or nothing where it is at work, and what the broker holds.
    type Look = (u64, Option<(Option<i64>, i64)>, (i64, i64));

    fn first_judgment(looks: &[Look]) -> Option<(Judgment, u64)> {
        let (start, mut stalls) = (Instant::now(), Stalls::default());
        looks.iter().find_map(|(second, at, (low, high))| {
            let idle = at.map(|(next, fetching)| Idle { topic: "activity".into(), partition: 3, next, fetching });
            let stand = stalls.look(idle.into_iter().collect());
            let now = start + Duration::from_secs(*second);
            let judgments = stand.iter().map(|one| stalls.judge(one, &(*low..*high), now));
            judgments.filter(|judgment| *judgment != Rests).map(|judgment| (judgment, *second)).next()
        })
    }

    #[test]
    fn where_a_new_client_does_not_help_the_next_one_comes_later_and_later() {
        let (start, mut stalls) = (Instant::now(), Stalls::default());
        let mut stalled = Vec::new();
        for number in 0..190 {
            // At 45 minutes somebody mends it, and it stands further on.
            let at = if number < 180 { 50 } else { 55 };
            let idle = Idle { topic: "activity".into(), partition: 3, next: Some(at), fetching: at };
            for one in stalls.look(vec![idle]) {
                if stalls.judge(&one, &(0..60), start + Duration::from_secs(number * 15)) == Stalled {
                    stalled.push(number * 15);
                }
            }
        }
        assert_eq!(stalled, [75, 210, 465, 960, 1_935, 2_775]);
    }

    /// Looks every 15 seconds, by a rule.
    fn looks(of: impl Fn(u64) -> (Option<(i64, i64)>, (i64, i64))) -> Vec<Look> {
        let some = |at: Option<(i64, i64)>| at.map(|(next, fetching)| (Some(next), fetching));
        (0..=20).map(|number| (number * 15, some(of(number).0), of(number).1)).collect()
    }

    #[test]
    fn only_a_partition_that_stands_for_a_minute_while_it_holds_more_is_stalled() {
        let stands = Some((50, 50));
        for (story, looks, want) in [
            ("it is at its end", looks(|_| (stands, (0, 50))), None),
            // First seen to stand at 15, with more to read; a minute later it is enough.
            ("it grows and stands", looks(|n| (stands, (0, 60 + n as i64))), Some(75)),
            ("it has more and does not grow", looks(|_| (stands, (0, 60))), Some(75)),
            ("it has more after a while", looks(|n| (stands, (0, 50 + i64::from(n >= 8)))), Some(180)),
            ("there are markers only", looks(|_| (Some((50, 60)), (0, 60))), None),
            (
                "a record came behind markers this second",
                looks(
                    |n| if n < 11 { (Some((50, 51)), (0, 51 + i64::from(n == 10))) } else { (Some((52, 52)), (0, 52)) },
                ),
                None,
            ),
            ("who knows what there is", looks(|_| (Some((50, -1)), (0, 60))), None),
            ("who knows, but it grows", looks(|n| (Some((50, -1)), (0, 60 + n as i64))), Some(75)),
            ("it moves", looks(|n| (Some((50 + n as i64, 50)), (0, 100 + n as i64))), None),
            ("only markers are fetched", looks(|n| (Some((50, 50 + n as i64)), (0, 60 + n as i64))), None),
            ("it is at work now and then", looks(|n| ((n % 4 > 0).then_some((50, 50)), (0, 60 + n as i64))), None),
            ("its position is deleted", looks(|n| (stands, (51, 60 + n as i64))), None),
        ] {
            assert_eq!(first_judgment(&looks), want.map(|second| (Stalled, second)), "{story}");
        }
    }

    #[test]
    fn what_was_never_read_although_it_holds_records_is_stalled() {
        let looks =
            |fetching: i64, held| (0..=20).map(|n| (n * 15, Some((None, fetching)), held)).collect::<Vec<Look>>();
        for (story, looks, want) in [
            ("the client has not begun", looks(-1001, (7, 20)), Some((Stalled, 75))),
            ("it has, and fetches nothing", looks(7, (7, 20)), Some((Stalled, 75))),
            ("there are markers only", looks(20, (7, 20)), None),
            ("it is empty", looks(-1001, (7, 7)), None),
        ] {
            assert_eq!(first_judgment(&looks), want, "{story}");
        }
    }

    #[test]
    fn a_log_that_ends_before_what_was_read_of_it_is_another_one_if_it_does_so_twice() {
        let stands = Some((50, 50));
        for (story, looks, want) in [
            ("it was made again", looks(|n| (stands, (0, 10 + n as i64))), Some((Beyond, 30))),
            ("it was, and is empty", looks(|n| (stands, (0, if n < 4 { 50 } else { 0 }))), Some((Beyond, 75))),
            ("it ends within what was fetched", looks(|_| (Some((50, 60)), (0, 55))), Some((Beyond, 30))),
            ("a broker does not know its end yet", looks(|n| (stands, (0, if n == 4 { 49 } else { 50 }))), None),
            ("now and then", looks(|n| (stands, (0, 49 + (n % 2) as i64))), None),
            ("it is at work in between", looks(|n| ((n % 3 > 0).then_some((50, 50)), (0, 10))), None),
        ] {
            assert_eq!(first_judgment(&looks), want, "{story}");
        }
    }
}

//! Logs whose bets came in the order of their times, as nearly all do: they are judged without a window being kept.
//!
//! The newest bet is the last one then, and what is kept, or lies in one window with it, is the end of the log.

use super::{Bet, Fullest, Open, Reach, Timeliness, WindowRule, is_one};
use crate::domain::time::Timestamp;

/// What is remembered of one log while it is judged.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    /// Its bets, each once, in order of arrival and of time. Empty where it could be judged as it lies.
    bets: Vec<Bet>,
    /// So many of the last are still kept.
    kept: usize,
    /// A bit for each id, and maybe more: of one whose bit is not set none came.
    seen: Vec<u64>,
}

impl InOrder {
    /// Judges by a log as a replay of it does. `false`: it is not that simple, and some of `reaches` are written already.
    pub(super) fn judge(
        &mut self,
        log: &[Bet],
        asked: &[Bet],
        reaches: &mut [Option<Reach>],
        rule: &WindowRule,
    ) -> bool {
        if rule.kept_for().is_zero() || rule.max_entries == 0 {
            return false;
        }
        self.judge_the_last(log, asked, reaches, rule) || self.judge_each(log, asked, reaches, rule)
    }

    /// Where the bets asked about are the last of the log, as they are when nobody else appends, and none is there twice, the
    /// log says it all as it lies.
    fn judge_the_last(&mut self, log: &[Bet], asked: &[Bet], reaches: &mut [Option<Reach>], rule: &WindowRule) -> bool {
        let Some(before) = log.len().checked_sub(asked.len()) else { return false };
        if !log[before..].iter().zip(asked).all(|(last, asked)| is_one(last, asked)) {
            return false;
        }
        self.begin(log.len());
        if !self.is_plain(log) {
            return false;
        }
        for (end, reach) in (before + 1..).zip(reaches) {
            *reach = Some(reach_of_last(kept_of(&log[..end], rule), rule));
        }
        self.kept = kept_of(log, rule).len();
        true
    }

    /// Takes the bets one by one, and answers for each as it comes.
    fn judge_each(&mut self, log: &[Bet], asked: &[Bet], reaches: &mut [Option<Reach>], rule: &WindowRule) -> bool {
        let mut open = Open::of(asked);
        self.begin(log.len());
        let mut newest = Timestamp(i64::MIN);
        for bet in log {
            if bet.at < newest {
                return false;
            }
            if self.may_have_seen(bet.id) && kept_of(&self.bets, rule).iter().any(|kept| kept.id == bet.id) {
                // What a repeat is told depends on what came after the first of its id.
                if open.asks(bet, reaches) {
                    return false;
                }
                continue;
            }
            newest = bet.at;
            self.bets.push(*bet);
            open.answer(bet, reaches, || reach_of_last(kept_of(&self.bets, rule), rule));
        }
        self.kept = kept_of(&self.bets, rule).len();
        true
    }

    fn begin(&mut self, bets: usize) {
        self.bets.clear();
        self.seen.clear();
        self.seen.resize(bets.next_power_of_two(), 0);
    }

    /// Whether the bets stand in the order of their times and none is there twice.
    fn is_plain(&mut self, log: &[Bet]) -> bool {
        let mut newest = Timestamp(i64::MIN);
        log.iter().enumerate().all(|(place, bet)| {
            let comes_in_order = newest <= bet.at;
            newest = bet.at;
            comes_in_order && !(self.may_have_seen(bet.id) && log[..place].iter().any(|one| one.id == bet.id))
        })
    }

    pub(super) fn kept_len(&self) -> usize {
        self.kept
    }

    /// The bets of the log that are kept.
    pub(super) fn kept<'a>(&'a self, log: &'a [Bet]) -> &'a [Bet] {
        let bets = if self.bets.is_empty() { log } else { &self.bets };
        &bets[bets.len() - self.kept..]
    }

    #[allow(clippy::cast_possible_truncation, reason = "a part of a hash")]
    fn may_have_seen(&mut self, id: u64) -> bool {
        let parts = self.seen.len();
        let (part, bit) = (&mut self.seen[id as usize & (parts - 1)], 1 << (id >> 58));
        let may_have = *part & bit != 0;
        *part |= bit;
        may_have
    }
}

/// Those that the last does not make too old or too many.
fn kept_of<'a>(bets: &'a [Bet], rule: &WindowRule) -> &'a [Bet] {
    let Some(newest) = bets.last() else { return &[] };
    let oldest_kept = newest.at.minus(rule.kept_for());
    let too_old = bets.partition_point(|bet| bet.at <= oldest_kept);
    &bets[too_old.max(bets.len().saturating_sub(rule.max_entries))..]
}

/// What the window says of the last of the bets that are kept.
fn reach_of_last(kept: &[Bet], rule: &WindowRule) -> Reach {
    let at = kept.last().map_or(Timestamp(0), |bet| bet.at);
    let oldest = at.minus(rule.width);
    let counted = &kept[kept.partition_point(|bet| bet.at <= oldest)..];
    let count = u32::try_from(counted.len()).unwrap_or(u32::MAX);
    let span = counted.first().map_or(0, |first| at.0 - first.at.0);
    rule.reach(Fullest { count, span }, Timeliness::InTime)
}

//! What claims that are read afterwards say of an event that was settled before.

use std::time::Duration;

use super::claim::{Claim, ClaimAnswer};

/// How an event stands to the claims of its customer and trigger, seen from later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hindsight {
    /// It holds this claim: it fired.
    Held(Claim),
    /// The claim that it fell into the cool-down of.
    CooledDown(Claim),
    /// Only a later event holds a claim that would be too near: the event came out of order, or was not settled by then.
    Overtaken(Claim),
    /// No claim stands against it. The claim before it, where one is kept.
    Free(Option<Claim>),
    /// It is so much older than the latest claim that its own, or the one that it met, may be forgotten by now.
    Forgotten,
}

impl Hindsight {
    /// Judges `event`, which may hold one of `claims`. These stand in the order of their times, as [`super::claim::settle`]
    /// keeps them.
    ///
    /// A claim is only taken after the cool-down of those before it. So the claims up to the event's time are those that
    /// it met, had it come in order; the later ones count only where it came out of order.
    pub fn of(claims: &[Claim], event: Claim, cooldown: Duration, retention: Duration) -> Self {
        if let Some(held) = claims.iter().find(|claim| claim.event == event.event) {
            return Self::Held(*held);
        }
        let later = claims.partition_point(|claim| claim.at <= event.at);
        let before = claims[..later].last().copied();
        if let Some(before) = before.filter(|before| event.at < before.at.plus(cooldown)) {
            return Self::CooledDown(before);
        }
        // A claim of its own, or the one whose cool-down it fell into, may have been dropped by the latest.
        let dropped = |latest: &Claim| event.at < latest.at.minus(retention).plus(cooldown);
        if before.is_none() && claims.last().is_some_and(dropped) {
            return Self::Forgotten;
        }
        claims.get(later).map_or(Self::Free(before), |overtaking| Self::Overtaken(*overtaking))
    }

    /// What the claims answered, as far as that can still be told.
    pub fn answer(self) -> Option<ClaimAnswer> {
        match self {
            Self::Held(_) => Some(ClaimAnswer::Held),
            Self::CooledDown(by) | Self::Overtaken(by) => Some(ClaimAnswer::CoolingDown { since: by.at }),
            Self::Free(_) => Some(ClaimAnswer::Free),
            Self::Forgotten => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::claim::{ClaimRequest, Intent, settle};
    use super::super::time::Timestamp;
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(600);
    const RETENTION: Duration = Duration::from_secs(3_600);

    fn claim(word: &str) -> Claim {
        let (event, second) = word.split_once('@').unwrap();
        Claim { at: Timestamp(second.parse::<i64>().unwrap() * 1_000), event: event.parse().unwrap() }
    }

    fn of(claims: &str, event: &str) -> Hindsight {
        let claims: Vec<Claim> = claims.split_whitespace().map(claim).collect();
        Hindsight::of(&claims, claim(event), COOLDOWN, RETENTION)
    }

    #[test]
    fn claims_tell_later_what_an_event_met() {
        use Hindsight::{CooledDown, Forgotten, Free, Held, Overtaken};
        for (claims, event, want) in [
            ("", "1@0", Free(None)),
            ("1@0", "1@0", Held(claim("1@0"))),
            ("1@0 2@600", "1@5000", Held(claim("1@0"))),
            ("1@0", "2@599", CooledDown(claim("1@0"))),
            ("1@0", "2@600", Free(Some(claim("1@0")))),
            // What fired after its time does not hide what it met.
            ("1@0 3@700", "2@599", CooledDown(claim("1@0"))),
            ("1@0 3@1700", "2@650", Overtaken(claim("3@1700"))),
            ("3@700", "2@-1", Overtaken(claim("3@700"))),
            ("3@3600 4@9000", "2@3601", CooledDown(claim("3@3600"))),
            ("3@3000", "2@0", Overtaken(claim("3@3000"))),
            ("3@3001", "2@0", Forgotten),
            ("3@9000", "2@0", Forgotten),
        ] {
            assert_eq!(of(claims, event), want, "{event} in {claims:?}");
        }
    }

    proptest::proptest! {
        /// Whatever comes after an event that took its claim or was refused one in order, hindsight says the same.
        #[test]
        fn hindsight_agrees_with_what_was_answered(gaps in proptest::collection::vec(0_i64..900, 1..12), pick: usize) {
            let mut claims = Vec::new();
            let mut at = 0;
            let mut answers = Vec::new();
            for (event, gap) in gaps.iter().enumerate() {
                at += gap;
                let claim = Claim { at: Timestamp(at * 1_000), event: event as u64 };
                let request = ClaimRequest { claim, intent: Intent::Take, cooldown: COOLDOWN, retention: RETENTION };
                answers.push((claim, settle(&mut claims, &request)));
            }
            let (event, answered) = answers[pick % answers.len()];
            let told = Hindsight::of(&claims, event, COOLDOWN, RETENTION);
            let want = match answered {
                ClaimAnswer::Free => Some(ClaimAnswer::Held),
                other => Some(other),
            };
            proptest::prop_assert!(told.answer() == want || told == Hindsight::Forgotten, "{:?} {:?}", told, want);
        }
    }
}

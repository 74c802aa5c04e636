//! Claims: who fired, and who may fire again. Per tenant, customer and trigger, in event time.

use std::time::Duration;

use super::time::Timestamp;

/// An event that fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub at: Timestamp,
    /// A hash of the event's id.
    pub event: u64,
}

/// What an event that would fire asks of the claims of its customer and trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimRequest {
    pub claim: Claim,
    pub intent: Intent,
    pub cooldown: Duration,
    /// How much older than the latest claim a claim must be to be forgotten; at least the cool-down.
    pub retention: Duration,
}

/// Whether the event may take a claim or only wants to know whether it holds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    Take,
    Look,
}

/// What the claims answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// The event fired before; a crash may have kept its command.
    Held,
    /// It took its claim now (or could have, where it only looked).
    Free,
    /// Another event's claim is too near: the latest one's time.
    CoolingDown { since: Timestamp },
}

/// Answers one request and keeps what must be kept. `claims` stands in the order in which claims were taken, which is
/// also that of their times.
pub fn settle(claims: &mut Vec<Claim>, request: &ClaimRequest) -> ClaimAnswer {
    if claims.iter().any(|claim| claim.event == request.claim.event) {
        return ClaimAnswer::Held;
    }
    if let Some(latest) = claims.last()
        && request.claim.at < latest.at.plus(request.cooldown)
    {
        return ClaimAnswer::CoolingDown { since: latest.at };
    }
    if request.intent == Intent::Take {
        let oldest = request.claim.at.minus(request.retention);
        claims.retain(|claim| claim.at > oldest);
        claims.push(request.claim);
    }
    ClaimAnswer::Free
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: i64 = 600;
    const RETENTION: i64 = 3_600;

    /// Seconds of event time.
    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    fn span(seconds: i64) -> Duration {
        Duration::from_secs(seconds.unsigned_abs())
    }

    fn request(event: u64, at: Timestamp, intent: Intent) -> ClaimRequest {
        ClaimRequest { claim: Claim { at, event }, intent, cooldown: span(COOLDOWN), retention: span(RETENTION) }
    }

    /// Settles `event@second` words in their order and writes each answer: `held`, `free` or `since <second>`.
    fn settled(words: &str, intent: Intent, claims: &mut Vec<Claim>) -> String {
        let answers: Vec<String> = words
            .split_whitespace()
            .map(|word| {
                let (event, second) = word.split_once('@').unwrap();
                let request = request(event.parse().unwrap(), at(second.parse().unwrap()), intent);
                match settle(claims, &request) {
                    ClaimAnswer::Held => "held".to_owned(),
                    ClaimAnswer::Free => "free".to_owned(),
                    ClaimAnswer::CoolingDown { since } => format!("since {}", since.0 / 1_000),
                }
            })
            .collect();
        answers.join(", ")
    }

    #[test]
    fn one_claim_holds_off_others_for_the_cooldown_and_never_itself() {
        for (words, want) in [
            ("1@0", "free"),
            ("1@0 1@0", "free, held"),
            ("1@0 1@9999", "free, held"), // A repeat may bring another time under a known id.
            ("1@0 2@0", "free, since 0"),
            ("1@0 2@599", "free, since 0"),
            ("1@0 2@600", "free, free"),
            ("1@0 2@599 2@600", "free, since 0, free"), // What cooled down took no claim.
            ("1@-600 2@-1 3@0", "free, since -600, free"),
            // The cool-down runs from the latest claim, not from the first.
            ("1@0 2@600 3@1199", "free, free, since 600"),
            ("1@0 2@600 3@1200", "free, free, free"),
            // An event that comes out of order is before the end of the cool-down too.
            ("1@1000 2@0", "free, since 1000"),
            ("1@1000 2@-99999", "free, since 1000"),
            ("1@1000 2@0 1@1000 3@1600", "free, since 1000, held, free"),
        ] {
            assert_eq!(settled(words, Intent::Take, &mut Vec::new()), want, "{words}");
        }
    }

    #[test]
    fn the_cooldown_ends_to_the_millisecond() {
        let end = at(COOLDOWN).0;
        for (millis, want) in [
            (end - 1, ClaimAnswer::CoolingDown { since: at(0) }),
            (end, ClaimAnswer::Free),
            (end + 1, ClaimAnswer::Free),
        ] {
            for intent in [Intent::Take, Intent::Look] {
                let mut claims = vec![Claim { at: at(0), event: 1 }];
                assert_eq!(settle(&mut claims, &request(2, Timestamp(millis), intent)), want, "{millis} {intent:?}");
            }
        }
    }

    #[test]
    fn looking_answers_as_taking_does_and_writes_nothing() {
        for words in ["1@0", "1@600", "1@7200", "2@599", "2@600", "2@-600", "2@7200"] {
            let before = vec![Claim { at: at(0), event: 1 }];
            let mut looked = before.clone();
            let answer = settled(words, Intent::Look, &mut looked);
            assert_eq!(looked, before, "{words}");
            assert_eq!(answer, settled(words, Intent::Take, &mut before.clone()), "{words}");
        }
        let mut none = Vec::new();
        assert_eq!(settled("1@0 1@0 2@0", Intent::Look, &mut none), "free, free, free");
        assert_eq!(none, []);
    }

    #[test]
    fn an_earlier_claim_is_held_through_later_ones_until_the_retention_ends() {
        for (words, want) in [
            ("1@0 2@600 3@1200 1@0 2@600", "free, free, free, held, held"),
            ("1@0 2@3599 1@0", "free, free, held"),
            ("1@0 2@3600 1@0", "free, free, since 3600"),
            ("1@0 2@3601 1@0", "free, free, since 3601"),
            // Only a claim that is taken makes older ones old.
            ("1@0 1@99999", "free, held"),
            ("1@0 2@3000 3@3599 1@0", "free, free, since 3000, held"),
            ("1@0 2@3000 3@3700 1@0 2@3000", "free, free, free, since 3700, held"),
        ] {
            assert_eq!(settled(words, Intent::Take, &mut Vec::new()), want, "{words}");
        }
    }

    #[test]
    fn claims_stand_in_the_order_of_their_times_and_only_what_the_retention_covers() {
        let mut claims = Vec::new();
        let hundred: Vec<String> = (0..100).map(|n| format!("{n}@{}", n * COOLDOWN)).collect();
        let answers = settled(&hundred.join(" "), Intent::Take, &mut claims);
        assert_eq!(answers, vec!["free"; 100].join(", "));
        let kept: Vec<u64> = claims.iter().map(|claim| claim.event).collect();
        assert_eq!(kept, [94, 95, 96, 97, 98, 99]);
        assert!(claims.is_sorted_by_key(|claim| claim.at));
    }
}

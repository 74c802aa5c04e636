//! One event of a running deployment, explained from what its topics, stores and preferences hold now.
//!
//! An event is decided once, and nothing keeps the decision but its traces: a record in the window's log, a claim, a
//! command. From these and the rules it is told again how the event came out. Where they disagree with what the rules say
//! now, the traces are right, and the explanation says so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::rules::{Age, Case, ClaimSeen, Ruling, Tenant};
use super::trail::{self, Located, Trail, Wanted};
use super::{evidence, subject, undecided};
use crate::config::Config;
use crate::domain::claim::Claim;
use crate::domain::decide::{Decision, Freshness, Known, Verdict, conclude, judge};
use crate::domain::event::{Activity, Event};
use crate::domain::hindsight::Hindsight;
use crate::domain::ids::{CommandId, CustomerId, EventId, Source, TenantId};
use crate::domain::outcome::RejectCode;
use crate::domain::preferences::{Preferences, Setting};
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::Bet;
use crate::edge::clock;
use crate::edge::kafka::find::Finder;
use crate::edge::peek::Peek;
use crate::edge::preferences::{Fetched, PreferencesSource as _};
use crate::metrics::Metrics;
use crate::roles::hold::in_full;
use crate::roles::wiring;
use crate::wire::event::{self, Decoded};
use crate::wire::explanation::{self, Ending, Explanation, Knowledge, Place, Rejection, Tested, VERSION};
use crate::wire::window::{arrival, bet_id};

/// What is asked of a deployment.
pub(super) struct Asked {
    pub(super) event: EventId,
    pub(super) tenant: Option<TenantId>,
    pub(super) customer: Option<CustomerId>,
    pub(super) at: Option<Source>,
    /// From when on the activity topics are searched.
    pub(super) from: Timestamp,
    pub(super) quiet: bool,
}

/// The longest that anything outside is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that was looked at for one event.
pub(super) struct Traces<'a> {
    pub(super) config: &'a Config,
    pub(super) event: Event,
    pub(super) source: Source,
    pub(super) written_at: Option<Timestamp>,
    pub(super) now: Timestamp,
    /// The tenant's preferences, where it has some; why not, where that is not known.
    pub(super) preferences: Result<Option<Preferences>, String>,
    /// The customer's log of bets; nothing where the event is no bet.
    pub(super) log: Option<Result<Vec<Bet>, String>>,
    /// The claims of each trigger that has a cool-down.
    pub(super) claims: HashMap<Trigger, Result<Vec<Claim>, String>>,
    pub(super) trail: Trail,
    /// Whether the evaluating group is past the event.
    pub(super) evaluated: Option<bool>,
    /// Ids of events, by their hashes.
    pub(super) names: HashMap<u64, String>,
}

pub(super) async fn explain(config: &Config, asked: Asked) -> anyhow::Result<Explanation> {
    let group = wiring::evaluate_input(config).group_id;
    let finder = Arc::new(Finder::new(&wiring::kafka(config), &group, PATIENCE).context("kafka")?);
    let asked = Arc::new(asked);
    let located = {
        let (finder, topics, asked) = (Arc::clone(&finder), config.kafka.topics.activity.clone(), Arc::clone(&asked));
        tokio::task::spawn_blocking(move || trail::locate(&finder, &topics, &asked)).await??
    };
    let event = match event::decode(Some(&located.payload), &config.evaluate.rates) {
        Decoded::Event(event) => event,
        Decoded::UnknownType { .. } => return Ok(not_decided(&asked, located, Ending::UnknownType, None)),
        Decoded::Rejected { rejection, .. } => {
            let rejection = Rejection { code: rejection.code.name(), error: rejection.error };
            return Ok(not_decided(&asked, located, Ending::Rejected, Some(rejection)));
        }
    };
    if let Some(rejection) = in_future(&event, located.written_at, config.evaluate.max_clock_skew) {
        return Ok(not_decided(&asked, located, Ending::Rejected, Some(rejection)));
    }
    let (preferences, (log, claims)) = tokio::join!(fetch(config, &event.tenant), peek(config, &event));
    let wanted = wanted(config, &event, &located, &claims);
    let topics = config.kafka.topics.clone();
    let place = located.source.clone();
    let (trail, position) = tokio::task::spawn_blocking(move || {
        let position = finder.committed(&place.topic, place.partition);
        (trail::follow(&finder, &topics, &wanted, asked.quiet), position)
    })
    .await?;
    let mut names = located.names;
    names.extend(trail.names.clone());
    names.insert(bet_id(&event.id), event.id.as_str().to_owned());
    let mut traces = Traces {
        config,
        event,
        written_at: located.written_at,
        now: clock::now(),
        preferences,
        log,
        claims,
        trail,
        evaluated: position.ok().map(|next| next.is_some_and(|next| next > located.source.offset)),
        source: located.source,
        names,
    };
    if traces.left_any() {
        // Positions are committed a little later than their records are done with.
        traces.evaluated = Some(true);
    }
    Ok(traces.explanation())
}

fn not_decided(asked: &Asked, located: Located, ending: Ending, rejection: Option<Rejection>) -> Explanation {
    let place = Place::record(&located.source, located.written_at, None);
    let mut explanation = undecided(asked.event.as_str(), located.said, place, ending, rejection);
    if ending == Ending::Rejected {
        explanation.notes.push("its record goes to the dead-letter topic as it is".to_owned());
    }
    explanation
}

/// Why an event is refused that says it comes from the future, as far as its record's time tells.
fn in_future(event: &Event, written_at: Option<Timestamp>, skew: Duration) -> Option<Rejection> {
    let ahead = event.occurred_at.since(written_at?);
    (ahead > skew).then(|| Rejection {
        code: RejectCode::TimestampInFuture.name(),
        error: format!(
            "occurred_at is {} s ahead of when it was written, and {} s are allowed (an estimate: the evaluator's clock counts)",
            ahead.as_secs(),
            skew.as_secs()
        ),
    })
}

/// The tenant's preferences from where they are configured to be, past every copy.
async fn fetch(config: &Config, tenant: &TenantId) -> Result<Option<Preferences>, String> {
    let source = wiring::source(config).map_err(|error| format!("{error:#}"))?;
    let fetched = tokio::time::timeout(PATIENCE, source.fetch(tenant)).await;
    match fetched.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))? {
        Fetched::Document(preferences) => Ok(Some(preferences)),
        // A tenant without a credential where each has its own is a tenant that nobody has.
        Fetched::NotFound | Fetched::NoCredential => Ok(None),
        Fetched::Unreadable(reason) | Fetched::Refused { reason, .. } | Fetched::Away { reason } => Err(reason),
    }
}

type Peeked = (Option<Result<Vec<Bet>, String>>, HashMap<Trigger, Result<Vec<Claim>, String>>);

/// The customer's log and claims as they stand.
async fn peek(config: &Config, event: &Event) -> Peeked {
    let claiming: Vec<Trigger> = event.activity.kind().tests().to_vec();
    let claiming = claiming.into_iter().filter(|trigger| !config.evaluate.cooldown.of(*trigger).is_zero());
    let is_bet = matches!(event.activity, Activity::Bet(_));
    let mut claims = HashMap::new();
    let store = match Metrics::new(1) {
        Ok(metrics) => wiring::redis(config, &metrics),
        Err(error) => return (is_bet.then(|| Err(error.to_string())), claims),
    };
    let log = match is_bet {
        true => Some(in_time(store.peek_window(&event.tenant, &event.customer)).await),
        false => None,
    };
    for trigger in claiming {
        let peeked = match &log {
            // Whoever did not answer a moment ago is not waited for again.
            Some(Err(reason)) => Err(reason.clone()),
            Some(Ok(_)) | None => in_time(store.peek_claims(&event.tenant, &event.customer, trigger)).await,
        };
        claims.insert(trigger, peeked);
    }
    (log, claims)
}

async fn in_time<T, E: std::error::Error>(peeking: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, peeking).await {
        Ok(peeked) => peeked.map_err(|error| format!("Redis: {}", in_full(&error))),
        Err(_) => Err(format!("Redis: no answer within {} s", PATIENCE.as_secs())),
    }
}

/// What is to be looked for on the topics behind the event.
fn wanted(
    config: &Config,
    event: &Event,
    located: &Located,
    claims: &HashMap<Trigger, Result<Vec<Claim>, String>>,
) -> Wanted {
    let tested = event.activity.kind().tests();
    let met = |trigger: &Trigger| {
        let claims = claims.get(trigger)?.as_ref().ok()?;
        match hindsight(config, event, *trigger, claims) {
            Hindsight::CooledDown(by) | Hindsight::Overtaken(by) => Some((*trigger, by)),
            Hindsight::Held(_) | Hindsight::Free(_) | Hindsight::Forgotten => None,
        }
    };
    Wanted {
        event: event.clone(),
        commands: tested.iter().map(|trigger| (*trigger, CommandId::of(&event.tenant, *trigger, &event.id))).collect(),
        claims: tested.iter().filter_map(met).collect(),
        since: located.written_at.unwrap_or(event.occurred_at),
        skew: config.evaluate.max_clock_skew,
    }
}

fn hindsight(config: &Config, event: &Event, trigger: Trigger, claims: &[Claim]) -> Hindsight {
    let own = Claim { at: event.occurred_at, event: bet_id(&event.id) };
    Hindsight::of(claims, own, config.evaluate.cooldown.of(trigger), config.evaluate.claim_retention(trigger))
}

impl Traces<'_> {
    /// Whether the event left anything that only its evaluation leaves.
    fn left_any(&self) -> bool {
        let own = arrival(&self.source);
        let logged = self.log.as_ref().and_then(|log| log.as_ref().ok());
        let logged =
            logged.is_some_and(|log| log.iter().any(|bet| bet.arrival == own && bet.id == bet_id(&self.event.id)));
        let holds = |(trigger, claims): (&Trigger, &Result<Vec<Claim>, String>)| {
            claims
                .as_ref()
                .is_ok_and(|claims| matches!(hindsight(self.config, &self.event, *trigger, claims), Hindsight::Held(_)))
        };
        let commanded = self.trail.commands.as_ref().is_ok_and(|commands| !commands.is_empty());
        logged || commanded || self.claims.iter().any(holds)
    }

    pub(super) fn explanation(&self) -> Explanation {
        let preferences = match &self.preferences {
            Ok(known) => explanation::Preferences {
                status: if known.is_some() { Knowledge::Known } else { Knowledge::None },
                updated_at: known.as_ref().and_then(|preferences| preferences.updated_at.clone()),
                why: None,
            },
            Err(reason) => {
                explanation::Preferences { status: Knowledge::Unknown, updated_at: None, why: Some(reason.clone()) }
            }
        };
        let place = Place::record(&self.source, self.written_at, self.evaluated);
        Explanation {
            version: VERSION,
            event: subject(&self.event, place),
            preferences,
            triggers: self.event.activity.kind().tests().iter().map(|trigger| self.tested(*trigger)).collect(),
            repeats: Vec::new(),
            notes: self.notes(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.evaluated == Some(false) {
            notes.push(
                "it is not evaluated yet: the group's position is before it; what follows is how it would come out now"
                    .to_owned(),
            );
        }
        if self.evaluated.is_none() {
            notes.push("whether it is evaluated yet is unknown: the group's position could not be read".to_owned());
        }
        notes
    }

    /// The rules as they stand, applied to the event as it stood.
    fn tested(&self, trigger: Trigger) -> Tested {
        let cooldown = self.config.evaluate.cooldown.of(trigger);
        let view = self.window_view(trigger);
        let met = self.claims.get(&trigger).map(|claims| {
            claims.as_ref().map(|claims| hindsight(self.config, &self.event, trigger, claims)).map_err(Clone::clone)
        });
        let age = Age { age: self.age(), limit: self.config.evaluate.max_event_age, measured: self.measured() };
        let case = Case {
            trigger,
            tenant: match &self.preferences {
                Ok(Some(preferences)) => Tenant::Known(preferences),
                Ok(None) => Tenant::None,
                Err(reason) => Tenant::Unknown(reason),
            },
            ruling: self.ruling(trigger, view.as_ref().map(|view| &view.reach), met.as_ref()),
            cooldown,
            claim: self.claim(met.as_ref()),
            fired_before: match met {
                Some(Ok(Hindsight::Free(before))) => before.map(|claim| claim.at),
                Some(_) | None => None,
            },
            age: Some(age),
        };
        evidence::weigh(self, &case, view, met.as_ref())
    }

    fn ruling(
        &self,
        trigger: Trigger,
        reach: Option<&Result<crate::domain::window::Reach, String>>,
        met: Option<&Result<Hindsight, String>>,
    ) -> Ruling {
        let known = match &self.preferences {
            Ok(Some(preferences)) => Known::Preferences(preferences),
            Ok(None) => Known::NoTenant,
            Err(_) => return Ruling::NoPreferences,
        };
        let reach = match reach {
            Some(Ok(reach)) => Some(*reach),
            Some(Err(reason)) => return Ruling::NoWindow(reason.clone()),
            None => None,
        };
        let facts = match judge(&self.event, trigger, known, reach) {
            Verdict::Decided(decision) => return Ruling::Decided(decision),
            Verdict::Candidate(facts) => facts,
        };
        let settings = &self.config.evaluate;
        let limit = settings.max_event_age;
        let freshness = match limit {
            Some(limit) if self.age() > limit => Freshness::TooOld { age: self.age(), limit },
            Some(_) | None => Freshness::Fresh,
        };
        let retention = settings.claim_retention(trigger);
        let answer = match met {
            // Its claims are not asked for.
            None => None,
            Some(_) if matches!(freshness, Freshness::TooOld { age, .. } if age > retention) => None,
            Some(Err(reason)) => return Ruling::NoClaims { facts, reason: reason.clone() },
            Some(Ok(met)) if self.claims_may_be_gone(trigger, *met) => {
                let reason = format!("its claims are no longer kept; they are for {} s", retention.as_secs());
                return Ruling::NoClaims { facts, reason };
            }
            Some(Ok(met)) => met.answer(),
        };
        Ruling::Decided(conclude(facts, freshness, answer, settings.cooldown.of(trigger)))
    }

    /// Whether claims may have stood there that are forgotten by now.
    fn claims_may_be_gone(&self, trigger: Trigger, met: Hindsight) -> bool {
        match met {
            Hindsight::Forgotten => true,
            Hindsight::Held(_) | Hindsight::CooledDown(_) | Hindsight::Overtaken(_) | Hindsight::Free(Some(_)) => false,
            Hindsight::Free(None) => {
                let settings = &self.config.evaluate;
                let kept = settings.claim_retention(trigger).saturating_add(settings.cooldown.of(trigger));
                let kept = kept.saturating_add(self.config.windows.outage_budget);
                self.now.since(self.written_at.unwrap_or(self.event.occurred_at)) > kept
            }
        }
    }

    fn claim(&self, met: Option<&Result<Hindsight, String>>) -> Option<ClaimSeen> {
        let (claim, how) = match met?.as_ref().ok()? {
            Hindsight::Held(claim) => (claim, "it fired, and holds the claim that it took"),
            Hindsight::CooledDown(claim) => (claim, ""),
            Hindsight::Overtaken(claim) => {
                (claim, "that is a later event, so this one came out of order or was not decided by then")
            }
            Hindsight::Free(_) | Hindsight::Forgotten => return None,
        };
        Some(ClaimSeen { at: claim.at, event: self.names.get(&claim.event).cloned(), how: how.to_owned() })
    }

    /// How old the event was when it was evaluated, by the best estimate there is.
    fn age(&self) -> Duration {
        let evaluated_at = match self.evaluated {
            Some(false) => self.now,
            Some(true) | None => self.written_at.unwrap_or(self.now),
        };
        evaluated_at.since(self.event.occurred_at)
    }

    fn measured(&self) -> &'static str {
        match (self.evaluated, self.written_at) {
            (Some(false), _) => "by now",
            (Some(true) | None, Some(_)) => "when it was written to its topic, which estimates when it was evaluated",
            (Some(true) | None, None) => "by now, its record telling no time",
        }
    }

    /// What the preferences say of a frequency, where this trigger reads one.
    pub(super) fn frequency(&self, trigger: Trigger) -> Option<crate::domain::preferences::FrequencyBound> {
        match self.preferences.as_ref().ok()?.as_ref()?.setting(trigger) {
            Setting::Frequency(bound) => Some(bound),
            Setting::FeatureOff | Setting::Off | Setting::Plain | Setting::Amount(_) => None,
        }
    }
}

/// Whether the rules say that a command was required.
pub(super) fn is_required(ruling: &Ruling) -> bool {
    match ruling {
        Ruling::Decided(Decision::Required { .. }) => true,
        Ruling::Decided(_) | Ruling::NoPreferences | Ruling::NoWindow(_) | Ruling::NoClaims { .. } => false,
    }
}

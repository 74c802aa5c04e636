//! One event of a running deployment, explained from what its topics, stores and preferences hold now.
//!
//! An event is decided once, and nothing keeps the decision but its traces: a record in the window's log, a claim, a
//! command. From these and the rules it is told again how the event came out. Where they disagree with what the rules say
//! now, the traces are right, and the explanation says so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::traces::{Traces, hindsight};
use super::trail::{self, Located, Wanted};
use super::undecided;
use crate::config::Config;
use crate::domain::claim::Claim;
use crate::domain::decide::Mode;
use crate::domain::event::{Activity, Event};
use crate::domain::hindsight::Hindsight;
use crate::domain::ids::{CommandId, CustomerId, EventId, Source, TenantId};
use crate::domain::outcome::RejectCode;
use crate::domain::preferences::Preferences;
use crate::domain::time::Timestamp;
use crate::domain::trigger::Trigger;
use crate::domain::window::Bet;
use crate::edge::clock;
use crate::edge::kafka::find::Finder;
use crate::edge::peek::Peek;
use crate::edge::preferences::{Fetched, PreferencesSource as _};
use crate::edge::{Scope, Scoped as _};
use crate::metrics::Metrics;
use crate::roles::hold::in_full;
use crate::roles::wiring;
use crate::wire::event::{self, Decoded};
use crate::wire::explanation::{Ending, Explanation, Place, Rejection};
use crate::wire::window::bet_id;

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
    let source = wiring::source(config, &config.preferences.source).map_err(|error| format!("{error:#}"))?;
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
            Some(Ok(_)) | None => {
                let ledger = match config.evaluate.shadow.mode(&event.tenant, trigger) {
                    Mode::Live => store.clone(),
                    Mode::Shadow => store.scoped(Scope::Shadow),
                };
                in_time(ledger.peek_claims(&event.tenant, &event.customer, trigger)).await
            }
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
    let mode = |trigger| config.evaluate.shadow.mode(&event.tenant, trigger);
    let met = |trigger: &Trigger| {
        let claims = claims.get(trigger)?.as_ref().ok()?;
        match hindsight(config, event, *trigger, claims) {
            Hindsight::CooledDown(by) | Hindsight::Overtaken(by) => Some((mode(*trigger), by)),
            Hindsight::Held(_) | Hindsight::Free(_) | Hindsight::Forgotten => None,
        }
    };
    Wanted {
        event: event.clone(),
        commands: tested
            .iter()
            .map(|trigger| (mode(*trigger), CommandId::of(&event.tenant, *trigger, &event.id)))
            .collect(),
        claims: tested.iter().filter_map(met).collect(),
        since: located.written_at.unwrap_or(event.occurred_at),
        skew: config.evaluate.max_clock_skew,
    }
}

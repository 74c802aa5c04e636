//! Following the controls: what is switched anywhere counts here within a second or two, and is seen wherever people look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::hold::in_full;
use super::pause;
use crate::config::Config;
use crate::domain::control::{Control, Controls, Kind, OFF_KEPT, Target};
use crate::edge::clock;
use crate::edge::controls::{Standing, Switchboard, Written};
use crate::health::{Dependency, Health};
use crate::metrics::Metrics;

/// How often the store is looked at. With the longest that a call may take it must stay well below five seconds.
const EVERY: Duration = Duration::from_secs(1);
/// How long somebody who only wants to know waits for the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// The controls as this process knows them. Clones share them.
#[derive(Clone)]
pub struct Known(watch::Sender<Arc<Controls>>);

impl Known {
    pub fn new(controls: Controls) -> Self {
        Self(watch::Sender::new(Arc::new(controls)))
    }

    pub fn now(&self) -> Arc<Controls> {
        Arc::clone(&self.0.borrow())
    }

    /// Hears of every change.
    pub fn changes(&self) -> watch::Receiver<Arc<Controls>> {
        self.0.subscribe()
    }

    /// Takes in what others set. The store is told of what it does not know yet by [`follow`].
    pub fn learn(&self, controls: impl IntoIterator<Item = Control>) {
        self.0.send_if_modified(|known| {
            let mut after = Controls::clone(known);
            for control in controls {
                after.learn(control);
            }
            after.forget(clock::now().minus(OFF_KEPT));
            let changed = after != **known;
            if changed {
                *known = Arc::new(after);
            }
            changed
        });
    }
}

/// The configuration as it counts at this moment: with what is in shadow by a control, where the store tells.
pub async fn as_switched(mut config: Config) -> Config {
    let standing = async { pause::standing(&pause::store(&config)?).await };
    if let Ok(Ok(standing)) = tokio::time::timeout(PATIENCE, standing).await {
        config.evaluate.shadow.controls = Arc::new(Controls::of(standing.controls));
    }
    config
}

/// Looks at the store every second until `stop`. What is known and not there, or older there, is written back: a store
/// that was emptied ends no pause. While the store is away what was known last counts, and readiness says so.
pub async fn follow<S: Switchboard>(store: S, known: Known, mut board: Board, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        match store.standing().await {
            Ok(standing) => {
                board.health.clear(Dependency::Redis);
                board.unreadable(standing.unreadable);
                write_back(&store, &known, standing).await;
            }
            // Whoever cannot go on without it tells of it as well, but where nothing comes nobody asks.
            Err(error) => board.health.suspect(Dependency::Redis, &in_full(&error)),
        }
        board.show(&known.now());
    }
}

async fn write_back<S: Switchboard>(store: &S, known: &Known, Standing { controls, .. }: Standing) {
    let stored = Controls::of(controls.iter().cloned());
    known.learn(controls);
    let missing: Vec<Control> = known.now().unknown_to(&stored).cloned().collect();
    if missing.is_empty() {
        return;
    }
    tracing::info!(controls = missing.len(), "the store does not know these controls yet; they are written there");
    match store.set(&missing).await {
        Ok(written) if written.contains(&Written::NoRoom) => {
            tracing::error!("the store holds as many controls as it may; this one is known to this process only");
        }
        // The next look tries again.
        Ok(_) | Err(_) => {}
    }
}

/// Where people see what is switched: metrics, readiness page, log.
pub struct Board {
    pub metrics: Metrics,
    pub health: Health,
    shown: BTreeMap<(Kind, Target), Control>,
    unreadable: usize,
}

impl Board {
    pub fn new(metrics: Metrics, health: Health) -> Self {
        Self { metrics, health, shown: BTreeMap::new(), unreadable: 0 }
    }

    /// Shows what is on, and says what has changed since the last time.
    pub fn show(&mut self, controls: &Controls) {
        let active: BTreeMap<_, _> =
            controls.active().map(|control| ((control.kind, control.target.clone()), control.clone())).collect();
        if active == self.shown {
            return;
        }
        for (name, gone) in self.shown.iter().filter(|(name, _)| !active.contains_key(*name)) {
            let reason = controls.get(name.0, &name.1).map(|control| control.reason.as_str()).unwrap_or_default();
            tracing::warn!(what = %gone.target, reason, "{}", ended(gone.kind));
        }
        for control in active.iter().filter(|(name, control)| self.shown.get(*name) != Some(*control)).map(|new| new.1)
        {
            let Control { kind, target, at, reason, .. } = control;
            tracing::warn!(what = %target, since = %at, reason = reason.as_str(), "{}", begun(*kind));
        }
        self.metrics.set_controls(controls.active());
        self.health.set_controls(active.values().map(Control::to_string).collect());
        self.shown = active;
    }

    fn unreadable(&mut self, entries: usize) {
        if entries > self.unreadable {
            tracing::warn!(entries, "the store holds controls that this version cannot read; they have no effect here");
        }
        self.unreadable = entries;
    }
}

fn begun(kind: Kind) -> &'static str {
    match kind {
        Kind::Pause => "paused: commands wait, and expire as always",
        Kind::Shadow => "in shadow: decided and counted, and nobody is asked",
    }
}

fn ended(kind: Kind) -> &'static str {
    match kind {
        Kind::Pause => "resumed: commands are delivered again",
        Kind::Shadow => "out of shadow: customers are asked again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::control::{Reason, State};
    use crate::domain::ids::TenantId;
    use crate::domain::time::Timestamp;
    use crate::domain::trigger::Trigger;
    use crate::edge::memory::store::MemoryStore;

    fn pause(tenant: &str, state: State, at: Timestamp) -> Control {
        let target = Target { tenant: Some(TenantId::new(tenant).unwrap()), trigger: None };
        Control { kind: Kind::Pause, target, state, at, reason: Reason::of("why") }
    }

    fn is_paused(controls: &Controls, tenant: &str) -> bool {
        controls.is_paused(&TenantId::new(tenant).unwrap(), Trigger::Login)
    }

    async fn stored(store: &MemoryStore) -> Controls {
        Controls::of(store.standing().await.unwrap().controls)
    }

    #[tokio::test]
    async fn an_emptied_store_is_given_back_what_is_known_and_the_latest_counts() {
        let now = clock::now();
        let before = MemoryStore::new();
        before.set(&[pause("a", State::On, now), pause("b", State::Off, now)]).await.unwrap();
        let known = Known::new(Controls::default());
        write_back(&before, &known, before.standing().await.unwrap()).await;
        assert!(is_paused(&known.now(), "a"));
        // Emptied, and somebody set one anew who knew of an older one.
        let after = MemoryStore::new();
        after.set(&[pause("b", State::On, now.minus(EVERY))]).await.unwrap();
        write_back(&after, &known, after.standing().await.unwrap()).await;
        let stored = stored(&after).await;
        assert!(is_paused(&stored, "a") && !is_paused(&stored, "b"), "{stored:?}");
        assert_eq!(stored, *known.now());
    }

    #[tokio::test]
    async fn what_has_been_off_for_long_is_not_written_back() {
        let known = Known::new(Controls::default());
        known.learn([pause("a", State::Off, clock::now().minus(OFF_KEPT * 2))]);
        assert!(known.now().is_empty());
    }

    #[test]
    fn what_is_on_is_shown_until_it_is_off() {
        let (metrics, health) = (Metrics::new(4).unwrap(), Health::new());
        let mut board = Board::new(metrics.clone(), health.clone());
        let on = pause("a", State::On, Timestamp(0));
        board.show(&Controls::of([on.clone(), pause("b", State::Off, Timestamp(0))]));
        assert_eq!(health.controls(), [on.to_string()]);
        let series = r#"stepup_controls{kind="pause",tenant="a",trigger="any"} 1"#;
        assert!(metrics.render().contains(series), "{}", metrics.render());
        board.show(&Controls::of([on, pause("a", State::Off, Timestamp(1))]));
        assert_eq!(health.controls(), Vec::<String>::new());
        assert!(!metrics.render().contains(series));
    }
}

//! The roles of one process over one store, from their start to their stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::console::Console;
use super::controls::{self, Board, Known};
use super::dispatch::Dispatch;
use super::evaluate::candidate::{Beside, Candidate};
use super::evaluate::guard::Guard;
use super::evaluate::{Evaluate, FloodStop, Unread};
use super::hold::Holder;
use super::own_thread::on_own_thread;
use super::refill::{Decisions, Fill, Filled, FixedOutcomes, Kept};
use super::walk::Ledgers;
use super::{background, wiring};
use crate::config::{self, Config, Receipts};
use crate::domain::control::Controls;
use crate::domain::ids::TenantId;
use crate::edge::claims::Claims;
use crate::edge::clock;
use crate::edge::controls::Switchboard;
use crate::edge::kafka::consumer::Consumer;
use crate::edge::kafka::producer::Producer;
use crate::edge::marks::{Marks, Part};
use crate::edge::outcomes::Outcomes;
use crate::edge::quotas::Quotas;
use crate::edge::windows::Windows;
use crate::edge::{Scope, Scoped};
use crate::health::{Dependency, Health};
use crate::metrics::{HeldReason, Metrics, Role};
use crate::shutdown::with_deadline;
use crate::traces::Traces;

/// How long the roles may take to finish what they have at hand. A pod's grace period must be longer.
pub const DRAIN: Duration = Duration::from_secs(20);

pub struct Processor<S> {
    pub config: Config,
    /// Windows, claims and outcomes.
    pub store: S,
    pub metrics: Metrics,
    pub health: Health,
    pub stop: CancellationToken,
    pub traces: Traces,
    /// The page that shows what is decided, where there is one.
    pub console: Option<Console>,
}

/// What has been started.
struct Started {
    roles: JoinSet<anyhow::Result<()>>,
    /// Ends what runs beside the roles.
    side: CancellationToken,
    controls: Known,
}

impl<S: Windows + Claims + Quotas + Outcomes + Switchboard + Scoped + Marks + Clone + 'static> Processor<S> {
    /// Puts the roles on the board of health. Their store is there as soon as it answered, which one in memory has.
    pub fn register(&self) {
        for role in self.config.roles.iter().copied().map(wiring::role) {
            self.health.register(role, wiring::needs(role));
            if self.config.windows.store == config::Store::Memory {
                self.health.ready(role, Dependency::Redis);
            }
        }
    }

    /// Starts the configured roles and works until they are told to stop.
    pub async fn work(&self) -> anyhow::Result<()> {
        let preferences = Arc::new(wiring::preferences(&self.config, &self.metrics)?);
        let side = CancellationToken::new();
        let _ends = side.clone().drop_guard();
        let Some(controls) = self.controls(&side).await else { return Ok(()) };
        let mut started = Started { roles: JoinSet::new(), side, controls };
        for role in &self.config.roles {
            self.metrics.start_role(wiring::role(*role));
            match role {
                config::Role::Evaluate => self.evaluate(&preferences, &mut started)?,
                config::Role::Dispatch => self.dispatch(&preferences, &mut started)?,
            }
        }
        self.until_stopped(started).await
    }

    /// Reads the controls, without which nothing may begin, and follows them from then on. `None`: told to stop meanwhile.
    async fn controls(&self, side: &CancellationToken) -> Option<Known> {
        let holder = self.holder(self.config.roles.first().map_or(Role::Dispatch, |role| wiring::role(*role)));
        let read = || self.store.standing();
        let standing = holder.until_ok(HeldReason::Controls, Dependency::Redis, read).await.ok()?;
        let known = Known::new(Controls::of(standing.controls));
        let mut board = Board::new(self.metrics.clone(), self.health.clone());
        board.show(&known.now());
        tokio::spawn(controls::follow(self.store.clone(), known.clone(), board, side.clone()));
        Some(known)
    }

    pub fn holder(&self, role: Role) -> Holder {
        Holder::new(role, self.metrics.clone(), self.health.clone(), self.stop.clone())
    }

    fn evaluate(&self, preferences: &Arc<wiring::TenantPreferences>, started: &mut Started) -> anyhow::Result<()> {
        let config = &self.config;
        let kept = self.kept_decisions(preferences, started);
        // Connections of its own, so that they are made and served on the thread of the role.
        let store = Filled::new(&self.store, Part::Decisions, &kept).beside();
        let claims = store.beside();
        let role = Evaluate {
            windows: store,
            claims: Ledgers { shadow: claims.scoped(Scope::Shadow), live: claims },
            kept,
            sink: Producer::new(wiring::kafka(config)).context("kafka")?,
            preferences: Arc::clone(preferences),
            settings: config.evaluate.clone(),
            window_settings: config.windows.clone(),
            max_command_age: config.dispatch.max_command_age,
            topics: config.kafka.topics.clone(),
            metrics: self.metrics.clone(),
            holder: self.holder(Role::Evaluate).under(config.evaluate.unavailable.terms()),
            unread: Unread::default(),
            flood: FloodStop::new(config.evaluate.flood.terms(), self.metrics.clone(), self.health.clone()),
            guard: Guard::new(&config.evaluate, started.controls.clone(), self.metrics.clone()),
            candidate: self.candidate(&started.side)?,
            traces: self.traces.clone(),
            console: self.console.clone(),
        };
        if let Some(console) = &self.console {
            let known = Arc::clone(preferences);
            console.show_preferences(move |most| known.snapshot(most));
        }
        let (holder, unread, side) = (role.holder.clone(), role.unread.clone(), started.side.clone());
        tokio::spawn(background::look_for_store(self.store.clone(), holder.clone(), side.clone()));
        tokio::spawn(background::look_for_preferences(Arc::clone(preferences), unread, holder, side));
        let flood = role.flood.clone();
        let gone = move |topic: &str, partition| flood.gone(topic, partition);
        let observer = wiring::observer(Role::Evaluate, &self.metrics, &self.health, gone);
        let mut consumer = Consumer::start(wiring::evaluate_input(config), observer).context("kafka")?;
        let activity = consumer.lanes.remove(0);
        let (progress, stop) = (consumer.progress.clone(), self.stop.clone());
        started.roles.spawn(async move {
            let worked = on_own_thread("evaluate", role.run(activity, progress, stop)).await;
            consumer.stop().await;
            worked.context("evaluate")
        });
        let topics = &config.kafka.topics;
        let shadow = wiring::may_shadow(&config.evaluate, &started.controls.now()).then_some(&topics.shadow_commands);
        let receipts = (config.evaluate.receipts != Receipts::Off).then_some(&topics.receipts);
        let written = [&topics.commands, &topics.dead_letters].into_iter().chain(shadow).chain(receipts);
        self.watch_topics(Role::Evaluate, topics.activity.iter().chain(written), &started.side);
        let (known, side) = (Arc::clone(preferences), started.side.clone());
        tokio::spawn(background::follow_doubts(self.store.clone(), Arc::clone(&known), side.clone()));
        tokio::spawn(background::measure_preferences(self.metrics.clone(), known, side));
        Ok(())
    }

    fn kept_decisions(&self, preferences: &Arc<wiring::TenantPreferences>, started: &Started) -> Kept {
        let fill = Decisions {
            windows: self.store.clone(),
            claims: Ledgers { live: self.store.clone(), shadow: self.store.scoped(Scope::Shadow) },
            preferences: Arc::clone(preferences),
            connection: wiring::kafka(&self.config),
            group: wiring::evaluate_input(&self.config).group_id,
            topics: self.config.kafka.topics.clone(),
            with_shadow: wiring::may_shadow(&self.config.evaluate, &started.controls.now()),
            settings: self.config.evaluate.clone(),
            window_settings: self.config.windows.clone(),
        };
        self.kept(Part::Decisions, fill, Role::Evaluate, started)
    }

    fn kept_outcomes(&self, started: &Started) -> Kept {
        let fill = FixedOutcomes {
            store: self.store.clone(),
            connection: wiring::kafka(&self.config),
            group: wiring::dispatch_input(&self.config).group_id,
            commands: self.config.kafka.topics.commands.clone(),
            outcomes: self.config.kafka.topics.outcomes.clone(),
        };
        self.kept(Part::Outcomes, fill, Role::Dispatch, started)
    }

    fn kept(&self, part: Part, fill: impl Fill + 'static, role: Role, started: &Started) -> Kept {
        let kept = Kept::new(self.store.clone(), part, fill, self.holder(role));
        tokio::spawn(kept.clone().keep_marks(started.side.clone()));
        kept
    }

    /// Starts what decides by the candidate preferences, where there are any.
    fn candidate(&self, side: &CancellationToken) -> anyhow::Result<Option<Beside>> {
        let Some(preferences) = wiring::candidate(&self.config)? else { return Ok(None) };
        let candidate = Candidate {
            store: self.store.scoped(Scope::Candidate),
            preferences,
            settings: self.config.evaluate.clone(),
            window_settings: self.config.windows.clone(),
            metrics: self.metrics.clone(),
        };
        let (beside, taken) = Beside::new(self.metrics.clone());
        tokio::spawn(candidate.run(taken, side.clone()));
        Ok(Some(beside))
    }

    fn dispatch(&self, preferences: &Arc<wiring::TenantPreferences>, started: &mut Started) -> anyhow::Result<()> {
        let config = &self.config;
        let known = Arc::clone(preferences);
        let role = Dispatch {
            outcomes: Filled::new(&self.store, Part::Outcomes, &self.kept_outcomes(started)),
            sessions: wiring::sessions(config)?,
            sink: Producer::new(wiring::kafka(config)).context("kafka")?,
            settings: config.dispatch.clone(),
            policy: wiring::retry_policy(&config.dispatch),
            topics: config.kafka.topics.clone(),
            redirect_url: config.session_api.redirect_url.clone(),
            callback_url: config.session_api.callback_url.clone(),
            on_contradiction: Arc::new(move |tenant: &TenantId| {
                let (known, tenant, now) = (Arc::clone(&known), tenant.clone(), clock::now());
                tokio::spawn(async move { known.doubt(&tenant, now).await });
            }),
            controls: started.controls.clone(),
            metrics: self.metrics.clone(),
            holder: self.holder(Role::Dispatch).under(config.dispatch.unavailable.terms()),
            traces: self.traces.clone(),
            route: wiring::route(config),
        };
        let (holder, side) = (role.holder.clone(), started.side.clone());
        tokio::spawn(background::look_for_store(self.store.clone(), holder, side));
        let observer = wiring::observer(Role::Dispatch, &self.metrics, &self.health, |_, _| {});
        let mut consumer = Consumer::start(wiring::dispatch_input(config), observer).context("kafka")?;
        let commands = consumer.lanes.remove(0);
        let retries = consumer.lanes.remove(0);
        let (progress, stop) = (consumer.progress.clone(), self.stop.clone());
        started.roles.spawn(async move {
            let ended = role.run(commands, retries, progress, stop).await;
            consumer.stop().await;
            ended
        });
        let topics = &config.kafka.topics;
        let used = [&topics.commands, &topics.retries, &topics.outcomes, &topics.dead_letters];
        self.watch_topics(Role::Dispatch, used.into_iter(), &started.side);
        let url = config.session_api.url.clone().unwrap_or_default();
        tokio::spawn(background::watch_session_api(
            url,
            config.session_api.ca_file.clone(),
            self.holder(Role::Dispatch),
            started.side.clone(),
        ));
        Ok(())
    }

    fn watch_topics<'a>(&self, role: Role, topics: impl Iterator<Item = &'a String>, side: &CancellationToken) {
        let (connection, topics) = (wiring::kafka(&self.config), topics.cloned().collect());
        tokio::spawn(background::watch_topics(connection, topics, self.holder(role), side.clone()));
    }

    /// Waits for the signal to stop, then for what is at hand, then for the groups to be left. A role that ends before
    /// that ends the process: somebody starts it anew.
    async fn until_stopped(&self, mut started: Started) -> anyhow::Result<()> {
        let mut result = Ok(());
        tokio::select! {
            () = self.stop.cancelled() => {}
            Some(ended) = started.roles.join_next() => {
                result = ended.context("a role ended unexpectedly").and_then(|ended| ended);
                if result.is_ok() && !self.stop.is_cancelled() {
                    result = Err(anyhow::anyhow!("a role ended although nobody told it to"));
                }
                self.stop.cancel();
            }
        }
        let drained = async { while started.roles.join_next().await.is_some() {} };
        // A call that is cut off is an answer that is lost.
        let budget = DRAIN.max(self.config.session_api.timeout + Duration::from_secs(10));
        if let Err(missed) = with_deadline(drained, budget, "the work at hand").await {
            tracing::warn!(%missed, "what is not finished is read again by whoever comes next");
            started.roles.abort_all();
        }
        tracing::info!("stepup has stopped");
        result
    }
}

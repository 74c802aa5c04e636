//! `stepup pause` and `stepup resume`: the emergency stop. What is set here counts in every replica within seconds.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::wiring;
use crate::config::{Config, Store};
use crate::domain::control::{Control, Controls, Kind, LONGEST_REASON, Reason, State, Target};
use crate::domain::ids::{InvalidId, TenantId};
use crate::domain::trigger::Trigger;
use crate::edge::controls::{Standing, Switchboard, Written};
use crate::edge::redis::RedisStore;
use crate::edge::{StoreError, clock};
use crate::metrics::Metrics;

#[derive(Args, Debug)]
#[command(
    override_usage = "stepup pause --config FILE [--tenant T] [--trigger X] [--reason TEXT]\n       stepup pause --config FILE --list",
    after_help = "Without --tenant and --trigger ALL commands are paused. It counts in every replica within 5 seconds; calls \
                  under way are finished. Events are decided all the same. Commands that are held meanwhile expire as always, \
                  at dispatch.max_command_age, with the outcome `expired`.\n\n\
                  Examples:\n  stepup pause --config stepup.yaml --tenant acme \\\n      \
                  --reason 'they see too many selfies'\n  \
                  stepup pause --config stepup.yaml --list"
)]
pub struct PauseArgs {
    /// The configuration of the processors that are to pause.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Why, for those who find it paused; at most 200 characters.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = reason)]
    reason: Reason,
    /// Change nothing, and list what is paused or in shadow.
    #[arg(long, conflicts_with_all = ["tenant", "trigger", "reason"])]
    list: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Ends the pause of exactly what is named: one for a tenant is not ended by resuming everything.\n\n\
                  Example:\n  stepup resume --config stepup.yaml --tenant acme"
)]
pub struct ResumeArgs {
    /// The configuration of the processors that are to go on.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Why; at most 200 characters.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = reason)]
    reason: Reason,
}

/// Whom a pause is for.
#[derive(Args, Debug)]
struct TargetArgs {
    /// Only this tenant.
    #[arg(long, value_name = "TENANT", value_parser = TenantId::new as fn(&str) -> Result<TenantId, InvalidId>)]
    tenant: Option<TenantId>,
    /// Only this trigger.
    #[arg(long, value_name = "TRIGGER", value_parser = trigger)]
    trigger: Option<Trigger>,
}

pub(super) fn trigger(text: &str) -> Result<Trigger, String> {
    Trigger::from_name(text).ok_or_else(|| format!("must be one of: {}", Trigger::NAMES.join(", ")))
}

pub(super) fn reason(text: &str) -> Result<Reason, String> {
    let length = text.trim().chars().count();
    if length > LONGEST_REASON {
        return Err(format!("has {length} characters; at most {LONGEST_REASON} are allowed"));
    }
    Ok(Reason::of(text))
}

impl PauseArgs {
    pub fn config(&self) -> &Path {
        &self.config
    }
}

impl ResumeArgs {
    pub fn config(&self) -> &Path {
        &self.config
    }
}

impl TargetArgs {
    fn target(self) -> Target {
        Target { tenant: self.tenant, trigger: self.trigger }
    }
}

/// Pauses, or lists to `out` what is switched. `people` are told what it means.
pub async fn pause(
    args: PauseArgs,
    config: &Config,
    out: &mut impl Write,
    people: &mut impl Write,
) -> anyhow::Result<()> {
    let store = store(config)?;
    if args.list {
        return list(&standing(&store).await?, out);
    }
    let target = args.target.target();
    let set = set(&store, Kind::Pause, &target, State::On, args.reason).await?;
    let what =
        if target == Target::EVERYTHING { "ALL commands of ALL tenants".to_owned() } else { set.target.to_string() };
    let age = config.dispatch.max_command_age;
    writeln!(people, "paused: {what}, in every replica within 5 seconds.")?;
    writeln!(people, "Commands wait, and expire {age:?} after they were issued, as always.")?;
    writeln!(people, "To go on: stepup resume --config {}{}", args.config.display(), flags(&target))?;
    Ok(())
}

/// Ends a pause, and tells `people` what else still holds.
pub async fn resume(args: ResumeArgs, config: &Config, people: &mut impl Write) -> anyhow::Result<()> {
    let store = store(config)?;
    let target = args.target.target();
    let before = Controls::of(standing(&store).await?.controls);
    let was_on = before.get(Kind::Pause, &target).is_some_and(|control| control.state.is_on());
    // Also where nothing is found: a store that was emptied may not have been told yet.
    set(&store, Kind::Pause, &target, State::Off, args.reason).await?;
    let done = if was_on { "resumed" } else { "was not paused" };
    writeln!(people, "{done}: {target}")?;
    let overlapping = |control: &&Control| {
        let other = &control.target;
        control.kind == Kind::Pause && *other != target && (other.holds(&target) || target.holds(other))
    };
    for control in before.active().filter(overlapping) {
        writeln!(
            people,
            "still paused: {}, until stepup resume --config {}{}",
            control.target,
            args.config.display(),
            flags(&control.target)
        )?;
    }
    Ok(())
}

/// The flags that name a target.
fn flags(target: &Target) -> String {
    let tenant = target.tenant.as_ref().map(|tenant| format!(" --tenant {tenant}"));
    let trigger = target.trigger.map(|trigger| format!(" --trigger {trigger}"));
    tenant.unwrap_or_default() + &trigger.unwrap_or_default()
}

fn list(standing: &Standing, out: &mut impl Write) -> anyhow::Result<()> {
    let controls = Controls::of(standing.controls.iter().cloned());
    for control in controls.active() {
        writeln!(out, "{control}")?;
    }
    if controls.active().next().is_none() {
        writeln!(out, "nothing is paused or in shadow")?;
    }
    if standing.unreadable > 0 {
        writeln!(out, "{} entries are of another version and cannot be read", standing.unreadable)?;
    }
    Ok(())
}

/// Sets a control so that it counts whatever was set before.
pub(super) async fn set(
    store: &RedisStore,
    kind: Kind,
    target: &Target,
    state: State,
    reason: Reason,
) -> anyhow::Result<Control> {
    // Somebody else may set the same between our look and our setting it.
    for _ in 0..10 {
        let known = Controls::of(standing(store).await?.controls);
        let at = known.time_for(kind, target, clock::now());
        let control = Control { kind, target: target.clone(), state, at, reason: reason.clone() };
        let controls = std::slice::from_ref(&control);
        match patiently(|| store.set(controls)).await?.first() {
            Some(Written::Set) => return Ok(control),
            Some(Written::NoRoom) => bail!(
                "{} controls are stored, which is the most; `stepup pause --list` shows those that are on, and one for \
                 everything can stand in place of many",
                known.len()
            ),
            Some(Written::Outdated) | None => {}
        }
    }
    bail!("somebody else keeps setting the same control")
}

pub(super) async fn standing(store: &RedisStore) -> anyhow::Result<Standing> {
    patiently(|| store.standing()).await
}

/// Tries three times: who stops in an emergency should not have to type it again because a connection was lost.
pub(super) async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(call: impl Fn() -> F) -> anyhow::Result<T> {
    for _ in 0..2 {
        match call().await {
            Err(StoreError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(300)).await,
            answer @ (Ok(_) | Err(StoreError::Broken { .. } | StoreError::Lost { .. })) => {
                return answer.context("redis");
            }
        }
    }
    call().await.context("redis")
}

/// The store that the processors of this configuration share.
pub(super) fn store(config: &Config) -> anyhow::Result<RedisStore> {
    if config.windows.store == Store::Memory {
        bail!("windows.store is memory, which no other process can reach; this needs redis");
    }
    Ok(wiring::redis(config, &Metrics::new(0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_would_be_cut_is_refused() {
        let longest = "é".repeat(LONGEST_REASON);
        assert_eq!(reason(&format!(" {longest}\n")).unwrap().as_str(), longest);
        let error = reason(&format!("{longest}!")).unwrap_err();
        assert_eq!(error, "has 201 characters; at most 200 are allowed");
    }
}

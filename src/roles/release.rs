//! `stepup release` and `stepup keep`: what becomes of a trigger that the breaker put in shadow.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use super::pause;
use crate::config::Config;
use crate::domain::control::{Controls, Kind, Reason, State, Target};
use crate::domain::decide::Mode;
use crate::domain::ids::{InvalidId, TenantId};
use crate::domain::trigger::Trigger;

#[derive(Args, Debug)]
#[command(
    after_help = "Customers are asked again in every replica within 5 seconds, however often the trigger fires: it is judged \
                  again when its preferences change the next time.\n\n\
                  Example:\n  stepup release --config stepup.yaml --tenant acme --trigger deposit"
)]
pub struct ReleaseArgs {
    #[command(flatten)]
    what: WhatArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "The trigger stays in shadow until `stepup release`, and the alarm ends: stepup_breaker_open is gone.\n\n\
                  Example:\n  stepup keep --config stepup.yaml --tenant acme --trigger deposit \\\n      \
                  --reason 'until they mend it'"
)]
pub struct KeepArgs {
    #[command(flatten)]
    what: WhatArgs,
}

#[derive(Args, Debug)]
struct WhatArgs {
    /// The configuration of the processors that it is for.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The trigger's tenant.
    #[arg(long, value_name = "TENANT", value_parser = TenantId::new as fn(&str) -> Result<TenantId, InvalidId>)]
    tenant: TenantId,
    /// The trigger.
    #[arg(long, value_name = "TRIGGER", value_parser = pause::trigger)]
    trigger: Trigger,
    /// Why; at most 200 characters.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = pause::reason)]
    reason: Reason,
}

impl ReleaseArgs {
    pub fn config(&self) -> &Path {
        &self.what.config
    }
}

impl KeepArgs {
    pub fn config(&self) -> &Path {
        &self.what.config
    }
}

/// Lets a trigger ask customers again.
pub async fn release(args: ReleaseArgs, config: &Config, people: &mut impl Write) -> anyhow::Result<()> {
    let WhatArgs { tenant, trigger, reason, .. } = args.what;
    let store = pause::store(config)?;
    let before = Controls::of(pause::standing(&store).await?.controls);
    let was_on = before.is_shadowed(&tenant, trigger);
    let target = Target { tenant: Some(tenant.clone()), trigger: Some(trigger) };
    // Also where nothing is found: a store that was emptied may not have been told yet.
    pause::set(&store, Kind::Shadow, &target, State::Off, reason).await?;
    let done = if was_on { "released" } else { "was not in shadow by the breaker" };
    writeln!(people, "{done}: {target}")?;
    if config.evaluate.shadow.mode(&tenant, trigger) == Mode::Shadow {
        writeln!(people, "still in shadow: by the configuration, evaluate.shadow")?;
    }
    Ok(())
}

/// Accepts that a trigger is in shadow.
pub async fn keep(args: KeepArgs, config: &Config, people: &mut impl Write) -> anyhow::Result<()> {
    let WhatArgs { tenant, trigger, reason, .. } = args.what;
    let store = pause::store(config)?;
    let before = Controls::of(pause::standing(&store).await?.controls);
    let target = Target { tenant: Some(tenant), trigger: Some(trigger) };
    let Some(control) = before.get(Kind::Shadow, &target).filter(|control| control.state.is_on()) else {
        bail!("{target} is not in shadow by the breaker; `stepup pause --list` shows what is");
    };
    let reason = if reason == Reason::default() { control.reason.clone() } else { reason };
    let kept = pause::set(&store, Kind::Shadow, &target, State::Kept, reason).await?;
    writeln!(people, "kept in shadow: {}", kept.target)?;
    Ok(())
}

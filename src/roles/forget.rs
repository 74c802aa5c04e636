//! `stepup forget`: erases what Redis keeps of one customer.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::pause;
use crate::config::Config;
use crate::domain::ids::{CustomerId, InvalidId, TenantId};
use crate::edge::forget::{Forget as _, Kept};

#[derive(Args, Debug)]
#[command(
    after_help = "Erased are the customer's window and its claims of every trigger, also those of triggers in shadow and of \
                  candidate preferences. Keys hold a hash of the customer, never its id.\n\n\
                  Not erased: outcomes, which are kept by command id for an hour at the most; records on Kafka's topics, which \
                  end by the platform's own retention; log lines and metrics, which name no customer.\n\n\
                  An event of the customer's that is read later begins anew. So first see to it that no more come.\n\n\
                  Example:\n  stepup forget --config stepup.yaml --tenant acme --customer c-1042 --dry-run"
)]
pub struct ForgetArgs {
    /// The configuration of the processors whose Redis is looked at.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The customer's tenant.
    #[arg(long, value_name = "TENANT", value_parser = TenantId::new as fn(&str) -> Result<TenantId, InvalidId>)]
    tenant: TenantId,
    /// The customer.
    #[arg(long, value_name = "CUSTOMER", value_parser = CustomerId::new as fn(&str) -> Result<CustomerId, InvalidId>)]
    customer: CustomerId,
    /// Erase nothing, and tell what would be.
    #[arg(long)]
    dry_run: bool,
}

impl ForgetArgs {
    pub fn config(&self) -> &Path {
        &self.config
    }
}

/// Erases, and tells how many keys there were.
pub async fn forget(args: ForgetArgs, config: &Config, out: &mut impl Write) -> anyhow::Result<()> {
    let store = pause::store(config)?;
    let (tenant, customer) = (&args.tenant, &args.customer);
    let (kept, done) = if args.dry_run {
        (pause::patiently(|| store.kept_of(tenant, customer)).await?, "would be erased")
    } else {
        (pause::patiently(|| store.forget(tenant, customer)).await?, "erased")
    };
    let Kept { windows, claims } = kept;
    writeln!(out, "{} keys {done}: {windows} of windows, {claims} of claims", windows + claims).context("stdout")
}

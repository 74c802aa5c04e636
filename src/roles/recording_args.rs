//! How a verb that reads a recording is told what stands in it.

use std::path::Path;

use anyhow::bail;
use clap::Args;

use crate::edge::recording::{Format, Recording};
use crate::wire::columns::Columns;

#[derive(Args, Debug, Clone, Default)]
pub struct RecordingArgs {
    /// The recording is CSV, and these columns or 'constants' make its events, like
    /// id=bet_id,tenant_id='acme',customer_id=player,type='bet',occurred_at=unix:ts,amount=stake; unix_ms: is
    /// milliseconds, without either it is RFC 3339.
    #[arg(long, value_name = "FIELD=COLUMN,…")]
    columns: Option<Columns>,
}

impl RecordingArgs {
    /// Whether the recording is said to be a table.
    pub fn is_table(&self) -> bool {
        self.columns.is_some()
    }

    /// Opens a recording; `-` is the standard input.
    pub fn open(&self, path: &Path) -> anyhow::Result<Recording> {
        let format = match &self.columns {
            Some(columns) => Format::Csv(columns.clone()),
            None if is_named_like_a_table(path) => bail!("{}: tell with --columns what makes an event", path.display()),
            None => Format::Ndjson,
        };
        Recording::open_as(path, &format).map_err(|error| anyhow::Error::new(error).context(path.display().to_string()))
    }
}

/// Whether a file is CSV by its name.
fn is_named_like_a_table(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    [".csv", ".csv.gz", ".csv.zst", ".tsv"].iter().any(|end| name.ends_with(end))
}

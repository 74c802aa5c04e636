//! What the suite is asked for on its command line. `cargo test` passes its own words on to every test binary, so what is
//! meant for the usual harness is understood or ignored.

use std::time::Duration;

#[derive(Debug, Default)]
pub struct Args {
    /// A case runs where its name holds one of these words; all run where there are none.
    pub filters: Vec<String>,
    pub exact: bool,
    pub skip: Vec<String>,
    pub list: bool,
    pub seed: u64,
    pub soak: Option<Duration>,
    /// Cases at the same time.
    pub threads: usize,
    /// Keeps the logs of cases that violate nothing, too.
    pub keep: bool,
}

impl Args {
    pub fn wants(&self, name: &str) -> bool {
        let fits = |filter: &String| if self.exact { filter == name } else { name.contains(filter.as_str()) };
        (self.filters.is_empty() || self.filters.iter().any(fits)) && !self.skip.iter().any(fits)
    }
}

pub fn read(words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args { seed: 1, threads: 3, ..Args::default() };
    let mut words = words.flat_map(|word| match word.split_once('=') {
        Some((name, value)) if name.starts_with("--") => vec![name.to_owned(), value.to_owned()],
        _ => vec![word],
    });
    while let Some(word) = words.next() {
        let mut value = |what: &str| words.next().ok_or_else(|| format!("{word} needs {what}"));
        match word.as_str() {
            "--keep" => args.keep = true,
            "--list" => args.list = true,
            "--exact" => args.exact = true,
            "--seed" => args.seed = number(&value("a number")?)?,
            "--skip" => args.skip.push(value("a word")?),
            "--soak" => args.soak = Some(span(&value("a time, like 30m")?)?),
            "--test-threads" => args.threads = usize::try_from(number(&value("a number")?)?.max(1)).unwrap_or(1),
            "--format" | "--color" | "-Z" | "--logfile" => drop(value("a value")?),
            "--include-ignored" | "--ignored" | "--nocapture" | "--no-capture" | "--show-output" | "--quiet" | "-q"
            | "--test" | "--bench" => {}
            _ if word.starts_with('-') => {
                return Err(format!("{word} is unknown; see the head of tests/faults/main.rs"));
            }
            _ => args.filters.push(word),
        }
    }
    Ok(args)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn span(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| format!("{text} is no time, like 90s or 30m"))?;
    Duration::try_from(span).map_err(|_| format!("{text} is no time, like 90s or 30m"))
}

//! Decision receipts: each decision of old made again from what it was made from, and compared byte by byte.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::domain::evidence::{Bets, Contradiction};
use crate::domain::outcome::Rejection;
use crate::edge::recording::Recording;
use crate::wire::receipt::{self, Difference, Receipt, differences};

mod make;
mod words;

pub use make::{Grounds, Maker, wanted};

/// How a receipt stands to the rules as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rerun {
    /// They come to the same bytes.
    Same(Box<Receipt>),
    /// They come to others: never an empty list.
    Differs(Box<Receipt>, Vec<Difference>),
    /// They come to no decision: its evidence is not what they read.
    Contradicted(Box<Receipt>, Contradiction),
    /// It is no receipt that can be read here.
    Unreadable(Rejection),
}

/// Makes the decision of one receipt again.
pub fn rerun_one(bytes: &[u8]) -> Rerun {
    let read = match receipt::decode(bytes) {
        Ok(read) => Box::new(read),
        Err(rejection) => return Rerun::Unreadable(rejection),
    };
    match read.again() {
        Ok(again) => match differences(bytes, &receipt::encode(&again)) {
            same if same.is_empty() => Rerun::Same(read),
            differing => Rerun::Differs(read, differing),
        },
        Err(contradiction) => Rerun::Contradicted(read, contradiction),
    }
}

/// Makes the decisions of a file of receipts again, one a line: plain, gzip or zstd, `-` is the standard input. Writes a
/// line for each, with what differs, and a summary; a receipt that is alone is told in words too. Gives back how many there
/// were; where one does not come to the same bytes that is an error, once all were gone through.
pub fn rerun(path: &Path, out: &mut dyn Write) -> anyhow::Result<u64> {
    let named = || format!("--receipt {}", path.display());
    let mut recording = Recording::open(path).with_context(named)?;
    let mut counts = Counts::default();
    let mut alone = None;
    while let Some((number, line)) = recording.next_line().with_context(named)? {
        let outcome = rerun_one(line);
        counts.add(&outcome);
        out.write_all(words::line(number, &outcome).as_bytes())?;
        alone = (counts.all() == 1).then_some(outcome);
    }
    if counts.all() == 0 {
        bail!("{}: holds no receipt", named());
    }
    if let Some(receipt) = alone.as_ref().and_then(Rerun::receipt) {
        out.write_all(words::told(receipt).as_bytes())?;
    }
    writeln!(out, "{counts}")?;
    if counts.same != counts.all() {
        let others = counts.all() - counts.same;
        bail!("{}: {others} of {} receipts do not come to the same bytes", named(), counts.all());
    }
    Ok(counts.same)
}

impl Rerun {
    fn receipt(&self) -> Option<&Receipt> {
        match self {
            Self::Same(receipt) | Self::Differs(receipt, _) | Self::Contradicted(receipt, _) => Some(receipt),
            Self::Unreadable(_) => None,
        }
    }

    /// Whether the window's answer was taken from the receipt, for it was too large to be told in one.
    fn believed(&self) -> bool {
        let window = self.receipt().and_then(|receipt| receipt.evidence.window.as_ref());
        window.is_some_and(|window| matches!(window.bets, Bets::Summed { .. }))
    }
}

#[derive(Default)]
struct Counts {
    same: u64,
    different: u64,
    unreadable: u64,
}

impl Counts {
    fn add(&mut self, outcome: &Rerun) {
        match outcome {
            Rerun::Same(_) => self.same += 1,
            Rerun::Differs(..) | Rerun::Contradicted(..) => self.different += 1,
            Rerun::Unreadable(_) => self.unreadable += 1,
        }
    }

    fn all(&self) -> u64 {
        self.same + self.different + self.unreadable
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let receipts = if self.all() == 1 { "receipt" } else { "receipts" };
        write!(f, "{} {receipts}: {} same", self.all(), self.same)?;
        write!(f, ", {} different, {} unreadable", self.different, self.unreadable)
    }
}

#[cfg(test)]
#[path = "receipt/rerun_tests.rs"]
mod tests;

//! What is asked of a run.

use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Limits,
    Evaluate,
    Latency,
    Dispatch,
    Scale,
    Compare,
    Tenants,
}

const PARTS: [(&str, Part); 7] = [
    ("limits", Part::Limits),
    ("evaluate", Part::Evaluate),
    ("latency", Part::Latency),
    ("dispatch", Part::Dispatch),
    ("scale", Part::Scale),
    ("compare", Part::Compare),
    ("tenants", Part::Tenants),
];

pub struct Asked {
    parts: Vec<Part>,
    pub events: usize,
    /// Where every figure goes, as JSON.
    pub json: Option<PathBuf>,
    /// Where the chart of the costs goes, as SVG.
    pub write: Option<PathBuf>,
    words: Vec<String>,
}

impl Asked {
    /// As the command line and the environment say; without a part, all but `scale`, `compare` and `tenants`.
    pub fn read() -> Self {
        let events = std::env::var("STEPUP_BENCH_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
        // Cargo says by `--bench` that it runs a benchmark.
        let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
        let mut asked = Self { parts: Vec::new(), events, json: None, write: None, words: words.clone() };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => asked.json = words.next().map(PathBuf::from),
                "--write" => asked.write = words.next().map(PathBuf::from),
                word => match PARTS.iter().find(|(name, _)| *name == word) {
                    Some((_, part)) => asked.parts.push(*part),
                    None => panic!("{word:?} is none of {}, --json, --write", PARTS.map(|(name, _)| name).join(", ")),
                },
            }
        }
        if asked.parts.is_empty() {
            asked.parts = vec![Part::Limits, Part::Evaluate, Part::Latency, Part::Dispatch];
        }
        asked
    }

    pub fn any(&self, parts: &[Part]) -> bool {
        parts.iter().any(|part| self.parts.contains(part))
    }

    /// The command that gives the same run again.
    pub fn command(&self) -> String {
        let words = if self.words.is_empty() { String::new() } else { format!(" -- {}", self.words.join(" ")) };
        format!("STEPUP_BENCH_EVENTS={} cargo bench --bench whole{words}", self.events)
    }
}

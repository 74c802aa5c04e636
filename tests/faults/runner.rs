//! Runs cases, some at a time, and tells how each ended.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::report::{Ended, Figures, Line, say, table};
use crate::{cases, services, soak};

/// One thing that breaks, under load.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// What breaks.
    pub breaks: &'static str,
    pub readiness: Readiness,
    pub run: fn(&Trial) -> Figures,
}

#[derive(Clone, Copy)]
pub enum Readiness {
    Ready,
    /// Needs failpoints, which a release build has none of.
    NeedsFailpoints,
}

/// One run of a case.
pub struct Trial<'a> {
    pub name: &'static str,
    pub seed: u64,
    /// Where everything is written that may explain a violation.
    pub directory: &'a Path,
    /// How long a case without an end of its own goes on.
    pub lasts: Duration,
}

/// Runs what is asked for. Whether no promise was broken.
pub fn run(args: &Args) -> bool {
    let all: Vec<Case> = if args.soak.is_some() { vec![soak::CASE] } else { cases::all() };
    let wanted: VecDeque<Case> = all.into_iter().filter(|case| args.soak.is_some() || args.wants(case.name)).collect();
    if args.list {
        wanted.iter().for_each(|case| say(&format!("{}: {}", case.name, case.breaks)));
        return true;
    }
    remember_panics();
    let begun = Instant::now();
    let (queue, lines) = (Mutex::new(wanted), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().unwrap().pop_front() else { return };
                    let line = run_one(&case, args);
                    say(&line.text());
                    if let Ended::Violated(why) = &line.ended {
                        say(why);
                    }
                    lines.lock().unwrap().push(line);
                }
            });
        }
    });
    let lines = lines.into_inner().unwrap();
    table(&lines, begun.elapsed());
    !lines.iter().any(|line| matches!(line.ended, Ended::Violated(_)))
}

fn run_one(case: &Case, args: &Args) -> Line {
    let (name, begun) = (case.name, Instant::now());
    // Cases of one run do not all make the same load.
    let seed = if args.soak.is_some() || args.exact { args.seed } else { args.seed ^ hash(name) };
    let skipped = |why: &str| Line { name, seed, took: Duration::ZERO, ended: Ended::Skipped(why.to_owned()) };
    match case.readiness {
        Readiness::Ready => {}
        Readiness::NeedsFailpoints if !cfg!(debug_assertions) => return skipped("a release build has no failpoints"),
        Readiness::NeedsFailpoints => {}
    }
    let directory = services::directory(&format!("faults-{name}"));
    let trial = Trial { name, seed, directory: directory.path(), lasts: args.soak.unwrap_or(Duration::from_secs(20)) };
    let ended = match catch_unwind(AssertUnwindSafe(|| (case.run)(&trial))) {
        Ok(figures) => {
            if args.keep {
                say(&format!("{name}: logs are kept in {}", directory.keep().display()));
            }
            Ended::Kept(figures)
        }
        Err(_) => {
            let why = LAST.with_borrow_mut(std::mem::take);
            let again = match args.soak {
                Some(lasts) => format!("--soak {}s --seed {seed}", lasts.as_secs()),
                None => format!("--exact {name} --seed {seed}"),
            };
            let kept = directory.keep();
            Ended::Violated(format!(
                "VIOLATION in {name}: {why}\nagain with: cargo test --test faults -- {again}\n{}",
                ends_of_logs(&kept)
            ))
        }
    };
    Line { name, seed, took: begun.elapsed(), ended }
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)) >> 32
}

thread_local! {
    /// What the last panic of this thread said, and where.
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

fn remember_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("it panicked");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        LAST.with_borrow_mut(|last| {
            if last.is_empty() {
                *last = format!("{text}\nat {place}");
            }
        });
    }));
}

/// The last lines of every output below a directory, with their paths.
fn ends_of_logs(directory: &Path) -> String {
    const LINES: usize = 12;
    let mut folders = vec![directory.to_owned()];
    let mut logs = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if matches!(path.file_name().and_then(|name| name.to_str()), Some("stdout" | "stderr")) {
                logs.push(path);
            }
        }
    }
    logs.sort();
    let end_of = |path: &Path| {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let lines = &lines[lines.len().saturating_sub(LINES)..];
        (!lines.is_empty()).then(|| format!("--- {}\n{}", path.display(), lines.join("\n")))
    };
    let ends: Vec<String> = logs.iter().filter_map(|path| end_of(path)).collect();
    format!("logs are kept in {}\n{}", directory.display(), ends.join("\n"))
}

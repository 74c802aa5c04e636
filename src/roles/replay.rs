//! `stepup replay`: load against a running deployment, measured end to end over Kafka.
//!
//! An open loop: every event has a time at which it is to be sent, and what comes of it is counted from that time. The
//! deployment is seen from outside only: by the records that it writes and by the positions that its group commits.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::wiring;
use crate::config::Config;
use crate::edge::clock;
use crate::edge::kafka::loader::Loader;
use crate::edge::kafka::probe;
use crate::edge::kafka::tail::End;

mod args;
mod latency;
mod ledger;
mod measure;
mod observe;
mod pace;
mod page;
mod predict;
mod rate;
mod sender;
mod slo;
mod source;
mod summary;

pub use args::ReplayArgs;
use latency::Sample;
use measure::{Bounds, Measure};
use observe::{Observer, Topics};
use pace::Pace;
use predict::Predictor;
use sender::{OnBadLine, Sender, Sent, Shared, Times, Watch};
use source::Source;
use summary::{Measured, Ms, Outcomes, grouped};

/// Whether everything that `--slo` asks for was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    Yes,
    No,
}

/// How long the brokers may take to say which topics there are.
const PATIENCE: Duration = Duration::from_secs(10);
/// The client gives up an event that the brokers do not take within half a minute.
const FLUSH: Duration = Duration::from_secs(35);
/// How long is waited for what was sent once somebody has asked to stop.
const BRIEFLY: Duration = Duration::from_secs(5);

/// Sends, measures and tells. The first signal on `stop` ends the sending, and what was done so far is told.
///
/// # Errors
/// Where the brokers, a topic, the source or the report's file cannot be used.
pub async fn run(args: ReplayArgs, config: Config, stop: CancellationToken) -> anyhow::Result<Met> {
    let topics = topics(&args, &config).await?;
    if let Some(report) = &args.report {
        let opened = std::fs::File::options().create(true).append(true).open(report);
        opened.with_context(|| format!("--report {}", report.display()))?;
    }
    let now = clock::now();
    let name = args.run_id.clone().unwrap_or_else(|| run_name(now.0));
    let source = Source::open(&args, &config, &name)?;
    let predictor = args.preferences.as_deref().map(|directory| Predictor::new(&config, directory)).transpose()?;
    let about = about(&args, &config, &topics);
    if !args.quiet {
        writeln!(std::io::stderr(), "run {name}: {about}")?;
    }
    let shared = Arc::new(Shared::new(Measure::new(&name, Bounds::default())?));
    let (observer, loader) = connect(&config, &topics, &shared).await?;
    let watch = shared.begin(clock::now());
    let (tell, told) = mpsc::channel();
    let sender = Sender {
        source,
        pace: Pace::new(args.rate.clone(), args.arrivals(), args.day, args.duration, args.seed),
        loader: Arc::clone(&loader),
        shared: Arc::clone(&shared),
        watch,
        times: if args.keep_times { Times::Kept } else { Times::Rebased },
        on_bad_line: if args.strict { OnBadLine::Stop } else { OnBadLine::Count },
        most: args.events,
        until: args.duration,
        predictor,
        stop: told,
    };
    let run = Run { args, name, about, shared, observer, loader, watch, stop };
    run.work(tokio::task::spawn_blocking(move || sender.run()), tell).await
}

/// Connects to the brokers on all ways, so that the first events are measured like any other.
async fn connect(
    config: &Config,
    topics: &Topics,
    shared: &Arc<Shared>,
) -> anyhow::Result<(Arc<Observer>, Arc<Loader>)> {
    let (config, topics, shared) = (config.clone(), topics.clone(), Arc::clone(shared));
    let connecting = tokio::task::spawn_blocking(move || {
        let observer = Observer::start(&config, &topics, &shared)?;
        let loader = Loader::connect(&wiring::kafka(&config), &topics.activity, PATIENCE, shared)?;
        anyhow::Ok((Arc::new(observer), Arc::new(loader)))
    });
    let (observer, loader) = connecting.await.context("connecting failed")??;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let deadline = Instant::now() + PATIENCE;
    while !observer.is_ready() && Instant::now() < deadline {
        ticks.tick().await;
    }
    Ok((observer, loader))
}

/// The topics of the run, of which every one is there.
async fn topics(args: &ReplayArgs, config: &Config) -> anyhow::Result<Topics> {
    let activity = args.topic.as_ref().or(config.kafka.topics.activity.first()).cloned().unwrap_or_default();
    let topics = Topics::of(config, activity);
    let connection = wiring::kafka(config);
    let found = tokio::task::spawn_blocking(move || probe::topics(&connection, PATIENCE)).await?;
    let found = found.with_context(|| format!("kafka.brokers: {}", config.kafka.brokers))?;
    let missing: Vec<&str> =
        topics.all().into_iter().filter(|topic| !found.contains_key(*topic)).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!("{} has no topic {}; create it, or mend kafka.topics", config.kafka.brokers, missing.join(", no topic "));
    }
    Ok(topics)
}

fn about(args: &ReplayArgs, config: &Config, topics: &Topics) -> String {
    let most = args.events.map(|events| format!("up to {} ", grouped(events))).unwrap_or_default();
    let what = match (&args.recording, &args.from_topic) {
        (Some(path), _) => format!("{most}events of {}", path.display()),
        (None, Some(topic)) => format!("{most}events that stand on {topic}"),
        (None, None) => format!("{most}events of synthetic customers, seed {}", args.seed),
    };
    let time = args.duration.map(|time| format!(" for {} s", time.as_secs_f64())).unwrap_or_default();
    format!("{what}, {}{time}, to {} at {}", args.rate, topics.activity, config.kafka.brokers)
}

/// Whose events are sent, for people.
fn tenants(args: &ReplayArgs) -> String {
    match (&args.recording, &args.from_topic, args.customers.tenants) {
        (Some(path), _, _) => format!("the tenants of {}", path.display()),
        (None, Some(topic), _) => format!("the tenants of {topic}"),
        (None, None, 1) => "tenant-0".to_owned(),
        (None, None, tenants) => format!("tenant-0 to tenant-{}", tenants - 1),
    }
}

/// A name that no earlier run has: the time in base 36.
fn run_name(millis: i64) -> String {
    let (mut rest, mut digits) = (millis.unsigned_abs(), Vec::new());
    while rest > 0 {
        digits.push(char::from_digit((rest % 36) as u32, 36).unwrap_or('0'));
        rest /= 36;
    }
    format!("r{}", digits.iter().rev().collect::<String>())
}

/// A time as people write it, up to a month.
fn span(text: &str) -> Result<Duration, String> {
    let allowed = || "must be a time, like 250ms, 30s or 10m".to_owned();
    let time: jiff::SignedDuration = text.parse().map_err(|_| allowed())?;
    let time = Duration::try_from(time).map_err(|_| allowed())?;
    if time <= Duration::from_secs(31 * 24 * 3_600) { Ok(time) } else { Err(allowed()) }
}

struct Run {
    args: ReplayArgs,
    name: String,
    about: String,
    shared: Arc<Shared>,
    observer: Arc<Observer>,
    loader: Arc<Loader>,
    watch: Watch,
    stop: CancellationToken,
}

impl Run {
    async fn work(self, mut sending: JoinHandle<Sent>, tell: mpsc::Sender<()>) -> anyhow::Result<Met> {
        let progress = Progress::new(self.args.events, "events", self.args.quiet);
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut tell = Some(tell);
        let sent = loop {
            tokio::select! {
                sent = &mut sending => break sent.context("the sender failed")?,
                () = self.stop.cancelled(), if tell.is_some() => tell = None,
                _ = ticks.tick() => self.look(&progress),
            }
        };
        self.drain(&progress).await;
        self.look(&progress);
        progress.end();
        self.tell(sent)
    }

    /// Takes a sample where one is due, and shows where it stands.
    fn look(&self, progress: &Progress) {
        let (produced, decided) = self.totals();
        let mut measure = self.shared.measure();
        let at = self.watch.elapsed();
        if measure.course.is_due(at) {
            let (commands, outcomes) = (measure.counts.commands, measure.counts.outcomes);
            measure.course.take(Sample { at, produced, decided, commands, outcomes, p50: None, p99: None });
        }
        let p99 = measure.course.p99();
        drop(measure);
        let lag = grouped(produced.saturating_sub(decided));
        progress.at(produced, format!("lag {lag}  p99 {} ms", Ms(p99)));
        for line in self.shared.notes() {
            if !self.args.quiet {
                progress.say(&line);
            }
        }
    }

    /// Events that were acknowledged, and those of them that are decided.
    fn totals(&self) -> (u64, u64) {
        let ledger = self.shared.ledger();
        (ledger.produced(), ledger.decided())
    }

    /// Waits until everything has come to its end, within bounds.
    async fn drain(&self, progress: &Progress) {
        self.until(progress, FLUSH, async || self.loader.waiting() == 0).await;
        let mut ends: Option<Vec<End>> = None;
        let settled = async || {
            let (produced, decided) = self.totals();
            if decided < produced {
                return false;
            }
            // What decided them is written before they count as decided, so the topics end behind it.
            if ends.is_none() {
                ends = self.ends().await;
            }
            let read = ends.as_ref().is_some_and(|ends| self.observer.has_read(ends));
            read && (self.args.no_outcomes || self.shared.measure().without_outcome() == 0)
        };
        self.until(progress, self.args.drain, settled).await;
        let unread = ends.map(|ends| self.observer.unread(&ends)).unwrap_or_default();
        if !unread.is_empty() {
            self.shared
                .note(format!("not read to the end, so what stands there counts as lost: {}", unread.join(", ")));
        }
    }

    /// Shows where it stands until it is done, or the time is over; that is soon once somebody has asked to stop.
    async fn until(&self, progress: &Progress, within: Duration, mut done: impl AsyncFnMut() -> bool) {
        let mut deadline = Instant::now() + within;
        let mut told = false;
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            self.look(progress);
            if !told && self.stop.is_cancelled() {
                told = true;
                deadline = deadline.min(Instant::now() + BRIEFLY);
            }
            if done().await || Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Where the topics end now; nothing, and a note, where the brokers do not say.
    async fn ends(&self) -> Option<Vec<End>> {
        let observer = Arc::clone(&self.observer);
        let asked = tokio::task::spawn_blocking(move || observer.ends()).await;
        let ends = asked.context("asking failed").and_then(|ends| ends);
        ends.inspect_err(|error| self.shared.note(format!("{error:#}"))).ok()
    }

    /// The summary, the report, and whether it was good enough.
    fn tell(&self, sent: Sent) -> anyhow::Result<Met> {
        let (produced, decided) = self.totals();
        let measure = self.shared.measure();
        let measured = Measured {
            measure: &measure,
            run: &self.name,
            about: &self.about,
            produced,
            decided,
            sending: sent.took,
            whole: self.watch.elapsed(),
            compared: sent.expected.as_ref().and_then(|expected| measure.compare(expected)),
            outcomes: if self.args.no_outcomes { Outcomes::NotAwaited } else { Outcomes::Awaited },
            interrupted: self.stop.is_cancelled(),
        };
        self.write(&measured)?;
        let slo = self.args.slo.as_ref();
        let tenants = tenants(&self.args);
        let value = |name| measured.value(name).ok_or_else(|| measured.why_unmeasured(&tenants));
        let broken = slo.map(|slo| slo.broken(value)).unwrap_or_default();
        for line in &broken {
            writeln!(std::io::stderr(), "stepup: {line}")?;
        }
        match sent.failure {
            Some(failure) => Err(failure),
            None => Ok(if broken.is_empty() { Met::Yes } else { Met::No }),
        }
    }

    fn write(&self, measured: &Measured<'_>) -> anyhow::Result<()> {
        if let Some(path) = &self.args.report {
            let footer = format!("stepup {}, run {}, {}", env!("CARGO_PKG_VERSION"), self.name, clock::now());
            let page = page::page(measured, &footer);
            std::fs::write(path, page.render()).with_context(|| format!("--report {}", path.display()))?;
        }
        if self.args.json {
            let json = crate::wire::replay::encode(&measured.summary())?;
            writeln!(std::io::stdout(), "{json}")?;
            if !self.args.quiet {
                write!(std::io::stderr(), "{measured}")?;
            }
            return Ok(());
        }
        Ok(write!(std::io::stdout(), "run {}: {}\n{measured}", self.name, self.about)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenants_of_a_run_are_named() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: ReplayArgs,
        }
        for (line, want) in [
            ("", "tenant-0 to tenant-2"),
            ("--tenants 1", "tenant-0"),
            ("--recording bets.ndjson", "the tenants of bets.ndjson"),
            ("--from-topic activity", "the tenants of activity"),
        ] {
            let line = ["replay", "--config", "c"].into_iter().chain(line.split_whitespace());
            assert_eq!(tenants(&Line::parse_from(line).args), want);
        }
    }

    #[test]
    fn runs_have_names_of_their_own_and_times_are_read() {
        assert_eq!([run_name(46_655), run_name(46_656)], ["rzzz", "r1000"]);
        assert_eq!(span("1m30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "5", "-5s", "1000h"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}

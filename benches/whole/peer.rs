//! What a platform would write instead: a Kafka Streams job that does evaluate's work, on the same topic in the same run.
//!
//! Its jars come from Maven on first use, unless `STEPUP_PEER_LIBS` names a directory that holds them. Its windows lie in
//! RocksDB, or in memory where `STEPUP_PEER_STORE` is `memory`; a changelog topic has them as well either way.

#![allow(clippy::disallowed_methods, reason = "it measures the real clock, and is told by its environment")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How the job did, from its first event to its last: the time that a JVM needs to start is left out, the time until it has
/// compiled what is hot is not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub events_per_second: f64,
    /// The same of the second half alone, when all is compiled.
    pub events_per_second_of_last_half: f64,
    /// CPU seconds of the JVM per million events.
    pub cpu_per_million: f64,
    /// The same of the second half alone.
    pub cpu_per_million_of_last_half: f64,
    pub peak_rss_mib: f64,
    pub commands: u64,
}

/// Until the first event: a JVM that starts, and a group that finds together.
const STARTUP: Duration = Duration::from_secs(120);
/// From the first event to the last.
const LONG: Duration = Duration::from_secs(600);
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/whole/peer");
const CLASS: &str = "StepupPeer";

/// Lets the job work through a topic that holds `events` events. The error says what is missing or how it failed.
pub(crate) fn run(brokers: &str, activity_topic: &str, partitions: i32, events: usize) -> Result<Peer, String> {
    let class_path = compiled()?;
    let mut job = Job::start(&class_path, brokers, activity_topic, partitions, events)?;
    let began = job.next(1, STARTUP)?;
    let half = job.next((events as u64).div_ceil(2), LONG)?;
    let ended = job.next(events as u64, LONG)?;
    if ended.rejected > 0 {
        return Err(format!("the job could not read {} of the events", ended.rejected));
    }
    let peer = Peer {
        events_per_second: began.rate_until(&ended),
        events_per_second_of_last_half: half.rate_until(&ended),
        cpu_per_million: began.cpu_per_million_until(&ended),
        cpu_per_million_of_last_half: half.cpu_per_million_until(&ended),
        peak_rss_mib: job.peak_rss_mib()?,
        commands: ended.commands,
    };
    job.stop()?;
    Ok(peer)
}

/// Fetches the jars and compiles the job, where that was not done before. Gives back the class path.
fn compiled() -> Result<String, String> {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peer");
    fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    for tool in ["java", "javac"] {
        finish(Command::new(tool).arg("-version"), &format!("the peer needs a JDK of version 17 or later; {tool}"))?;
    }
    let jars = match std::env::var("STEPUP_PEER_LIBS") {
        Ok(jars) if Path::new(&jars).is_dir() => PathBuf::from(jars),
        Ok(jars) if !jars.is_empty() => return Err(format!("STEPUP_PEER_LIBS is no directory: {jars}")),
        _ => fetched(&work)?,
    };
    let classes = work.join("classes");
    let jars = format!("{}/*", jars.display());
    let mut compiler = Command::new("javac");
    compiler.args(["-nowarn", "--release", "17", "-cp", &jars, "-d"]).arg(&classes);
    finish(compiler.arg(format!("{SOURCES}/{CLASS}.java")), "javac")?;
    Ok(format!("{}:{jars}", classes.display()))
}

/// The directory with the jars that the POM names.
fn fetched(work: &Path) -> Result<PathBuf, String> {
    let (pom, jars, new) = (format!("{SOURCES}/pom.xml"), work.join("libs"), work.join("libs.new"));
    let wanted = fs::read(&pom).map_err(|error| format!("{pom}: {error}"))?;
    if fs::read(jars.join("pom.xml")).is_ok_and(|stands| stands == wanted) {
        return Ok(jars);
    }
    for stale in [&jars, &new] {
        if stale.exists() {
            fs::remove_dir_all(stale).map_err(|error| format!("{}: {error}", stale.display()))?;
        }
    }
    let mut maven = Command::new("timeout");
    maven.args([
        "300",
        "mvn",
        "--quiet",
        "--batch-mode",
        "-Dstyle.color=never",
        "--file",
        &pom,
        "dependency:copy-dependencies",
    ]);
    finish(maven.arg(format!("-DoutputDirectory={}", new.display())), "the peer's jars come from Maven; mvn")?;
    fs::write(new.join("pom.xml"), wanted)
        .and_then(|()| fs::rename(&new, &jars))
        .map_err(|error| format!("{}: {error}", jars.display()))?;
    Ok(jars)
}

/// Runs a program to its end. The error is what it said, after `what`.
fn finish(command: &mut Command, what: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{what}: {}; {}", output.status, last_lines(&String::from_utf8_lossy(&said))))
}

/// The running job. It ends with this value, and with this process.
struct Job {
    process: Child,
    progress: Receiver<String>,
    directory: PathBuf,
}

/// What the job had done at a moment.
struct Standing {
    milliseconds: u64,
    events: u64,
    commands: u64,
    rejected: u64,
    /// CPU seconds of the process so far.
    cpu: f64,
}

impl Standing {
    fn rate_until(&self, later: &Self) -> f64 {
        let seconds = later.milliseconds.saturating_sub(self.milliseconds).max(1) as f64 / 1e3;
        (later.events - self.events) as f64 / seconds
    }

    fn cpu_per_million_until(&self, later: &Self) -> f64 {
        (later.cpu - self.cpu) * 1e6 / (later.events - self.events).max(1) as f64
    }
}

impl Job {
    fn start(class_path: &str, brokers: &str, input: &str, partitions: i32, events: usize) -> Result<Self, String> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let application = format!("stepup-peer-{}-{}", std::process::id(), since_epoch.as_millis());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peer").join(&application);
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let said = fs::File::create(directory.join("stderr")).map_err(|error| error.to_string())?;
        let store = std::env::var("STEPUP_PEER_STORE").unwrap_or_else(|_| "rocksdb".to_owned());
        // Tried side by side, this collector and heap cost the job the least.
        let mut java = Command::new("java");
        java.args([
            "-Xms512m",
            "-Xmx512m",
            "-XX:+UseParallelGC",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            class_path,
            CLASS,
        ])
        .args(["--leash", "stdin", "--brokers", brokers, "--application", &application, "--store", &store])
        .args(["--input", input, "--output", &format!("{application}-commands")])
        .args(["--partitions", &partitions.to_string(), "--events", &events.to_string(), "--state"])
        .arg(directory.join("state"));
        let mut process = java
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .map_err(|error| format!("java: {error}"))?;
        let progress = lines(process.stdout.take());
        Ok(Self { process, progress, directory })
    }

    /// The first standing with so many events or more.
    fn next(&mut self, events: u64, patience: Duration) -> Result<Standing, String> {
        let deadline = Instant::now() + patience;
        let mut reached = 0;
        loop {
            match self.progress.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let standing = self.standing(&line)?;
                    if standing.events >= events {
                        return Ok(standing);
                    }
                    reached = standing.events;
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.failure(&format!("{reached} of {events} events within {patience:?}")));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.failure("the job ended of itself")),
            }
        }
    }

    fn standing(&self, line: &str) -> Result<Standing, String> {
        let mut numbers = line.split(' ').map(str::parse);
        let mut number = || numbers.next().and_then(Result::ok).ok_or_else(|| format!("the job says: {line}"));
        let (milliseconds, events, commands, rejected) = (number()?, number()?, number()?, number()?);
        Ok(Standing { milliseconds, events, commands, rejected, cpu: self.cpu()? })
    }

    /// User and system CPU seconds of the process so far.
    fn cpu(&self) -> Result<f64, String> {
        let stat = self.proc("stat")?;
        let ticks = stat.rsplit_once(") ").and_then(|(_, rest)| {
            rest.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().ok()).sum::<Option<f64>>()
        });
        ticks.map(|ticks| ticks / 100.0).ok_or_else(|| format!("no CPU time in {stat}"))
    }

    /// The most memory that the process ever had resident.
    fn peak_rss_mib(&self) -> Result<f64, String> {
        let status = self.proc("status")?;
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak.map(|kib: f64| kib / 1024.0).ok_or_else(|| "the process has no VmHWM".to_owned())
    }

    fn proc(&self, file: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{file}", self.process.id());
        fs::read_to_string(&path).map_err(|error| self.failure(&format!("{path}: {error}")))
    }

    /// Lets the job commit what it did and end.
    fn stop(self) -> Result<(), String> {
        finish(Command::new("kill").args(["-s", "TERM", &self.process.id().to_string()]), "kill")?;
        loop {
            match self.progress.recv_timeout(STARTUP) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Err(self.failure("the job does not stop when told")),
                // It has closed its output, which it does as it ends.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn failure(&self, what: &str) -> String {
        let said = fs::read_to_string(self.directory.join("stderr")).unwrap_or_default();
        format!("{what}; it said: {}", last_lines(&said))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // One that has ended can neither be killed nor leave anything behind.
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.directory));
    }
}

/// Every line of the output, as it comes.
fn lines(output: Option<ChildStdout>) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
        lines.map_while(Result::ok).try_for_each(|line| send.send(line)).ok()
    });
    receive
}

/// What a program said last, without the places in its code.
fn last_lines(text: &str) -> String {
    let is_telling = |line: &&str| !line.trim().is_empty() && !line.starts_with("\tat ");
    let lines: Vec<&str> = text.lines().filter(is_telling).collect();
    lines[lines.len().saturating_sub(8)..].join(" | ")
}

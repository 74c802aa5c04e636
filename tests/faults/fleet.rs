//! The processes of a world: started, stopped in every way, and asked how they are.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::http;
use crate::services::{Child, wait_for};

/// Longer than a process may take to finish what it has at hand.
const STOP: Duration = Duration::from_secs(60);
/// Long enough for a group to notice that somebody is gone, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A run of the binary, which may be started many times; its outputs are added up.
pub struct Process {
    name: String,
    directory: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
}

impl Process {
    pub fn new(parent: &Path, name: &str, args: &[&str]) -> Self {
        let directory = parent.join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { name: name.to_owned(), directory, args, child: None }
    }

    pub fn start(&mut self, env: &[(&str, &str)]) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        self.child = Some(Child::spawn(&self.directory, env!("CARGO_BIN_EXE_stepup"), &args, env));
    }

    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn read(&self, output: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.directory.join(output)).unwrap_or_default()).into_owned()
    }

    /// How it ended, where it has; it can be started again then.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.exited()?;
        self.child = None;
        Some(status)
    }

    pub fn runs(&self) -> bool {
        self.child.is_some()
    }
}

/// A process of the processor.
pub struct Member {
    process: Process,
    port: u16,
}

impl Member {
    pub fn new(process: Process, port: u16) -> Self {
        Self { process, port }
    }

    pub fn start(&mut self, env: &[(&str, &str)]) {
        self.process.start(env);
    }

    pub fn runs(&self) -> bool {
        self.process.runs()
    }

    fn child(&mut self) -> &mut Child {
        self.process.child.as_mut().unwrap_or_else(|| panic!("{} does not run", self.process.name))
    }

    /// SIGKILL; it is gone when this returns.
    pub fn kill(&mut self) {
        self.stays();
        self.child().kill9();
        self.process.child = None;
    }

    /// SIGTERM; it must end well and in time.
    pub fn stop(&mut self) {
        self.stays();
        self.child().signal("TERM");
        let status = self.child().wait_exit(STOP);
        self.process.child = None;
        assert!(status.success(), "{} was asked to stop and ended with {status}", self.process.name);
    }

    /// Stops it where it stands: it answers nobody, and its connections stay.
    pub fn freeze(&mut self) {
        self.child().signal("STOP");
    }

    pub fn thaw(&mut self) {
        self.child().signal("CONT");
    }

    /// Nobody but a case may end it.
    pub fn stays(&mut self) {
        let name = self.process.name.clone();
        if let Some(status) = self.child().exited() {
            panic!("{name} ended by itself: {status}");
        }
    }

    /// Whether it has met its failpoint; then it is gone.
    pub fn has_aborted(&mut self) -> bool {
        const ABORTED: i32 = 6;
        match self.process.ended() {
            Some(status) if status.signal() == Some(ABORTED) => true,
            Some(status) => panic!("{} was to abort at its failpoint and ended with {status}", self.process.name),
            None => false,
        }
    }

    pub fn pid(&mut self) -> u32 {
        self.child().pid()
    }

    /// Resident memory in bytes.
    pub fn memory(&mut self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// The bound that it logs when it starts, in bytes.
    pub fn memory_bound(&self) -> u64 {
        let log = format!("{}{}", self.process.stdout(), self.process.stderr());
        let (_, rest) = log.split_once("\"memory_bound_mib\":").expect("the bound is logged at the start");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap() * 1024 * 1024
    }

    pub fn page(&self, path: &str) -> Result<String, String> {
        http::get(&format!("http://127.0.0.1:{}{path}", self.port))
    }

    #[track_caller]
    pub fn until_ready(&self) {
        wait_for(PATIENCE, "the process is ready", || self.page("/readyz"));
    }

    /// The sum of a metric's series whose labels hold all of `labels`; nothing where the process does not answer.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let text = self.page("/metrics").ok()?;
        let of = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (own, rest) = series.split_once('{').unwrap_or((series, ""));
            (own == name && labels.iter().all(|label| rest.contains(label))).then(|| value.parse::<f64>().ok())?
        };
        Some(text.lines().filter_map(of).sum())
    }
}

//! The built binary as a process.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tempfile::TempDir;

use super::child::{Child, directory};

/// A run of `stepup`. It is killed when this value is dropped.
pub struct StepupProcess {
    // Goes before the directory that its output lies in.
    child: Child,
    directory: TempDir,
}

impl StepupProcess {
    /// Starts the binary. Of the environment of the tests it sees the search path only, and `env`.
    pub fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_program(env!("CARGO_BIN_EXE_stepup"), args, env)
    }

    /// Starts another program in the place of the binary.
    pub fn start_program(program: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let directory = directory("stepup");
        Self { child: Child::spawn(directory.path(), program, args, env), directory }
    }

    /// A directory of this process's own; it goes with this value.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// SIGKILL; the process is gone when this returns.
    pub fn kill9(&mut self) {
        self.child.kill9();
    }

    /// SIGTERM, which asks it to stop.
    pub fn sigterm(&self) {
        self.child.signal("TERM");
    }

    /// Sends a signal by its name, like `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        self.child.signal(name);
    }

    /// How it ended, where it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.exited()
    }

    /// Waits for its end, and panics with its last words where it does not end within `deadline`.
    #[track_caller]
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        self.child.wait_exit(deadline)
    }

    /// What it wrote to its standard output so far.
    pub fn stdout(&self) -> String {
        self.child.stdout()
    }

    /// What it wrote to its standard error so far.
    pub fn stderr(&self) -> String {
        self.child.stderr()
    }
}

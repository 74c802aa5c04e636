//! A child process that cannot outlive the test process, however that ends.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{environment, wait_for};

/// The shell becomes the program, and leaves a watchdog behind that reads from the test process. When that ends in
/// whatever way, its end of the pipe closes, and the watchdog kills the program and removes its directory; the word
/// `released` calls the watchdog off, so that it never kills a stranger under a number that is used again.
const LEASH: &str = r#"
directory=$1; shift; program=$$; exec 3<&0 </dev/null
(
    read -r word <&3
    if [ "$word" != released ]; then kill -9 "$program"; rm -rf "$directory"; fi
) >/dev/null 2>&1 &
exec "$@" 3<&-
"#;

/// A running program with a directory of its own, where its output goes as well.
pub struct Child {
    process: std::process::Child,
    leash: Option<ChildStdin>,
    status: Option<ExitStatus>,
    directory: PathBuf,
}

impl Child {
    /// Starts a program whose output goes to `stdout` and `stderr` in `directory`, after what stands there already. Of
    /// this process's environment it sees the search path only, and `env`.
    pub fn spawn(directory: &Path, program: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let output = |name: &str| {
            let file = File::options().create(true).append(true).open(directory.join(name));
            Stdio::from(file.expect("the file for the output can be opened"))
        };
        let mut process = Command::new("sh")
            .args(["-c", LEASH, "sh"])
            .arg(directory)
            .arg(program)
            .args(args)
            .env_clear()
            .envs(environment("PATH").map(|path| ("PATH", path)))
            .envs(environment("JAVA_HOME").map(|home| ("JAVA_HOME", home)))
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .expect("a shell starts");
        let leash = process.stdin.take();
        Self { process, leash, status: None, directory: directory.to_owned() }
    }

    /// The process id of the program itself.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// How the program ended, where it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none()
            && let Some(status) = self.process.try_wait().expect("the child can be waited for")
        {
            self.release(status);
        }
        self.status
    }

    /// Waits for the end of the program, and panics with its last words where it does not end within `deadline`.
    #[track_caller]
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        wait_for(deadline, "the process ends", || {
            self.exited().ok_or_else(|| format!("process {} still runs; {}", self.pid(), self.last_words()))
        })
    }

    /// SIGKILL; the program is gone when this returns.
    pub fn kill9(&mut self) {
        if self.exited().is_none() {
            self.process.kill().expect("the child can be killed");
            let status = self.process.wait().expect("the child can be waited for");
            self.release(status);
        }
    }

    /// Sends a signal by its name, like `TERM` or `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.expect("kill can be run").success(), "signal {name} was not delivered");
    }

    /// What the program wrote to its standard output so far.
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// What the program wrote to its standard error so far.
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// The last lines of both outputs, for the message of a failed test.
    pub fn last_words(&self) -> String {
        let tail = |text: String| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(20)..].join("\n")
        };
        format!("stdout ends:\n{}\nstderr ends:\n{}", tail(self.stdout()), tail(self.stderr()))
    }

    /// Lets go of the leash as the end of the test process would, without a word.
    pub fn abandon(&mut self) {
        self.leash = None;
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.directory.join(name)).unwrap_or_default()).into_owned()
    }

    fn release(&mut self, status: ExitStatus) {
        self.status = Some(status);
        if let Some(mut leash) = self.leash.take() {
            // The watchdog dies with a terminal that is closed; then nobody reads this, and nobody kills.
            drop(leash.write_all(b"released\n"));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// A directory that goes when the value is dropped. It lies in cargo's own for the files of tests.
pub fn directory(prefix: &str) -> TempDir {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(parent).expect("the directory for temporary files can be made");
    tempfile::Builder::new().prefix(&format!("{prefix}-")).tempdir_in(parent).expect("a directory can be made")
}

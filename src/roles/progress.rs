//! How far long work has come, on a terminal; silent where there is none or where nobody wants to know.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on the standard error, with the rate and whatever the work says of itself.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Work of `total` steps, or of nobody knows how many. `unit` is the plural of a step, as in `events`.
    pub fn new(total: Option<u64>, unit: &str, quiet: bool) -> Self {
        let seen = !quiet && std::io::stderr().is_terminal();
        let target = if seen { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => format!(
                "{{bar:24}} {{percent:>3}} %  {{human_pos}} of {{human_len}} {unit}  {{per_sec}}  {{msg}}  {{eta}} left"
            ),
            None => format!("{{spinner}} {{human_pos}} {unit}  {{per_sec}}  {{msg}}  {{elapsed}}"),
        };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// So much is done now, and the work says this of itself.
    pub fn at(&self, done: u64, says: impl Into<String>) {
        self.bar.set_message(says.into());
        self.bar.set_position(done);
    }

    /// Writes a line for people above the bar; without a bar just the line.
    pub fn say(&self, line: &str) {
        use std::io::Write as _;
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

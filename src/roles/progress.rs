//! How far long work has come, on a terminal; silent where there is none or where nobody wants to know.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use unicode_width::UnicodeWidthStr as _;

use super::terminal::Size;

/// The rate of an earlier moment says nothing of what comes.
const BASIS: Duration = Duration::from_secs(1);

const BYTES: &str = "bytes";

/// Between the pieces of a line.
const GAP: &str = "  ";

/// The pieces of a line in the order in which they are kept where there is no room for all.
const FIRST_KEPT: [usize; 5] = [0, 1, 4, 3, 2];

/// How many columns the bar may take.
const BARS: [usize; 2] = [24, 12];

/// A line on the standard error, with the rate and whatever the work says of itself.
pub struct Progress {
    bar: ProgressBar,
    says: Arc<Mutex<String>>,
}

impl Progress {
    /// Work of `total` steps, or of nobody knows how many. `unit` is the plural of a step, as in `events`; `bytes` are
    /// shown as KiB and MiB.
    pub fn new(total: Option<u64>, unit: &str, quiet: bool) -> Self {
        let seen = !quiet && Size::of_stderr().is_some();
        let target = if seen { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let says = Arc::new(Mutex::new(String::new()));
        let (unit, told) = (unit.to_owned(), Arc::clone(&says));
        if let Ok(style) = ProgressStyle::with_template("{line}") {
            bar.set_style(style.with_key("line", move |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                let columns = Size::of_stderr().unwrap_or(Size::USUAL).columns;
                let says = told.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = line.write_str(&Standing::of(state, &unit, &says).line(columns));
            }));
        }
        Self { bar, says }
    }

    /// So much is done now, and the work says this of itself.
    pub fn at(&self, done: u64, says: impl Into<String>) {
        *self.says.lock().unwrap_or_else(PoisonError::into_inner) = says.into();
        self.bar.set_position(done);
    }

    /// Writes a line for people above the bar; without a bar just the line.
    pub fn say(&self, line: &str) {
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

/// Where the work stands.
#[derive(Clone, Copy)]
struct Standing<'a> {
    done: u64,
    total: Option<u64>,
    unit: &'a str,
    says: &'a str,
    elapsed: Duration,
    per_second: u64,
    left: Duration,
}

impl<'a> Standing<'a> {
    fn of(state: &ProgressState, unit: &'a str, says: &'a str) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is not negative")]
        let per_second = state.per_sec().round() as u64;
        let (done, total, elapsed, left) = (state.pos(), state.len(), state.elapsed(), state.eta());
        Self { done, total, unit, says, elapsed, per_second, left }
    }

    /// As much as fits into so many columns, after a bar where there is room for one.
    fn line(self, columns: usize) -> String {
        let pieces = [self.percent(), self.portion(), self.rate(), self.says.to_owned(), self.time()];
        let mut kept = [""; 5];
        let mut free = columns + GAP.len();
        for piece in FIRST_KEPT {
            let width = pieces[piece].width() + GAP.len();
            if !pieces[piece].is_empty() && width <= free {
                kept[piece] = &pieces[piece];
                free -= width;
            }
        }
        let told = kept.into_iter().filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join(GAP);
        match self.total.and_then(|_| BARS.into_iter().find(|bar| bar + 1 + told.width() <= columns)) {
            Some(bar) => format!("{} {told}", self.bar(bar)),
            None => told,
        }
    }

    /// In whole percent, which are a hundred at the end and not before.
    fn share(self) -> Option<usize> {
        let percent = (u128::from(self.done) * 100).checked_div(self.total?.into()).unwrap_or(100);
        Some(percent.try_into().unwrap_or(100).min(100))
    }

    fn bar(self, columns: usize) -> String {
        let filled = self.share().unwrap_or(0) * columns / 100;
        "█".repeat(filled) + &"░".repeat(columns - filled)
    }

    fn percent(self) -> String {
        self.share().map(|share| format!("{share:>3} %")).unwrap_or_default()
    }

    fn portion(self) -> String {
        let unit = self.unit;
        match self.total {
            Some(total) if unit == BYTES => format!("{} of {}", HumanBytes(self.done), HumanBytes(total)),
            Some(total) => format!("{} of {} {unit}", HumanCount(self.done), HumanCount(total)),
            None if unit == BYTES => HumanBytes(self.done).to_string(),
            None => format!("{} {unit}", HumanCount(self.done)),
        }
    }

    fn has_basis(self) -> bool {
        self.done > 0 && self.elapsed >= BASIS
    }

    fn rate(self) -> String {
        match self.has_basis() {
            false => String::new(),
            true if self.unit == BYTES => format!("{}/s", HumanBytes(self.per_second)),
            true => format!("{}/s", HumanCount(self.per_second)),
        }
    }

    /// How long it still takes, or how long it took so far where nobody knows that.
    fn time(self) -> String {
        match self.total {
            None => format!("{:#}", HumanDuration(self.elapsed)),
            Some(_) if self.has_basis() && self.left.as_secs() > 0 => format!("{:#} left", HumanDuration(self.left)),
            Some(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Standing<'static> = Standing {
        done: 245_905_010,
        total: Some(491_810_020),
        unit: "bytes",
        says: "1234567 events, 617283 a second",
        elapsed: Duration::from_secs(2),
        per_second: 122_952_505,
        left: Duration::from_millis(2_300),
    };

    #[test]
    fn what_matters_most_is_kept_where_the_line_is_short() {
        for (columns, want) in [
            (
                120,
                "████████████░░░░░░░░░░░░  50 %  234.51 MiB of 469.03 MiB  117.26 MiB/s  \
                 1234567 events, 617283 a second  2s left",
            ),
            (80, " 50 %  234.51 MiB of 469.03 MiB  1234567 events, 617283 a second  2s left"),
            (60, " 50 %  234.51 MiB of 469.03 MiB  117.26 MiB/s  2s left"),
            (40, " 50 %  234.51 MiB of 469.03 MiB  2s left"),
            (20, " 50 %  2s left"),
            (5, " 50 %"),
            (4, ""),
        ] {
            assert_eq!(HALF.line(columns), want, "in {columns}");
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let endless = Standing { total: None, unit: "records", says: "顧客番号", ..HALF };
        for columns in 0..200 {
            for standing in [HALF, endless] {
                let line = standing.line(columns);
                assert!(line.width() <= columns, "{line:?} in {columns}");
            }
        }
    }

    #[test]
    fn a_rate_is_a_whole_number_and_the_time_left_has_a_basis() {
        let begun =
            Standing { done: 0, says: "", elapsed: Duration::ZERO, per_second: 0, left: Duration::ZERO, ..HALF };
        let events = Standing { done: 1_500, total: Some(6_000), unit: "events", per_second: 1_234, says: "", ..HALF };
        for (standing, want) in [
            (begun, "  0 %  0 B of 469.03 MiB"),
            (Standing { elapsed: Duration::from_secs(9), ..begun }, "  0 %  0 B of 469.03 MiB"),
            (events, " 25 %  1,500 of 6,000 events  1,234/s  2s left"),
            (Standing { elapsed: Duration::from_millis(900), ..events }, " 25 %  1,500 of 6,000 events"),
            (Standing { done: 5_999, left: Duration::ZERO, ..events }, " 99 %  5,999 of 6,000 events  1,234/s"),
            (Standing { total: None, ..events }, "1,500 events  1,234/s  2s"),
            (Standing { total: Some(0), done: 0, ..events }, "100 %  0 of 0 events"),
        ] {
            let line = standing.line(100);
            assert_eq!(line.trim_start_matches(['█', '░']).strip_prefix(' ').unwrap_or(&line), want);
        }
    }
}

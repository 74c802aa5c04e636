//! What a person sees: a table that stands still on a terminal, and a line now and then anywhere else.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::figures::Figures;
use super::follow::{Ended, Followed};
use super::table::{self, table};
use crate::roles::terminal::{Size, Terminal};

/// Between two lines where no table is shown.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Shows figures to people, on the standard error.
pub(super) struct View {
    shown: bool,
    url: String,
    /// The lines that stand on the terminal and are written over, each with the columns it takes.
    standing: Vec<usize>,
    last: Option<(Duration, u64)>,
    /// When the last line was written that stays.
    last_line: Option<Duration>,
}

impl View {
    pub(super) fn new(shown: bool, url: &str) -> Self {
        Self { shown, url: url.to_owned(), standing: Vec::new(), last: None, last_line: None }
    }

    pub(super) fn show(&mut self, figures: &Figures, followed: &Followed) -> io::Result<()> {
        if !self.shown {
            return Ok(());
        }
        let text = self.text(figures, &followed.recent(), Size::of_stderr(), Terminal::stderr());
        io::stderr().lock().write_all(text.as_bytes())
    }

    /// Leaves the last state on the terminal.
    pub(super) fn close(&mut self) -> io::Result<()> {
        if self.standing.is_empty() { Ok(()) } else { io::stderr().lock().write_all(b"\n") }
    }

    /// What is to be written; `size` is that of the terminal, where there is one.
    fn text(&mut self, figures: &Figures, recent: &[Ended], size: Option<Size>, terminal: Terminal) -> String {
        let rate = self.rate(figures);
        match size {
            Some(size) if table::fits(size) => self.table(figures, rate, recent, size, terminal),
            Some(size) => self.line(figures, rate, size.columns),
            None => self.line(figures, rate, usize::MAX),
        }
    }

    /// Events that came to their end a second, since the view was last shown.
    fn rate(&mut self, figures: &Figures) -> f64 {
        let (then, events) = self.last.unwrap_or_default();
        self.last = Some((figures.elapsed, figures.events));
        let seconds = figures.elapsed.saturating_sub(then).as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "counts of a demo are far below 2^52")]
        let events = figures.events.saturating_sub(events) as f64;
        if seconds > 0.0 { events / seconds } else { 0.0 }
    }

    fn table(&mut self, figures: &Figures, rate: f64, recent: &[Ended], size: Size, terminal: Terminal) -> String {
        let mut text = self.taken_away(size.columns);
        for line in table(figures, rate, &self.url, recent, size) {
            let (line, width) = line.shown(size.columns, terminal);
            let _ = writeln!(text, "{line}");
            self.standing.push(width);
        }
        text
    }

    /// Takes away the table that stands. A line that has become wider than the terminal takes several rows of it.
    fn taken_away(&mut self, columns: usize) -> String {
        let rows: usize = self.standing.drain(..).map(|width| width.div_ceil(columns).max(1)).sum();
        if rows > 0 { format!("\r\x1b[{rows}A\x1b[J") } else { String::new() }
    }

    fn line(&mut self, figures: &Figures, rate: f64, columns: usize) -> String {
        let mut text = self.taken_away(columns);
        if self.last_line.is_some_and(|last| figures.elapsed.saturating_sub(last) < LINE_EVERY) {
            return text;
        }
        if self.last_line.is_none() {
            let opening = ["stepup demo", &format!("page at {}", self.url), "metrics under /metrics"];
            let line = opening.join("; ");
            let _ = writeln!(text, "{}", if line.width() <= columns { line } else { opening.join("\n") });
        }
        self.last_line = Some(figures.elapsed);
        let pieces = [
            format!("{:>4} s", figures.elapsed.as_secs()),
            format!("{:>7} events", figures.events),
            format!("{rate:>5.0}/s"),
            format!("{:>5} commands", figures.commands),
            format!("{:>5} sessions", figures.sessions),
            format!("event → command {}", figures.command_latency),
        ];
        let _ = writeln!(text, "{}", beside(&pieces, columns));
        text
    }
}

/// As many of the pieces as fit, side by side.
fn beside(pieces: &[String], columns: usize) -> String {
    let mut line = String::new();
    for piece in pieces {
        let gap = if line.is_empty() { "" } else { "  " };
        if line.width() + gap.len() + piece.width() > columns {
            break;
        }
        line.push_str(gap);
        line.push_str(piece);
    }
    line
}

/// What a person takes home.
pub(super) fn summary(figures: &Figures, followed: &Followed) -> String {
    let mut text = String::new();
    let undecided = figures.sent.saturating_sub(figures.events);
    let _ = writeln!(text, "sent                {:>8} events", figures.sent);
    let _ = writeln!(text, "came to an end      {:>8} ({undecided} did not)", figures.events);
    let _ = writeln!(text, "dead letters        {:>8}", figures.rejected);
    let _ = writeln!(text, "commands            {:>8}", figures.commands);
    let _ = writeln!(text, "outcomes            {:>8} ({} sessions)", figures.outcomes, figures.sessions);
    let _ = writeln!(
        text,
        "commands without an outcome {}, with two different ones {}",
        followed.lost(),
        followed.asked_twice()
    );
    let _ = writeln!(text, "event → command     {}", figures.command_latency);
    let _ = writeln!(text, "command → outcome   {}", figures.session_latency);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::trigger::Trigger;
    use crate::roles::demo::follow::ASKED;
    use crate::telemetry::Colour;

    const PLAIN: Terminal = Terminal { width: 80, colour: Colour::Off };

    /// Those of a long and busy demo.
    fn figures(seconds: u64) -> Figures {
        let mut metrics = "stepup_events_total{result=\"decided\"} 1234567\n\
            stepup_events_total{result=\"rejected\"} 1234\n\
            stepup_commands_total{} 12345\n\
            stepup_outcomes_total{status=\"session_created\"} 12344\n\
            stepup_command_latency_seconds_bucket{le=\"0.5\"} 10\n\
            stepup_session_latency_seconds_bucket{le=\"2\"} 10\n"
            .to_owned();
        for (required, trigger) in Trigger::ALL.iter().enumerate() {
            let series = format!("{{trigger=\"{}\",decision=\"required\"}}", trigger.name());
            let _ = writeln!(metrics, "stepup_decisions_total{series} {required}");
        }
        Figures::read(&metrics, 1_235_801, Duration::from_secs(seconds))
    }

    fn recent() -> Vec<Ended> {
        let ended = |number| Ended {
            clock: "12:34:56".to_owned(),
            who: format!("tenant-0 customer-10{number}"),
            why: "large bet placement of 1234.56 USD".to_owned(),
            end: ASKED,
        };
        (0..6).map(ended).collect()
    }

    fn view() -> View {
        View::new(true, "http://127.0.0.1:34567/")
    }

    fn shown(view: &mut View, seconds: u64, columns: usize, rows: usize) -> String {
        view.text(&figures(seconds), &recent(), Some(Size { columns, rows }), PLAIN)
    }

    #[test]
    fn the_table_fits_every_terminal_that_it_is_shown_on() {
        for columns in 60..130 {
            for rows in 12..40 {
                let text = shown(&mut view(), 3_600, columns, rows);
                assert!(text.lines().all(|line| line.width() <= columns), "{columns}x{rows}\n{text}");
                assert!(text.lines().count() < rows, "{columns}x{rows}\n{text}");
            }
        }
    }

    /// The table as it stands on a screen, without what is blank at the end of a line.
    fn screen(columns: usize, rows: usize) -> String {
        let text = shown(&mut view(), 3_600, columns, rows);
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    #[test]
    fn nothing_but_the_clock_is_missing_at_80_columns() {
        let want = "\
stepup demo   3600 s   page at http://127.0.0.1:34567/   metrics under /metrics

  events 1235801   343/s   commands 12345   sessions 12344   dead letters 1234
  event → command p50 250, p99 495 ms    command → outcome p50 1000, p99 1980 ms

  trigger                     tested  required  in cool-down
  account_balance_transfer         8         8             0
  deposit                          9         9             0
  device_fingerprint_change        6         6             0
  high_frequency_betting          12        12             0
  large_bet_placement             11        11             0
  login                            0         0             0
  name_change                      2         2             0
  new_device_or_location           5         5             0
  password_change                  1         1             0
  payment_method_change            7         7             0
  phone_number_change              3         3             0
  two_factor_auth_change           4         4             0
  withdrawal                      10        10             0

  tenant-0 customer-103  large bet placement of 1234.56 USD   asked for a selfie
  tenant-0 customer-104  large bet placement of 1234.56 USD   asked for a selfie
  tenant-0 customer-105  large bet placement of 1234.56 USD   asked for a selfie
";
        assert_eq!(screen(80, 24), want);
        assert!(
            screen(90, 24).ends_with(
                "  12:34:56  tenant-0 customer-105  large bet placement of 1234.56 USD   asked for a selfie\n"
            )
        );
    }

    #[test]
    fn a_low_terminal_shows_the_triggers_that_required_the_most() {
        let want = "\
stepup demo   3600 s   page at http://127.0.0.1:34567/
metrics under /metrics
  events 1235801   343/s   commands 12345   sessions 12344
  dead letters 1234
  event → command p50 250, p99 495 ms
  command → outcome p50 1000, p99 1980 ms
  trigger                     tested  required  in cool-down
  high_frequency_betting          12        12             0
  large_bet_placement             11        11             0
  withdrawal                      10        10             0
  and 10 more
";
        assert_eq!(screen(60, 12), want);
    }

    #[test]
    fn a_table_is_written_over_the_rows_that_the_last_one_takes_now() {
        let mut view = view();
        let mut standing = shown(&mut view, 1, 80, 24);
        for (seconds, columns, rows) in [(2, 80, 24), (3, 60, 24), (4, 100, 30), (5, 50, 10)] {
            let taken: usize = standing.lines().map(|line| line.width().div_ceil(columns).max(1)).sum();
            let text = shown(&mut view, seconds, columns, rows);
            standing = text.strip_prefix(&format!("\r\x1b[{taken}A\x1b[J")).expect(&text).to_owned();
        }
        let text = shown(&mut view, 6, 80, 24);
        assert!(text.starts_with("stepup demo"), "the lines stay: {text:?}");
    }

    #[test]
    fn where_no_table_fits_there_is_a_line_now_and_then() {
        let opening = "stepup demo\npage at http://127.0.0.1:34567/\nmetrics under /metrics\n";
        let mut view = view();
        for (seconds, size, want) in [
            (2, Some((40, 10)), format!("{opening}   2 s  1235801 events  617900/s\n")),
            (3, Some((40, 10)), String::new()),
            (4, Some((70, 11)), "   4 s  1235801 events      0/s  12345 commands  12344 sessions\n".to_owned()),
            (
                6,
                None,
                "   6 s  1235801 events      0/s  12345 commands  12344 sessions  event → command p50 250, p99 495 ms\n"
                    .to_owned(),
            ),
        ] {
            let size = size.map(|(columns, rows)| Size { columns, rows });
            assert_eq!(view.text(&figures(seconds), &recent(), size, PLAIN), want);
        }
    }
}

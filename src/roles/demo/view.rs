//! What a person sees: a table that stands still on a terminal, and a line now and then anywhere else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use super::follow::Followed;

/// What `/metrics` says at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) sent: u64,
    pub(super) elapsed: Duration,
    /// Events that have come to their end.
    pub(super) events: u64,
    pub(super) rejected: u64,
    pub(super) commands: u64,
    pub(super) outcomes: u64,
    sessions: u64,
    /// By trigger: how often it was tested, required, and held back by its cool-down.
    triggers: BTreeMap<String, [u64; 3]>,
    command_latency: Histogram,
    session_latency: Histogram,
}

/// Cumulative counts by upper bound in seconds.
#[derive(Debug, Clone, Default)]
struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// The quantile in milliseconds, by straight lines within its bucket.
    fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.0.last()?.1;
        if total <= 0.0 {
            return None;
        }
        let rank = q * total;
        let mut below = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= rank {
                let (from, before) = below;
                let to = if bound.is_finite() { *bound } else { from };
                let share = if *count > before { (rank - before) / (count - before) } else { 1.0 };
                return Some((from + (to - from) * share) * 1_000.0);
            }
            below = (*bound, *count);
        }
        None
    }
}

impl Figures {
    /// Reads the Prometheus text format, as far as the view needs it.
    pub(super) fn read(metrics: &str, sent: u64, elapsed: Duration) -> Self {
        let mut figures = Self { sent, elapsed, ..Self::default() };
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counters are whole and not negative"
            )]
            figures.take(name, labels, value, value as u64);
        }
        figures
    }

    fn take(&mut self, name: &str, labels: &str, value: f64, count: u64) {
        match name {
            "stepup_events_total" => {
                self.events += count;
                if label(labels, "result") == Some("rejected") {
                    self.rejected += count;
                }
            }
            "stepup_decisions_total" => {
                let Some(trigger) = label(labels, "trigger") else { return };
                let row = self.triggers.entry(trigger.to_owned()).or_default();
                row[0] += count;
                match label(labels, "decision") {
                    Some("required") => row[1] += count,
                    Some("in_cooldown") => row[2] += count,
                    Some(_) | None => {}
                }
            }
            "stepup_commands_total" => self.commands += count,
            "stepup_outcomes_total" => {
                self.outcomes += count;
                if label(labels, "status") == Some("session_created") {
                    self.sessions += count;
                }
            }
            "stepup_command_latency_seconds_bucket" => self.command_latency.0.extend(bound(labels).map(|b| (b, value))),
            "stepup_session_latency_seconds_bucket" => self.session_latency.0.extend(bound(labels).map(|b| (b, value))),
            _ => {}
        }
    }
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let start = labels.find(&format!("{name}=\""))? + name.len() + 2;
    labels[start..].split('"').next()
}

fn bound(labels: &str) -> Option<f64> {
    match label(labels, "le")? {
        "+Inf" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

/// How figures are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A line now and then, for anything that is no terminal.
    Lines,
    /// A table that stands still.
    Table,
    ColouredTable,
}

/// Shows figures to people, on the standard error.
pub(super) struct View {
    shown: bool,
    style: Style,
    url: String,
    /// Lines that stand on the terminal and are written over.
    lines: usize,
    last: Option<(Duration, u64)>,
    /// For other places than a terminal: when the last line was written.
    last_line: Option<Duration>,
}

impl View {
    pub(super) fn new(shown: bool, style: Style, url: &str) -> Self {
        Self { shown, style, url: url.to_owned(), lines: 0, last: None, last_line: None }
    }

    pub(super) fn show(&mut self, figures: &Figures, followed: &Followed) -> io::Result<()> {
        if !self.shown {
            return Ok(());
        }
        let rate = self.rate(figures);
        let mut stderr = io::stderr().lock();
        if self.style != Style::Lines {
            let paint = Paint(self.style == Style::ColouredTable);
            let table = table(figures, rate, &self.url, &followed.recent(), paint);
            let mut text = String::new();
            if self.lines > 0 {
                let _ = write!(text, "\x1b[{}A\x1b[J", self.lines);
            }
            text.push_str(&table);
            self.lines = table.lines().count();
            return stderr.write_all(text.as_bytes());
        }
        let due = self.last_line.is_none_or(|last| figures.elapsed.saturating_sub(last) >= Duration::from_secs(2));
        if !due {
            return Ok(());
        }
        if self.last_line.is_none() {
            writeln!(stderr, "stepup demo; metrics at {}", self.url)?;
        }
        self.last_line = Some(figures.elapsed);
        let latency = latency(&figures.command_latency);
        writeln!(
            stderr,
            "{:>4} s  {:>7} events  {rate:>5.0}/s  {:>5} commands  {:>5} sessions  event → command {latency}",
            figures.elapsed.as_secs(),
            figures.events,
            figures.commands,
            figures.sessions,
        )
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

    /// Leaves the last state on the terminal.
    pub(super) fn close(&mut self, figures: &Figures, followed: &Followed) -> io::Result<()> {
        if self.style == Style::Lines { Ok(()) } else { self.show(figures, followed) }
    }
}

/// Colours where they are wanted.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: impl std::fmt::Display) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn bold(self, text: impl std::fmt::Display) -> String {
        self.with("1", text)
    }

    fn dim(self, text: impl std::fmt::Display) -> String {
        self.with("2", text)
    }

    fn green(self, text: impl std::fmt::Display) -> String {
        self.with("32", text)
    }
}

fn table(figures: &Figures, rate: f64, url: &str, recent: &[String], paint: Paint) -> String {
    let mut text = String::new();
    let seconds = figures.elapsed.as_secs();
    let _ =
        writeln!(text, "{}   {seconds:>3} s   {}", paint.bold("stepup demo"), paint.dim(format!("metrics at {url}")));
    let _ = writeln!(text);
    let _ = writeln!(
        text,
        "  events {:>8}  {rate:>6.0}/s      commands {:>6}      sessions {}      dead letters {:>4}",
        figures.events,
        figures.commands,
        paint.green(format!("{:>6}", figures.sessions)),
        figures.rejected
    );
    let _ = writeln!(
        text,
        "  event → command   {:<26}  command → outcome   {}",
        latency(&figures.command_latency),
        latency(&figures.session_latency)
    );
    let _ = writeln!(text);
    let head = format!("  {:<28}{:>10}{:>12}{:>14}", "trigger", "tested", "required", "in cool-down");
    let _ = writeln!(text, "{}", paint.dim(head));
    for (trigger, [tested, required, cooling]) in &figures.triggers {
        let required = format!("{required:>12}");
        let required = if required.trim() == "0" { paint.dim(required) } else { paint.bold(required) };
        let _ = writeln!(text, "  {trigger:<28}{tested:>10}{required}{cooling:>14}");
    }
    let _ = writeln!(text);
    for line in recent {
        let _ = writeln!(text, "  {}", line.replace("asked for a selfie", &paint.green("asked for a selfie")));
    }
    text
}

fn latency(histogram: &Histogram) -> String {
    match (histogram.quantile(0.5), histogram.quantile(0.99)) {
        (Some(median), Some(p99)) => format!("p50 {median:.0} ms, p99 {p99:.0} ms"),
        _ => "–".to_owned(),
    }
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
    let _ = writeln!(text, "event → command     {}", latency(&figures.command_latency));
    let _ = writeln!(text, "command → outcome   {}", latency(&figures.session_latency));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_from_the_metrics_text() {
        let text = "# HELP x y\n\
            stepup_events_total{tenant=\"t\",type=\"bet\",result=\"decided\"} 7\n\
            stepup_events_total{tenant=\"unknown\",type=\"unknown\",result=\"rejected\"} 2\n\
            stepup_decisions_total{tenant=\"t\",trigger=\"login\",decision=\"required\"} 3\n\
            stepup_decisions_total{tenant=\"t\",trigger=\"login\",decision=\"in_cooldown\"} 4\n\
            stepup_command_latency_seconds_bucket{le=\"0.01\"} 50\n\
            stepup_command_latency_seconds_bucket{le=\"0.02\"} 100\n\
            stepup_command_latency_seconds_bucket{le=\"+Inf\"} 100\n";
        let figures = Figures::read(text, 9, Duration::ZERO);
        assert_eq!((figures.events, figures.rejected), (9, 2));
        assert_eq!(figures.triggers["login"], [7, 3, 4]);
        assert_eq!(latency(&figures.command_latency), "p50 10 ms, p99 20 ms");
        assert_eq!(latency(&Histogram::default()), "–");
    }
}

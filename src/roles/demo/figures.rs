//! What the view tells, read from the text of `/metrics`.

use std::collections::BTreeMap;
use std::time::Duration;

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
    pub(super) sessions: u64,
    /// By trigger: how often it was tested, required, and held back by its cool-down.
    pub(super) triggers: BTreeMap<String, [u64; 3]>,
    pub(super) command_latency: Histogram,
    pub(super) session_latency: Histogram,
}

/// Cumulative counts by upper bound in seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram(Vec<(f64, f64)>);

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

impl std::fmt::Display for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.quantile(0.5), self.quantile(0.99)) {
            (Some(median), Some(p99)) => write!(f, "p50 {median:.0}, p99 {p99:.0} ms"),
            _ => f.write_str("–"),
        }
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
        assert_eq!(figures.command_latency.to_string(), "p50 10, p99 20 ms");
        assert_eq!(Histogram::default().to_string(), "–");
    }
}

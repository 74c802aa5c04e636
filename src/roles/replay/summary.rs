//! The figures of a run: put together, as text for people, and as the object for programs.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::latency::Latency;
use super::measure::{Counts, Measure};
use super::slo::Name;
use crate::domain::trigger::Trigger;
use crate::wire::replay::{Latencies, LostOf, OfTrigger, Percentiles, Summary};

/// All that was measured, when it is over.
pub(super) struct Measured<'a> {
    pub(super) measure: &'a Measure,
    pub(super) run: &'a str,
    /// What was sent, how fast and where to, in a sentence without a full stop.
    pub(super) about: &'a str,
    pub(super) produced: u64,
    pub(super) decided: u64,
    /// How long it was sending, and how long it took in all.
    pub(super) sending: Duration,
    pub(super) whole: Duration,
    /// Commands that should have come and did not, and commands that nobody asked for.
    pub(super) compared: Option<(u64, u64)>,
    pub(super) outcomes: Outcomes,
    pub(super) interrupted: bool,
}

/// Whether commands must have outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcomes {
    Awaited,
    NotAwaited,
}

impl Measured<'_> {
    pub(super) fn lost_of(&self) -> LostOf {
        let commands = match self.outcomes {
            Outcomes::Awaited => self.measure.without_outcome(),
            Outcomes::NotAwaited => 0,
        };
        let events = self.produced.saturating_sub(self.decided);
        LostOf { events, commands, missing: self.compared.map(|(missing, _)| missing) }
    }

    pub(super) fn lost(&self) -> u64 {
        let of = self.lost_of();
        of.events + of.commands + of.missing.unwrap_or(0)
    }

    /// Events produced a second.
    pub(super) fn rate(&self) -> f64 {
        let seconds = self.sending.as_secs_f64();
        if seconds > 0.0 { float(self.produced) / seconds } else { 0.0 }
    }

    /// What a name of an objective came to.
    pub(super) fn value(&self, name: Name) -> Option<f64> {
        match name {
            Name::Command(quantile) => self.measure.commanded.overall.quantile(quantile),
            Name::Outcome(quantile) => self.measure.ended.overall.quantile(quantile),
            Name::Lost => Some(float(self.lost())),
            Name::Repeated => Some(float(self.measure.counts.repeated)),
            Name::DeadLetters => Some(float(self.measure.counts.dead_letters_unexplained())),
            Name::Rate => Some(self.rate()),
        }
    }

    /// Why a latency was not measured, where the events are those of `tenants`.
    pub(super) fn why_unmeasured(&self, tenants: &str) -> String {
        let Counts { commands, untimed, .. } = self.measure.counts;
        if commands == 0 && self.decided == 0 {
            return "no event was decided, so nothing was measured".to_owned();
        }
        if commands == 0 {
            return format!(
                "no event caused a command, so nothing was measured; are triggers on in the preferences of {tenants}?"
            );
        }
        if untimed == commands {
            return "every command is of an event that was sent too long ago, so nothing was measured".to_owned();
        }
        "no command has an outcome, so nothing was measured".to_owned()
    }

    pub(super) fn summary(&self) -> Summary {
        let (measure, counts) = (self.measure, &self.measure.counts);
        let of_trigger = |(trigger, (commands, outcomes)): (&Trigger, &(u64, u64))| {
            let latency_ms = Latencies {
                command: measure.commanded.percentiles_of(*trigger),
                outcome: measure.ended.percentiles_of(*trigger),
            };
            (trigger.name(), OfTrigger { commands: *commands, outcomes: *outcomes, latency_ms })
        };
        Summary {
            produced: self.produced,
            decided: self.decided,
            commands: counts.commands,
            outcomes: counts.outcomes,
            sessions: counts.sessions(),
            lost: self.lost(),
            lost_of: self.lost_of(),
            repeated: counts.repeated,
            rate: self.rate(),
            plateau: measure.course.plateau(),
            latency_ms: Latencies {
                command: measure.commanded.overall.percentiles(),
                outcome: measure.ended.overall.percentiles(),
            },
            by_trigger: counts.by_trigger.iter().map(of_trigger).collect(),
            sent_late_ms: measure.sent_late.percentiles(),
            statuses: counts.statuses.clone(),
            dead_letters: counts.dead_letters(),
            dead_letters_unexplained: counts.dead_letters_unexplained(),
            failed: counts.failed,
            malformed: counts.malformed,
            repeats_sent: counts.repeats_sent,
            bad_lines: counts.bad_lines,
            commands_repeated: counts.commands_repeated,
            outcomes_repeated: counts.outcomes_repeated,
            untimed: counts.untimed,
            unfollowed: counts.unfollowed,
            unexpected: self.compared.map(|(_, unexpected)| unexpected),
            interrupted: self.interrupted,
            run: self.run.to_owned(),
            seconds: self.whole.as_secs_f64(),
        }
    }

    /// What `lost` is called: an interrupted run cannot tell what would have come.
    pub(super) fn lost_word(&self) -> &'static str {
        if self.interrupted { "not finished" } else { "lost" }
    }

    /// The counts, each with its name and a remark, as people read them.
    pub(super) fn rows(&self) -> Vec<(&'static str, u64, String)> {
        let counts = &self.measure.counts;
        let LostOf { events, commands, missing } = self.lost_of();
        let late = self.measure.sent_late.max().unwrap_or(0.0);
        let sessions = counts.sessions();
        let mut rows = vec![
            ("produced", self.produced, format!("{:.1} a second, sent up to {} ms late", self.rate(), Ms(Some(late)))),
            ("decided", self.decided, self.plateau_remark()),
            ("commands", counts.commands, again(counts.commands_repeated)),
            (
                "outcomes",
                counts.outcomes,
                format!("{} sessions{}", grouped(sessions), and(&again(counts.outcomes_repeated))),
            ),
            (self.lost_word(), self.lost(), {
                let missing =
                    missing.map(|missing| format!(", {} commands missing", grouped(missing))).unwrap_or_default();
                format!("{} events undecided, {} commands without outcome{missing}", grouped(events), grouped(commands))
            }),
            ("repeated", counts.repeated, String::new()),
            ("dead letters", counts.dead_letters().values().sum(), self.dead_letter_remark()),
        ];
        for (name, count, remark) in [
            ("not taken", counts.failed, "by the brokers; which commands must come is not known then"),
            ("sent again", counts.repeats_sent, "under the same id, as asked"),
            ("bad lines", counts.bad_lines, "of the recording, not sent"),
            ("untimed", counts.untimed, "commands whose event was sent too long ago"),
            ("unfollowed", counts.unfollowed, "commands beyond those that are followed"),
            (
                "unexpected",
                self.compared.map_or(0, |(_, unexpected)| unexpected),
                "commands that nothing offline asks for",
            ),
        ] {
            if count > 0 {
                rows.push((name, count, remark.to_owned()));
            }
        }
        rows
    }

    fn plateau_remark(&self) -> String {
        let plateau = self.measure.course.plateau();
        plateau.map(|plateau| format!("at best {plateau:.1} a second over 5 s")).unwrap_or_default()
    }

    fn dead_letter_remark(&self) -> String {
        let codes = self.measure.counts.dead_letters();
        let codes: Vec<String> = codes.iter().map(|(code, count)| format!("{} {code}", grouped(*count))).collect();
        let mut remark = codes.join(", ");
        let malformed = self.measure.counts.malformed;
        if malformed > 0 {
            let _ =
                write!(remark, "{}{} sent malformed", if remark.is_empty() { "" } else { "; " }, grouped(malformed));
        }
        remark
    }

    /// Each kind of latency with its name and how many were timed: overall first, then by trigger.
    pub(super) fn latencies(&self) -> Vec<(String, &Latency)> {
        let mut all = Vec::new();
        for (name, of) in [("command", &self.measure.commanded), ("outcome", &self.measure.ended)] {
            all.push((format!("event → {name}"), &of.overall));
            all.extend(of.by_trigger.iter().map(|(trigger, latency)| (format!("  {trigger}"), latency)));
        }
        all
    }
}

fn again(records: u64) -> String {
    if records > 0 { format!("{} records came again", grouped(records)) } else { String::new() }
}

fn and(remark: &str) -> String {
    if remark.is_empty() { String::new() } else { format!(", {remark}") }
}

pub(super) fn float(count: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
    let float = count as f64;
    float
}

/// A count with its thousands parted.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds as people read them: three digits or so.
pub(super) struct Ms(pub(super) Option<f64>);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            None => "–".to_owned(),
            Some(ms) if ms < 10.0 => format!("{ms:.2}"),
            Some(ms) if ms < 100.0 => format!("{ms:.1}"),
            Some(ms) => format!("{ms:.0}"),
        };
        f.pad(&text)
    }
}

impl fmt::Display for Measured<'_> {
    /// The table at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.interrupted {
            writeln!(f, "interrupted after {:.1} s", self.whole.as_secs_f64())?;
        }
        writeln!(f)?;
        for (name, count, remark) in self.rows() {
            writeln!(f, "{}", format!("{name:<14}{:>14}   {remark}", grouped(count)).trim_end())?;
        }
        writeln!(f)?;
        let head = ["count", "p50", "p90", "p99", "p99.9", "max"];
        writeln!(
            f,
            "{:<28}{:>12}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "ms", head[0], head[1], head[2], head[3], head[4], head[5]
        )?;
        for (name, latency) in self.latencies() {
            let Percentiles { p50, p90, p99, p999, max } = latency.percentiles();
            let count = grouped(latency.count());
            let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(Ms);
            writeln!(f, "{name:<28}{count:>12}{p50:>9}{p90:>9}{p99:>9}{p999:>9}{max:>9}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::roles::replay::latency::Sample;
    use crate::roles::replay::measure::Bounds;
    use crate::wire::replay::encode;

    /// A run of six seconds with one command of 12 ms and one record that came again.
    pub(in crate::roles::replay) fn measure() -> Measure {
        let mut measure = Measure::new("r1", Bounds::default()).unwrap();
        measure.commanded.record(Trigger::Login, 12_000);
        measure.course.record(12_000);
        measure.counts.commands = 2;
        measure.counts.outcomes = 1;
        measure.counts.commands_repeated = 1;
        measure.counts.statuses.insert("session_created", 1);
        measure.counts.by_trigger.insert(Trigger::Login, (2, 1));
        measure.counts.malformed = 3;
        measure.counts.dead_events.insert("invalid_json", 4);
        for at in 0..8 {
            let decided = at * 1_000;
            let at = Duration::from_secs(at);
            let sample = Sample { at, produced: decided + 50, decided, commands: 2, outcomes: 1, p50: None, p99: None };
            measure.course.take(sample);
        }
        measure
    }

    pub(in crate::roles::replay) fn measured(measure: &Measure) -> Measured<'_> {
        Measured {
            measure,
            run: "r1",
            about: "1,234,567 synthetic events",
            produced: 1_234_567,
            decided: 1_234_560,
            sending: Duration::from_secs(10),
            whole: Duration::from_secs(12),
            compared: Some((2, 0)),
            outcomes: Outcomes::Awaited,
            interrupted: false,
        }
    }

    #[test]
    fn the_object_has_the_names_that_are_relied_on() {
        let measure = measure();
        let json: serde_json::Value = serde_json::from_str(&encode(&measured(&measure).summary()).unwrap()).unwrap();
        for (name, want) in [
            ("/produced", 1_234_567.into()),
            ("/decided", 1_234_560.into()),
            ("/commands", 2.into()),
            ("/outcomes", 1.into()),
            ("/sessions", 1.into()),
            ("/lost", 10.into()),
            ("/lost_of/missing", 2.into()),
            ("/repeated", 0.into()),
            ("/rate", 123_456.7.into()),
            ("/plateau", 1_000.0.into()),
            ("/latency_ms/outcome/p99", serde_json::Value::Null),
            ("/by_trigger/login/outcomes", 1.into()),
            ("/dead_letters/invalid_json", 4.into()),
            ("/dead_letters_unexplained", 1.into()),
        ] {
            assert_eq!(json.pointer(name), Some(&want), "{name}");
        }
        for name in ["p50", "p90", "p99", "p999", "max"] {
            let value = json["latency_ms"]["command"][name].as_f64().unwrap();
            assert!((value - 12.0).abs() < 0.02, "{name}: {value}");
        }
    }

    #[test]
    fn the_table_tells_every_count() {
        let measure = measure();
        let text = measured(&measure).to_string();
        for line in [
            "produced           1,234,567   123456.7 a second, sent up to 0.00 ms late",
            "decided            1,234,560   at best 1000.0 a second over 5 s",
            "commands                   2   1 records came again",
            "outcomes                   1   1 sessions",
            "lost                      10   7 events undecided, 1 commands without outcome, 2 commands missing",
            "repeated                   0",
            "dead letters               4   4 invalid_json; 3 sent malformed",
            "event → command                        1     12.0     12.0     12.0     12.0     12.0",
            "event → outcome                        0        –        –        –        –        –",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let interrupted = Measured { interrupted: true, ..measured(&measure) }.to_string();
        assert!(interrupted.contains("not finished") && !interrupted.contains("lost "), "{interrupted}");
    }

    #[test]
    fn what_was_not_measured_says_how_far_it_came() {
        let measure = |commands, untimed| {
            let mut measure = Measure::new("r1", Bounds::default()).unwrap();
            (measure.counts.commands, measure.counts.untimed) = (commands, untimed);
            measure
        };
        for (commands, untimed, decided, want) in [
            (0, 0, 0, "no event was decided"),
            (
                0,
                0,
                5,
                "no event caused a command, so nothing was measured; are triggers on in the preferences of tenant-0 to tenant-2?",
            ),
            (2, 2, 5, "every command is of an event that was sent too long ago"),
            (2, 1, 0, "no command has an outcome"),
        ] {
            let measure = measure(commands, untimed);
            let why = Measured { decided, ..measured(&measure) }.why_unmeasured("tenant-0 to tenant-2");
            assert!(why.starts_with(want), "{why}");
        }
    }

    #[test]
    fn without_anybody_to_dispatch_no_command_is_lost() {
        let measure = measure();
        let evaluated = Measured { outcomes: Outcomes::NotAwaited, compared: None, ..measured(&measure) };
        assert_eq!(evaluated.lost(), 7);
        assert_eq!(evaluated.value(Name::DeadLetters), Some(1.0));
    }
}

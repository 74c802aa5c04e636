//! What was recorded and what was not, told at the end to whoever asked for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use indicatif::{HumanBytes, HumanCount};

use crate::domain::time::Timestamp;
use crate::edge::kafka::range::Span;
use crate::wire::pseudonym::Pseudonyms;

/// So many records that cannot be lines are named one by one.
const NAMED: u64 = 10;
const TENANTS_NAMED: usize = 50;

/// How a recording came to its end.
pub(super) enum Ending {
    /// The end of the range.
    Complete,
    /// As many events as were asked for.
    Enough,
    /// Somebody stopped it.
    Stopped,
    /// What is read from went away.
    Broken(anyhow::Error),
}

/// A recording that is finished.
pub(super) struct Recorded<'a> {
    pub(super) out: &'a Path,
    pub(super) records: u64,
    /// Of the lines, and of the file.
    pub(super) bytes: u64,
    pub(super) size: u64,
    pub(super) ending: &'a Ending,
    /// Empty where it was made of another recording.
    pub(super) spans: Vec<Span>,
}

#[derive(Debug, Default)]
pub(super) struct Summary {
    /// The earliest and the latest time of a record that was recorded.
    times: Option<(Timestamp, Timestamp)>,
    other_tenants: u64,
    skipped: BTreeMap<&'static str, u64>,
}

impl Summary {
    pub(super) fn recorded(&mut self, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        let (first, last) = self.times.unwrap_or((at, at));
        self.times = Some((first.min(at), last.max(at)));
    }

    pub(super) fn other_tenant(&mut self) {
        self.other_tenants += 1;
    }

    /// Counts a record that is no line, and tells whether it is to be named.
    pub(super) fn skip(&mut self, code: &'static str) -> bool {
        *self.skipped.entry(code).or_default() += 1;
        self.skipped_in_all() <= NAMED
    }

    fn skipped_in_all(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// The text for people; `quiet` leaves only what is not in the recording and was asked for.
    pub(super) fn text(&self, recorded: &Recorded<'_>, pseudonyms: Option<&Pseudonyms>, quiet: bool) -> String {
        let mut text = String::new();
        if !quiet {
            self.tell_recorded(&mut text, recorded);
        }
        for span in &recorded.spans {
            for lost in &span.lost {
                let _ = writeln!(
                    text,
                    "{}: lost, for the brokers do not have them: {}",
                    place(span),
                    offsets(lost.start, lost.end)
                );
            }
        }
        let skipped = self.skipped_in_all();
        if skipped > 0 {
            let codes: Vec<_> =
                self.skipped.iter().map(|(code, count)| format!("{} {code}", HumanCount(*count))).collect();
            let _ = writeln!(text, "{} cannot be lines of a recording: {}", records(skipped), codes.join(", "));
        }
        if quiet {
            return text;
        }
        if self.other_tenants > 0 {
            let _ = writeln!(text, "{} of other tenants or of none", records(self.other_tenants));
        }
        if let Some(pseudonyms) = pseudonyms {
            tell_pseudonyms(&mut text, pseudonyms);
        }
        text
    }

    fn tell_recorded(&self, text: &mut String, recorded: &Recorded<'_>) {
        let Recorded { out, bytes, size, ending, spans, .. } = recorded;
        let _ = write!(text, "{} recorded to {}, {}", records(recorded.records), named(out), HumanBytes(*bytes));
        if size != bytes {
            let _ = write!(text, ", packed {}", HumanBytes(*size));
        }
        if let Some((first, last)) = self.times {
            let _ = write!(text, ", written between {first} and {last}");
        }
        text.push('\n');
        for span in spans {
            let read = if span.next > span.start { offsets(span.start, span.next) } else { "nothing".to_owned() };
            let rest =
                if span.next < span.end { format!(" of {}", offsets(span.start, span.end)) } else { String::new() };
            let _ = writeln!(
                text,
                "  {:<24} {:>12} records  {read}{rest}",
                place(span),
                HumanCount(span.records).to_string()
            );
        }
        let why = match ending {
            Ending::Complete => return,
            Ending::Enough => "as many as were asked for",
            Ending::Stopped => "stopped before the end",
            Ending::Broken(_) => "broken off before the end",
        };
        let _ = writeln!(text, "{why}{}", go_on(spans));
    }
}

/// How the rest can be recorded, where one option says it.
fn go_on(spans: &[Span]) -> String {
    let Some(first) = spans.first().filter(|first| spans.iter().all(|span| span.topic == first.topic)) else {
        return String::new();
    };
    let nexts: Vec<_> = spans.iter().map(|span| format!("{}:{}", span.partition, span.next)).collect();
    format!("; the rest of {} begins at --from {}", first.topic, nexts.join(","))
}

fn tell_pseudonyms(text: &mut String, pseudonyms: &Pseudonyms) {
    let dropped: Vec<_> = pseudonyms.dropped().map(|(name, count)| format!("{name} ({})", HumanCount(count))).collect();
    if !dropped.is_empty() {
        let _ = writeln!(text, "left out of the events: {}", dropped.join(", "));
    }
    for (tenant, hashed) in pseudonyms.hashed_tenants().into_iter().take(TENANTS_NAMED) {
        let _ = writeln!(text, "  {hashed} stands for tenant {tenant}");
    }
}

fn named(out: &Path) -> String {
    if out == Path::new("-") { "the standard output".to_owned() } else { out.display().to_string() }
}

fn place(span: &Span) -> String {
    format!("{}[{}]", span.topic, span.partition)
}

/// The offsets from `start` up to the one before `end`.
fn offsets(start: i64, end: i64) -> String {
    match end - start {
        0 => "no offsets".to_owned(),
        1 => format!("offset {start}"),
        _ => format!("offsets {start} to {}", end - 1),
    }
}

fn records(count: u64) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { "record" } else { "records" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pseudonym::{Attributes, PseudonymKey, TenantNames};

    fn span(partition: i32, start: i64, next: i64, end: i64) -> Span {
        let records = (next - start).unsigned_abs();
        Span { topic: "activity".into(), partition, start, end, next, records, lost: Vec::new() }
    }

    #[test]
    fn a_summary_tells_what_is_there_what_is_not_and_how_to_go_on() {
        let mut summary = Summary::default();
        for millis in [5_000, 1_000, 3_000] {
            summary.recorded(Some(Timestamp(millis)));
        }
        assert!(summary.skip("invalid_json"));
        for number in 1..12 {
            assert_eq!(summary.skip("empty"), number < 10, "{number}");
        }
        summary.other_tenant();
        let spans = vec![Span { lost: vec![0..100, 107..108], ..span(0, 100, 1_400, 2_000) }, span(1, 7, 7, 7)];
        let ending = Ending::Stopped;
        let recorded =
            Recorded { out: Path::new("a.zst"), records: 1_287, bytes: 4_096, size: 512, ending: &ending, spans };
        let key = PseudonymKey::new(b"0123456789abcdef").unwrap();
        let mut pseudonyms = Pseudonyms::new(key, Attributes::Dropped, TenantNames::Hashed);
        let event = br#"{"id":"1","tenant_id":"acme","customer_id":"c","type":"login","occurred_at":"2026-03-01T12:00:00Z","email":1}"#;
        pseudonyms.write(&mut Vec::new(), event).unwrap();
        let missing = "activity[0]: lost, for the brokers do not have them: offsets 0 to 99\n\
                       activity[0]: lost, for the brokers do not have them: offset 107\n\
                       12 records cannot be lines of a recording: 11 empty, 1 invalid_json\n";
        let want = format!(
            "1,287 records recorded to a.zst, 4.00 KiB, packed 512 B, written between 1970-01-01T00:00:01.000Z and 1970-01-01T00:00:05.000Z\n\
             \x20 activity[0]                     1,300 records  offsets 100 to 1399 of offsets 100 to 1999\n\
             \x20 activity[1]                         0 records  nothing\n\
             stopped before the end; the rest of activity begins at --from 0:1400,1:7\n\
             {missing}\
             1 record of other tenants or of none\n\
             left out of the events: email (1)\n\
             \x20 n-GFAwiZI59Wo5rubzC-sU3A stands for tenant acme\n"
        );
        assert_eq!(summary.text(&recorded, Some(&pseudonyms), false), want);
        assert_eq!(summary.text(&recorded, Some(&pseudonyms), true), missing);
        let complete = Recorded { ending: &Ending::Complete, spans: Vec::new(), size: 4_096, ..recorded };
        let want = "1,287 records recorded to a.zst, 4.00 KiB\n";
        assert_eq!(Summary::default().text(&complete, None, false), want);
    }
}

//! What was done with the dead letters of a range, and how it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use indicatif::HumanCount;

use super::send::Ending;
use crate::config::Topics;
use crate::domain::outcome::RejectCode;
use crate::domain::redrive::{Refusal, SecondTry};
use crate::edge::kafka::range::Span;
use crate::wire::redrive::{Group, Redriven, Refused, Summary};

/// So many groups are told apart; what comes on top is told without its tenant.
const MOST_GROUPS: usize = 1_000;

pub(super) struct Tally {
    read: u64,
    redriven: u64,
    redriven_before: u64,
    repeated: u64,
    refused: u64,
    not_asked_for: u64,
    lost: u64,
    went: BTreeMap<Group, u64>,
    refusals: BTreeMap<(Option<RejectCode>, Refusal), u64>,
    /// For each partition where the range begins, and where what is left of it does.
    places: BTreeMap<i32, (i64, i64)>,
}

impl Tally {
    pub(super) fn new(spans: &[Span]) -> Self {
        Self {
            read: 0,
            redriven: 0,
            redriven_before: 0,
            repeated: 0,
            refused: 0,
            not_asked_for: 0,
            lost: 0,
            went: BTreeMap::new(),
            refusals: BTreeMap::new(),
            places: spans.iter().map(|span| (span.partition, (span.start, span.start))).collect(),
        }
    }

    pub(super) fn not_asked_for(&mut self) {
        self.not_asked_for += 1;
    }

    pub(super) fn redriven_before(&mut self) {
        self.redriven_before += 1;
    }

    /// Another letter of the same record stands in the range before.
    pub(super) fn repeated(&mut self) {
        self.repeated += 1;
    }

    pub(super) fn refused(&mut self, code: Option<RejectCode>, refusal: Refusal) {
        self.refused += 1;
        *self.refusals.entry((code, refusal)).or_default() += 1;
    }

    pub(super) fn went(&mut self, mut group: Group) {
        self.redriven += 1;
        if self.went.len() >= MOST_GROUPS && !self.went.contains_key(&group) {
            group.tenant = None;
        }
        *self.went.entry(group).or_default() += 1;
    }

    /// A letter was gone through, and what is left begins behind it.
    pub(super) fn handled(&mut self, partition: i32, offset: i64) {
        self.read += 1;
        if let Some((_, rest)) = self.places.get_mut(&partition) {
            *rest = offset + 1;
        }
    }

    /// A letter did not go after all.
    pub(super) fn unhandled(&mut self, partition: i32, offset: i64) {
        if let Some((_, rest)) = self.places.get_mut(&partition) {
            *rest = (*rest).min(offset);
        }
    }

    /// The range was read to its end.
    pub(super) fn end(&mut self, spans: &[Span]) {
        self.lost = spans.iter().flat_map(|span| &span.lost).map(|lost| (lost.end - lost.start).unsigned_abs()).sum();
    }

    pub(super) fn redriven(&self) -> u64 {
        self.redriven
    }

    /// How many offsets of the range are behind us.
    pub(super) fn offsets(&self) -> u64 {
        self.places.values().map(|(start, rest)| (rest - start).max(0).unsigned_abs()).sum()
    }

    pub(super) fn summary(&self, dry_run: bool, ending: &Ending) -> Summary {
        let rest: Vec<String> =
            self.places.iter().map(|(partition, (_, rest))| format!("{partition}:{rest}")).collect();
        let (ending, rest) = match ending {
            Ending::Complete => ("complete", None),
            Ending::Enough => ("enough", Some(rest.join(","))),
            Ending::Stopped => ("stopped", Some(rest.join(","))),
            Ending::Failed(_) => ("failed", Some(rest.join(","))),
        };
        let redriven = |(group, count): (&Group, &u64)| Redriven { group: group.clone(), count: *count };
        let refused = |((code, refusal), count): (&(Option<RejectCode>, Refusal), &u64)| Refused {
            code: code.map(RejectCode::name),
            refusal: refusal.name(),
            reason: reason(*code, *refusal),
            can_be_forced: refusal.can_be_forced(),
            count: *count,
        };
        Summary {
            dry_run,
            ending,
            read: self.read,
            redriven: self.redriven,
            redriven_before: self.redriven_before,
            repeated: self.repeated,
            refused: self.refused,
            not_asked_for: self.not_asked_for,
            lost: self.lost,
            by: self.went.iter().map(redriven).collect(),
            refusals: self.refusals.iter().map(refused).collect(),
            rest,
        }
    }
}

/// Why letters of a code do not go, for people.
fn reason(code: Option<RejectCode>, refusal: Refusal) -> String {
    match refusal {
        Refusal::Unreadable => "its headers are not those of a dead letter".to_owned(),
        Refusal::ForeignSource => {
            "its source-topic is none that its stage reads by kafka.topics of this configuration".to_owned()
        }
        Refusal::Cut => "only the beginning of its key or payload is left".to_owned(),
        Refusal::NoCommand => "its payload is no command, so there is none to take up".to_owned(),
        Refusal::EndsTheSame => match code.map(RejectCode::second_try) {
            Some(SecondTry::Same { because }) => format!("a second try ends the same: {because}"),
            Some(SecondTry::May { .. }) | None => "a second try ends the same".to_owned(),
        },
    }
}

/// The summary for people; `quiet` leaves only what was refused.
pub(super) fn text(summary: &Summary, topics: &Topics, quiet: bool) -> String {
    let mut text = String::new();
    if !quiet {
        tell_redriven(&mut text, summary, topics);
    }
    if summary.refused > 0 {
        let _ = writeln!(text, "{} refused", HumanCount(summary.refused));
        for Refused { code, refusal, reason, can_be_forced, count } in &summary.refusals {
            let (code, forced) = (code.unwrap_or("-"), if *can_be_forced { "; --force sends it" } else { "" });
            let _ = writeln!(text, "{:>8}  {code:<23}  {refusal}: {reason}{forced}", HumanCount(*count).to_string());
        }
        if summary.refusals.iter().any(|refused| refused.refusal == Refusal::ForeignSource.name()) {
            let Topics { activity, commands, retries, .. } = topics;
            let activity = activity.join(", ");
            let _ = writeln!(text, "          evaluate reads {activity}; dispatch reads {commands}, {retries}");
        }
    }
    if quiet {
        return text;
    }
    let why = match summary.ending {
        "enough" => "as many as --limit allows",
        "stopped" => "stopped before the end",
        "failed" => "broken off before the end",
        _ => return text,
    };
    let _ = write!(text, "{why}");
    if let Some(rest) = summary.rest.as_ref().filter(|rest| !rest.is_empty()) {
        let _ = write!(text, "; the rest begins at --from {rest}");
    }
    text.push('\n');
    text
}

fn tell_redriven(text: &mut String, summary: &Summary, topics: &Topics) {
    let done = if summary.dry_run { "would be redriven" } else { "redriven" };
    let letters = if summary.read == 1 { "dead letter" } else { "dead letters" };
    let (redriven, read) = (HumanCount(summary.redriven), HumanCount(summary.read));
    let _ = writeln!(text, "{redriven} of {read} {letters} {done}");
    for Redriven { group, count } in &summary.by {
        let Group { code, stage, tenant, source_topic, topic } = group;
        let (tenant, count) = (tenant.as_deref().unwrap_or("-"), HumanCount(*count).to_string());
        let to = if topic == source_topic { String::new() } else { format!(" to {topic}") };
        let _ = writeln!(text, "{count:>8}  {code:<23}  {stage:<8}  {tenant:<16}  {source_topic}{to}");
    }
    if summary.dry_run {
        let codes: std::collections::BTreeSet<&str> = summary.by.iter().map(|redriven| redriven.group.code).collect();
        for code in RejectCode::ALL.iter().filter(|code| codes.contains(code.name())) {
            if let SecondTry::May { once } = code.second_try() {
                let _ = writeln!(text, "{:>8}  {:<23}  can end otherwise once {once}", "", code.name());
            }
        }
    }
    if summary.redriven_before > 0 {
        let before = HumanCount(summary.redriven_before);
        let _ = writeln!(text, "{before} redriven before: their new commands stand on {}", topics.commands);
    }
    if summary.repeated > 0 {
        let _ = writeln!(text, "{} of records that have another letter in the range", HumanCount(summary.repeated));
    }
    if summary.not_asked_for > 0 {
        let _ = writeln!(text, "{} not asked for", HumanCount(summary.not_asked_for));
    }
    if summary.lost > 0 {
        let _ = writeln!(text, "{} offsets of the range are gone from the brokers", HumanCount(summary.lost));
    }
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;

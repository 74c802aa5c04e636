use super::*;
use crate::config::Config;

fn topics() -> Topics {
    let yaml = "kafka: { brokers: b, topics: { activity: [act-1, act-2], commands: cmd, retries: ret } }
preferences: { source: directory, directory: . }
session_api: { url: 'http://127.0.0.1:1' }";
    Config::from_yaml(yaml, std::iter::empty()).unwrap().kafka.topics
}

fn group(code: RejectCode, tenant: &str, source: &str, topic: &str) -> Group {
    Group {
        code: code.name(),
        stage: "dispatch",
        tenant: Some(tenant.to_owned()),
        source_topic: source.to_owned(),
        topic: topic.to_owned(),
    }
}

fn span(partition: i32) -> Span {
    Span { topic: "dead".into(), partition, start: 5, end: 50, next: 5, records: 0, lost: vec![2..4, 5..6] }
}

fn told() -> Tally {
    let mut tally = Tally::new(&[span(0), span(1)]);
    for _ in 0..3 {
        tally.went(group(RejectCode::Expired, "acme", "ret", "cmd"));
    }
    tally.went(group(RejectCode::Rejected, "acme", "cmd", "cmd"));
    tally.redriven_before();
    tally.repeated();
    tally.not_asked_for();
    tally.refused(Some(RejectCode::TooLarge), Refusal::EndsTheSame);
    tally.refused(Some(RejectCode::TooLarge), Refusal::Cut);
    tally.refused(Some(RejectCode::Expired), Refusal::ForeignSource);
    tally.refused(None, Refusal::Unreadable);
    for offset in 5..16 {
        tally.handled(1, offset);
    }
    tally
}

const REFUSED: &str = "\
4 refused
       1  -                        unreadable: its headers are not those of a dead letter
       1  too_large                cut: only the beginning of its key or payload is left
       1  too_large                ends_the_same: a second try ends the same: its bytes do not become fewer; --force sends it
       1  expired                  foreign_source: its source-topic is none that its stage reads by kafka.topics of this configuration
          evaluate reads act-1, act-2; dispatch reads cmd, ret
";

#[test]
fn a_summary_tells_what_went_what_did_not_and_how_to_go_on() {
    let mut tally = told();
    assert_eq!(tally.offsets(), 11);
    tally.unhandled(1, 12);
    tally.unhandled(1, 14);
    let before = "\
4 of 11 dead letters redriven
       3  expired                  dispatch  acme              ret to cmd
       1  rejected                 dispatch  acme              cmd
";
    let other = "\
1 redriven before: their new commands stand on cmd
1 of records that have another letter in the range
1 not asked for
";
    let summary = tally.summary(false, &Ending::Stopped);
    let want = format!("{before}{other}{REFUSED}stopped before the end; the rest begins at --from 0:5,1:12\n");
    assert_eq!(text(&summary, &topics(), false), want);
    assert_eq!(text(&summary, &topics(), true), REFUSED);
    tally.end(&[span(0), span(1)]);
    let summary = tally.summary(true, &Ending::Complete);
    let before = before.replace("redriven", "would be redriven");
    let hints = [
        "          rejected                 can end otherwise once what the service refused it for is mended\n",
        "          expired                  can end otherwise once the service can be reached in time\n",
    ]
    .concat();
    let lost = "6 offsets of the range are gone from the brokers\n";
    assert_eq!(text(&summary, &topics(), false), format!("{before}{hints}{other}{lost}{REFUSED}"));
    assert_eq!((summary.read, summary.refused, summary.lost, summary.rest), (11, 4, 6, None));
}

#[test]
fn tenants_are_told_apart_up_to_a_bound() {
    let mut tally = Tally::new(&[]);
    for number in 0..MOST_GROUPS + 50 {
        tally.went(group(RejectCode::Expired, &format!("t{number}"), "cmd", "cmd"));
    }
    tally.went(group(RejectCode::Expired, "t0", "cmd", "cmd"));
    let summary = tally.summary(false, &Ending::Complete);
    assert_eq!(summary.by.len(), MOST_GROUPS + 1);
    let of = |tenant: Option<&str>| {
        summary.by.iter().find(|redriven| redriven.group.tenant.as_deref() == tenant).map(|redriven| redriven.count)
    };
    assert_eq!((of(None), of(Some("t0"))), (Some(50), Some(2)));
}

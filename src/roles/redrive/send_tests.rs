use std::sync::Mutex;

use rdkafka::error::KafkaError;
use tokio::sync::mpsc::channel;

use super::*;
use crate::domain::decide::AgeLimit;
use crate::domain::ids::Source;
use crate::domain::outcome::RejectCode;
use crate::domain::redrive::Force;
use crate::edge::kafka::range::Span;
use crate::wire::dead_letter::{self, Stage};

/// Takes the payloads that it is given, each with the time it came at, but for those that it refuses.
#[derive(Default)]
struct Topic {
    taken: Mutex<Vec<(Instant, String)>>,
    refused: Option<&'static str>,
}

impl Sink for &Topic {
    async fn send(&self, records: &[Outgoing]) -> Result<(), SendError> {
        let mut unsent = Vec::new();
        for (place, record) in records.iter().enumerate() {
            let payload = String::from_utf8(record.payload.clone().unwrap()).unwrap();
            if Some(payload.as_str()) == self.refused {
                unsent.push(place);
            } else {
                self.taken.lock().unwrap().push((Instant::now(), payload));
            }
        }
        let error = || SendError {
            topic: "activity".to_owned(),
            source: KafkaError::Canceled,
            reason: None,
            unsent: unsent.clone(),
        };
        if unsent.is_empty() { Ok(()) } else { Err(error()) }
    }
}

fn config() -> Config {
    let yaml = "kafka: { brokers: b }\npreferences: { source: directory, directory: . }
session_api: { url: 'http://127.0.0.1:1' }";
    Config::from_yaml(yaml, std::iter::empty()).unwrap()
}

/// The letters of events with these payloads, in partitions 0 and 1 by turns.
fn letters(payloads: &[&str]) -> Vec<Taken> {
    let letter = |(place, payload): (i32, &&str)| {
        let source = Source { topic: "activity".into(), partition: 0, offset: 0 };
        let headers = dead_letter::headers(RejectCode::UnknownCurrency, "why", Stage::Evaluate, &source);
        Taken::Letter(Letter {
            partition: place % 2,
            offset: 100 + i64::from(place / 2),
            payload: Some(payload.as_bytes().to_vec()),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..Letter::default()
        })
    };
    (0..).zip(payloads).map(letter).collect()
}

struct Done {
    ending: &'static str,
    redriven: u64,
    repeated: u64,
    rest: Option<String>,
}

async fn redrive(sink: Option<&Topic>, letters: Vec<Taken>, rate: u32, limit: u64, stop: &CancellationToken) -> Done {
    let config = config();
    let span = |partition| Span {
        topic: "dead".into(),
        partition,
        start: 100,
        end: 200,
        next: 100,
        records: 0,
        lost: Vec::new(),
    };
    let asked = Asked { codes: Vec::new(), tenant: None, stage: None, force: Force::No, age_limit: AgeLimit::Kept };
    let mut redriver = Redriver {
        config: &config,
        asked,
        before: Before::new(&config, stop.clone()),
        sink,
        limit,
        pace: Pace::new(rate),
        progress: Progress::new(None, "offsets", true),
        tally: Tally::new(&[span(0), span(1)]),
        batch: Vec::new(),
    };
    let (sender, taken) = channel(letters.len().max(1));
    for letter in letters {
        assert!(sender.try_send(letter).is_ok());
    }
    let ending = redriver.redrive(taken, stop).await;
    let summary = redriver.tally.summary(sink.is_none(), &ending);
    Done { ending: summary.ending, redriven: summary.redriven, repeated: summary.repeated, rest: summary.rest }
}

fn payloads(topic: &Topic) -> Vec<String> {
    topic.taken.lock().unwrap().iter().map(|(_, payload)| payload.clone()).collect()
}

fn and_the_end(mut letters: Vec<Taken>) -> Vec<Taken> {
    letters.push(Taken::End(Vec::new()));
    letters
}

#[tokio::test(start_paused = true)]
async fn letters_go_at_their_pace_and_in_order() {
    let topic = Topic::default();
    let begun = Instant::now();
    let done =
        redrive(Some(&topic), and_the_end(letters(&["a", "b", "c", "d", "e"])), 2, 99, &CancellationToken::new()).await;
    assert_eq!((done.ending, done.redriven, done.rest), ("complete", 5, None));
    assert_eq!(payloads(&topic), ["a", "b", "c", "d", "e"]);
    let at: Vec<u128> = topic.taken.lock().unwrap().iter().map(|(at, _)| (*at - begun).as_millis() / 100).collect();
    assert_eq!(at, [0, 5, 10, 15, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_record_with_two_letters_goes_once() {
    let topic = Topic::default();
    let done =
        redrive(Some(&topic), and_the_end(letters(&["a", "b", "a"])), 1_000, 99, &CancellationToken::new()).await;
    assert_eq!((done.redriven, done.repeated), (2, 1));
    assert_eq!(payloads(&topic), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_bounded_or_stopped_tells_where_the_rest_begins() {
    let five = || and_the_end(letters(&["a", "b", "c", "d", "e"]));
    let topic = Topic::default();
    let done = redrive(Some(&topic), five(), 1_000, 3, &CancellationToken::new()).await;
    assert_eq!((done.ending, done.redriven, done.rest.as_deref()), ("enough", 3, Some("0:102,1:101")));
    assert_eq!(payloads(&topic), ["a", "b", "c"]);
    let stop = CancellationToken::new();
    let topic = Topic::default();
    let (done, ()) = tokio::join!(redrive(Some(&topic), five(), 1, 99, &stop), async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        stop.cancel();
    });
    assert_eq!((done.ending, done.redriven, done.rest.as_deref()), ("stopped", 2, Some("0:101,1:101")));
    assert_eq!(payloads(&topic), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_acknowledged_is_not_counted_and_is_left() {
    let topic = Topic { refused: Some("c"), ..Topic::default() };
    let broken = letters(&["a", "b", "c", "d"]).into_iter().chain([Taken::Failed(anyhow::anyhow!("gone"))]).collect();
    let done = redrive(Some(&topic), broken, 10_000, 99, &CancellationToken::new()).await;
    assert_eq!(done.ending, "failed");
    assert_eq!(done.redriven, payloads(&topic).len() as u64);
    let rest = done.rest.unwrap();
    assert!(rest.starts_with("0:101,"), "{rest}");
}

#[tokio::test(start_paused = true)]
async fn without_a_topic_nothing_goes_nor_waits() {
    let begun = Instant::now();
    let done = redrive(None, and_the_end(letters(&["a", "b", "c"])), 1, 99, &CancellationToken::new()).await;
    assert_eq!((done.ending, done.redriven), ("complete", 3));
    assert!(begun.elapsed() < Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_waiting_is_not_made_up_for_at_once() {
    let mut pace = Pace::new(100);
    assert_eq!(pace.take(Instant::now()), Ok(()));
    assert!(pace.take(Instant::now()).is_err());
    tokio::time::advance(Duration::from_secs(60)).await;
    let burst = (0..1_000).take_while(|_| pace.take(Instant::now()).is_ok()).count();
    assert!((10..=11).contains(&burst), "{burst}");
}

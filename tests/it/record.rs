//! Recording: topics on a real Kafka to files, and what the files are good for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, FutureProducer, FutureRecord, Producer as _, ThreadedProducer};
use serde_json::Value;
use stepup::edge::kafka::Connection;
use stepup::edge::kafka::headers::Headers;
use stepup::edge::kafka::range::{Bound, Next, RangeReader, RangeSettings, Span};
use stepup::edge::recording::Recording;
use tempfile::TempDir;

use crate::services::{
    StepupProcess, block_on, create_topic, delete_records, directory, kafka, produce_in_transactions, unique, wait_for,
};
use crate::stack::PATIENCE;

/// 2026-03-01T12:00:00Z.
const NOON: i64 = 1_772_366_400_000;

/// A topic of a test's own, and a folder with a configuration that names it.
struct Topic {
    name: String,
    folder: TempDir,
}

/// How a run of the binary ended, and what it said.
struct Run {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn stepup(args: &[&str]) -> Run {
    let mut process = StepupProcess::start(args, &[]);
    let status = process.wait_exit(PATIENCE).code();
    Run { status, stdout: process.stdout(), stderr: process.stderr() }
}

impl Topic {
    fn new(name: &str, partitions: i32) -> Self {
        let name = unique(name);
        create_topic(kafka(), &name, partitions);
        let folder = directory("record");
        let config = format!(
            "roles: [evaluate]\nkafka: {{ brokers: \"{}\", topics: {{ activity: [{name}] }} }}\n\
             preferences: {{ source: directory, directory: none }}\n",
            kafka()
        );
        std::fs::write(folder.path().join("stepup.yaml"), config).unwrap();
        Self { name, folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs `stepup record` on this topic.
    fn record(&self, out: &str, more: &[&str]) -> Run {
        let (config, out) = (self.path("stepup.yaml"), self.path(out));
        stepup(&[&["record", "--config", &config, "--out", &out], more].concat())
    }

    /// Writes records to the partitions and with the times that are given.
    fn produce(&self, records: &[(i32, i64, Option<&str>)]) {
        let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", kafka()).create().unwrap();
        let sent: Vec<_> = records
            .iter()
            .map(|(partition, at, payload)| {
                let record: FutureRecord<'_, str, str> =
                    FutureRecord::to(&self.name).partition(*partition).timestamp(*at);
                producer
                    .send_result(FutureRecord { payload: *payload, ..record })
                    .unwrap_or_else(|(error, _)| panic!("{error}"))
            })
            .collect();
        block_on(async {
            for delivery in sent {
                delivery.await.unwrap().unwrap();
            }
        });
    }

    /// Reads the whole topic with these properties of the client; `each` is told how many records were read.
    fn read(&self, properties: &[(&str, &str)], mut each: impl FnMut(u64)) -> (Vec<String>, Vec<Span>) {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut reader = RangeReader::open(&RangeSettings {
            connection: Connection { brokers: kafka().to_owned(), properties, ..Connection::default() },
            group_id: "unused".to_owned(),
            topics: vec![self.name.clone()],
            from: Bound::Edge,
            to: Bound::Edge,
            headers: Headers::Dropped,
            patience: PATIENCE,
        })
        .unwrap();
        let mut payloads = Vec::new();
        loop {
            match reader.next_record().unwrap() {
                Next::Record(record) => payloads.push(String::from_utf8(record.payload.unwrap().to_vec()).unwrap()),
                Next::Waiting => continue,
                Next::End => return (payloads, reader.spans().cloned().collect()),
            }
            each(payloads.len() as u64);
        }
    }
}

fn lines(path: impl AsRef<Path>) -> Vec<String> {
    let mut recording = Recording::open(path.as_ref()).unwrap();
    let mut lines = Vec::new();
    while let Some((_, line)) = recording.next_line().unwrap() {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
    }
    lines
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_range_comes_in_the_order_of_time_and_byte_by_byte() {
    let topic = Topic::new("range", 3);
    let pretty = "{\n  \"amount\" : 1234567890123456789012345678,\r\n  \"b\": [1e400, -0.0],\n  \"text\": \"a \\\" \\\\ \\n  b\"\n}\n";
    topic.produce(&[
        (0, NOON, Some(r#"{"a" : 0, "tenant_id":"acme"}"#)),
        (1, NOON + 1_000, Some(pretty)),
        (2, NOON + 2_000, None),
        (0, NOON + 3_000, Some("no JSON")),
        (2, NOON + 4_000, Some("{\"é\":4}")),
        // Time goes back within the partition, and its order is kept.
        (2, NOON - 9_000, Some("5")),
        (1, NOON + 6_000, Some(r#"{"a":6,"a":6}"#)),
        (0, NOON + 7_000, Some(r#"{"a":7,"tenant_id":"acme"}"#)),
    ]);
    let one = r#"{"amount":1234567890123456789012345678,"b":[1e400,-0.0],"text":"a \" \\ \n  b"}"#;
    let all = [
        r#"{"a" : 0, "tenant_id":"acme"}"#,
        one,
        "{\"é\":4}",
        "5",
        r#"{"a":6,"a":6}"#,
        r#"{"a":7,"tenant_id":"acme"}"#,
    ];
    for (out, more, want) in [
        ("all.ndjson", &[][..], &all[..]),
        ("all.ndjson.gz", &["--quiet"], &all),
        ("all.ndjson.zst", &["--topic", &topic.name], &all),
        ("some", &["--events", "2"], &all[..2]),
        ("none", &["--events", "0"], &[]),
        ("offsets", &["--from", "2:1,0:2", "--to", "2:2"], &[all[2], all[5]]),
        ("times", &["--from", "2026-03-01T12:00:01Z", "--to", "2026-03-01T13:00:07+01:00"], &all[1..5]),
        ("future", &["--from", "2126-03-01T12:00:01Z"], &[]),
        ("past", &["--to", "1926-03-01T12:00:01Z"], &[]),
        ("lately", &["--from", "-1000000h", "--to", "-0s"], &all),
        ("tenant", &["--tenant", "acme"], &[all[0], all[5]]),
    ] {
        let run = topic.record(out, more);
        assert_eq!(run.status, Some(0), "{out}: {}", run.stderr);
        assert_eq!(run.stdout, "");
        assert_eq!(lines(topic.path(out)), want, "{out}: {}", run.stderr);
    }
    let run = stepup(&["record", "--config", &topic.path("stepup.yaml"), "--out", "-"]);
    assert_eq!(run.stdout, all.map(|line| format!("{line}\n")).concat());
    let name = &topic.name;
    for said in [
        format!("{name}[2]@0: empty: the record is empty\n"),
        format!("{name}[0]@1: invalid_json: the record is not JSON\n"),
        "6 records recorded to the standard output, ".to_owned(),
        "offsets 0 to 2\n".to_owned(),
        "2 records cannot be lines of a recording: 1 empty, 1 invalid_json\n".to_owned(),
    ] {
        assert!(run.stderr.contains(&said), "{said:?} in {}", run.stderr);
    }
    let quiet = topic.record("quiet", &["--quiet"]).stderr;
    assert!(quiet.contains("2 records cannot be lines") && !quiet.contains("6 records recorded"), "{quiet}");
}

#[test]
fn what_cannot_be_recorded_leaves_nothing_and_is_told() {
    let topic = Topic::new("refused", 1);
    topic.produce(&[(0, NOON, Some("{}")), (0, NOON, Some("no JSON")), (0, NOON, Some("{}"))]);
    std::fs::write(topic.path("there"), "before").unwrap();
    let name = &topic.name;
    for (out, more, status, said) in [
        ("a", &["--strict"][..], 1, format!("{name}[0]@1: the record is not JSON; nothing is kept (--strict)")),
        ("there", &[], 1, "the file exists already; --force replaces it".to_owned()),
        ("a", &["--topic", "no-such-topic"], 1, "topic no-such-topic does not exist; there are ".to_owned()),
        ("a", &["--from", "1:0"], 1, format!("topic {name} has no partition 1, only 0 to 0")),
        ("a", &["--from", "0:4"], 1, format!("{name}[0] ends before offset 3; offset 4 is yet to come")),
        ("a", &["--to", "0:4"], 1, "offset 4 is yet to come".to_owned()),
        ("a", &["--topic", name, "--topic", "other", "--to", "0:1"], 1, "offsets are those of one topic".to_owned()),
        ("a", &["--from", "yesterday"], 2, "must be earliest, a time like 2026-03-01T12:00:00Z".to_owned()),
        ("a", &["--to", "earliest"], 2, "must be latest, ".to_owned()),
        ("a", &["--keep-attributes"], 2, "--pseudonymise".to_owned()),
        ("a", &["--pseudonymise", "/no/such/key"], 1, "head -c 32 /dev/urandom | base64 > /no/such/key".to_owned()),
        ("no/such/folder/a", &[], 1, "No such file or directory".to_owned()),
    ] {
        let run = topic.record(out, more);
        assert_eq!(run.status, Some(status), "{more:?}: {}", run.stderr);
        assert!(run.stderr.contains(&said), "{more:?}: {said:?} in {}", run.stderr);
        assert_eq!(names(topic.folder.path()), ["stepup.yaml", "there"], "{more:?}");
    }
    assert_eq!(std::fs::read_to_string(topic.path("there")).unwrap(), "before");
    assert_eq!(topic.record("there", &["--force"]).status, Some(0));
    assert_eq!(lines(topic.path("there")), ["{}", "{}"]);
}

#[test]
fn the_end_is_where_it_was_however_much_is_written_meanwhile() {
    let topic = Topic::new("bounded", 2);
    let before: Vec<_> = (0..400).map(|number| format!(r#"{{"number":{number}}}"#)).collect();
    topic.produce(
        &before.iter().enumerate().map(|(n, text)| (n as i32 % 2, NOON, Some(text.as_str()))).collect::<Vec<_>>(),
    );
    let (done, sent) = (AtomicBool::new(false), std::sync::atomic::AtomicU64::new(0));
    let recorded = std::thread::scope(|scope| {
        scope.spawn(|| {
            let producer: ThreadedProducer<_> =
                ClientConfig::new().set("bootstrap.servers", kafka()).set("linger.ms", "1").create().unwrap();
            let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = producer;
            while !done.load(Ordering::SeqCst) {
                let number = sent.fetch_add(1, Ordering::SeqCst);
                let payload = format!(r#"{{"later":{number}}}"#);
                let record: BaseRecord<'_, str, str> =
                    BaseRecord::to(&topic.name).payload(payload.as_str()).partition((number % 2) as i32);
                let _ = producer.send(record);
                if number % 50 == 0 {
                    producer.flush(Duration::from_secs(10)).unwrap();
                }
            }
            producer.flush(Duration::from_secs(10)).unwrap();
        });
        wait_for(PATIENCE, "the producer is under way", || {
            if sent.load(Ordering::SeqCst) > 100 { Ok(()) } else { Err("not yet".to_owned()) }
        });
        let run = topic.record("a.ndjson.zst", &[]);
        // It ended although the producer did not.
        let after = sent.load(Ordering::SeqCst);
        wait_for(PATIENCE, "the producer is still at it", || {
            if sent.load(Ordering::SeqCst) > after { Ok(()) } else { Err("not yet".to_owned()) }
        });
        done.store(true, Ordering::SeqCst);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        lines(topic.path("a.ndjson.zst"))
    });
    assert!(recorded.len() >= before.len() + 50, "{}", recorded.len());
    assert!(recorded.len() < 400 + sent.load(Ordering::SeqCst) as usize, "{}", recorded.len());
    // Nothing is missing before the end: of each partition it is the beginning.
    let (all, spans) = topic.read(&[], |_| {});
    for span in spans {
        let of = |lines: &[String]| -> Vec<String> {
            let mine = |line: &&String| {
                let value: Value = serde_json::from_str(line).unwrap();
                let number = value["number"].as_i64().or(value["later"].as_i64()).unwrap();
                number % 2 == i64::from(span.partition)
            };
            lines.iter().filter(mine).cloned().collect()
        };
        let (all, recorded) = (of(&all), of(&recorded));
        assert_eq!(recorded, all[..recorded.len()], "{}", span.partition);
    }
}

#[test]
fn the_brokers_own_records_at_the_end_do_not_keep_it_waiting() {
    let topic = Topic::new("transactions", 1);
    let texts = [("1", true), ("2", false), ("3", true), ("4", false)];
    produce_in_transactions(kafka(), &topic.name, &texts);
    let run = topic.record("a", &[]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(lines(topic.path("a")), ["1", "3"]);
    assert!(run.stderr.contains("2 records  offsets 0 to 7\n"), "{}", run.stderr);
}

#[test]
fn offsets_that_are_gone_are_told() {
    let topic = Topic::new("gone", 1);
    let payloads: Vec<_> = (0..2_000).map(|number| format!("\"{number:0>1000}\"")).collect();
    topic.produce(&payloads.iter().map(|text| (0, NOON, Some(text.as_str()))).collect::<Vec<_>>());
    let delete_before = |offset| delete_records(kafka(), &topic.name, 0, offset);
    delete_before(10);
    // Before it begins, and while it reads.
    let run = topic.record("a", &["--from", "0:4", "--to", "0:12"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(lines(topic.path("a")), payloads[10..12]);
    let lost = format!("{}[0]: lost, for the brokers do not have them: offsets 4 to 9\n", topic.name);
    assert!(run.stderr.contains(&lost), "{}", run.stderr);

    let small =
        [("queued.max.messages.kbytes", "1"), ("fetch.message.max.bytes", "2000"), ("queued.min.messages", "1")];
    let (read, spans) = topic.read(&small, |count| {
        if count == 5 {
            delete_before(1_990);
        }
    });
    let lost = spans[0].lost[0].clone();
    assert_eq!((spans[0].lost.len(), lost.end, spans[0].next), (1, 1_990, 2_000));
    assert!((15..1_000).contains(&lost.start), "{lost:?}");
    let want: Vec<_> = [&payloads[10..lost.start as usize], &payloads[1_990..]].concat();
    assert_eq!(read, want);
}

#[test]
fn brokers_that_come_back_are_waited_for_and_others_are_given_up() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("away", 1, 1).unwrap();
    // Batches are fetched whole.
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("batch.num.messages", "2")
        .create()
        .unwrap();
    let payload = format!("\"{}\"", "x".repeat(1_000));
    for _ in 0..500 {
        let record: BaseRecord<'_, str, str> = BaseRecord::to("away").payload(payload.as_str());
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let small = [
        ("queued.max.messages.kbytes", "1"),
        ("fetch.message.max.bytes", "2000"),
        ("queued.min.messages", "1"),
        ("fetch.wait.max.ms", "10"),
        ("reconnect.backoff.max.ms", "200"),
    ];
    let properties: BTreeMap<_, _> = small.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let open = |patience| {
        RangeReader::open(&RangeSettings {
            connection: Connection {
                brokers: cluster.bootstrap_servers(),
                properties: properties.clone(),
                ..Connection::default()
            },
            group_id: "unused".to_owned(),
            topics: vec!["away".to_owned()],
            from: Bound::Edge,
            to: Bound::Edge,
            headers: Headers::Dropped,
            patience,
        })
        .unwrap()
    };
    let (mut patient, mut hasty) = (open(PATIENCE), open(Duration::from_secs(1)));
    for reader in [&mut patient, &mut hasty] {
        while reader.spans().next().unwrap().records < 5 {
            assert!(!matches!(reader.next_record().unwrap(), Next::End));
        }
    }
    cluster.broker_down(1).unwrap();
    let error = loop {
        match hasty.next_record() {
            Ok(Next::End) => panic!("it cannot have read all of it"),
            Ok(Next::Record(_) | Next::Waiting) => {}
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.starts_with("nothing came of away[0] for 1 s; the last trouble: "), "{error}");
    while !matches!(patient.next_record().unwrap(), Next::Waiting) {}
    cluster.broker_up(1).unwrap();
    while !matches!(patient.next_record().unwrap(), Next::End) {}
    assert_eq!(patient.spans().next().unwrap().records, 500);
}

#[test]
fn what_was_recorded_when_somebody_stops_it_is_a_recording() {
    let folder = directory("record");
    let (pipe, out) = (folder.path().join("pipe"), folder.path().join("a.ndjson.zst"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let args = ["record", "--recording", pipe.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let mut process = StepupProcess::start(&args, &[]);
    // The pipe never ends, so only the signal can end the recording.
    let mut pipe = File::options().read(true).write(true).open(&pipe).unwrap();
    // Far more than the pipe and a read hold together: when all of it is in, the first of it is recorded.
    for _ in 0..30_000 {
        pipe.write_all(b"{\"number\":0}\n").unwrap();
    }
    process.signal("INT");
    let status = wait_for(PATIENCE, "it ends", || {
        pipe.write_all(b"{\"number\":1}\n").unwrap();
        process.exited().ok_or_else(|| process.stderr())
    });
    assert_eq!(status.code(), Some(0), "{}", process.stderr());
    assert!(process.stderr().contains("stopped before the end"), "{}", process.stderr());
    assert_eq!(lines(&out)[0], "{\"number\":0}");
    assert_eq!(names(folder.path()), ["a.ndjson.zst", "pipe"]);
}

const PREFERENCES: &str = r#"{"is_reuse_kyc_enabled":true,"updated_at":"2026-01-01T00:00:00Z","reuse_kyc_triggers":{
    "high_frequency_betting":{"enabled":true,"count":3,"window_minutes":1},
    "large_bet_placement":{"enabled":true,"threshold":50},
    "deposit":{"enabled":true,"threshold":20},"login":true,"new_device_or_location":true}}"#;

/// What several tenants' customers of the same names do, with repeats, late ones, and what cannot be processed.
fn traffic() -> Vec<String> {
    let mut random = 7_u32;
    let mut next = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    let mut events: Vec<String> = Vec::new();
    for number in 0..1_500_u32 {
        if number > 20 && next(20) == 0 {
            let repeat = events[events.len() - 1 - next(20) as usize].clone();
            events.push(repeat);
            continue;
        }
        let kind = ["bet", "bet", "bet", "bet", "login", "deposit", "new_device_or_location", "yoga"][next(8) as usize];
        let (tenant, customer, at) = (
            ["acme", "beta", "gamma"][next(3) as usize],
            next(25),
            NOON + i64::from(number) * 400 - i64::from(next(9_000)),
        );
        let at = stepup::domain::time::Timestamp(at);
        let amount =
            ["", r#","amount":"12.50""#, r#","amount":77.7,"currency":"USD""#, r#","amount":1,"currency":"XXX""#]
                [next(4) as usize];
        events.push(format!(
            r#"{{"id":"{kind}-{number}","tenant_id":"{tenant}","customer_id":"player {customer}","type":"{kind}","occurred_at":"{at}"{amount},"transaction_id":"tx {number}","device":{{"id":"phone {customer}"}},"attributes":{{"email":"player{customer}@example.com"}},"note":"player {customer}"}}"#
        ));
    }
    events
}

#[test]
fn decisions_over_a_pseudonymised_recording_are_those_over_the_original() {
    let topic = Topic::new("pseudonyms", 4);
    let events = traffic();
    let records = events
        .iter()
        .enumerate()
        .map(|(number, event)| ((number % 4) as i32, NOON + number as i64, Some(event.as_str())));
    topic.produce(&records.collect::<Vec<_>>());
    std::fs::create_dir(topic.folder.path().join("preferences")).unwrap();
    for tenant in ["acme", "beta"] {
        std::fs::write(topic.path(&format!("preferences/{tenant}.json")), PREFERENCES).unwrap();
    }
    std::fs::write(topic.path("key"), "a key that nobody guesses\n").unwrap();
    let (key, preferences) = (topic.path("key"), topic.path("preferences"));
    assert_eq!(topic.record("plain.ndjson.zst", &[]).status, Some(0));
    assert_eq!(lines(topic.path("plain.ndjson.zst")), events);
    let run = topic.record("other.ndjson.gz", &["--pseudonymise", &key]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(
        run.stderr.contains("left out of the events: attributes (1,") && run.stderr.contains("note (1,"),
        "{}",
        run.stderr
    );
    let (from, to) = (topic.path("plain.ndjson.zst"), topic.path("again.ndjson"));
    let run = stepup(&["record", "--recording", &from, "--out", &to, "--pseudonymise", &key]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let others = lines(topic.path("other.ndjson.gz"));
    assert_eq!(others, lines(&to), "the same under the same key");
    for named in ["player", "phone", "tx ", "example.com", "yoga", "bet-"] {
        assert!(others.iter().all(|line| !line.contains(named)), "{named}");
    }

    let decisions = |recording: &str| -> Vec<Value> {
        let run =
            stepup(&["backtest", "--events", recording, "--preferences", &preferences, "--decisions", "-", "--quiet"]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let plain: Vec<_> = decisions(&from).into_iter().filter(|line| line["code"] != "missing_field").collect();
    let other = decisions(&topic.path("other.ndjson.gz"));
    let counts = counted_where_the_same_but_for_names(&plain, &other);
    for decision in ["required", "in_cooldown", "below_frequency", "below_threshold", "tenant_unknown", "rejected"] {
        assert!(counts.get(decision).is_some_and(|count| *count > 10), "{decision}: {counts:?}");
    }
}

/// Holds decisions against each other, line by line, and counts them.
fn counted_where_the_same_but_for_names(plain: &[Value], other: &[Value]) -> HashMap<String, u32> {
    let (mut names, mut counts) = (HashMap::new(), HashMap::new());
    let without_names = |line: &Value| {
        let mut line = line.clone();
        for name in ["event_id", "customer_id"] {
            line.as_object_mut().unwrap().remove(name);
        }
        line
    };
    assert_eq!(plain.len(), other.len());
    for (was, is) in plain.iter().zip(other) {
        assert_eq!(without_names(was), without_names(is));
        *counts.entry(was["decision"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        if let (Some(tenant), Some(was), Some(is)) =
            (was["tenant_id"].as_str(), was["customer_id"].as_str(), is["customer_id"].as_str())
        {
            let known = names.entry((tenant.to_owned(), was.to_owned())).or_insert_with(|| is.to_owned());
            assert_eq!(known, is, "{tenant}/{was} has two names");
        }
    }
    let different: HashSet<_> = names.values().collect();
    assert_eq!((names.len(), different.len()), (75, 75), "customers of the same name at other tenants are others");
    counts
}

//! The consumer by itself, where its group and whoever takes its records make it hard.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use stepup::edge::kafka::Connection;
use stepup::edge::kafka::consumer::{Ahead, Consumer, ConsumerSettings, LaneSettings, Observer, Settled, StartAt};
use stepup::edge::kafka::headers::Headers;
use stepup::edge::kafka::records::{At, Position};
use tokio::sync::mpsc::Receiver;

use crate::services::{
    Broker, create_topic, kafka, produce, produce_in_transactions, produce_to, read_all, unique, wait_until,
};
use crate::stack::PATIENCE;

#[derive(Default)]
struct Seen {
    polls: AtomicUsize,
    ours: AtomicUsize,
    open: AtomicUsize,
    commits: AtomicUsize,
    payloads: Mutex<HashSet<String>>,
    troubles: Mutex<String>,
    lag: AtomicI64,
}

impl Observer for Seen {
    fn polled(&self) {
        self.polls.fetch_add(1, Ordering::SeqCst);
    }

    fn assigned(&self, partitions: usize) {
        self.ours.store(partitions, Ordering::SeqCst);
    }

    fn revoked(&self, partitions: usize, _lost: bool) {
        self.ours.store(partitions, Ordering::SeqCst);
    }

    fn open(&self, records: usize) {
        self.open.store(records, Ordering::SeqCst);
    }

    fn lag(&self, _topic: &str, _partition: i32, lag: i64) {
        self.lag.store(lag, Ordering::SeqCst);
    }

    fn gone(&self, _topic: &str, _partition: i32) {}

    fn committed(&self, ok: bool) {
        self.commits.fetch_add(usize::from(ok), Ordering::SeqCst);
    }

    fn trouble(&self, reason: &str) {
        self.troubles.lock().unwrap().push_str(reason);
    }

    fn well(&self) {}
    fn position_lost(&self, _partitions: &[String]) {}
}

fn join(topic: &str, seen: &Arc<Seen>) -> Consumer {
    join_committing(topic, seen, Duration::from_millis(100))
}

fn join_committing(topic: &str, seen: &Arc<Seen>, commit_interval: Duration) -> Consumer {
    Consumer::start(settings(topic, commit_interval), Arc::<Seen>::clone(seen)).unwrap()
}

fn settings(topic: &str, commit_interval: Duration) -> ConsumerSettings {
    ConsumerSettings {
        connection: Connection { brokers: kafka().to_owned(), ..Connection::default() },
        group_id: format!("{topic}-group"),
        lanes: vec![LaneSettings {
            topics: vec![topic.to_owned()],
            batch_records: 10,
            capacity: 1,
            headers: Headers::Dropped,
        }],
        start: StartAt::Earliest,
        revoke_budget: Duration::from_millis(500),
        commit_interval,
        linger: Duration::from_millis(2),
        ahead: Ahead { kilobytes: 4_096, records: 10_000, partition_bytes: 262_144 },
    }
}

/// Takes and finishes everything from now on.
fn take_all(consumer: &mut Consumer, seen: &Arc<Seen>) {
    let mut lane: Receiver<_> = consumer.lanes.remove(0);
    let (progress, seen) = (consumer.progress.clone(), Arc::clone(seen));
    tokio::spawn(async move {
        while let Some(batch) = lane.recv().await {
            let texts = batch.iter().map(|record| String::from_utf8_lossy(record.payload.unwrap()).into_owned());
            seen.payloads.lock().unwrap().extend(texts);
            progress.finish_batch(&batch);
        }
    });
}

fn write(topic: &str, what: &str, records: usize) -> Vec<String> {
    let texts: Vec<String> = (0..records).map(|number| format!("{what}-{number}")).collect();
    let keyed: Vec<(&String, &String)> = texts.iter().map(|text| (text, text)).collect();
    produce(kafka(), topic, &keyed);
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_went_while_it_was_paused_is_read_when_it_comes_back() {
    let topic = unique("comes-back");
    create_topic(kafka(), &topic, 4);
    let early = write(&topic, "early", 400);
    let (a_seen, b_seen) = (Arc::new(Seen::default()), Arc::new(Seen::default()));
    let mut a = join(&topic, &a_seen);
    // Nobody takes what it reads, so it pauses, and goes on polling.
    wait_until(PATIENCE, "a batch waits", || a_seen.open.load(Ordering::SeqCst) >= 10);
    let polls = a_seen.polls.load(Ordering::SeqCst);
    wait_until(PATIENCE, "it polls while it is paused", || a_seen.polls.load(Ordering::SeqCst) > polls + 30);

    let mut b = join(&topic, &b_seen);
    take_all(&mut b, &b_seen);
    wait_until(PATIENCE, "the other has half of it", || {
        b_seen.ours.load(Ordering::SeqCst) == 2 && a_seen.ours.load(Ordering::SeqCst) == 2
    });
    take_all(&mut a, &a_seen);
    let read = |texts: &[String]| {
        let (a, b) = (a_seen.payloads.lock().unwrap(), b_seen.payloads.lock().unwrap());
        texts.iter().all(|text| a.contains(text) || b.contains(text))
    };
    wait_until(PATIENCE, "everything is read by one or the other", || read(&early));
    b.stop().await;
    wait_until(PATIENCE, "all of it is the first one's again", || a_seen.ours.load(Ordering::SeqCst) == 4);
    let late = write(&topic, "late", 40);
    wait_until(PATIENCE, "every partition is read again", || read(&late));
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_finished_is_committed_while_it_runs_and_that_is_known() {
    let topic = unique("committed");
    create_topic(kafka(), &topic, 1);
    let seen = Arc::new(Seen::default());
    let mut consumer = join(&topic, &seen);
    write(&topic, "record", 5);
    let batch = consumer.lanes[0].recv().await.unwrap();
    let positions: Vec<_> = batch.positions().map(At::position).collect();
    let last = positions.last().unwrap();
    assert!(consumer.progress.settled(last) == Settled::NotYet && seen.commits.load(Ordering::SeqCst) == 0);
    consumer.progress.finish(positions.iter());
    wait_until(PATIENCE, "the last one is committed", || consumer.progress.settled(last) == Settled::Committed);
    assert!(seen.commits.load(Ordering::SeqCst) > 0);
    consumer.stop().await;
}

/// An alert that somebody is woken by takes lag without work for a role that stands.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_leaves_behind_its_records_is_no_lag() {
    let topic = unique("marked");
    create_topic(kafka(), &topic, 1);
    let seen = Arc::new(Seen::default());
    let mut consumer = join(&topic, &seen);
    produce_in_transactions(kafka(), &topic, &[("kept", true), ("dropped", false)]);
    let kept = take(&mut consumer, 1).await;
    // Four: the record, what was aborted, and the marker of each.
    wait_until(PATIENCE, "the record waits", || seen.lag.load(Ordering::SeqCst) == 4);
    consumer.progress.finish(kept.iter());
    wait_until(PATIENCE, "nothing waits", || seen.lag.load(Ordering::SeqCst) == 0);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_finished_last_is_not_uncommitted_by_what_the_client_had_kept_for_its_next_commit() {
    let topic = unique("kept");
    create_topic(kafka(), &topic, 1);
    let seen = Arc::new(Seen::default());
    // The client commits by itself only long after this test, and is given what is finished every two seconds.
    let mut first = join_committing(&topic, &seen, Duration::from_secs(8));
    write(&topic, "early", 5);
    let early = take(&mut first, 5).await;
    wait_until(PATIENCE, "they are at hand", || seen.open.load(Ordering::SeqCst) == 5);
    first.progress.finish(early.iter());
    wait_until(PATIENCE, "the client has them", || seen.open.load(Ordering::SeqCst) == 0);
    write(&topic, "late", 5);
    let late = take(&mut first, 5).await;
    first.progress.finish(late.iter());
    first.stop().await;

    let seen = Arc::new(Seen::default());
    let mut second = join(&topic, &seen);
    take_all(&mut second, &seen);
    let new = write(&topic, "new", 1);
    wait_until(PATIENCE, "the last one is read", || seen.payloads.lock().unwrap().contains(&new[0]));
    assert_eq!(*seen.payloads.lock().unwrap(), HashSet::from_iter(new), "nothing else is read again");
    second.stop().await;
}

/// Else a topic that was made in the place of another one would have a position of the group's, behind records that nobody
/// read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_not_committed_once_more_when_partitions_go() {
    let topic = unique("once");
    create_topic(kafka(), &topic, 1);
    let seen = Arc::new(Seen::default());
    let mut consumer = join(&topic, &seen);
    write(&topic, "record", 5);
    let all = take(&mut consumer, 5).await;
    consumer.progress.finish(all.iter());
    wait_until(PATIENCE, "they are committed", || consumer.progress.settled(&all[4]) == Settled::Committed);
    let commits = || {
        // The first two bytes tell a position from what else is kept of a group.
        let is_position = |key: &[u8]| key.starts_with(&[0, 1]) && String::from_utf8_lossy(key).contains(&topic);
        let kept = read_all(kafka(), "__consumer_offsets");
        kept.iter().filter(|record| record.key.as_deref().is_some_and(is_position)).count()
    };
    let before = commits();
    assert!(before > 0);
    consumer.stop().await;
    assert_eq!(commits(), before);
}

/// A pod's successor bears its name and may come before it is gone: for the one the brokers turn away that is fatal.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_name_another_one_took_is_made_anew_and_reads_on() {
    let topic = unique("fenced");
    create_topic(kafka(), &topic, 2);
    let join = |seen: &Arc<Seen>| {
        let mut settings = settings(&topic, Duration::from_millis(100));
        settings.connection.properties.insert("group.instance.id".to_owned(), "pod-0".to_owned());
        Consumer::start(settings, Arc::<Seen>::clone(seen)).unwrap()
    };
    let (old, new) = (Arc::new(Seen::default()), Arc::new(Seen::default()));
    let mut first = join(&old);
    take_all(&mut first, &old);
    wait_until(PATIENCE, "the first has all", || old.ours.load(Ordering::SeqCst) == 2);
    let mut second = join(&new);
    take_all(&mut second, &new);
    wait_until(PATIENCE, "the first is turned away", || old.troubles.lock().unwrap().contains("fatal error"));
    second.stop().await;
    let late = write(&topic, "late", 20);
    wait_until(PATIENCE, "the first reads on", || {
        let (old, new) = (old.payloads.lock().unwrap(), new.payloads.lock().unwrap());
        late.iter().all(|text| old.contains(text) && !new.contains(text))
    });
    first.stop().await;
}

/// A disk that turned a bit over: with `check.crcs` the client leaves such records out and goes on behind them.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_do_not_match_their_checksum_are_not_left_out() {
    let broker = Broker::start();
    let topic = unique("turned-over");
    create_topic(&broker.brokers(), &topic, 1);
    let texts = |part: &'static str| (0..5).map(move |number| format!("{part}-{number}"));
    for part in ["first", "second", "third"] {
        let records: Vec<_> = texts(part).map(|text| (0, text)).collect();
        produce_to(&broker.brokers(), &topic, &records);
    }
    let file = broker.first_file(&topic, 0);
    let turn_over = || {
        let mut log = std::fs::read(&file).unwrap();
        let place = log.windows(8).position(|window| window == b"second-3" || window == b"second-2").unwrap();
        log[place + 7] ^= 1;
        std::fs::write(&file, log).unwrap();
    };
    turn_over();
    let seen = Arc::new(Seen::default());
    let mut settings = settings(&topic, Duration::from_millis(100));
    settings.connection.brokers = broker.brokers();
    settings.connection.properties.insert("check.crcs".to_owned(), "true".to_owned());
    let mut consumer = Consumer::start(settings, Arc::<Seen>::clone(&seen)).unwrap();
    take_all(&mut consumer, &seen);
    let troubles = || seen.troubles.lock().unwrap().matches("checksum").count();
    wait_until(PATIENCE, "it was tried again", || troubles() >= 2);
    let read = || seen.payloads.lock().unwrap().clone();
    assert_eq!(read(), texts("first").collect());
    turn_over();
    let all: HashSet<_> = ["first", "second", "third"].into_iter().flat_map(texts).collect();
    wait_until(PATIENCE, "all of it is read", || read() == all);
    consumer.stop().await;
}

/// Takes so many records and leaves them open.
async fn take(consumer: &mut Consumer, records: usize) -> Vec<Position> {
    let mut positions = Vec::new();
    while positions.len() < records {
        let batch = consumer.lanes[0].recv().await.unwrap();
        positions.extend(batch.positions().map(At::position));
    }
    positions
}

/// Whether a group that begins at the latest record is new, the brokers know. That they do not say is no yes.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_new_to_an_old_group_is_read_whole_although_its_positions_are_refused_at_first() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED as REFUSED, RD_KAFKA_RESP_ERR_NO_ERROR as ANSWERED,
    };
    let cluster = MockCluster::new(1).unwrap();
    let (topic, brokers) = (unique("old"), cluster.bootstrap_servers());
    cluster.create_topic(&topic, 2, 1).unwrap();
    let connection = Connection { brokers: brokers.clone(), ..Connection::default() };
    let settings =
        ConsumerSettings { connection, start: StartAt::Latest, ..settings(&topic, Duration::from_millis(100)) };
    let member: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &brokers).set("group.id", &settings.group_id).create().unwrap();
    let mut position = TopicPartitionList::new();
    position.add_partition_offset(&topic, 0, Offset::Offset(0)).unwrap();
    member.commit(&position, CommitMode::Sync).unwrap();
    produce_to(&brokers, &topic, &[(1, "first"), (1, "second")]);

    // What the new partitions begin with is answered, and whether the group has other positions is not.
    cluster.request_errors(RDKafkaApiKey::OffsetFetch, &[ANSWERED, REFUSED]);
    let seen = Arc::new(Seen::default());
    let mut consumer = Consumer::start(settings, Arc::<Seen>::clone(&seen)).unwrap();
    take_all(&mut consumer, &seen);
    wait_until(PATIENCE, "both are read", || seen.payloads.lock().unwrap().len() == 2);
}

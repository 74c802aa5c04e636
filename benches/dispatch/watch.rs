//! Who looks on from outside: at the outcomes as they become readable, and at what Redis is asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::api::after;
use super::timeline::{Stamp, Timeline, now};

/// A thread that ends with this value.
pub struct Watcher<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Watcher<T> {
    fn start(watch: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Self { stop, thread: Some(std::thread::spawn(move || watch(&stopped))) }
    }
}

impl<T> Watcher<T> {
    pub fn stop(mut self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it was started").join().expect("it did not panic")
    }
}

impl<T> Drop for Watcher<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Stamps outcomes when they can be read.
pub fn outcomes(brokers: &str, topic: &str, partitions: i32, timeline: Arc<Timeline>) -> Watcher<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&all).expect("an assignment");
    Watcher::start(move |stop| {
        while !stop.load(Ordering::Relaxed) {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let text = std::str::from_utf8(message.payload().unwrap_or_default()).unwrap_or_default();
            if let Some(id) = after(text, r#""command_id":""#) {
                timeline.stamp(id, Stamp::Readable, now());
            }
        }
    })
}

/// Stamps commands when Redis is asked about them, and when it is given their outcomes, by the clock of Redis.
pub fn store(port: u16, timeline: Arc<Timeline>) -> Watcher<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("Redis");
    stream.write_all(b"MONITOR\r\n").expect("Redis takes a command");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    Watcher::start(move |stop| {
        let (mut lines, mut line) = (BufReader::new(stream), String::new());
        while !stop.load(Ordering::Relaxed) {
            // Where the time is up a part of a line may be read, which the next call goes on with.
            if !matches!(lines.read_line(&mut line), Ok(read) if read > 0) {
                continue;
            }
            note(&line, &timeline);
            line.clear();
        }
    })
}

/// `+1700000000.123456 [0 127.0.0.1:4711] "GET" "stepup:1:o:{a3}:<id>"`
fn note(line: &str, timeline: &Timeline) -> Option<()> {
    let (at, rest) = line.strip_prefix('+')?.split_once(' ')?;
    let (seconds, micros) = at.split_once('.')?;
    let at = seconds.parse::<i64>().ok()? * 1_000_000 + micros.parse::<i64>().ok()?;
    let stamp = match rest.split('"').nth(1)? {
        "GET" => Stamp::LookedUp,
        "SET" => Stamp::Fixed,
        _ => return None,
    };
    let (_, id) = rest.split('"').nth(3)?.rsplit_once("}:")?;
    timeline.stamp(id, stamp, at);
    Some(())
}

/// How long Redis takes to answer, again and again: what this machine does to whoever waits for an answer.
pub fn round_trips(port: u16) -> Watcher<Vec<i64>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("Redis");
    stream.set_nodelay(true).expect("a socket without delay");
    Watcher::start(move |stop| {
        let (mut lines, mut line) = (BufReader::new(stream.try_clone().expect("a socket")), String::new());
        let mut spans = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            stream.write_all(b"PING\r\n").expect("Redis takes a command");
            line.clear();
            lines.read_line(&mut line).expect("Redis answers");
            spans.push(i64::try_from(began.elapsed().as_micros()).expect("a short time"));
            std::thread::sleep(Duration::from_millis(3));
        }
        let _ = stream.shutdown(Shutdown::Both);
        spans
    })
}

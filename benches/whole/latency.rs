//! How long after the broker has an event its command can be read, in an open loop.
//!
//! Two clocks begin: when the broker appended the event (the topic keeps LogAppendTime; it is told in whole milliseconds, cut
//! off, so that a latency is up to a millisecond too long) and when its acknowledgement reached the sender. Both end when a
//! consumer of the commands topic holds the command.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;

use crate::figures::{Figures, grouped};
use crate::ground::Ground;
use crate::sender::{self, Acknowledged, Sent};
use crate::services::passes;
use crate::topic;

/// What goes by before anything is measured, and how long it is measured.
const WARM_UP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(25);
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent all at once, to see how much is evaluated while it is being sent.
const AT_ONCE: u64 = 600_000;

pub fn measure(ground: &Ground, figures: &mut Figures) {
    println!(
        "\n{:<34} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "event to command readable, ms", "sent/s", "commands", "p50", "p90", "p99", "p99.9", "max", "lost"
    );
    at(ground, 10_000, "latency_10k", figures);
    let most = at_most(ground);
    figures.set("latency_half.of_per_second", most);
    println!("{}/s at most, with the sender on the same cores; half of it:", grouped(most));
    at(ground, (most / 2.0) as u64, "latency_half", figures);
}

/// Events a second from the first that is sent to the last command that is read.
fn at_most(ground: &Ground) -> f64 {
    let (_, heard) = run(ground, "latency-most", u64::MAX, AT_ONCE, 0);
    assert!(heard.commands == AT_ONCE / sender::COMMAND_EVERY, "{} commands", heard.commands);
    AT_ONCE as f64 / (heard.last - heard.began).as_secs_f64()
}

fn at(ground: &Ground, rate: u64, name: &str, figures: &mut Figures) {
    let first = rate * WARM_UP.as_secs() / sender::COMMAND_EVERY;
    let events = rate * (WARM_UP + MEASURED).as_secs();
    let (sent, heard) = run(ground, name.replace('_', "-").as_str(), rate, events, first);
    heard.show(rate, &sent, name, figures);
}

/// Has evaluate decide so many events at a rate while its commands are read. Those before `first` are not timed.
fn run(ground: &Ground, name: &str, rate: u64, events: u64, first: u64) -> (Sent, Heard) {
    ground.forget();
    let stack = ground.stack(name, 1);
    sender::keep_append_time(&ground.brokers(), &stack.topic("activity"));
    let processor = stack.run("evaluate");
    processor.until_ready();
    let commands = topic::consumer(&ground.brokers(), &stack.topic("commands"));
    let acknowledged = Arc::new(Acknowledged::new(events));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let listening = scope.spawn(|| listen(&commands, &acknowledged, first, &done));
        let sent = sender::send(&ground.brokers(), &stack.topic("activity"), rate, &acknowledged);
        done.store(true, Ordering::Release);
        (sent, listening.join().expect("the listener goes on"))
    })
}

/// Latencies in microseconds since either clock began.
struct Heard {
    since_append: Histogram<u64>,
    since_acknowledged: Histogram<u64>,
    commands: u64,
    began: Instant,
    /// When the last command came.
    last: Instant,
}

/// Reads commands until all have come, or none for a while after the last event was sent. Those before `first` are not timed.
fn listen(commands: &BaseConsumer, acknowledged: &Acknowledged, first: u64, done: &AtomicBool) -> Heard {
    let histogram = || Histogram::new_with_bounds(1, 600_000_000, 3).expect("valid bounds");
    let now = Instant::now();
    let mut heard =
        Heard { since_append: histogram(), since_acknowledged: histogram(), commands: 0, began: now, last: now };
    while heard.commands < acknowledged.wanted() && !(done.load(Ordering::Acquire) && heard.last.elapsed() > PATIENCE) {
        let read = commands.poll(Duration::from_millis(100));
        let Some(message) = read.filter(|read| !read.as_ref().is_err_and(passes)) else { continue };
        let (now, wall) = (Instant::now(), sender::wall_micros());
        heard.last = now;
        let message = message.expect("the commands can be read");
        let Some(number) = sender::number_of(message.payload().unwrap_or_default()) else { continue };
        heard.commands += 1;
        if number < first {
            continue;
        }
        // A command may be there before the sender has heard that its event is.
        let (append, heard_of) = acknowledged.of(number, now);
        heard.since_append.saturating_record(wall.saturating_sub(append));
        heard.since_acknowledged.saturating_record(heard_of);
    }
    heard
}

impl Heard {
    fn show(&self, rate: u64, sent: &Sent, name: &str, figures: &mut Figures) {
        let lost = sent.commands.saturating_sub(self.commands);
        for (what, key, histogram) in [
            ("since the broker's append", "append", &self.since_append),
            ("since its acknowledgement", "ack", &self.since_acknowledged),
        ] {
            let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
            let max = histogram.max() as f64 / 1e3;
            println!(
                "{:<34} {:>9} {:>9} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {lost:>8}",
                format!("{}/s, {what}", grouped(rate as f64)),
                grouped(sent.rate),
                grouped(histogram.len() as f64),
                at(0.5),
                at(0.9),
                at(0.99),
                at(0.999),
                max
            );
            for (quantile, value) in
                [("p50", at(0.5)), ("p90", at(0.9)), ("p99", at(0.99)), ("p999", at(0.999)), ("max", max)]
            {
                figures.set(&format!("{name}.{key}_{quantile}_ms"), value);
            }
        }
        figures.set(&format!("{name}.sent_per_second"), sent.rate);
        figures.set(&format!("{name}.lost"), lost as f64);
    }
}

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
use crate::topic;

/// What goes by before anything is measured, and how long it is measured.
const WARM_UP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(25);
const PATIENCE: Duration = Duration::from_secs(60);

pub fn measure(ground: &Ground, figures: &mut Figures) {
    println!(
        "\n{:<34} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "event to command readable, ms", "sent/s", "commands", "p50", "p90", "p99", "p99.9", "max", "lost"
    );
    at(ground, 10_000, "latency_10k", figures);
    let rate = figures.get("bets.per_second").or(figures.get("mixed.per_second"));
    match rate {
        Some(rate) => at(ground, (rate / 2.0) as u64, "latency_half", figures),
        None => println!("at half of the rate: run `evaluate` as well, which measures it"),
    }
}

fn at(ground: &Ground, rate: u64, name: &str, figures: &mut Figures) {
    ground.forget();
    let stack = ground.stack(name.replace('_', "-").as_str(), 1);
    sender::keep_append_time(&ground.brokers(), &stack.topic("activity"));
    let processor = stack.run("evaluate");
    processor.until_ready();
    let commands = topic::consumer(&ground.brokers(), &stack.topic("commands"));
    let acknowledged = Arc::new(Acknowledged::new(rate, WARM_UP + MEASURED));
    let first = rate * WARM_UP.as_secs() / sender::COMMAND_EVERY;
    let done = AtomicBool::new(false);
    let (sent, heard) = std::thread::scope(|scope| {
        let listening = scope.spawn(|| listen(&commands, &acknowledged, first, &done));
        let sent = sender::send(&ground.brokers(), &stack.topic("activity"), rate, &acknowledged);
        done.store(true, Ordering::Release);
        (sent, listening.join().expect("the listener goes on"))
    });
    heard.show(rate, &sent, name, figures);
}

/// Latencies in microseconds since either clock began.
struct Heard {
    since_append: Histogram<u64>,
    since_acknowledged: Histogram<u64>,
    commands: u64,
}

/// Reads commands until all have come, or none for a while after the last event was sent. Those before `first` are not timed.
fn listen(commands: &BaseConsumer, acknowledged: &Acknowledged, first: u64, done: &AtomicBool) -> Heard {
    let histogram = || Histogram::new_with_bounds(1, 600_000_000, 3).expect("valid bounds");
    let mut heard = Heard { since_append: histogram(), since_acknowledged: histogram(), commands: 0 };
    let mut last = Instant::now();
    while heard.commands < acknowledged.wanted() && !(done.load(Ordering::Acquire) && last.elapsed() > PATIENCE) {
        let Some(message) = commands.poll(Duration::from_millis(100)) else { continue };
        let (now, wall) = (Instant::now(), sender::wall_micros());
        last = now;
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

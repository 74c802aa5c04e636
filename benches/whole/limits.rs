//! What the parts of the walk cost by themselves: nothing that is built of them can be faster.

use std::hint::black_box;
use std::time::Instant;

use stepup::domain::money::Rates;
use stepup::wire::event::{Decoded, decode};

use crate::figures::{Figures, Line};
use crate::ground::{CUSTOMERS, Ground};
use crate::processes::{cpu_of, own_cpu, thread_cpu};
use crate::topic::{self, Written};
use crate::tries::{TRIES, best};
use crate::window_step;

pub fn measure(ground: &Ground, topic: &str, written: &Written, figures: &mut Figures) {
    let bytes = |payload: &[u8]| {
        black_box(payload.len());
    };
    let raw = best((0..TRIES).map(|_| read(ground, topic, written.events, bytes)), Try::rate);
    figures.line("consume", &raw.line("librdkafka reads and drops"));

    let rates = Rates::default();
    let mut events = 0;
    let mut decoding =
        |payload: &[u8]| events += usize::from(matches!(decode(Some(payload), &rates), Decoded::Event(_)));
    let both = best((0..TRIES).map(|_| read(ground, topic, written.events, &mut decoding)), Try::rate);
    assert_eq!(events, written.events * TRIES, "an event cannot be decoded");
    figures.line("consume_decode", &both.line("reads and decodes, one thread"));
    figures.set("consume_decode.cpu_thread", both.thread);
    figures.line("reading_limit", &Line::new("reads and decodes, the limit of one core", 1e6 / both.ours));

    let alone = best((0..TRIES).map(|_| decode_sample(written)), Try::rate);
    figures.line("decode", &alone.line("decodes alone, one thread"));

    let steps = (0..TRIES).map(|_| {
        ground.forget();
        window_step::drive(&ground.redis, CUSTOMERS, written.events)
    });
    let step = best(steps, |step| -step.redis);
    let what = format!("window step, bare client, {} bets a call", window_step::BATCH);
    figures.line("window_step", &Line::new(&what, step.rate).redis(step.redis));
    figures.line("window_limit", &Line::new("window step, the limit of Redis's core", 1e6 / step.redis));
}

/// What one try gave: a rate, and CPU seconds per million of this process, of the thread that reads, of the broker.
struct Try {
    rate: f64,
    ours: f64,
    thread: f64,
    broker: Option<f64>,
}

impl Try {
    fn rate(&self) -> f64 {
        self.rate
    }

    fn line<'a>(&self, what: &'a str) -> Line<'a> {
        Line { broker: self.broker, ..Line::new(what, self.rate).ours(self.ours) }
    }
}

fn read(ground: &Ground, topic: &str, records: usize, each: impl FnMut(&[u8])) -> Try {
    let cpu = || [own_cpu(), thread_cpu(), cpu_of(ground.broker.pid())];
    let mut before = cpu();
    let took = topic::read(&ground.brokers(), topic, records, each, || before = cpu());
    let after = cpu();
    let spent = |which: usize| (after[which] - before[which]) * 1e6 / records as f64;
    Try { rate: records as f64 / took.as_secs_f64(), ours: spent(0), thread: spent(1), broker: Some(spent(2)) }
}

fn decode_sample(written: &Written) -> Try {
    let rates = Rates::default();
    let (began, cpu) = (Instant::now(), thread_cpu());
    for payload in &written.sample {
        black_box(decode(Some(black_box(payload.as_bytes())), &rates));
    }
    let records = written.sample.len() as f64;
    let thread = (thread_cpu() - cpu) * 1e6 / records;
    Try { rate: records / began.elapsed().as_secs_f64(), ours: thread, thread, broker: None }
}

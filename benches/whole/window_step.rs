//! The window step by itself: a bare client on one connection records bets and reads the windows back.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use redis::Value;
use stepup::edge::clock;

use crate::customers::{add, add_word, head, key, record};
use crate::processes::redis_cpu;
use crate::services::RedisServer;

/// Bets in a pipeline, and pipelines under way at a time.
pub const BATCH: usize = 512;
const IN_FLIGHT: usize = 4;

/// How long a window outlives its last bet: five minutes, and five more for what is late.
const TTL: &[u8] = b"600000";

pub struct Step {
    /// Bets a second as they went by.
    pub rate: f64,
    /// CPU seconds of Redis for a million bets.
    pub redis: f64,
}

/// Records bets of customers who are equally busy: one APPEND each, one MGET for a batch, and a PEXPIRE for who is new.
pub fn drive(server: &RedisServer, customers: u32, bets: usize) -> Step {
    let keys: Vec<String> = (0..customers).map(|n| key("bench", "tenant-0", &format!("customer-{n:08}"))).collect();
    let mut connection = server.connect();
    let mut pipelines = Pipelines::new(&keys);
    let cpu = redis_cpu(&mut connection);
    let began = Instant::now();
    let (mut sent, mut under_way) = (0, VecDeque::new());
    while sent < bets || !under_way.is_empty() {
        if sent < bets && under_way.len() < IN_FLIGHT {
            let (bytes, answers) = pipelines.next(BATCH.min(bets - sent));
            connection.send_packed_command(&bytes).expect("Redis takes a pipeline");
            under_way.push_back(answers);
            sent += BATCH.min(bets - sent);
        } else if let Some(answers) = under_way.pop_front() {
            for _ in 0..answers {
                let answer = connection.recv_response().expect("Redis answers");
                assert!(!matches!(answer, Value::Nil | Value::ServerError(_)), "{answer:?}");
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    Step { rate: bets as f64 / took, redis: (redis_cpu(&mut connection) - cpu) * 1e6 / bets as f64 }
}

struct Pipelines<'a> {
    keys: &'a [String],
    chance: ChaCha8Rng,
    known: Vec<bool>,
    number: u64,
}

impl<'a> Pipelines<'a> {
    fn new(keys: &'a [String]) -> Self {
        Self { keys, chance: ChaCha8Rng::seed_from_u64(1), known: vec![false; keys.len()], number: 0 }
    }

    /// The bytes of a pipeline of so many bets, and how many answers it has.
    fn next(&mut self, bets: usize) -> (Vec<u8>, usize) {
        let (mut bytes, mut answers) = (Vec::with_capacity(bets * 192), 1);
        let mut read = Vec::with_capacity(bets);
        let (mut present, at) = (HashSet::with_capacity(bets), clock::now());
        for _ in 0..bets {
            let customer = self.chance.random_range(0..self.keys.len());
            let name = self.keys[customer].as_bytes();
            self.number += 1;
            add(&mut bytes, &[b"APPEND", name, &record(at, self.number)]);
            answers += 1;
            if !std::mem::replace(&mut self.known[customer], true) {
                add(&mut bytes, &[b"PEXPIRE", name, TTL]);
                answers += 1;
            }
            if present.insert(customer) {
                read.push(name);
            }
        }
        head(&mut bytes, read.len() + 1);
        add_word(&mut bytes, b"MGET");
        read.iter().for_each(|name| add_word(&mut bytes, name));
        (bytes, answers)
    }
}

//! A proxy that breaks what goes through it: it delays, cuts in the middle of a request or an answer, closes one direction
//! only, or swallows everything. What happens to which chunk is drawn from a seed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// How the network is at the moment. Shares are of the chunks that go through, 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// The longest delay of a chunk.
    pub delay: Duration,
    /// A part of the chunk arrives, then the connection is cut in both directions.
    pub cut: f64,
    /// A part of the chunk arrives, then its direction is closed.
    pub half_close: f64,
    /// Nothing arrives, and nobody is told.
    pub silent: bool,
}

impl Weather {
    pub const CLEAR: Self = Self { delay: Duration::ZERO, cut: 0.0, half_close: 0.0, silent: false };
}

/// It listens until it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: String,
    weather: Mutex<Weather>,
    /// Chunks that were cut off.
    broken: AtomicU64,
    over: AtomicBool,
    seed: u64,
}

/// How long a direction waits before it looks whether the proxy is gone.
const LOOK: Duration = Duration::from_millis(100);

impl Proxy {
    /// Begins to listen on the loopback, and leads to an address like `127.0.0.1:80`.
    pub fn to(target: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            weather: Mutex::default(),
            broken: AtomicU64::new(0),
            over: AtomicBool::new(false),
            seed,
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn weather(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap() = weather;
    }

    /// Connections that were broken so far.
    pub fn broken(&self) -> u64 {
        self.shared.broken.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        // Wakes whoever accepts.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, client) in listener.incoming().enumerate() {
        if shared.over.load(Ordering::Relaxed) {
            return;
        }
        // Where nothing listens behind it, the client sees its connection closed.
        let (Ok(client), Ok(server)) = (client, TcpStream::connect(&shared.target)) else { continue };
        for (direction, from, to) in [(0, &client, &server), (1, &server, &client)] {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
            drop(to.set_nodelay(true));
            drop(from.set_read_timeout(Some(LOOK)));
            let chance = ChaCha8Rng::seed_from_u64(shared.seed.wrapping_add((number as u64) << 1 | direction));
            let shared = Arc::clone(shared);
            std::thread::spawn(move || pump(from, to, &shared, chance));
        }
    }
}

/// Carries one direction of a connection to its end.
fn pump(mut from: TcpStream, mut to: TcpStream, shared: &Shared, mut chance: ChaCha8Rng) {
    let mut chunk = vec![0; 16 * 1024];
    while !shared.over.load(Ordering::Relaxed) {
        let length = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => break,
        };
        let weather = loop {
            let weather = *shared.weather.lock().unwrap();
            if !weather.silent || shared.over.load(Ordering::Relaxed) {
                break weather;
            }
            std::thread::sleep(LOOK / 5);
        };
        if !weather.delay.is_zero() {
            std::thread::sleep(weather.delay.mul_f64(chance.random()));
        }
        let lot: f64 = chance.random();
        if lot < weather.cut + weather.half_close {
            let part = chance.random_range(0..length);
            drop(to.write_all(&chunk[..part]));
            shared.broken.fetch_add(1, Ordering::Relaxed);
            if lot < weather.cut {
                drop(from.shutdown(Shutdown::Both));
                drop(to.shutdown(Shutdown::Both));
            } else {
                drop(to.shutdown(Shutdown::Write));
            }
            return;
        }
        if to.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Write));
    drop(from.shutdown(Shutdown::Read));
}

//! The pages of a processor, read so that it costs next to nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::stack::Processor;

const PATIENCE: Duration = Duration::from_secs(10);

/// The metrics of a processor as they are now; nothing where it does not answer yet.
pub fn metrics(processor: &Processor) -> Option<String> {
    let address = processor.address("");
    let mut stream = TcpStream::connect(address.strip_prefix("http://")?).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The sum of all series of a metric.
pub fn sum(page: &str, metric: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(metric)?;
        let (_, value) = rest.starts_with(['{', ' ']).then(|| rest.rsplit_once(' '))??;
        value.parse::<f64>().ok()
    };
    page.lines().filter_map(value).sum()
}

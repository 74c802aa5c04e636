//! What the kernel and Redis say of the processes: CPU time and memory.

use std::path::Path;

/// Clock ticks a second, as Linux tells times of processes.
const TICKS: f64 = 100.0;

/// CPU seconds, or CPU seconds for a million events, of each process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    pub ours: f64,
    pub redis: f64,
    pub broker: f64,
}

impl Cpu {
    /// What was spent since `earlier`, for a million of so many records.
    pub fn since(self, earlier: Self, records: f64) -> Self {
        let each = |now: f64, then: f64| (now - then) * 1e6 / records.max(1.0);
        Self {
            ours: each(self.ours, earlier.ours),
            redis: each(self.redis, earlier.redis),
            broker: each(self.broker, earlier.broker),
        }
    }
}

/// User and system CPU seconds of a process so far, to a hundredth.
pub fn cpu_of(pid: u32) -> f64 {
    cpu_in(Path::new(&format!("/proc/{pid}/stat")))
}

/// The same of this process.
pub fn own_cpu() -> f64 {
    cpu_in(Path::new("/proc/self/stat"))
}

fn cpu_in(path: &Path) -> f64 {
    let stat = std::fs::read_to_string(path).expect("a running process");
    let (_, rest) = stat.rsplit_once(") ").expect("the fields of a process");
    let ticks: f64 = rest.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks")).sum();
    ticks / TICKS
}

/// CPU seconds of the thread that asks.
pub fn thread_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel keeps times of threads");
    stat.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).expect("nanoseconds") / 1e9
}

/// The most memory that a process has had resident, in MiB.
pub fn peak_memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.expect("a peak") / 1024.0
}

/// CPU seconds of a Redis so far.
pub fn redis_cpu(connection: &mut redis::Connection) -> f64 {
    info(connection, "cpu", "used_cpu_user:") + info(connection, "cpu", "used_cpu_sys:")
}

/// Bytes that a Redis has in use.
pub fn redis_memory(connection: &mut redis::Connection) -> f64 {
    info(connection, "memory", "used_memory:")
}

fn info(connection: &mut redis::Connection, section: &str, name: &str) -> f64 {
    let text: String = redis::cmd("INFO").arg(section).query(connection).expect("INFO");
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).expect("INFO has it")
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

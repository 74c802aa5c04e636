//! What each process uses, as the kernel tells it.

use std::path::Path;

use super::services::RedisServer;
use super::stack::Processor;

/// CPU seconds.
pub struct Usage {
    pub ours: f64,
    pub redis: f64,
    pub broker: f64,
    /// This process: the simulator, and what measures.
    pub own: f64,
}

impl Usage {
    pub fn of(processor: &Processor, redis: &RedisServer) -> Self {
        let [children, own] = [processor.process.pid(), std::process::id()].map(|pid| ticks(&pid.to_string()));
        Self { ours: children, redis: redis_seconds(redis), broker: broker(), own }
    }

    pub fn since(&self, before: &Self) -> Self {
        Self {
            ours: self.ours - before.ours,
            redis: self.redis - before.redis,
            broker: self.broker - before.broker,
            own: self.own - before.own,
        }
    }
}

/// User and system CPU seconds of a process so far.
fn ticks(pid: &str) -> f64 {
    let fields = fields(pid);
    fields.iter().skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}

/// What follows a process's name in its `stat`, from its state on; nothing where it is gone.
fn fields(pid: &str) -> Vec<String> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').map(str::to_owned).collect()).unwrap_or_default()
}

fn redis_seconds(redis: &RedisServer) -> f64 {
    let text: String = redis::cmd("INFO").arg("cpu").query(&mut redis.connect()).expect("INFO");
    let of =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).unwrap_or(0.0);
    of("used_cpu_user:") + of("used_cpu_sys:")
}

/// The broker that this process started; nothing where it was given one.
fn broker() -> f64 {
    let own = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids = all.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.parse::<u32>().is_ok());
    let ours = |pid: &String| fields(pid).get(1) == Some(&own);
    let is_java = |pid: &String| {
        std::fs::read_to_string(Path::new("/proc").join(pid).join("comm")).is_ok_and(|name| name.trim() == "java")
    };
    pids.filter(ours).filter(is_java).map(|pid| ticks(&pid)).sum()
}

/// A line of the process's status, in MiB.
pub fn memory(processor: &Processor, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", processor.process.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1_024.0
}

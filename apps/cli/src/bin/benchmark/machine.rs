//! The properties and the load of the machine, which are printed with the figures.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// `f_type` of a file system in memory, from statfs(2).
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Processes that were running or waiting for a core, averaged over 1, 5 and 15 minutes.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// How much of the machine may be busy before a round, in per cent.
const QUIET_PERCENT: f64 = 15.0;

/// How long the load is measured: the periodic work of an idle service must not count.
const WINDOW: Duration = Duration::from_millis(500);

/// The share of all cores that other programs use, in per cent. Waits until it is low, up to the
/// timeout.
pub async fn others_percent(timeout: Duration) -> f64 {
    let begin = Instant::now();
    let mut waiting = false;
    loop {
        let before = ticks();
        tokio::time::sleep(WINDOW).await;
        let after = ticks();
        let (busy, all) = (after.0 - before.0, after.1 - before.1);
        let percent = busy as f64 * 100.0 / all.max(1) as f64;
        if percent < QUIET_PERCENT || begin.elapsed() > timeout {
            return percent;
        }
        if !waiting {
            eprintln!("           waiting: other programs use {percent:.0} % of the cores");
            waiting = true;
        }
    }
}

/// Busy and all ticks of all cores since boot.
fn ticks() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal; guest time is part of user time.
    let fields: Vec<u64> =
        line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    let idle: u64 = fields.iter().skip(3).take(2).sum();
    let all: u64 = fields.iter().sum();
    (all - idle, all)
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or("unknown", |line| line.trim_start_matches([' ', '\t', ':'])).to_owned()
}

/// Whether files of this directory are in memory, where a durable write costs nothing.
pub fn is_in_memory(directory: &Path) -> bool {
    rustix::fs::statfs(directory).is_ok_and(|statfs| statfs.f_type.cast_unsigned() == TMPFS_MAGIC)
}

pub fn describe() -> Value {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({"cores": cores(), "processor": processor(), "kernel": kernel.trim()})
}

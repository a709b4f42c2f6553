//! What the kernel counts of a process (proc(5)).

use anyhow::{Context as _, Result};
use std::fs;
use std::time::Duration;

/// The CPU time of all threads of a process so far.
pub fn cpu_time(process: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end meanwhile.
        let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The most memory that a process had resident so far, in bytes.
pub fn peak_resident_bytes(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|it| it.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kibibytes.context("the kernel does not tell VmHWM")? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_has_used_memory_and_cpu() {
        let own = std::process::id();
        assert!(peak_resident_bytes(own).unwrap() > 100_000);
        assert!(cpu_time(own).unwrap() > Duration::from_micros(1));
    }
}

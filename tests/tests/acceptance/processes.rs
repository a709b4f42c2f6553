//! The processes of a service, read from `/proc` and identified by its directory.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The processes with `directory` in their command line or environment: the service, its agents, and
/// their descendants. Zombies do not count.
pub fn of(directory: &Path) -> Vec<u32> {
    let mark = directory.to_str().unwrap().as_bytes();
    let own = std::process::id();
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let is_marked = |file: &str| {
            let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            text.windows(mark.len()).any(|part| part == mark)
        };
        (pid != own && (is_marked("cmdline") || is_marked("environ"))).then_some(pid)
    });
    numbers.collect()
}

pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    !state.starts_with('Z')
}

/// The process id and the command line.
pub fn describe(pid: u32) -> String {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid} {}", String::from_utf8_lossy(&text).replace('\0', " "))
}

/// Sends a signal. Ignores failures: the process may have ended.
pub fn signal(pid: u32, signal: &str) {
    let _ = Command::new("kill").args(["-s", signal, &pid.to_string()]).output();
}

//! Reads processes from `/proc`: CPU time by kind, memory, and whether they have ended.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

/// The unit of CPU times in `/proc` (`USER_HZ`), which is part of the kernel's interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// How long a process may take to end after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    pub pid: i32,
    parent: i32,
    /// `Z` for a zombie.
    state: u8,
    /// Clock ticks since boot; with the id, it identifies a process uniquely.
    started: u64,
    /// CPU time in clock ticks: its own, and that of its children that it waited for.
    own_ticks: u64,
    children_ticks: u64,
}

impl Process {
    pub fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Counts the fields from the last parenthesis, because the name may have any characters.
    fn parse(pid: i32, stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let ticks = |number: usize| field(number)?.parse::<u64>().ok();
        Some(Self {
            pid,
            parent: field(4)?.parse().ok()?,
            state: *field(3)?.as_bytes().first()?,
            started: ticks(22)?,
            own_ticks: ticks(14)? + ticks(15)?,
            children_ticks: ticks(16)? + ticks(17)?,
        })
    }

    fn is_alive(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started && now.state != b'Z')
    }

    fn signal(&self, signal: Signal) {
        if let (true, Some(pid)) = (self.is_alive(), Pid::from_raw(self.pid)) {
            // An error means that the process has ended.
            let _ = kill_process(pid, signal);
        }
    }

    /// The first argument, which distinguishes the kinds of `batchai` processes.
    fn subcommand(&self) -> Option<String> {
        let line = fs::read_to_string(format!("/proc/{}/cmdline", self.pid)).ok()?;
        line.split('\0').nth(1).map(str::to_owned)
    }
}

/// All descendants of a process.
pub fn descendants(of: i32) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let all: Vec<Process> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .collect();
    let (mut found, mut parents) = (Vec::new(), HashSet::from([of]));
    loop {
        let before = found.len();
        for process in &all {
            if parents.contains(&process.parent) && parents.insert(process.pid) {
                found.push(*process);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Waits until all processes have ended; kills the remaining ones after `grace`.
pub fn end(processes: &[Process], grace: Duration) {
    let begin = Instant::now();
    while processes.iter().any(Process::is_alive) && begin.elapsed() < grace + KILL_TIMEOUT {
        if begin.elapsed() >= grace {
            processes.iter().for_each(|process| process.signal(Signal::KILL));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills all descendants. This process is their subreaper, so none escapes.
pub fn kill_descendants() {
    let begin = Instant::now();
    while begin.elapsed() < KILL_TIMEOUT {
        let alive: Vec<_> = descendants(own_pid()).into_iter().filter(Process::is_alive).collect();
        if alive.is_empty() {
            return;
        }
        end(&alive, Duration::ZERO);
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// CPU time in seconds of a service and of everything below it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    pub service: f64,
    pub agents: f64,
    pub supervisors: f64,
    /// The children of supervisors and agents: mostly the shells of jobs.
    pub jobs: f64,
}

impl Cpu {
    /// The CPU time of the service with this process id. The difference between two calls is valid if
    /// the agents and supervisors are the same.
    pub fn of(service: i32) -> Result<Self> {
        let process = Process::read(service).context("the service has ended")?;
        let mut cpu = Self { service: seconds(process.own_ticks), ..Self::default() };
        for process in descendants(service) {
            let own = seconds(process.own_ticks);
            match process.subcommand().as_deref() {
                Some("agent") => cpu.agents += own,
                Some("supervise") => cpu.supervisors += own,
                _ => cpu.jobs += own,
            }
            cpu.jobs += seconds(process.children_ticks);
        }
        Ok(cpu)
    }

    pub fn since(self, earlier: Self) -> Self {
        Self {
            service: self.service - earlier.service,
            agents: self.agents - earlier.agents,
            supervisors: self.supervisors - earlier.supervisors,
            jobs: self.jobs - earlier.jobs,
        }
    }
}

/// The descendants of a service that are `batchai` processes of this kind.
pub fn with_subcommand(service: i32, kind: &str) -> Vec<i32> {
    let is_kind = |process: &Process| process.subcommand().as_deref() == Some(kind);
    descendants(service).into_iter().filter(is_kind).map(|process| process.pid).collect()
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

/// CPU time of this process alone.
pub fn own_cpu_seconds() -> Result<f64> {
    let own = Process::read(own_pid()).context("/proc is not mounted")?;
    Ok(seconds(own.own_ticks))
}

/// Memory of one process in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub resident: f64,
    /// Shared pages count in proportion.
    pub proportional: f64,
}

impl Memory {
    pub fn of(pid: i32) -> Result<Self> {
        Ok(Self {
            resident: mebibytes(&format!("/proc/{pid}/status"), "VmRSS:")?,
            proportional: mebibytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:")?,
        })
    }
}

fn mebibytes(path: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kibibytes.with_context(|| format!("{path} has no {name}"))? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_shift_the_fields() {
        let stat = "7 (a) S 9 (b) S 3 7 7 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 555 1 2";
        let process = Process::parse(7, stat).unwrap();
        assert_eq!((process.parent, process.state, process.started), (3, b'S', 555));
        assert_eq!((process.own_ticks, process.children_ticks), (120, 7));
    }

    #[test]
    fn a_child_is_found_and_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().cast_signed();
        let found: Vec<_> =
            descendants(own_pid()).into_iter().filter(|process| process.pid == pid).collect();
        assert_eq!(found.len(), 1);
        end(&found, Duration::ZERO);
        assert!(!found[0].is_alive());
        child.wait().unwrap();
    }
}

//! Whether the shell of a command still reads `~/.bashrc`: a program there that waits, for a lock for instance,
//! delays every job, and nothing else would say so.
//!
//! While a shell reads it, its process has another name ([`READING`]), which its prologue sets. Only commands that
//! take long are checked. In a container the name cannot be set, so nothing is said.

use std::time::Duration;

use rustix::process::{Pid, getpgid};

use super::processes;
use crate::clock::Uptime;

/// The name of a shell that reads `~/.bashrc`. A process name has 15 bytes at most.
pub const READING: &str = "reading bashrc";

/// A shell that has read the file by then is not mentioned.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a shell is checked that still reads it.
const PAUSE: Duration = Duration::from_secs(2);

/// At most so many programs are named.
const NAMED: usize = 3;

#[derive(Debug)]
pub struct ShellStart {
    begun: Uptime,
    /// When to check; `None` once the command has begun.
    due: Option<Uptime>,
    is_reported: bool,
}

/// A shell that reads `~/.bashrc`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reading {
    pid: i32,
    /// Id and name of what it has started and what still runs.
    programs: Vec<(i32, String)>,
}

impl ShellStart {
    pub fn new(begun: Uptime) -> Self {
        Self { begun, due: Some(begun.after(PATIENCE)), is_reported: false }
    }

    /// When to check next.
    pub fn due(&self) -> Option<Uptime> {
        self.due
    }

    /// Checks the shells below the process `supervisor` if it is time for that. Returns what there is to report.
    pub fn check(&mut self, now: Uptime, supervisor: i32) -> Option<String> {
        match self.due {
            Some(due) if due <= now => self.found(now, reading_below(supervisor)),
            Some(_) | None => None,
        }
    }

    fn found(&mut self, now: Uptime, reading: Option<Reading>) -> Option<String> {
        self.due = reading.as_ref().map(|_| now.after(PAUSE));
        match (reading, self.is_reported) {
            (Some(reading), false) => {
                self.is_reported = true;
                Some(reading.describe())
            }
            (None, true) => {
                let seconds = now.since(self.begun).as_secs();
                Some(format!("The shell has read ~/.bashrc, after {seconds} s"))
            }
            (Some(_), true) | (None, false) => None,
        }
    }
}

impl Reading {
    fn describe(&self) -> String {
        let programs: Vec<String> = self
            .programs
            .iter()
            .take(NAMED)
            .map(|(pid, name)| format!("{name} (pid {pid})"))
            .collect();
        let runs = match programs.is_empty() {
            true => String::new(),
            false => format!(", which runs {}", programs.join(", ")),
        };
        format!("Waiting for the shell to read ~/.bashrc (pid {}){runs}", self.pid)
    }
}

/// The first shell of a supervisor that reads the file. A subshell that was left behind has the name of its shell,
/// but it does not lead a process group.
fn reading_below(supervisor: i32) -> Option<Reading> {
    let below = processes::descendants(supervisor);
    let is_reading = |pid: i32| processes::name_of(pid).is_some_and(|name| name == READING);
    let leads = |pid: i32| {
        let pid = Pid::from_raw(pid);
        pid.is_some_and(|pid| getpgid(Some(pid)).is_ok_and(|group| group == pid))
    };
    let shells = below.iter().filter(|it| it.parent == supervisor && is_reading(it.pid));
    let shell = shells.map(|it| it.pid).find(|pid| leads(*pid))?;
    let programs = processes::with_descendants(&below, |it| it.parent == shell)
        .into_iter()
        .filter(|it| it.is_alive() && !is_reading(it.pid))
        .filter_map(|it| Some((it.pid, processes::name_of(it.pid)?)))
        .collect();
    Some(Reading { pid: shell, programs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_start_is_reported_once_and_its_end_too() {
        let begun = Uptime::now();
        let mut start = ShellStart::new(begun);
        let reading = Reading { pid: 7, programs: vec![(8, "flock".into())] };
        let at = |seconds| begun.after_seconds(seconds);
        assert_eq!(start.check(at(2), 0), None, "it is not due");
        assert_eq!(
            start.found(at(3), Some(reading.clone())).as_deref(),
            Some("Waiting for the shell to read ~/.bashrc (pid 7), which runs flock (pid 8)")
        );
        assert_eq!((start.found(at(5), Some(reading)), start.due()), (None, Some(at(7))));
        assert_eq!(
            start.found(at(61), None).as_deref(),
            Some("The shell has read ~/.bashrc, after 61 s")
        );
        assert_eq!(start.due(), None);
    }

    #[test]
    fn a_command_that_has_begun_is_not_mentioned() {
        let begun = Uptime::now();
        let mut start = ShellStart::new(begun);
        assert_eq!(start.found(begun.after_seconds(3), None), None);
        assert_eq!((start.due(), start.check(begun.after_seconds(99), 0)), (None, None));
    }

    #[test]
    fn a_name_fits_a_process() {
        assert!(READING.len() <= 15);
        let reading = Reading { pid: 7, programs: Vec::new() };
        assert_eq!(reading.describe(), "Waiting for the shell to read ~/.bashrc (pid 7)");
    }
}

//! Process trees: finding them in `/proc`, and ending them completely.
//!
//! What is read from `/proc` may be outdated when it is returned: callers repeat until nothing is found.

#![warn(missing_docs)]

mod container;
mod control_group;
pub mod keeper;
mod keeper_file;
mod kill_pace;
mod restarts;
mod signals;
mod user;

pub use container::ContainerRecord;
pub use control_group::ControlGroup;
pub use keeper_file::{Keeper, KeeperFile, boot_id};
pub use kill_pace::KillPace;
pub use signals::Signals;
pub use user::User;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

/// A process, by its id and its start time, as ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: i32,
    /// Start time of the process, in clock ticks since boot.
    pub started: u64,
}

impl Identity {
    /// The identity of the process that has this id now.
    pub fn of(pid: i32) -> Option<Self> {
        Process::read(pid).map(|process| process.identity())
    }

    /// True while the process has not ended.
    pub fn is_alive(self) -> bool {
        Process::read(self.pid).is_some_and(|it| it.identity() == self && it.is_alive())
    }
}

/// A process, with the fields of `/proc/{pid}/stat` that are needed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub pid: i32,
    /// The letter that `ps` shows. `Z` when the process has ended and was not reaped yet.
    pub state: u8,
    /// Process id of the parent.
    pub parent: i32,
    /// Process id of the session's leader.
    pub session: i32,
    /// True when the process has a controlling terminal.
    pub has_terminal: bool,
    /// Start time in clock ticks since boot.
    pub started: u64,
}

impl Process {
    /// The process that has this id now.
    pub fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name, in parentheses, may contain any character. The last closing parenthesis ends it.
    fn parse(pid: i32, stat: &[u8]) -> Option<Self> {
        let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&stat[end_of_name + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            pid,
            state: *field(3)?.as_bytes().first()?,
            parent: field(4)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            has_terminal: field(7)? != "0",
            started: field(22)?.parse().ok()?,
        })
    }

    /// Its id and start time.
    pub fn identity(&self) -> Identity {
        Identity { pid: self.pid, started: self.started }
    }

    /// True unless it had ended when it was read.
    pub fn is_alive(&self) -> bool {
        self.state != b'Z'
    }

    /// Sends a signal, without an error when the process has ended in the meantime.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            // An error means that it has ended, or belongs to another user.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// All processes of this operating system.
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .collect()
}

/// The children, grandchildren and so on of the process `of`.
pub fn descendants(of: i32) -> Vec<Process> {
    with_descendants(&all(), |process| process.parent == of)
}

/// The processes for which `chosen` holds, and everything below them.
pub fn with_descendants(all: &[Process], chosen: impl Fn(&Process) -> bool) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut pending: Vec<&Process> = all.iter().filter(|process| chosen(process)).collect();
    let mut seen: HashSet<i32> = pending.iter().map(|process| process.pid).collect();
    let mut found = Vec::new();
    while let Some(process) = pending.pop() {
        found.push(*process);
        let below = children.get(&process.pid).into_iter().flatten();
        pending.extend(below.filter(|child| seen.insert(child.pid)));
    }
    found
}

/// The value of a variable in the environment that a process was started with.
pub fn variable_of(pid: i32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

/// The working directory and the executable of a process, as far as they can be read.
pub fn files_of(pid: i32) -> impl Iterator<Item = PathBuf> {
    ["cwd", "exe"]
        .into_iter()
        .filter_map(move |name| fs::read_link(format!("/proc/{pid}/{name}")).ok())
}

/// The name of a process, as `ps -o comm` shows it.
pub fn name_of(pid: i32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
}

/// Whether `argument` is on the command line of a process.
pub fn has_argument(pid: i32, argument: &OsStr) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|it| it == argument.as_bytes())
}

/// The argument that follows `option` on the command line of a process.
pub fn option_of(pid: i32, option: &str) -> Option<OsString> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut arguments = line.split(|byte| *byte == 0);
    arguments.find(|argument| *argument == option.as_bytes())?;
    arguments.next().map(|value| OsStr::from_bytes(value).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_contain_parentheses() {
        let stat = b"42 (a) R (b)) S 7 42 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        let process = Process::parse(42, stat).unwrap();
        assert_eq!((process.state, process.parent, process.session), (b'S', 7, 40));
        assert_eq!(process.started, 98765);
        assert_eq!(Process::parse(42, b"42 (a"), None);
    }

    #[test]
    fn descendants_are_all_generations() {
        let process = |pid, parent| Process {
            pid,
            state: b'S',
            parent,
            session: 1,
            has_terminal: false,
            started: 1,
        };
        let all = [process(1, 0), process(2, 1), process(3, 2), process(4, 1), process(5, 3)];
        let mut found: Vec<i32> =
            with_descendants(&all, |process| process.parent == 2 || process.pid == 2)
                .iter()
                .map(|process| process.pid)
                .collect();
        found.sort_unstable();
        assert_eq!(found, [2, 3, 5]);
    }

    #[test]
    fn this_process_is_found_with_its_environment() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(Process::read(own).unwrap().is_alive());
        assert!(all().iter().any(|process| process.pid == own));
        assert!(variable_of(own, "PATH").is_some());
        assert_eq!(variable_of(own, "PAT"), None);
    }

    #[test]
    fn an_option_is_followed_by_its_value() {
        let arguments = ["-c", "sleep 60; :", "sh", "--root", "/a b"];
        let mut child = std::process::Command::new("sh").args(arguments).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // For a moment after it was started a process shows no command line.
        while fs::read(format!("/proc/{pid}/cmdline")).unwrap().is_empty() {}
        assert_eq!(option_of(pid, "--root"), Some("/a b".into()));
        assert_eq!(option_of(pid, "--roo"), None);
        let identity = Identity::of(pid).unwrap();
        assert!(identity.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }
}

//! Processes that the kernel killed because memory ran out, from the most exact source that there is:
//!
//! 1. The control group of the node, where it counts (cgroup v2 with the memory controller): these are processes of the
//!    node, of which only the job's are new.
//! 2. The kernel log, where the counter of the machine has grown: the log names the processes that it counted, with their
//!    scores. Processes of jobs have the score that supervisors give them ([`oom_score::OF_JOBS`]).
//! 3. That counter alone, where the log cannot be read.
//!
//! The last two count only for a command that ended by SIGKILL: other nodes and programs share the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use processes::ControlGroup;
use serde::{Deserialize, Serialize};

use crate::system::{kernel_log, oom_score};

/// Of a process that was ended by SIGKILL, as a shell reports it.
const KILLED: i32 = 128 + 9;

const KERNEL_LOG: &str = "/dev/kmsg";
const MACHINE: &str = "/proc/vmstat";

/// What the kernel has counted since it started, where it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OomKills {
    group: Option<u64>,
    machine: Option<u64>,
}

impl OomKills {
    /// Until now.
    pub fn count() -> Self {
        Sources::of_this_node().count()
    }
}

/// What was observed since `before`, as a sentence; `None` when nothing explains this exit code.
pub fn find(exit_code: i32, before: OomKills) -> Option<String> {
    Sources::of_this_node().find(exit_code, before)
}

struct Sources<'a> {
    /// `memory.events` of the group of this process.
    group: Option<&'a Path>,
    machine: &'a Path,
    kernel_log: &'a Path,
}

impl Sources<'static> {
    fn of_this_node() -> Self {
        static GROUP: OnceLock<Option<PathBuf>> = OnceLock::new();
        let group = GROUP.get_or_init(|| ControlGroup::own().map(|it| it.memory_events()));
        let (machine, kernel_log) = (Path::new(MACHINE), Path::new(KERNEL_LOG));
        Sources { group: group.as_deref(), machine, kernel_log }
    }
}

impl Sources<'_> {
    fn count(&self) -> OomKills {
        OomKills { group: self.group.and_then(counter), machine: counter(self.machine) }
    }

    fn find(&self, exit_code: i32, before: OomKills) -> Option<String> {
        let after = self.count();
        if let Some(killed) = growth(before.group, after.group) {
            return Some(format!(
                "memory.events of the control group counted {killed} processes that the kernel killed"
            ));
        }
        if exit_code != KILLED {
            return None;
        }
        let killed = growth(before.machine, after.machine)?;
        let log = kernel_log::read(self.kernel_log).unwrap_or_default();
        match kills(&log).next() {
            Some(_) => {
                let counted = usize::try_from(killed).unwrap_or(usize::MAX);
                let of_a_job = kills(&log).take(counted).find(|it| is_of_a_job(it))?;
                Some(format!("kernel log: {}", without_sizes(of_a_job)))
            }
            None => Some(format!(
                "exit code {KILLED}, and /proc/vmstat counted {killed} processes of the machine that the kernel killed meanwhile"
            )),
        }
    }
}

fn growth(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    after?.checked_sub(before?).filter(|killed| *killed > 0)
}

/// `oom_kill 3`
fn counter(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// The records of processes that were killed, the last one first: the level and a time, then
/// `Out of memory: Killed process 19064 (tail) total-vm:35340kB, … oom_score_adj:500`.
fn kills(log: &str) -> impl Iterator<Item = &str> {
    let texts = log.lines().rev().filter_map(|line| Some(line.split_once(';')?.1));
    texts.filter(|text| text.contains("ut of memory: Killed process "))
}

fn is_of_a_job(kill: &str) -> bool {
    let score = kill.rsplit("oom_score_adj:").next();
    score.and_then(|it| it.trim().parse().ok()).is_some_and(|it: i32| it >= oom_score::OF_JOBS)
}

fn without_sizes(kill: &str) -> &str {
    kill.split(" total-vm:").next().unwrap_or(kill)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found when the counters of group and machine go from the first to the second line.
    fn find(exit_code: i32, group: [&str; 2], machine: [&str; 2], log: &str) -> Option<String> {
        let place = tempfile::tempdir().unwrap();
        let [events, vmstat, kmsg] =
            ["memory.events", "vmstat", "kmsg"].map(|it| place.path().join(it));
        let sources = Sources { group: Some(&events), machine: &vmstat, kernel_log: &kmsg };
        let write = |at: usize| {
            fs::write(&events, format!("low 0\noom 9\n{}", group[at])).unwrap();
            fs::write(&vmstat, format!("nr_free_pages 7\n{}\n", machine[at])).unwrap();
        };
        write(0);
        let before = sources.count();
        write(1);
        if !log.is_empty() {
            fs::write(&kmsg, log).unwrap();
        }
        sources.find(exit_code, before)
    }

    const SAME: [&str; 2] = ["oom_kill 2", "oom_kill 2"];
    const GROWN: [&str; 2] = ["oom_kill 2", "oom_kill 4"];
    const NONE: [&str; 2] = ["", ""];

    fn kill(pid: u32, score: i32) -> String {
        format!(
            "4,1,5140900,-;tail invoked oom-killer: oom_score_adj={score}\n\
             3,2,5140901,-;Out of memory: Killed process {pid} (python3) total-vm:9kB, UID:0 pgtables:1kB oom_score_adj:{score}\n\
             6,3,5140902,-;eth0: up\n"
        )
    }

    #[test]
    fn the_most_exact_source_is_named() {
        let group = find(1, GROWN, GROWN, &kill(77, 500)).unwrap();
        assert!(group.starts_with("memory.events") && group.contains("counted 2 "), "{group}");
        let log = kill(77, 500) + &kill(78, 0);
        let log = find(137, SAME, GROWN, &log).unwrap();
        assert_eq!(log, "kernel log: Out of memory: Killed process 77 (python3)");
        let machine = find(137, NONE, GROWN, "").unwrap();
        assert!(machine.starts_with("exit code 137, and /proc/vmstat counted 2 "), "{machine}");
    }

    #[test]
    fn nothing_is_blamed_without_evidence() {
        assert_eq!(find(137, SAME, SAME, &kill(77, 500)), None, "nothing was killed");
        assert_eq!(find(1, SAME, GROWN, &kill(77, 500)), None, "it ended by itself");
        let earlier = kill(77, 500) + &kill(78, 0) + &kill(79, 0);
        assert_eq!(find(137, SAME, GROWN, &earlier), None, "no process of a job, this time");
        assert_eq!(find(137, ["oom_kill 4", ""], ["", "oom_kill 4"], ""), None, "unknown before");
    }
}

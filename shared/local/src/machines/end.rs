//! Ending the processes of a machine, completely.
//!
//! The keeper does it where there is one. What is left when the keeper was killed is found by the control group
//! of the machine. Where there are no control groups it is found by the root of the machine: in command lines,
//! environments, working directories and executables.

use super::record::{self, Record};
use super::start::{self, ROOT_OPTION};
use model::NodeId;
use processes::{ControlGroup, Identity, KeeperFile, KillPace, Process};
use rustix::process::Signal;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// In the environment of every process that users start on a node.
const NODE_VARIABLE: &str = "AZ_BATCHAI_NODE_ID";

/// The end of one machine, in passes that are repeated until no process is left.
#[derive(Debug)]
pub struct MachineEnd {
    directory: PathBuf,
    node: NodeId,
    group: Option<ControlGroup>,
    pace: KillPace,
    /// A process that loses its parent on the way still belongs to the machine.
    found: HashSet<Identity>,
}

impl MachineEnd {
    /// `record`: what is recorded of the machine; a machine without a record may still have processes.
    pub fn new(directory: &Path, node: &NodeId, record: Option<&Record>) -> Self {
        let group = match record {
            // A keeper that cannot enter the group removes it.
            Some(record) => record.group.clone().filter(ControlGroup::exists),
            None => ControlGroup::find(&group_name(node)),
        };
        Self {
            directory: directory.to_owned(),
            node: node.clone(),
            group,
            pace: KillPace::start(),
            found: HashSet::new(),
        }
    }

    /// The pace of the passes.
    pub fn pace(&mut self) -> &mut KillPace {
        &mut self.pace
    }

    /// Kills what is found. True when no process of the machine is left; from then on none is started.
    pub fn pass(&mut self) -> bool {
        let locked = KeeperFile::lock(&record::keeper_file(&self.directory, &self.node));
        if matches!(locked, Ok(None)) {
            // A keeper lives, or another part of the service has the lock to end the same machine. A keeper whose
            // file is damaged is found as a process.
            if !start::signal_keeper(&self.directory, &self.node, Signal::USR1) {
                self.kill_what_is_left();
            }
            return false;
        }
        if !self.kill_what_is_left() {
            return false;
        }
        // Without a directory there is no file, and no keeper is started either.
        if let Ok(Some(file)) = locked
            && let Err(error) = file.write_ended()
        {
            tracing::warn!(node = %self.node, %error, "the end of a machine was not written");
        }
        if let Some(group) = &self.group {
            group.remove();
        }
        true
    }

    /// True when nothing was left.
    fn kill_what_is_left(&mut self) -> bool {
        let root = record::root(&self.directory, &self.node);
        let keeper_file = record::keeper_file(&self.directory, &self.node);
        let starts_others = |process: &Process| {
            processes::option_of(process.pid, ROOT_OPTION).is_some_and(|it| it == *root)
                || processes::has_argument(process.pid, keeper_file.as_os_str())
        };
        let is_marked = |process: &Process| {
            let node = processes::variable_of(process.pid, NODE_VARIABLE);
            node.as_deref() == Some(self.node.as_str())
        };
        let belongs = |process: &Process| {
            self.found.contains(&process.identity())
                || starts_others(process)
                || is_marked(process)
                || (self.group.is_none() && uses(process, &root))
        };
        let left = processes::with_descendants(&processes::all(), belongs);
        let left: Vec<_> = left.into_iter().filter(Process::is_alive).collect();
        self.found.extend(left.iter().map(Process::identity));
        // The agent first: it would report a command that is killed as one that failed.
        let first: Vec<_> = left.iter().copied().filter(starts_others).collect();
        let is_first_only = !first.is_empty() && self.pace.is_agent_first();
        for process in if is_first_only { &first } else { &left } {
            process.signal(Signal::KILL);
        }
        let group = self.group.as_ref().filter(|group| group.is_populated());
        if let Some(group) = group
            && !is_first_only
        {
            group.kill();
        }
        left.is_empty() && group.is_none()
    }
}

/// The control group of a machine.
pub fn group_name(node: &NodeId) -> String {
    format!("batchai-{node}")
}

/// Whether a process without a terminal works in the root, or runs a file of it. A person who looks at the
/// directory in a terminal is no process of the machine.
fn uses(process: &Process, root: &Path) -> bool {
    !process.has_terminal && processes::files_of(process.pid).any(|path| path.starts_with(root))
}

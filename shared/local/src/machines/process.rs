//! The processes of a machine: the agent, and whatever it started.

use super::MachineOptions;
use super::record::{self, Record};
use model::NodeId;
use processes::{Identity, Process};
use rustix::process::Signal;
use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The argument of an agent that says which machine it is.
const ROOT_OPTION: &str = "--root";

/// Carried by every process that a node's users start (see the agent's environment).
const NODE_VARIABLE: &str = "AZ_BATCHAI_NODE_ID";

/// An agent that hangs in the kernel does not keep the rest alive for longer than this.
const AGENT_FIRST: Duration = Duration::from_secs(2);

/// A process that cannot be killed for so long hangs in the kernel; waiting does not help.
const LONGEST_KILL: Duration = Duration::from_secs(10);

/// Starts the agent in a session of its own: a Ctrl-C at the terminal is for the service, which
/// then gives its nodes notice.
pub fn start(
    options: &MachineOptions,
    record: &Record,
    token: &str,
) -> std::io::Result<tokio::process::Child> {
    let (program, first) = options
        .node_command
        .split_first()
        .ok_or_else(|| std::io::Error::other("no command to start an agent with"))?;
    let home = record::home(&options.directory, &record.node);
    std::fs::create_dir_all(record::root(&options.directory, &record.node))?;
    let log = OpenOptions::new().create(true).append(true).open(home.join("agent.log"))?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(first)
        .arg("--endpoint-file")
        .arg(&options.endpoint_file)
        .args(["--workspace", record.cluster.workspace.as_str()])
        .args(["--cluster-name", &record.cluster.name])
        .args(["--cluster-uid", record.cluster.uid.as_str()])
        .args(["--node", record.node.as_str()])
        .args(["--instance", &record.instance])
        .args(["--address", &record.address])
        .arg(ROOT_OPTION)
        .arg(record::root(&options.directory, &record.node))
        .env("BATCHAI_NODE_TOKEN", token)
        .env_remove("BATCHAI_TOKEN")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    command.spawn()
}

pub fn terminate(record: &Record) {
    signal_agent(record, Signal::TERM);
}

/// The agent reads how long it has and gives its job that time.
pub fn give_notice(options: &MachineOptions, record: &Record, seconds: u64) {
    let notice = record::root(&options.directory, &record.node).join("interruption");
    let text = serde_json::json!({ "noticeSeconds": seconds }).to_string();
    if let Err(error) = std::fs::write(notice, text) {
        tracing::warn!(node = %record.node, %error, "the notice could not be written");
    }
    signal_agent(record, Signal::USR2);
}

/// All agents that run, by their roots.
pub fn agents() -> HashMap<PathBuf, Identity> {
    let agents = processes::all().into_iter().filter(Process::is_alive);
    agents.filter_map(|process| Some((root_of(&process)?, process.identity()))).collect()
}

/// The root of a process that is an agent. It is named after the node and lies in the data directory,
/// so it tells an agent from those of every other node and service.
fn root_of(process: &Process) -> Option<PathBuf> {
    processes::option_of(process.pid, ROOT_OPTION).map(PathBuf::from)
}

fn signal_agent(record: &Record, signal: Signal) {
    let Some(id) = record.agent.filter(|id| id.is_alive()) else { return };
    if let Some(process) = Process::read(id.pid) {
        process.signal(signal);
    }
}

/// Kills the agents in `root`, everything that descends from them and whatever carries the node's
/// mark, until nothing is left. False when something could not be killed. `agent`: the one that is
/// known, as a process that was just started shows no command line for a moment.
pub fn kill_node(root: &Path, node: &NodeId, agent: Option<Identity>) -> bool {
    let begun = Instant::now();
    // What loses its parent on the way still belongs to the node.
    let mut found = HashSet::new();
    loop {
        let all = processes::all();
        let is_agent = |process: &Process| {
            agent == Some(process.identity()) || root_of(process).is_some_and(|it| it == root)
        };
        let belongs = |process: &Process| {
            found.contains(&process.identity()) || is_agent(process) || is_marked(process, node)
        };
        let left = processes::with_descendants(&all, belongs);
        let left: Vec<_> = left.into_iter().filter(Process::is_alive).collect();
        if left.is_empty() {
            return true;
        }
        if begun.elapsed() > LONGEST_KILL {
            tracing::error!(%node, left = left.len(), "processes cannot be killed");
            return false;
        }
        found.extend(left.iter().map(Process::identity));
        // The agent first: it would report a command that is killed here as one that failed.
        let agents: Vec<_> = left.iter().copied().filter(is_agent).collect();
        let alone = !agents.is_empty() && begun.elapsed() < AGENT_FIRST;
        for process in if alone { agents } else { left } {
            process.signal(Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn is_marked(process: &Process, node: &NodeId) -> bool {
    processes::variable_of(process.pid, NODE_VARIABLE).as_deref() == Some(node.as_str())
}

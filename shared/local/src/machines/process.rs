//! The processes of a machine: the agent, and whatever it started.

use super::MachineOptions;
use super::record::Record;
use processes::{Identity, Process};
use rustix::process::Signal;
use std::fs::OpenOptions;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Carried by every process that a node's users start (see the agent's environment).
const NODE_VARIABLE: &str = "AZ_BATCHAI_NODE_ID";

/// A process that cannot be killed for so long hangs in the kernel; waiting does not help.
const LONGEST_KILL: Duration = Duration::from_secs(10);

pub fn identity(pid: u32) -> Option<Identity> {
    Identity::of(i32::try_from(pid).ok()?)
}

pub fn is_alive(id: Identity) -> bool {
    Process::read(id.pid).is_some_and(|it| it.started == id.started && it.is_alive())
}

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
    let home = record.home(&options.directory);
    std::fs::create_dir_all(record.root(&options.directory))?;
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
        .arg("--root")
        .arg(record.root(&options.directory))
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
    let notice = record.root(&options.directory).join("interruption");
    let text = serde_json::json!({ "noticeSeconds": seconds }).to_string();
    if let Err(error) = std::fs::write(notice, text) {
        tracing::warn!(node = %record.node, %error, "the notice could not be written");
    }
    signal_agent(record, Signal::USR2);
}

fn signal_agent(record: &Record, signal: Signal) {
    let Some(id) = record.process.filter(|id| is_alive(*id)) else { return };
    if let Some(process) = Process::read(id.pid) {
        process.signal(signal);
    }
}

/// Kills the agent and everything that descends from it or carries the node's mark, until nothing
/// is left.
pub fn kill_node(record: &Record) {
    // The agent first: it would report a command that is killed here as one that failed.
    signal_agent(record, Signal::KILL);
    let deadline = Instant::now() + LONGEST_KILL;
    loop {
        let all = processes::all();
        let left = processes::with_descendants(&all, |process| belongs(process, record));
        let left: Vec<_> = left.into_iter().filter(Process::is_alive).collect();
        if left.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            tracing::error!(node = %record.node, left = left.len(), "processes cannot be killed");
            return;
        }
        for process in left {
            process.signal(Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn belongs(process: &Process, record: &Record) -> bool {
    let is_agent =
        record.process.is_some_and(|id| id.pid == process.pid && id.started == process.started);
    is_agent
        || processes::variable_of(process.pid, NODE_VARIABLE).as_deref()
            == Some(record.node.as_str())
}

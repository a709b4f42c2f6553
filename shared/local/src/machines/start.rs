//! Starting the keeper of a machine, and signals to it.

use super::MachineOptions;
use super::record::{self, Record};
use model::NodeId;
use processes::keeper::Request;
use processes::{Keeper, KeeperFile, Process};
use rustix::process::Signal;
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The argument of an agent that names its machine: its root lies in the data directory and is named after the
/// node, so no agent of another node or service has it.
pub const ROOT_OPTION: &str = "--root";

/// Starts the keeper, which starts the agent.
///
/// The keeper leaves the session of the service: Ctrl-C at the terminal is for the service, which then gives
/// its nodes notice.
pub fn keeper(
    options: &MachineOptions,
    record: &Record,
    token: &str,
) -> Result<tokio::process::Child> {
    let (program, first) = options
        .keeper_command
        .split_first()
        .ok_or_else(|| std::io::Error::other("no command to start a keeper with"))?;
    let home = record::home(&options.directory, &record.node);
    make_root(options, &record.node)?;
    let log = OpenOptions::new().create(true).append(true).open(home.join("agent.log"))?;
    let file = record::keeper_file(&options.directory, &record.node);
    let request = Request {
        file: file.clone(),
        group: record.group.clone(),
        command: agent_command(options, record),
        user: options.user.clone(),
    };
    // Written before there is a process that could read half of it. It fits into the buffer of a pipe.
    let (stdin, mut writer) = std::io::pipe()?;
    writer.write_all(&serde_json::to_vec(&request)?)?;
    tokio::process::Command::new(program)
        .args(first)
        // Not read by the keeper: a keeper whose file was damaged is found by it.
        .arg(file)
        .env("BATCHAI_NODE_TOKEN", token)
        .env_remove("BATCHAI_TOKEN")
        .stdin(stdin)
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
}

fn agent_command(options: &MachineOptions, record: &Record) -> Vec<OsString> {
    let mut command = options.agent_command.clone();
    let mut add = |name: &str, value: &OsStr| command.extend([name.into(), value.into()]);
    add("--endpoint-file", options.endpoint_file.as_os_str());
    add("--workspace", record.cluster.workspace.as_str().as_ref());
    add("--cluster-name", record.cluster.name.as_ref());
    add("--cluster-uid", record.cluster.uid.as_str().as_ref());
    add("--node", record.node.as_str().as_ref());
    add("--instance", record.instance.as_ref());
    add("--address", record.address.as_ref());
    if let Some(gpus) = &record.gpus {
        add("--gpus", gpus.join(",").as_ref());
    }
    add(ROOT_OPTION, record::root(&options.directory, &record.node).as_os_str());
    command
}

/// The root belongs to the user of the jobs, everything else in the directory of the machine to the service.
fn make_root(options: &MachineOptions, node: &NodeId) -> Result<()> {
    let root = record::root(&options.directory, node);
    match std::fs::DirBuilder::new().mode(0o700).create(&root) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    match &options.user {
        Some(user) => std::os::unix::fs::lchown(&root, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    }
}

/// Sends a signal to the keeper of a machine. False when it has none.
pub fn signal_keeper(directory: &Path, node: &NodeId, signal: Signal) -> bool {
    match KeeperFile::read(&record::keeper_file(directory, node)) {
        Keeper::Running(keeper) => {
            Process::read(keeper.pid).inspect(|process| process.signal(signal)).is_some()
        }
        Keeper::NeverStarted | Keeper::Ended => false,
    }
}

/// Tells the agent that its machine ends in so many seconds.
pub fn give_notice(directory: &Path, node: &NodeId, seconds: u64) {
    let notice = record::root(directory, node).join("interruption");
    let text = serde_json::json!({ "noticeSeconds": seconds }).to_string();
    // Created anew: jobs can write to this directory, and a link that one of them left is not followed.
    let written = match std::fs::remove_file(&notice) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&notice)
            .and_then(|mut file| file.write_all(text.as_bytes())),
    };
    if let Err(error) = written {
        tracing::warn!(%node, %error, "the interruption notice could not be written");
    }
    signal_keeper(directory, node, Signal::USR2);
}

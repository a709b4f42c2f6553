//! The only file that uses the crates `agent`, `local` and `processes`: the parts of this binary that
//! are not a client.

pub use local::{Locations, MappedVolume, Options as LocalOptions, Quota, Service as LocalService};

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the agent of a node. `batchai local` starts one process per node.
pub fn agent(arguments: Vec<OsString>) -> ExitCode {
    agent::main(arguments)
}

/// Runs the supervisor of a job's command: the process between an agent and the command.
pub fn supervisor(arguments: Vec<OsString>) -> ExitCode {
    agent::supervisor_main(arguments)
}

/// Runs the SSH server of an attempt on one of its nodes.
pub fn ssh_server(arguments: Vec<OsString>) -> ExitCode {
    agent::ssh_server_main(arguments)
}

/// Serves a connection of the administrator to a node.
pub fn ssh_login(arguments: Vec<OsString>) -> ExitCode {
    agent::ssh_login_main(arguments)
}

/// Serves files to a client of the SSH server.
pub fn sftp_server(arguments: Vec<OsString>) -> ExitCode {
    agent::sftp_server_main(arguments)
}

/// Becomes a program in the container of an attempt.
pub fn enter(arguments: Vec<OsString>) -> ExitCode {
    agent::enter_main(arguments)
}

/// Takes the place of `ssh` in a container.
pub fn ssh_client(arguments: Vec<OsString>) -> ExitCode {
    agent::ssh_client_main(arguments)
}

/// Whether the processes of a machine can be in a control group.
pub fn has_control_groups() -> bool {
    processes::ControlGroup::is_available()
}

/// The first process of a machine of `batchai local`.
pub fn keeper() -> ExitCode {
    processes::keeper::main()
}

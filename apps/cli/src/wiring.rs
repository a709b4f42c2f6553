//! The only file that names the crates `agent`, `local` and `processes`: what this binary is besides a client.

pub use local::{Options as LocalOptions, Quota, Service as LocalService};

use std::ffi::OsString;
use std::process::ExitCode;

/// The agent of a node: `batchai local` starts one per node.
pub fn agent(arguments: Vec<OsString>) -> ExitCode {
    agent::main(arguments)
}

/// The process between an agent and a job's command.
pub fn supervisor(arguments: Vec<OsString>) -> ExitCode {
    agent::supervisor_main(arguments)
}

/// The first process of a machine of `batchai local`.
pub fn keeper() -> ExitCode {
    processes::keeper::main()
}

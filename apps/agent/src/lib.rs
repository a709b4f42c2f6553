//! The agent of a node: converges on what the control plane desires, and keeps running without it.
//!
//! Three kinds of threads and processes share the work:
//!
//! - the *node* ([`node`], one async loop) talks to the control plane and decides what to do next;
//! - an *attempt* ([`attempt`]) or the *setup* of the node ([`setup`]) runs on a thread of its own, as
//!   plain sequential code, because nearly all of it waits for the file system or for a process;
//! - a *supervisor* ([`supervisor`]) is a small process between the agent and the user's command. It
//!   owns the process tree and stores the exit code in a file, so that the agent may be restarted.
//!
//! The rule: an attempt has ended when every process of it has ended and every byte is in its file. The agent
//! reports the end only then, and repeats the report until the control plane has acknowledged it.

mod attempt;
mod clock;
mod ec2;
mod environment;
mod execution_log;
mod expand;
mod fault;
mod gpus;
mod host;
mod job_metrics;
mod launch;
mod link;
mod login;
mod metrics;
mod mounts;
mod node;
mod options;
mod paths;
mod plan;
mod problem;
mod runtime;
mod setup;
mod shortage;
mod sign_in;
mod ssh_access;
mod ssh_server;
mod supervisor;
mod system;

use std::ffi::OsString;
use std::process::ExitCode;

pub use options::{
    AgentOptions, ClusterName, DriverCheck, EndpointSource, Identity, OptionsError, USAGE,
};

/// First argument with which this executable becomes a supervisor ([`supervisor_main`]).
pub const SUPERVISE: &str = "supervise";

/// First argument with which this executable becomes the SSH server of an attempt ([`ssh_server_main`]).
pub const SSH_SERVER: &str = "ssh-server";

/// First argument with which this executable serves a connection of the administrator ([`ssh_login_main`]).
pub const SSH_LOGIN: &str = "ssh-login";

/// First argument with which this executable serves files to a client of that server ([`sftp_server_main`]).
pub const SFTP_SERVER: &str = "sftp-server";

/// First argument with which this executable enters the container of an attempt ([`enter_main`]).
pub const ENTER: &str = "enter";

/// First argument with which this executable takes the place of `ssh` in a container ([`ssh_client_main`]).
pub const SSH_CLIENT: &str = "ssh-client";

/// Runs the agent until the control plane asks it to leave, the machine is interrupted (SIGTERM, SIGUSR2), or the
/// control plane has not known the node for [`AgentOptions::unwanted_after`].
///
/// # Errors
/// When the root directory cannot be used, or another agent uses it. Later errors are reported to the control plane,
/// or retried.
pub async fn run(options: AgentOptions) -> anyhow::Result<()> {
    node::run(options).await
}

/// `batchai agent`: reads its options from `arguments` (those after the word `agent`) and from the
/// environment, sets up the log and runs.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let options = match AgentOptions::from_arguments_and_environment(arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\nusage: batchai agent {USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = end_with_keeper(&options) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    // One thread is enough for one request at a time, and keeps an idle node small.
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the agent has failed");
            ExitCode::FAILURE
        }
    }
}

/// On an EC2 instance the init system starts a killed keeper again, and the new keeper an agent: the old agent ends with
/// its keeper, so that there is one. What it has started runs on, and the new agent finds it.
fn end_with_keeper(options: &AgentOptions) -> std::io::Result<()> {
    let (Identity::Instance { .. }, Some(keeper)) = (&options.identity, options.keeper) else {
        return Ok(());
    };
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // The keeper may have ended just before.
    match rustix::process::getppid() {
        Some(parent) if parent.as_raw_nonzero().get() == keeper => Ok(()),
        Some(_) | None => Err(std::io::Error::other("the keeper of this agent has ended")),
    }
}

/// `batchai ssh-server`: what the other nodes of an attempt connect to. Only started by a supervisor.
pub fn ssh_server_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    ssh_server::main(arguments)
}

/// `batchai ssh-login`: a connection of the administrator. Only started by an agent.
pub fn ssh_login_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    login::main(arguments)
}

/// `batchai sftp-server`: the files of a node, for `scp` and `sftp`. Only started by an SSH server.
/// `arguments`: the container whose files are served, where there is one.
pub fn sftp_server_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let entered = match runtime::Entry::parse(&arguments) {
        Some(entry) => entry.enter(),
        None => Ok(()),
    };
    match entered.and_then(|()| ssh::sftp::serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("batchai sftp-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `batchai enter`: becomes a program in the container of an attempt. Only started by a supervisor or an SSH server.
pub fn enter_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    runtime::enter_main(arguments)
}

/// `batchai ssh-client`: the `ssh` of containers whose image has none.
pub fn ssh_client_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    ssh::client::run(arguments)
}

/// `batchai supervise`: the process between the agent and a user's command. Only started by an agent.
pub fn supervisor_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    supervisor::main(arguments)
}

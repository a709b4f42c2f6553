//! The agent of a node: converges on what the control plane desires of it, and outlives its absence.
//!
//! Three kinds of threads and processes share the work:
//!
//! - the *node* ([`node`], one async loop) talks to the control plane and decides what to do next;
//! - an *attempt* ([`attempt`]) or the *setup* of the node ([`setup`]) runs on a thread of its own, as
//!   plain sequential code, because nearly all of it waits for the file system or for a process;
//! - a *supervisor* ([`supervisor`]) is a small process between the agent and the user's command. It
//!   owns the process tree and leaves the exit code in a file, so that the agent may die and come back.
//!
//! The rule: an attempt is over when every process of it is gone and every byte is in its file. Only
//! then the agent says so, and it goes on saying so until the control plane has heard it.

mod attempt;
mod clock;
mod environment;
mod execution_log;
mod expand;
mod host;
mod link;
mod mounts;
mod node;
mod options;
mod paths;
mod plan;
mod problem;
mod setup;
mod supervisor;
mod system;

use std::ffi::OsString;
use std::process::ExitCode;

pub use options::{AgentOptions, EndpointSource, OptionsError, USAGE};

/// First argument with which this executable becomes a supervisor ([`supervisor_main`]).
pub const SUPERVISE: &str = "supervise";

/// Runs the agent until the control plane tells it to leave, the machine is taken away (SIGTERM,
/// SIGUSR2), or nobody has known the node for [`AgentOptions::unwanted_after`].
///
/// # Errors
/// When the root directory cannot be used, or another agent works in it. Whatever happens later is
/// reported to the control plane, or waited out.
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
    // One thread is enough for one request at a time, and keeps an idle node small.
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the agent cannot work");
            ExitCode::FAILURE
        }
    }
}

/// `batchai supervise`: the process between the agent and a user's command. Not for people.
pub fn supervisor_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    supervisor::main(arguments)
}

//! An `ssh` for images that have none: runs a command on another node of the job, with the key and the addresses of
//! [`crate::client_files`]. It does what a job needs, which is not what a person needs: no terminal, no forwarding.

mod arguments;
mod session;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::client::arguments::Arguments;

/// Exit code of `ssh` for its own errors.
const FAILED: u8 = 255;

/// What prevents a command from being run, or its end from being known.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error("usage: ssh -F FILE [-p PORT] [-nqTx] [-o OPTION] [USER@]HOST COMMAND...")]
    Usage,
    #[error("this client does not know the option {0}; install the OpenSSH client")]
    Unsupported(String),
    #[error("{0} is not a node of this job")]
    UnknownHost(String),
    #[error("{0}")]
    File(String),
    #[error("the private key cannot be read")]
    Key(#[source] crate::KeyError),
    #[error("Permission denied (publickey)")]
    Denied,
    #[error("the connection has failed: {0}")]
    Connection(#[from] russh::Error),
    #[error("the connection was closed before the command had ended")]
    Closed,
    #[error("the command was ended by the signal {0}")]
    Signal(String),
    #[error(transparent)]
    Streams(#[from] std::io::Error),
}

/// Runs the command that `arguments` say, those of `ssh` without its own name, and returns its exit code, or 255 when
/// there is none. Standard input, output and error are those of the command.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match try_run(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("ssh: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn try_run(arguments: impl IntoIterator<Item = OsString>) -> Result<u8, ClientError> {
    let arguments = Arguments::parse(arguments)?;
    let target = arguments.target()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(session::run(target));
    // A thread may wait for input that never comes.
    runtime.shutdown_background();
    code
}

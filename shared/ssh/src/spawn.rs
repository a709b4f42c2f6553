//! The port to what starts processes: on the host, or in a container.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::signals::Signal;

/// Starts the processes of sessions, all in the same surroundings: directory, environment, user, and the control
/// group or container.
#[async_trait]
pub trait Spawn: Send + Sync {
    /// Starts the program of a session.
    ///
    /// # Errors
    /// When it cannot be started. The client sees the message, and exit code 126.
    async fn spawn(&self, request: Request) -> io::Result<Process>;
}

/// A program to start.
#[derive(Debug)]
pub struct Request {
    /// What to start.
    pub program: Program,
    /// Variables that the client has set (see [`crate::is_variable_accepted`]). The surroundings' own variables take
    /// precedence.
    pub client_environment: BTreeMap<String, String>,
    /// Variables that describe the session: `SSH_CLIENT`, `SSH_CONNECTION`, and `TERM` with a terminal. `SSH_CLIENT`
    /// lets bash read `~/.bashrc` before a command, as below any SSH server.
    pub session_environment: BTreeMap<String, String>,
    /// The terminal that the client wants, where it wants one.
    pub terminal: Option<Terminal>,
}

/// What a session runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A command line for the shell.
    Command(OsString),
    /// The shell itself.
    Shell,
    /// The server of the SFTP subsystem: a process that runs [`crate::sftp::serve`].
    Sftp,
}

/// A terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Its type, for the variable `TERM`.
    pub kind: String,
    /// Its size.
    pub size: Size,
}

/// The size of a terminal; 0 where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}

/// A program that was started.
pub struct Process {
    /// Its standard input, or the terminal. Dropping it is the end of the input.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its standard output, or the terminal.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// Its standard error. A terminal has none.
    pub errors: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// The process itself.
    pub running: Box<dyn Running>,
}

/// A process, with those that it has started.
#[async_trait]
pub trait Running: Send + Sync {
    /// Waits until the first process has ended. Those that it has started may run on. May be cancelled and
    /// called again.
    ///
    /// # Errors
    /// When its end cannot be learned.
    async fn wait(&mut self) -> io::Result<Exit>;

    /// Sends a signal to the processes. Without effect when they have ended.
    fn signal(&self, signal: Signal);

    /// Tells the terminal its new size.
    fn resize(&self, size: Size);

    /// Ends the processes, since their client has gone: SIGHUP, and SIGKILL after some time. Returns when the
    /// first process has ended.
    async fn hang_up(&mut self);
}

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With an exit code.
    Code(u8),
    /// By a signal.
    Signal {
        /// Its number.
        number: i32,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
}

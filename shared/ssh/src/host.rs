//! Processes of this host, or of a container on it: each in a process group of its own, with a terminal in a session of its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use processes::User;
use rustix::process::{Pid, Signal as SystemSignal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::limits;
use crate::signals::Signal;
use crate::spawn::{Exit, Process, Program, Request, Running, Size, Spawn, Terminal};

/// How often a process that is to end is checked.
const CHECK: Duration = Duration::from_millis(20);

/// Starts processes on this host.
#[derive(Clone, Debug)]
pub struct HostSpawn {
    /// The working directory.
    pub directory: PathBuf,
    /// The environment: nothing else is inherited.
    pub environment: BTreeMap<OsString, OsString>,
    /// The user, this process's own when there is none. Sets `HOME`, `USER` and `LOGNAME`.
    pub user: Option<User>,
    /// The shell, which runs command lines with `-c`.
    pub shell: PathBuf,
    /// Whether a session without a command is a login, which reads `/etc/profile`. Not together with `enter`.
    pub is_login: bool,
    /// Program and arguments that run the shell whose command line follows them, such as in a container. Empty: the
    /// shell is started itself.
    pub enter: Vec<OsString>,
    /// Program and arguments that run [`crate::sftp::serve`].
    pub sftp_server: Vec<OsString>,
}

#[async_trait]
impl Spawn for HostSpawn {
    async fn spawn(&self, request: Request) -> io::Result<Process> {
        let mut command = self.command(&request.program)?;
        command.current_dir(&self.directory).kill_on_drop(false);
        let command_environment = command.as_std_mut();
        command_environment.env_clear().envs(&request.client_environment);
        command_environment.envs(&self.environment);
        if let Some(user) = &self.user {
            user.apply_to(command_environment);
        }
        command_environment.envs(&request.session_environment);
        // A session is nobody's nested shell: bash would not read `~/.bashrc` there.
        command_environment.env_remove("SHLVL");
        match &request.terminal {
            Some(terminal) => self.with_terminal(command, terminal),
            None => with_pipes(command),
        }
    }
}

impl HostSpawn {
    fn command(&self, program: &Program) -> io::Result<Command> {
        let mut command;
        match program {
            Program::Command(line) => {
                command = self.shell();
                command.arg("-c").arg(line);
            }
            Program::Shell => {
                command = self.shell();
                if self.is_login && self.enter.is_empty() {
                    command.arg0(login_name(&self.shell));
                }
            }
            Program::Sftp => {
                let (program, arguments) = self.sftp_server.split_first().ok_or_else(|| {
                    io::Error::new(io::ErrorKind::Unsupported, "files are not served here")
                })?;
                command = Command::new(program);
                command.args(arguments);
            }
        }
        Ok(command)
    }

    fn shell(&self) -> Command {
        match self.enter.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.shell);
                command
            }
            None => Command::new(&self.shell),
        }
    }

    fn with_terminal(&self, command: Command, terminal: &Terminal) -> io::Result<Process> {
        let (pty, pts) = pty_process::open().map_err(as_io)?;
        pty.resize(size_of(terminal.size)).map_err(as_io)?;
        if let Some(user) = &self.user {
            // So that the user may open the terminal by its name.
            rustix::fs::fchown(&pts, Some(rustix::fs::Uid::from_raw(user.uid)), None)?;
        }
        let terminal = pty.as_fd().try_clone_to_owned()?;
        let child = pty_process::Command::from(command).spawn(pts).map_err(as_io)?;
        let running = Box::new(Group::new(child, Some(terminal))?);
        let (output, input) = pty.into_split();
        Ok(Process { input: Box::new(input), output: Box::new(output), errors: None, running })
    }
}

fn with_pipes(mut command: Command) -> io::Result<Process> {
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(input), Some(output), Some(errors)) = pipes else {
        return Err(io::Error::other("no pipes to the process"));
    };
    Ok(Process {
        input: Box::new(input),
        output: Box::new(output),
        errors: Some(Box::new(errors)),
        running: Box::new(Group::new(child, None)?),
    })
}

/// A process and the process group that it leads.
struct Group {
    child: Child,
    id: Pid,
    /// True when the first process was waited for: from then on its id may be another's.
    is_reaped: bool,
    /// Kept for its size.
    terminal: Option<OwnedFd>,
}

impl Group {
    fn new(child: Child, terminal: Option<OwnedFd>) -> io::Result<Self> {
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let id = id.ok_or_else(|| io::Error::other("no process id"))?;
        Ok(Self { child, id, is_reaped: false, terminal })
    }

    fn send(&self, signal: SystemSignal) {
        if !self.is_reaped {
            // An error means that the processes belong to another user now, or have ended.
            let _ = kill_process_group(self.id, signal);
        }
    }

    fn leader_has_ended(&self) -> bool {
        let leader = processes::Process::read(self.id.as_raw_nonzero().get());
        !leader.is_some_and(|process| process.is_alive())
    }
}

#[async_trait]
impl Running for Group {
    async fn wait(&mut self) -> io::Result<Exit> {
        let status = self.child.wait().await?;
        self.is_reaped = true;
        Ok(exit_of(status))
    }

    fn signal(&self, signal: Signal) {
        self.send(signal.of_system());
    }

    fn resize(&self, size: Size) {
        if let Some(terminal) = &self.terminal {
            // An error means that the terminal has no reader any more.
            let _ = rustix::termios::tcsetwinsize(terminal, size_of(size).into());
        }
    }

    /// The leader is not waited for in between, so that its id, which is the group's, stays its own.
    async fn hang_up(&mut self) {
        if self.is_reaped {
            return;
        }
        self.terminal = None;
        self.send(SystemSignal::HUP);
        // A stopped process gets the signal when it goes on.
        self.send(SystemSignal::CONT);
        let until = Instant::now() + limits::HANG_UP_GRACE;
        while !self.leader_has_ended() && Instant::now() < until {
            tokio::time::sleep(CHECK).await;
        }
        if self.leader_has_ended() {
            tokio::time::sleep(limits::LEFTOVER_GRACE).await;
        }
        self.send(SystemSignal::KILL);
        if let Err(error) = self.wait().await {
            tracing::warn!(%error, "a process cannot be waited for");
        }
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    match status.signal() {
        Some(number) => Exit::Signal { number, core_dumped: status.core_dumped() },
        // An exit code has eight bits.
        None => Exit::Code(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255)),
    }
}

/// A shell is a login shell if its name begins with a hyphen.
fn login_name(shell: &Path) -> OsString {
    let mut name = OsString::from("-");
    name.push(shell.file_name().unwrap_or(OsStr::new("sh")));
    name
}

fn size_of(size: Size) -> pty_process::Size {
    pty_process::Size::new_with_pixel(size.rows, size.columns, size.width, size.height)
}

fn as_io(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
        other => io::Error::other(other.to_string()),
    }
}

//! The keeper: the first process of a machine, parent of its agent and of every process that loses its own
//! parent. It starts the agent again when that is killed, and does not end before all other processes of the
//! machine have ended.
//!
//! The service starts it with a [`Request`] on standard input. All that it writes is the [`KeeperFile`], so it is
//! small, and it runs on when the service ends.
//!
//! SIGTERM and SIGUSR2 go to the agent, which leaves. SIGUSR1 ends the machine: SIGKILL to the agent, then to
//! every other process. The agent is first because it would report a command that is killed as one that
//! failed.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process};
use serde::{Deserialize, Serialize};

use crate::control_group::ControlGroup;
use crate::descendants;
use crate::keeper_file::KeeperFile;
use crate::kill_pace::KillPace;
use crate::restarts::Restarts;
use crate::signals::Signals;
use crate::user::User;

/// Environment variable in which an agent finds the process id of its keeper.
pub const KEEPER_VARIABLE: &str = "BATCHAI_KEEPER";

/// Exit code of a keeper that has started nothing, because another keeper has this machine.
pub const ANOTHER_KEEPER: u8 = 75;

/// Exit code of a keeper whose agents failed again and again. No process of the machine is left.
pub const AGENT_FAILED: u8 = 70;

const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// A machine to keep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Where the [`KeeperFile`] of the machine is.
    pub file: PathBuf,
    /// The group for all processes of the machine, where there is one.
    pub group: Option<ControlGroup>,
    /// The agent: program and arguments. It inherits the environment and the output of the keeper.
    pub command: Vec<OsString>,
    /// The user that the agent runs as; the user of the keeper when there is none.
    pub user: Option<User>,
}

/// `batchai keep`: see [`run`].
pub fn main() -> ExitCode {
    ExitCode::from(run())
}

/// Reads the [`Request`] from standard input and keeps the machine until it has ended. Returns the exit code. 0: the
/// agent has left, or the machine was asked to end, and no process of it is left. [`AGENT_FAILED`]: none is left
/// either, but nobody asked for that. Any other: nothing was started.
pub fn run() -> u8 {
    keep().unwrap_or_else(|error| {
        eprintln!("batchai keep: {error}");
        1
    })
}

fn keep() -> io::Result<u8> {
    let request: Request = serde_json::from_reader(io::stdin().lock())?;
    let Some(file) = KeeperFile::lock(&request.file)? else {
        return Ok(ANOTHER_KEEPER);
    };
    if file.has_ended() {
        return Ok(0);
    }
    // An error means that this process leads a session already, which serves as well.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let signals = Signals::install(&[Signal::TERM, Signal::USR1, Signal::USR2])?;
    file.write_own_identity()?;
    // Before the first process of the machine is started: a process outside of the group could run on after the
    // keeper was killed.
    if let Some(group) = &request.group
        && let Err(error) = group.enter()
    {
        eprintln!("batchai keep: the machine has no control group: {error}");
        group.remove();
    }
    Keeper { request, signals, agent: None, has_left: false, is_stopping: false }.run()
}

struct Keeper {
    request: Request,
    signals: Signals,
    /// The agent that runs.
    agent: Option<Pid>,
    /// True when the last agent has left the machine by itself.
    has_left: bool,
    /// Set by SIGTERM: no agent is started any more.
    is_stopping: bool,
}

impl Keeper {
    fn run(mut self) -> io::Result<u8> {
        let mut restarts = Restarts::default();
        loop {
            let started = Instant::now();
            match self.start_agent() {
                Ok(agent) => self.agent = Some(agent),
                Err(error) => eprintln!("batchai keep: the agent cannot be started: {error}"),
            }
            self.wait_until(|keeper| keeper.agent.is_none(), None)?;
            if self.has_left || self.is_ending() {
                return self.kill_all().map(|()| 0);
            }
            if !restarts.may_follow(started.elapsed()) {
                return self.kill_all().map(|()| AGENT_FAILED);
            }
            eprintln!("batchai keep: the agent ended unexpectedly");
            self.wait_until(|_| false, Some(RESTART_PAUSE))?;
            if self.is_ending() {
                return self.kill_all().map(|()| 0);
            }
        }
    }

    fn start_agent(&self) -> io::Result<Pid> {
        let mut words = self.request.command.iter();
        let program = words.next().ok_or_else(|| io::Error::other("no command"))?;
        let mut command = Command::new(program);
        command
            .arg0("batchai")
            .args(words)
            .env(KEEPER_VARIABLE, std::process::id().to_string())
            .stdin(Stdio::null())
            .process_group(0);
        if let Some(user) = &self.request.user {
            user.apply_to(&mut command);
        }
        let child = command.spawn()?;
        Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::Error::other("no process id"))
    }

    fn is_ending(&self) -> bool {
        self.is_stopping || self.signals.has_arrived(Signal::USR1)
    }

    /// Passes signals on and reaps processes until `holds`, SIGUSR1, or the end of `limit`.
    fn wait_until(
        &mut self,
        holds: impl Fn(&Self) -> bool,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            if self.signals.take(Signal::TERM) {
                self.is_stopping = true;
                self.signal_agent(Signal::TERM);
            }
            if self.signals.take(Signal::USR2) {
                self.signal_agent(Signal::USR2);
            }
            self.reap()?;
            let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
            let is_over = left.is_some_and(|left| left.is_zero());
            if holds(self) || is_over || self.signals.has_arrived(Signal::USR1) {
                return Ok(());
            }
            self.signals.wait(left)?;
        }
    }

    fn signal_agent(&self, signal: Signal) {
        if let Some(agent) = self.agent {
            // It was not reaped yet, so the id is still its own.
            let _ = kill_process(agent, signal);
        }
    }

    /// Reaps the processes that have ended. False when there are no children left: as orphans become children
    /// of the subreaper, there are no descendants either.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if Some(pid) == self.agent => {
                    self.agent = None;
                    self.has_left = status.exit_status() == Some(0);
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return Ok(true),
                Err(rustix::io::Errno::CHILD) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns when no process of the machine is left, however long that takes.
    fn kill_all(mut self) -> io::Result<()> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let mut pace = KillPace::start();
        while self.reap()? {
            if self.agent.is_some() && pace.is_agent_first() {
                self.signal_agent(Signal::KILL);
            } else {
                let left = descendants(own);
                left.iter().for_each(|process| process.signal(Signal::KILL));
                if pace.is_newly_stuck() {
                    let pids: Vec<i32> = left.iter().map(|process| process.pid).collect();
                    eprintln!("batchai keep: processes {pids:?} cannot be killed; trying again");
                }
            }
            self.signals.wait(Some(pace.next_pause()))?;
        }
        Ok(())
    }
}

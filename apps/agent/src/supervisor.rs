//! The supervisor: a small process between the agent and one command of a user.
//!
//! It outlives the agent, owns the whole process tree (it is the subreaper, so that daemons cannot
//! leave it) and, when the last process is gone, leaves the exit code in its [`Slot`]. The standard
//! input, output and error, environment and working directory that it was given are the command's.
//!
//! SIGTERM: pass SIGTERM on to every process. SIGUSR1: SIGKILL to every process until none is left.
//! After SIGTERM the processes keep what is left of the grace even when the shell in front of them
//! has gone, since a shell dies of SIGTERM at once while the training behind it writes a checkpoint.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGTERM, SIGUSR1};

use crate::system::processes::{self, Identity};
use crate::system::slot::{Claim, Record, Slot};

/// What to do with processes that the command left behind when it ended by itself.
pub const KILL_LEFTOVERS: &str = "kill-leftovers";
/// A setup task may start services.
pub const KEEP_LEFTOVERS: &str = "keep-leftovers";

/// How long leftovers may go on by themselves: the `tee` of `> >(tee log)` is just about to write
/// the last lines when the shell has ended.
const LEFTOVER_GRACE: Duration = Duration::from_millis(200);

/// Killing is repeated after this time, growing to the longest, until nothing is left.
const KILL_AGAIN: Duration = Duration::from_millis(2);
const KILL_AGAIN_AT_MOST: Duration = Duration::from_millis(200);

/// Read before the command, although the shell is not interactive: preparations put their
/// `source .../mpivars.sh` and `export PYTHONPATH` there (wire-behaviour.md, section 5.3). On a line
/// of its own, so that the command stays what it was; `:` so that it begins with `$?` = 0.
const PROLOGUE: &str = "[ ! -r ~/.bashrc ] || . ~/.bashrc; :\n";

/// `supervise BASE (kill-leftovers|keep-leftovers) COMMAND`
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let (Some(base), Some(leftovers), Some(command)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return ExitCode::from(2);
    };
    let slot = Slot::from_base(PathBuf::from(base));
    match supervise(&slot, leftovers == KEEP_LEFTOVERS, &command) {
        Ok(()) => ExitCode::SUCCESS,
        // There is no one to tell: standard error is the user's. The agent finds no record.
        Err(_) => ExitCode::FAILURE,
    }
}

fn supervise(slot: &Slot, keep_leftovers: bool, command: &OsString) -> io::Result<()> {
    // An error means that this process leads a group already, which serves as well.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Before the claim: from the claim on, the agent may send signals that must not kill.
    let mut signals = Signals::install()?;
    let own = Identity::of(rustix::process::getpid().as_raw_nonzero().get())
        .ok_or_else(|| io::Error::other("/proc is not mounted"))?;
    if !slot.take(Claim::Supervisor(own))? {
        return Ok(());
    }
    let record = match start(command) {
        Ok(main) => {
            let mut tree = Tree { main, exit_code: None, asked: false, keep_leftovers };
            tree.outlive(&mut signals)?;
            Record::Exited { exit_code: tree.exit_code.unwrap_or(-1), asked: tree.asked }
        }
        Err(error) => Record::NotStarted { reason: error.to_string() },
    };
    slot.write(&record)
}

/// Starts the shell in a process group of its own, so that `kill 0` in a job hits the job only.
fn start(command: &OsString) -> io::Result<Pid> {
    let mut script = OsString::from(PROLOGUE);
    script.push(command);
    let child = Command::new("/bin/bash")
        .arg("-c")
        .arg(script)
        .process_group(0)
        .spawn()?;
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::Error::other("no process id"))
}

/// The process tree of the command.
struct Tree {
    main: Pid,
    exit_code: Option<i32>,
    /// A signal went out while the main process still ran.
    asked: bool,
    keep_leftovers: bool,
}

impl Tree {
    /// Returns when no process of the tree is left, or only services that may stay.
    fn outlive(&mut self, signals: &mut Signals) -> io::Result<()> {
        let mut terminated = false;
        let mut leftovers_until = None;
        let mut pause = KILL_AGAIN;
        while self.reap()? {
            let ended_by_itself = self.exit_code.is_some() && !self.asked;
            if ended_by_itself && self.keep_leftovers {
                return Ok(());
            }
            if ended_by_itself && leftovers_until.is_none() {
                leftovers_until = Some(Instant::now() + LEFTOVER_GRACE);
            }
            let impatient = leftovers_until.is_some_and(|until| Instant::now() >= until);
            if signals.kill() || impatient {
                self.asked |= self.exit_code.is_none();
                kill_all();
                signals.wait(Some(pause))?;
                pause = (pause * 2).min(KILL_AGAIN_AT_MOST);
            } else if signals.terminate() && !terminated {
                self.asked |= self.exit_code.is_none();
                terminated = true;
                terminate_all();
            } else {
                let left = leftovers_until.map(|until| until - Instant::now().min(until));
                signals.wait(left)?;
            }
        }
        Ok(())
    }

    /// Buries what has ended; false when there are no children left. As orphans become children of
    /// the subreaper, no children means no descendants.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.main => {
                    self.exit_code = Some(exit_code(status));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(true),
                Err(rustix::io::Errno::CHILD) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// As a shell would say it.
fn exit_code(status: WaitStatus) -> i32 {
    match status.terminating_signal() {
        Some(signal) => 128 + signal,
        None => status.exit_status().unwrap_or(-1),
    }
}

/// SIGTERM to each process once, to those as well that are born meanwhile.
fn terminate_all() {
    let mut told = HashSet::new();
    loop {
        let mut news = false;
        for process in own_descendants() {
            if told.insert((process.pid, process.started)) {
                process.signal(Signal::TERM);
                news = true;
            }
        }
        if !news {
            return;
        }
    }
}

fn kill_all() {
    for process in own_descendants() {
        process.signal(Signal::KILL);
    }
}

fn own_descendants() -> impl Iterator<Item = processes::Process> {
    processes::descendants(rustix::process::getpid().as_raw_nonzero().get())
        .into_iter()
        .filter(processes::Process::is_alive)
}

/// The signals that concern the supervisor. Handlers only leave a mark and a byte in a pipe: none can
/// be missed between looking and waiting, and the command inherits no blocked signals.
struct Signals {
    terminate: Arc<AtomicBool>,
    kill: Arc<AtomicBool>,
    pipe: PipeReader,
}

impl Signals {
    fn install() -> io::Result<Self> {
        let (pipe, writer) = io::pipe()?;
        let signals = Self { terminate: Arc::default(), kill: Arc::default(), pipe };
        // The marks come first: whoever is woken by the byte finds the mark.
        signal_hook::flag::register(SIGTERM, Arc::clone(&signals.terminate))?;
        signal_hook::flag::register(SIGUSR1, Arc::clone(&signals.kill))?;
        for signal in [SIGTERM, SIGUSR1, SIGCHLD] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(signals)
    }

    fn terminate(&self) -> bool {
        self.terminate.load(Ordering::SeqCst)
    }

    fn kill(&self) -> bool {
        self.kill.load(Ordering::SeqCst)
    }

    fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let timeout = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut descriptors = [PollFd::from_borrowed_fd(self.pipe.as_fd(), PollFlags::IN)];
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => self.pipe.read(&mut [0; 64]).map(drop),
            Err(error) => Err(error.into()),
        }
    }
}

//! The agent's side of supervisors: starting commands under them, finding commands again, signalling them, and reading
//! their results.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::slot::{Claim, Record, Slot, SlotState};
use crate::fault::Fault;
use crate::supervisor::{Leftovers, Request, receive};

/// Idle supervisors, for the next command. In practice one at most.
#[derive(Debug, Default)]
pub struct Supervisors {
    idle: Mutex<Vec<Supervisor>>,
}

/// A supervisor that this agent process has started.
#[derive(Debug)]
struct Supervisor {
    child: Child,
    process: OwnedFd,
    /// `None` when it gets no more commands.
    requests: Option<ChildStdin>,
    replies: ChildStdout,
}

/// A command that was started and may still run.
#[derive(Debug)]
pub struct Supervised {
    slot: Slot,
    by: By,
    was_signalled: Cell<bool>,
}

#[derive(Debug)]
enum By {
    Own(Supervisor),
    /// Started by an earlier agent process. It ends with its command.
    Another {
        process: OwnedFd,
        pid: i32,
    },
}

/// A command as a restarted agent finds it.
#[derive(Debug)]
pub enum Found {
    Running(Supervised),
    Over(CommandOutcome),
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// `asked`: a signal went out before the command ended.
    Exited { exit_code: i32, asked: bool },
    /// The shell could not be started.
    NotStarted { reason: String, fault: Fault },
    /// The container of the command ended first.
    ContainerEnded,
    /// The command was never started, and never will be.
    NeverStarted,
    /// The supervisor was killed; the processes that it left must be found by other means. `ended`: the command itself
    /// had ended before.
    SupervisorLost { claim: Claim, ended: Option<Record> },
}

impl Supervisors {
    /// Starts a command. Offers its slot.
    pub fn start(&self, request: &Request) -> io::Result<Supervised> {
        request.slot.offer()?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let own = match idle.map(|supervisor| supervisor.begin(request)) {
            Some(Ok(supervisor)) => supervisor,
            // It was killed while it was idle. (If it has received the request all the same, one of the two is
            // too late for the slot.)
            Some(Err(_)) | None => Supervisor::start()?.begin(request)?,
        };
        Ok(Supervised::new(request.slot.clone(), By::Own(own)))
    }

    /// To be called once the handle is readable.
    pub fn conclude(&self, supervised: Supervised) -> io::Result<CommandOutcome> {
        let mut reply = None;
        if let By::Own(mut supervisor) = supervised.by {
            // An error means that it was killed: then the slot has the state.
            reply = receive::<Option<Record>>(&mut supervisor.replies).unwrap_or_default();
            if supervised.was_signalled.get() {
                // The signal may be late, and must not hit the next command.
                supervisor.requests = None;
            }
            if reply.is_some() && supervisor.requests.is_some() {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(supervisor);
            } else {
                // It has ended or is about to end. Its lock is certainly free after that.
                supervisor.child.wait()?;
            }
        }
        match reply.flatten() {
            // The slot has the same, if it could be written.
            Some(record) => Ok(record.into()),
            None => outcome(supervised.slot.inspect()?),
        }
    }
}

impl Supervised {
    fn new(slot: Slot, by: By) -> Self {
        Self { slot, by, was_signalled: Cell::new(false) }
    }

    /// Finds the command of `slot`. If it has not started, it no longer can afterwards.
    pub fn find(slot: Slot) -> io::Result<Found> {
        let claim = match slot.inspect()? {
            SlotState::Running(claim) => claim,
            other => return Ok(Found::Over(outcome(other)?)),
        };
        // The handle is opened before the check: afterwards the id cannot pass to another process.
        let process = open(claim.supervisor.pid);
        if claim.is_alive() {
            return Ok(Found::Running(Supervised::new(
                slot,
                By::Another { process: process?, pid: claim.supervisor.pid },
            )));
        }
        Ok(Found::Over(outcome(slot.inspect()?)?))
    }

    /// True when the command or its supervisor has ended: a signal would be too late.
    pub fn is_over(&self) -> bool {
        self.is_over_within(Duration::ZERO)
    }

    /// The same, after waiting for it for some time.
    pub fn is_over_within(&self, limit: Duration) -> bool {
        let mut handle = [PollFd::from_borrowed_fd(self.handle(), PollFlags::IN)];
        let limit = Timespec::try_from(limit).unwrap_or_default();
        poll(&mut handle, Some(&limit)).is_ok_and(|ready| ready > 0)
    }

    /// Becomes readable when the command or its supervisor has ended.
    pub fn handle(&self) -> BorrowedFd<'_> {
        match &self.by {
            By::Own(supervisor) => supervisor.replies.as_fd(),
            By::Another { process, .. } => process.as_fd(),
        }
    }

    /// The process id of the supervisor, below which the programs of the command are.
    pub fn supervisor_pid(&self) -> i32 {
        match &self.by {
            By::Own(supervisor) => supervisor.child.id().cast_signed(),
            By::Another { pid, .. } => *pid,
        }
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn kill(&self) {
        self.signal(Signal::USR1);
    }

    fn signal(&self, signal: Signal) {
        let process = match &self.by {
            By::Own(supervisor) => &supervisor.process,
            By::Another { process, .. } => process,
        };
        self.was_signalled.set(true);
        // An error means that it has ended, which the handle shows as well.
        let _ = pidfd_send_signal(process, signal);
    }
}

impl Supervisor {
    /// Through `/proc/self/exe`, which stays this very program when its file is replaced.
    fn start() -> io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg0("batchai")
            .arg(crate::SUPERVISE)
            // The token, above all, must not be where a job can read it.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let process = open(child.id().cast_signed())?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let (requests @ Some(_), Some(replies)) = pipes else {
            return Err(io::Error::other("no pipe to the supervisor"));
        };
        Ok(Self { child, process, requests, replies })
    }

    fn begin(mut self, request: &Request) -> io::Result<Self> {
        let sent = match &self.requests {
            Some(requests) => request.send(requests),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if let Err(error) = sent {
            self.requests = None;
            self.child.wait()?;
            return Err(error);
        }
        if request.leftovers == Leftovers::Keep {
            // Processes that stay must not become part of the next command.
            self.requests = None;
        }
        Ok(self)
    }
}

fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process id"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

impl From<Record> for CommandOutcome {
    fn from(record: Record) -> Self {
        match record {
            Record::Exited { exit_code, asked } => CommandOutcome::Exited { exit_code, asked },
            Record::NotStarted { reason, fault } => CommandOutcome::NotStarted { reason, fault },
            Record::ContainerEnded => CommandOutcome::ContainerEnded,
        }
    }
}

/// The outcome, from the slot of a command whose supervisor has ended.
fn outcome(state: SlotState) -> io::Result<CommandOutcome> {
    Ok(match state {
        SlotState::Over(record) => record.into(),
        SlotState::NeverStarted => CommandOutcome::NeverStarted,
        SlotState::SupervisorLost { claim, ended } => {
            CommandOutcome::SupervisorLost { claim, ended }
        }
        SlotState::Running(_) => return Err(io::Error::other("the command still runs")),
    })
}

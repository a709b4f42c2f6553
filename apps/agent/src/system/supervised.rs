//! The agent's side of a supervisor: starting one, finding one again, telling it to end, and learning
//! how it went.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::processes::Identity;
use super::slot::{Claim, Record, Slot};
use crate::supervisor::{KEEP_LEFTOVERS, KILL_LEFTOVERS};

/// One command line for the shell.
pub struct Launch<'a> {
    pub command_line: &'a str,
    /// All of it: nothing is inherited from the agent.
    pub environment: &'a BTreeMap<String, String>,
    pub directory: &'a Path,
    pub stdout: File,
    pub stderr: File,
    /// Processes that outlive the command stay.
    pub keep_leftovers: bool,
}

/// A supervisor that was started and may still run.
#[derive(Debug)]
pub struct Supervised {
    slot: Slot,
    process: OwnedFd,
    /// Absent when another life of this agent started it.
    child: Option<Child>,
}

/// What is found in a slot by an agent that comes back.
#[derive(Debug)]
pub enum Found {
    Running(Supervised),
    Over(Verdict),
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `asked`: a signal went out before the command ended.
    Exited { exit_code: i32, asked: bool },
    /// The shell could not be started.
    NotStarted { reason: String },
    /// The command was never begun, and never will be.
    NeverBegan,
    /// The supervisor was killed; what it left behind has to be found by other means.
    Vanished(Identity),
}

impl Supervised {
    /// Starts a supervisor for `slot`, which must be new.
    ///
    /// Through `/proc/self/exe`, which stays this very program when its file is replaced.
    pub fn start(slot: Slot, launch: Launch<'_>) -> io::Result<Self> {
        let leftovers = if launch.keep_leftovers { KEEP_LEFTOVERS } else { KILL_LEFTOVERS };
        let mut child = Command::new("/proc/self/exe")
            .arg0("batchai")
            .arg(crate::SUPERVISE)
            .arg(slot.base())
            .arg(leftovers)
            .arg(launch.command_line)
            .env_clear()
            .envs(launch.environment)
            .current_dir(launch.directory)
            .stdin(Stdio::null())
            .stdout(launch.stdout)
            .stderr(launch.stderr)
            .spawn()?;
        match open(child.id().cast_signed()) {
            Ok(process) => Ok(Self { slot, process, child: Some(child) }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// What has become of the command of `slot`. If it has not begun, it no longer can afterwards.
    pub fn find(slot: Slot) -> io::Result<Found> {
        loop {
            if let Some(record) = slot.record()? {
                return Ok(Found::Over(record.into()));
            }
            let identity = match slot.claim()? {
                None if slot.take(Claim::Fenced)? => return Ok(Found::Over(Verdict::NeverBegan)),
                None => continue, // The supervisor was faster.
                Some(Claim::Fenced) => return Ok(Found::Over(Verdict::NeverBegan)),
                Some(Claim::Supervisor(identity)) => identity,
            };
            // First the handle, then the look: afterwards the id cannot pass to another process.
            let process = open(identity.pid);
            if Identity::of(identity.pid) == Some(identity) {
                let supervised = Self { slot, process: process?, child: None };
                return Ok(Found::Running(supervised));
            }
            return Ok(Found::Over(verdict(&slot)?));
        }
    }

    /// A handle that becomes readable when the supervisor is gone.
    pub fn handle(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn kill(&self) {
        self.signal(Signal::USR1);
    }

    /// To be called once the handle is readable.
    pub fn conclude(mut self) -> io::Result<Verdict> {
        if let Some(child) = &mut self.child {
            child.wait()?;
        }
        verdict(&self.slot)
    }

    fn signal(&self, signal: Signal) {
        // An error means that it is gone, which the handle tells as well.
        let _ = pidfd_send_signal(&self.process, signal);
    }
}

fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process id"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// What the files say when the supervisor no longer runs.
fn verdict(slot: &Slot) -> io::Result<Verdict> {
    if let Some(record) = slot.record()? {
        return Ok(record.into());
    }
    Ok(match slot.claim()? {
        Some(Claim::Supervisor(identity)) => Verdict::Vanished(identity),
        Some(Claim::Fenced) | None => Verdict::NeverBegan,
    })
}

impl From<Record> for Verdict {
    fn from(record: Record) -> Self {
        match record {
            Record::Exited { exit_code, asked } => Verdict::Exited { exit_code, asked },
            Record::NotStarted { reason } => Verdict::NotStarted { reason },
        }
    }
}

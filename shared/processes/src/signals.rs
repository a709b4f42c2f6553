//! Signals as flags, for a process that waits for its children and for signals in one place.
//!
//! A handler sets a flag and writes a byte to a pipe. So no signal is missed between reading the flags and
//! waiting, and no signal is blocked, which child processes would inherit.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use signal_hook::consts::SIGCHLD;

/// The signals that this process handles, and `SIGCHLD`.
#[derive(Debug)]
pub struct Signals {
    flags: Vec<(Signal, Arc<AtomicBool>)>,
    pipe: PipeReader,
}

impl Signals {
    /// Installs the handlers. They stay until the process ends.
    ///
    /// # Errors
    /// When the pipe cannot be created, or a signal is one that cannot be handled.
    pub fn install(handled: &[Signal]) -> io::Result<Self> {
        let (pipe, writer) = io::pipe()?;
        let mut flags = Vec::new();
        for signal in handled {
            let flag = Arc::<AtomicBool>::default();
            // The flag first: a process that is woken by the byte finds the flag set.
            signal_hook::flag::register(signal.as_raw(), Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(signal.as_raw(), writer.try_clone()?)?;
            flags.push((*signal, flag));
        }
        signal_hook::low_level::pipe::register(SIGCHLD, writer)?;
        Ok(Self { flags, pipe })
    }

    /// True when the signal has arrived since the handlers were installed, or since [`Signals::take`].
    pub fn has_arrived(&self, signal: Signal) -> bool {
        self.flag(signal).is_some_and(|flag| flag.load(Ordering::SeqCst))
    }

    /// The same, and clears the flag.
    pub fn take(&self, signal: Signal) -> bool {
        self.flag(signal).is_some_and(|flag| flag.swap(false, Ordering::SeqCst))
    }

    /// Waits for a signal, `SIGCHLD` included, for at most `limit`. May return early.
    ///
    /// # Errors
    /// When the pipe cannot be read, which does not happen on a working system.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let timeout = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut descriptors = [PollFd::from_borrowed_fd(self.pipe.as_fd(), PollFlags::IN)];
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => self.pipe.read(&mut [0; 64]).map(drop),
            Err(error) => Err(error.into()),
        }
    }

    fn flag(&self, signal: Signal) -> Option<&AtomicBool> {
        self.flags.iter().find(|(handled, _)| *handled == signal).map(|(_, flag)| &**flag)
    }
}

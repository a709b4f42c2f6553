//! The control of a thread that runs something: requests to start and to stop, and waiting for a request, for a process
//! and for a time at once. Requests are a state, not a queue: repeating one changes nothing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::Assignment;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use serde::{Deserialize, Serialize};

use crate::clock::Uptime;

/// The timeout of `poll` does not count suspended time, so the clock is checked now and then.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// May hold secrets: never printed, hence no `Debug`.
pub struct RunControl {
    requested: Mutex<Requested>,
    /// For an attempt that an earlier agent process had started.
    assignment: Mutex<Option<Box<Assignment>>>,
    wake: OwnedFd,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Requested {
    /// The gang is complete: the command may start.
    pub start: bool,
    pub stop: Option<StopRequest>,
    /// When a stop was first requested.
    pub stop_since: Option<Uptime>,
}

/// A request to stop: SIGTERM now, SIGKILL at `kill_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopRequest {
    pub cause: StopCause,
    pub kill_at: Uptime,
}

/// Why something is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopCause {
    Stopped,
    Interrupted,
    WallClockExceeded,
    /// The control plane no longer knows it: nothing is reported.
    Fenced,
}

impl StopRequest {
    /// The first cause counts, except that a fence replaces all others; the earlier deadline counts.
    pub fn joined_by(self, other: StopRequest) -> StopRequest {
        let cause = if other.cause == StopCause::Fenced { StopCause::Fenced } else { self.cause };
        StopRequest { cause, kill_at: self.kill_at.min(other.kill_at) }
    }
}

impl RunControl {
    pub fn new(start: bool) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let requested = Mutex::new(Requested { start, ..Requested::default() });
        Ok(Self { requested, assignment: Mutex::default(), wake })
    }

    pub fn start(&self) {
        self.lock().start = true;
        self.wake_up();
    }

    pub fn supply(&self, assignment: Box<Assignment>) {
        *self.assignment.lock().unwrap_or_else(PoisonError::into_inner) = Some(assignment);
        self.wake_up();
    }

    pub fn take_assignment(&self) -> Option<Box<Assignment>> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn stop(&self, stop: StopRequest) {
        let mut requested = self.lock();
        requested.stop = Some(requested.stop.map_or(stop, |first| first.joined_by(stop)));
        requested.stop_since.get_or_insert_with(Uptime::now);
        drop(requested);
        self.wake_up();
    }

    /// Extends the grace period by a pause in which nothing could run.
    pub fn postpone(&self, pause: Duration) {
        if let Some(stop) = &mut self.lock().stop {
            stop.kill_at = stop.kill_at.after(pause);
        }
    }

    pub fn requested(&self) -> Requested {
        *self.lock()
    }

    /// Returns when there is a request, the process of `process` (a pidfd) has ended, `until` is reached, or for no
    /// reason. True when the process has ended.
    pub fn wait(&self, process: Option<BorrowedFd<'_>>, until: Option<Uptime>) -> bool {
        let limit = until.map_or(LONGEST_WAIT, |time| time.remaining().min(LONGEST_WAIT));
        // Rounded up: waking a moment early would mean to spin through the last millisecond.
        let timeout = Timespec::try_from(limit + Duration::from_millis(1)).ok();
        let mut descriptors = vec![PollFd::new(&self.wake, PollFlags::IN)];
        descriptors.extend(process.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        if poll(&mut descriptors, timeout.as_ref()).is_err() {
            return false; // A signal: the caller checks its conditions and waits again.
        }
        let has_ended = descriptors.get(1).is_some_and(|process| !process.revents().is_empty());
        if !descriptors[0].revents().is_empty() {
            let _ = rustix::io::read(self.wake.as_fd(), &mut [0; 8]);
        }
        has_ended
    }

    fn wake_up(&self) {
        let _ = rustix::io::write(self.wake.as_fd(), &1_u64.to_ne_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, Requested> {
        self.requested.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_stop_does_not_restart_the_grace_and_a_shorter_one_counts() {
        let control = RunControl::new(false).unwrap();
        let now = Uptime::now();
        let end = |cause, seconds| {
            control.stop(StopRequest { cause, kill_at: now.after_seconds(seconds) });
            control.requested().stop.unwrap()
        };
        assert_eq!(end(StopCause::Stopped, 10).kill_at, now.after_seconds(10));
        assert_eq!(end(StopCause::Stopped, 30).kill_at, now.after_seconds(10));
        let both = end(StopCause::Interrupted, 2);
        assert_eq!((both.cause, both.kill_at), (StopCause::Stopped, now.after_seconds(2)));
        assert_eq!(end(StopCause::Fenced, 5).cause, StopCause::Fenced);
    }

    #[test]
    fn a_request_before_the_wait_is_not_missed() {
        let control = RunControl::new(false).unwrap();
        control.start();
        assert!(!control.wait(None, None));
        assert!(control.requested().start);
    }
}

//! What a thread that runs something is ordered to do, and how it waits for orders, for its process
//! and for the clock at once. Orders are a state, not a queue: giving one twice changes nothing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::Assignment;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use serde::{Deserialize, Serialize};

use crate::clock::Uptime;

/// Poll counts without the time asleep: look at the clock now and then.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// May hold secrets: never printed, hence no `Debug`.
pub struct Orders {
    wanted: Mutex<Wanted>,
    /// For an attempt that an earlier life of this agent began.
    assignment: Mutex<Option<Box<Assignment>>>,
    wake: OwnedFd,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// The gang is complete: the command may begin.
    pub start: bool,
    pub ending: Option<Ending>,
    /// When it was first ordered to end.
    pub ending_since: Option<Uptime>,
}

/// Whatever runs is to end: SIGTERM now, SIGKILL at `kill_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    pub cause: Cause,
    pub kill_at: Uptime,
}

/// Why something ends that did not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    Stopped,
    Interrupted,
    WallClockExceeded,
    /// The control plane no longer knows of it: nothing is to be reported.
    Fenced,
}

impl Ending {
    /// The first cause stands, except that a fence makes all others void; the earlier deadline counts.
    pub fn joined_by(self, other: Ending) -> Ending {
        let cause = if other.cause == Cause::Fenced { Cause::Fenced } else { self.cause };
        Ending { cause, kill_at: self.kill_at.min(other.kill_at) }
    }
}

impl Orders {
    pub fn new(start: bool) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let wanted = Mutex::new(Wanted { start, ..Wanted::default() });
        Ok(Self { wanted, assignment: Mutex::default(), wake })
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

    pub fn end(&self, ending: Ending) {
        let mut wanted = self.lock();
        wanted.ending = Some(wanted.ending.map_or(ending, |first| first.joined_by(ending)));
        wanted.ending_since.get_or_insert_with(Uptime::now);
        drop(wanted);
        self.wake_up();
    }

    /// Gives back to what is to end the time in which nothing could run.
    pub fn postpone(&self, pause: Duration) {
        if let Some(ending) = &mut self.lock().ending {
            ending.kill_at = ending.kill_at.after(pause);
        }
    }

    pub fn wanted(&self) -> Wanted {
        *self.lock()
    }

    /// Returns when an order has come, the process behind `process` (a pidfd) is gone, `until` is
    /// reached, or for no reason. True when the process is gone.
    pub fn wait(&self, process: Option<BorrowedFd<'_>>, until: Option<Uptime>) -> bool {
        let limit = until.map_or(LONGEST_WAIT, |time| time.remaining().min(LONGEST_WAIT));
        // Rounded up: waking a moment early would mean to spin through the last millisecond.
        let timeout = Timespec::try_from(limit + Duration::from_millis(1)).ok();
        let mut descriptors = vec![PollFd::new(&self.wake, PollFlags::IN)];
        descriptors.extend(process.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        if poll(&mut descriptors, timeout.as_ref()).is_err() {
            return false; // A signal: the caller looks again and comes back.
        }
        let gone = descriptors.get(1).is_some_and(|process| !process.revents().is_empty());
        if !descriptors[0].revents().is_empty() {
            let _ = rustix::io::read(self.wake.as_fd(), &mut [0; 8]);
        }
        gone
    }

    fn wake_up(&self) {
        let _ = rustix::io::write(self.wake.as_fd(), &1_u64.to_ne_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_stop_does_not_restart_the_grace_and_a_shorter_one_counts() {
        let orders = Orders::new(false).unwrap();
        let now = Uptime::now();
        let end = |cause, seconds| {
            orders.end(Ending { cause, kill_at: now.after_seconds(seconds) });
            orders.wanted().ending.unwrap()
        };
        assert_eq!(end(Cause::Stopped, 10).kill_at, now.after_seconds(10));
        assert_eq!(end(Cause::Stopped, 30).kill_at, now.after_seconds(10));
        let both = end(Cause::Interrupted, 2);
        assert_eq!((both.cause, both.kill_at), (Cause::Stopped, now.after_seconds(2)));
        assert_eq!(end(Cause::Fenced, 5).cause, Cause::Fenced);
    }

    #[test]
    fn an_order_given_before_the_wait_is_not_slept_through() {
        let orders = Orders::new(false).unwrap();
        orders.start();
        assert!(!orders.wait(None, None));
        assert!(orders.wanted().start);
    }
}

//! Waiting for the end of a supervised command, and on the way stopping it when that is requested or its time is over.
//! The same for preparations, commands and setup tasks.
//!
//! A grace period that ran out while this process was stopped was none: the command was most likely stopped as well. So
//! the time is checked in small steps, and a pause extends the grace period.

use std::io;
use std::time::Duration;

use super::run_control::{RunControl, StopCause, StopRequest};
use super::shell_start::ShellStart;
use super::supervised::{CommandOutcome, Supervised, Supervisors};
use crate::clock::Uptime;

/// The time limit of a command.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub at: Uptime,
    pub grace_seconds: u64,
}

/// During the grace period the clock is checked this often. Waking up later than this by a [`PAUSE`] means that this
/// process was stopped, or had no processor for as long.
const STEP: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(500);

/// A signal that is about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Kill,
}

/// What happens while a command is waited for.
pub enum Event {
    /// A signal is about to be sent.
    Signal(Signal, StopRequest),
    /// Something for the log: what the start of the command waits for.
    Note(String),
}

pub struct Watchdog<'a> {
    control: &'a RunControl,
    limit: Option<Limit>,
    stop: Option<StopRequest>,
    /// The last thing that was sent.
    sent: Option<Signal>,
    shell_start: ShellStart,
}

impl<'a> Watchdog<'a> {
    /// `stop`: requested from an earlier agent process.
    pub fn new(control: &'a RunControl, limit: Option<Limit>, stop: Option<StopRequest>) -> Self {
        let shell_start = ShellStart::new(Uptime::now());
        Self { control, limit, stop, sent: None, shell_start }
    }

    /// Returns when the command has ended. `on_event` is called ahead of each signal, so that the reason is stored before
    /// the signal has an effect.
    pub fn wait_for_end(
        &mut self,
        supervisors: &Supervisors,
        supervised: Supervised,
        mut on_event: impl FnMut(Event),
    ) -> io::Result<CommandOutcome> {
        // Each reading of the clock is used until the next one, so that no pause falls between two of them.
        let mut now = Uptime::now();
        loop {
            if let Some((signal, stop)) = self.due(now) {
                if supervised.is_over() {
                    return supervisors.conclude(supervised);
                }
                on_event(Event::Signal(signal, stop));
                self.sent = Some(signal);
                match signal {
                    Signal::Terminate => supervised.terminate(),
                    Signal::Kill => supervised.kill(),
                }
            }
            if let Some(note) = self.shell_start.check(now, supervised.supervisor_pid()) {
                on_event(Event::Note(note));
            }
            let until = self.next(now).into_iter().chain(self.shell_start.due()).min();
            if self.control.wait(Some(supervised.handle()), until) {
                return supervisors.conclude(supervised);
            }
            now = Uptime::now();
            if let (Some(until), Some(_)) = (until, self.stop) {
                self.extend_by(now.since(until));
            }
        }
    }

    /// Why the command was stopped, if it was.
    pub fn stop(&self) -> Option<StopRequest> {
        self.stop
    }

    /// Extends the grace period by `late` if that is a pause.
    fn extend_by(&mut self, late: Duration) {
        if late < PAUSE {
            return;
        }
        self.control.postpone(late);
        if let Some(stop) = &mut self.stop {
            stop.kill_at = stop.kill_at.after(late);
        }
    }

    fn due(&mut self, now: Uptime) -> Option<(Signal, StopRequest)> {
        if let (None, None, Some(since)) =
            (self.sent, self.stop, self.control.requested().stop_since)
        {
            self.extend_by(now.since(since));
        }
        let exceeded = self.limit.filter(|limit| limit.at <= now).map(|limit| StopRequest {
            cause: StopCause::WallClockExceeded,
            kill_at: now.after_seconds(limit.grace_seconds),
        });
        self.stop = match (self.stop, self.control.requested().stop) {
            (Some(first), Some(second)) => Some(first.joined_by(second)),
            (None, None) => exceeded,
            (first, second) => first.or(second),
        };
        let stop = self.stop?;
        match self.sent {
            Some(Signal::Kill) => None,
            _ if stop.kill_at <= now => Some((Signal::Kill, stop)),
            Some(Signal::Terminate) => None,
            None => Some((Signal::Terminate, stop)),
        }
    }

    /// When to check the clock again.
    fn next(&self, now: Uptime) -> Option<Uptime> {
        match (self.sent, self.stop) {
            (Some(Signal::Kill), _) => None,
            (Some(Signal::Terminate) | None, Some(stop)) => Some(stop.kill_at.min(now.after(STEP))),
            (Some(Signal::Terminate) | None, None) => self.limit.map(|limit| limit.at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(seconds: u64) -> Uptime {
        Uptime::now().after_seconds(seconds)
    }

    #[test]
    fn the_wall_clock_gives_its_own_grace_and_stays_the_cause() {
        let control = RunControl::new(true).unwrap();
        let start = later(0);
        let limit = Limit { at: start.after_seconds(5), grace_seconds: 3 };
        let mut watchdog = Watchdog::new(&control, Some(limit), None);
        assert_eq!(watchdog.due(start), None);
        assert_eq!(watchdog.next(start), Some(limit.at));
        let (signal, stop) = watchdog.due(limit.at).unwrap();
        assert_eq!((signal, stop.cause), (Signal::Terminate, StopCause::WallClockExceeded));
        watchdog.sent = Some(signal);
        control.stop(StopRequest { cause: StopCause::Stopped, kill_at: limit.at.after_seconds(1) });
        assert_eq!(watchdog.due(limit.at), None);
        let (signal, stop) = watchdog.due(limit.at.after_seconds(1)).unwrap();
        assert_eq!((signal, stop.cause), (Signal::Kill, StopCause::WallClockExceeded));
        watchdog.sent = Some(signal);
        assert_eq!((watchdog.due(later(1000)), watchdog.next(limit.at)), (None, None));
    }

    #[test]
    fn a_request_that_is_seen_after_a_pause_still_gives_its_grace() {
        let control = RunControl::new(true).unwrap();
        control.stop(StopRequest { cause: StopCause::Stopped, kill_at: later(10) });
        let mut watchdog = Watchdog::new(&control, None, None);
        let (signal, stop) = watchdog.due(later(60)).unwrap();
        assert_eq!(signal, Signal::Terminate);
        assert!(stop.kill_at >= later(69), "{stop:?}");
        watchdog.sent = Some(signal);
        // A later request is not postponed.
        control.stop(StopRequest { cause: StopCause::Stopped, kill_at: later(61) });
        let (signal, _) = watchdog.due(later(61)).unwrap();
        assert_eq!(signal, Signal::Kill);
    }

    #[test]
    fn a_pause_within_the_grace_is_added_to_it() {
        let control = RunControl::new(true).unwrap();
        control.stop(StopRequest { cause: StopCause::Stopped, kill_at: later(2) });
        let mut watchdog = Watchdog::new(&control, None, None);
        watchdog.sent = watchdog.due(later(0)).map(|(signal, _)| signal);
        assert!(watchdog.next(later(0)) <= Some(later(1)), "it is watched in small steps");
        watchdog.extend_by(Duration::from_secs(60));
        assert_eq!(watchdog.due(later(60)), None);
        assert_eq!(watchdog.due(later(63)).map(|(signal, _)| signal), Some(Signal::Kill));
    }

    #[test]
    fn without_grace_there_is_no_sigterm() {
        let control = RunControl::new(true).unwrap();
        control.stop(StopRequest { cause: StopCause::Fenced, kill_at: later(0) });
        let mut watchdog = Watchdog::new(&control, None, None);
        assert_eq!(watchdog.due(later(0)).map(|(signal, _)| signal), Some(Signal::Kill));
    }

    #[test]
    fn a_stop_that_an_earlier_agent_began_goes_on() {
        let control = RunControl::new(true).unwrap();
        let stop = StopRequest { cause: StopCause::Stopped, kill_at: later(9) };
        let mut watchdog = Watchdog::new(&control, None, Some(stop));
        assert_eq!(watchdog.due(later(0)), Some((Signal::Terminate, stop)));
    }
}

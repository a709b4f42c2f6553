//! How a node leaves: it stops what runs, undoes its setup and sends the final report.

use std::sync::Arc;
use std::time::Duration;

use super::inbox::Event;
use super::{Node, Setup};
use crate::clock::{Countdown, Uptime};
use crate::options::UNWANTED_AFTER;
use crate::setup;
use crate::system::run_control::{StopCause, StopRequest};

/// Grace period of the processes on a node that the control plane does not know.
const UNWANTED_GRACE_SECONDS: u64 = 5;
/// How long a node that was asked to leave tries to deliver its final report, if no attempt is part of it.
const FINAL_REPORT_LIMIT: Duration = Duration::from_secs(5);
/// The same when the end of an attempt is part of it: no other process knows how it ended.
const REPORT_LIMIT: Duration = UNWANTED_AFTER;
/// The final report gets at least this time, also when the deadline has passed during a pause.
pub const LAST_TRY: Duration = Duration::from_secs(2);
/// The last part of an interruption notice is reserved for flushing and reporting.
const RESERVE: Duration = Duration::from_secs(2);
const RESERVE_SHARE: f64 = 0.2;

#[derive(Clone, Copy, Debug)]
pub struct Departure {
    pub stop: StopRequest,
    pub reason: Reason,
    pub stage: DepartureStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The control plane asked for it.
    Requested,
    /// The machine ends at `until`.
    Interrupted { until: Uptime },
    /// The control plane does not know the node.
    Unwanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepartureStage {
    /// An attempt or the setup still ends.
    Stopping,
    /// Services are ended, file systems unmounted.
    Undoing,
    /// Everything has ended; the final report is to be delivered.
    Left { report_until: Uptime },
}

impl Departure {
    pub fn requested(grace_seconds: u64) -> Self {
        Self::new(Reason::Requested, StopCause::Stopped, Uptime::now().after_seconds(grace_seconds))
    }

    pub fn interrupted(notice_seconds: u64) -> Self {
        let notice = Duration::from_secs(notice_seconds);
        let working = notice - RESERVE.min(notice.mul_f64(RESERVE_SHARE));
        let now = Uptime::now();
        let reason = Reason::Interrupted { until: now.after(notice) };
        Self::new(reason, StopCause::Interrupted, now.after(working))
    }

    pub fn unwanted() -> Self {
        let kill_at = Uptime::now().after_seconds(UNWANTED_GRACE_SECONDS);
        Self::new(Reason::Unwanted, StopCause::Stopped, kill_at)
    }

    fn new(reason: Reason, cause: StopCause, kill_at: Uptime) -> Self {
        Self { stop: StopRequest { cause, kill_at }, reason, stage: DepartureStage::Stopping }
    }

    /// A second reason never gives more time than the first; an interruption is always reported.
    pub fn joined_by(self, other: Departure) -> Departure {
        let reason = match (self.reason, other.reason) {
            (Reason::Interrupted { until }, Reason::Interrupted { until: new }) => {
                Reason::Interrupted { until: until.min(new) }
            }
            (_, new @ Reason::Interrupted { .. }) => new,
            (first, _) => first,
        };
        Departure { stop: self.stop.joined_by(other.stop), reason, stage: self.stage }
    }

    /// `limit`: how long a node that was asked to leave tries to deliver the final report.
    pub fn undone(&mut self, limit: Duration) {
        let report_until = match self.reason {
            Reason::Requested => Uptime::now().after(limit),
            Reason::Interrupted { until } => until,
            Reason::Unwanted => Uptime::now(),
        };
        self.stage = DepartureStage::Left { report_until };
    }

    /// Seconds until the machine ends, for the report.
    pub fn notice_seconds(&self) -> Option<u64> {
        match self.reason {
            Reason::Interrupted { until } => Some(until.remaining().as_secs_f64().round() as u64),
            Reason::Requested | Reason::Unwanted => None,
        }
    }
}

impl Node {
    pub(super) fn depart(&mut self, departure: Departure) {
        let departure = self.departure.map_or(departure, |first| first.joined_by(departure));
        let StopRequest { cause, kill_at } = departure.stop;
        self.stop_attempt(cause, kill_at);
        if let Setup::Busy(control) = &self.setup {
            control.stop(departure.stop);
        }
        if let Reason::Interrupted { until } = departure.reason {
            self.inbox.countdown = Some(Countdown::new(until.remaining()));
        }
        // An interruption is reported at once, not when the job has reacted to it.
        self.settling &= departure.reason == Reason::Requested;
        self.departure = Some(departure);
        self.continue_departure();
    }

    /// Begins to undo the setup once nothing runs any more.
    pub(super) fn continue_departure(&mut self) {
        let Some(departure) = &mut self.departure else { return };
        let busy = matches!(self.setup, Setup::Busy(_))
            || self.attempt.as_ref().is_some_and(|current| !current.has_ended());
        if departure.stage != DepartureStage::Stopping || busy {
            return;
        }
        departure.stage = DepartureStage::Undoing;
        let sender = self.inbox.sender();
        let notify = move || drop(sender.send(Event::SetupUndone));
        if let Err(error) = setup::spawn_undo(Arc::clone(&self.host), notify) {
            tracing::error!(%error, "the mounts of the cluster stay");
            self.undone();
        }
    }

    /// Everything has ended; from now on the final report is delivered.
    pub(super) fn undone(&mut self) {
        let limit = if self.attempt.is_some() { REPORT_LIMIT } else { FINAL_REPORT_LIMIT };
        if let Some(departure) = &mut self.departure {
            departure.undone(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_of_the_notice_is_kept_for_the_report() {
        let margin = |notice| {
            let departure = Departure::interrupted(notice);
            let Reason::Interrupted { until } = departure.reason else { unreachable!() };
            until.remaining().saturating_sub(departure.stop.kill_at.remaining()).as_secs_f64()
        };
        assert!((margin(120) - 2.0).abs() < 0.1);
        assert!((margin(5) - 1.0).abs() < 0.1);
        assert!(margin(0) < 0.1);
        assert_eq!(Departure::interrupted(120).notice_seconds(), Some(120));
    }

    #[test]
    fn an_interruption_during_a_leave_shortens_it() {
        let both = Departure::requested(1000).joined_by(Departure::interrupted(10));
        assert!(matches!(both.reason, Reason::Interrupted { .. }));
        assert_eq!(both.stop.cause, StopCause::Stopped);
        assert!(both.stop.kill_at.remaining() < Duration::from_secs(9));
    }
}

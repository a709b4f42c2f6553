//! How a node goes: what runs is ended, the setup undone, the last word said.

use std::sync::Arc;
use std::time::Duration;

use super::inbox::Event;
use super::{Node, Setup};
use crate::clock::{Countdown, Uptime};
use crate::options::UNWANTED_AFTER;
use crate::setup;
use crate::system::orders::{Cause, Ending};

/// What a node that nobody wants gives its processes.
const UNWANTED_GRACE_SECONDS: u64 = 5;
/// How long a node that was told to leave tries to say that it has, if nothing else is to be said.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);
/// The same while the end of an attempt is not acknowledged: nobody else knows how it ended.
const REPORT_LIMIT: Duration = UNWANTED_AFTER;
/// For its last report a node takes this long even when there is no time left, as after a pause.
pub const LAST_TRY: Duration = Duration::from_secs(2);
/// Of the notice of an interruption, this much is kept for flushing and reporting.
const RESERVE: Duration = Duration::from_secs(2);
const RESERVE_SHARE: f64 = 0.2;

#[derive(Clone, Copy, Debug)]
pub struct Departure {
    pub ending: Ending,
    pub reason: Reason,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The control plane wants it.
    Told,
    /// The machine is gone after `until`.
    Interrupted { until: Uptime },
    /// The control plane does not know the node.
    Unwanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// An attempt or the setup still ends.
    Ending,
    /// Services are ended, file systems unmounted.
    Undoing,
    /// Nothing is left but to say so.
    Left { give_up_at: Uptime },
}

impl Departure {
    pub fn told(grace_seconds: u64) -> Self {
        Self::new(Reason::Told, Cause::Stopped, Uptime::now().after_seconds(grace_seconds))
    }

    pub fn interrupted(notice_seconds: u64) -> Self {
        let notice = Duration::from_secs(notice_seconds);
        let working = notice - RESERVE.min(notice.mul_f64(RESERVE_SHARE));
        let now = Uptime::now();
        let reason = Reason::Interrupted { until: now.after(notice) };
        Self::new(reason, Cause::Interrupted, now.after(working))
    }

    pub fn unwanted() -> Self {
        let kill_at = Uptime::now().after_seconds(UNWANTED_GRACE_SECONDS);
        Self::new(Reason::Unwanted, Cause::Stopped, kill_at)
    }

    fn new(reason: Reason, cause: Cause, kill_at: Uptime) -> Self {
        Self { ending: Ending { cause, kill_at }, reason, stage: Stage::Ending }
    }

    /// A second reason never gives more time than the first; an interruption is worth telling.
    pub fn joined_by(self, other: Departure) -> Departure {
        let reason = match (self.reason, other.reason) {
            (Reason::Interrupted { until }, Reason::Interrupted { until: new }) => {
                Reason::Interrupted { until: until.min(new) }
            }
            (_, new @ Reason::Interrupted { .. }) => new,
            (first, _) => first,
        };
        Departure { ending: self.ending.joined_by(other.ending), reason, stage: self.stage }
    }

    /// `limit`: how long a node that was told to leave tries to say that it has.
    pub fn undone(&mut self, limit: Duration) {
        let give_up_at = match self.reason {
            Reason::Told => Uptime::now().after(limit),
            Reason::Interrupted { until } => until,
            Reason::Unwanted => Uptime::now(),
        };
        self.stage = Stage::Left { give_up_at };
    }

    /// Seconds until the machine is taken away, for the report.
    pub fn notice_seconds(&self) -> Option<u64> {
        match self.reason {
            Reason::Interrupted { until } => Some(until.remaining().as_secs_f64().round() as u64),
            Reason::Told | Reason::Unwanted => None,
        }
    }
}

impl Node {
    pub(super) fn depart(&mut self, departure: Departure) {
        let departure = self.departure.map_or(departure, |first| first.joined_by(departure));
        let Ending { cause, kill_at } = departure.ending;
        self.end_attempt(cause, kill_at);
        if let Setup::Busy(orders) = &self.setup {
            orders.end(departure.ending);
        }
        if let Reason::Interrupted { until } = departure.reason {
            self.inbox.countdown = Some(Countdown::new(until.remaining()));
        }
        // An interruption is reported at once, not when the job has reacted to it.
        self.settling &= departure.reason == Reason::Told;
        self.departure = Some(departure);
        self.go_on_departing();
    }

    /// Begins to undo the setup once nothing runs any more.
    pub(super) fn go_on_departing(&mut self) {
        let Some(departure) = &mut self.departure else { return };
        let busy = matches!(self.setup, Setup::Busy(_))
            || self.attempt.as_ref().is_some_and(|present| !present.has_ended());
        if departure.stage != Stage::Ending || busy {
            return;
        }
        departure.stage = Stage::Undoing;
        let sender = self.inbox.sender();
        let tell = move || drop(sender.send(Event::Undone));
        if let Err(error) = setup::spawn_undo(Arc::clone(&self.host), tell) {
            tracing::error!(%error, "the mounts of the cluster stay");
            self.undone();
        }
    }

    /// Nothing is left to do but to say so.
    pub(super) fn undone(&mut self) {
        let limit = if self.attempt.is_some() { REPORT_LIMIT } else { GOODBYE_LIMIT };
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
            until.remaining().saturating_sub(departure.ending.kill_at.remaining()).as_secs_f64()
        };
        assert!((margin(120) - 2.0).abs() < 0.1);
        assert!((margin(5) - 1.0).abs() < 0.1);
        assert!(margin(0) < 0.1);
        assert_eq!(Departure::interrupted(120).notice_seconds(), Some(120));
    }

    #[test]
    fn an_interruption_during_a_leave_shortens_it() {
        let both = Departure::told(1000).joined_by(Departure::interrupted(10));
        assert!(matches!(both.reason, Reason::Interrupted { .. }));
        assert_eq!(both.ending.cause, Cause::Stopped);
        assert!(both.ending.kill_at.remaining() < Duration::from_secs(9));
    }
}

//! Outlasting a supervised command: waits until it is gone, and on the way carries out orders to end
//! and the time limit. The same for preparations, commands and setup tasks.
//!
//! A grace that ran out while this process was stopped was no grace: the command was most likely
//! stopped as well. So the time is watched in small steps, and a pause is added to the grace.

use std::io;
use std::time::Duration;

use super::orders::{Cause, Ending, Orders};
use super::supervised::{Supervised, Supervisors, Verdict};
use crate::clock::Uptime;

/// When a command has run for too long.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub at: Uptime,
    pub grace_seconds: u64,
}

/// While a command is given its grace, the clock is looked at this often; to be woken later than this
/// by a [`PAUSE`] means that this process was stopped, or had no processor for as long.
const STEP: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(500);

/// What is about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Kill,
}

pub struct Minder<'a> {
    orders: &'a Orders,
    limit: Option<Limit>,
    ending: Option<Ending>,
    /// The last thing that was sent.
    sent: Option<Signal>,
}

impl<'a> Minder<'a> {
    /// `ending`: decided in an earlier life of the agent.
    pub fn new(orders: &'a Orders, limit: Option<Limit>, ending: Option<Ending>) -> Self {
        Self { orders, limit, ending, sent: None }
    }

    /// Returns when the command is over. `before` is called ahead of each signal, so that the
    /// reason for it is remembered before it shows effect.
    pub fn outlast(
        &mut self,
        supervisors: &Supervisors,
        supervised: Supervised,
        mut before: impl FnMut(Signal, Ending),
    ) -> io::Result<Verdict> {
        loop {
            if let Some((signal, ending)) = self.due(Uptime::now()) {
                if supervised.is_over() {
                    return supervisors.conclude(supervised);
                }
                before(signal, ending);
                self.sent = Some(signal);
                match signal {
                    Signal::Terminate => supervised.terminate(),
                    Signal::Kill => supervised.kill(),
                }
            }
            let until = self.next(Uptime::now());
            if self.orders.wait(Some(supervised.handle()), until) {
                return supervisors.conclude(supervised);
            }
            if let (Some(until), Some(_)) = (until, self.ending) {
                self.forgive(Uptime::now().since(until));
            }
        }
    }

    /// Why it had to end, if it had to.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Gives the command the time of a pause, if `late` is one.
    fn forgive(&mut self, late: Duration) {
        if late < PAUSE {
            return;
        }
        self.orders.postpone(late);
        if let Some(ending) = &mut self.ending {
            ending.kill_at = ending.kill_at.after(late);
        }
    }

    fn due(&mut self, now: Uptime) -> Option<(Signal, Ending)> {
        if let (None, None, Some(since)) =
            (self.sent, self.ending, self.orders.wanted().ending_since)
        {
            self.forgive(now.since(since));
        }
        let exceeded = self.limit.filter(|limit| limit.at <= now).map(|limit| Ending {
            cause: Cause::WallClockExceeded,
            kill_at: now.after_seconds(limit.grace_seconds),
        });
        self.ending = match (self.ending, self.orders.wanted().ending) {
            (Some(first), Some(ordered)) => Some(first.joined_by(ordered)),
            (None, None) => exceeded,
            (first, ordered) => first.or(ordered),
        };
        let ending = self.ending?;
        match self.sent {
            Some(Signal::Kill) => None,
            _ if ending.kill_at <= now => Some((Signal::Kill, ending)),
            Some(Signal::Terminate) => None,
            None => Some((Signal::Terminate, ending)),
        }
    }

    /// When to look at the clock again.
    fn next(&self, now: Uptime) -> Option<Uptime> {
        match (self.sent, self.ending) {
            (Some(Signal::Kill), _) => None,
            (_, Some(ending)) => Some(ending.kill_at.min(now.after(STEP))),
            (_, None) => self.limit.map(|limit| limit.at),
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
        let orders = Orders::new(true).unwrap();
        let start = later(0);
        let limit = Limit { at: start.after_seconds(5), grace_seconds: 3 };
        let mut minder = Minder::new(&orders, Some(limit), None);
        assert_eq!(minder.due(start), None);
        assert_eq!(minder.next(start), Some(limit.at));
        let (signal, ending) = minder.due(limit.at).unwrap();
        assert_eq!((signal, ending.cause), (Signal::Terminate, Cause::WallClockExceeded));
        minder.sent = Some(signal);
        orders.end(Ending { cause: Cause::Stopped, kill_at: limit.at.after_seconds(1) });
        assert_eq!(minder.due(limit.at), None);
        let (signal, ending) = minder.due(limit.at.after_seconds(1)).unwrap();
        assert_eq!((signal, ending.cause), (Signal::Kill, Cause::WallClockExceeded));
        minder.sent = Some(signal);
        assert_eq!((minder.due(later(1000)), minder.next(limit.at)), (None, None));
    }

    #[test]
    fn an_order_that_is_met_after_a_pause_still_gives_its_grace() {
        let orders = Orders::new(true).unwrap();
        orders.end(Ending { cause: Cause::Stopped, kill_at: later(10) });
        let mut minder = Minder::new(&orders, None, None);
        let (signal, ending) = minder.due(later(60)).unwrap();
        assert_eq!(signal, Signal::Terminate);
        assert!(ending.kill_at >= later(69), "{ending:?}");
        minder.sent = Some(signal);
        // What is ordered afterwards is not postponed.
        orders.end(Ending { cause: Cause::Stopped, kill_at: later(61) });
        let (signal, _) = minder.due(later(61)).unwrap();
        assert_eq!(signal, Signal::Kill);
    }

    #[test]
    fn a_pause_within_the_grace_is_added_to_it() {
        let orders = Orders::new(true).unwrap();
        orders.end(Ending { cause: Cause::Stopped, kill_at: later(2) });
        let mut minder = Minder::new(&orders, None, None);
        minder.sent = minder.due(later(0)).map(|(signal, _)| signal);
        assert!(minder.next(later(0)) <= Some(later(1)), "it is watched in small steps");
        minder.forgive(Duration::from_secs(60));
        assert_eq!(minder.due(later(60)), None);
        assert_eq!(minder.due(later(63)).map(|(signal, _)| signal), Some(Signal::Kill));
    }

    #[test]
    fn without_grace_nothing_is_asked_politely() {
        let orders = Orders::new(true).unwrap();
        orders.end(Ending { cause: Cause::Fenced, kill_at: later(0) });
        let mut minder = Minder::new(&orders, None, None);
        assert_eq!(minder.due(later(0)).map(|(signal, _)| signal), Some(Signal::Kill));
    }

    #[test]
    fn an_ending_of_an_earlier_life_goes_on() {
        let orders = Orders::new(true).unwrap();
        let ending = Ending { cause: Cause::Stopped, kill_at: later(9) };
        let mut minder = Minder::new(&orders, None, Some(ending));
        assert_eq!(minder.due(later(0)), Some((Signal::Terminate, ending)));
    }
}

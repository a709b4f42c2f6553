//! Outlasting a supervised command: waits until it is gone, and on the way carries out orders to end
//! and the time limit. The same for preparations, commands and setup tasks.

use std::io;

use super::orders::{Cause, Ending, Orders};
use super::supervised::{Supervised, Supervisors, Verdict};
use crate::clock::Uptime;

/// When a command has run for too long.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub at: Uptime,
    pub grace_seconds: u64,
}

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
            if self.orders.wait(Some(supervised.handle()), self.next()) {
                return supervisors.conclude(supervised);
            }
        }
    }

    /// Why it had to end, if it had to.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    fn due(&mut self, now: Uptime) -> Option<(Signal, Ending)> {
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
    fn next(&self) -> Option<Uptime> {
        match (self.sent, self.ending) {
            (Some(Signal::Kill), _) => None,
            (_, Some(ending)) => Some(ending.kill_at),
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
        assert_eq!(minder.next(), Some(limit.at));
        let (signal, ending) = minder.due(limit.at).unwrap();
        assert_eq!((signal, ending.cause), (Signal::Terminate, Cause::WallClockExceeded));
        minder.sent = Some(signal);
        orders.end(Ending { cause: Cause::Stopped, kill_at: limit.at.after_seconds(1) });
        assert_eq!(minder.due(limit.at), None);
        let (signal, ending) = minder.due(limit.at.after_seconds(1)).unwrap();
        assert_eq!((signal, ending.cause), (Signal::Kill, Cause::WallClockExceeded));
        minder.sent = Some(signal);
        assert_eq!((minder.due(later(1000)), minder.next()), (None, None));
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

//! The two clocks of a node: one to measure with, one to write into log lines; and limits that a pause
//! of this process does not use up.
//!
//! The rule of pauses: the process may be stopped at any moment, for any time, together with all
//! others (a laptop's lid, SIGSTOP). What was given a limit in order to *do* something has done nothing
//! meanwhile, so such a limit is a [`Countdown`]. A wall-clock limit goes on.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Milliseconds since the machine was started, time asleep included. Deadlines are kept in it because
/// it survives the agent (an `Instant` does not) and no one can set it (the wall clock they can).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uptime(u64);

impl Uptime {
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let milliseconds = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0);
        Self(seconds * 1000 + milliseconds)
    }

    pub fn after_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` until `self`.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The unit of `/proc/{pid}/stat`. Every Linux has 100 of them in a second.
    pub fn in_clock_ticks(self) -> u64 {
        self.0 / 10
    }

    /// The time from now until `self`; zero when it has passed.
    pub fn remaining(self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(Self::now().0))
    }
}

impl std::fmt::Display for Uptime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// The longest time between two looks at a [`Countdown`].
const LONGEST_STEP: Duration = Duration::from_secs(1);
const SHORTEST_STEP: Duration = Duration::from_millis(1);

/// A limit that is looked at in small steps. What is much longer than a step was a pause, of which
/// two steps are counted.
#[derive(Clone, Copy, Debug)]
pub struct Countdown {
    left: Duration,
    step: Duration,
    looked: Instant,
}

impl Countdown {
    pub fn new(limit: Duration) -> Self {
        Self::in_steps_of(limit, (limit / 8).clamp(SHORTEST_STEP, LONGEST_STEP))
    }

    /// For limits that are looked at about every `step`.
    pub fn in_steps_of(limit: Duration, step: Duration) -> Self {
        Self { left: limit, step, looked: Instant::now() }
    }

    /// How long to wait before looking again.
    pub fn next_step(&self) -> Duration {
        self.left.min(self.step)
    }

    /// True when nothing is left.
    pub fn is_over(&mut self) -> bool {
        self.is_over_at(Instant::now())
    }

    fn is_over_at(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.looked).min(self.step * 2);
        self.left = self.left.saturating_sub(passed);
        self.looked = now;
        self.left.is_zero()
    }

    /// Returns when nothing is left.
    pub async fn run_down(&mut self) {
        while !self.is_over() {
            tokio::time::sleep(self.next_step()).await;
        }
    }
}

/// The time by which files are marked.
#[expect(clippy::disallowed_methods, reason = "compared with times that the kernel wrote")]
pub fn now_since_epoch() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// The time of day in the form of the execution log: `2018-12-23T19:46:26Z`.
#[expect(clippy::disallowed_methods, reason = "the edge at which log lines get their time")]
pub fn time_of_day() -> String {
    let seconds = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_far_away_does_not_overflow() {
        let never = Uptime::now().after_seconds(u64::MAX);
        assert!(never.remaining() > Duration::from_secs(1 << 40));
        assert_eq!(Uptime(0).remaining(), Duration::ZERO);
    }

    #[test]
    fn a_pause_does_not_use_up_a_limit() {
        let mut countdown = Countdown::new(Duration::from_secs(10));
        let mut now = countdown.looked;
        let mut passes = |seconds| {
            now += Duration::from_secs(seconds);
            countdown.is_over_at(now)
        };
        assert!(!passes(1) && !passes(3600) && !passes(1));
        assert!(!(0..5).any(|_| passes(1)) && passes(1));
        assert!(Countdown::new(Duration::ZERO).is_over());
    }

    #[test]
    fn log_lines_carry_whole_seconds() {
        assert_eq!(time_of_day().len(), "2018-12-23T19:46:26Z".len());
    }
}

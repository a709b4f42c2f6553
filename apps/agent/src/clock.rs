//! The two clocks of a node: one for deadlines, one for log lines; and time limits that a pause of this process
//! does not use up.
//!
//! The process may be stopped at any moment, for any time, together with all others (a laptop's lid, SIGSTOP).
//! A process that has a time limit to *do* something has done nothing during a pause, so such a limit is a
//! [`Countdown`]. A wall-clock limit includes pauses.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Milliseconds since boot, including suspended time. Used for deadlines, because it stays valid when the agent
/// is restarted (unlike an `Instant`) and cannot be set (unlike the wall clock).
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

/// The longest time between two checks of a [`Countdown`].
const LONGEST_STEP: Duration = Duration::from_secs(1);
const SHORTEST_STEP: Duration = Duration::from_millis(1);

/// A time limit that is checked in small steps. A step that takes much longer was a pause, which counts as two
/// steps.
#[derive(Clone, Copy, Debug)]
pub struct Countdown {
    left: Duration,
    step: Duration,
    checked: Instant,
}

impl Countdown {
    pub fn new(limit: Duration) -> Self {
        Self::in_steps_of(limit, (limit / 8).clamp(SHORTEST_STEP, LONGEST_STEP))
    }

    /// For limits that are checked about every `step`.
    pub fn in_steps_of(limit: Duration, step: Duration) -> Self {
        Self { left: limit, step, checked: Instant::now() }
    }

    /// How long to wait before the next check.
    pub fn next_step(&self) -> Duration {
        self.left.min(self.step)
    }

    /// True when nothing is left.
    pub fn is_over(&mut self) -> bool {
        self.is_over_at(Instant::now())
    }

    fn is_over_at(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.checked).min(self.step * 2);
        self.left = self.left.saturating_sub(passed);
        self.checked = now;
        self.left.is_zero()
    }

    /// Returns when nothing is left.
    pub async fn run_down(&mut self) {
        while !self.is_over() {
            tokio::time::sleep(self.next_step()).await;
        }
    }
}

/// The time of day, comparable with the times of files.
#[expect(clippy::disallowed_methods, reason = "compared with times that the kernel wrote")]
pub fn now_since_epoch() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// The time of day of this machine.
#[expect(clippy::disallowed_methods, reason = "the edge at which requests are signed")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The time of day of a server, from the header `Date` of its response.
pub fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// The time of day in the form of the execution log: `2018-12-23T19:46:26Z`.
#[expect(clippy::disallowed_methods, reason = "the edge at which log lines get their time")]
pub fn time_of_day() -> String {
    let seconds = Timestamp::now().as_second();
    Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
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
        let mut now = countdown.checked;
        let mut passes = |seconds| {
            now += Duration::from_secs(seconds);
            countdown.is_over_at(now)
        };
        assert!(!passes(1) && !passes(3600) && !passes(1));
        assert!(!(0..5).any(|_| passes(1)) && passes(1));
        assert!(Countdown::new(Duration::ZERO).is_over());
    }

    #[test]
    fn the_time_of_a_server() {
        let date = |text: &str| {
            date_of(&HeaderMap::from_iter([(DATE, text.parse().unwrap())])).map(|it| it.to_string())
        };
        let expected = Some("1994-11-06T08:49:37Z".to_owned());
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), expected);
        assert_eq!(date("yesterday"), None);
    }

    #[test]
    fn log_lines_carry_whole_seconds() {
        assert_eq!(time_of_day().len(), "2018-12-23T19:46:26Z".len());
    }
}

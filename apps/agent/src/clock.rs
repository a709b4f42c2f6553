//! The two clocks of a node: one to measure with, one to write into log lines.

use std::time::Duration;

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

/// Names the time since the machine was started. Uptimes and process ids of another boot say nothing.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
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
    fn a_boot_has_a_name() {
        assert_eq!(boot_id().len(), 36);
        assert_eq!(boot_id(), boot_id());
    }

    #[test]
    fn log_lines_carry_whole_seconds() {
        assert_eq!(time_of_day().len(), "2018-12-23T19:46:26Z".len());
    }
}

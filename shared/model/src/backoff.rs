//! Consecutive failures, and the pause before the next try.

use crate::{Timestamp, limits};
use serde::{Deserialize, Serialize};

/// Consecutive failures of one kind of action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Number of consecutive failures.
    pub failures: u32,
    /// Time of the first of them.
    pub since: Timestamp,
    /// Earliest time of the next try.
    pub not_before: Timestamp,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::CLEAR
    }
}

impl Backoff {
    /// No failures.
    pub const CLEAR: Self = Self { failures: 0, since: Timestamp(0), not_before: Timestamp(0) };

    /// Whether there is no failure.
    pub fn is_clear(&self) -> bool {
        self.failures == 0
    }

    /// One more failure: the pause doubles, up to [`limits::BACKOFF_LONGEST_SECONDS`].
    pub fn failed(self, now: Timestamp) -> Self {
        let doublings = self.failures.min(16);
        let seconds =
            (limits::BACKOFF_FIRST_SECONDS << doublings).min(limits::BACKOFF_LONGEST_SECONDS);
        let since = if self.failures == 0 { now } else { self.since };
        let failures = self.failures.saturating_add(1);
        Self { failures, since, not_before: now.plus_seconds(seconds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_limit() {
        let mut backoff = Backoff::CLEAR;
        assert!(backoff.is_clear());
        let mut pauses = Vec::new();
        for failure in 0..20 {
            let now = Timestamp(1_000_000 * (failure + 1));
            backoff = backoff.failed(now);
            assert!(!backoff.is_clear());
            assert_eq!(backoff.since, Timestamp(1_000_000), "the first failure");
            pauses.push(backoff.not_before.seconds_since(now));
        }
        assert_eq!(backoff.failures, 20);
        assert_eq!(pauses[..9], [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(pauses[19], limits::BACKOFF_LONGEST_SECONDS);
    }
}

//! Failures in a row, and the pause before the next try.

use crate::{Timestamp, limits};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    pub failures: u32,
    /// When the first of them was.
    pub since: Timestamp,
    pub not_before: Timestamp,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::CLEAR
    }
}

impl Backoff {
    /// Nothing has failed.
    pub const CLEAR: Self = Self { failures: 0, since: Timestamp(0), not_before: Timestamp(0) };

    pub fn is_clear(&self) -> bool {
        self.failures == 0
    }

    /// Another failure: the pause doubles, up to its limit.
    pub fn failed(self, now: Timestamp) -> Self {
        let doublings = self.failures.min(16);
        let seconds =
            (limits::BACKOFF_FIRST_SECONDS << doublings).min(limits::BACKOFF_LONGEST_SECONDS);
        let since = if self.failures == 0 { now } else { self.since };
        let failures = self.failures.saturating_add(1);
        Self { failures, since, not_before: now.plus_seconds(seconds) }
    }
}

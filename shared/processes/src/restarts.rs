//! Whether an agent that ended unexpectedly is started again: as an init system would, but not for ever
//! when it fails at once each time.

use std::time::Duration;

/// After so many failures in a row the machine has ended.
const FAILED_STARTS: u32 = 6;

/// An agent that ran for so long had started.
const STARTED_AFTER: Duration = Duration::from_secs(2);

/// The agents of one machine that failed to start since one last did.
#[derive(Debug, Default)]
pub struct Restarts {
    failed: u32,
}

impl Restarts {
    /// Counts the end of an agent that ran for `time`. True when another one is to be started.
    pub fn may_follow(&mut self, time: Duration) -> bool {
        self.failed = if time < STARTED_AFTER { self.failed + 1 } else { 0 };
        self.failed < FAILED_STARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_agents_that_fail_at_once_use_up_the_starts() {
        let mut restarts = Restarts::default();
        let short = Duration::from_millis(300);
        for _ in 0..5 {
            assert!(restarts.may_follow(short));
        }
        assert!(restarts.may_follow(Duration::from_millis(2800)), "killed, after it had worked");
        for _ in 0..5 {
            assert!(restarts.may_follow(short));
        }
        assert!(!restarts.may_follow(short));
    }
}

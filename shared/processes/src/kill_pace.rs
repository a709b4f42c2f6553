//! How processes are killed until none is left: signals are repeated with growing pauses, without an end.

use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// An agent is killed before the other processes of its machine, as it would report a command that is killed as
/// one that failed. One that hangs in the kernel does not delay the others for longer than this.
const AGENT_FIRST: Duration = Duration::from_secs(2);

/// A process that was not killed for so long hangs in the kernel, which is worth a line in the log.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// The pace of killing one group of processes.
#[derive(Debug)]
pub struct KillPace {
    begun: Instant,
    pause: Duration,
    is_reported: bool,
}

impl KillPace {
    /// Begins now.
    pub fn start() -> Self {
        Self { begun: Instant::now(), pause: FIRST_PAUSE, is_reported: false }
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether an agent that is still running is to be killed alone.
    pub fn is_agent_first(&self) -> bool {
        self.elapsed() < AGENT_FIRST
    }

    /// True once, when the processes are to be reported as hanging.
    pub fn is_newly_stuck(&mut self) -> bool {
        let is_stuck = self.elapsed() > STUCK_AFTER;
        is_stuck && !std::mem::replace(&mut self.is_reported, is_stuck)
    }

    /// The pause until the signals are repeated.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_hanging_processes_are_reported_once() {
        let mut pace = KillPace::start();
        let pauses: Vec<_> = (0..11).map(|_| pace.next_pause().as_millis()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000]);
        assert!(pace.is_agent_first() && !pace.is_newly_stuck());
        let Some(begun) = pace.begun.checked_sub(Duration::from_secs(11)) else {
            return eprintln!("skipped: this machine was started less than 11 s ago");
        };
        pace.begun = begun;
        assert!(!pace.is_agent_first() && pace.is_newly_stuck() && !pace.is_newly_stuck());
    }
}

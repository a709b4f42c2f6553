//! A fake agent. It follows the node protocol, with processes that run for a given time and end with a
//! given exit code.

use super::oracle::Oracle;
use model::Timestamp;
use protocol::{
    Assignment, AttemptKey, AttemptReport, Desired, End, NodePhase, Progress, SyncRequest,
};

#[derive(Clone, Debug, Default)]
pub struct FakeAgent {
    ready: bool,
    left: bool,
    attempt: Option<FakeAttempt>,
    notice: Option<u64>,
    /// The reports so far: a late repetition must have no effect.
    pub sent: Vec<SyncRequest>,
}

#[derive(Clone, Debug)]
struct FakeAttempt {
    key: AttemptKey,
    rank: u32,
    state: FakeState,
    /// The exit code of the command.
    exit_code: i32,
    /// How long the command runs.
    duration_millis: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum FakeState {
    /// Prepared; waits for the start signal.
    Waiting,
    Running {
        until: Timestamp,
    },
    /// Asked to stop; ends at that time.
    Stopping {
        until: Timestamp,
        end: End,
    },
    Ended {
        end: End,
    },
}

impl FakeAgent {
    pub fn has_left(&self) -> bool {
        self.left
    }

    pub fn give_notice(&mut self, seconds: u64) {
        self.notice.get_or_insert(seconds);
    }

    /// Advances the processes of this node to the time `now`.
    pub fn pass_time(&mut self, now: Timestamp, oracle: &mut Oracle) {
        let Some(attempt) = &mut self.attempt else { return };
        match attempt.state.clone() {
            FakeState::Running { until } if now >= until => {
                if attempt.rank == 0 {
                    oracle.ended(&attempt.key, Some(attempt.exit_code));
                    let end = End::Exited { exit_code: attempt.exit_code };
                    attempt.state = FakeState::Ended { end };
                }
            }
            FakeState::Stopping { until, end } if now >= until => {
                attempt.killed(oracle);
                attempt.state = FakeState::Ended { end };
            }
            FakeState::Waiting
            | FakeState::Running { .. }
            | FakeState::Stopping { .. }
            | FakeState::Ended { .. } => {}
        }
        if self.notice.is_some() {
            self.stop(now, End::Interrupted, 1);
        }
    }

    pub fn observe(&self, instance: &str, address: &str) -> SyncRequest {
        let phase = match (self.left, self.ready) {
            (true, _) => NodePhase::Left,
            (false, true) => NodePhase::Ready,
            (false, false) => NodePhase::Preparing,
        };
        SyncRequest {
            instance: instance.to_owned(),
            address: address.to_owned(),
            phase,
            attempt: self.attempt.as_ref().map(FakeAttempt::report),
            interruption_notice_seconds: self.notice,
            login_port: Some(2222),
            metrics: None,
            job_metrics: Vec::new(),
        }
    }

    /// Converges on the desired state.
    pub fn apply(&mut self, desired: Desired, instance: &str, now: Timestamp, oracle: &mut Oracle) {
        match desired {
            Desired::Prepare { .. } => self.ready = true,
            Desired::Idle => self.drop_attempt(oracle),
            Desired::Run { key, start, assignment } => {
                if self.attempt.as_ref().is_none_or(|attempt| attempt.key != key) {
                    self.drop_attempt(oracle);
                    self.attempt = assignment.map(|assignment| FakeAttempt::new(&assignment));
                }
                if start {
                    self.start(instance, now, oracle);
                }
            }
            Desired::Stop { key, grace_seconds } => {
                if self.attempt.as_ref().is_none_or(|attempt| attempt.key != key) {
                    self.drop_attempt(oracle);
                    self.attempt = Some(FakeAttempt::never_ran(key));
                }
                self.stop(now, End::Stopped, grace_seconds.min(3));
            }
            Desired::Leave { .. } => {
                self.drop_attempt(oracle);
                self.left = true;
            }
        }
    }

    fn start(&mut self, instance: &str, now: Timestamp, oracle: &mut Oracle) {
        let Some(attempt) = &mut self.attempt else { return };
        if attempt.state == FakeState::Waiting {
            if attempt.rank == 0 {
                oracle.started(&attempt.key, instance);
            }
            attempt.state = FakeState::Running { until: now.plus_millis(attempt.duration_millis) };
        }
    }

    fn stop(&mut self, now: Timestamp, end: End, grace_seconds: u64) {
        let Some(attempt) = &mut self.attempt else { return };
        match attempt.state {
            FakeState::Waiting | FakeState::Running { .. } => {
                let until = now.plus_seconds(grace_seconds);
                attempt.state = FakeState::Stopping { until, end };
            }
            FakeState::Stopping { .. } | FakeState::Ended { .. } => {}
        }
    }

    /// The control plane no longer knows the attempt: its end was acknowledged, or it is fenced.
    fn drop_attempt(&mut self, oracle: &mut Oracle) {
        if let Some(attempt) = self.attempt.take()
            && !matches!(attempt.state, FakeState::Ended { .. })
        {
            attempt.killed(oracle);
        }
    }
}

impl FakeAttempt {
    /// Only the master runs the command.
    fn killed(&self, oracle: &mut Oracle) {
        if self.rank == 0 {
            oracle.ended(&self.key, None);
        }
    }

    fn new(assignment: &Assignment) -> Self {
        let mut numbers = assignment.command_line.split(' ').filter_map(|it| it.parse().ok());
        let mut next = || numbers.next().unwrap_or(0);
        Self {
            key: assignment.key.clone(),
            rank: assignment.rank,
            state: FakeState::Waiting,
            exit_code: i32::try_from(next()).unwrap_or(1),
            duration_millis: next(),
        }
    }

    fn never_ran(key: AttemptKey) -> Self {
        let state = FakeState::Ended { end: End::Stopped };
        Self { key, rank: 1, state, exit_code: 0, duration_millis: 0 }
    }

    fn report(&self) -> AttemptReport {
        let progress = match &self.state {
            FakeState::Waiting => Progress::Prepared,
            FakeState::Running { .. } | FakeState::Stopping { .. } => Progress::Running,
            FakeState::Ended { end } => Progress::Ended { end: end.clone() },
        };
        AttemptReport::new(self.key.clone(), progress)
    }
}

/// The command line of a fake process: its exit code and how long it runs.
pub fn command_line(exit_code: u32, duration_millis: u64) -> String {
    format!("simulate {exit_code} {duration_millis}")
}

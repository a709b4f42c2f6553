//! A simulated agent. It follows the node protocol by the rules of the real agent (its module `plan`),
//! with processes that run for a given time and end with a given exit code.

use crate::attempt::{Phase, SimAttempt};
use crate::oracle::Oracle;
use protocol::{Assignment, AttemptKey, Desired, End, Metrics, NodePhase, Problem, SyncRequest};

/// The time of something that is not scheduled.
pub const NEVER: i64 = i64::MAX;

/// The grace period of processes on a node that the control plane does not know.
const UNKNOWN_GRACE_MILLIS: i64 = 5_000;
/// How long the control plane must not know a node before the agent shuts down.
const UNKNOWN_TIMEOUT_MILLIS: i64 = 30_000;
/// How long a node that has stopped everything keeps trying to report it.
const FINAL_REPORT_MILLIS: i64 = 5_000;

#[derive(Clone, Debug)]
pub struct Agent {
    pub setup: Setup,
    pub attempt: Option<SimAttempt>,
    pub departure: Option<Departure>,
    unknown_since: Option<i64>,
    /// The node cannot run jobs.
    pub bad: bool,
    /// How long the set-up takes; the preparation of a job takes a quarter of it.
    pub prepare_millis: i64,
    pub setup_fails: bool,
    /// Whether something changed since the last request.
    pub has_update: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Setup {
    NotStarted,
    Busy { until: i64 },
    Done,
    Failed,
}

#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// When the instance is interrupted.
    pub interrupted: Option<i64>,
    /// When the running processes are killed.
    pub kill_at: i64,
    /// Set when everything has ended: when the agent exits.
    pub left_until: Option<i64>,
}

impl Agent {
    pub fn new(prepare_millis: i64, setup_fails: bool, bad: bool) -> Self {
        Self {
            setup: Setup::NotStarted,
            attempt: None,
            departure: None,
            unknown_since: None,
            bad,
            prepare_millis,
            setup_fails,
            has_update: true,
        }
    }

    /// The time of the next change without a request.
    pub fn next_change(&self) -> i64 {
        let setup = match self.setup {
            Setup::Busy { until } => until,
            Setup::NotStarted | Setup::Done | Setup::Failed => NEVER,
        };
        let attempt = self.attempt.as_ref().map_or(NEVER, SimAttempt::next_change);
        let exit = self.departure.and_then(|it| it.left_until).unwrap_or(NEVER);
        setup.min(attempt).min(exit)
    }

    /// Whether the agent exits now.
    pub fn exits(&self, now: i64) -> bool {
        self.departure.and_then(|it| it.left_until).is_some_and(|until| now >= until)
    }

    /// Advances set-up and processes to the time `now`.
    pub fn pass_time(&mut self, now: i64, instance: usize, oracle: &mut Oracle) {
        if let Setup::Busy { until } = self.setup
            && now >= until
        {
            self.setup = if self.setup_fails { Setup::Failed } else { Setup::Done };
            self.has_update = true;
        }
        let (bad, departing) = (self.bad, self.departure.is_some());
        if let Some(attempt) = &mut self.attempt {
            while let Some(has_update) = attempt.advance(now, instance, bad, oracle) {
                self.has_update |= has_update;
            }
            if matches!(attempt.phase, Phase::Fenced { until, .. } if now >= until) {
                self.attempt = None;
                self.has_update = true;
            }
        }
        if departing {
            self.continue_departure(now);
        }
    }

    fn continue_departure(&mut self, now: i64) {
        let busy = matches!(self.setup, Setup::Busy { .. })
            || self.attempt.as_ref().is_some_and(|attempt| !attempt.has_ended());
        let Some(departure) = &mut self.departure else { return };
        if departure.left_until.is_some() || busy {
            return;
        }
        departure.left_until = Some(departure.interrupted.unwrap_or(now + FINAL_REPORT_MILLIS));
        self.has_update = true;
    }

    pub fn observe(&self, instance: &str, address: &str, now: i64) -> SyncRequest {
        let phase = match &self.setup {
            _ if self.departure.is_some_and(|it| it.left_until.is_some()) => NodePhase::Left,
            Setup::NotStarted | Setup::Busy { .. } => NodePhase::Preparing,
            Setup::Done => NodePhase::Ready,
            Setup::Failed => NodePhase::Failed { problem: problem("SetupTaskFailed") },
        };
        let left = |until: i64| (until - now).max(0) as u64 / 1000;
        SyncRequest {
            instance: instance.to_owned(),
            address: address.to_owned(),
            phase,
            attempt: self.attempt.as_ref().map(SimAttempt::report),
            interruption_notice_seconds: self.departure.and_then(|it| it.interrupted).map(left),
            login_port: None,
            // Measured once a minute.
            metrics: Some(Metrics { load_percent: (now / 60_000) as u32, ..Metrics::default() }),
            job_metrics: self.attempt.as_ref().map(SimAttempt::metrics).unwrap_or_default(),
        }
    }

    /// The instance will be interrupted at the time `until`.
    pub fn interrupt(&mut self, now: i64, until: i64, oracle: &mut Oracle) {
        let reserve = ((until - now) / 5).min(2000);
        self.depart(now, until - reserve, Some(until), End::Interrupted, oracle);
    }

    fn depart(
        &mut self,
        now: i64,
        kill_at: i64,
        interrupted: Option<i64>,
        end: End,
        oracle: &mut Oracle,
    ) {
        self.has_update |= interrupted.is_some();
        let first = self.departure;
        let departure = Departure {
            interrupted: match (first.and_then(|it| it.interrupted), interrupted) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
            kill_at: first.map_or(kill_at, |it| it.kill_at.min(kill_at)),
            left_until: first.and_then(|it| it.left_until),
        };
        self.departure = Some(departure);
        if let Some(attempt) = &mut self.attempt {
            attempt.stop(now, departure.kill_at, end, oracle);
        }
        if let Setup::Busy { .. } = self.setup {
            self.setup = Setup::NotStarted;
        }
        self.continue_departure(now);
    }

    /// The control plane answered that it does not know the node.
    pub fn node_unknown(&mut self, now: i64, oracle: &mut Oracle) {
        let since = *self.unknown_since.get_or_insert(now);
        if now - since >= UNKNOWN_TIMEOUT_MILLIS {
            self.depart(now, now + UNKNOWN_GRACE_MILLIS, None, End::Stopped, oracle);
        }
    }

    /// Converges on the desired state, which answers the last request. Returns the attempt whose end
    /// was acknowledged.
    pub fn carry_out(
        &mut self,
        desired: Desired,
        now: i64,
        instance: usize,
        oracle: &mut Oracle,
    ) -> Option<(AttemptKey, End)> {
        self.unknown_since = None;
        let mentioned = match &desired {
            Desired::Run { key, .. } | Desired::Stop { key, .. } => Some(key),
            Desired::Prepare { .. } | Desired::Idle | Desired::Leave { .. } => None,
        };
        let leaves = matches!(desired, Desired::Leave { .. });
        let mut acknowledged = None;
        if let Some(attempt) = &mut self.attempt
            && mentioned != Some(&attempt.key)
        {
            if let Phase::Ended { end } = &attempt.phase {
                acknowledged = Some((attempt.key.clone(), end.clone()));
                self.attempt = None;
                self.has_update = true;
            } else if !leaves {
                attempt.fence(now, instance, oracle);
            }
        }
        if self.departure.is_none() {
            self.follow(desired, now, instance, oracle);
        }
        acknowledged
    }

    fn follow(&mut self, desired: Desired, now: i64, instance: usize, oracle: &mut Oracle) {
        match desired {
            Desired::Idle => {}
            Desired::Prepare { .. } => {
                if self.setup == Setup::NotStarted {
                    self.setup = Setup::Busy { until: now + self.prepare_millis };
                }
            }
            Desired::Run { key, start, assignment } => match &mut self.attempt {
                Some(attempt) if attempt.key == key && attempt.is_live() => {
                    attempt.needs_assignment &= assignment.is_none();
                    attempt.start |= start;
                }
                Some(_) => {}
                None => {
                    let fits = |it: &Assignment| it.key == key;
                    if let Some(assignment) = assignment.filter(|it| fits(it))
                        && self.setup == Setup::Done
                    {
                        oracle.member_started(&key, instance);
                        let until = now + self.prepare_millis / 4;
                        self.attempt = Some(SimAttempt::new(&assignment, start, now, until));
                    }
                }
            },
            Desired::Stop { key, grace_seconds } => match &mut self.attempt {
                Some(attempt) if attempt.key == key => {
                    let kill_at = now + grace_seconds as i64 * 1000;
                    attempt.stop(now, kill_at, End::Stopped, oracle);
                }
                Some(_) => {}
                None => {
                    self.attempt = Some(SimAttempt::never_ran(key));
                    self.has_update = true;
                }
            },
            Desired::Leave { grace_seconds } => {
                let kill_at = now + grace_seconds as i64 * 1000;
                self.depart(now, kill_at, None, End::Stopped, oracle);
            }
        }
    }

    /// The agent restarts; its processes continued.
    pub fn restarted(&mut self) {
        self.has_update = true;
        self.unknown_since = None;
        if let Some(attempt) = &mut self.attempt {
            attempt.needs_assignment = matches!(attempt.phase, Phase::Preparing { .. });
        }
        if self.setup != Setup::Done {
            self.setup = Setup::NotStarted;
        }
    }
}

pub fn problem(code: &str) -> Problem {
    Problem { code: code.to_owned(), message: "simulated".to_owned(), details: Vec::new() }
}

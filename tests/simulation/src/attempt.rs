//! An attempt on a simulated node: preparation, command, stop and end, each with its time.

use crate::agent::{NEVER, problem};
use crate::job_metrics::SimMetrics;
use crate::oracle::Oracle;
use crate::toolkits::{self, Shape};
use protocol::{
    Assignment, AttemptKey, AttemptReport, End, EndDetails, JobMetric, OutputTail, Progress,
    ScarceResource, Shortage,
};

/// Between the ends of two ranks, where several have processes.
const RANK_MILLIS: i64 = 700;

#[derive(Clone, Debug)]
pub struct SimAttempt {
    pub key: AttemptKey,
    shape: Shape,
    master: bool,
    pub phase: Phase,
    pub start: bool,
    pub needs_assignment: bool,
    plan: CommandPlan,
    wall_millis: i64,
    first_process_at: i64,
    metrics: SimMetrics,
}

/// What the command will do, parsed from its command line.
#[derive(Clone, Copy, Debug, Default)]
struct CommandPlan {
    exit_code: i32,
    millis: i64,
    preparation: i32,
    stop_millis: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    Preparing {
        until: i64,
    },
    Prepared,
    Running {
        until: i64,
    },
    Stopping {
        until: i64,
        end: End,
        was: Progress,
    },
    /// Being killed, without a report to the service.
    Fenced {
        until: i64,
        was: Progress,
    },
    Ended {
        end: End,
    },
}

impl SimAttempt {
    pub fn new(assignment: &Assignment, start: bool, now: i64, until: i64) -> Self {
        let mut numbers = toolkits::text(assignment).split(' ').skip(1);
        let mut next = || numbers.next().and_then(|it| it.parse().ok()).unwrap_or(0);
        let (mut exit_code, mut millis, stop_millis) = (next() as i32, next(), next());
        let (rank, shape) = (i64::from(assignment.rank), toolkits::shape(assignment));
        // Where several nodes have processes, the last rank is the one that fails.
        let is_last = assignment.rank as usize + 1 == assignment.hosts.len();
        match shape {
            Shape::First => {}
            Shape::FirstAndWorkers => {
                // Some workers end before the first one, others would after it.
                millis = if rank % 2 == 0 { millis + rank * RANK_MILLIS } else { millis / 2 };
                exit_code = if is_last { exit_code } else { 0 };
            }
            Shape::Every => {
                millis += rank * RANK_MILLIS;
                exit_code = if is_last { exit_code } else { 0 };
            }
        }
        let preparation = assignment.preparation_command_line.as_deref();
        let preparation = preparation.and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let preparation = preparation.unwrap_or(0);
        Self {
            key: assignment.key.clone(),
            shape,
            master: rank == 0,
            phase: Phase::Preparing { until },
            start,
            needs_assignment: false,
            plan: CommandPlan { exit_code, millis, preparation, stop_millis },
            wall_millis: assignment.max_wall_clock_seconds as i64 * 1000,
            first_process_at: now,
            metrics: SimMetrics::default(),
        }
    }

    pub fn never_ran(key: AttemptKey) -> Self {
        Self {
            key,
            shape: Shape::First,
            master: false,
            phase: Phase::Ended { end: End::Stopped },
            start: false,
            needs_assignment: false,
            plan: CommandPlan::default(),
            wall_millis: NEVER,
            first_process_at: 0,
            metrics: SimMetrics::default(),
        }
    }

    pub fn next_change(&self) -> i64 {
        let wall = self.first_process_at.saturating_add(self.wall_millis);
        match &self.phase {
            // Waits for the assignment, which a restarted agent does not have.
            Phase::Preparing { .. } if self.needs_assignment => NEVER,
            Phase::Preparing { until } => *until,
            Phase::Prepared if self.start => 0,
            Phase::Prepared => wall,
            Phase::Running { until } => (*until).min(wall),
            Phase::Stopping { until, .. } | Phase::Fenced { until, .. } => *until,
            Phase::Ended { .. } => NEVER,
        }
    }

    /// Makes one transition, if one is due. Returns whether the agent reports it at once.
    pub fn advance(
        &mut self,
        now: i64,
        instance: usize,
        bad: bool,
        oracle: &mut Oracle,
    ) -> Option<bool> {
        let wall = self.first_process_at.saturating_add(self.wall_millis);
        if matches!(self.phase, Phase::Running { .. } | Phase::Stopping { .. }) {
            self.metrics.ran(now);
        }
        match self.phase.clone() {
            Phase::Preparing { until } if now >= until && !self.needs_assignment => {
                if bad {
                    let end = End::NodeFailed { problem: problem("DiskFull") };
                    self.end(end, instance, oracle);
                } else if self.plan.preparation != 0 {
                    let exit_code = self.plan.preparation;
                    oracle.exited(&self.key, instance, exit_code);
                    self.end(End::PreparationFailed { exit_code }, instance, oracle);
                } else {
                    self.phase = Phase::Prepared;
                }
                Some(true)
            }
            Phase::Prepared if self.start => {
                let starts = self.master || self.shape != Shape::First;
                let until = if starts { now + self.plan.millis } else { NEVER };
                if self.master {
                    oracle.started(&self.key, instance, now);
                    self.metrics.start(&self.key, now);
                }
                self.phase = Phase::Running { until };
                Some(false)
            }
            Phase::Running { until } if now >= until && until <= wall && self.waits_for_first() => {
                self.phase = Phase::Running { until: NEVER };
                Some(false)
            }
            Phase::Running { until } if now >= until && until <= wall => {
                let exit_code = self.plan.exit_code;
                oracle.exited(&self.key, instance, exit_code);
                self.end(End::Exited { exit_code }, instance, oracle);
                Some(true)
            }
            Phase::Prepared | Phase::Running { .. } if now >= wall => {
                oracle.exceeded(&self.key);
                self.stop(now, now + 10_000, End::WallClockExceeded, oracle);
                Some(false)
            }
            Phase::Stopping { until, end, .. } if now >= until => {
                self.end(end, instance, oracle);
                Some(true)
            }
            Phase::Fenced { until, .. } if now >= until => {
                oracle.member_ended(&self.key, instance);
                None
            }
            Phase::Preparing { .. }
            | Phase::Prepared
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Fenced { .. }
            | Phase::Ended { .. } => None,
        }
    }

    /// The processes of this node have succeeded, which does not end the job.
    fn waits_for_first(&self) -> bool {
        !self.master && self.shape == Shape::FirstAndWorkers && self.plan.exit_code == 0
    }

    fn end(&mut self, end: End, instance: usize, oracle: &mut Oracle) {
        oracle.member_ended(&self.key, instance);
        self.metrics.end(&self.key, oracle);
        self.phase = Phase::Ended { end };
    }

    /// Sends SIGTERM now and SIGKILL at `kill_at`. A second request never extends the time.
    pub fn stop(&mut self, now: i64, kill_at: i64, end: End, oracle: &mut Oracle) {
        match &mut self.phase {
            Phase::Preparing { .. } | Phase::Prepared | Phase::Running { .. } => {
                oracle.asked_to_stop(&self.key);
                let was = self.progress();
                let until = (now + self.plan.stop_millis).min(kill_at).max(now);
                self.phase = Phase::Stopping { until, end, was };
            }
            Phase::Stopping { until, .. } => *until = (*until).min(kill_at.max(now)),
            Phase::Fenced { .. } | Phase::Ended { .. } => {}
        }
    }

    /// Kills an attempt that the service no longer knows, without a report.
    pub fn fence(&mut self, now: i64, _instance: usize, oracle: &mut Oracle) {
        if !matches!(self.phase, Phase::Fenced { .. }) {
            oracle.asked_to_stop(&self.key);
            self.phase = Phase::Fenced { until: now + 20, was: self.progress() };
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    pub fn is_live(&self) -> bool {
        !matches!(self.phase, Phase::Ended { .. } | Phase::Fenced { .. })
    }

    fn progress(&self) -> Progress {
        match &self.phase {
            Phase::Preparing { .. } => Progress::Preparing,
            Phase::Prepared => Progress::Prepared,
            Phase::Running { .. } => Progress::Running,
            Phase::Stopping { was, .. } | Phase::Fenced { was, .. } => was.clone(),
            Phase::Ended { end } => Progress::Ended { end: end.clone() },
        }
    }

    pub fn metrics(&self) -> Vec<JobMetric> {
        self.metrics.report(&self.key)
    }

    pub fn report(&self) -> AttemptReport {
        let end_details = match &self.phase {
            Phase::Ended { end } => Some(Box::new(details(&self.key, end))),
            Phase::Preparing { .. }
            | Phase::Prepared
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Fenced { .. } => None,
        };
        let (key, needs_assignment) = (self.key.clone(), self.needs_assignment);
        AttemptReport { key, progress: self.progress(), needs_assignment, end_details }
    }
}

/// Every command that fails does so for lack of memory, and every node has output.
fn details(key: &AttemptKey, end: &End) -> EndDetails {
    let has_failed = match end {
        End::Exited { exit_code } => *exit_code != 0,
        End::PreparationFailed { .. } => true,
        End::NotProvided { .. }
        | End::NodeFailed { .. }
        | End::WallClockExceeded
        | End::Stopped
        | End::Interrupted
        | End::Lost { .. } => false,
    };
    let shortage = Shortage { resource: ScarceResource::Memory, evidence: evidence_of(key.number) };
    let output =
        OutputTail { name: "stdout.txt".to_owned(), text: evidence_of(key.number), length: 100 };
    EndDetails { shortage: has_failed.then_some(shortage), output: vec![output] }
}

/// What is reported about an attempt.
pub fn evidence_of(attempt: u32) -> String {
    format!("of attempt {attempt}")
}

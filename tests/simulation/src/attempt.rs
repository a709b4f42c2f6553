//! An attempt on a simulated node: preparation, command, stop, end, each at its time.

use crate::agent::{NEVER, problem};
use crate::oracle::Oracle;
use protocol::{Assignment, AttemptKey, AttemptReport, End, Progress};

#[derive(Clone, Debug)]
pub struct Present {
    pub key: AttemptKey,
    master: bool,
    pub stage: Stage,
    pub start: bool,
    pub needs_assignment: bool,
    plan: CommandPlan,
    wall_millis: i64,
    first_process_at: i64,
}

/// What the command line says the command will do.
#[derive(Clone, Copy, Debug, Default)]
struct CommandPlan {
    exit_code: i32,
    millis: i64,
    preparation: i32,
    stop_millis: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
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
    /// Killed without a report.
    Fenced {
        until: i64,
        was: Progress,
    },
    Ended {
        end: End,
    },
}

impl Present {
    pub fn begin(assignment: &Assignment, start: bool, now: i64, until: i64) -> Self {
        let mut numbers = assignment.command_line.split(' ').skip(1);
        let mut next = || numbers.next().and_then(|it| it.parse().ok()).unwrap_or(0);
        let (exit_code, millis, stop_millis) = (next() as i32, next(), next());
        let preparation = assignment.preparation_command_line.as_deref();
        let preparation = preparation.and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let preparation = preparation.unwrap_or(0);
        Self {
            key: assignment.key.clone(),
            master: assignment.rank == 0,
            stage: Stage::Preparing { until },
            start,
            needs_assignment: false,
            plan: CommandPlan { exit_code, millis, preparation, stop_millis },
            wall_millis: assignment.max_wall_clock_seconds as i64 * 1000,
            first_process_at: now,
        }
    }

    pub fn never_ran(key: AttemptKey) -> Self {
        Self {
            key,
            master: false,
            stage: Stage::Ended { end: End::Stopped },
            start: false,
            needs_assignment: false,
            plan: CommandPlan::default(),
            wall_millis: NEVER,
            first_process_at: 0,
        }
    }

    pub fn next_change(&self) -> i64 {
        let wall = self.first_process_at.saturating_add(self.wall_millis);
        match &self.stage {
            // Nothing happens by itself until it is told again what to prepare.
            Stage::Preparing { .. } if self.needs_assignment => NEVER,
            Stage::Preparing { until } => *until,
            Stage::Prepared if self.start => 0,
            Stage::Prepared => wall,
            Stage::Running { until } => (*until).min(wall),
            Stage::Stopping { until, .. } | Stage::Fenced { until, .. } => *until,
            Stage::Ended { .. } => NEVER,
        }
    }

    /// One transition, if one is due. Answers whether the agent has to report it at once.
    pub fn advance(
        &mut self,
        now: i64,
        instance: usize,
        bad: bool,
        oracle: &mut Oracle,
    ) -> Option<bool> {
        let wall = self.first_process_at.saturating_add(self.wall_millis);
        match self.stage.clone() {
            Stage::Preparing { until } if now >= until && !self.needs_assignment => {
                if bad {
                    let end = End::NodeFailed { problem: problem("DiskFull") };
                    self.end(end, instance, oracle);
                } else if self.plan.preparation != 0 {
                    let exit_code = self.plan.preparation;
                    oracle.exited(&self.key, instance, exit_code);
                    self.end(End::PreparationFailed { exit_code }, instance, oracle);
                } else {
                    self.stage = Stage::Prepared;
                }
                Some(true)
            }
            Stage::Prepared if self.start => {
                let until = if self.master { now + self.plan.millis } else { NEVER };
                if self.master {
                    oracle.started(&self.key, instance, now);
                }
                self.stage = Stage::Running { until };
                Some(false)
            }
            Stage::Running { until } if now >= until && until <= wall => {
                let exit_code = self.plan.exit_code;
                oracle.exited(&self.key, instance, exit_code);
                self.end(End::Exited { exit_code }, instance, oracle);
                Some(true)
            }
            Stage::Prepared | Stage::Running { .. } if now >= wall => {
                oracle.exceeded(&self.key);
                self.stop(now, now + 10_000, End::WallClockExceeded, oracle);
                Some(false)
            }
            Stage::Stopping { until, end, .. } if now >= until => {
                self.end(end, instance, oracle);
                Some(true)
            }
            Stage::Fenced { until, .. } if now >= until => {
                oracle.gone(&self.key, instance);
                None
            }
            _ => None,
        }
    }

    fn end(&mut self, end: End, instance: usize, oracle: &mut Oracle) {
        oracle.gone(&self.key, instance);
        self.stage = Stage::Ended { end };
    }

    /// SIGTERM now, SIGKILL at `kill_at`. A second request never gives more time.
    pub fn stop(&mut self, now: i64, kill_at: i64, end: End, oracle: &mut Oracle) {
        match &mut self.stage {
            Stage::Preparing { .. } | Stage::Prepared | Stage::Running { .. } => {
                oracle.asked_to_stop(&self.key);
                let was = self.progress();
                let until = (now + self.plan.stop_millis).min(kill_at).max(now);
                self.stage = Stage::Stopping { until, end, was };
            }
            Stage::Stopping { until, .. } => *until = (*until).min(kill_at.max(now)),
            Stage::Fenced { .. } | Stage::Ended { .. } => {}
        }
    }

    /// It no longer belongs here: killed at once, reported to no one.
    pub fn fence(&mut self, now: i64, _instance: usize, oracle: &mut Oracle) {
        if !matches!(self.stage, Stage::Fenced { .. }) {
            oracle.asked_to_stop(&self.key);
            self.stage = Stage::Fenced { until: now + 20, was: self.progress() };
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended { .. })
    }

    pub fn is_live(&self) -> bool {
        !matches!(self.stage, Stage::Ended { .. } | Stage::Fenced { .. })
    }

    fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Preparing { .. } => Progress::Preparing,
            Stage::Prepared => Progress::Prepared,
            Stage::Running { .. } => Progress::Running,
            Stage::Stopping { was, .. } | Stage::Fenced { was, .. } => was.clone(),
            Stage::Ended { end } => Progress::Ended { end: end.clone() },
        }
    }

    pub fn report(&self) -> AttemptReport {
        let (key, needs_assignment) = (self.key.clone(), self.needs_assignment);
        AttemptReport { key, progress: self.progress(), needs_assignment }
    }
}

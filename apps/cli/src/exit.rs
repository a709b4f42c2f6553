//! Exit statuses, the same for every command. `batchai --help` lists them.

use resources::{ExecutionState, Job};
use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    pub const SUCCESS: Self = Self(0);
    pub const FAILURE: Self = Self(1);
    /// A command line that cannot be parsed.
    pub const USAGE: Self = Self(2);
    /// The status of `timeout` from coreutils.
    pub const TIMED_OUT: Self = Self(124);
    /// 128 + SIGINT, as a shell reports it.
    pub const INTERRUPTED: Self = Self(130);

    /// The status for a job: 0 if it succeeded, its exit code if that is between 1 and 255, else 1.
    pub fn of(job: &Job) -> Self {
        match job.properties.execution_state {
            ExecutionState::Succeeded => Self::SUCCESS,
            ExecutionState::Queued
            | ExecutionState::Running
            | ExecutionState::Terminating
            | ExecutionState::Failed
            | ExecutionState::Unknown => job
                .exit_code()
                .and_then(|code| u8::try_from(code).ok())
                .filter(|code| *code != 0)
                .map_or(Self::FAILURE, Self),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(state: &str, exit_code: Option<i64>, expected: u8) {
        let info = exit_code.map(|code| serde_json::json!({ "exitCode": code }));
        let job: Job = serde_json::from_value(serde_json::json!({
            "name": "job",
            "properties": { "executionState": state, "executionInfo": info },
        }))
        .unwrap();
        assert_eq!(Exit::of(&job), Exit(expected));
    }

    #[test]
    fn a_failed_job_passes_on_an_exit_code_that_fits_a_process() {
        check("succeeded", Some(0), 0);
        check("failed", Some(3), 3);
        check("failed", Some(255), 255);
        check("failed", Some(256), 1);
        check("failed", Some(-1), 1);
        check("failed", Some(0), 1);
        check("failed", None, 1);
    }

    #[test]
    fn a_job_that_has_not_ended_is_not_a_success() {
        check("queued", None, 1);
        check("running", None, 1);
        check("paused", None, 1);
    }
}

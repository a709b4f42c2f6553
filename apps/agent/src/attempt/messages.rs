//! Lines of the execution log about signals and ends.

use protocol::{End, ScarceResource, Shortage};

use super::Outcome;
use crate::clock::now_since_epoch;
use crate::system::run_control::{StopCause, StopRequest};
use crate::system::watchdog::Signal;

pub fn describe(signal: Signal, cause: StopCause, what: &str) -> String {
    let signal = match signal {
        Signal::Terminate => "SIGTERM",
        Signal::Kill => "SIGKILL",
    };
    let reason = match cause {
        StopCause::Stopped => "it was asked to stop",
        StopCause::Interrupted => "this machine is being interrupted",
        StopCause::WallClockExceeded => "it ran longer than maxWallClockTime allows",
        StopCause::Fenced => "the job no longer has this node",
    };
    format!("Sending {signal} to every process of the {what}: {reason}")
}

/// What a job finds in `$BATCHAI_STOP_FILE` when SIGTERM arrives, as variables for a shell: how long it has left, until
/// when (seconds since 1970), and why.
pub fn stop_notice(stop: StopRequest) -> String {
    let left = stop.kill_at.remaining();
    let until = now_since_epoch() + left;
    let cause = match stop.cause {
        StopCause::Stopped | StopCause::Fenced => "stopped",
        StopCause::Interrupted => "interrupted",
        StopCause::WallClockExceeded => "time-limit",
    };
    format!(
        "BATCHAI_SECONDS_LEFT={}\nBATCHAI_STOP_AT={}\nBATCHAI_STOP_CAUSE={cause}\n",
        left.as_secs(),
        until.as_secs()
    )
}

pub fn text_of(shortage: &Shortage) -> String {
    let resource = match shortage.resource {
        ScarceResource::Disk => "disk space",
        ScarceResource::Memory => "memory",
        ScarceResource::Other => "a resource",
    };
    format!("{resource}: {}", shortage.evidence)
}

pub fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Dropped => "the job no longer has this node".into(),
        Outcome::Ended(End::Exited { exit_code }) => format!("exit code {exit_code}"),
        Outcome::Ended(End::PreparationFailed { exit_code }) => {
            format!("the job preparation failed with exit code {exit_code}")
        }
        Outcome::Ended(End::NotProvided { problem } | End::NodeFailed { problem }) => {
            let reasons = problem.details.iter().map(|(_, value)| format!(": {value}"));
            format!("{}{}", problem.message, reasons.collect::<String>())
        }
        Outcome::Ended(End::WallClockExceeded) => "it ran for too long".into(),
        Outcome::Ended(End::Stopped) => "stopped".into(),
        Outcome::Ended(End::Interrupted) => "interrupted".into(),
        Outcome::Ended(End::Lost { reason }) => format!("lost, {reason}"),
    }
}
